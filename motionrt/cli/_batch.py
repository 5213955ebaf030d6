"""A list of prompts, generated one after another, that a killed run takes up where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.sampling.noise import MAX_SEED
from motionrt.runtime.text.prompt import split_prompt

RESULTS = "results.jsonl"
"""In the output folder: one line for each prompt that is done."""
_KEYS = {"prompt", "seconds", "seed", "name", "constraints"}


@dataclass(frozen=True)
class BatchItem:
    """One line of the list."""

    name: str
    prompt: str
    duration: str
    seed: int
    constraints: Path | None


def read_items(path: Path, duration: str, seed: int | None) -> list[BatchItem]:
    """Read a JSONL list: a prompt a line, as a string or as an object.

    An object has ``prompt`` and may have ``seconds`` (a number, or as --duration), ``seed``,
    ``name`` (of its files; the number of its line if not given) and ``constraints`` (a file,
    relative to the list). Without a seed it gets the given one, or 0, plus the number of its line.
    InputError names the first line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    items: dict[str, BatchItem] = {}
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        place = f"{path}:{number + 1}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise InputError(f"{place}: no JSON ({error})") from error
        entry = {"prompt": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
            raise InputError(f"{place}: expected a prompt, or an object with one")
        if unknown := sorted(set(entry) - _KEYS):
            raise InputError(
                f"{place}: unknown key {unknown[0]} (known: {', '.join(sorted(_KEYS))})"
            )
        name = str(entry.get("name", f"{number:04d}"))
        if not name or name != Path(name).name or name in (".", ".."):
            raise InputError(f"{place}: name {name!r} is no file name")
        if name in items:
            raise InputError(f"{place}: name {name!r} is taken already")
        own = entry.get("seed", (seed or 0) + number)
        if isinstance(own, bool) or not isinstance(own, int) or not 0 <= own <= MAX_SEED:
            raise InputError(f"{place}: seed {own!r}: must be from 0 to {MAX_SEED}")
        constraints = entry.get("constraints")
        items[name] = BatchItem(
            name,
            entry["prompt"],
            str(entry.get("seconds", duration)),
            own,
            path.parent / str(constraints) if constraints is not None else None,
        )
    if not items:
        raise InputError(f"{path}: holds no prompt")
    return list(items.values())


def run_batch(
    pipeline: Pipeline,
    items: Sequence[BatchItem],
    folder: Path,
    num_samples: int,
    options: Mapping[str, Any],
    save: Callable[[list[Motion], str], list[Path]],
    quiet: bool,
    as_json: bool,
) -> None:
    """Generate every item that is not done yet, the shortest first, and say so line by line.

    Each is a run of its own, so its motion is that of ``gen`` with its prompt and seed. Done is
    what the results file lists with the same request and whose files are there; save writes motions
    below a stem and returns their files.
    """
    requests = [_prepare(pipeline, item, options) for item in items]
    manifest = hashlib.sha256((pipeline.bundle.folder / "manifest.json").read_bytes()).hexdigest()
    digests = {}
    for item, (prompts, seconds, settings) in zip(items, requests, strict=True):
        asked = (manifest, item.name, prompts, seconds, item.seed, num_samples, sorted(settings))
        values = [str(settings[key]) for key in sorted(settings)]
        digests[item.name] = hashlib.sha256(repr((asked, values)).encode()).hexdigest()[:16]
    done = _read_results(folder / RESULTS)
    order = sorted(range(len(items)), key=lambda i: _length(requests[i]))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RESULTS).open("a", encoding="utf-8") as results:
        if results.tell() and not (folder / RESULTS).read_bytes().endswith(b"\n"):
            results.write("\n")  # the run before was stopped in a line
        for count, index in enumerate(order):
            item, (prompts, seconds, settings) = items[index], requests[index]
            known = done.get(item.name, {})
            if known.get("request") == digests[item.name] and all(
                (folder / name).is_file() for name in known["files"]
            ):
                continue
            start = time.perf_counter()
            made = pipeline.generate(
                prompts, seconds, seed=item.seed, num_samples=num_samples, **settings
            )
            for hint in pipeline.hints([prompts] if isinstance(prompts, str) else prompts):
                click.echo(f"{item.name}: {hint}", err=True)
            motions = made if isinstance(made, list) else [made]
            files = save(motions, str(folder / item.name))
            result = {
                "name": item.name,
                "request": digests[item.name],
                "prompt": item.prompt,
                "seed": item.seed,
                "frames": [motion.num_frames for motion in motions],
                "seconds": round(time.perf_counter() - start, 3),
                "files": [path.relative_to(folder).as_posix() for path in files],
            }
            results.write(json.dumps(result) + "\n")
            results.flush()
            if as_json:
                click.echo(json.dumps(result))
            elif not quiet:
                click.echo(
                    f"{count + 1}/{len(items)} {item.name}: {motions[0].num_frames} frames in "
                    f"{result['seconds']:.2f} s, seed {item.seed}, {files[0]}"
                )


def _prepare(
    pipeline: Pipeline, item: BatchItem, options: Mapping[str, Any]
) -> tuple[str | list[str], float, dict[str, Any]]:
    """Return what ``Pipeline.generate`` is called with: prompts, seconds, options."""
    settings = dict(options)
    if item.constraints is not None:
        settings["constraints"] = item.constraints
    if not pipeline.takes_sequences:
        try:
            return item.prompt, float(item.duration), settings
        except ValueError:
            raise InputError(f"{item.name}: seconds {item.duration!r}: expected a number") from None
    prompts, frames = split_prompt(item.prompt, item.duration, pipeline.fps)
    return prompts, 0.0, {**settings, "multi_prompt": True, "num_frames": frames}


def _length(request: tuple[str | list[str], float, dict[str, Any]]) -> float:
    frames = request[2].get("num_frames")
    return float(sum(frames)) if frames else request[1]


def _read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is done by name; a line that was cut off does not count."""
    done = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                done[str(entry["name"])] = {
                    "request": entry["request"],
                    "files": list(entry["files"]),
                }
            except (ValueError, KeyError, TypeError):
                continue
    return done
