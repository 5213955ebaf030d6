"""Requests that wait for a bundle, run in batches, and keep what they made until it is fetched.

What is accepted is never dropped while somebody may still want it: what does not fit is refused
when it is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from starlette.exceptions import HTTPException

from motionrt.runtime.backend.meeting import MOST_PADDING, Outcome
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError, MotionrtError
from motionrt.runtime.memory import FLOAT, room
from motionrt.runtime.options import FILE_KINDS
from motionrt.runtime.pipeline import MOST_ROWS, Pipeline
from motionrt.runtime.request import Request
from motionrt.serving.meters import Meters

PATIENCE_SECONDS = 60.0
"""What nobody has fetched by then makes room for others."""
_FLOATS_A_JOINT = 24
"""Of a motion that is kept: rotations and positions, and what is kept beside them."""
_PARSED = 12
"""Bytes that a byte of a request's JSON takes once it is parsed, about."""
_OVERHEAD = 1 << 14
_LEAST_MEMORY = 1 << 28


@dataclasses.dataclass(frozen=True)
class JobLimits:
    """What may be asked for, and how much is kept."""

    seconds: float = 60.0
    """Of one motion, its parts together."""
    motions: int = 16
    """Of one request: samples, times prompts where these are motions of their own."""
    steps: int = 250
    waiting: int = 512
    """Jobs that wait, of all bundles; more are refused with 503."""
    of_client: int = 256
    """Those of one address, running ones included; more are refused with 429."""
    together: int = 16
    """Requests that share calls of a bundle's sampler."""
    kept_seconds: float = 600.0
    """Finished jobs are forgotten after it."""
    recent_seconds: float = 5.0
    """While the server stops, the client of a job that is done is still expected for so long."""
    memory_bytes: int | None = None
    """One half for what runs, one for what waits and is kept. None: half of what can be had."""


