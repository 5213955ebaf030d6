"""Motion without an end: a buffer of frames whose tail is planned anew, window by window.

What a window is given and what it replaces. `session.Session` decides when, for callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.constraints import conditions_of, correction_targets
from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.ardy.network import ArdySizes, Network, OnStep, Text
from motionrt.runtime.ardy.rollout import Window, extend
from motionrt.runtime.body.motion_correction import (
    CONTACT_THRESHOLD,
    ROOT_MARGIN_M,
    correct_motion,
)
from motionrt.runtime.constraints.kinds import (
    Constraint,
    crop_constraints,
    delay_constraints,
)
from motionrt.runtime.sampling.guidance import Guidance

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How windows of a stream are made."""

    guidance: Guidance
    num_steps: int
    replan_frames: int = 1
    """Frames behind the playhead that stay when the rest is planned anew. The window must be made
    before they are played."""
    history_frames: int = 4
    """The most frames that a window looks back; rounded down to whole tokens."""
    future_frames: int = 0
    """How far beyond what it generates a window looks for goals."""
    postprocess: bool = False
    """Meet the constraints of new frames exactly."""
    root_margin: float = ROOT_MARGIN_M


@dataclass(frozen=True)
class Span:
    """Which frames a window sees; all absolute, of the stream."""

    start: int
    """The first frame of history."""
    last_kept: int
    """The last frame that stays, -1 if none does."""
    history_frames: int
    num_frames: int
    """From start on, goals included."""


