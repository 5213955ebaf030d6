import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import motionrt
from motionrt.cli.main import cli
from motionrt.models.projector import LinearProjector, ProjectorConfig
from motionrt.runtime.errors import InputError
from motionrt.train.motion_error import motion_error
from motionrt.train.projector import save_projector


def test_errors_are_centimetres_beside_what_a_seed_changes(bundle: Path) -> None:
    pipe = motionrt.load(bundle)
    prompts = ["a person walks forward", "a person runs", "a person jumps", "a person sits down"]
    target = pipe.encode_text(prompts)[0][:, 0]  # type: ignore[attr-defined]
    options = {"num_motions": 2, "seconds": 1.0, "num_steps": 4}
    same = motion_error(pipe, target, target, **options)  # type: ignore[arg-type]
    assert (same.num_motions, same.joint_error_cm, same.relative) == (2, 0, 0)
    assert 1 < same.body_seed_spread_cm < same.seed_spread_cm < 500
    near = target + 0.01 * np.roll(target, 1, axis=1)
    far = np.roll(target, 2, axis=0)
    errors = [
        motion_error(pipe, rows, target, **options).joint_error_cm  # type: ignore[arg-type]
        for rows in (near, far)
    ]
    assert 0 < errors[0] < errors[1]
    with pytest.raises(InputError, match="the targets are"):
        motion_error(pipe, far[:, :-1], target[:, :-1])


def test_the_command_prints_it(bundle: Path, tmp_path: Path) -> None:
    width = motionrt.load(bundle).defaults.text_width  # type: ignore[attr-defined]
    generator = np.random.default_rng(0)
    x = generator.normal(size=(24, 8)).astype(np.float32)
    y = generator.normal(size=(24, width)).astype(np.float32)
    np.savez(tmp_path / "pairs.npz", x=x, y=y)
    module = LinearProjector(ProjectorConfig("linear", 8, width))
    save_projector(tmp_path / "p.safetensors", module, {"kind": "linear"})
    command = ["eval-projector", str(tmp_path / "p.safetensors"), "--bundle", str(bundle)]
    command += ["--pairs", str(tmp_path / "pairs.npz"), "--motions", "2", "--seconds", "0.5"]
    command += ["--steps", "2"]
    run = CliRunner()
    result = run.invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "joint error" in result.output and "of what another seed changes" in result.output
    result = run.invoke(cli, [*command, "--json"])
    told = json.loads(result.output)["motions"]
    assert told["num_motions"] == 2
    assert told["relative"] == pytest.approx(told["joint_error_cm"] / told["seed_spread_cm"])