class State(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = (State.DONE, State.FAILED, State.CANCELLED)


@dataclasses.dataclass(eq=False)
class Served:
    """A bundle that is served."""

    name: str
    pipeline: Pipeline
    queue: list[Job] = dataclasses.field(default_factory=list)
    running: list[Job] = dataclasses.field(default_factory=list)


class _Cancelled(Exception):
    """Raised between steps of a job that nobody wants any more."""


@dataclasses.dataclass(eq=False)
class Job:
    """One request and what became of it; to be used from the event loop, but for `progress`."""

    bundle: Served
    request: Request
    frames: tuple[int, ...]
    client: str
    bytes_kept: int
    """While it waits and runs, and of its motions afterwards."""
    bytes_run: int
    key: tuple[Any, ...]
    """Equal for jobs that may share calls."""
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    state: State = State.WAITING
    stage: tuple[str, int, int] | None = None
    motions: list[Motion] = dataclasses.field(default_factory=list)
    hints: list[str] = dataclasses.field(default_factory=list)
    error: str | None = None
    is_their_fault: bool = False
    """The request was wrong; otherwise the server failed."""
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    fetched: bool = False
    cancelled: bool = False
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set and replaced at every change."""

    @property
    def num_motions(self) -> int:
        """How many motions it makes."""
        several = 1 if self.request.multi_prompt else len(self.request.prompts)
        return several * self.request.num_samples

    def touch(self) -> None:
        """Wake all who wait for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def end(self) -> None:
        """Wait until it has ended."""
        while self.state not in ENDS:
            await self.changed.wait()


class Jobs:
    """Accepts jobs, runs those of a bundle in batches in a thread of its own, keeps results.

    To be used from one event loop.
    """

    def __init__(
        self,
        bundles: Sequence[Served],
        limits: JobLimits | None = None,
        meters: Meters | None = None,
        report: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the bundles; report is told of errors that nobody foresaw."""
        self.limits = limits or JobLimits()
        self._bundles = list(bundles)
        self._meters = meters or Meters([bundle.name for bundle in bundles])
        self._report = report
        self._clock = clock
        memory = self.limits.memory_bytes
        if memory is None:
            memory = max((room() or 4 * _LEAST_MEMORY) // 2, _LEAST_MEMORY)
        self._most_kept = self._most_run = memory // 2
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._clients: Counter[str] = Counter()
        self._kept = 0
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._threads = {b.name: ThreadPoolExecutor(1, f"bundle-{b.name}") for b in self._bundles}
        self._loop: asyncio.AbstractEventLoop | None = None

    # What is asked

    def accept(self, bundle: Served, request: Request, client: str, size: int) -> Job:
        """Let a request wait for its turn; size is that of its JSON in bytes.

        InputError if it asks for what there is not or for more than is allowed, HTTPException if
        there is no room for it now.
        """
        frames = self._checked(bundle, request)
        self._forget()
        limits = self.limits
        if self._clients[client] >= limits.of_client:
            raise self._refusal(bundle, 429, "too many requests of yours wait")
        if sum(len(each.queue) for each in self._bundles) >= limits.waiting:
            raise self._refusal(bundle, 503, "too many requests wait")
        joints = bundle.pipeline.skeleton.num_joints
        floats = sum(frames) * request.num_samples * joints * _FLOATS_A_JOINT
        bytes_kept = floats * FLOAT + size * _PARSED + _OVERHEAD
        if bytes_kept > self._most_kept:
            raise InputError("so many motions fit in no answer here: ask for fewer or shorter ones")
        if not self._make_room(bytes_kept):
            raise self._refusal(bundle, 503, "too many results wait to be fetched")
        bytes_run = bundle.pipeline.memory_of(request, frames)
        job = Job(
            bundle, request, tuple(frames), client, bytes_kept, bytes_run, _key(bundle, request)
        )
        job.created = self._clock()
        self._kept += bytes_kept
        self._clients[client] += 1
        self._jobs[job.id] = job
        bundle.queue.append(job)
        self._meters.waiting(bundle.name, len(bundle.queue))
        self._meters.kept(self._kept)
        self._wake(bundle)
        return job

    def find(self, id: str) -> Job | None:
        """Return a job that is known; None if there is none, or it was forgotten."""
        self._forget()
        return self._jobs.get(id)

    def cancel(self, job: Job) -> None:
        """Let a job end before it is done; forget one that has ended."""
        if job.state in ENDS:
            self.forget(job)
            return
        job.cancelled = True
        if job.state is State.WAITING:
            job.bundle.queue.remove(job)
            self._meters.waiting(job.bundle.name, len(job.bundle.queue))
            self._end(job, State.CANCELLED)

    def forget(self, job: Job) -> None:
        """Forget a job that has ended, and its motions."""
        if self._jobs.pop(job.id, None) is not None:
            self._kept -= job.bytes_kept
            self._meters.kept(self._kept)

    def position(self, job: Job) -> int | None:
        """Return how many wait before a job; None if it does not wait."""
        return job.bundle.queue.index(job) if job.state is State.WAITING else None

    def finished(self) -> bool:
        """Return whether nothing waits or runs, and no client is about to ask for its motions."""
        recent = self._clock() - self.limits.recent_seconds
        expected = any(
            job.state is State.DONE and not job.fetched and job.ended > recent
            for job in self._jobs.values()
        )
        return not (expected or any(each.queue or each.running for each in self._bundles))

    def close(self) -> None:
        """Let all that still waits or runs end soon; callable when the loop has ended."""
        for bundle in self._bundles:
            for job in (*bundle.queue, *bundle.running):
                job.cancelled = True
            bundle.queue.clear()
        for thread in self._threads.values():
            thread.shutdown(cancel_futures=True)

    # How it is run

    def _checked(self, bundle: Served, request: Request) -> list[int]:
        limits = self.limits
        several = 1 if request.multi_prompt else len(request.prompts)
        count = several * request.num_samples
        if count > limits.motions:
            raise InputError(f"{count} motions: this server makes {limits.motions} a request")
        steps = request.options.get("num_steps")
        if isinstance(steps, int) and steps > limits.steps:
            raise InputError(f"{steps} steps: this server takes {limits.steps}")
        pipeline = bundle.pipeline
        frames = pipeline.frames_of(request)
        longest = sum(frames) if request.multi_prompt else max(frames)
        if longest > limits.seconds * pipeline.fps:
            raise InputError(
                f"{round(longest / pipeline.fps, 2):g} s: this server makes {limits.seconds:g} s "
                "at most"
            )
        needed = pipeline.memory_of(request, frames)
        if needed > self._most_run:
            raise InputError(
                f"it would take about {needed / 1e9:.1f} GB of memory, this server gives "
                f"{self._most_run / 1e9:.1f} GB: ask for fewer or shorter motions"
            )
        pipeline.check(request, frames)
        return frames

    def _refusal(self, bundle: Served, status: int, why: str) -> HTTPException:
        self._meters.ended(bundle.name, "refused")
        return HTTPException(status, f"{why}; ask again later", {"Retry-After": "1"})

    def _wake(self, bundle: Served) -> None:
        self._loop = asyncio.get_running_loop()
        worker = self._workers.get(bundle.name)
        if worker is None or worker.done():
            self._workers[bundle.name] = self._loop.create_task(self._work(bundle))

    async def _work(self, bundle: Served) -> None:
        """Run what waits, batch by batch, until nothing does."""
        loop = asyncio.get_running_loop()
        while bundle.queue:
            batch = self._next(bundle)
            bundle.running = batch
            now = self._clock()
            for job in batch:
                job.state, job.started = State.RUNNING, now
                self._meters.waited(bundle.name, now - job.created)
                job.touch()
            self._meters.began(bundle.name, sum(job.num_motions for job in batch), len(batch))
            self._meters.waiting(bundle.name, len(bundle.queue))
            try:
                outcomes = await loop.run_in_executor(self._threads[bundle.name], self._run, batch)
            except Exception as error:  # or those who wait for it would wait for ever
                outcomes = [Outcome(error=error) for _ in batch]
            bundle.running = []
            self._meters.began(bundle.name, 0, 0)
            for job, outcome in zip(batch, outcomes, strict=True):
                self._settle(job, outcome)

    def _next(self, bundle: Served) -> list[Job]:
        """Take the job that has waited longest, and those that may share its calls."""
        first = bundle.queue.pop(0)
        batch, rows, memory = [first], first.num_motions, first.bytes_run
        if not bundle.pipeline.shares_calls:
            return batch
        low = high = sum(first.frames)
        for job in list(bundle.queue):
            shortest, longest = min(low, sum(job.frames)), max(high, sum(job.frames))
            if (
                len(batch) < self.limits.together
                and job.key == first.key
                and longest <= MOST_PADDING * shortest
                and rows + job.num_motions <= MOST_ROWS
                and memory + job.bytes_run <= self._most_run
            ):
                bundle.queue.remove(job)
                batch.append(job)
                rows += job.num_motions
                memory += job.bytes_run
                low, high = shortest, longest
        return batch

    def _run(self, batch: Sequence[Job]) -> list[Outcome[list[Motion]]]:
        """Run a batch, in the bundle's thread."""
        pipeline = batch[0].bundle.pipeline
        outcomes = pipeline.run_together(
            [job.request for job in batch], [self._progress(job) for job in batch]
        )
        for job in batch:
            with contextlib.suppress(MotionrtError):  # a hint is not worth an error
                job.hints = pipeline.hints(job.request.prompts)
        return outcomes

    def _progress(self, job: Job) -> Callable[[str, int, int], None]:
        loop = self._loop
        assert loop is not None

        def told(stage: str, done: int, total: int) -> None:
            if job.cancelled:
                raise _Cancelled
            job.stage = stage, done, total
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(job.touch)

        return told

    def _settle(self, job: Job, outcome: Outcome[list[Motion]]) -> None:
        error = outcome.error
        if job.cancelled or isinstance(error, _Cancelled):
            self._end(job, State.CANCELLED)
            return
        if error is None:
            job.motions = outcome.get()
            seconds = sum(motion.seconds for motion in job.motions)
            self._meters.made(job.bundle.name, seconds, self._clock() - job.started)
            self._end(job, State.DONE)
            return
        job.is_their_fault = isinstance(error, InputError)
        job.error = str(error) if isinstance(error, MotionrtError) else "internal error"
        if not isinstance(error, MotionrtError):
            self._report(f"{job.bundle.name}: {type(error).__name__}: {error}")
        self._end(job, State.FAILED)

    def _end(self, job: Job, state: State) -> None:
        job.state, job.ended = state, self._clock()
        if state is not State.DONE:
            self._kept -= job.bytes_kept - _OVERHEAD
            job.bytes_kept = _OVERHEAD
        # What was asked may be large, and is not needed any more.
        job.request = dataclasses.replace(job.request, options={})
        self._clients[job.client] -= 1
        if not self._clients[job.client]:
            del self._clients[job.client]
        self._meters.ended(job.bundle.name, state.value)
        self._meters.kept(self._kept)
        job.touch()

    # What is kept

    def _forget(self) -> None:
        """Forget what ended long ago."""
        late = self._clock() - self.limits.kept_seconds
        for job in [job for job in self._jobs.values() if job.state in ENDS and job.ended < late]:
            self.forget(job)

    def _make_room(self, size: int) -> bool:
        """Forget what was fetched or given up, the oldest first, until so much fits."""
        given_up = self._clock() - PATIENCE_SECONDS
        for job in list(self._jobs.values()):
            if self._kept + size <= self._most_kept:
                break
            if job.state in ENDS and (job.fetched or job.ended < given_up):
                self.forget(job)
        return self._kept + size <= self._most_kept


def _key(bundle: Served, request: Request) -> tuple[Any, ...]:
    """Return what two requests must have in common to share calls: all but what is held."""
    options = bundle.pipeline.family.options
    plain = {
        name: repr(value)
        for name, value in request.options.items()
        if options[name].kind not in FILE_KINDS
    }
    return (request.multi_prompt, len(request.prompts), *sorted(plain.items()))
