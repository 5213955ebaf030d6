"""Motion files: every format that `convert`, `view` and `--continue-from` take."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.mutators.archives import mutate_archive
from fuzz.mutators.arrays import mutate_npy, npy
from fuzz.mutators.gltf import mutate_glb, mutate_gltf
from fuzz.mutators.havoc import havoc_text
from fuzz.mutators.pickles import mutate_pickle
from fuzz.target import Mutator, Target
from places import DATA
from robots import dance
from walking import walking

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.humanml.joints import motion_from_joints

_FRAMES = 4
_WRITTEN = (".bvh", ".glb", ".npz", ".gltf", ".vrma")
_WRITES = 16
"""One in so many is written again, one in as many resampled: both cost more than reading."""


def read(path: Path, **options: Any) -> None:
    """Read a motion and use it as `convert` does; what it says and holds must be sound."""
    data = path.read_bytes()
    choice = zlib.crc32(data)
    motion = Motion.load(path, **(options if choice % 3 == 0 else {}))
    for name, array in motion.to_arrays().items():
        assert np.isfinite(array).all(), name
    for note in motion.notes:
        assert note.isprintable() and len(note) < 1000, f"note {note!r}"
    if choice % _WRITES == 0:
        suffix = _WRITTEN[choice // _WRITES % len(_WRITTEN)]
        motion.save(path.with_name("written" + suffix))
    elif choice % _WRITES == 1:
        resample(motion, 30.0)


def _walk() -> Motion:
    return motion_from_joints(walking(_FRAMES).astype(np.float32), fps=20.0)


def own_motion() -> Motion:
    """Make a motion of three joints: files of it are small."""
    skeleton = Skeleton("own", ("a", "b", "c"), np.array([-1, 0, 1]), np.eye(3, dtype=np.float32))
    rotations = np.broadcast_to(np.eye(3), (_FRAMES, 3, 3, 3))
    return Motion.from_local(rotations, np.zeros((_FRAMES, 3)), skeleton, 30.0)


def _robot() -> Motion:
    return dance().motion.crop(0, _FRAMES)


def _smplx() -> Motion:
    skeleton = load_skeleton("smplx22")
    rotations = np.broadcast_to(np.eye(3), (_FRAMES, 22, 3, 3))
    return Motion.from_local(rotations, np.zeros((_FRAMES, 3)), skeleton, 30.0)


def saved(makers: Iterable[Callable[[], Motion]], format: str) -> list[bytes]:
    """Write motions as our writers do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        contents = []
        for maker in makers:
            maker().save(path, format)
            contents.append(path.read_bytes())
    return contents


def _field(*patterns: str) -> list[bytes]:
    """Small files of the kinds that people have."""
    folder = DATA / "field"
    return [path.read_bytes() for each in patterns for path in sorted(folder.glob(each))]


def _kimodo_npz() -> bytes:
    """What Kimodo writes: its arrays alone."""
    file = io.BytesIO()
    arrays: dict[str, Any] = dict(_smplx().to_arrays())
    np.savez(file, **arrays)
    return file.getvalue()


def _npz_seeds() -> Iterable[bytes]:
    return [
        *saved((own_motion, _walk), "npz"),
        _kimodo_npz(),
        *saved((_smplx,), "amass"),
        *saved((_robot,), "mjlab"),
        *_field("amass_smplx_stageii/*.npz"),
    ]


def _npy_seeds() -> Iterable[bytes]:
    joints = walking(_FRAMES).astype(np.float32)
    features = np.zeros((_FRAMES, 263), np.float32)
    batch = joints.transpose(1, 2, 0)[None]
    return [npy(joints), npy(features), npy(batch), npy(joints.astype(np.float64))]


def _amass_seeds() -> Iterable[bytes]:
    return [*saved((_smplx,), "amass"), *_field("amass_smplx_stageii/*.npz")]


def _results_seeds() -> Iterable[bytes]:
    joints = walking(_FRAMES).astype(np.float32)
    results = {"motion": joints.transpose(1, 2, 0)[None], "text": ["a"], "lengths": np.array([3])}
    objects = np.empty(2, object)
    objects[:] = [joints, joints]
    return [*_field("npy_mdm_results/*.npy"), npy(np.array(results, object)), npy(objects)]


def mutate_object_npy(rng: Any, data: bytes) -> bytes:
    """Change the pickle in an .npy, mostly."""
    start = data.find(b"\x80")
    start = data.find(b"\n") + 1 if b"\n" in data[:256] else start
    if start <= 0 or rng.random() < 0.1:
        return mutate_npy(rng, data)
    return data[:start] + mutate_pickle(rng, data[start:])


def _read_as(format: str, path: Path) -> None:
    motion = Motion.load(path, format)
    assert all(note.isprintable() for note in motion.notes)


def _motion(
    name: str, suffix: str, mutate: Mutator, seeds: Callable[[], Iterable[bytes]], **options: Any
) -> Target:
    return Target(name, partial(read, **options), mutate, seeds, f"m{suffix}")


TARGETS = (
    _motion(
        "bvh",
        ".bvh",
        havoc_text,
        lambda: [*saved((own_motion, _walk, _robot), "bvh"), *_field("bvh_*/*.bvh")],
        scale="guess",
    ),
    _motion(
        "glb",
        ".glb",
        mutate_glb,
        lambda: [*_field("glb_*/*.glb"), *saved((own_motion,), "glb")],
        animation=0,
    ),
    _motion(
        "gltf",
        ".gltf",
        mutate_gltf,
        lambda: [*_field("glb_*/*.gltf"), *saved((own_motion,), "gltf")],
    ),
    _motion("vrma", ".vrma", mutate_glb, lambda: saved((_walk, _smplx), "vrma")),
    _motion("npz", ".npz", mutate_archive, _npz_seeds),
    _motion("npy", ".npy", mutate_npy, _npy_seeds, scale="guess", z_up=True),
    _motion("results-npy", ".npy", mutate_object_npy, _results_seeds, sample=1),
    _motion("csv", ".csv", havoc_text, lambda: [*saved((_robot,), "csv"), *_field("csv_*/*")]),
    _motion("gmr", ".pkl", mutate_pickle, lambda: saved((_robot,), "gmr")),
    Target("amass", partial(_read_as, "amass"), mutate_archive, _amass_seeds, "m.npz"),
    Target(
        "tracking",
        partial(_read_as, "mjlab"),
        mutate_archive,
        lambda: [*saved((_robot,), "mjlab"), *saved((_robot,), "beyondmimic")],
        "m.npz",
    ),
)
