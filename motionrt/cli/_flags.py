"""Flags: upstream's spellings beside ours, and those that families declare as options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from motionrt.runtime.errors import InputError
from motionrt.runtime.families import Family, all_families
from motionrt.runtime.formats.orders import HINGE_ANGLES, QUATERNION_ORDERS
from motionrt.runtime.formats.table import DEFAULT_FORMAT, FORMATS
from motionrt.runtime.options import Kind, Option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = TypeVar("Function", bound=Callable[..., Any])
_SETTINGS: Mapping[Kind, dict[str, Any]] = {
    Kind.INTEGER: {"type": int},
    Kind.NUMBER: {"type": float},
    Kind.NUMBERS: {"type": float, "multiple": True},
    Kind.TEXT: {},
    Kind.SWITCH: {"default": None},
    Kind.FILE: {"type": click.Path(path_type=Path)},
    Kind.TWO_FILES: {"type": click.Path(path_type=Path), "nargs": 2},
    Kind.CONSTRAINTS: {"type": click.Path(path_type=Path)},
}
"""How click takes a kind of option."""
_GIVEN = "motionrt.given"
QUATERNION: dict[str, Any] = {
    "type": click.Choice(QUATERNION_ORDERS),
    "help": "Order of the root quaternions of a written .csv or GMR .pkl.  [default: wxyz in .csv, "
    "xyzw in .pkl]",
}
CSV_ANGLES: dict[str, Any] = {
    "type": click.Choice(HINGE_ANGLES),
    "help": "Hinge angles of a written .csv: as Kimodo's exporter reads them, or those that pose "
    "MuJoCo's robot as the motion stands.  [default: kimodo]",
}
"""The options of writing robots."""


def format_flags(function: Function) -> Function:
    """Add a flag for every format that is not written anyway, and --format, as ``formats``."""

    def gather(ctx: click.Context, option: click.Parameter, value: bool) -> None:
        if value:
            ctx.params.setdefault("formats", []).append(option.name)

    def gather_named(ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> None:
        ctx.params.setdefault("formats", []).extend(value)

    function = click.option(
        "--format",
        type=FormatName(),
        multiple=True,
        expose_value=False,
        callback=gather_named,
        help="The same by name; may be given several times.",
    )(function)
    for row in reversed(FORMATS.values()):
        if row.name != DEFAULT_FORMAT:
            told = f"Write {row.ending} too: {row.holds}."
            function = click.option(
                f"--{row.name}", is_flag=True, expose_value=False, callback=gather, help=told
            )(function)
    return function


class FormatName(click.Choice[str]):
    """The name of a format, in any case; its suffix (.glb) does as well."""

    def __init__(self) -> None:
        """Offer all of them."""
        super().__init__(list(FORMATS), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        word = str(value).lower()
        endings = {row.ending: row.name for row in reversed(FORMATS.values())}
        return super().convert(endings.get(word, word), param, ctx)


class FamilyCommand(click.Command):
    """A command that has every family's options as flags, and parses as Kimodo's command line does.

    A flag of numbers may take any count of values (--cfg_weight 2.0 1.5), also as one word ("2.0
    1.5"), and a prompt may begin with a dash if there is a blank in it.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own flags, the families', and --help."""
        *own, last = super().get_params(ctx)
        return [*own, *(_flag_of(name, option) for name, option in _all_options().items()), last]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete what `click` does, without the second spelling of a flag."""
        items = super().shell_complete(ctx, incomplete)
        return [item for item in items if not ("_" in item.value and item.value[:2] == "--")]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the arguments into what click understands."""
        many = {
            spelling
            for name, option in _all_options().items()
            if option.kind is Kind.NUMBERS
            for spelling in _spellings(_name_of(name, option))
        }
        options, prompts = [], []
        values_of = ""
        for index, word in enumerate(args):
            if word == "--":
                options.extend(args[index:])
                break
            name, equals, value = word.partition("=")
            if name in many:
                values_of = name
                ctx.meta.setdefault(_GIVEN, set()).add(name)
                numbers = _numbers(value) or ([value] if equals else [])
                options.extend(part for number in numbers for part in (name, number))
            elif values_of and (numbers := _numbers(word)):
                options.extend(part for number in numbers for part in (values_of, number))
            elif word.startswith("-") and " " in word and "=" not in word.split(" ")[0]:
                prompts.append(word)
                values_of = ""
            else:
                options.append(word)
                values_of = ""
        if prompts:
            options.extend(["--", *prompts])
        try:
            return super().parse_args(ctx, options)
        except click.UsageError as error:
            if "extra argument" not in error.message:
                raise
            told = f"{error.message.rstrip('.')}; a prompt of several words stands in quotes"
            raise click.UsageError(told, error.ctx) from None


def flag(name: str, *target: str, **settings: Any) -> Callable[[Function], Function]:
    """Make an option that is also accepted with underscores, as upstream spells it."""
    return click.option(*_spellings(name), *target, **settings)


def prompt_text(value: str) -> str:
    """Read a prompt; where the locale knows ASCII alone, Python hands over its UTF-8 undecoded."""
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeError:  # what is no text is refused with the request
        return value


def given_options(ctx: click.Context, values: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the family options that were given as flags; values are those of all families.

    InputError names a flag that the bundle's family does not have, and the families that do.
    """
    found: dict[str, Any] = {}
    for name, option in _all_options().items():
        value = values[name]
        if option.kind is Kind.NUMBERS:
            spellings = _spellings(_name_of(name, option))
            value = list(value) if ctx.meta.get(_GIVEN, set()) & set(spellings) else None
        if value is None:
            continue
        if name not in family.options:
            able = [other.name for other in all_families() if name in other.options]
            others = f"{' and '.join(able)} {'has' if len(able) == 1 else 'have'}"
            raise InputError(
                f"--{_name_of(name, option)}: {family.name} has no such option ({others}); leave "
                f"it away, or use a bundle of {' or '.join(able)}"
            )
        found[name] = value
    return found


def _all_options() -> dict[str, Option]:
    """Return every family's options that are flags; those of one name are one."""
    found: dict[str, Option] = {}
    for family in all_families():
        for name, option in family.options.items():
            if option.flag is not None:
                found.setdefault(name, option)
    return found


def _flag_of(name: str, option: Option) -> click.Option:
    spellings = _spellings(_name_of(name, option))
    if option.kind is Kind.SWITCH:
        spellings = [f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}"]
    more: dict[str, Any] = {"shell_complete": _presets} if name == "preset" else {}
    return click.Option([*spellings, name], help=option.help, **_SETTINGS[option.kind], **more)


def _presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = dict.fromkeys(name for family in all_families() for name in family.presets)
    return [name for name in names if name.startswith(incomplete)]


def _name_of(name: str, option: Option) -> str:
    return option.flag or name.replace("_", "-")


def _spellings(name: str) -> list[str]:
    return list(dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}")))


def _numbers(word: str) -> list[str]:
    """Split a word into numbers at blanks and commas; nothing if it holds anything else."""
    parts = word.replace(",", " ").split()
    try:
        return [part for part in parts if float(part) is not None]
    except ValueError:
        return []
