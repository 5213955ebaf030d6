"""Read an animation of a .fbx file, which Blender turns into glTF."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.blender import convert_by_blender
from motionrt.runtime.formats.readers.gltf import read_gltf


def read_fbx(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    animation: str | int | None = None,
) -> Motion:
    """Read one animation of a .fbx, by Blender, which has to be installed.

    The options are those of `readers.gltf.read_gltf`. BackendError if there is no Blender,
    InputError if it makes nothing of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "file.glb"
        try:
            convert_by_blender(Path(path), place)
            return read_gltf(place, fps=fps, animation=animation)
        except InputError as error:
            told = str(error).removeprefix(f"{place}: ")
            raise InputError(f"{path}: {told}") from error
