"""A list of requests on a cluster: Ray Data hands batches to actors, one a device.

Actors write files, each whole or absent; the driver alone writes the results file, in which a
request is listed once its files are there. So whatever is killed, at any moment: a batch that was
not finished is made again, by another actor or by the next run, with the same motions under the
same names. All see the output folder and the files that requests name under the same paths.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionrt.cli._batch import RESULTS, Batch, BatchItem, Prepared, ResultsFile, prepare
from motionrt.cli._report import judged, warning_lines
from motionrt.cli._shards import sample_keys, shard_path, void_shards, write_shard
from motionrt.cli._streams import tell
from motionrt.runtime.errors import BackendError, InputError, MotionrtError, one_line
from motionrt.runtime.memory import room
from motionrt.runtime.pipeline import MOST_ROWS

if TYPE_CHECKING:
    from motionrt.cli._output import Outputs
    from motionrt.cli._reading import Reading
    from motionrt.runtime.pipeline import Pipeline

LOCAL = "local"
"""Instead of an address: a cluster of this machine's own, for as long as the run lasts."""
_ANSWER_SECONDS = 10
MOST_TOGETHER = 16
"""Requests of a batch."""
MOST_LONGER = 1.5
"""A batch's longest request is at most so many times its shortest."""


@dataclass(frozen=True)
class RayRun:
    """How a list is run on a cluster."""

    address: str
    bundle: Path | None
    backend: str
    threads: int
    shards: str | None
    text_encoder: tuple[str, str | None] | None
    """A server's address and token."""


@dataclass(frozen=True)
class Work:
    """What an actor needs beside a batch."""

    run: RayRun
    folder: Path
    outputs: Outputs
    reading: Reading
    strict: bool


