from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.features import MotionFeatures, statistics_from_parts

SMPLX = load_skeleton("smplx22")
FEATURES = MotionFeatures(SMPLX, fps=30)


def clip(frames: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = np.cumsum(rng.normal(size=(frames, 22, 3)) * 0.05, axis=0)
    local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(frames, 22, 3, 3)
    root = np.cumsum(rng.normal(size=(frames, 3)) * 0.02, axis=0)
    root[:, 1] += 0.9
    return local.astype(np.float32), root.astype(np.float32)


@pytest.mark.parametrize(("name", "width"), [("soma30", 369), ("g1", 417), ("smplx22", 273)])
def test_widths_and_slices(name: str, width: int) -> None:
    features = MotionFeatures(load_skeleton(name))
    assert features.width == width
    assert features.slices["global_root_heading"] == slice(3, 5)
    assert features.slices["foot_contacts"] == slice(width - 4, width)


def test_decoding_undoes_encoding() -> None:
    local, root = clip()
    decoded: dict[str, Any] = FEATURES.decode(FEATURES.encode(local, root))
    np.testing.assert_allclose(decoded["local_rot_mats"], local, atol=2e-6)
    np.testing.assert_allclose(decoded["root_positions"], root, atol=2e-6)
    motion = Motion.from_arrays(decoded, SMPLX, 30)
    np.testing.assert_allclose(
        motion.posed_joints, Motion.from_local(local, root, SMPLX, 30).posed_joints, atol=5e-6
    )
    from_positions: dict[str, Any] = FEATURES.decode(
        FEATURES.encode(local, root), joints_from_positions=True
    )
    np.testing.assert_allclose(from_positions["posed_joints"], motion.posed_joints, atol=5e-6)


def test_a_batch_encodes_as_its_clips_do() -> None:
    clips = [clip(seed=seed) for seed in range(3)]
    local, root = (np.stack(parts) for parts in zip(*clips, strict=True))
    got = FEATURES.encode(local, root)
    for row, (one_local, one_root) in zip(got, clips, strict=True):
        np.testing.assert_allclose(row, FEATURES.encode(one_local, one_root), atol=2e-5)


def test_the_last_valid_frame_repeats_the_velocity_before_it() -> None:
    local, root = clip()
    velocities = FEATURES.encode(local, root, lengths=np.array([20]))[
        :, FEATURES.slices["velocities"]
    ]
    np.testing.assert_array_equal(velocities[19], velocities[18])
    assert not np.array_equal(velocities[20], velocities[19])
    one = FEATURES.encode(local[:1], root[:1])
    assert not one[:, FEATURES.slices["velocities"]].any()


def test_a_still_low_foot_is_in_contact() -> None:
    local = np.tile(np.eye(3, dtype=np.float32), (10, 22, 1, 1))
    root = np.tile(np.array([0, 1.03, 0], np.float32), (10, 1))
    contacts = FEATURES.encode(local, root)[:, FEATURES.slices["foot_contacts"]]
    np.testing.assert_array_equal(contacts, np.tile([1, 1, 1, 1], (10, 1)))
    moving = root + np.arange(10, dtype=np.float32)[:, None] * np.array([0.01, 0, 0], np.float32)
    assert not FEATURES.encode(local, moving)[:, FEATURES.slices["foot_contacts"]].any()


def test_turning_the_body_turns_its_heading_and_its_features() -> None:
    local, root = clip()
    angle = 0.8
    turn = Rotation.from_rotvec([0, angle, 0]).as_matrix().astype(np.float32)
    turned = local.copy()
    turned[:, 0] = turn @ local[:, 0]
    features = FEATURES.encode(local, root)
    want = FEATURES.encode(turned, root @ turn.T)
    np.testing.assert_allclose(FEATURES.rotate(features, angle), want, atol=2e-4)
    motion = Motion.from_local(local, root, SMPLX, 30)
    turned_motion = Motion.from_local(turned, root @ turn.T, SMPLX, 30)
    change = hip_heading(turned_motion.posed_joints, SMPLX) - hip_heading(
        motion.posed_joints, SMPLX
    )
    np.testing.assert_allclose(np.cos(change - angle), 1, atol=1e-6)


def test_moving_and_canonicalizing() -> None:
    local, root = clip()
    features = FEATURES.encode(local, root)
    want = FEATURES.encode(local, root + np.array([1, 0, -2], np.float32))
    np.testing.assert_allclose(FEATURES.translate_2d(features, [1, -2]), want, atol=1e-4)
    first = FEATURES.canonicalize(FEATURES.rotate(want, 1.3))[0]
    np.testing.assert_allclose(first[[0, 2]], 0, atol=1e-6)
    np.testing.assert_allclose(first[3:5], [1, 0], atol=1e-6)


def test_local_root_rates() -> None:
    features = np.zeros((1, 5, 5), np.float32)
    heading = np.pi - 0.1 + 0.05 * np.arange(5)  # crosses pi
    features[0, :, 0] = 0.02 * np.arange(5)
    features[0, :, 1] = 0.9
    features[0, :, 3:] = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    got = FEATURES.local_root(features)
    np.testing.assert_allclose(got[0], np.tile([1.5, 0.6, 0, 0.9], (5, 1)), atol=1e-4)
    short = FEATURES.local_root(features, lengths=np.array([3]))
    np.testing.assert_allclose(short[0, :4], got[0, :4], atol=1e-4)
    assert short[0, 4, 0] == 0


def test_normalizing_needs_statistics_and_undoes_itself() -> None:
    with pytest.raises(InputError, match="without statistics"):
        FEATURES.normalize(np.zeros((3, 273)))
    with pytest.raises(InputError, match="both"):
        MotionFeatures(SMPLX, mean=np.zeros(273))
    with pytest.raises(InputError, match="must be"):
        MotionFeatures(SMPLX, mean=np.zeros(272), std=np.ones(272))
    rng = np.random.default_rng(0)
    mean, std = statistics_from_parts(
        {
            "global_root": (rng.normal(size=5), rng.uniform(0.1, 2, 5)),
            "body": (rng.normal(size=268), rng.uniform(0, 2, 268)),
        }
    )
    features = MotionFeatures(SMPLX, mean=mean, std=std)
    values = rng.normal(size=(4, 273)).astype(np.float32)
    np.testing.assert_allclose(features.normalize(features.unnormalize(values)), values, atol=3e-4)


def test_wrong_shapes_are_refused() -> None:
    local, root = clip()
    with pytest.raises(InputError, match="local rotations"):
        FEATURES.encode(local[:, :21], root)
    with pytest.raises(InputError, match="root positions"):
        FEATURES.encode(local, root[:3])
    with pytest.raises(InputError, match="features are"):
        FEATURES.decode(np.zeros((4, 272), np.float32))
