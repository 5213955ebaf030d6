"""The table of motion formats: a row a format. Readers and writers are imported when they are used.

A new format is a file in ``readers`` or ``writers`` and a row here.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion

_UNITS = "motionrt.runtime.formats.units"
_READERS, _WRITERS = "motionrt.runtime.formats.readers", "motionrt.runtime.formats.writers"


@dataclass(frozen=True)
class Format:
    """One way to hold a motion in a file."""

    name: str
    """What `Motion.save` and `Motion.load` can be told."""
    ending: str
    """What is put behind a stem to name a file of it."""
    holds: str
    """In a few words, whose motions and what else."""
    reader: str
    """Its function, as module:name."""
    writer: str
    one_body: bool = False
    """It holds one body alone: only skeletons that list it (`extra_formats`) can be written."""
    humanoid: bool = False
    """Only bodies whose joints are known by their names can be written."""
    caution: str | None = None
    """A function, as module:name, that takes a motion with the writer's options: a line on what a
    file of it will not show, or None."""
    body_of: str | None = None
    """It holds the body of that format, and is written when it is asked for."""
    is_text: bool = False
    """A terminal can show it."""

    def holds_body(self, extra_formats: Collection[str]) -> bool:
        """Say whether motions on a skeleton that lists these formats can be written."""
        return not self.one_body or (self.body_of or self.name) in extra_formats


FORMATS = {
    row.name: row
    for row in (
        Format(
            "npz",
            ".npz",
            "any skeleton; Kimodo's arrays and ours; what is AMASS or mjlab is found out",
            f"{_READERS}.npz:read_npz",
            f"{_WRITERS}.npz:write_npz",
        ),
        Format(
            "bvh",
            ".bvh",
            "any skeleton; centimetres, for Blender, MotionBuilder and engines",
            f"{_READERS}.bvh:read_bvh",
            f"{_WRITERS}.bvh:write_bvh",
            is_text=True,
        ),
        Format(
            "glb",
            ".glb",
            "any skeleton; binary glTF with a figure that viewers show",
            f"{_READERS}.gltf:read_gltf",
            f"{_WRITERS}.gltf:write_gltf",
        ),
        Format(
            "gltf",
            ".gltf",
            "any skeleton; the same as text, its data inside",
            f"{_READERS}.gltf:read_gltf",
            f"{_WRITERS}.gltf:write_gltf_text",
            is_text=True,
        ),
        Format(
            "vrma",
            ".vrma",
            "humanoids; VRM Animation, for VRM avatars",
            f"{_READERS}.gltf:read_gltf",
            f"{_WRITERS}.vrma:write_vrma",
            humanoid=True,
        ),
        Format(
            "fbx",
            ".fbx",
            "any skeleton; made and read by Blender, which has to be installed",
            f"{_READERS}.fbx:read_fbx",
            f"{_WRITERS}.fbx:write_fbx",
        ),
        *(
            Format(
                name,
                f".{name}",
                f"any skeleton; OpenUSD (UsdSkel){kind}; needs the extra usd",
                f"{_READERS}.usd:read_usd",
                f"{_WRITERS}.usd:write_usd",
                is_text=name == "usda",
            )
            for name, kind in (
                ("usd", ""),
                ("usda", " as text"),
                ("usdz", ", a package that phones show"),
            )
        ),
        Format(
            "csv",
            ".csv",
            "the robot Unitree G1; MuJoCo's qpos",
            f"{_READERS}.csv:read_csv",
            f"{_WRITERS}.csv:write_csv",
            is_text=True,
            one_body=True,
            caution=f"{_WRITERS}.csv:csv_caution",
        ),
        Format(
            "gmr",
            ".pkl",
            "the robot Unitree G1; what GMR retargets to",
            f"{_READERS}.gmr:read_gmr",
            f"{_WRITERS}.gmr:write_gmr",
            one_body=True,
            body_of="csv",
        ),
        Format(
            "mjlab",
            "_mjlab.npz",
            "the robot Unitree G1; what mjlab's tracking tasks train on",
            f"{_READERS}.tracking:read_tracking",
            f"{_WRITERS}.tracking:write_mjlab",
            one_body=True,
            body_of="csv",
        ),
        Format(
            "beyondmimic",
            "_beyondmimic.npz",
            "the robot Unitree G1; what BeyondMimic trains on",
            f"{_READERS}.tracking:read_tracking",
            f"{_WRITERS}.tracking:write_beyondmimic",
            one_body=True,
            body_of="csv",
        ),
        Format(
            "amass",
            "_amass.npz",
            "SMPL-X bodies, as AMASS has them",
            f"{_READERS}.amass:read_amass",
            f"{_WRITERS}.amass:write_amass",
            one_body=True,
        ),
        Format(
            "npy",
            ".npy",
            "HumanML3D's joint positions; its features and MDM's results are read too",
            f"{_READERS}.npy:read_npy",
            f"{_WRITERS}.npy:write_npy",
            one_body=True,
        ),
    )
}
"""By name; of several with one suffix the first is taken."""


DEFAULT_FORMAT = "npz"
"""What is always written of a generated motion."""


def format_of(path: str | os.PathLike[str]) -> str:
    """Tell a file's format by its suffix; InputError if it is none of a motion."""
    suffix = Path(path).suffix.lower()
    for row in FORMATS.values():
        if row.ending == suffix:
            return row.name
    known = ", ".join(row.ending for row in FORMATS.values() if row.ending.startswith("."))
    raise InputError(f"{path}: unknown suffix {suffix or '(none)'}; motions are {known}")


