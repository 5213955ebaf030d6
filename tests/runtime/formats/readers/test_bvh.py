import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import DATA

from motionrt.runtime.body.joint_names import STYLES
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.bvh import read_bvh
from motionrt.runtime.formats.writers.bvh import bvh_text

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # it imports PyGLM by its old name
    import bvhio

FIELD = DATA / "field"

Make = Callable[..., Motion]

STICK = """HIERARCHY
ROOT Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left UpLeg {
    OFFSET 10 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -40 0
    }
  }
  JOINT Spine
  {
    OFFSET 0 20 0
    CHANNELS 1 Yrotation
  }
}
MOTION
Frames:\t2
Frame Time: 0.0083333
1 2 3 0 0 0 0 0 0 0
4 5 6 90 0 0 0 90 0 45
"""


@pytest.mark.parametrize("rest", ["neutral", "t-pose"])
@pytest.mark.parametrize(
    ("skeleton", "names"),
    [(s, n) for s in SKELETON_NAMES for n in (None, *STYLES) if s != "g1" or n is None],
)
def test_what_was_written_is_read_back(
    wandering: Make, tmp_path: Path, skeleton: str, rest: str, names: str | None
) -> None:
    motion = wandering(skeleton, fps=24)
    motion.save(tmp_path / "motion.bvh", rest=rest, joint_names=names)
    again = Motion.load(tmp_path / "motion.bvh")
    if skeleton == "soma30":
        motion = motion.expanded()
    assert again.skeleton == motion.skeleton and again.fps == 24
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    np.testing.assert_allclose(again.local_rot_mats, motion.local_rot_mats, rtol=0, atol=1e-4)


def test_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_text(STICK)
    motion = read_bvh(path)
    assert motion.skeleton.joint_names == ("Hips", "Left UpLeg", "Spine")
    assert motion.fps == 120 and motion.num_frames == 2
    np.testing.assert_allclose(motion.root_positions, [[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]])
    np.testing.assert_allclose(motion.posed_joints[1, 1], [0.04, 0.15, 0.06], atol=1e-6)
    np.testing.assert_allclose(read_bvh(path, scale=1).root_positions[0], [1, 2, 3])
    again = tmp_path / "again.bvh"
    motion.save(again)
    np.testing.assert_allclose(Motion.load(again).posed_joints, motion.posed_joints, atol=1e-6)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("behind", ["", "\x1a", "\n\x1a\n", "\x00" * 7])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
)
def test_encodings_and_line_ends_of_any_editor(
    tmp_path: Path, encoding: str, behind: str, end: str
) -> None:
    path = tmp_path / "stick.bvh"
    text = STICK.replace("Spine", "Rücken\x85").rstrip("\n") + behind
    path.write_bytes(text.replace("\n", end).encode(encoding))
    motion = read_bvh(path)
    assert motion.skeleton.joint_names[2].startswith("Rücken") and motion.notes == []
    np.testing.assert_allclose(motion.root_positions, [[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]])


