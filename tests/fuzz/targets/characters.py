"""Characters, whose meshes are kept, and what corrects how their bones are taken."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
from fuzz.mutators.gltf import mutate_glb
from fuzz.mutators.havoc import NUMBERS, havoc, havoc_text
from fuzz.mutators.trees import json_mutator
from fuzz.target import Target
from fuzz.targets.motions import own_motion, saved
from places import DATA
from walking import walking

from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.retarget import retargeted
from motionrt.runtime.formats.character import read_character, read_corrections
from motionrt.runtime.formats.readers.usd import read_usd
from motionrt.runtime.humanml.joints import motion_from_joints

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WRITES = 16
"""One character in so many gets a motion, which takes longer."""


@lru_cache
def _walk() -> Motion:
    return motion_from_joints(walking(4).astype(np.float32), fps=20.0)


def read(path: Path) -> None:
    """Read a character as `retarget --to` does, and move some."""
    character = read_character(path)
    for note in character.notes:
        assert note.isprintable() and len(note) < 1000, f"note {note!r}"
    assert all(
        cell.isprintable() for row in character.bones.rows(character.skeleton) for cell in row
    )
    if zlib.crc32(path.read_bytes()) % _WRITES == 0:
        motion = _walk()
        bones = map_bones(motion.skeleton)
        made = retargeted(motion, bones, character.skeleton, character.bones)
        character.save(made.motion, path.with_name("written.glb"))


def read_map(path: Path) -> None:
    """Read corrections and follow them."""
    read_character("smplx22", read_corrections(path))


def read_stage(path: Path) -> None:
    """Read USD, written as text or in binary."""
    motion = read_usd(path)
    for name, array in motion.to_arrays().items():
        assert np.isfinite(array).all(), name
    assert all(note.isprintable() for note in motion.notes)


def _characters() -> Iterable[bytes]:
    fields = [path.read_bytes() for path in sorted((DATA / "field").glob("glb_*/*.glb"))]
    return [*saved((_walk,), "glb"), *saved((_walk,), "vrma"), *fields]


def _maps() -> Iterable[bytes]:
    documents = ({"hips": "pelvis", "head": "head", "left_hand": None}, {"left_foot": "left_ankle"})
    return [json.dumps(document).encode() for document in documents]


def _stages() -> Iterable[bytes]:
    return [*saved((own_motion,), "usda"), *saved((own_motion,), "usd")]


def mutate_stage(rng: Random, data: bytes) -> bytes:
    """Change USD: a number of its text, mostly, or bytes of what is binary."""
    if data.startswith(b"PXR-USDC"):
        return havoc(rng, data)
    places = list(_NUMBER.finditer(data))
    if not places or rng.random() < 0.2:
        return havoc_text(rng, data)
    place = rng.choice(places)
    number = rng.choice((*NUMBERS, str(rng.uniform(-4, 4)), str(rng.randrange(4))))
    return data[: place.start()] + number.encode() + data[place.end() :]


TARGETS = (
    Target("character", read, mutate_glb, _characters, "c.glb"),
    Target("corrections", read_map, json_mutator(), _maps, "map.json"),
    Target("usd", read_stage, mutate_stage, _stages, "m.usd", imports=("pxr.UsdSkel",)),
)
