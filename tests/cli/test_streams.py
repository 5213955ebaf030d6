from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionrt.cli._streams import MAX_LINE, printable, tell

posix = pytest.mark.skipif(os.name != "posix", reason="shells, pipes and terminals of POSIX")
PROGRAM = f"{sys.executable} -m motionrt"


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash with ``$M`` for motionrt."""
    env = {**os.environ, "M": PROGRAM, **variables}
    return subprocess.run(["bash", "-c", command], env=env, capture_output=True, check=False)


@posix
@pytest.mark.parametrize(
    ("command", "code", "err"),
    [
        ("$M formats >&-", 0, ""),
        ("$M formats 2>&- <&-", 0, ""),
        ("$M formats --fly 2>&-", 2, ""),
        ("$M inspect none 2>/dev/full", 1, ""),
        ("$M inspect none >&- 2>&- <&-", 1, ""),
        ("$M formats >/dev/full", 1, "Error: standard output: No space left on device\n"),
        ("$M --help >/dev/full", 1, "Error: standard output: No space left on device\n"),
        ("set -o pipefail; $M formats | true", 141, ""),
        ("set -o pipefail; $M gen --help | true", 141, ""),
    ],
)
def test_closed_full_and_unread_streams(command: str, code: int, err: str) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = shell(command)
    assert (done.returncode, done.stderr.decode()) == (code, err)


@posix
def test_a_motion_is_made_whole_when_all_streams_are_closed(tmp_path: Path) -> None:
    done = shell(f"$M gen walk --seed 1 --duration 1 -o {tmp_path}/a >&- 2>&- <&-")
    assert done.returncode == 0
    done = shell(f"$M gen walk --seed 1 --duration 1 -o {tmp_path}/b")
    assert done.returncode == 0, done.stderr
    first, second = (dict_of(tmp_path / f"{name}.npz") for name in "ab")
    assert first.keys() == second.keys() and all(first[k] == second[k] for k in first)


def dict_of(path: Path) -> dict[str, bytes]:
    import numpy as np

    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


@posix
def test_letters_that_an_encoding_lacks_are_escaped() -> None:
    done = shell("$M inspect b\u00fc\u65e5", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(("Error: b\u00fc\u65e5: ", "Error: b\\xfc\\u65e5: "))


@posix
def test_names_do_not_command_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    name = "a\x1b[31mb\x07"
    source = tmp_path / "walk.npz"
    assert shell(f"$M gen walk --duration 1 -o {source}").returncode == 0
    printed = bytearray()

    def keep(handle: int) -> bytes:
        data = os.read(handle, 1024)
        printed.extend(data)
        return data

    monkeypatch.chdir(tmp_path)
    status = pty.spawn([*PROGRAM.split(), "convert", str(source), f"{name}.npz"], keep)
    assert os.waitstatus_to_exitcode(status) == 0 and (tmp_path / f"{name}.npz").is_file()
    assert b"a\\x1b[31mb\\x07.npz" in printed and b"\x07" not in printed


def test_a_line_stays_one_line_and_commands_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell("a\x1b[31m\r\nb\u2028c\u202ed\udcffe\x9bf\x00")
    assert capsys.readouterr().err == "a\\x1b[31m\\r\\nb\\u2028c\\u202ed\\udcffe\\x9bf\\x00\n"
    assert printable("gehe vorwärts 日本 🙂") == "gehe vorwärts 日本 🙂"
    tell("what" + "a" * 5000 + "what to do")
    line = capsys.readouterr().err
    assert len(line) < MAX_LINE + 10
    assert line.startswith("whataaa") and line.endswith("aaawhat to do\n") and " … " in line
