from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from motionrt.runtime import exchange
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.files import (
    atomic_file,
    atomic_folder,
    check_folder,
    check_writable,
    make_folder,
    refuse_lfs_pointer,
)

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such files")
linux = pytest.mark.skipif(sys.platform != "linux", reason="by Linux's /proc and /dev")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write(path: Path, text: str = "new") -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text)


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "one"
    assert names(path.parent) == ["a.txt"]


def test_what_goes_wrong_inside_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: cannot write \(No space left[^:]*\)$"):
        with atomic_file(path):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InputError, match=r"a\.txt: cannot write \(No such file .*: .*source\)"):
        with atomic_file(path):
            (tmp_path / "source").read_text()
    with pytest.raises(ValueError, match="of its own"), atomic_file(path):
        raise ValueError("of its own")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@posix
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    script = """if True:
        import resource, sys
        from pathlib import Path
        from motionrt.runtime.errors import InputError
        from motionrt.runtime.files import atomic_file, atomic_folder
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for atomic, name in ((atomic_file, "a"), (atomic_folder, "b")):
            try:
                with atomic(name) as temporary:
                    place = temporary if atomic is atomic_file else temporary / "part"
                    place.write_bytes(b"x" * 2000)
            except InputError as error:
                print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == [
        f"{name}: cannot write ({os.strerror(errno.EFBIG)})" for name in "ab"
    ]
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@posix
def test_mode_and_owner_of_what_was_there_stay(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = os.umask(0o027)
    try:
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
        with atomic_folder(tmp_path / "b") as folder:
            (folder / "part").touch()
        assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750
        (tmp_path / "b").chmod(0o705)
        with atomic_folder(tmp_path / "b", replace=True):
            pass
        assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o705
    finally:
        os.umask(before)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
        write(path, "again")
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)
    else:
        group = os.getgroups()[-1]
        os.chown(path, -1, group)
        write(path, "again")
        assert path.stat().st_gid == group
    assert path.read_text() == "again"


@posix
def test_links_stay_and_lead_to_the_new_content(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/file")
    (tmp_path / "second").symlink_to(tmp_path / "link")
    for path in (tmp_path / "link", tmp_path / "second"):  # the first time it leads nowhere yet
        write(path, path.name)
        assert path.is_symlink()
        assert (tmp_path / "far" / "file").read_text() == path.name
    (tmp_path / "current").symlink_to("far")
    with atomic_folder(tmp_path / "current", replace=True) as folder:
        (folder / "part").touch()
    assert (tmp_path / "current").is_symlink()
    assert names(tmp_path / "far") == ["part"]
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputError, match="circle: cannot write"):
        write(tmp_path / "circle")
    assert names(tmp_path) == ["circle", "current", "far", "link", "second"]


@posix
def test_pipes_and_devices_are_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)  # does not wait for a reader
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write(pipe, "through")
        assert reader.communicate()[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    number = os.stat(os.devnull).st_rdev
    write(Path(os.devnull))
    assert os.stat(os.devnull).st_rdev == number
    assert names(tmp_path) == ["pipe"]


@linux
def test_a_full_device_is_one_line() -> None:
    with pytest.raises(InputError, match=r"/dev/full: cannot write \(No space left"):
        write(Path("/dev/full"))
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@posix
@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_is_written_into_where_it_stands(place: str, tmp_path: Path) -> None:
    script = (
        "import os; from motionrt.runtime.files import *\n"
        "os.write(1, b'before ')\n"
        f"check_writable('{place}')\n"
        f"with atomic_file('{place}') as file: file.write_text('new')\n"
        "os.write(1, b' after')"
    )
    command = [sys.executable, "-c", script]
    log = tmp_path / "log"
    log.write_text("old ")
    with log.open("ab") as file:
        subprocess.run(command, check=True, stdout=file)
    assert log.read_text() == "old before new after"
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"before new after"
    assert names(tmp_path) == ["log"]


@posix
def test_refuses_what_is_no_place_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("plug")
        for path, told in [
            (tmp_path, "is a folder"),
            (Path("plug"), "is a socket"),
            (Path("file", "below"), "Not a directory"),
            (Path("x" * 256), "File name too long"),
            (Path("a\0b"), "'a.x00b': no name for a file"),
            (Path("a\ud800b"), "'a.ud800b': no name for a file"),
        ]:
            Path("file").write_text("")
            for attempt in (write, check_writable):
                with pytest.raises(InputError, match=told):
                    attempt(path)
        assert names(tmp_path) == ["file", "plug"]
    with pytest.raises(InputError, match="file: is no folder"):
        check_folder("file")
    with pytest.raises(InputError, match="file: is no folder"), atomic_folder("file", replace=True):
        pass


def test_a_write_protected_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o444)
    real = os.access
    # The system lets root write everything.
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != path and real(p, mode))
    for attempt in (write, check_writable):
        with pytest.raises(InputError, match="a: is write-protected"):
            attempt(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_place_is_checked_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "new" / "deep" / "walk.npz")
    check_folder(tmp_path / "new" / "deep")
    assert names(tmp_path) == []

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "tmp1234")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for attempt in (check_writable, check_folder):
        with pytest.raises(InputError, match=r"walk: cannot write \(Read-only file system\)"):
            attempt(tmp_path / "walk")


@posix
def test_names_and_paths_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    longest = tmp_path / ("n" * 255)
    check_writable(longest)
    write(longest)
    with atomic_folder(tmp_path / ("f" * 255)) as folder:
        (folder / "part").touch()
    with atomic_folder(tmp_path / ("f" * 255), replace=True) as folder:
        (folder / "other").touch()
    far = tmp_path.joinpath(*["d" * 200] * 15, "file")
    assert len(str(far)) > 3000
    check_writable(far)
    write(far)
    assert far.read_text() == longest.read_text() == "new"
    assert names(tmp_path / ("f" * 255)) == ["other"]
    write(tmp_path / "\udcff.npz")  # a byte that is no letter
    assert b"\xff.npz" in os.listdir(os.fsencode(tmp_path))


def test_folders_are_made_however_deep(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    (tmp_path / "a").mkdir()
    deep = tmp_path / "a" / "/".join("b" * depth)
    make_folder(deep)
    assert deep.is_dir()
    os.removedirs(deep)  # what removes a tree counts its levels


def test_a_parent_that_vanishes_meanwhile_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "here"
    with pytest.raises(InputError, match=r"here.a: cannot write \(No such file or directory\)"):
        with atomic_file(place / "a") as temporary:
            temporary.unlink()
            temporary.parent.rmdir()
            place.rmdir()
    assert names(tmp_path) == []


def test_a_folder_replaces_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with atomic_folder(path) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(InputError, match="exists already"), atomic_folder(path):
        pass
    with pytest.raises(ZeroDivisionError), atomic_folder(path, replace=True) as folder:
        (folder / "b").write_text("2")
        raise ZeroDivisionError
    assert names(path) == ["a"]
    with atomic_folder(path, replace=True) as folder:
        (folder / "b").write_text("2")
    assert names(path) == ["b"]
    assert names(tmp_path) == ["bundle"]


def test_a_folder_that_was_made_meanwhile_stays_without_replace(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with pytest.raises(InputError, match="bundle: cannot write"), atomic_folder(path) as folder:
        (folder / "mine").touch()
        path.mkdir()
        (path / "another's").touch()
    assert names(path) == ["another's"]
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_replacement_that_fails_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").touch()

    def fails(first: Path, second: Path) -> bool:
        if can_exchange:
            raise OSError(errno.EIO, "Input/output error")
        return False

    def rename(self: Path, to: Path) -> Path:
        if Path(to) == path and not (path / "old").exists() and self.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        os.rename(self, to)
        return Path(to)

    monkeypatch.setattr(exchange, "exchange", fails)
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(InputError, match=r"bundle: cannot write \(Input/output error\)"):
        with atomic_folder(path, replace=True) as folder:
            (folder / "new").touch()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_folders_are_replaced_without_exchange_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "exchange", lambda first, second: False)
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "bundle", replace=True) as folder:
            (folder / name).touch()
    assert names(tmp_path / "bundle") == ["b"]
    assert names(tmp_path) == ["bundle"]


def test_what_is_no_file_is_refused_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a pipe or a device, expected a file"):
        refuse_lfs_pointer(pipe)
    with pytest.raises(BundleError, match="is a folder, expected a file"):
        refuse_lfs_pointer(tmp_path, BundleError)
    with pytest.raises(InputError, match="no such file"):
        refuse_lfs_pointer("a\0b")
    refuse_lfs_pointer(tmp_path / "none")
