"""What was probably meant by a command or an option that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

import click

from motionrt.runtime.formats.table import DEFAULT_FORMAT, FORMATS

_COMMANDS = {
    "generate": "gen",
    "run": "gen",
    "kimodo_gen": "gen",
    "play": "view",
    "show": "view",
    "render": "view",
    "plot": "view",
    "measure": "info",
    "stats": "info",
    "list": "formats",
    "benchmark": "bench",
    "describe": "caption",
    "serve": "serve-text",
    "train": "train-default",
    "quantize": "export",
    "backends": "devices",
    "check": "verify",
    "version": "--version",
    "help": "--help",
}
"""What other programs call it -> what it is here."""
_OPTIONS = {
    "--seconds": "--duration",
    "--length": "--duration",
    "--time": "--duration",
    "--num-frames": "--duration",
    "--steps": "--diffusion-steps",
    "--num-steps": "--diffusion-steps",
    "--file": "--output",
    "--samples": "--num-samples",
    "-n": "--num-samples",
    "-b": "--bundle",
    "--checkpoint": "--bundle",
    "--gpu": "--backend cuda",
    "--cuda": "--backend cuda",
    "--cpu": "--backend cpu",
    "--cfg": "--cfg-weight",
    "--guidance": "--cfg-weight",
    "--guidance-scale": "--cfg-weight",
    "--silent": "--quiet",
    "-q": "--quiet",
}
_PICTURES = ("png", "jpg", "gif", "webp", "mp4", "html")
_FOREIGN = ("dae", "obj", "abc", "c3d", "smpl", "smplx")


def about_command(name: str, known: Collection[str]) -> str:
    """Return what to say of a command that does not exist."""
    if " " in name:
        return f"No such command {name!r}; a prompt stands behind gen: motionrt gen {name!r}"
    meant = _meant(name.lower(), known, _COMMANDS, 0.6)
    return f"No such command {name!r}{_asked(meant)}"


def about_option(name: str, command: click.Command, ctx: click.Context) -> str:
    """Return what to say of an option that a command does not have."""
    known = [
        spelling
        for option in command.get_params(ctx)
        if isinstance(option, click.Option) and not option.hidden
        for spelling in (*option.opts, *option.secondary_opts)
        if "_" not in spelling  # upstream's spelling of one that is there with dashes
    ]
    word = name.lower().replace("_", "-")
    bare = word.lstrip("-")
    if any(argument.name == bare for argument in command.get_params(ctx)):
        usage = " ".join(command.collect_usage_pieces(ctx)[1:])
        return f"No such option {name!r}; it stands without it: {ctx.command_path} {usage}"
    if "--format" in known and bare in (*_FOREIGN, *_PICTURES):
        if bare in _PICTURES:
            return f"No such option {name!r}; draw a motion with: motionrt view FILE -o FILE.{bare}"
        flags = ", ".join(f"--{row}" for row in FORMATS if row != DEFAULT_FORMAT)
        return f"No such option {name!r}; motions are written as .npz, and by {flags}"
    return f"No such option {name!r}{_asked(_meant(word, known, _OPTIONS, 0.7))}"


def _meant(
    word: str, known: Collection[str], synonyms: Mapping[str, str], cutoff: float
) -> list[str]:
    """Return known names that a word stands for, begins, or is spelt nearly like."""
    there = {
        other: name
        for other, name in synonyms.items()
        if name.split(" ")[0] in known or name in ("--help", "--version")
    }
    if word in there:
        return [there[word]]
    begun = [name for name in known if len(word) > 3 and name.startswith(word)]
    near = begun or difflib.get_close_matches(word, [*known, *there], n=1, cutoff=cutoff)
    return list(dict.fromkeys(there.get(name, name) for name in near[:3]))


def _asked(meant: Collection[str]) -> str:
    return f"; did you mean {' or '.join(meant)}?" if meant else ""
