import json
from pathlib import Path

import numpy as np
import pytest
from motiongpt3_checkpoint import tiny_bundle
from walking import walking

from motionrt.cli.main import main
from motionrt.runtime.humanml.joints import motion_from_joints


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def motion_file(tmp_path: Path) -> Path:
    motion_from_joints(walking(30)).save(tmp_path / "walk.npz")
    return tmp_path / "walk.npz"


def test_motions_are_described(motion_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = motion_file.with_name("joints.npy")
    np.save(joints, walking(30).astype(np.float32))
    options = ("--bundle", tiny_bundle(), "--max-tokens", 5, "--backend", "cpu")
    code, out, _ = run(capsys, "caption", motion_file, *options)
    assert code == 0
    code, both, _ = run(capsys, "caption", motion_file, joints, *options, "--json")
    rows = json.loads(both)
    assert [row["file"] for row in rows] == [str(motion_file), str(joints)]
    assert {row["text"] for row in rows} == {out.rstrip("\n")}


def test_motions_are_generated_carried_on_and_joined(
    motion_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--bundle", tiny_bundle(), "--duration", 1, "--seed", 1, "--backend", "cpu")
    stem = tmp_path / "out"
    code, out, _ = run(capsys, "gen", "a walk", *options, "--output", stem, "--bvh")
    assert code == 0, out
    assert np.load(f"{stem}.npy").shape == (1, 20, 22, 3)
    assert stem.with_suffix(".bvh").is_file()
    code, *_ = run(capsys, "gen", *options, "--continue-from", f"{stem}.npy", "--output", stem)
    assert code == 0
    assert np.load(f"{stem}.npy").shape[1] == 40
    code, *_ = run(
        capsys, "gen", *options, "--between", motion_file, f"{stem}.npz", "--output", stem
    )
    assert code == 0
    assert np.load(f"{stem}.npy").shape[1] == 30 + 20 + 40


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.npy",), 1, "no such file"),
        (("WALK", "--question", "What?"), 1, "once"),
        (("WALK", "--seed", "1"), 2, "--sample"),
        (("WALK", "--max-tokens", "0"), 1, "tokens"),
        ((), 2, "MOTIONS"),
    ],
)
def test_bad_input_is_one_line(
    motion_file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    words = [motion_file if word == "WALK" else word for word in arguments]
    found, _, err = run(capsys, "caption", *words, "--bundle", tiny_bundle())
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_a_model_that_cannot_describe_says_so(
    motion_file: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "caption", motion_file, "--bundle", tiny_bundle)
    assert code == 1
    assert "cannot describe motions" in err
