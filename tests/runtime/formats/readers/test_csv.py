"""G1's qpos in CSV, as different people write it."""

import codecs
from pathlib import Path

import numpy as np
import pytest
from places import DATA

from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix, matrix_to_quaternion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

FIELD = DATA / "field" / "csv_quaternion_xyzw"


def turns(headings_rad: np.ndarray, lean_rad: float = 0.05) -> np.ndarray:
    """Return quaternions w x y z of a robot that heads somewhere and sways a little."""
    sway = np.sin(np.linspace(0, 9, len(headings_rad))) * lean_rad
    about_z = axis_angle_to_matrix(np.stack([0 * sway, 0 * sway, headings_rad], axis=-1))
    about_x = axis_angle_to_matrix(np.stack([sway, sway / 2, 0 * sway], axis=-1))
    return matrix_to_quaternion(about_z @ about_x)


def table(quaternions: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = g1_hinges().limits_rad.T * 0.7
    frames = len(quaternions)
    root = np.linspace([0, 0, 0.78], [1, 0.2, 0.8], frames)
    return np.concatenate([root, quaternions, rng.uniform(low, high, (frames, 29))], axis=1)


def text(rows: np.ndarray, separator: str = ",") -> str:
    return "\n".join(separator.join(f"{number:.6f}" for number in row) for row in rows) + "\n"


def in_xyzw(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows[:, :3], np.roll(rows[:, 3:7], -1, axis=1), rows[:, 7:]], axis=1)


def posed(rows: np.ndarray) -> np.ndarray:
    local, root = motion_arrays_from_qpos(rows)
    return Motion.from_local(local, root, load_skeleton("g1"), 30).posed_joints


def test_field_files_of_both_orders_are_one_motion() -> None:
    motions = [Motion.load(FIELD / f"{name}.csv") for name in ("wxyz", "xyzw")]
    np.testing.assert_array_equal(motions[0].posed_joints, motions[1].posed_joints)
    for motion, order in zip(motions, ("w x y z", "x y z w"), strict=True):
        (note,) = motion.notes
        assert f"read as {order}" in note and "--input-quaternion" in note


@pytest.mark.parametrize("heading", [(0.0, 1.5), (0.3, 0.6), (-2.0, 2.0), (3.0, 1.0), (1.5, 1.6)])
def test_the_order_is_found_in_which_the_robot_stands(
    tmp_path: Path, heading: tuple[float, float]
) -> None:
    rows = table(turns(np.linspace(*heading, 40)))
    for name, order in (("a", rows), ("b", in_xyzw(rows))):
        (tmp_path / f"{name}.csv").write_text(text(order))
        motion = Motion.load(tmp_path / f"{name}.csv")
        np.testing.assert_allclose(motion.posed_joints, posed(rows), rtol=0, atol=1e-4)


def test_a_robot_that_only_looks_ahead_is_read_ahead(tmp_path: Path) -> None:
    rows = table(np.tile([1.0, 0, 0, 0], (5, 1)))
    (tmp_path / "a.csv").write_text(text(in_xyzw(rows)))
    motion = Motion.load(tmp_path / "a.csv")
    np.testing.assert_allclose(motion.posed_joints, posed(rows), rtol=0, atol=1e-4)


def test_a_robot_that_lies_is_read_in_the_usual_order_and_noted(tmp_path: Path) -> None:
    lying = np.tile([0.5**0.5, 0, 0.5**0.5, 0], (5, 1))
    (tmp_path / "a.csv").write_text(text(table(lying)))
    motion = Motion.load(tmp_path / "a.csv")
    np.testing.assert_allclose(motion.posed_joints, posed(table(lying)), rtol=0, atol=1e-4)
    assert "usual order" in motion.notes[0]


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_an_order_that_is_told_is_taken_without_a_word(tmp_path: Path, order: str) -> None:
    rows = table(turns(np.linspace(2, 3, 9)))
    local, root = motion_arrays_from_qpos(rows)
    motion = Motion.from_local(local, root, load_skeleton("g1"), 30)
    motion.save(tmp_path / "a.csv", quaternion=order)
    first = np.loadtxt(tmp_path / "a.csv", delimiter=",")[:, 3:7]
    np.testing.assert_allclose(np.roll(first, 1 if order == "xyzw" else 0, 1)[:, 3] > 0.8, True)
    again = Motion.load(tmp_path / "a.csv", quaternion=order)
    assert again.notes == []
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-5)
    other = Motion.load(tmp_path / "a.csv", quaternion="wxyz" if order == "xyzw" else "xyzw")
    assert np.abs(other.posed_joints - motion.posed_joints).max() > 0.5
    for call in (Motion.load, motion.save):
        with pytest.raises(InputError, match="quaternion is 'zyxw'"):
            call(tmp_path / "a.csv", quaternion="zyxw")


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_separators_and_line_ends_do_not_matter(
    tmp_path: Path, separator: str, mark: bytes, end: str
) -> None:
    rows = table(turns(np.linspace(0, 1, 4)))
    written = text(rows, separator).replace("\n", end)
    (tmp_path / "a.csv").write_bytes(mark + written.encode() + end.encode())
    motion = Motion.load(tmp_path / "a.csv")
    np.testing.assert_allclose(motion.posed_joints, posed(rows), rtol=0, atol=1e-4)


