import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import DATA
from walking import walking

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import features_to_joints, joints_to_features


def test_positions_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "walk.npy"
    np.save(path, walking(20).astype(np.float32))
    motion = Motion.load(path)
    assert motion.skeleton.name == "humanml22"
    assert motion.fps == 20
    motion.save(tmp_path / "again.npy")
    stored = np.load(tmp_path / "again.npy")
    assert stored.shape == (1, 20, 22, 3)
    np.testing.assert_array_equal(stored[0], walking(20).astype(np.float32))
    again = Motion.load(tmp_path / "again.npy")
    np.testing.assert_array_equal(again.posed_joints, motion.posed_joints)


def test_features_are_read(tmp_path: Path) -> None:
    features, _ = joints_to_features(walking(20))
    np.save(tmp_path / "walk.npy", features)
    motion = Motion.load(tmp_path / "walk.npy")
    np.testing.assert_allclose(motion.posed_joints, features_to_joints(features), atol=1e-6)
    assert motion.foot_contacts is not None


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "walk.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)) as caught:
        Motion.load(path)
    assert "\n" not in str(caught.value)


def test_other_arrays_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.npy"
    np.save(path, np.zeros((4, 7)))
    with pytest.raises(InputError, match="should be features"):
        Motion.load(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="a pickled dict without motion; there are a"):
        Motion.load(path)


HOSTILE = DATA / "field" / "hostile"
RAN: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("run",)


def batch() -> np.ndarray:
    """Return three walks (3, 20, 22, 3), each beside the other."""
    sideways = np.array([1, 0, 0])
    return np.stack([walking(20) + metres * sideways for metres in range(3)]).astype(np.float32)


def mdm(**changes: Any) -> np.ndarray:
    """Return what MDM saves as results.npy."""
    content = {
        "motion": batch().transpose(0, 2, 3, 1),
        "text": ["walks", "runs", "jumps"],
        "lengths": np.array([20, 12, 200]),
        "num_samples": 3,
        "num_repetitions": 1,
    }
    return np.array({k: v for k, v in {**content, **changes}.items() if v is not None})


def test_mdms_results_of_the_field_are_read() -> None:
    motion = Motion.load(DATA / "field" / "npy_mdm_results" / "results.npy")
    assert (motion.num_frames, motion.fps, motion.skeleton.name) == (3, 20, "humanml22")
    np.testing.assert_allclose(motion.posed_joints[0, 0], [0, 0.93, 0])
    assert motion.notes == [] and motion.info["prompt"] == "walk"


@pytest.mark.parametrize("sample", range(3))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lengths": [20, 12, 200], "text": np.array(["walks", "runs", "jumps"], object)},
        {"motion": batch().transpose(0, 2, 3, 1).astype(np.float64), "text": None},
        {"motion": list(batch().transpose(0, 2, 3, 1))},
        {"motion": batch()},  # frames before joints
        {"bomb": Bomb(), "args": Path("x")},
    ],
)
def test_mdms_results_of_several_motions(
    tmp_path: Path, sample: int, changes: dict[str, Any]
) -> None:
    path = tmp_path / "results.npy"
    np.save(path, mdm(**changes), allow_pickle=True)
    RAN.clear()
    motion = Motion.load(path, sample=sample)
    assert RAN == []
    frames = (20, 12, 20)[sample]
    np.testing.assert_allclose(motion.posed_joints, batch()[sample, :frames], atol=1e-6)
    assert "--input-sample" in motion.notes[0]
    if changes.get("text", "") is not None:
        assert motion.info["prompt"] == ("walks", "runs", "jumps")[sample]
    with pytest.raises(InputError, match="sample 3: it holds motions 0 to 2"):
        Motion.load(path, sample=3)


