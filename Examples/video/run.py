"""Encodes video that it makes, with ffmpeg, as a command, from Python and from Swift: one, then 4 at once. python3 Examples/video/run.py [CLIPS] [FOLDER]"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]
sys.dont_write_bytecode = True

import compare


def find_ffmpeg():
    """The one on PATH, or that of the package imageio-ffmpeg."""
    if shutil.which("ffmpeg"):
        return "ffmpeg"
    python = compare.install("imageio-ffmpeg")
    return subprocess.check_output([python, "-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"], universal_newlines=True).strip()


ffmpeg = find_ffmpeg()
count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
with tempfile.TemporaryDirectory() as temporary:
    folder = sys.argv[2] if len(sys.argv) > 2 else temporary
    os.makedirs(folder, exist_ok=True)
    clips = []
    for number in range(count):
        clips.append("%s/clip-%d.avi" % (folder, number))
        source = "testsrc2=size=640x360:rate=25:duration=4,hue=h=%d" % (number * 40)
        subprocess.check_call([ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "mjpeg", "-q:v", "3", clips[-1]])
    # One thread in each ffmpeg, so that what is compared is how many run.
    command = ["--", ffmpeg, "-v", "error", "-y", "-i", "{}", "-threads", "1", "-c:v", "libx264", "-preset", "medium", "{.}.mp4", ":::"] + clips
    python = [HERE + "/encode.py:encode"] + clips
    os.environ["FFMPEG"] = ffmpeg
    compare.compare([
        ("one command at a time", ["-j", "1"] + command),
        ("4 commands", ["-j", "4"] + command),
    ])
    compare.compare([
        ("a function, one thread", python + ["--on", "threads", "-j", "1"]),
        ("a function, 4 threads", python + ["--on", "threads", "-j", "4"]),
        ("a function, 4 processes", python + ["--on", "processes", "-j", "4"]),
    ])
    print()
    encoded = compare.swift(HERE, "Video", [ffmpeg] + clips)
    sizes = [os.path.getsize(name) for name in [clip[:-4] + ".mp4" for clip in clips] + [name for name, in encoded]]
    print("\n%d clips of 4 s encoded, %d to %d kB" % (count, min(sizes) // 1000, max(sizes) // 1000))
