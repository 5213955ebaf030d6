"""A list of requests, run one after another, that a killed run takes up where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from motionrt.cli._report import judged, warn
from motionrt.cli._streams import tell
from motionrt.runtime.errors import InputError, MotionError, one_line
from motionrt.runtime.families import Family
from motionrt.runtime.files import check_writable, make_folder, sync_file, sync_folder
from motionrt.runtime.request import Request

if TYPE_CHECKING:
    from motionrt.cli._output import Outputs
    from motionrt.cli._reading import Reading
    from motionrt.runtime.pipeline import Pipeline

RESULTS = "results.jsonl"
"""In the output folder: one line for each request that is done."""


@dataclass(frozen=True)
class BatchItem:
    """One line of the list."""

    name: str
    """Of its files."""
    request: Request


@dataclass(frozen=True)
class Batch:
    """A list, where its motions go, and how it is told of."""

    pipeline: Pipeline
    items: Sequence[BatchItem]
    folder: Path
    outputs: Outputs
    reading: Reading
    strict: bool = False
    """Leave out what there is a warning of."""
    quiet: bool = False
    as_json: bool = False

    def tell(self, result: Mapping[str, Any], line: str) -> None:
        """Print what was made, as it is wanted."""
        if self.as_json:
            click.echo(json.dumps(result))
        elif not self.quiet:
            click.echo(line)

    def tell_kept(self, made: int, kept: int) -> None:
        """Print how many were done already, if some were."""
        if not kept:
            return
        which = "all" if kept == len(self.items) else f"{kept} of"
        self.tell(
            {"made": made, "kept": kept, "folder": str(self.folder)},
            f"{self.folder}: {which} {len(self.items)} were done already",
        )

    def left_out(self, refused: int) -> MotionError:
        """Return the error that says how many were left out for strict."""
        return MotionError(
            f"{self.folder}: {refused} of {len(self.items)} are not written, for --strict"
        )


def read_items(path: Path, family: Family, defaults: Mapping[str, Any]) -> list[BatchItem]:
    """Read a list: a prompt a line, or JSONL, whose lines are prompts or objects.

    The suffix .jsonl or the first line tells which it is; of a list of prompts, lines that begin
    with ``#`` are left out. An object is a request's JSON form, with ``name`` (of its files; the
    number of its line if not given) beside it. What it leaves open is taken from defaults; without
    a seed it gets the defaults' one, or 0, plus the number of its line. Files are relative to the
    list. InputError names the first line that is wrong.
    """
    try:
        # Lines end in \n alone: JSON may hold what else ends a line for Python.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from error
    first = next((line.strip() for line in lines if line.strip()), "")
    is_json = path.suffix.lower() == ".jsonl" or first.startswith(tuple('{["'))
    items: dict[str, BatchItem] = {}
    first_seed = defaults.get("seed") or 0
    for number, line in enumerate(lines):
        if not line.strip() or (not is_json and line.lstrip().startswith("#")):
            continue
        place = f"{path}:{number + 1}"
        try:
            entry = json.loads(line) if is_json else line.strip()
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{place}: no JSON ({error}); a list of plain prompts is a .txt"
            ) from error
        entry = {"prompt": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict):
            raise InputError(f"{place}: expected a prompt, or an object with one")
        name = entry.pop("name", f"{number:04d}")
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not _is_file_name(name):
            raise InputError(f"{place}: name {one_line(repr(name), 80)} is no file name")
        if name in items:
            raise InputError(f"{place}: name {name!r} is taken already")
        filled = {**defaults, "seed": first_seed + number}
        try:
            request = Request.from_json(entry, family, path.parent, filled)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        items[name] = BatchItem(name, request)
    if not items:
        raise InputError(f"{path}: holds no prompt")
    return list(items.values())


def _is_file_name(name: object) -> bool:
    """Say whether a name can be that of a file, with a suffix behind it, on every system."""
    if not isinstance(name, str) or not name.isprintable():
        return False
    plain = name == Path(name).name and name not in ("", ".", "..")
    return plain and not set(name) & set('\\:*?"<>|')


@dataclass(frozen=True)
class Prepared:
    """What is known of a list before it is run."""

    frames: Sequence[Sequence[int]]
    """Of each prompt of each request."""
    keys: Mapping[str, str]
    """By name: a hash of all that a result depends on."""

    @property
    def order(self) -> list[int]:
        """Requests by their place in the list, the shortest first."""
        return sorted(range(len(self.frames)), key=lambda index: sum(self.frames[index]))


def prepare(batch: Batch, shards: str | None = None) -> Prepared:
    """Check a list, and that its results can be written; InputError says what is wrong.

    shards is the kind of file that holds many of them, if they are not to be files of their own.
    """
    pipeline, items, outputs = batch.pipeline, batch.items, batch.outputs
    family = pipeline.family
    batch.reading.check([file for item in items for file in item.request.motion_files(family)])
    frames = [_frames(pipeline, item) for item in items]
    outputs.check_rate([sum(each) for each in frames], pipeline.fps)
    keys = {item.name: _key(batch, item, shards) for item in items}
    check_writable(batch.folder / RESULTS)
    for item in items if shards is None else ():
        outputs.of(item.request).check(str(batch.folder / item.name))
    return Prepared(frames, keys)


def run_batch(batch: Batch) -> None:
    """Run every request that is not done yet, the shortest first, and say so line by line.

    Each is a run of its own, so its motion is that of ``gen`` with its prompt and seed. Done is
    what the results file lists with the same content (of the request, the files that it names, the
    bundle and what is written of it) and whose files are there. MotionError at the end if some
    were left out for strict.
    """
    pipeline, items, folder = batch.pipeline, batch.items, batch.folder
    family = pipeline.family
    prepared = prepare(batch)
    keys = prepared.keys
    made = refused = 0
    with ResultsFile(folder / RESULTS) as results:
        done = results.read()
        for count, index in enumerate(prepared.order, 1):
            item = items[index]
            known = done.get(item.name, {})
            if known.get("request") == keys[item.name] and all(
                (folder / name).is_file() for name in known["files"]
            ):
                continue
            start = time.perf_counter()
            motions = pipeline.run(item.request.with_motions(family, batch.reading.read_known))
            notes = [f"note: {note}" for note in motions[0].notes]
            for line in notes + pipeline.hints(item.request.prompts):
                tell(f"{item.name}: {line}")
            try:
                warn(motions, batch.strict, item.name)
            except MotionError as error:
                tell(f"Error: {error}")
                refused += 1
                continue
            files = batch.outputs.of(item.request).write(motions, str(folder / item.name))
            result = {
                "name": item.name,
                "request": keys[item.name],
                "prompt": " ".join(item.request.prompts),
                "seed": item.request.seed,
                "frames": [motion.num_frames for motion in motions],
                **judged(motions),
                "seconds": round(time.perf_counter() - start, 3),
                "files": [path.relative_to(folder).as_posix() for path in files],
            }
            results.add(result, files)
            made += 1
            batch.tell(
                result,
                f"{count}/{len(items)} {item.name}: {motions[0].num_frames} frames in "
                f"{result['seconds']:.2f} s, seed {item.request.seed}, {files[0]}",
            )
    batch.tell_kept(made, len(items) - made - refused)
    if refused:
        raise batch.left_out(refused)


def _frames(pipeline: Pipeline, item: BatchItem) -> list[int]:
    try:
        frames = pipeline.frames_of(item.request)
        if not item.request.motion_files(pipeline.family):  # they are read when they are needed
            pipeline.check(item.request, frames)
        return frames
    except InputError as error:
        raise InputError(f"{item.name}: {error}") from None


def _key(batch: Batch, item: BatchItem, shards: str | None) -> str:
    """Hash all that a result depends on."""
    manifest = batch.pipeline.bundle.manifest_bytes()
    asked: tuple[str, ...] = (
        item.request.digest(batch.pipeline.family),
        item.name,
        repr(batch.outputs),
        repr(batch.reading),
    )
    if shards is not None:
        asked += (shards,)
    return hashlib.sha256(manifest + repr(asked).encode()).hexdigest()[:16]


class ResultsFile:
    """The list of what is done: a line that is in it outlives a power cut, and so do its files."""

    def __init__(self, path: Path) -> None:
        """Open the list, or begin one; InputError if it cannot be written."""
        self.path = path
        try:
            make_folder(path.parent)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: cannot write ({error.strerror})") from error
        if not path.is_file():  # a device would be read without end
            self._file.close()
            raise InputError(f"{path}: is no file; remove it, or choose another --output")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> dict[str, dict[str, Any]]:
        """Return what is done by name; a line that was cut off does not count."""
        done = {}
        self._file.seek(0)
        content = self._file.read().decode("utf-8", errors="replace")
        for line in content.split("\n"):
            try:
                entry = json.loads(line)
                names = [Path(name) for name in entry["files"]]
                done[str(entry["name"])] = {
                    **{key: entry[key] for key in ("request", "shard", "of") if key in entry},
                    "files": names,
                }
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        if content and not content.endswith("\n"):
            self._write(b"\n")  # the run before was stopped in a line
        return done

    def add(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Add a line for files that are written; InputError if the disk is full."""
        self.add_all([result], files)

    def add_all(self, results: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> None:
        """Add a line for each of several results, whose files are written."""
        for folder in {file.parent for file in files}:
            sync_folder(folder)
        self._write(b"".join(json.dumps(result).encode() + b"\n" for result in results))

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._file.write(line) :]
            sync_file(self._file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot write ({error.strerror})") from error
