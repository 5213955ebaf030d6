"""Whole clips window by window, and one window behind a motion that is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.network import Conditions, Network, OnStep, Text, Trace
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import Guidance

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """One window of a rollout, as it was given to the denoiser and came out."""

    translation: Floats
    """(B, 3): where its origin lies in the world."""
    first_heading_rad: Floats
    """(B,)."""
    tokens: Floats
    """(B, N, W): all tokens so far, around the origin."""


def num_windows(num_frames: int, horizon: int, before: int = 0) -> int:
    """Return how many windows make a clip of which before frames are there."""
    return max(0, -(-(num_frames - before) // horizon))


def roll_out(
    network: Network,
    text: Text,
    noise: Sequence[Floats] | Callable[[int], Floats],
    *,
    num_frames: int,
    guidance: Guidance,
    num_steps: int,
    lengths: ArrayLike | None = None,
    first_heading_rad: ArrayLike = 0.0,
    history: Floats | None = None,
    conditions: Conditions | None = None,
    crop_history: int | None = None,
    on_step: Callable[[int, int], OnStep | None] | None = None,
    on_window: Callable[[Window], None] | None = None,
) -> Floats:
    """Make clips of num_frames: normalised features (B, T, D) in the world.

    Args:
        network: makes the windows.
        text: of each clip.
        noise: of each window (B, H, W), H the horizon's tokens, or what draws it.
        num_frames: of the longest clip.
        guidance: mode and weights.
        num_steps: of denoising, a window.
        lengths: (B,) frames of each clip, all num_frames if None.
        first_heading_rad: of all or (B,); not read with a history.
        history: features (B, T0, D) that the clips begin with, T0 whole tokens.
        conditions: what is known of the clips' frames, from frame 0.
        crop_history: frames that a window looks back, whole tokens; all, if None. Not with a
            history.
        on_step: for (window, windows) gives what is told of its steps.
        on_window: told of every window.
    """
    sizes, features = network.sizes, network.features
    if crop_history is not None and history is not None:
        raise InputError("a clip that begins with a motion looks back at all of it: do not crop")
    if crop_history is not None and (
        crop_history < sizes.frames_per_token or crop_history % sizes.frames_per_token
    ):
        raise InputError(
            f"{crop_history} frames of history: must be a positive multiple of "
            f"{sizes.frames_per_token}"
        )
    batch = len(text.tokens)
    translation = np.zeros((batch, 3), np.float32)
    heading = np.broadcast_to(np.asarray(first_heading_rad, np.float32), (batch,))
    tokens = np.zeros((batch, 0, sizes.token_width), np.float32)
    before = 0
    if history is not None:
        before = history.shape[1]
        tokens, translation, heading = encode_history(network, history)
    size, horizon = sizes.frames_per_token, sizes.horizon
    windows = num_windows(num_frames, horizon, before)
    total = windows * horizon + before
    if conditions is not None:
        conditions = _padded(conditions, total)
    for index in range(windows):
        end = index * horizon + before
        start = 0 if crop_history is None else max(0, end - crop_history)
        kept = (end - start) // size
        seen = tokens[:, tokens.shape[1] - kept :] if kept else None
        drawn = noise(index) if callable(noise) else noise[index]
        made = network.denoise(
            seen,
            drawn,
            text,
            first_heading_rad=heading,
            translation=translation,
            conditions=None if conditions is None else conditions.from_frame(start),
            guidance=guidance,
            num_steps=num_steps,
            on_step=None if on_step is None else on_step(index, windows),
        )
        tokens = np.concatenate([tokens, made[:, kept:]], axis=1)
        if on_window is not None:
            on_window(Window(translation, heading, tokens))
        root, centre = features.recentred(network.roots(tokens), end + horizon - 1)
        tokens = network.requantized(network.with_roots(tokens, root))
        translation = translation + centre
        if crop_history is not None:
            first = max(0, tokens.shape[1] * size - crop_history)
            heading = features.headings(network.roots(tokens)[:, first])
    root = features.translated(network.roots(tokens), translation)
    tokens = network.with_roots(tokens, root)
    counts = np.full(batch, num_frames) if lengths is None else np.asarray(lengths)
    padded = -(-counts // size) * size
    return _decoded(network, tokens, padded, crop_history)[:, :num_frames]


def encode_history(network: Network, history: Floats) -> tuple[Floats, Floats, Floats]:
    """Turn features (B, T, D) that go before into tokens around their last frame.

    Returns tokens (B, N, W), where the last frame is (B, 3) and the first frame's heading (B,).
    """
    tokens = network.encode(history)
    root, centre = network.features.recentred(network.roots(tokens), -1)
    heading = network.features.headings(history[:, 0])
    return network.with_roots(tokens, root), centre, heading


def extend(
    network: Network,
    text: Text,
    noise: Floats,
    *,
    guidance: Guidance,
    num_steps: int,
    history: Floats | None = None,
    translation: ArrayLike = (0.0, 0.0, 0.0),
    first_heading_rad: ArrayLike = 0.0,
    conditions: Conditions | None = None,
    on_step: OnStep | None = None,
    trace: Trace | None = None,
    on_window: Callable[[Window], None] | None = None,
) -> Floats:
    """Make one window behind a motion, or the first at a place: features (B, T + horizon, D).

    history is (B, T, D), T whole tokens, in the world; its frames come back as the tokenizer has
    them. Without one, translation (B, 3) and first_heading_rad (B,) say where the first frame
    starts. conditions count from the first frame of history; the rest is `roll_out`'s.
    """
    batch = len(text.tokens)
    tokens = None
    centre = np.broadcast_to(np.asarray(translation, np.float32), (batch, 3))
    heading = np.broadcast_to(np.asarray(first_heading_rad, np.float32), (batch,))
    if history is not None and history.shape[1]:
        tokens, centre, heading = encode_history(network, history)
    elif np.any(centre[:, 1]):
        raise InputError("a start lies on the ground: its height must be 0")
    made = network.denoise(
        tokens,
        noise,
        text,
        first_heading_rad=heading,
        translation=centre,
        conditions=conditions,
        guidance=guidance,
        num_steps=num_steps,
        on_step=on_step,
        trace=trace,
    )
    if on_window is not None:
        on_window(Window(centre, heading, made))
    root = network.features.translated(network.roots(made), centre)
    return network.decode(network.requantized(network.with_roots(made, root)))


def _padded(conditions: Conditions, frames: int) -> Conditions:
    missing = ((0, 0), (0, max(0, frames - conditions.mask.shape[1])), (0, 0))
    return Conditions(
        np.pad(conditions.observed, missing)[:, :frames],
        np.pad(conditions.mask, missing)[:, :frames],
    )


def _decoded(
    network: Network, tokens: Floats, lengths: NDArray[np.int64], crop_history: int | None
) -> Floats:
    """Decode all tokens, or blocks of a horizon with as much before each as a window saw."""
    if crop_history is None:
        return network.decode(tokens, lengths)
    size = network.sizes.frames_per_token
    block, context = network.sizes.horizon // size, crop_history // size
    parts = []
    for start in range(0, tokens.shape[1], block):
        first = max(0, start - context)
        part = tokens[:, first : start + block]
        inside = np.clip(lengths - first * size, 0, part.shape[1] * size)
        parts.append(network.decode(part, inside)[:, (start - first) * size :])
    return np.concatenate(parts, axis=1)
