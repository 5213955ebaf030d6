from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from command_line import run

import motionrt
from motionrt.cli._ending import bug_line
from motionrt.cli.main import cli


def test_a_bug_is_one_line_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise TypeError("not\nthis")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    code, out, err = run(capsys, "fail")
    assert (code, out) == (70, "")
    said = rf"Error: a bug in motionrt {re.escape(motionrt.__version__)} "
    said += r"\(TypeError: not\\nthis\); please report it with (\S+)\n"
    found = re.fullmatch(said, err)
    assert found is not None, err
    kept = Path(found[1]).read_text()
    assert kept.startswith(f"motionrt {motionrt.__version__}, Python ")
    assert "in fail" in kept and kept.endswith("TypeError: not\nthis\n")


def test_a_bug_is_told_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Untold(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    try:
        raise Untold
    except Untold as error:
        line = bug_line(error)
    assert "(Untold); please report it (its traceback could not be kept; it began in " in line
    assert "test_ending.py:" in line
    assert "no line of ours" in bug_line(ValueError("never raised"))


@pytest.mark.parametrize("name", ["a" * 3000, "b/" * 2500])
@pytest.mark.parametrize(
    "words",
    [
        ["gen", "walk", "-o", "NAME"],
        ["gen", "walk", "--bundle", "NAME"],
        ["gen", "walk", "--model", "NAME"],
        ["gen", "walk", "--constraints", "NAME"],
        ["gen", "walk", "--continue-from", "NAME.npz"],
        ["gen", "--batch", "NAME"],
        ["gen", "--input-folder", "NAME"],
        ["info", "NAME.npz"],
        ["view", "NAME.bvh", "-o", "a.png"],
        ["inspect", "NAME"],
        ["verify", "NAME"],
        ["constraints", "check", "NAME"],
    ],
)
def test_a_path_that_no_system_takes_is_one_line(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *(word.replace("NAME", name) for word in words))
    assert code in (1, 2)
    last = err.splitlines()[-1]
    assert last.startswith("Error: ") and len(last) < 1100 and "bug" not in last


ENDLESS = """
    import os, sys, time
    import click
    from motionrt.cli import main
    from motionrt.runtime.files import atomic_file

    def work():
        with atomic_file("result.npz") as place:
            place.write_bytes(b"half")
            print("begun", flush=True)
            try:
                for _ in range(6000):
                    time.sleep(0.01)
            finally:
                HELD
    main.cli.get_command = lambda ctx, name: click.Command(name, callback=work)
    sys.argv = ["motionrt", "work"]
    main.main()
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    # A second signal comes while the command cleans up: that goes on.
    held = f"os.kill(os.getpid(), {int(number)}); time.sleep(0.01)"
    code = textwrap.dedent(ENDLESS).replace("HELD", held)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert (process.returncode, err.strip()) == (128 + number, "Stopped.")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += "from motionrt.cli._ending import listen; listen()\n"
    code += "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_an_interrupt_that_a_library_turns_into_an_error_is_one() -> None:
    code = textwrap.dedent("""
        import os, signal, sys, click
        from motionrt.cli import main
        def work():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("numpy failed to import")
        main.cli.get_command = lambda ctx, name: click.Command(name, callback=work)
        sys.argv = ["motionrt", "work"]
        main.main()
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")
