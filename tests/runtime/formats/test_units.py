from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import DATA

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton
from motionrt.runtime.body.stature import standing_height
from motionrt.runtime.formats.units import UNITS, guess_scale, size_note

Make = Callable[..., Motion]

METRES = DATA / "field" / "bvh_units_only_in_convert" / "metres.bvh"


def scaled(skeleton: Skeleton, scale: float) -> Skeleton:
    described = skeleton.to_dict()
    described["rest_positions"] = (skeleton.rest_positions * scale).tolist()
    return Skeleton.from_dict(described)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("size", [0.8, 1.0, 1.15])
@pytest.mark.parametrize("skeleton", [name for name in SKELETON_NAMES if name != "g1"])
def test_any_of_the_units_is_found_for_people_of_any_size(
    skeleton: str, unit: str, size: float
) -> None:
    scale = UNITS[unit][0]
    rig = scaled(load_skeleton(skeleton), scale * size)
    got, note = guess_scale(rig, rig.rest_positions)
    assert got == scale and unit in note


@pytest.mark.parametrize("unit", ["metres", "centimetres", "millimetres"])
def test_a_body_without_known_legs_is_judged_by_its_size(unit: str) -> None:
    scale = UNITS[unit][0]
    rig = scaled(load_skeleton("g1"), scale)
    assert standing_height(rig) is None
    assert guess_scale(rig, rig.rest_positions)[0] == scale


def test_two_joints_are_judged_by_how_far_above_the_floor_they_are() -> None:
    for scale in (1, 100, 1000):
        rest = np.array([[0, 0, 0], [0, 0.2, 0]]) * scale
        rig = Skeleton("two", ("Hips", "Spine"), np.array([-1, 0]), rest.astype(np.float32))
        assert guess_scale(rig, rest + np.array([0, 0.9 * scale, 0]))[0] == scale
    still = Skeleton("one", ("a",), np.array([-1]), np.zeros((1, 3), np.float32))
    assert guess_scale(still, np.zeros((1, 3)))[0] == 100


@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
def test_our_own_bodies_need_no_remark(skeleton: str) -> None:
    rig = load_skeleton(skeleton)
    assert size_note(rig, "") is None
    height = standing_height(rig)
    assert height is None or 1.6 < height < 1.8
    for scale, told in ((0.01, "cm"), (100.0, "m")):
        note = size_note(scaled(rig, scale), "do this")
        assert note is not None and f" {told} " in note and note.endswith("do this")


@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
@pytest.mark.parametrize("ending", [".bvh", ".npz", ".glb"])
def test_files_of_ours_are_read_without_a_note(
    wandering: Make, tmp_path: Path, skeleton: str, ending: str
) -> None:
    path = tmp_path / f"motion{ending}"
    wandering(skeleton, frames=3).save(path)
    assert Motion.load(path).notes == []


@pytest.mark.parametrize("skeleton", ["soma77", "smplx22", "cmu22", "humanml22"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_bvh_in_other_units_gets_one_note_and_guess_reads_it(
    wandering: Make, tmp_path: Path, skeleton: str, unit: str
) -> None:
    motion, path = wandering(skeleton, frames=3), tmp_path / "motion.bvh"
    motion.save(path, scale=UNITS[unit][0])
    notes = Motion.load(path).notes
    if unit == "centimetres":
        assert notes == []
    else:
        assert len(notes) == 1 and "--input-scale guess" in notes[0]
    guessed = Motion.load(path, scale="guess")
    assert len(guessed.notes) == 1 and f"guessed units: {unit}" in guessed.notes[0]
    assert guessed.skeleton == motion.skeleton
    np.testing.assert_allclose(guessed.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_metres_of_the_field() -> None:
    assert "--input-scale guess" in Motion.load(METRES).notes[0]
    for scale in (1, "guess"):
        heights = Motion.load(METRES, scale=scale).root_positions[:, 1]
        np.testing.assert_allclose(heights, [0.91, 0.92, 0.93], atol=1e-6)


def test_formats_without_a_scale_name_no_option(tmp_path: Path) -> None:
    rig = scaled(load_skeleton("smplx22"), 100)
    Motion.from_local(np.tile(np.eye(3), (2, 22, 1, 1)), np.zeros((2, 3)), rig, 30).save(
        tmp_path / "large.npz"
    )
    (note,) = Motion.load(tmp_path / "large.npz").notes
    assert "174 m tall" in note and "--input-scale" not in note