@pytest.mark.parametrize(
    "array",
    [
        batch(),
        batch().transpose(0, 2, 3, 1),
        np.array([*batch(), None], object)[:3],
        np.stack([joints_to_features(clip)[0] for clip in batch()]),
    ],
)
def test_several_motions_in_an_array(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    first, last = (Motion.load(tmp_path / "a.npy", sample=sample) for sample in (0, 2))
    assert first.notes and last.notes
    if array.shape[-1:] != (263,):  # features begin at the origin
        apart = last.posed_joints - first.posed_joints
        np.testing.assert_allclose(apart, np.broadcast_to([2, 0, 0], apart.shape), atol=1e-5)


@pytest.mark.parametrize("joints", [24, 45, 52, 55, 73, 127, 144])
def test_the_joints_of_larger_bodies_are_left_away(tmp_path: Path, joints: int) -> None:
    larger = np.concatenate([walking(20), np.ones((20, joints - 22, 3))], axis=1)
    np.save(tmp_path / "a.npy", larger)
    motion = Motion.load(tmp_path / "a.npy")
    np.testing.assert_allclose(motion.posed_joints, walking(20), atol=1e-6)
    assert f"({joints - 22} joints) are left away" in motion.notes[0]


def test_centimetres_and_z_up_are_noted_and_told(tmp_path: Path) -> None:
    clip = walking(20)
    z_up = np.stack([-clip[..., 0], clip[..., 2], clip[..., 1]], axis=-1)
    np.save(tmp_path / "cm.npy", clip * 100)
    np.save(tmp_path / "mm.npy", clip * 1000)
    np.save(tmp_path / "z.npy", z_up)
    assert "centimetres? then --input-scale 100" in Motion.load(tmp_path / "cm.npy").notes[0]
    assert "millimetres? then --input-scale 1000" in Motion.load(tmp_path / "mm.npy").notes[0]
    assert "--input-up z" in Motion.load(tmp_path / "z.npy").notes[0]
    told: list[tuple[str, dict[str, Any]]] = [
        ("cm", {"scale": 100}),
        ("mm", {"scale": 1000}),
        ("z", {"z_up": True}),
    ]
    for name, options in told:
        motion = Motion.load(tmp_path / f"{name}.npy", **options)
        assert motion.notes == []
        np.testing.assert_allclose(motion.posed_joints, clip, atol=1e-5)
    for name, unit in (("cm", "centimetres"), ("mm", "millimetres")):
        motion = Motion.load(tmp_path / f"{name}.npy", scale="guess")
        assert len(motion.notes) == 1 and f"guessed units: {unit}" in motion.notes[0]
        np.testing.assert_allclose(motion.posed_joints, clip, atol=1e-5)
    for scale in (0, "cm"):
        with pytest.raises(InputError, match=f"scale is {scale}"):
            Motion.load(tmp_path / "cm.npy", scale=scale)
    np.save(tmp_path / "features.npy", joints_to_features(clip)[0])
    with pytest.raises(InputError, match="features have units"):
        Motion.load(tmp_path / "features.npy", z_up=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (mdm(motion=None), "a pickled dict without motion; there are text, lengths"),
        (mdm(motion=np.zeros((3, 21, 3, 20))), "21 joints, as KIT-ML"),
        (mdm(motion=np.zeros((3, 25, 6, 20))), "6D rotations"),
        (mdm(motion="walk"), "str where numbers were expected"),
        (mdm(motion=Bomb()), "where numbers were expected"),
        (mdm(motion=np.full((1, 22, 3, 4), np.nan)), "not all numbers are finite"),
        (np.array(Bomb(), object), "a pickled builtins.getattr"),
        (np.array([], object), "a pickled list"),
        (np.zeros((0, 22, 3)), "should be features"),
        (np.zeros((0, 4, 22, 3)), "it holds none"),
        (np.full((4, 22, 3), "x"), "not real numbers"),
        (np.zeros((4, 22, 3), complex), "not real numbers"),
        (np.zeros(4, [("a", "f4"), ("b", "O")]), "describes no array of numbers"),
    ],
)
def test_other_arrays_are_one_clear_line(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    RAN.clear()
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert RAN == [] and "\n" not in str(caught.value)
    assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("name", sorted(path.name for path in HOSTILE.glob("npy-*")))
def test_hostile_files_are_one_line(name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        Motion.load(HOSTILE / name, format="npy")
    assert "\n" not in str(caught.value)


def test_a_pickle_by_another_name_is_no_array(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps(Bomb()))
    RAN.clear()
    with pytest.raises(InputError, match=r"no \.npy file"):
        Motion.load(tmp_path / "a.npy")
    assert RAN == []
