from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton


@pytest.fixture
def motion_file(tmp_path: Path) -> Path:
    """A second of the CMU skeleton sliding forward in its rest pose."""
    skeleton = load_skeleton("cmu22")
    rotations = np.tile(np.eye(3, dtype=np.float32), (30, skeleton.num_joints, 1, 1))
    root = np.zeros((30, 3), np.float32)
    root[:, 1], root[:, 2] = 1.0, np.linspace(0, 1, 30)
    path = tmp_path / "slide.npz"
    Motion.from_local(rotations, root, skeleton, 30.0).save(path)
    return path


def run(*arguments: str | Path) -> int:
    """Run `motionrt view`; return the exit code."""
    try:
        main(["view", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_suffix_decides_what_is_written(
    motion_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(motion_file, "-o", tmp_path / "new" / "sheet.PNG", "--frames", "4") == 0
    assert "sheet.PNG" in capsys.readouterr().out
    with Image.open(tmp_path / "new" / "sheet.PNG") as image:
        assert (image.format, image.width) == ("PNG", 1400)

    options = ("--fps", "10", "--width", "240", "--view", "side")
    assert run(motion_file, motion_file, "-o", tmp_path / "slide.gif", *options) == 0
    with Image.open(tmp_path / "slide.gif") as image:
        assert (image.format, image.width, getattr(image, "n_frames", 1)) == ("GIF", 240, 10)

    assert run(motion_file, "-o", tmp_path / "sheet.jpg", "--width", "500") == 0
    with Image.open(tmp_path / "sheet.jpg") as image:
        assert (image.format, image.width) == ("JPEG", 500)

    assert run(motion_file, "-o", tmp_path / "slide.webp", *options) == 0
    with Image.open(tmp_path / "slide.webp") as image:
        assert (image.format, image.width, getattr(image, "n_frames", 1)) == ("WEBP", 240, 10)

    assert run(motion_file, "-o", tmp_path / "slide.html") == 0
    assert "slide" in (tmp_path / "slide.html").read_text(encoding="utf-8")


def test_quiet_prints_nothing(
    motion_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(motion_file, "-o", tmp_path / "slide.html", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "sheet.pdf"),
        ("-o", "sheet"),
        ("-o", "sheet.png", "--frames", "0"),
        ("-o", "sheet.png", "--view", "below"),
        ("-o", "walk.gif", "--fps", "1000"),
    ],
)
def test_wrong_usage_exits_with_2(
    motion_file: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(motion_file, *arguments) == 2
    assert list(tmp_path.iterdir()) == [motion_file]


def test_no_motion_exits_with_2(tmp_path: Path) -> None:
    assert run("-o", tmp_path / "sheet.png") == 2


def test_wrong_files_give_one_line_and_exit_with_1(
    motion_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(motion_file, allow_pickle=False) as arrays:
        content = dict(arrays)
    nan, empty, text = (tmp_path / name for name in ("nan.npz", "empty.npz", "text.npz"))
    frames = [k for k, v in content.items() if v.ndim and len(v) == 30]
    assert "root_positions" in frames
    np.savez(nan, **{k: v * np.nan if k == "posed_joints" else v for k, v in content.items()})
    np.savez(empty, **{k: v[:0] if k in frames else v for k, v in content.items()})
    text.write_text("not a motion")
    for path in (tmp_path / "missing.npz", nan, empty, text, tmp_path):
        assert run(path, "-o", tmp_path / "sheet.png") == 1, path
        error = capsys.readouterr().err
        assert error.startswith("Error: ") and error.count("\n") == 1, error
    assert not (tmp_path / "sheet.png").exists()


def test_without_a_place_the_player_is_put_here_and_named(
    motion_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second is written over the first
        assert run(motion_file) == 0
        assert capsys.readouterr().out.strip().endswith("kB: open it in a browser")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slide.html", "slide.npz"]
    (tmp_path / "slide.html").write_text("somebody's page")
    assert run(motion_file) == 0
    assert (tmp_path / "slide.html").read_text() == "somebody's page"
    assert b"motionrt" in (tmp_path / "slide-2.html").read_bytes()


@pytest.mark.parametrize("display", [":0", ""])
def test_a_browser_opens_the_player_on_a_terminal_with_a_display(
    display: str, motion_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_page(page: str) -> bool:
        opened.append(page)
        return True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", open_page)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.setenv(name, display)
    assert run(motion_file) == 0 and run(motion_file, "-o", "there.html") == 0
    assert opened == ([(tmp_path / "slide.html").as_uri()] if display else [])


def test_the_player_can_go_to_standard_output(
    motion_file: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(motion_file, "-o", "-", "--quiet") == 0
    assert capsysbinary.readouterr().out.startswith(b"<!doctype html>")
