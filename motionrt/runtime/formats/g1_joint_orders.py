"""The two orders in which files of tracking tasks keep G1's joints and links."""

from __future__ import annotations

from motionrt.runtime.body.g1 import g1_hinges

_ISAAC = """
left_hip_pitch right_hip_pitch waist_yaw left_hip_roll right_hip_roll waist_roll left_hip_yaw
right_hip_yaw waist_pitch left_knee right_knee left_shoulder_pitch right_shoulder_pitch
left_ankle_pitch right_ankle_pitch left_shoulder_roll right_shoulder_roll left_ankle_roll
right_ankle_roll left_shoulder_yaw right_shoulder_yaw left_elbow right_elbow left_wrist_roll
right_wrist_roll left_wrist_pitch right_wrist_pitch left_wrist_yaw right_wrist_yaw
"""
"""Breadth first over the tree of links, as Isaac Sim lists the articulation of G1's URDF."""


def joint_names(order: str) -> tuple[str, ...]:
    """Return the names of the 29 joints: mujoco is depth first, isaac breadth first."""
    if order == "isaac":
        return tuple(f"{name}_joint" for name in _ISAAC.split())
    return g1_hinges().names


def body_names(order: str) -> tuple[str, ...]:
    """Return the names of the 30 links: the pelvis, then the link of each joint."""
    links = [name.removesuffix("_joint") for name in joint_names(order)]
    return ("pelvis", *("torso_link" if n == "waist_pitch" else f"{n}_link" for n in links))


def columns(names: tuple[str, ...], order: tuple[str, ...]) -> list[int]:
    """Return where each of names stands in order."""
    return [order.index(name) for name in names]
