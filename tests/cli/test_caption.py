from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from walking import walking

from motionrt.runtime.humanml.joints import motion_from_joints


@pytest.fixture
def motion_file(tmp_path: Path) -> Path:
    motion_from_joints(walking(30)).save(tmp_path / "walk.npz")
    return tmp_path / "walk.npz"


@pytest.mark.slow
def test_motions_are_described(
    motiongpt3_bundle: Path, motion_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = motion_file.with_name("joints.npy")
    np.save(joints, walking(30).astype(np.float32))
    options = ("--bundle", motiongpt3_bundle, "--max-tokens", 5, "--backend", "cpu")
    code, out, _ = run(capsys, "caption", motion_file, *options)
    assert code == 0
    code, both, _ = run(capsys, "caption", motion_file, joints, *options, "--json")
    rows = json.loads(both)
    assert [row["file"] for row in rows] == [str(motion_file), str(joints)]
    assert {row["text"] for row in rows} == {out.rstrip("\n")}


@pytest.mark.slow
def test_motions_are_generated_carried_on_and_joined(
    motiongpt3_bundle: Path, motion_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--bundle", motiongpt3_bundle, "--duration", 1, "--seed", 1, "--backend", "cpu")
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


@pytest.mark.slow
def test_a_bvh_in_any_units_is_described_and_carried_on(
    motiongpt3_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = motion_from_joints(walking(30))
    inches = tmp_path / "inches.bvh"
    clip.save(inches, scale=39.3700787)
    clip.save(tmp_path / "centimetres.bvh")
    options = ("--bundle", motiongpt3_bundle, "--backend", "cpu")
    told, made = [], []
    for path, scale in ((inches, ["--input-scale", "guess"]), (tmp_path / "centimetres.bvh", [])):
        code, out, err = run(capsys, "caption", path, *options, "--max-tokens", 5, *scale)
        assert code == 0 and ("guessed units: inches" in err) == bool(scale)
        told.append(out)
        stem, more = path.with_suffix(""), ("--duration", 1, "--seed", 1)
        code, *_ = run(
            capsys, "gen", "", *options, *more, "--continue-from", path, "--output", stem, *scale
        )
        assert code == 0
        made.append(np.load(f"{stem}.npy"))
    assert told[0] == told[1]
    np.testing.assert_allclose(made[0][0, :25], made[1][0, :25], rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.npy",), "no such file"),
        (("WALK", "--question", "What?"), "once"),
        (("WALK", "--max-tokens", "0"), "tokens"),
    ],
)
def test_bad_input_is_one_line(
    motiongpt3_bundle: Path,
    motion_file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    words = [motion_file if word == "WALK" else word for word in arguments]
    code, _, err = run(capsys, "caption", *words, "--bundle", motiongpt3_bundle)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"), [(("a.npz", "--seed", "1"), "--sample"), ((), "name motions"),
     (("--question", "Who is <Motion_Placeholder>?"), "name its file")]
)  # fmt: skip
def test_bad_usage_is_told_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, "caption", *arguments, "--bundle", "nowhere")
    assert code == 2
    assert message in err


def test_a_model_that_cannot_describe_says_so(
    motion_file: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "caption", motion_file, "--bundle", bundle)
    assert code == 1
    assert "cannot describe motions" in err and "use a bundle of motiongpt3" in err


@pytest.mark.slow
def test_words_are_drawn_and_written_without_a_motion(
    motiongpt3_bundle: Path, motion_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--bundle", motiongpt3_bundle, "--backend", "cpu", "--max-tokens", 6)
    drawn = ("--temperature", "1.5", "--top-p", "0.9", "--seed", "1")
    told = [run(capsys, "caption", motion_file, *options, *drawn) for _ in range(2)]
    assert told[0] == told[1] and told[0][0] == 0
    assert run(capsys, "caption", motion_file, *options)[1] != told[0][1]
    question = ("caption", "--question", "What is a walk?", *options)
    code, text, _ = run(capsys, *question)
    assert code == 0
    code, out, _ = run(capsys, *question, "--json")
    assert json.loads(out) == [{"question": "What is a walk?", "text": text.rstrip("\n")}]


def test_a_model_that_writes_nothing_says_so(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "caption", "--question", "What?", "--bundle", bundle)
    assert code == 1
    assert "writes no text without a motion" in err
