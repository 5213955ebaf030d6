"""Write a motion as .fbx, which Blender makes of the .glb."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import SMOOTH_SECONDS
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.blender import convert_by_blender, find_blender
from motionrt.runtime.formats.writers.gltf import glb_bytes


def write_fbx(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
) -> None:
    """Write .fbx with the figure of the .glb; see `writers.gltf.glb_bytes` for the options.

    BackendError if there is no Blender.
    """
    find_blender()
    data = glb_bytes(
        motion,
        rest=rest,
        joint_names=joint_names,
        root_bone=root_bone,
        root_smoothing=root_smoothing,
    )
    fbx_of_glb(data, path, motion.fps)


def fbx_of_glb(data: bytes, path: str | os.PathLike[str], fps: float) -> None:
    """Write what is in the bytes of a .glb as .fbx."""
    with tempfile.TemporaryDirectory() as folder, atomic_file(path) as temporary:
        source, made = Path(folder) / "file.glb", Path(folder) / "file.fbx"
        source.write_bytes(data)
        convert_by_blender(source, made, fps)
        temporary.write_bytes(made.read_bytes())