def format_to_write(path: str | os.PathLike[str]) -> str:
    """Tell in which format to write a file: by its whole ending (_amass.npz), or its suffix."""
    name = Path(path).name.lower()
    for row in FORMATS.values():
        if not row.ending.startswith(".") and name.endswith(row.ending):
            return row.name
    return format_of(path)


def reader_options(name: str) -> tuple[str, ...]:
    """Return the keywords that a format's reader takes; InputError if there is no such format."""
    return _keywords(_function(name, "reader"), 1)


def read_motion(
    path: str | os.PathLike[str], format: str | None = None, **options: object
) -> Motion:
    """Read a file as `Motion.load` does."""
    name = format or format_of(path)
    if not Path(path).is_file():
        reason = "is a folder" if Path(path).is_dir() else "no such file"
        raise InputError(f"{path}: {reason}")
    from motionrt.runtime.files import refuse_lfs_pointer  # here: --help reads no file

    refuse_lfs_pointer(path)
    function = _function(name, "reader")
    _check_options(name, path, function, 1, options)
    motion = cast("Motion", function(path, **options))
    if options.get("scale") != "guess":
        advice = "by its format they are metres"
        if "scale" in reader_options(name):
            advice = "--input-scale guess (scale='guess') chooses likely ones"
        note = importlib.import_module(_UNITS).size_note(motion.skeleton, advice)
        motion.notes += [note] if note else []
    return motion


def write_motion(
    motion: Motion, path: str | os.PathLike[str], format: str | None = None, **options: object
) -> None:
    """Write a file as `Motion.save` does."""
    name = format or format_of(path)
    function = _function(name, "writer")
    _check_options(name, path, function, 2, options)
    function(motion, path, **options)


def caution(motion: Motion, format: str, **options: object) -> str | None:
    """Say in a line what a written file will not show of a motion; None if nothing is to say."""
    if FORMATS[format].caution is None:
        return None
    return cast("str | None", _function(format, "caution")(motion, **options))


def written_with(keyword: str) -> list[str]:
    """Return the formats whose writers take a keyword."""
    return [name for name in FORMATS if keyword in writer_options(name)]


def writer_options(name: str) -> tuple[str, ...]:
    """Return the keywords that a format's writer takes; InputError if there is no such format."""
    return _keywords(_function(name, "writer"), 2)


def _function(name: str, verb: str) -> Callable[..., Any]:
    if name not in FORMATS:
        raise InputError(f"unknown motion format {name!r}; there are {', '.join(FORMATS)}")
    module, _, function = str(getattr(FORMATS[name], verb)).partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


@lru_cache
def _keywords(function: Callable[..., Any], num_arguments: int) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)[num_arguments:]


def _check_options(
    name: str,
    path: str | os.PathLike[str],
    function: Callable[..., Any],
    num_arguments: int,
    options: Mapping[str, object],
) -> None:
    known = _keywords(function, num_arguments)
    for option in options:
        if option not in known:
            has = f"there are {', '.join(known)}" if known else "there are none"
            raise InputError(f"{path}: {name} has no option {option!r}; {has}")
