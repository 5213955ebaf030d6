from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.viewer import write_video


def test_a_video_has_the_length_and_the_size_of_the_pictures(walk: Motion, tmp_path: Path) -> None:
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    path = tmp_path / "walk.mp4"
    write_video([walk], path, fps=10, width=241)  # an odd width loses a column
    done = subprocess.run([program, "-i", path], capture_output=True, text=True, check=False)
    assert re.search(r"Video: h264 .*yuv420p.*, 240x\d*[02468][, ].* 10 fps", done.stderr)
    found = re.search(r"Duration: 00:00:(\d+\.\d+)", done.stderr)
    assert found and float(found[1]) == pytest.approx(walk.seconds, abs=0.1)


def test_without_an_encoder_it_says_what_to_install(
    walk: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        write_video([walk], tmp_path / "walk.mp4")


def test_an_encoder_that_fails_is_quoted_and_leaves_no_file(
    walk: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "ffmpeg"
    fake.write_text("#!/bin/sh\necho first >&2\necho \"Unknown encoder 'libx264'\" >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(InputError, match=r"cannot encode it \(Unknown encoder 'libx264'\)"):
        write_video([walk], tmp_path / "walk.mp4", width=160)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
