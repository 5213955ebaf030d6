"""GMR's pickles, as GMR and others write them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robots import dance, other_numpy

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

RAN: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("run",)


def content(**changes: Any) -> dict[str, Any]:
    """Return what GMR's scripts save of the dance."""
    rows = dance().rows
    found = {
        "fps": 50,
        "root_pos": rows[:, :3],
        "root_rot": rows[:, 3:7][:, [1, 2, 3, 0]],
        "dof_pos": rows[:, 7:],
        "local_body_pos": None,
        "link_body_list": None,
    }
    return {**found, **changes}


def write(path: Path, what: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(what, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_gmrs_own_files_are_read(tmp_path: Path, protocol: int) -> None:
    motion = Motion.load(write(tmp_path / "a.pkl", content(), protocol))
    assert motion.fps == 50 and motion.skeleton.name == "g1" and motion.notes == []
    np.testing.assert_allclose(motion.posed_joints, dance().motion.posed_joints, atol=1e-5)


@pytest.mark.parametrize("protocol", [0, 2])
def test_files_of_either_numpy_are_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(other_numpy(pickle.dumps(content(), protocol)))
    np.testing.assert_allclose(
        Motion.load(path).posed_joints, dance().motion.posed_joints, atol=1e-5
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": np.float64(50), "local_body_pos": np.zeros((40, 38, 3)), "link_body_list": ["a"]},
        {"fps": np.array([50])},
        {"root_pos": dance().rows[:, :3].astype(np.float32)},
        {"dof_pos": [list(row) for row in dance().rows[:, 7:]]},
        {"root_rot": list(dance().rows[:, 3:7][:, [1, 2, 3, 0]])},
        {"dof_pos": np.asfortranarray(dance().rows[:, 7:])},
        {"extra": Bomb(), "source": Path("walk.bvh")},
    ],
)
def test_other_ways_to_hold_the_same_are_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write(tmp_path / "a.pkl", content(**changes))
    RAN.clear()
    motion = Motion.load(path)
    assert RAN == [] and motion.fps == 50
    np.testing.assert_allclose(motion.posed_joints, dance().motion.posed_joints, atol=1e-5)


def test_quaternions_of_the_other_order_are_seen_and_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", content(root_rot=dance().rows[:, 3:7]))
    motion = Motion.load(path)
    np.testing.assert_allclose(motion.posed_joints, dance().motion.posed_joints, atol=1e-5)
    assert "read as w x y z" in motion.notes[0]
    told = Motion.load(path, quaternion="wxyz")
    np.testing.assert_array_equal(told.posed_joints, motion.posed_joints)
    assert told.notes == []


def test_what_is_written_is_gmrs_and_comes_back(tmp_path: Path) -> None:
    path, motion = tmp_path / "a.pkl", dance().motion
    motion.save(path)
    with path.open("rb") as file:
        found = pickle.load(file)
    assert list(found) == list(content()) and found["fps"] == 50 and type(found["fps"]) is int
    for name in ("root_pos", "root_rot", "dof_pos"):
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], content()[name], atol=2e-6)
    again = Motion.load(path)
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-5)
    motion.save(tmp_path / "b.pkl", quaternion="wxyz")
    told = Motion.load(tmp_path / "b.pkl", quaternion="wxyz")
    np.testing.assert_allclose(told.posed_joints, motion.posed_joints, atol=1e-5)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ([1, 2], "is wanted, it is list"),
        (Bomb(), "is wanted, it is a builtins.getattr"),
        (
            {"root_trans_offset": np.zeros((2, 3)), "dof": np.zeros((2, 23))},
            "no root_pos, root_rot",
        ),
        (content(dof_pos=np.zeros((40, 23))), r"dof_pos is \(40, 23\), G1's is \(40, 29\)"),
        (content(root_rot=np.zeros((39, 4))), "one clip is"),
        (content(root_rot=np.zeros((40, 4))), "quaternion"),
        (content(root_pos=np.full((40, 3), np.nan)), "frame 0 .* not finite"),
        (content(root_pos="text"), "root_pos: str where numbers"),
        (content(root_pos=Path("x")), "root_pos: pathlib.* where numbers"),
        (content(root_pos=np.full((40, 3), "x")), "root_pos: not real numbers"),
        (content(fps=None), "fps: NoneType where numbers"),
        (content(fps=0), r"fps is 0\.0"),
        ({key: value for key, value in content().items() if key != "fps"}, "--input-fps"),
    ],
)
def test_other_pickles_are_one_clear_line(tmp_path: Path, what: Any, message: str) -> None:
    path = write(tmp_path / "a.pkl", what)
    RAN.clear()
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert RAN == [] and "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_other_skeletons_are_not_written(tmp_path: Path) -> None:
    identity = np.tile(np.eye(3), (2, 22, 1, 1))
    motion = Motion.from_local(identity, np.zeros((2, 3)), load_skeleton("smplx22"), 30)
    for name in ("gmr", "mjlab", "beyondmimic"):
        with pytest.raises(InputError, match="the motion is on smplx22"):
            motion.save(tmp_path / "a", format=name)
