from pathlib import Path

import numpy as np
import pytest
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
