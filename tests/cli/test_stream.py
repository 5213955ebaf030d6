from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from parity import exported
from places import GOLDEN

from motionrt.runtime.body.g1 import qpos
from motionrt.runtime.pipeline import load

G1 = GOLDEN / "ardy" / "checkpoints" / "ARDY-G1-RP-25FPS-Horizon8"
OPTIONS = ["--seed", "5", "--diffusion-steps", "2", "--no-wait"]


def test_a_bundle_of_clips_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "stream", "--bundle", bundle)
    assert code == 1
    assert "kimodo makes clips, no streams; use a bundle of ardy" in err


@pytest.fixture(scope="module")
def robot() -> Path:
    return exported.export("ardy", str(G1), "--no-text-encoder")


def printed(robot: Path, *options: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "motionrt", "stream", "--bundle", str(robot)]
    return subprocess.run(
        [*command, *OPTIONS, *options], input=given, capture_output=True, timeout=120, check=True
    )


@pytest.mark.slow
def test_rows_of_qpos_come_at_the_robots_rate(robot: Path) -> None:
    done = printed(robot, "--fps", "100", "--duration", "1.5")
    rows = np.loadtxt(done.stdout.decode().splitlines(), delimiter=",")
    fast = load(robot, backend="cpu").stream(seed=5, num_steps=2, reaction_frames=8).at_rate(100)
    motion = fast.take(150)
    want = qpos(motion.local_rot_mats, motion.root_positions, kimodo_angles=False)
    np.testing.assert_allclose(rows, want, rtol=0, atol=1e-5)
    told = "ARDY-G1-RP-25FPS-Horizon8 at 100 frames a second (seed 5)"
    assert done.stderr.decode().splitlines() == [told]


@pytest.mark.slow
def test_lines_that_are_piped_in_steer_it(robot: Path) -> None:
    wishes = b'{"velocity": [1, 0]}\n\n{"goal": "\xff"}\n{"goal": [1, 2, 3]}\nwalk\n'
    done = printed(robot, "--format", "jsonl", "--duration", "4", given=wishes)
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(100))
    assert np.shape(frames[0]["rotations"]) == (34, 4)
    assert np.shape(frames[0]["joints"]) == (34, 3) and np.shape(frames[0]["root"]) == (3,)
    errors = done.stderr.decode().splitlines()[1:]
    assert [line.split(":")[1] for line in errors] == [" line 3", " line 4", " line 5"]
    free = [
        json.loads(line)["root"]
        for line in printed(robot, "--format", "jsonl", "--duration", "4").stdout.splitlines()
    ]
    assert np.abs(np.subtract(free, [frame["root"] for frame in frames])).max() > 1e-3


@pytest.mark.slow
def test_what_does_not_fit_is_said(robot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "stream", "--bundle", robot, "--fps", "10")
    assert (code, "10.0 fps of a stream of 25: it must be that or more" in err) == (1, True)
    code, _, err = run(
        capsys, "stream", "--bundle", robot, "--format", "jsonl", "--quaternion", "xyzw"
    )
    assert (code, "--quaternion goes with --format csv" in err) == (2, True)
