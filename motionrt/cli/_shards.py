"""Many motions in one file: Parquet tables and WebDataset archives, for training.

A shard is whole or absent, as every file that we write. The results file says which requests are in
which shard; one that it does not know in full is void (`void_shards`).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion

FOLDER = "shards"
"""In the output folder."""
ENDINGS = {"parquet": ".parquet", "webdataset": ".tar"}
ARRAYS = ("local_rotations", "root_positions", "posed_joints", "foot_contacts")
"""Of a row in Parquet: numbers frame by frame, one list."""

Named = Sequence[tuple[str, "Motion"]]
"""Motions with the keys of their samples."""


def shard_path(folder: Path, kind: str, key: str) -> Path:
    """Return where the shard of a batch lies; key is of what is in it."""
    return folder / FOLDER / f"{key}{ENDINGS[kind]}"


def write_shard(path: Path, kind: str, motions: Named) -> None:
    """Write motions into a shard: a row each of Parquet, or NAME.npz with NAME.json in a tar."""
    with atomic_file(path) as temporary:
        if kind == "parquet":
            _write_parquet(temporary, motions)
        else:
            _write_tar(temporary, motions)


def void_shards(
    folder: Path, done: Mapping[str, Mapping[str, Any]], is_current: Callable[[str], bool]
) -> set[str]:
    """Remove shards that do not count, and return the names of results that were in them.

    done is what the results file lists, by name. A shard counts if every request in it is listed
    and still asked for as it is: a run that is stopped between a shard and its lines, or a request
    that changes, would leave a motion in two shards.
    """
    listed: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for name, result in done.items():
        if "shard" in result:
            listed.setdefault(result["shard"], []).append(name)
            sizes[result["shard"]] = result["of"]
    lost: set[str] = set()
    for path in sorted((folder / FOLDER).glob("*")):
        if path.suffix not in ENDINGS.values():
            continue
        place = f"{FOLDER}/{path.name}"
        names = listed.get(place, [])
        if len(names) != sizes.get(place) or not all(map(is_current, names)):
            path.unlink()
            lost.update(names)
    return lost


def _write_tar(path: Path, motions: Named) -> None:
    with tarfile.open(path, "w") as archive:
        for key, motion in motions:
            parts = {"npz": _npz(motion), "json": json.dumps(motion.info, default=str).encode()}
            for ending, data in parts.items():
                member = tarfile.TarInfo(f"{key}.{ending}")  # no times, no owners: same bytes
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _npz(motion: Motion) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="motionrt-") as folder:
        file = Path(folder) / "motion.npz"
        motion.save(file)
        return file.read_bytes()


def _write_parquet(path: Path, motions: Named) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        from motionrt.runtime.extras import pip_command

        raise InputError(f"Parquet needs {error.name}; {pip_command('ray')}") from error
    rows = [_row(key, motion) for key, motion in motions]
    floats = pyarrow.list_(pyarrow.float32())
    schema = pyarrow.schema(
        [
            ("name", pyarrow.string()),
            ("prompt", pyarrow.string()),
            ("seed", pyarrow.int64()),
            ("fps", pyarrow.float32()),
            ("num_frames", pyarrow.int32()),
            ("skeleton", pyarrow.string()),
            ("joint_names", pyarrow.list_(pyarrow.string())),
            *((name, floats) for name in ARRAYS[:3]),
            (ARRAYS[3], pyarrow.list_(pyarrow.bool_())),
            ("info", pyarrow.string()),
        ]
    )
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    pyarrow.parquet.write_table(table, path, compression="zstd")


def _row(key: str, motion: Motion) -> dict[str, Any]:
    arrays = {name: getattr(motion, name) for name in ARRAYS}
    return {
        "name": key,
        "prompt": motion.info.get("prompt"),
        "seed": motion.info.get("seed"),
        "fps": motion.fps,
        "num_frames": motion.num_frames,
        "skeleton": motion.skeleton.name,
        "joint_names": list(motion.skeleton.joint_names),
        **{key: None if value is None else value.ravel() for key, value in arrays.items()},
        "info": json.dumps(motion.info, default=str),
    }


def sample_keys(name: str, count: int) -> Iterable[str]:
    """Return the keys of a request's motions: its name, or NAME_00 and so on."""
    return [name] if count == 1 else [f"{name}_{number:02d}" for number in range(count)]
