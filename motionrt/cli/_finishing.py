"""Flags of finishing, the same for every command that writes motions: loops, paths, targets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from motionrt.runtime.body.facings import FACINGS
from motionrt.runtime.body.hand_poses import HAND_POSES
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.targets import TARGETS

if TYPE_CHECKING:
    from motionrt.runtime.body.finishing import Finished
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.body.skeleton import Skeleton

_AXES = ("+x", "-x", "+y", "-y", "+z", "-z")


class Axis(click.Choice[str]):
    """An axis with or without its sign: z is +z."""

    def __init__(self, axes: tuple[str, ...]) -> None:
        """Offer these axes."""
        super().__init__(axes, case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the axis with its sign."""
        word = str(value).lower()
        return super().convert(f"+{word}" if len(word) == 1 else word, param, ctx)


_FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "trim": (
        "--trim",
        {"is_flag": True, "help": "Cut mid-stride ends off: start and end as a foot comes down."},
    ),
    "mirror": ("--mirror", {"is_flag": True, "help": "Swap left and right."}),
    "speed": ("--speed", {"type": float, "help": "Play it so many times as fast.  [default: 1]"}),
    "loop": (
        "--loop",
        {
            "is_flag": True,
            "help": "Cut to the best cycle and close the seam, so that it plays round and round; "
            "the last frame is the first again.",
        },
    ),
    "loop_seconds": (
        "--loop-seconds",
        {"type": float, "help": "Longest round of --loop.  [default: as long as closes best]"},
    ),
    "from_pose": (
        "--from-pose",
        {"type": click.Choice(["rest"]), "help": "Lead in from the rest pose."},
    ),
    "to_pose": (
        "--to-pose",
        {"type": click.Choice(["rest"]), "help": "Lead out to the rest pose."},
    ),
    "pose_seconds": (
        "--pose-seconds",
        {"type": float, "help": "How long leading in and out take.  [default: 0.5]"},
    ),
    "start_at": (
        "--start-at",
        {"type": click.Choice(["origin"]), "help": "Where its path starts."},
    ),
    "face": (
        "--face",
        {"type": Axis(tuple(FACINGS)), "help": "Axis along which its path starts."},
    ),
    "hands": (
        "--hands",
        {
            "type": click.Choice(list(HAND_POSES)),
            "help": "Put the fingers into a pose, on bodies that have any.",
        },
    ),
    "in_place": (
        "--in-place",
        {
            "is_flag": True,
            "help": "Take the path over the floor away: it walks on the spot, facing +z or --face.",
        },
    ),
}
"""Field of `Finishing` -> flag, and how click takes it."""
_WRITING: dict[str, tuple[str, dict[str, Any]]] = {
    "root_motion": (
        "--root-motion",
        {
            "type": click.Choice(["hips", "bone"]),
            "help": "What moves the body over the floor in .bvh and .glb: its hips, or a bone "
            "named root on the floor, smoothed and with the heading.  [default: hips]",
        },
    ),
    "root_smoothing": (
        "--root-smoothing",
        {
            "type": float,
            "help": "How far --in-place and --root-motion bone smooth the path, in seconds; 0: the "
            "hips stay right above it.  [default: 0.25]",
        },
    ),
    "up": ("--up", {"type": Axis(_AXES), "help": "Axis that looks up in .bvh.  [default: +y]"}),
    "forward": (
        "--forward",
        {"type": Axis(_AXES), "help": "Axis along which bodies look in .bvh.  [default: +z]"},
    ),
    "target": (
        "--for",
        {
            "type": click.Choice(list(TARGETS), case_sensitive=False),
            "help": "Write files as a program wants them: rest pose, joint names, root bone, axes, "
            "units, as `motionrt formats --targets` lists them. What is given besides goes first.",
        },
    ),
}


@dataclass(frozen=True)
class FinishingFlags:
    """What was asked for by flags."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Finishing` that were given."""
    writing: Mapping[str, Any] = field(default_factory=dict)
    """Options of writers that were given: root_bone, root_smoothing, up, forward."""
    target: str | None = None

    def check(self) -> None:
        """Raise UsageError where settings contradict each other, before a motion is made."""
        if not self.settings and not self.writing:
            return
        from motionrt.runtime.body.finishing import Finishing
        from motionrt.runtime.body.frame import Frame

        try:
            Finishing(**self.settings)
            Frame(self.writing.get("up", "+y"), self.writing.get("forward", "+z"))
        except InputError as error:
            raise click.UsageError(str(error)) from None

    def finished(self, motion: Motion, fps: float | None = None) -> Finished:
        """Finish a motion, at another frame rate if it is given."""
        from motionrt.runtime.body.finishing import Finishing

        return Finishing(**self.settings, fps=fps).apply(motion)

    def wishes(self, skeleton: Skeleton) -> dict[str, Any]:
        """Give options of writers for a body: what was given, and before it what the target has.

        Each writer takes those that it knows; joints keep their names, and the rest pose stays,
        where the body is none that the target's can be told of.
        """
        from motionrt.runtime.body.joint_names import NAMINGS

        wanted = {} if self.target is None else TARGETS[self.target].settings()
        if skeleton.naming not in NAMINGS:
            wanted.pop("joint_names", None)
        if skeleton.t_pose_bones is None:
            wanted.pop("rest", None)
        known = {name: value for name, value in wanted.items() if value is not None}
        return {**known, **self.writing}


def finishing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags of finishing to a command, which gets them as ``finishing``."""

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> Any:
        given = {name: values.pop(f"finishing_{name}") for name in (*_FLAGS, *_WRITING)}
        settings = {name: given[name] for name in _FLAGS if given[name] not in (None, False)}
        names = ("root_smoothing", "up", "forward")
        writing = {name: given[name] for name in names if given[name] is not None}
        if settings.get("in_place") and "root_smoothing" in writing:
            settings["root_smoothing"] = writing["root_smoothing"]
        if given["root_motion"] is not None:
            writing["root_bone"] = given["root_motion"] == "bone"
        flags = FinishingFlags(settings, writing, given["target"])
        return function(*args, finishing=flags, **values)

    for name, (flag, options) in reversed([*_FLAGS.items(), *_WRITING.items()]):
        spellings = list(dict.fromkeys((flag, "--" + flag[2:].replace("-", "_"))))
        command = click.option(*spellings, f"finishing_{name}", **options)(command)
    return command