def test_a_utf_16_file_that_big_endian_marks(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_bytes(b"\xfe\xff" + STICK.encode("utf-16-be"))
    assert read_bvh(path).num_frames == 2


def test_the_frames_of_the_field_are_read_as_they_are() -> None:
    motion = read_bvh(FIELD / "bvh_one_frame_more" / "one_more.bvh")
    np.testing.assert_allclose(
        motion.root_positions[:2], [[0.01, 0.91, 0.02], [0.02, 0.92, 0.03]], atol=1e-7
    )
    np.testing.assert_allclose(motion.posed_joints[0, 1], [0.01, 1.11, 0.02], atol=1e-6)
    assert motion.notes == ["the header states 2 frames, there are 3; all are read"]


@pytest.mark.parametrize("stated", [0, 1, 3, 4, 7, 900_000_000])
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("layout", ["rows", "wrapped", "one line"])
def test_whole_rows_more_or_fewer_than_stated(
    tmp_path: Path, stated: int, rows: int, layout: str
) -> None:
    head = STICK[: STICK.index("1 2 3 0")].replace("Frames:\t2", f"Frames: {stated}")
    between = {"rows": " ", "wrapped": "\n", "one line": " "}[layout]
    lines = [between.join([f"{row} 2 3", "0 0 0 0 0 0 0"]) for row in range(rows)]
    path = tmp_path / "off.bvh"
    path.write_text(head + (" " if layout == "one line" else "\n").join(lines))
    motion = read_bvh(path)
    np.testing.assert_allclose(motion.root_positions[:, 0], np.arange(rows) / 100, atol=1e-7)
    note = f"the header states {stated} frames, there are {rows}; all are read"
    assert motion.notes == ([] if stated == rows else [note])


def test_rows_of_another_width_are_damage_even_if_their_sum_fits(tmp_path: Path) -> None:
    head = STICK[: STICK.index("1 2 3 0")]
    path = tmp_path / "wide.bvh"
    path.write_text(head + "\n".join(["1 2 3 4 5 6 7 8 9 10 11 12"] * 5))
    with pytest.raises(InputError, match="there are 60: truncated or damaged"):
        read_bvh(path)


@pytest.mark.parametrize("frame_time", ["0", "0.0", "-1", "1e-9"])
def test_one_frame_needs_no_frame_time(tmp_path: Path, frame_time: str) -> None:
    path = tmp_path / "pose.bvh"
    text = STICK[: STICK.index("4 5 6 90")].replace("0.0083333", frame_time)
    path.write_text(text.replace("Frames:\t2", "Frames:\t1"))
    motion = read_bvh(path)
    assert (motion.num_frames, motion.fps) == (1, 30)
    told = f"{float(frame_time):g}"
    assert motion.notes == [f"Frame Time is {told}; the one frame is taken at 30 fps"]


def test_a_root_with_helpers_beside_the_body() -> None:
    path = FIELD / "bvh_root_with_helpers" / "helpers.bvh"
    motion = read_bvh(path)
    assert motion.skeleton.joint_names == ("pelvis", "spine_01")
    assert motion.notes == ["left away, beside the body: ik_foot_root"]
    want = [[0, 0.90, 0], [0.05, 0.92, 0.10], [0.10, 0.90, 0.20]]
    np.testing.assert_allclose(motion.root_positions, want, atol=1e-7)
    hierarchy = bvhio.readAsHierarchy(str(path))
    for frame in range(3):
        hierarchy.loadPose(frame)
        seen = {j.Name: np.array(list(j.PositionWorld)) / 100 for j, _, _ in hierarchy.layout()}
        got = motion.posed_joints[frame]
        np.testing.assert_allclose(got, [seen["pelvis"], seen["spine_01"]], atol=1e-6)


SIX = "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
STILL = [0.0] * 6


def joint(name: str, offset: str, channels: str, *children: str) -> str:
    return f"JOINT {name} {{ OFFSET {offset} {channels} {' '.join(children)} }}\n"


LEGS = [
    joint(f"thigh_{side}", f"{x} 0 0", "", joint(f"calf_{side}", "0 -45 0", "CHANNELS 1 Xrotation"))
    for side, x in (("l", 10), ("r", -10))
]
PELVIS = joint("pelvis", "0 90 0", SIX, *LEGS)  # with 8 numbers
IK = joint("ik_foot_root", "0 0 0", SIX, joint("ik_foot_l", "0 0 0", SIX))  # with 12


@pytest.mark.parametrize(
    ("hierarchy", "row"),
    [
        ((SIX, PELVIS, IK), lambda way: [*STILL, *way, 0, 0, *way, *STILL]),
        ((SIX, IK, PELVIS), lambda way: [*STILL, *way, *STILL, *way, 0, 0]),
        (("", PELVIS, IK), lambda way: [*way, 0, 0, *STILL, *STILL]),
        (
            (SIX, joint("Armature", "0 0 0", SIX, PELVIS, IK)),
            lambda way: [*STILL, *STILL, *way, 0, 0, *STILL, *way],
        ),
        (  # z is up in the pelvis' frame: a quarter turn about x brings it to y
            (SIX, PELVIS, joint("camera", "0 0 0", SIX)),
            lambda way: [0, 0, 0, 0, 0, -90, way[0], -way[2], way[1], 0, 0, 90, 0, 0, *way],
        ),
        (  # the root walks, the pelvis only bobs
            (SIX, PELVIS, joint("weapon_r", "0 0 0", "CHANNELS 3 Zrotation Yrotation Xrotation")),
            lambda way: [way[0], 0, way[2], 0, 0, 0, 0, way[1], *STILL[:4], 0, 0, 0, 0, 0],
        ),
    ],
    ids=["IK moves", "IK first", "no channels", "two roots", "z up", "root walks"],
)
@pytest.mark.parametrize("frames", [1, 4])
def test_roots_and_helpers_of_many_rigs(
    tmp_path: Path,
    hierarchy: tuple[str, ...],
    row: Callable[[list[float]], list[float]],
    frames: int,
) -> None:
    path = tmp_path / "rig.bvh"
    places = np.array([[5.0 * k, 90.0 + k, 10.0 * k] for k in range(frames)])
    rows = "\n".join(" ".join(map(str, row([*place, 0, 0, 0]))) for place in places)
    path.write_text(
        f"HIERARCHY\nROOT root {{ OFFSET 0 0 0 {' '.join(hierarchy)} }}\nMOTION\n"
        f"Frames: {frames}\nFrame Time: 0.0333333\n{rows}\n"
    )
    motion = read_bvh(path)
    names = motion.skeleton.joint_names
    assert names == ("pelvis", "thigh_l", "calf_l", "thigh_r", "calf_r") and len(motion.notes) == 1
    np.testing.assert_allclose(motion.root_positions, places / 100, atol=1e-6)
    np.testing.assert_allclose(
        motion.posed_joints[:, 2], places / 100 + np.array([0.1, -0.45, 0]), atol=1e-6
    )


@pytest.mark.parametrize("skeleton", ["soma77", "smplx22", "cmu22", "g1"])
@pytest.mark.parametrize(
    "prefix", ["char1:", "scene:char1:", "Armature|", "Character1_", "mixamorig7:", "mixamorig"]
)
def test_namespaces_hide_no_known_skeleton(
    wandering: Make, tmp_path: Path, skeleton: str, prefix: str
) -> None:
    motion = wandering(skeleton, frames=3)
    text = re.sub(r"(ROOT|JOINT) ", rf"\1 {prefix}", bvh_text(motion))
    path = tmp_path / "named.bvh"
    path.write_text(text)
    again = read_bvh(path)
    assert again.skeleton == motion.skeleton
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_a_namespace_before_an_engines_names(wandering: Make, tmp_path: Path, style: str) -> None:
    motion = wandering("soma77", frames=3)
    text = bvh_text(motion, joint_names=style, rest="t-pose")
    path = tmp_path / "named.bvh"
    for old, new in (("mixamorig:", "mixamorig2:"), ("mixamorig:", ""), ("mixamorig:", "a:")):
        path.write_text(text.replace(old, new))
        assert read_bvh(path).skeleton.name == "soma77"


def test_names_of_an_unknown_body_keep_their_namespace(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_text(STICK.replace("Hips", "char1:Hips").replace("Spine", "other:Hips"))
    names = read_bvh(path).skeleton.joint_names
    assert names == ("char1:Hips", "Left UpLeg", "other:Hips")


HEAD = "HIERARCHY ROOT a { OFFSET 0 90 0 CHANNELS 6 " + " ".join(
    f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ"
)


@pytest.mark.parametrize(
    "body",
    [
        "JOINT a { OFFSET 0 1 0 CHANNELS 0 } " * 9_999,
        "JOINT a { OFFSET 0 1 0 CHANNELS 0 " * 2_000 + "}" * 2_000,
        "End Site { OFFSET 0 1 0 } " * 100_000,
        "JOINT a_2 { OFFSET 0 1 0 } JOINT a { OFFSET 0 1 0 } " * 4_999,
    ],
    ids=["equal names", "a chain", "End Sites", "names that look numbered"],
)
def test_all_in_one_line_takes_no_longer_than_in_many(tmp_path: Path, body: str) -> None:
    """Minutes, when every word taken copied those behind it and every name began at _2."""
    path = tmp_path / "line.bvh"
    path.write_text(f"{HEAD} {body} }}\nMOTION\nFrames: 1\nFrame Time: 1\n1 2 3 0 0 0\n")
    motion = read_bvh(path)
    assert len(set(motion.skeleton.joint_names)) == 1 + body.count("JOINT")


def test_a_long_row_of_carriers_is_merged_in_one_go(tmp_path: Path) -> None:
    count = 5_000
    joint = "JOINT a { OFFSET 0 0 0 CHANNELS 3 Xposition Yposition Zposition "
    path = tmp_path / "chain.bvh"
    rows = "\n".join(f"{k} " * (6 + 3 * count) for k in (0, 1))
    path.write_text(
        f"{HEAD} {joint * count} {'}' * (count + 1)}\nMOTION\nFrames: 2\nFrame Time: 1\n{rows}"
    )
    assert read_bvh(path).skeleton.num_joints == 1


def test_stated_frames_and_joints_that_never_move_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.bvh"
    row = "0 0 0 0 0 0\n"
    times = "MOTION\nFrames: 999999999\nFrame Time: 1\n"
    path.write_text(f"{HEAD} }}\n{times}{row}")
    assert read_bvh(path).num_frames == 1
    path.write_text(f"{HEAD} {'JOINT b { OFFSET 0 1 0 } ' * 5_000} }}\n{times}{row * 1_000}")
    with pytest.raises(InputError, match="5001 joints with 6 channels in all"):
        read_bvh(path)
    path.write_text(f"HIERARCHY ROOT a {{ OFFSET 0 0 0 }}\n{times}")
    with pytest.raises(InputError, match="no joint has channels"):
        read_bvh(path)


@pytest.mark.parametrize("scale", ["gess", 0, float("nan"), None])
def test_a_scale_is_a_number_or_guess(tmp_path: Path, scale: Any) -> None:
    path = tmp_path / "stick.bvh"
    path.write_text(STICK)
    with pytest.raises(InputError, match=r"above zero .* or 'guess'"):
        read_bvh(path, scale=scale)


def test_a_wrapper_root_is_merged_into_the_hips(tmp_path: Path) -> None:
    text = """HIERARCHY
ROOT Reference
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Hips
  {
    OFFSET 0 90 0
    CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
    JOINT Spine
    {
      OFFSET 0 20 0
      CHANNELS 3 Zrotation Xrotation Yrotation
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
100 0 0 0 0 90 0 90 10 0 0 0 0 0 0
100 0 0 0 0 90 0 90 20 90 0 0 0 0 0
"""
    path = tmp_path / "wrapped.bvh"
    path.write_text(text)
    motion = read_bvh(path)
    assert motion.skeleton.joint_names == ("Hips", "Spine")
    # A quarter turn about y takes the hips' +z to +x.
    np.testing.assert_allclose(motion.root_positions, [[1.1, 0.9, 0], [1.2, 0.9, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "does not begin with HIERARCHY"),
        ("OFFSET 10 0 0", "OFFSET 10 0", "line 7: OFFSET needs 3"),
        ("OFFSET 10 0 0", "OFFSET 10 nan 0", "line 7: OFFSET needs 3 finite"),
        ("CHANNELS 1 Yrotation", "CHANNELS 2 Yrotation", "line 17: CHANNELS"),
        ("CHANNELS 1 Yrotation", "CHANNELS 1 Wrotation", "line 17: CHANNELS"),
        ("CHANNELS 1 Yrotation", "CHANNELS x Yrotation", "line 17: CHANNELS"),
        ("  JOINT Spine", "  BONE Spine", "line 14: 'BONE'"),
        ("  JOINT Spine", "  ROOT Spine", "line 14: ROOT"),
        ("MOTION", "", "in place of|not expected"),
        ("}\nMOTION", "MOTION", "line 19: 'MOTION'"),
        ("Frames:\t2", "Frames:\t-1", "Frames is -1"),
        ("Frames:\t2", "Frames:\t2.5", "Frames is 2.5"),
        ("Frames:\t2", "Frames:\t1e30", "Frames is 1e"),
        ("Frames:\t2", "Frames:\tmany", "frames needs"),
        ("Time: 0.0083333", "Time: 0", "Frame Time is 0"),
        ("4 5 6 90", "4 5 6 ninety", "in the frames: .*'ninety'"),
        ("4 5 6 90", "4 5 inf 90", "frame 1: .* not finite"),
        ("4 5 6 90 0", "4 5 6 90", "there are 19"),
        ("4 5 6 90 0 0 0 90 0 45", "4 5 6", "there are 13: truncated"),
        ("45\n", "45\n7 8 9\n", "there are 23"),
        ("0.0083333\n1 2 3 0 0 0 0 0 0 0\n4 5 6 90 0 0 0 90 0 45", "0.1", "there are 0: truncated"),
        ("CHANNELS 1 Yrotation", "CHANNELS 1 Yrotation CHANNELS 1 Xrotation", "CHANNELS twice"),
        (
            "2\nFrame Time: 0.0083333\n1 2 3 0 0 0 0 0 0 0\n4 5 6 90 0 0 0 90 0 45",
            "0\nFrame Time: 1",
            "it has no frames",
        ),
        ("OFFSET 10 0 0", "OFFSET 1e40 0 0", "below 1e"),
    ],
)
def test_damaged_files_are_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in STICK
    path = tmp_path / "bad.bvh"
    path.write_text(STICK.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        read_bvh(path)
    assert "\n" not in str(caught.value) and "bad.bvh" in str(caught.value)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_cut_or_noise_is_refused_or_read_finite(data: st.DataObject, tmp_path: Path) -> None:
    text = STICK
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    text = text[:start] + data.draw(st.text(max_size=8)) + text[end:]
    path = tmp_path / "noise.bvh"
    path.write_text(text, "utf-8", errors="replace")
    try:
        motion = read_bvh(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(motion.posed_joints).all()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(1, 12),
    scale=st.sampled_from([1.0, 100.0, 39.37]),
)
def test_round_trips_hold(wandering: Make, seed: int, frames: int, scale: float) -> None:
    motion = wandering("smplx22", frames=frames, seed=seed)
    text = bvh_text(motion, scale=scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bvh"
        path.write_text(text)
        again = read_bvh(path, scale=scale)
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_not_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.bvh"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError, match="no BVH"):
        read_bvh(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_bvh(path)
