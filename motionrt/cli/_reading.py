"""How motion files are read: one set of options for every command that reads any."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._streams import tell
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.orders import JOINT_ORDERS, QUATERNION_ORDERS
from motionrt.runtime.formats.table import FORMATS, format_of, reader_options

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion


def _scale(text: str) -> float | str:
    """Read units per metre: a number, or the word guess."""
    if text.strip().lower() == "guess":
        return "guess"
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number of units per metre, nor guess") from None


_FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "animation": (
        "--animation",
        {
            "metavar": "NAME|INDEX",
            "help": "Which animation of a glTF file, counted from 0.  [default: the first]",
        },
    ),
    "fps": (
        "--input-fps",
        {"type": float, "help": "Frame rate of a file that does not state its own."},
    ),
    "scale": (
        "--input-scale",
        {
            "type": _scale,
            "metavar": "NUMBER|guess",
            "help": "Units per metre of a .bvh or .npy, or guess: those that make a body of human "
            "size.  [default: 100, centimetres, in .bvh; 1 in .npy]",
        },
    ),
    "z_up": (
        "--input-up",
        {
            "type": click.Choice(["y", "z"]),
            "callback": lambda _ctx, _option, value: None if value is None else value == "z",
            "help": "Which axis looks up in AMASS files and .npy.  [default: z in AMASS, else y]",
        },
    ),
    "quaternion": (
        "--input-quaternion",
        {
            "type": click.Choice(QUATERNION_ORDERS),
            "help": "Order of a robot's root quaternions.  [default: as the robot stands]",
        },
    ),
    "joint_order": (
        "--input-joint-order",
        {
            "type": click.Choice(JOINT_ORDERS),
            "help": "Order of the joints in a tracking task's .npz: of mjlab or of BeyondMimic.  "
            "[default: as the file's links lie]",
        },
    ),
    "sample": (
        "--input-sample",
        {"type": int, "help": "Which motion of a file that holds several, from 0."},
    ),
}
"""Keyword of a reader -> the flag that sets it; a format without the keyword refuses it."""
_SHORT = {"quaternion": "--quaternion", "joint_order": "--joint-order", "sample": "--sample"}
"""Shorter spellings, where a command has no flag of that name for something else."""


@dataclass(frozen=True)
class Reading:
    """What was said of the files that a command reads."""

    format: str | None = None
    """None: by suffix."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword of a reader -> value, those that were given."""

    def read(self, path: Path, **more: Any) -> Motion:
        """Read one file, with further keywords of its reader; say on stderr what it notes.

        InputError names an option that the file's format does not have.
        """
        return self._read(path, {**self.options, **more})

    def read_all(self, paths: Iterable[Path]) -> list[Motion]:
        """Read several files, each with those of the options that its format has.

        InputError names an option that none of them has.
        """
        places = list(paths)
        self.check(places)
        return [self.read_known(path) for path in places]

    def check(self, paths: Sequence[Path]) -> None:
        """Raise InputError for an option that the formats of none of these files have."""
        for name in self.options:
            if not paths:
                raise InputError(f"{self._flag(name)} is for motion files, none is read")
            if not any(name in self._known(path) for path in paths):
                raise InputError(self._refusal(paths[0], name))

    def read_known(self, path: Path) -> Motion:
        """Read one file with those of the options that its format has."""
        known = self._known(path)
        return self._read(path, {k: v for k, v in self.options.items() if k in known})

    def _read(self, path: Path, options: Mapping[str, Any]) -> Motion:
        from motionrt.runtime.body.motion import Motion

        known = self._known(path)
        for name in options:
            if name not in known:
                raise InputError(self._refusal(path, name))
        motion = Motion.load(path, self.format, **options)
        for note in motion.notes:
            tell(f"note: {path}: {note}")
        return motion

    @staticmethod
    def _flag(name: str) -> str:
        return _FLAGS[name][0] if name in _FLAGS else name

    def _known(self, path: Path) -> tuple[str, ...]:
        return reader_options(self.format or format_of(path))

    def _refusal(self, path: Path, name: str) -> str:
        able = [row.name for row in FORMATS.values() if name in reader_options(row.name)]
        return f"{path}: {self._flag(name)} is for {', '.join(able)}; leave it away"


def flags_of(format: str) -> list[str]:
    """Return the flags that files of a format understand when they are read."""
    return [_FLAGS[name][0] for name in reader_options(format) if name in _FLAGS]


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of reading to a command, which gets them as ``reading``."""
    return _with_options(function, ())


def reading_options_beside(*own: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Do as `reading_options` for a command that has flags of its own, of these names."""
    return lambda function: _with_options(function, own)


def _with_options(function: Callable[..., Any], own: tuple[str, ...]) -> Callable[..., Any]:
    @functools.wraps(function)
    def command(*args: Any, input_format: str | None, **values: Any) -> Any:
        given = {name: values.pop(f"reading_{name}") for name in _FLAGS}
        given = {name: value for name, value in given.items() if value is not None}
        return function(*args, reading=Reading(input_format, given), **values)

    for name, (flag, settings) in reversed(_FLAGS.items()):
        short = [_SHORT[name]] if name in _SHORT and _SHORT[name] not in own else []
        command = click.option(flag, *short, f"reading_{name}", **settings)(command)
    return click.option(
        "--input-format",
        type=click.Choice(list(FORMATS)),
        help="Format of a file whose suffix does not say it.",
    )(command)
