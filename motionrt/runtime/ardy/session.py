"""A stream as a game or a robot uses it: frames as time goes by, steered while they play."""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.clock import Elapsed, check_seconds, in_time
from motionrt.runtime.ardy.constraints import check_groups
from motionrt.runtime.ardy.control_rate import ControlRate
from motionrt.runtime.ardy.controls import Controls, Timeline, on_ground
from motionrt.runtime.ardy.network import ArdySizes, Embedding, Text
from motionrt.runtime.ardy.snapshot import Asked, Snapshot, State
from motionrt.runtime.ardy.streaming import Buffer, Settings, Stream, velocity_waypoints
from motionrt.runtime.body.motion_correction import checked_margin
from motionrt.runtime.body.resample_stream import DELAY_FRAMES
from motionrt.runtime.constraints.files import constraints_from, to_json
from motionrt.runtime.constraints.kinds import Constraint, Root2D, delay_constraints
from motionrt.runtime.errors import InputError
from motionrt.runtime.request import whole_number
from motionrt.runtime.sampling.noise import MAX_SEED, TorchGenerator

if TYPE_CHECKING:
    from motionrt.runtime.ardy.model import ArdyModel
    from motionrt.runtime.body.motion import Motion

Floats = NDArray[np.float32]
VELOCITY_SECONDS = 2.0
"""So long the root takes to reach a velocity that is asked for."""
WAYPOINT_SECONDS = 0.5
"""Between the places that lead it there."""
_MOST_REACTION_FRAMES = 10_000


@dataclass
class Timing:
    """How fast a stream was made."""

    frames: int = 0
    """Made, thrown away ones included."""
    seconds: float = 0.0
    """That making them took."""
    last_seconds: float = 0.0
    """That the last window took."""
    waited_seconds: float = 0.0
    """That callers waited for frames which were not there in time."""

    def real_time_factor(self, fps: float) -> float:
        """Return seconds of motion made in a second."""
        return self.frames / fps / self.seconds if self.seconds else math.inf


