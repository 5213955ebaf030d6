"""Where motions go: engines and programs, their coordinates, and what a file for them needs.

One row a target; ``--for`` takes its name, docs/formats.md has the same table. Imports nothing
heavy: flags list the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A program that takes motions."""

    name: str
    program: str
    up: str
    forward: str
    """Where a character faces that faces +z here, once it has been imported."""
    left_handed: bool
    units_per_metre: float
    unit: str
    file: str
    """The ending that it takes best."""
    joint_names: str | None = None
    """Whose names its tools map by themselves; None keeps the skeleton's own."""
    rest: str = "t-pose"
    root_bone: bool = False
    """Its root motion is that of a bone on the floor."""
    bvh_up: str = "+y"
    bvh_forward: str = "+z"
    """How a BVH must lie for the program's usual importer to make of it what stands above."""
    note: str = ""

    def settings(self) -> dict[str, Any]:
        """Give options of writers; each takes those that it knows."""
        return {
            "rest": self.rest,
            "joint_names": self.joint_names,
            "root_bone": self.root_bone,
            "scale": self.units_per_metre,
            "up": self.bvh_up,
            "forward": self.bvh_forward,
            **({"angles": "mujoco", "quaternion": "wxyz"} if self.name == "mujoco" else {}),
        }


TARGETS = {
    row.name: row
    for row in (
        Target(
            "blender",
            "Blender",
            "+z",
            "-y",
            False,
            1.0,
            "1 m",
            ".glb",
            note="its importers of glTF and BVH turn y up into z up; scale 1",
        ),
        Target(
            "unity",
            "Unity",
            "+y",
            "+z",
            True,
            1.0,
            "1 m",
            ".glb",
            joint_names="mixamo",
            root_bone=True,
            note="glTFast mirrors x; Humanoid maps the names; Root Node: `root`",
        ),
        Target(
            "unreal",
            "Unreal Engine",
            "+z",
            "+y",
            True,
            100.0,
            "1 cm",
            ".glb",
            joint_names="ue5",
            root_bone=True,
            note="a skeletal mesh faces +y, an actor +x: turn the mesh by -90 degrees about z",
        ),
        Target(
            "godot",
            "Godot",
            "+y",
            "+z",
            False,
            1.0,
            "1 m",
            ".glb",
            joint_names="vrm",
            root_bone=True,
            note="models face +z, cameras -z (`use_model_front`); root motion track: `root`",
        ),
        Target(
            "roblox",
            "Roblox",
            "+y",
            "-z",
            False,
            1 / 0.28,
            "1 stud = 0.28 m",
            ".glb",
            joint_names="mixamo",
            bvh_forward="-z",
            note="parts look along -z",
        ),
        Target(
            "mujoco",
            "MuJoCo",
            "+z",
            "+x",
            False,
            1.0,
            "1 m",
            ".csv",
            rest="neutral",
            bvh_up="+z",
            bvh_forward="+x",
            note="the robot Unitree G1 as qpos, root w x y z, angles about MuJoCo's hinges",
        ),
    )
}
"""By name."""

HEADINGS = ("--for", "program", "up", "forward", "hand", "unit", "file", "sets", "note")


def rows() -> list[tuple[str, ...]]:
    """Give the table's cells, a row a target, under `HEADINGS`."""
    table: list[tuple[str, ...]] = []
    for target in TARGETS.values():
        sets = [f"--rest {target.rest}"]
        sets += [f"--joint-names {target.joint_names}"] if target.joint_names else []
        sets += ["--root-motion bone"] if target.root_bone else []
        sets += [f"--bvh-scale {target.units_per_metre:.4g}"]
        if (target.bvh_up, target.bvh_forward) != ("+y", "+z"):
            sets += [f"--up {target.bvh_up} --forward {target.bvh_forward}"]
        sets += ["--csv-angles mujoco"] if "angles" in target.settings() else []
        table.append(
            (
                target.name,
                target.program,
                target.up,
                target.forward,
                "left" if target.left_handed else "right",
                target.unit,
                target.file,
                " ".join(sets),
                target.note,
            )
        )
    return table
