"""What the shells complete, asked of the shells themselves where there are any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH on which motionrt is this one."""
    program = tmp_path / "bin" / "motionrt"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom motionrt.cli.main import main\nmain()\n")
    program.chmod(0o755)
    for name in ("soma-a", "soma-b", "g1"):
        (tmp_path / "bundles" / name).mkdir(parents=True)
        (tmp_path / "bundles" / name / "manifest.json").touch()
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MOTIONRT_BUNDLE_DIR": str(tmp_path / "bundles"),
    }


CASES = [
    ("ge", {"gen"}),
    ("gen --pres", {"--preset"}),
    ("gen --preset ", {"fast", "balanced", "exact"}),
    ("gen --format g", {"glb", "gltf", "gmr"}),
    ("gen --model soma", {"soma-a", "soma-b"}),
    ("gen --backend tensorrt", {"tensorrt", "tensorrt-rtx"}),
    ("gen --cfg", {"--cfg-type", "--cfg-weight"}),
    ("export m", {"motiongpt3", "motiongpt-qwen"}),
    ("constraints ch", {"check"}),
    ("completion ", {"bash", "zsh", "fish"}),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_bash_completes(typed: str, offered: set[str], environment: dict[str, str]) -> None:
    words = " ".join(f"'{word}'" for word in ["motionrt", *typed.split(" ")])
    script = (
        'eval "$(motionrt completion bash)"; complete -p motionrt >/dev/null || exit 1; '
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_motionrt_completion motionrt; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_fish_completes(typed: str, offered: set[str], environment: dict[str, str]) -> None:
    script = f"motionrt completion fish | source; complete -C 'motionrt {typed}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("no bash")
    code, out, err = run(capsys, "completion", shell)
    assert code == 0 and f"_MOTIONRT_COMPLETE={shell}_complete" in out, err
    if shell != "fish" and shutil.which(shell):
        subprocess.run([shell, "-n"], input=out, text=True, check=True)
    code, _, err = run(capsys, "completion", "tcsh")
    assert code == 2 and "bash" in err
