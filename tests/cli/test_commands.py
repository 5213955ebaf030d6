from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import motionrt
from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion

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


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, output and errors."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


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


def test_gen_writes_files_and_says_so(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "clips" / "walk"
    arguments = ("gen", "A person walks forward", "--bundle", tiny_bundle, "--duration", "1.0")
    arguments += ("--diffusion_steps", "3", "--seed", "5", "--bvh", "--output", stem)
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert f"wrote {stem}.bvh" in out
    assert "seed 5" in out
    with np.load(f"{stem}.npz") as stored:
        assert stored["posed_joints"].shape == (30, 22, 3)
        assert float(stored["fps"]) == 30
        assert stored["joint_names"][0] == "pelvis"
        read_back = Motion.load(f"{stem}.bvh")
        np.testing.assert_allclose(read_back.posed_joints, stored["posed_joints"], atol=1e-4)
    code, out, _ = run(capsys, *arguments, "--json")
    summary = json.loads(out)
    assert summary["seed"] == 5
    assert {f"{stem}.npz", f"{stem}.bvh"} <= set(summary["files"])
    assert summary["backend"] == "cpu"
    code, out, _ = run(capsys, *arguments, "--quiet")
    assert (code, out) == (0, "")


def test_gen_several_samples_make_a_folder(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "walk.npz"
    options = ("--duration", "0.5", "--diffusion-steps", "2", "--num_samples", "3", "--seed", "1")
    code, _, err = run(capsys, "gen", "walk", "--bundle", tiny_bundle, *options, "--output", stem)
    assert code == 0, err
    names = sorted(path.name for path in (tmp_path / "walk").iterdir())
    motions = [name for name in names if name.startswith("walk")]
    assert motions == ["walk_00.npz", "walk_01.npz", "walk_02.npz"]


def test_gen_takes_upstreams_weights_and_dashed_prompts(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--bundle", tiny_bundle, "--duration", "0.5", "--diffusion_steps", "2", "--seed", "1")
    common += ("--json", "--output", tmp_path / "a")
    code, out, err = run(capsys, "gen", "walk", "--cfg_weight", "2.0", "1.5", *common)
    assert code == 0, err
    assert json.loads(out)["guidance_type"] == "separated"
    assert json.loads(out)["guidance_weights"] == [2.0, 1.5]
    code, out, _ = run(capsys, "gen", "walk", "--cfg-weight", "3", *common)
    assert json.loads(out)["guidance_type"] == "regular"
    code, out, _ = run(capsys, "gen", "- walk there", "--cfg_type", "nocfg", *common)
    assert code == 0
    assert "- walk there" in str(json.loads(out)["prompt"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "prompt"),
        (("walk", "--bundle", "{b}", "--duration", "-1"), 1, "duration"),
        (("walk", "--bundle", "{b}", "--duration", "nan"), 1, "duration"),
        (("walk", "--bundle", "{b}", "--duration", "1e9"), 1, "frames"),
        (("walk", "--bundle", "{b}", "--duration", "soon"), None, "duration"),
        (("walk", "--bundle", "{b}", "--speed", "9"), 2, "No such option"),
        (("walk", "--bundle", "{b}", "--cfg-type", "odd"), 1, "odd"),
        (("walk", "--bundle", "{b}", "--seed", "x"), 2, "seed"),
        (("walk", "--bundle", "nowhere"), 1, "no such bundle"),
        (("walk " * 10_000, "--bundle", "{b}"), 1, "10000 words"),
        (("walk", "--bundle", "{b}", "--backend", "cuda"), 1, "cuda"),
        (("walk", "--bundle", "{b}", "--output", "/proc/walk"), 1, "/proc"),
    ],
)
def test_gen_refuses_in_one_line(
    arguments: tuple[str, ...],
    code: int | None,
    message: str,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.format(b=tiny_bundle) for word in arguments]
    if words and "--diffusion-steps" not in words:
        words += ["--diffusion-steps", "2"]
    found, _, err = run(capsys, "gen", *words)
    assert found in ((1, 2) if code is None else (code,)), err
    assert message in err
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("Error: ")
    assert os.listdir(tmp_path) == []


def test_inspect_and_verify(
    tiny_bundle: Path, own_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "inspect", tiny_bundle)
    assert code == 0
    for part in ("Kimodo-SMPLX-RP-v1", "sampler", "none: random weights", "text_encoder", "fp32"):
        assert part in out
    code, out, _ = run(capsys, "inspect", tiny_bundle, "--json")
    assert json.loads(out)["family"] == "kimodo"
    code, out, err = run(capsys, "verify", tiny_bundle)
    assert code == 0, err
    assert "verified on cpu" in out
    weights = own_bundle / "step.weights"
    content = bytearray(weights.read_bytes())
    content[2000] ^= 64
    weights.write_bytes(content)
    code, out, err = run(capsys, "verify", own_bundle)
    assert code == 1
    assert "step.weights: altered" in out


def test_export_refuses_and_leaves_nothing(
    smplx_checkpoint: Path,
    tiny_encoder: tuple[Path, Path],
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, _ = tiny_encoder
    out_dir = tmp_path / "made"
    code, _, err = run(capsys, "export", "kimodo", smplx_checkpoint, "-o", out_dir)
    assert code == 2
    assert "--text-encoder" in err
    code, _, err = run(
        capsys, "export", "kimodo", smplx_checkpoint, "--text-encoder", model, "-o", out_dir
    )
    assert code == 1
    assert "gives 64 numbers" in err
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("precious")
    for force in ((), ("--force",)):
        code, _, err = run(
            capsys, "export", "kimodo", smplx_checkpoint, "--no-text-encoder", "-o", kept, *force
        )
        assert code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert (kept / "mine.txt").read_text() == "precious"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert motionrt.__version__ in out
