"""Edits photos that it makes, in Python and in Swift: one thread, threads, processes. python3 Examples/photos/run.py [PHOTOS] [FOLDER]"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]
sys.dont_write_bytecode = True

import compare

MAKE = """
import sys
from PIL import Image, ImageDraw
for number in range(int(sys.argv[1])):
    photo = Image.merge("RGB", (Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L").rotate(90)))
    photo = photo.resize((2400, 1600), Image.BICUBIC).rotate(7 * number % 40)
    draw = ImageDraw.Draw(photo)
    for ring in range(12):
        x, y = (number * 97 + ring * 211) % 2200, (number * 57 + ring * 131) % 1400
        draw.ellipse([x, y, x + 180, y + 180], fill=((ring * 40) % 256, (number * 31) % 256, 200), outline="white", width=5)
    photo.save("%s/photo-%03d.jpg" % (sys.argv[2], number), quality=90)
"""

python = compare.install("pillow")
count = int(sys.argv[1]) if len(sys.argv) > 1 else 24
with tempfile.TemporaryDirectory() as temporary:
    folder = sys.argv[2] if len(sys.argv) > 2 else temporary
    os.makedirs(folder, exist_ok=True)
    subprocess.check_call([python, "-c", MAKE, str(count), folder])
    photos = ["%s/photo-%03d.jpg" % (folder, n) for n in range(count)]
    target = [HERE + "/photos.py:edit"] + photos + ["--python", python]
    cores = str(len(os.sched_getaffinity(0)))
    rows = compare.compare([
        ("one thread", target + ["--on", "threads", "-j", "1"]),
        ("%s threads" % cores, target + ["--on", "threads", "-j", cores]),
        ("%s processes" % cores, target + ["--on", "processes", "-j", cores]),
    ])
    print()
    edited = compare.swift(HERE, "Photos", photos, [("gdlib", "libgd-dev")])
    first = min(rows, key=lambda row: row["index"])["value"]
    print("\n%d photos; the first became %s, %d x %d, and %s, %s x %s" % (len(rows), first["file"], *first["size"], *edited[0][:3]))
