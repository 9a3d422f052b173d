"""Edits a photo with Pillow: smaller, sharper, a little warmer. Nothing here knows of Heddle."""
import os

from PIL import Image, ImageEnhance, ImageFilter


def edit(path):
    """Writes NAME-edited.jpg beside the photo; answers with its name, size and mean colour."""
    with Image.open(path) as photo:
        photo = photo.convert("RGB").filter(ImageFilter.GaussianBlur(2))
        photo = photo.resize((photo.width // 2, photo.height // 2), Image.LANCZOS)
        photo = photo.filter(ImageFilter.UnsharpMask(radius=2, percent=120))
        photo = ImageEnhance.Color(photo).enhance(1.2)
    red, green, blue = photo.split()
    photo = Image.merge("RGB", (red.point(lambda v: min(255, int(v * 1.05))), green, blue))
    target = os.path.splitext(path)[0] + "-edited.jpg"
    photo.save(target, quality=88)
    mean = photo.resize((1, 1), Image.BOX).getpixel((0, 0))
    return {"file": os.path.basename(target), "size": list(photo.size), "mean": list(mean)}
