"""Our kinematics of G1's qpos against MuJoCo's own, on a model made from our hinge table."""

from typing import Any

import numpy as np
import pytest
from robots import dance

from motionrt.runtime.body.g1 import g1_hinges, link_states, motion_arrays_from_qpos, qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton, skeleton_asset

mujoco = pytest.importorskip("mujoco")


def robot() -> str:
    """Return MJCF of G1: the links of the skeleton, hung at rest offsets, turning on hinges."""
    asset, skeleton = skeleton_asset("g1"), load_skeleton("g1")
    to_mujoco = np.array(asset["mujoco"]["kimodo_to_mujoco_matrix"])
    hinges = {row["kimodo_index"]: row for row in asset["mujoco"]["joints"]}
    parents, rest = list(skeleton.parents), skeleton.rest_positions.astype(np.float64)

    def told(values: Any) -> str:
        return " ".join(repr(float(value)) for value in values)

    def link(joint: int) -> str:
        offset = rest[joint] - rest[parents[joint]] if joint else np.zeros(3)
        hinge = hinges.get(joint, {})
        turn = f' quat="{told(hinge["body_quat_wxyz"])}"' if hinge.get("body_quat_wxyz") else ""
        name = skeleton.joint_names[joint]
        lines = f'<body name="{name}" pos="{told(to_mujoco @ offset)}"{turn}>'
        lines += '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'
        if joint == 0:
            lines += "<freejoint/>"
        elif hinge:
            lines += f'<joint name="{hinge["mujoco_joint"]}" axis="{told(hinge["axis_mujoco"])}"/>'
        below = [child for child, parent in enumerate(parents) if parent == joint]
        return lines + "".join(link(child) for child in below) + "</body>"

    return f"<mujoco><worldbody>{link(0)}</worldbody></mujoco>"


@pytest.fixture(scope="module")
def model() -> Any:
    return mujoco.MjModel.from_xml_string(robot())


def values(seed: int, frames: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = g1_hinges().limits_rad.T * 0.95
    quaternion = rng.normal(size=(frames, 4))
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    root, angles = rng.normal(size=(frames, 3)), rng.uniform(low, high, (frames, 29))
    return np.concatenate([root, quaternion, angles], axis=1)


def mujoco_positions(model: Any, table: np.ndarray) -> np.ndarray:
    """Return where MuJoCo has the links (T, 34, 3), in our world."""
    data, found = mujoco.MjData(model), []
    for row in table:
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        found.append([data.body(name).xpos.copy() for name in load_skeleton("g1").joint_names])
    return np.array(found) @ g1_hinges().to_mujoco


def test_columns_are_mujocos_order(model: Any) -> None:
    assert model.nq == 36
    names = [model.joint(index).name for index in range(1, 30)]
    assert tuple(names) == g1_hinges().names


@pytest.mark.parametrize("seed", range(3))
def test_robots_stand_where_mujoco_has_them(model: Any, seed: int) -> None:
    table = values(seed)
    local, root = motion_arrays_from_qpos(table)
    motion = Motion.from_local(local, root, load_skeleton("g1"), 50)
    np.testing.assert_allclose(
        motion.posed_joints, mujoco_positions(model, table), rtol=0, atol=1e-5
    )
    again = qpos(motion.local_rot_mats, motion.root_positions)
    np.testing.assert_allclose(
        motion.posed_joints, mujoco_positions(model, again), rtol=0, atol=1e-4
    )


def test_links_move_as_in_mujoco(model: Any) -> None:
    """The positions, turns and velocities of the links are a simulator's for the same qvel."""
    rows, states = dance().rows, link_states(dance().rows, 50)
    links = [0, *g1_hinges().joints]
    names = [load_skeleton("g1").joint_names[joint] for joint in links]
    data = mujoco.MjData(model)
    for frame in (0, 1, 20, 39):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, rows[frame, 3:7])
        data.qpos[:] = rows[frame]
        data.qvel[:3] = states.linear_velocities[frame, 0]
        data.qvel[3:6] = turn.reshape(3, 3).T @ states.angular_velocities[frame, 0]
        data.qvel[6:] = states.hinge_velocities[frame]
        mujoco.mj_forward(model, data)
        for link, name in enumerate(names):
            body, twist = data.body(name), np.zeros(6)
            kind = mujoco.mjtObj.mjOBJ_XBODY
            mujoco.mj_objectVelocity(model, data, kind, body.id, twist, 0)
            np.testing.assert_allclose(states.positions[frame, link], body.xpos, atol=1e-5)
            cosine = abs(states.quaternions[frame, link] @ body.xquat)
            np.testing.assert_allclose(cosine, 1, atol=1e-5)
            np.testing.assert_allclose(states.angular_velocities[frame, link], twist[:3], atol=1e-3)
            np.testing.assert_allclose(states.linear_velocities[frame, link], twist[3:], atol=1e-3)