class Maker:
    """Makes batches: an actor, which loads the bundle once."""

    def __init__(self, work: Work) -> None:
        """Load the bundle."""
        from motionrt.runtime.pipeline import load

        self._work = work
        self._pipeline = load(work.run.bundle, work.run.backend, work.run.threads or 1)
        if work.run.text_encoder is not None:
            self._pipeline.use_text_encoder(*work.run.text_encoder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Make batches, one pickled in a row; return the results of each, as JSON."""
        made = [self.make(pickle.loads(items)) for items in batch["items"]]
        return {"results": [json.dumps(results) for results in made]}

    def make(self, items: Sequence[tuple[BatchItem, str]]) -> list[dict[str, Any]]:
        """Make requests, each with the key of its result, and write what comes of them."""
        work, family = self._work, self._pipeline.family
        start = time.perf_counter()
        results: list[dict[str, Any]] = []
        made: list[tuple[BatchItem, dict[str, Any], list[Any]]] = []
        asked = []
        for item, _ in items:
            asked.append(item.request.with_motions(family, work.reading.read_known))
        if self._pipeline.shares_calls:
            outcomes = self._pipeline.run_together(asked)
        else:
            outcomes = [self._pipeline.run_together([request])[0] for request in asked]
        for (item, key), outcome in zip(items, outcomes, strict=True):
            result: dict[str, Any] = {
                "name": item.name,
                "request": key,
                "prompt": " ".join(item.request.prompts),
                "seed": item.request.seed,
            }
            results.append(result)
            if isinstance(outcome.error, MotionrtError):
                result["error"] = str(outcome.error)
                continue
            motions = outcome.get()
            result["told"] = [f"note: {note}" for note in motions[0].notes]
            lines = warning_lines(motions)
            if lines and work.strict:
                result["refused"] = lines[0]
                continue
            result["told"] += [f"warning: {line}" for line in lines]
            result |= {"frames": [motion.num_frames for motion in motions], **judged(motions)}
            made.append((item, result, motions))
        if work.run.shards is None:
            for item, result, motions in made:
                outputs = work.outputs.of(item.request)
                files = outputs.write(motions, str(work.folder / item.name))
                result["files"] = [path.relative_to(work.folder).as_posix() for path in files]
        elif made:
            self._write_shard(work.run.shards, made)
        seconds = (time.perf_counter() - start) / len(items)
        return [{**result, "seconds": round(seconds, 3)} for result in results]

    def _write_shard(
        self, kind: str, made: Sequence[tuple[BatchItem, dict[str, Any], list[Any]]]
    ) -> None:
        named = [
            pair
            for item, _, motions in made
            for pair in zip(
                sample_keys(item.name, len(motions)),
                map(self._work.outputs.finished, motions),
                strict=True,
            )
        ]
        content = "".join(result["name"] + result["request"] for _, result, _ in made)
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        path = shard_path(self._work.folder, kind, key)
        write_shard(path, kind, named)
        place = path.relative_to(self._work.folder).as_posix()
        for _, result, _ in made:
            result |= {"files": [place], "shard": place, "of": len(made)}


def run_on_ray(run: RayRun, batch: Batch) -> None:
    """Run every request that is not done yet on a cluster, and say so line by line.

    What is done is told as `run_batch` tells it. InputError in the end if some could not be made,
    MotionError if some were left out for strict; the others are there.
    """
    items, folder = batch.items, batch.folder
    prepared = prepare(batch, run.shards)
    with ResultsFile(folder / RESULTS) as ledger:
        done = ledger.read()
        lost = void_shards(folder, done, lambda name: _is_done(prepared, done, name, folder))
        waiting = [
            index
            for index in prepared.order
            if items[index].name in lost or not _is_done(prepared, done, items[index].name, folder)
        ]
        failed = refused = made = 0
        if waiting:
            batches = batched(batch.pipeline, items, prepared, waiting)
            work = Work(run, folder.absolute(), batch.outputs, batch.reading, batch.strict)
            for results in _on_cluster(work, batches):
                told, shards = [], []
                for result in results:
                    name = result["name"]
                    for line in result.pop("told", []):
                        tell(f"{name}: {line}")
                    if error := result.get("error") or result.get("refused"):
                        tell(f"Error: {name}: {one_line(error)}")
                        failed += "error" in result
                        refused += "refused" in result
                        continue
                    told.append(result)
                    shards += [folder / file for file in result["files"]]
                ledger.add_all(told, shards)
                for result in told:
                    made += 1
                    batch.tell(
                        result,
                        f"{made}/{len(waiting)} {result['name']}: {result['frames'][0]} "
                        f"frames, seed {result['seed']}, {folder / result['files'][0]}",
                    )
    batch.tell_kept(made, len(items) - len(waiting))
    if failed:
        raise InputError(f"{folder}: {failed} of {len(items)} could not be made, as told above")
    if refused:
        raise batch.left_out(refused)


def batched(
    pipeline: Pipeline, items: Sequence[BatchItem], prepared: Prepared, waiting: Sequence[int]
) -> list[list[tuple[BatchItem, str]]]:
    """Put requests of like length together, the shortest first, as far as memory allows."""
    most = (room() or 1 << 32) // 4
    batches: list[list[tuple[BatchItem, str]]] = []
    rows = memory = shortest = 0
    for index in waiting:
        item, frames = items[index], prepared.frames[index]
        own = item.request.num_samples * (
            1 if item.request.multi_prompt else len(item.request.prompts)
        )
        needed = pipeline.memory_of(item.request, frames)
        fits = (
            batches
            and len(batches[-1]) < MOST_TOGETHER
            and rows + own <= MOST_ROWS
            and memory + needed <= most
            and sum(frames) <= MOST_LONGER * shortest
        )
        if not fits:
            batches.append([])
            rows = memory = 0
            shortest = sum(frames)
        batches[-1].append((item, prepared.keys[item.name]))
        rows += own
        memory += needed
    return batches


def _is_done(prepared: Prepared, done: dict[str, dict[str, Any]], name: str, folder: Path) -> bool:
    known = done.get(name, {})
    return known.get("request") == prepared.keys.get(name, "") and all(
        (folder / file).is_file() for file in known["files"]
    )


def check_reached(address: str) -> None:
    """Raise BackendError if nothing answers at a cluster's ``host:port``; Ray tries for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # auto, local, or a name that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, UnicodeError, OverflowError) as error:
        raise BackendError(
            f"--ray {address}: no cluster answers there ({one_line(error, 100)})"
        ) from None


def _on_cluster(
    work: Work, batches: Sequence[list[tuple[BatchItem, str]]]
) -> Iterator[list[dict[str, Any]]]:
    """Yield the results of each batch as it is done, in any order."""
    # Ray would send figures on its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised
    from motionrt.cli._extras import needing

    with needing("ray", "gen --ray"):
        import ray
        import ray.data

    for name in ("ray", "ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)
    local = work.run.address == LOCAL
    check_reached(work.run.address)
    try:
        ray.init(
            address=LOCAL if local else work.run.address,
            include_dashboard=False if local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # of many kinds
        raise BackendError(
            f"--ray {work.run.address}: no cluster is to be had there ({one_line(error, 200)})"
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = False
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if work.run.backend != "cpu" else 0
        threads = work.run.threads or 1
        actors = gpus or max(1, int(resources.get("CPU", 1)) // threads)
        rows = [{"items": pickle.dumps(batch)} for batch in batches]
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Maker,
            fn_constructor_args=(work,),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(rows))),
            num_gpus=1 if gpus else 0,
            num_cpus=1 if gpus else threads,
        )
        for row in data.iter_rows():
            yield json.loads(row["results"])
    except ray.exceptions.RayError as error:
        raise BackendError(f"--ray {work.run.address}: {one_line(error, 300)}") from error
    finally:
        ray.shutdown()