HINGES = list(g1_hinges().names)
ROOT = ["root_x", "root_y", "root_z"]


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
@pytest.mark.parametrize("form", ["{}", "{}_dof", "dof_{}", '"{}"'])
def test_a_row_of_names_tells_the_columns(tmp_path: Path, order: str, form: str) -> None:
    rows = table(turns(np.full(3, 3.1)))  # the robot stands either way
    written = rows if order == "wxyz" else in_xyzw(rows)
    shuffled = np.random.default_rng(0).permutation(29)
    names = [*ROOT, *(f"root_q{axis}" for axis in order)]
    names += [form.format(HINGES[index]) for index in shuffled]
    columns = np.concatenate([written[:, :7], written[:, 7:][:, shuffled]], axis=1)
    clock = np.concatenate([np.arange(3)[:, None], columns], axis=1)
    for start, numbers in ((",".join(names), columns), (",".join(["Frame", *names]), clock)):
        (tmp_path / "a.csv").write_text(f"{start}\n{text(numbers)}")
        motion = Motion.load(tmp_path / "a.csv")
        np.testing.assert_allclose(motion.posed_joints, posed(rows), rtol=0, atol=1e-4)
        assert motion.notes == []


def test_comments_are_skipped(tmp_path: Path) -> None:
    rows = table(turns(np.linspace(0, 1, 4)))
    (tmp_path / "a.csv").write_text("# retargeted walk, 50 Hz\n" + text(rows) + "# the end\n")
    motion = Motion.load(tmp_path / "a.csv")
    np.testing.assert_allclose(motion.posed_joints, posed(rows), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        # 36 columns too, in centimetres and degrees: what Bones Studio's data set has.
        (
            ["Frame", *(f"root_{kind}{axis}" for kind in ("translate", "rotate") for axis in "XYZ")]
            + [f"{name}_dof" for name in HINGES],
            "where G1's qpos has a quaternion",
        ),
        ([*ROOT, "q0", "q1", "q2", "q3", *HINGES], "where G1's qpos has a quaternion"),
        ([*ROOT, *"wxyz", *HINGES[:28], "left_toe_joint"], "names no column right_wrist_yaw_joint"),
        ([*ROOT, *"wxyz", *HINGES[:23]], "names 30 columns"),
    ],
)
def test_rows_of_other_names_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert str(caught.value).count(str(path)) == 1 and "line 1" in str(caught.value)


def test_degrees_are_noted(tmp_path: Path) -> None:
    rows = table(turns(np.linspace(0, 1, 4)))
    rows[:, 7:] = np.rad2deg(rows[:, 7:])
    (tmp_path / "a.csv").write_text(text(rows))
    assert any("radians" in note for note in Motion.load(tmp_path / "a.csv").notes)


def test_numbers_of_no_robot_are_refused(tmp_path: Path) -> None:
    for column in (0, 3, 9):
        rows = table(turns(np.zeros(2)))
        rows[1, column] = 1e200
        np.savetxt(tmp_path / "a.csv", rows, delimiter=",")
        with pytest.raises(InputError, match="frame 1 has a number beyond"):
            Motion.load(tmp_path / "a.csv")


def test_a_frame_rate_of_zero_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text(table(turns(np.zeros(2)))))
    with pytest.raises(InputError, match=r"fps is 0\.0"):
        Motion.load(tmp_path / "a.csv", fps=0)


ROW = ",".join(["1"] * 36)


def test_a_motion_of_hinges_survives_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    low, high = g1_hinges().limits_rad.T * 0.8
    quaternion = rng.normal(size=(9, 4))
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    angles = rng.uniform(low, high, (9, 29))
    local, root = motion_arrays_from_qpos(
        np.concatenate([rng.normal(size=(9, 3)), quaternion, angles], 1)
    )
    motion = Motion.from_local(local, root, load_skeleton("g1"), 50)
    motion.save(tmp_path / "a.csv")
    again = Motion.load(tmp_path / "a.csv", fps=50)
    assert again.fps == 50 and again.skeleton.name == "g1"
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    assert Motion.load(tmp_path / "a.csv").fps == 30  # the file does not say


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        (f"{ROW}\n1,2\n", "line 2 has 2 columns"),
        (ROW.replace("1", "x", 1), "line 1: could not convert"),
        (f"{ROW}\n{ROW.replace('1', 'nan', 1)}", "frame 1 .* not finite"),
        (ROW.replace("1,1", "1,inf", 1), "not finite"),
        (",".join(["0"] * 36), "quaternion"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refusal:
        Motion.load(path)
    assert "bad.csv" in str(refusal.value) and "\n" not in str(refusal.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="as text"):
        Motion.load(tmp_path / "bad.csv")
