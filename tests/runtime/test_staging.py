from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from motionrt.runtime import staging as module
from motionrt.runtime.files import atomic_file
from motionrt.runtime.staging import CONTENT, PREFIX, UNLOCKED_SECONDS, staging, sweep

has_locks = pytest.mark.skipif(sys.platform == "win32", reason="by its locks")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def killed(folder: Path, lines: str) -> None:
    """Run lines that end with a kill while a staging folder, ``place``, is open."""
    script = (
        "import os, signal\nfrom pathlib import Path\n"
        "from motionrt.runtime.staging import *\n"
        f"with staging(Path({str(folder)!r})) as place:\n"
        + "".join(f"    {line}\n" for line in lines.splitlines())
        + "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.fixture(autouse=True)
def nothing_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_swept", set())


@has_locks
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed(tmp_path, "(place / 'new').mkdir()\n(place / 'new' / 'part').touch()")
    assert names(tmp_path)[0].startswith(PREFIX)
    with atomic_file(tmp_path / "a") as temporary:
        temporary.touch()
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == ["a"]


@has_locks
def test_what_another_run_works_in_stays(tmp_path: Path) -> None:
    with staging(tmp_path) as place:
        (place / CONTENT).touch()
        sweep(tmp_path)
        assert names(place) == [CONTENT]
    assert names(tmp_path) == []


@has_locks
def test_what_a_killed_run_had_set_aside_goes_back(tmp_path: Path) -> None:
    killed(tmp_path, "(place / 'aside').mkdir()\n(place / 'aside' / 'bundle').mkdir()")
    sweep(tmp_path)
    assert names(tmp_path) == ["bundle"]
    # Unless there is something else by its name.
    killed(tmp_path, "(place / 'aside').mkdir()\n(place / 'aside' / 'bundle').mkdir()")
    (tmp_path / "bundle" / "part").touch()
    sweep(tmp_path)
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["part"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes others' files")
def test_what_belongs_to_another_user_stays(tmp_path: Path) -> None:
    place = tmp_path / f"{PREFIX}other"
    place.mkdir()
    os.chown(place, 1234, 1234)
    sweep(tmp_path)
    assert names(tmp_path) == [place.name]


def test_files_and_links_of_such_names_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}link").symlink_to("mine")
    sweep(tmp_path)
    assert names(tmp_path) == [f"{PREFIX}file", f"{PREFIX}link", "mine"]


def test_without_locks_only_what_is_old_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    place = tmp_path / f"{PREFIX}one"
    place.mkdir()
    part = place / CONTENT
    part.touch()
    for path, age in ((place, 2.0), (part, 0.5)):
        then = path.stat().st_mtime - age * UNLOCKED_SECONDS
        os.utime(path, (then, then))
    sweep(tmp_path)
    assert names(tmp_path) == [place.name]
    then -= UNLOCKED_SECONDS
    os.utime(part, (then, then))
    os.utime(place, (then, then))
    sweep(tmp_path)
    assert names(tmp_path) == []
    with atomic_file(tmp_path / "a") as temporary:
        temporary.touch()
    assert names(tmp_path) == ["a"]


@has_locks
def test_a_folder_that_is_swept_while_it_is_made_is_made_again(tmp_path: Path) -> None:
    """One thread does nothing but sweep; no writer may lose its place to it."""
    stop = threading.Event()

    def sweeping() -> None:
        while not stop.is_set():
            sweep(tmp_path)

    thread = threading.Thread(target=sweeping)
    thread.start()
    try:
        for count in range(200):
            with staging(tmp_path) as place:
                (place / CONTENT).write_text(str(count))
                (place / CONTENT).replace(tmp_path / "a")
    finally:
        stop.set()
        thread.join()
    assert (tmp_path / "a").read_text() == "199"
    assert names(tmp_path) == ["a"]
