"""The same from Python: encodes one clip with ffmpeg, which does not hold the GIL. Nothing here knows of Heddle."""
import os
import subprocess


def encode(path):
    target = os.path.splitext(path)[0] + ".mp4"
    ffmpeg = os.environ.get("FFMPEG", "ffmpeg")
    subprocess.run(
        [ffmpeg, "-v", "error", "-y", "-i", path, "-threads", "1", "-c:v", "libx264", "-preset", "medium", target],
        check=True, stdin=subprocess.DEVNULL)
    return os.path.basename(target)