def window_frames(
    history_frames: int,
    horizon: int,
    frames_per_token: int,
    most: int,
    start: int,
    furthest: int | None,
    future_frames: int,
) -> int:
    """Return how many frames a window sees that begins at start and has a furthest constraint.

    most is what the model was trained with; a window has its history and horizon in any case.
    """
    least = history_frames + horizon
    frames = least
    if furthest is not None:
        frames = min(max(frames, furthest - start + 1), future_frames + least)
        frames = -(-frames // frames_per_token) * frames_per_token
    return max(min(frames, most), least)


@dataclass
class Buffer:
    """The frames of a stream that are still needed: normalised features in the world."""

    features: Floats
    """(N, D)."""
    first: int = 0
    """Absolute number of the first."""

    @property
    def end(self) -> int:
        """The number of the frame behind the last."""
        return self.first + len(self.features)

    def replace(self, keep_until: int, new: Floats) -> None:
        """Keep frames before keep_until and put new ones behind them."""
        self.features = np.concatenate([self.features[: keep_until - self.first], new])

    def forget(self, before: int) -> None:
        """Let go of frames before one."""
        count = min(max(0, before - self.first), len(self.features))
        if count:
            self.features = self.features[count:].copy()
            self.first += count

    def slice(self, start: int, stop: int) -> Floats:
        """Return frames start to stop (excluded), absolute."""
        return self.features[start - self.first : stop - self.first]


def plan(
    buffer: Buffer,
    playhead: int,
    constraints: Sequence[Constraint],
    settings: Settings,
    sizes: ArdySizes,
    fps: float,
) -> Span:
    """Say which frames the next window sees, at a playhead."""
    token = sizes.frames_per_token
    if not buffer.end:
        last_kept, history, start = -1, 0, 0
    else:
        last_kept = min(buffer.end - 1, playhead + settings.replan_frames)
        if buffer.end >= token:
            last_kept = max(last_kept, token - 1)
        held = last_kept + 1 - buffer.first
        history = sizes.whole_tokens(min(held, settings.history_frames))
        start = max(0, last_kept - history + 1)
    beyond = [int(item.frame_indices.max()) for item in constraints if len(item.frame_indices)]
    furthest = max(beyond, default=-1)
    frames = window_frames(
        history,
        sizes.horizon,
        token,
        sizes.window_frames(fps),
        start,
        furthest if furthest > last_kept else None,
        settings.future_frames,
    )
    return Span(start, last_kept, history, frames)


@dataclass
class Stepped:
    """What one step of a stream was given and made."""

    span: Span
    window: Window
    new: Floats
    """(horizon, D), normalised."""
    observed: Floats | None = None
    """(num_frames, D) normalised, and its mask; None if no constraint is in range."""
    mask: Floats | None = None


@dataclass
class Stream:
    """A stream's frames and where it began; `step` plans what follows anew."""

    network: Network
    fps: float
    start_translation: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    """(3,) metres, height 0."""
    start_heading_rad: float = 0.0
    buffer: Buffer = field(init=False)

    def __post_init__(self) -> None:
        self.buffer = Buffer(np.zeros((0, self.network.features.width), np.float32))

    def step(
        self,
        playhead: int,
        text: Text,
        noise: Floats,
        constraints: Sequence[Constraint],
        settings: Settings,
        on_step: OnStep | None = None,
    ) -> Stepped:
        """Make a window behind the playhead and put it into the buffer.

        noise is (1, H, W); constraints are of absolute frames. Frames up to the playhead and
        ``replan_frames`` behind it stay as they are.
        """
        stepped = self.make(playhead, text, noise, constraints, settings, on_step)
        self.buffer.replace(stepped.span.last_kept + 1, stepped.new)
        return stepped

    def make(
        self,
        playhead: int,
        text: Text,
        noise: Floats,
        constraints: Sequence[Constraint],
        settings: Settings,
        on_step: OnStep | None = None,
    ) -> Stepped:
        """Make a window behind the playhead; the buffer stays as it is."""
        network = self.network
        span = plan(self.buffer, playhead, constraints, settings, network.sizes, self.fps)
        stop = span.start + span.num_frames
        inside = crop_constraints(constraints, span.last_kept + 1, stop)
        shift = span.last_kept + 1 - span.start
        shown = delay_constraints(inside, shift)
        conditions = conditions_of([shown], network.features, span.num_frames)
        history = None
        if span.history_frames:
            history = self.buffer.slice(span.start, span.last_kept + 1)[None]
        windows: list[Window] = []
        made = extend(
            network,
            text,
            noise,
            guidance=settings.guidance,
            num_steps=settings.num_steps,
            history=history,
            translation=self.start_translation[None],
            first_heading_rad=np.array([self.start_heading_rad], np.float32),
            conditions=conditions,
            on_step=on_step,
            on_window=windows.append,
        )
        new = made[0, span.history_frames :]
        if settings.postprocess:
            near = crop_constraints(inside, 0, network.sizes.horizon)
            if near:
                new = corrected(network.features, new, near, settings.root_margin)
        observed = mask = None
        if conditions is not None:
            observed, mask = conditions.observed[0], conditions.mask[0]
        return Stepped(span, windows[0], new, observed, mask)


def corrected(
    features: ArdyFeatures,
    frames: Floats,
    constraints: Sequence[Constraint],
    root_margin: float = ROOT_MARGIN_M,
    contact_threshold: float = CONTACT_THRESHOLD,
) -> Floats:
    """Correct normalised features (T, D) by constraints that count from the first of them."""
    arrays = features.decode(features.unnormalize(frames))
    targets = correction_targets(constraints, features.skeleton, len(frames))
    local, root = correct_motion(
        features.skeleton,
        arrays["local_rot_mats"],
        arrays["root_positions"],
        arrays["foot_contacts"],
        targets,
        root_margin,
        contact_threshold,
    )
    return features.normalize(features.encode(local, root))


def velocity_waypoints(
    root_positions: ArrayLike,
    frame: int,
    target_velocity: ArrayLike,
    fps: float,
    transition_seconds: float = 2.0,
    interval: int = 10,
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Say where a root goes that changes its velocity smoothly.

    Args:
        root_positions: (T, 3) up to and with frame, the last of which is frame.
        frame: absolute number of the last.
        target_velocity: (3,), metres a second; the height is not read.
        fps: frames a second.
        transition_seconds: until the target is reached, and how far is looked ahead.
        interval: frames between waypoints.

    Returns:
        absolute frames (K,), places on the ground (K, 3), and where the way leads there (K,), in
        radians, atan2(vz, vx).
    """
    root = np.asarray(root_positions, np.float32)
    now = root[-1].copy()
    before = root[-2] if len(root) > 1 else now
    velocity = (now - before) * np.float32(fps)
    target = np.asarray(target_velocity, np.float32)
    count = int(transition_seconds * fps)
    frames, places, headings = [], [], []
    place = now
    for i in range(1, count + 1):
        share = np.float32(i / count)
        moving = (1 - share) * velocity + share * target
        place = place + moving / np.float32(fps)
        if i % interval == 0:
            frames.append(frame + i)
            places.append([place[0], 0.0, place[2]])
            headings.append(np.arctan2(moving[2], moving[0]))
    return (
        np.array(frames, np.int64),
        np.array(places, np.float32).reshape(-1, 3),
        np.array(headings, np.float32),
    )
