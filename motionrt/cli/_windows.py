"""Options of commands that make a motion without an end, window by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from motionrt.cli._flags import flag

Function = TypeVar("Function", bound=Callable[..., Any])


def window_options(function: Function) -> Function:
    """Give a command the options of windows: num_steps, history_frames, reaction_seconds."""
    steps = flag(
        "diffusion-steps",
        "num_steps",
        type=int,
        help="Denoising steps a window; fewer are faster.  [default: the model's]",
    )
    history = flag(
        "history-frames",
        type=int,
        help="Frames that a window looks back, whole tokens.  [default: one token]",
    )
    reaction = flag(
        "reaction",
        "reaction_seconds",
        type=click.FloatRange(0, 60),
        default=0.3,
        show_default=True,
        help="Seconds that play on as they are after a wish, while the new window is made.",
    )
    return steps(history(reaction(function)))
