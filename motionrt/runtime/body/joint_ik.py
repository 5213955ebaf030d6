"""Rotations from joint positions, for models that generate positions.

Analytic: from the root outwards, each joint takes the rotation that turns its bones of the rest
pose to where they are seen. A joint with one child takes the shortest such rotation, so it never
twists; one with several takes the best fit to all. Source: Li 2021, "HybrIK", arXiv:2011.14672.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import shortest_arc
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError


def solve_joint_rotations(
    joints: ArrayLike,
    skeleton: Skeleton,
    offsets: ArrayLike | None = None,
    uncorrected: tuple[str, ...] = (),
) -> NDArray[np.float64]:
    """Return local rotations (T, J, 3, 3) that pose a skeleton like joints (T, J, 3).

    A bone is aimed from where the posed skeleton has its joint, so that differences of bone length
    do not add up along a limb; the joints named in uncorrected aim from where joints has them.
    Leaves keep the identity. offsets (J, 3) replaces the skeleton's rest bones.

    InputError unless there is a position for each of the skeleton's joints.
    """
    seen = np.asarray(joints, np.float64)
    count = skeleton.num_joints
    if seen.ndim != 3 or seen.shape[1:] != (count, 3):
        raise InputError(f"joints are {seen.shape}, should be (frames, {count}, 3)")
    bones = np.asarray(skeleton.offsets if offsets is None else offsets, np.float64)
    aimed_from_seen = {skeleton.index(name) for name in uncorrected}
    frames = len(seen)
    local = np.broadcast_to(np.eye(3), (frames, count, 3, 3)).copy()
    world = local.copy()
    posed = seen.copy()
    for joint in range(count):
        parent = int(skeleton.parents[joint])
        before = np.eye(3) if parent < 0 else world[:, parent]
        if parent >= 0:
            posed[:, joint] = posed[:, parent] + before @ bones[joint]
        children = skeleton.children[joint]
        if children:
            start = seen if joint in aimed_from_seen or len(children) > 1 else posed
            aims = seen[:, children] - start[:, joint, None]
            # Row vectors times a matrix: the parent's rotation undone.
            aims = aims @ before
            rest = bones[list(children)]
            local[:, joint] = (
                _best_fit(rest, aims) if len(children) > 1 else shortest_arc(rest[0], aims[:, 0])
            )
        world[:, joint] = before @ local[:, joint]
    return local


def _best_fit(rest: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations (T, 3, 3) that bring vectors rest (N, 3) nearest to seen (T, N, 3).

    Source: Kabsch 1976, with the determinant held at +1.
    """
    left, _, right = np.linalg.svd(np.einsum("ni,tnj->tij", rest, seen))
    rotation = np.swapaxes(left @ right, -1, -2)
    mirrored = np.linalg.det(rotation) < 0
    right[mirrored, 2] *= -1
    fitted: NDArray[np.float64] = np.swapaxes(left @ right, -1, -2)
    return fitted
