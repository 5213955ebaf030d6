import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

SMPLX = load_skeleton("smplx22")
LOCAL = (
    Rotation.random(6 * 22, rng=np.random.default_rng(0))
    .as_matrix()
    .reshape(6, 22, 3, 3)
    .astype(np.float32)
)
ROOT = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)


def test_local_rotations_give_the_world() -> None:
    motion = Motion.from_local(LOCAL, ROOT, SMPLX, 30)
    assert (motion.num_frames, motion.seconds) == (6, 0.2)
    np.testing.assert_allclose(motion.posed_joints[:, 0], ROOT)
    quaternions = motion.local_rotations
    assert quaternions.dtype == np.float32 and quaternions.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=1e-5)


def test_arrays_give_the_motion_back() -> None:
    motion = Motion.from_local(LOCAL, ROOT, SMPLX, 30, foot_contacts=np.ones((6, 4)))
    arrays = motion.to_arrays()
    assert "smooth_root_pos" not in arrays and arrays["foot_contacts"].dtype == bool
    again = Motion.from_arrays(arrays, SMPLX, 30)
    np.testing.assert_array_equal(again.posed_joints, motion.posed_joints)
    world = {k: arrays[k] for k in ("global_rot_mats", "posed_joints")}
    np.testing.assert_allclose(
        Motion.from_arrays(world, SMPLX, 30).local_rot_mats, LOCAL, atol=1e-5
    )
    with pytest.raises(InputError, match="needs local_rot_mats"):
        Motion.from_arrays({"root_positions": ROOT}, SMPLX, 30)


def test_cropping_counts_as_a_slice() -> None:
    motion = Motion.from_local(LOCAL, ROOT, SMPLX, 30, foot_contacts=np.ones((6, 4)))
    part = motion.crop(-2)
    assert part.num_frames == 2 and part.foot_contacts is not None
    np.testing.assert_array_equal(part.root_positions, ROOT[-2:])
    with pytest.raises(InputError, match="at least one frame"):
        motion.crop(4, 4)


def test_soma_changes_its_number_of_joints() -> None:
    local = np.tile(np.eye(3, dtype=np.float32), (6, 30, 1, 1))
    motion = Motion.from_local(local, ROOT, load_skeleton("soma30"), 30)
    full = motion.expanded()
    assert full.skeleton.name == "soma77" and full.expanded() is full
    np.testing.assert_array_equal(full.reduced().local_rot_mats, local)
    other = Motion.from_local(LOCAL, ROOT, SMPLX, 30)
    assert other.expanded() is other and other.reduced() is other


@pytest.mark.parametrize(
    ("local", "root", "fps", "message"),
    [
        (LOCAL, ROOT, 0, "fps"),
        (LOCAL, ROOT, float("nan"), "fps"),
        (LOCAL[:, :21], ROOT, 30, "must be"),
        (LOCAL[:5], ROOT, 30, "must be"),
        (LOCAL, ROOT[:, :2], 30, "must be"),
        (LOCAL[:0], ROOT[:0], 30, "at least one frame"),
        (LOCAL, np.where(np.arange(6)[:, None] == 4, np.nan, ROOT), 30, "frame 4 .* not finite"),
        (LOCAL * np.float32("inf"), ROOT, 30, "not finite"),
        ("text", ROOT, 30, "not real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_values_are_refused(local: object, root: object, fps: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Motion.from_local(local, root, SMPLX, fps)  # type: ignore[arg-type]


def test_paths_that_are_no_motion_are_refused(tmp_path: object) -> None:
    motion = Motion.from_local(LOCAL, ROOT, SMPLX, 30)
    for name in ("walk", "walk.dae"):
        with pytest.raises(InputError, match="unknown suffix"):
            motion.save(f"{tmp_path}/{name}")
    with pytest.raises(InputError, match="no such file"):
        Motion.load(f"{tmp_path}/none.npz")
    with pytest.raises(InputError, match="is a folder"):
        Motion.load(str(tmp_path), format="npz")
    with pytest.raises(InputError, match="unknown motion format"):
        motion.save(f"{tmp_path}/a.npz", format="pickle")


def test_an_option_that_a_format_does_not_have_is_refused(tmp_path: object) -> None:
    motion = Motion.from_local(LOCAL, ROOT, SMPLX, 30)
    with pytest.raises(InputError, match="glb has no option 'scale'; there are rest, joint_names"):
        motion.save(f"{tmp_path}/a.glb", scale=1)
    motion.save(f"{tmp_path}/a.bvh")
    with pytest.raises(InputError, match="bvh has no option 'fps'; there are scale"):
        Motion.load(f"{tmp_path}/a.bvh", fps=30)
