from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.files import write_constraints
from motionrt.runtime.constraints.kinds import Root2D
from motionrt.runtime.kimodo.options import PRESETS

QUICK = ("--diffusion_steps", "3", "--backend", "cpu")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is empty and the current one: output goes there without --output."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def gen(capsys: pytest.CaptureFixture[str], bundle: Path, *arguments: object) -> dict[str, Any]:
    """Generate; return the summary that --json prints."""
    code, out, err = run(capsys, "gen", *arguments, "--bundle", bundle, "--json", *QUICK)
    assert code == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_writes_files_and_says_so(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "clips" / "walk"
    arguments: tuple[object, ...] = ("gen", "A person walks forward", "--bundle", bundle)
    arguments += ("--duration", "1.0", "--seed", "5", "--bvh", "--output", stem, *QUICK)
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert f"wrote {stem}.bvh" in out
    assert "seed 5" in out
    with np.load(f"{stem}.npz") as stored:
        assert stored["posed_joints"].shape == (20, 22, 3)
        assert float(stored["fps"]) == 20
        assert stored["joint_names"][0] == "Hips"
        read_back = Motion.load(f"{stem}.bvh")
        np.testing.assert_allclose(read_back.posed_joints, stored["posed_joints"], atol=1e-4)
    code, out, _ = run(capsys, *arguments, "--json")
    summary = json.loads(out)
    assert summary["seed"] == 5
    assert summary["files"] == [f"{stem}.npz", f"{stem}.bvh"]
    assert summary["backend"] == "cpu"
    code, out, _ = run(capsys, *arguments, "--quiet")
    assert (code, out) == (0, "")


@pytest.mark.slow
def test_bodies_of_smplx_are_written_as_amass_too(
    tiny_bundle: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gen(capsys, tiny_bundle, "walk", "--duration", "0.5")["files"] == [
        "output.npz",
        "output_amass.npz",
    ]
    gen(capsys, tiny_bundle, "walk", "--duration", "0.5", "--num-samples", "2", "-o", "walk")
    names = sorted(path.name for path in (elsewhere / "walk").iterdir())
    assert names == ["amass_00.npz", "amass_01.npz", "walk_00.npz", "walk_01.npz"]
    with np.load("output_amass.npz") as stored:
        assert stored["pose_body"].shape == (15, 63)


def test_several_samples_make_a_folder(
    bundle: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--duration", "0.5", "--num_samples", "3", "--seed", "1", "--output", "walk.npz")
    gen(capsys, bundle, "walk", *options)
    names = sorted(path.name for path in (elsewhere / "walk").iterdir())
    assert names == ["walk_00.npz", "walk_01.npz", "walk_02.npz"]


def test_each_sample_can_be_that_of_a_run_of_its_own(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("walk", "--duration", "0.5")
    gen(capsys, bundle, *common, "--seed", 4, "--num-samples", 2, "--sample-seeds", "-o", "both")
    for sample in range(2):
        gen(capsys, bundle, *common, "--seed", 4 + sample, "-o", "one")
        both = Motion.load(f"both/both_{sample:02d}.npz")
        np.testing.assert_array_equal(both.posed_joints, Motion.load("one.npz").posed_joints)


def test_upstreams_weights_and_dashed_prompts_are_taken(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--duration", "0.5", "--seed", "1")
    summary = gen(capsys, bundle, "walk", "--cfg_weight", "2.0", "1.5", *common)
    assert summary["guidance_type"] == "separated"
    assert summary["guidance_weights"] == [2.0, 1.5]
    summary = gen(capsys, bundle, "walk", "--cfg-weight", "3", *common)
    assert summary["guidance_type"] == "regular"
    summary = gen(capsys, bundle, "- walk there", "--cfg_type", "nocfg", *common)
    assert "- walk there" in str(summary["prompt"])


def test_rate_rest_pose_and_names_of_the_files_are_chosen(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = ("--fps", "40", "--bvh", "--glb", "--rest", "t-pose", "--joint-names", "mixamo")
    summary = gen(capsys, bundle, "walk", "--duration", "0.5", *rig, "--bvh-scale", "1")
    assert summary["files"] == ["output.npz", "output.bvh", "output.glb"]
    text = Path("output.bvh").read_text()
    assert "Frames: 19" in text and "mixamorig:Hips" in text
    assert Motion.load("output.npz").fps == 40


def test_presets_choose_solver_and_steps(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("gen", "walk", "--bundle", bundle, "--json", "--duration", "0.5")
    summary = json.loads(run(capsys, *common, "--preset", "fast")[1])
    fast = PRESETS["fast"]
    assert {key: summary[key] for key in fast} == fast
    out = run(capsys, *common, "--preset", "exact", "--diffusion-steps", "3")[1]
    summary = json.loads(out)
    assert (summary["solver"], summary["num_steps"]) == ("ddim", 3)
    assert run(capsys, *common, "--preset", "quick")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "prompt"),
        (("walk", "--bundle", "{b}", "--duration", "-1"), 1, "duration"),
        (("walk", "--bundle", "{b}", "--duration", "nan"), 1, "duration"),
        (("walk", "--bundle", "{b}", "--duration", "1e9"), 1, "frames"),
        (("walk", "--bundle", "{b}", "--duration", "soon"), 1, "duration"),
        (("walk", "--bundle", "{b}", "--wild", "9"), 2, "No such option"),
        (("walk", "--bundle", "{b}", "--cfg-type", "odd"), 1, "odd"),
        (("walk", "--bundle", "{b}", "--seed", "x"), 2, "seed"),
        (("walk", "--bundle", "nowhere"), 1, "no such bundle"),
        (("walk " * 10_000, "--bundle", "{b}"), 1, "10000 words"),
        (("walk", "--bundle", "{b}", "--backend", "cuda"), 1, "cuda"),
        (("walk", "--bundle", "{b}", "--output", "/proc/walk"), 1, "/proc"),
        (("walk", "--bundle", "{b}", "--csv"), 2, "--csv holds the robot Unitree G1"),
        (("walk", "--bundle", "{b}", "--temperature", "1"), 1, "kimodo has no such option"),
        (("walk", "--batch", "list.jsonl"), 2, "takes its prompts from the list"),
        (("--between", "a.npz", "b.npz"), 1, "use a bundle of motiongpt3"),
        (("--batch", "no.txt"), 1, "no.txt: cannot be read (No such file or directory)"),
        (("walk", "--format", "dae"), 2, "'dae' is not one of 'npz', 'bvh'"),
        (("a", "person", "walks"), 2, "a prompt of several words stands in quotes"),
    ],
)
def test_refuses_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    bundle: Path,
    elsewhere: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [word.format(b=bundle) for word in arguments]
    if words and "--diffusion-steps" not in words:
        words += ["--diffusion-steps", "2"]
    found, _, err = run(capsys, "gen", *words)
    assert found == code, err
    assert message in err
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("Error: ")
    assert os.listdir(elsewhere) == []


# Kimodo's controls as flags


def test_sentences_have_their_durations(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--duration", "1 0.7", "--seed", 1, "--num_transition_frames", 3]
    summary = gen(capsys, bundle, "Walks. Then jumps", *flags)
    assert summary["prompt"] == ["Walks.", "Then jumps."]
    assert [part["num_frames"] for part in summary["segments"]] == [20, 14]
    assert summary["num_transition_frames"] == 3 and summary["frames"] == [34]
    assert summary["files"] == ["output.npz"]
    info = Motion.load("output.npz").info
    assert info["compat"] == "2026-03" and info["seed"] == 1 and info["postprocess"] is True


def test_a_clip_is_continued_with_the_latest_rules(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gen(capsys, bundle, "Walks", "--duration", "1", "--output", "walk", "--no-postprocess")
    more = ["--continue-from", "walk.npz", "--compat", "latest", "--output", "more"]
    summary = gen(capsys, bundle, "then jumps", "--duration", "1", *more)
    assert summary["frames"] == [40] and summary["compat"] == "latest"
    before, after = Motion.load("walk.npz"), Motion.load("more.npz")
    np.testing.assert_array_equal(after.posed_joints[:15], before.posed_joints[:15])


def test_a_clip_of_another_rate_is_resampled_and_it_is_said(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--duration", "1", "--seed", "1")
    gen(capsys, bundle, "Walks", *common, "--fps", "30", "--output", "walk")
    flags = [*common, "--continue-from", "walk.npz", "--bundle", bundle, "-o", "more"]
    code, _, err = run(capsys, "gen", "then jumps", *flags, *QUICK)
    assert code == 0
    assert err.count("note: the clip that is continued has 30 fps, the model 20") == 1
    before, after = Motion.load("walk.npz"), Motion.load("more.npz")
    assert after.fps == 20 and after.num_frames == 19 + 20  # the last lies between two frames
    np.testing.assert_allclose(after.posed_joints[:14:2], before.posed_joints[:21:3], atol=2e-3)


def test_default_is_the_name_of_the_embedded_model(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gen(capsys, Path("default"), "walk", "--duration", "0.5")["model"] == "motionrt-default"
    (elsewhere / "default").mkdir()  # a folder that is there is meant
    code, _, err = run(capsys, "gen", "walk", "--bundle", "default")
    assert code == 1 and "default" in err


def test_a_formats_name_is_taken_in_any_form(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--format", "GLB", "--format", ".bvh")
    assert gen(capsys, bundle, "walk", "--duration", "0.5", *named)["files"] == [
        "output.npz",
        "output.bvh",
        "output.glb",
    ]


def test_constraints_and_heading(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = Root2D(np.array([0, 19, 40]), np.array([[0, 0], [1, 0], [9, 9]], np.float32))
    write_constraints("c.json", [item])
    flags = ["--duration", "1", "--constraints", "c.json", "--first-heading", "1.57"]
    code, _, err = run(capsys, "gen", "Walks", *flags, "--bundle", bundle, *QUICK)
    assert code == 0 and "warning: 1 constrained frames lie beyond the clip's end" in err
    motion = Motion.load("output.npz")
    assert np.linalg.norm(motion.root_positions[19, ::2] - [1, 0]) < 0.06


def test_a_folder_wins_over_flags_but_for_guidance_and_constraints(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    meta: dict[str, Any] = {
        "texts": ["walk. on", "sit"],
        "durations": [1, 0.5],
        "num_samples": 2,
        "diffusion_steps": 2,
        "seed": 5,
        "cfg": {"text_weight": 3},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    item = Root2D(np.array([0]), np.zeros((1, 2), np.float32))
    write_constraints(folder / "constraints.json", [item])
    write_constraints("other.json", [item, item])
    flags: list[object] = ["--input_folder", folder, "--num_samples", 1, "--seed", 7]
    summary = gen(capsys, bundle, *flags)
    assert summary["prompt"] == ["walk. on", "sit"]
    assert summary["seed"] == 5 and summary["num_steps"] == 2 and len(summary["frames"]) == 2
    assert summary["guidance_weights"] == [3.0, 2.0] and summary["num_constraints"] == 1
    flags += ["--cfg_weight", 1.5, "--constraints", "other.json"]
    summary = gen(capsys, bundle, *flags)
    assert summary["guidance_type"] == "regular" and summary["num_constraints"] == 2
    meta["seed"] = None
    (folder / "meta.json").write_text(json.dumps(meta))
    seeds = {gen(capsys, bundle, *flags)["seed"] for _ in range(3)}
    assert len(seeds) == 3


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["x", "--constraints", "no.json"], 1, "no.json: cannot be read"),
        (["x", "--compat", "2020"], 1, "compat '2020': there are 2026-03, latest"),
        (["x", "--continue-from", "no.npz"], 1, "no.npz: no such file"),
        (["x. y", "--duration", "1 2 3"], 1, "3 durations for 2 sentences"),
        (["x. y", "--num-transition-frames", "0"], 1, "0 transition frames"),
        (["x. y", "--num-transition-frames", "99", "--duration", "1"], 1, "takes 101 frames"),
        (["x", "--first-heading", "nan"], 1, "first heading nan: must be finite"),
        (["x", "--cfg_type", "regular"], 1, "guidance regular needs 1 weight"),
        (["x", "--cfg_type", "nocfg", "--cfg_weight", "1"], 1, "nocfg takes 0"),
        (["--input-folder", "no"], 1, "meta.json: cannot be read"),
    ],
)
def test_wrong_controls_are_one_line(
    bundle: Path,
    elsewhere: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    found, out, err = run(capsys, "gen", *flags, "--bundle", bundle, *QUICK)
    assert found == code and message in err and not out
    assert "Traceback" not in err
    assert os.listdir(elsewhere) == []


def test_how_files_are_read_is_said_of_files_alone(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "gen", "walk", "--bundle", bundle, "--input-scale", "1", *QUICK)
    assert code == 1 and "--input-scale is for motion files, none is read" in err


def test_doubtful_motions_are_said_to_be_and_not_written_if_strict(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = ("a person walks", "--duration", "7", "--no-chain", "--seed", "1")
    common = ("gen", *raw, "--bundle", bundle, "--diffusion-steps", "2", "--json")
    code, out, err = run(capsys, *common, "-o", "loose")
    assert code == 0 and Path("loose.npz").is_file()
    summary = json.loads(out)
    told = "7 s in one piece: motionrt-default was trained on up to 6 s"
    assert err.startswith(f"warning: {told}") and summary["warnings"][0][0].startswith(told)
    (quality,) = summary["quality"]
    assert quality["joint_speed_mps"] >= quality["root_speed_mps"] > 0
    assert isinstance(quality["outside"], list)
    code, out, err = run(capsys, *common, "-o", "strict", "--strict")
    assert code == 1 and out == "" and not Path("strict.npz").exists()
    assert err.startswith(f"Error: {told}") and "--strict" in err and err.count("\n") == 1


def test_long_prompts_are_chained_and_the_parts_counted(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capsys,
        *("gen", "a person walks", "--duration", "8", "--seed", "1", "--bundle", bundle),
        *("--diffusion-steps", "2", "-o", "long"),
    )
    assert code == 0 and "in one piece" not in err
    assert "160 frames (8.0 s in 2 parts)" in out
