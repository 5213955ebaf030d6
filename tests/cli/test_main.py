from __future__ import annotations

import subprocess
import sys

import click
import pytest
from command_line import run

import motionrt
from motionrt.cli.main import cli
from motionrt.runtime.errors import MotionrtError

PROBE = """
import importlib, pkgutil, sys
for name in ("torch", "onnx", "onnx_ir", "onnxscript", "transformers", "scipy", "matplotlib"):
    sys.modules[name] = None
import motionrt, motionrt.cli, motionrt.cli.main, motionrt.runtime
def load_all(package):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
load_all(motionrt.runtime)
loaded = {"motionrt.export", "motionrt.models", "motionrt.train"} & set(sys.modules)
assert not loaded, loaded
load_all(motionrt.cli)  # options take names from export, of files that need none of the above
loaded = {"motionrt.models", "motionrt.train"} & set(sys.modules)
assert not loaded, loaded
"""


def test_runtime_and_cli_load_without_torch() -> None:
    subprocess.run([sys.executable, "-c", PROBE], check=True)


def test_import_and_help_load_nothing_heavy() -> None:
    code = (
        "import sys, motionrt\n"
        "from motionrt.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'PIL', 'rich', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in ("export", "gen", "inspect", "verify", "view"):
        assert f"\n  {name} " in out


def test_every_command_has_one_line_in_the_help_and_a_text_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ctx = click.Context(cli)
    names = cli.list_commands(ctx)
    assert "train-projector" in names and not any(name.startswith("_") for name in names)
    out = run(capsys, "--help")[1]
    for name in names:
        command = cli.get_command(ctx, name)
        assert command is not None and command.help, name
        assert f"\n  {name} " in out
        assert out.split(f"\n  {name} ")[1].lstrip()[0].isupper(), name
    assert cli.get_command(ctx, "fly") is None
    code, _, err = run(capsys, "fly")
    assert code == 2 and "No such command 'fly'" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MotionrtError("what is wrong, and where"), 1, "Error: what is wrong, and where\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (BrokenPipeError(), 141, ""),
        (MemoryError(), 1, "Error: out of memory; ask for fewer samples or a shorter motion\n"),
    ],
)
def test_what_ends_a_command_is_a_code_and_at_most_one_line(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    found, out, err = run(capsys, "fail")
    # An interrupt leaves the terminal's line behind: click puts a line break there.
    assert (found, out, err.lstrip("\n")) == (code, "", message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate", "walk"], "No such command 'generate'; did you mean gen?"),
        (["gne"], "did you mean gen"),
        (["formast"], "did you mean formats?"),
        (["constraint"], "did you mean constraints?"),
        (["help"], "did you mean --help?"),
        (["fly"], "No such command 'fly'"),
        (["a person walks"], "a prompt stands behind gen: motionrt gen 'a person walks'"),
        (["export", "kimod"], "did you mean kimodo?"),
        (["constraints", "chek"], "No such command 'chek'"),
        (["gen", "walk", "--seconds", "3"], "No such option '--seconds'; did you mean --duration?"),
        (["gen", "walk", "--out", "x"], "did you mean --output?"),
        (["gen", "walk", "--num_step", "3"], "did you mean --diffusion-steps"),
        (["gen", "walk", "--gpu"], "did you mean --backend cuda?"),
        (["gen", "walk", "--dae"], "motions are written as .npz, and by --bvh, --glb"),
        (["gen", "walk", "--mp4"], "draw a motion with: motionrt view FILE -o FILE.mp4"),
        (["gen", "walk", "--zzz"], "No such option '--zzz'\n"),
        (["inspect", "--bundle", "x"], "it stands without it: "),
        (["gen", "--prompt", "x"], "gen [PROMPT]"),
        (["gen", "x", "--lenght", "3"], "did you mean --duration?"),
        (["inspect", "--seconds"], "No such option '--seconds'\n"),
    ],
)
def test_what_does_not_exist_is_answered_by_what_was_meant(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2 and not out and message in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert motionrt.__version__ in out
    subprocess.run(
        [sys.executable, "-m", "motionrt", "--version"], check=True, stdout=subprocess.DEVNULL
    )
