"""Write a G1 motion as the .pkl of GMR (General Motion Retargeting)."""

from __future__ import annotations

import os
import pickle

import numpy as np

from motionrt.runtime.body.g1 import robot_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.quaternion_order import checked_order, from_wxyz

_PROTOCOL = 4


def write_gmr(motion: Motion, path: str | os.PathLike[str], *, quaternion: str = "xyzw") -> None:
    """Write a pickled dict as GMR's scripts do (bvh_to_robot.py, smplx_to_robot.py).

    Its keys are fps, root_pos (T, 3) in metres, root_rot (T, 4) as x y z w (or quaternion's order),
    dof_pos (T, 29) in radians and MuJoCo's order, all float64 in MuJoCo's world (z up, +x forward);
    local_body_pos and link_body_list are None. InputError for another skeleton than G1.
    """
    order = checked_order(quaternion)
    table = robot_qpos(motion, "GMR").astype(np.float64)
    content = {
        "fps": int(motion.fps) if motion.fps.is_integer() else motion.fps,
        "root_pos": np.ascontiguousarray(table[:, :3]),
        "root_rot": np.ascontiguousarray(from_wxyz(table[:, 3:7], order)),
        "dof_pos": np.ascontiguousarray(table[:, 7:]),
        "local_body_pos": None,
        "link_body_list": None,
    }
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        pickle.dump(content, file, _PROTOCOL)
