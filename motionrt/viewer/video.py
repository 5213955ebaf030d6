"""Videos: the pictures of an animation as H.264 in .mp4, encoded by FFmpeg."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.viewer.animation import pictures_of

_QUALITY = ("-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p")
"""Lines stay sharp (lower is finer), and every player has this kind of colour."""


def write_video(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    fps: float = 25.0,
    view: str = "three-quarter",
    width: int | None = None,
) -> None:
    """Write an .mp4 that shows what `write_gif` shows, once.

    FFmpeg encodes it: the program on the PATH, or the one that imageio-ffmpeg brings. InputError if
    there is none, or if it cannot.
    """
    program = _ffmpeg(path)
    pictures = pictures_of(motions, path, names=names, fps=fps, view=view, width=width)
    first = next(pictures)
    size = (first.width // 2 * 2, first.height // 2 * 2)  # the codec halves the colours' size
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:g}")
    with atomic_file(path) as temporary, tempfile.TemporaryFile() as told:
        target = ("-movflags", "+faststart", "-f", "mp4", str(temporary))
        words = [program, "-y", "-loglevel", "error", *source, "-i", "-", *_QUALITY, *target]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=told
        ) as encoder:
            assert encoder.stdin is not None
            try:
                for picture in (first, *pictures):
                    encoder.stdin.write(picture.crop((0, 0, *size)).tobytes())
                encoder.stdin.close()
            except BrokenPipeError:
                pass  # it has ended; what it said comes below
            except BaseException:
                encoder.kill()
                raise
        if encoder.returncode:
            told.seek(0)
            lines = told.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise InputError(f"{path}: {program} cannot encode it ({lines[-1]})")


def _ffmpeg(path: str | os.PathLike[str]) -> str:
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise InputError(
            f"{path}: a video needs FFmpeg, and there is no ffmpeg here; "
            "install it, or: pip install imageio-ffmpeg"
        ) from None