class Session:
    """A motion without an end; made by `ArdyPipeline.stream`.

    Frames follow from the seed and from what was asked for at which frame, not from how many are
    fetched at once nor from how far ahead they are made. Memory stays the same however long it
    goes on. Safe to use from several threads: one may fetch frames while others steer.
    """

    def __init__(
        self,
        model: ArdyModel,
        settings: Settings,
        seed: int,
        controls: Controls,
        start: tuple[float, float] = (0.0, 0.0),
        heading_rad: float = 0.0,
        clip: Floats | None = None,
    ) -> None:
        """Begin at a place with a heading, or behind a clip (normalised features (T, D))."""
        self._model, self.seed = model, seed
        self._settings = checked(settings, model.sizes, model.fps)
        self._start, self._heading_rad = start, heading_rad
        self._timeline = Timeline(controls)
        self._buffer = Buffer(np.zeros((0, model.features.width), np.float32))
        self._position = 0
        self._elapsed = Elapsed()
        self._is_begun = False
        self._epoch = 0
        self._serials = itertools.count(1)
        self.timing = Timing()
        self._lock = threading.RLock()
        self._making = threading.Lock()
        if clip is not None and len(clip):
            self._buffer = Buffer(clip)
            self._position, self._is_begun = len(clip), True
            self._forget()

    # What is there

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self._model.fps

    @property
    def position(self) -> int:
        """The number of the next frame that is fetched."""
        return self._position

    @property
    def ready_frames(self) -> int:
        """Frames that are made and not fetched yet."""
        with self._lock:
            return max(0, self._buffer.end - self._position)

    @property
    def held_frames(self) -> int:
        """Frames that are held in memory."""
        with self._lock:
            return len(self._buffer.features)

    @property
    def next_change(self) -> int:
        """The first frame that what is asked for now can change.

        ``reaction_frames`` behind the last that was fetched, so that there is time to make it.
        """
        if not self._is_begun:
            return 0
        size = self._model.sizes.frames_per_token
        return max(self._position + self._settings.replan_frames, size)

    # What is asked for

    def prompt(
        self,
        text: str = "",
        embedding: ArrayLike | None = None,
        embedding_mask: ArrayLike | None = None,
    ) -> None:
        """Follow another prompt as soon as can be; empty for none.

        With an embedding (W,) or (L, W), as ``encode_text`` gives it, no encoder is needed, and the
        text only names what frames are of; embedding_mask (L,) says which are tokens, those that
        are not all zero if None. InputError if it does not fit the model.
        """
        # Here, so that nobody waits for it.
        given, embedded = worded(self._model, text, embedding, embedding_mask)
        with self._lock:
            last = self._timeline.last
            if (text, given) != (last.prompt, last.embedding):
                self._change(prompt=text, text=embedded, embedding=given)

    def goal(
        self, place: Sequence[float], seconds: float, heading_rad: float | None = None
    ) -> None:
        """Be at a place (x, z) on the ground, in metres, in so many seconds from now.

        heading_rad: where the body faces there; 0 is +z, a turn about +y is positive.
        """
        frame = self._frame_in(seconds)
        heading = None
        if heading_rad is not None:
            if not isinstance(heading_rad, Real) or not math.isfinite(heading_rad):
                raise InputError(f"heading {heading_rad!r}: must be a finite number of radians")
            heading = [[math.cos(heading_rad), math.sin(heading_rad)]]
        point = on_ground(place, "a goal is a place x, z on the ground")
        self._add([Root2D([frame], [point], heading)])

    def constraints(
        self, given: str | PathLike[str] | Sequence[Constraint | dict[str, Any]]
    ) -> None:
        """Add constraints, or a file's; their frames count from the next one that is fetched."""
        made = constraints_from(given, self._model.skeleton)
        check_groups(made)  # here: a stream that holds one could make nothing any more
        self._add(delay_constraints(made, self._position))

    def velocity(self, wanted: Sequence[float] | None) -> None:
        """Go with a velocity (x, z), in metres a second; None lets go of it.

        It may be said as often as one likes, as a stick says it: what has not changed changes
        nothing, and what has is followed at the next token's frame.
        """
        speed = None
        if wanted is not None:
            speed = on_ground(wanted, "a velocity is x, z in metres a second")
            self._needs_constraints()
        size = self._model.sizes.frames_per_token
        with self._lock:
            if speed != self._timeline.last.velocity:
                self._change(-(-self.next_change // size) * size, velocity=speed)

    def clear(self) -> None:
        """Let go of all goals, constraints and the velocity."""
        self._change(constraints=(), velocity=None)

    def replan(self, at: int | None = None) -> None:
        """Make what follows anew, from a frame on; as soon as can be, if None."""
        wanted = 0 if at is None else whole_number(at, "frame")
        with self._lock:
            frame = max(wanted, self.next_change)
            self._timeline.cut(frame)
            self._cut(frame)

    # Frames

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames, at least one; waits until they are made."""
        num_frames = whole_number(num_frames, "num_frames")
        if num_frames < 1:
            raise InputError(f"{num_frames} frames: at least one can be fetched")
        parts = []
        while num_frames:
            part = self._fetch(num_frames)
            parts.append(part)
            num_frames -= len(part)
        with self._lock:
            info = {
                "prompt": self._timeline.at(self._position - 1).prompt,
                "seed": self.seed,
                "model": self._model.manifest.name,
                "family": self._model.manifest.family,
                "backend": self._model.backend.name,
                "first_frame": self._position - sum(map(len, parts)),
            }
        return self._model.to_motion(np.concatenate(parts), info)

    def advance(self, seconds: float) -> Motion | None:
        """Let time go by and return the frames that fall due in it; None if there is none.

        What is left of a frame is remembered: 60 calls with 1/60 s are one with a second.
        """
        with self._lock:
            due = self._elapsed.frames(seconds, self.fps)
        return self.take(due) if due else None

    def play(
        self,
        chunk_seconds: float = 0.1,
        ahead_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Iterator[Motion]:
        """Yield chunks as they fall due, for ever; what follows is made meanwhile.

        Args:
            chunk_seconds: of motion in a chunk; at least a frame.
            ahead_seconds: of motion that is made ahead; a window's, if None.
            clock: gives seconds.
            sleep: waits for seconds.
        """
        with self.ahead(ahead_seconds):
            yield from in_time(self.take, chunk_seconds, self.fps, clock, sleep)

    def __iter__(self) -> Iterator[Motion]:
        """Yield chunks as they fall due, as `play` does."""
        return self.play()

    def at_rate(self, fps: float, delay_frames: int = DELAY_FRAMES) -> ControlRate:
        """Give frames at another program's higher rate from now on, resampled smoothly.

        They come delay_frames of this stream later, for so much of what follows must be known.
        Nobody else may fetch frames meanwhile; what shall happen is asked of this session.
        InputError if the rate is below the stream's.
        """
        return ControlRate(self, fps, delay_frames)

    @contextmanager
    def ahead(self, seconds: float | None = None) -> Iterator[None]:
        """Make frames ahead in a thread of its own, while the block runs.

        seconds: of motion that is ready at least; a window's, if None.
        """
        horizon = self._model.sizes.horizon
        wanted = horizon if seconds is None else max(1, math.ceil(seconds * self.fps))
        stop = threading.Event()
        tick = 0.25 / self.fps

        def produce() -> None:
            while not stop.is_set():
                if self.ready_frames >= wanted:
                    stop.wait(tick)
                    continue
                try:
                    self._make_until(lambda: self._position + wanted, once=True)
                except Exception:  # who fetches frames meets it and is told
                    return

        worker = threading.Thread(target=produce, name="motionrt-stream", daemon=True)
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()

    # State

    def snapshot(self) -> Snapshot:
        """Return the state, to go back to with `restore` or to keep (`Snapshot.to_bytes`)."""
        with self._lock:
            asked = [
                Asked(
                    frame,
                    controls.prompt,
                    [to_json(item) for item in controls.constraints],
                    controls.velocity,
                    None if controls.embedding is None else controls.embedding.mask.tolist(),
                )
                for frame, controls in self._timeline.entries
            ]
            buffer = self._buffer
            state = State(
                model=self._model.manifest.name,
                seed=self.seed,
                position=self._position,
                rest=self._elapsed.rest,
                first=buffer.first,
                start=self._start,
                heading_rad=self._heading_rad,
                settings=self._settings,
                asked=asked,
                cuts=list(self._timeline.cuts),
            )
            embeddings = {
                place: controls.embedding.features
                for place, (_, controls) in enumerate(self._timeline.entries)
                if controls.embedding is not None
            }
            return Snapshot(state, buffer.features, embeddings)

    def restore(self, snapshot: Snapshot | bytes) -> None:
        """Go back to a state; InputError if it is of another model, or damaged."""
        if isinstance(snapshot, bytes):
            snapshot = Snapshot.from_bytes(snapshot)
        state, model = snapshot.state, self._model
        if state.model != model.manifest.name:
            raise InputError(f"a snapshot of {state.model}, this is {model.manifest.name}")
        if snapshot.features.shape[1:] != (model.features.width,):
            raise InputError("a snapshot's frames are of another model")
        if state.asked[0].frame > state.position or not (
            state.first <= state.position <= state.first + len(snapshot.features)
        ):
            raise InputError("a snapshot's frames do not fit its position")
        entries = []
        for place, asked in enumerate(state.asked):
            made = constraints_from(asked.constraints, model.skeleton)
            check_groups(made)
            features = snapshot.embeddings.get(place)
            if (features is None) != (asked.embedding_mask is None):
                raise InputError("a snapshot's embeddings do not fit its prompts")
            given, text = worded(model, asked.prompt, features, asked.embedding_mask)
            serial = next(self._serials)
            controls = Controls(asked.prompt, text, given, tuple(made), asked.velocity, serial)
            entries.append((asked.frame, controls))
        timeline = Timeline.of(entries, state.cuts)
        settings = checked(state.settings, model.sizes, model.fps)
        with self._lock:
            self._epoch += 1
            self._settings, self.seed = settings, state.seed
            self._start, self._heading_rad = state.start, state.heading_rad
            self._buffer = Buffer(snapshot.features, state.first)
            self._timeline = timeline
            self._position, self._elapsed = state.position, Elapsed(state.rest)
            self._is_begun = state.position > 0

    # Inside

    def _needs_constraints(self) -> None:
        if not self._model.sizes.takes_constraints:
            raise InputError(f"{self._model.manifest.name} takes no constraints")

    def _frame_in(self, seconds: float) -> int:
        check_seconds(seconds)
        return self._position + round(seconds * self.fps)

    def _add(self, constraints: Sequence[Constraint]) -> None:
        self._needs_constraints()
        with self._lock:
            held = self._timeline.last.without_past(self._position).constraints
            self._change(constraints=(*held, *constraints))

    def _change(self, frame: int | None = None, **changes: Any) -> None:
        """Let other controls hold as soon as can be; what was made beyond is thrown away."""
        with self._lock:
            wanted = self.next_change if frame is None else frame
            serial = next(self._serials)
            controls = replace(self._timeline.last, **changes, serial=serial)
            self._cut(self._timeline.change(wanted, controls))

    def _cut(self, frame: int) -> None:
        buffer = self._buffer
        if buffer.end > frame:
            self._buffer = Buffer(buffer.slice(buffer.first, frame), buffer.first)

    def _forget(self) -> None:
        """Let go of frames that no window can look back at any more."""
        # Two frames besides give the velocity at the first that can still change.
        kept = max(self._settings.history_frames, 2)
        self._buffer.forget(self._position - kept)
        self._timeline.forget(self._position)

    def _fetch(self, num_frames: int) -> Floats:
        """Return one or some of the next frames (N, D), normalised.

        The next one is settled, whatever is asked for meanwhile, so that those who ask all the time
        hold nobody up.
        """
        while True:
            self._is_begun = True
            start = time.perf_counter()
            waited = self._make_until(lambda: self._position + 1)
            with self._lock:
                if waited:
                    self.timing.waited_seconds += time.perf_counter() - start
                first = self._position
                stop = min(first + num_frames, self._buffer.end)
                if stop <= first:
                    continue  # somebody went back to another state in between
                frames = self._buffer.slice(first, stop)
                self._position = stop
                self._forget()
                return frames

    def _make_until(self, wanted: Callable[[], int], once: bool = False) -> bool:
        """Make windows until there are frames up to a number; say whether any had to be."""
        made = False
        while self._buffer.end < wanted():
            with self._making:
                if self._buffer.end < wanted():
                    self._make()
            made = True
            if once:
                break
        return made

    def _make(self) -> None:
        """Make the window behind the last frame; nothing is locked while it is computed."""
        with self._lock:
            epoch, settings, seed = self._epoch, self._settings, self.seed
            place = np.array([self._start[0], 0.0, self._start[1]], np.float32)
            stream = Stream(self._model.network, self.fps, place, self._heading_rad)
            stream.buffer = replace(self._buffer)
            first = stream.buffer.end
            controls = self._timeline.at(first)
        begun = time.perf_counter()
        noise = self._model.noise(TorchGenerator(window_seed(seed, first)), 1)
        constraints = [*controls.constraints, *self._waypoints(stream, controls)]
        made = stream.make(first - 1, controls.text, noise, constraints, settings).new
        took = time.perf_counter() - begun
        with self._lock:
            self.timing.frames += len(made)
            self.timing.seconds += took
            self.timing.last_seconds = took
            buffer = self._buffer
            same = self._timeline.at(first).serial == controls.serial
            if epoch != self._epoch or buffer.end != first or not same:
                return  # what was asked for has changed meanwhile
            until = self._timeline.until(first)
            kept = len(made) if until is None else min(len(made), until - first)
            features = np.concatenate([buffer.features, made[:kept]])
            self._buffer = Buffer(features, buffer.first)

    def _waypoints(self, stream: Stream, controls: Controls) -> list[Constraint]:
        """Say where a velocity that is asked for leads from the last frame."""
        if controls.velocity is None:
            return []
        features, buffer = self._model.features, stream.buffer
        if len(buffer.features):
            root = features.unnormalize(buffer.features[-2:])[:, :3]
        else:
            root = stream.start_translation[None]
        x, z = controls.velocity
        interval = max(1, round(WAYPOINT_SECONDS * self.fps))
        frames, places, _ = velocity_waypoints(
            root, buffer.end - 1, (x, 0.0, z), self.fps, VELOCITY_SECONDS, interval
        )
        return [Root2D(frames, places[:, ::2])] if len(frames) else []


def worded(
    model: ArdyModel, text: str, embedding: ArrayLike | None, mask: ArrayLike | None
) -> tuple[Embedding | None, Text]:
    """Embed a prompt, or take the embedding that is given for it."""
    if embedding is None:
        if mask is not None:
            raise InputError("embedding_mask goes with an embedding")
        return None, model.embed([text])
    given = Embedding.of(embedding, mask)
    return given, model.embed_given(given)


def checked(settings: Settings, sizes: ArdySizes, fps: float) -> Settings:
    """Return settings that a model can follow; InputError for others."""
    size, longest = sizes.frames_per_token, max(sizes.longest_history(fps), sizes.frames_per_token)
    if not 1 <= settings.num_steps <= sizes.num_base_steps:
        raise InputError(
            f"{settings.num_steps} diffusion steps: must be from 1 to {sizes.num_base_steps}"
        )
    if not size <= settings.history_frames <= longest or settings.history_frames % size:
        raise InputError(
            f"{settings.history_frames} frames of history: must be a multiple of {size} from "
            f"{size} to {longest}"
        )
    if not 1 <= settings.replan_frames <= _MOST_REACTION_FRAMES:
        raise InputError(
            f"{settings.replan_frames} reaction frames: must be from 1 to {_MOST_REACTION_FRAMES}"
        )
    checked_margin(settings.root_margin)
    return settings


def window_seed(seed: int, frame: int) -> int:
    """Return the seed of the window that begins at a frame; the first has the stream's own."""
    if not frame:
        return seed
    digest = hashlib.sha256(f"{seed}/{frame}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & MAX_SEED
