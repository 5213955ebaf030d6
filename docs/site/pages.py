"""Pages that the site makes of the source: commands, tables, errors, and the Python reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

import motionrt

MARK = re.compile(r"^<!-- needs: (.+?) -->$", re.MULTILINE)
"""Before a block that no test can run here: what it needs."""
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")

_REPEATED = re.compile(r"\(#([a-z]+)-(\d)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show what blocks need, and links to files of the repository as their paths."""
    shown = MARK.sub(r"*Needs \1.*", markdown)
    shown = _OUTSIDE.sub(_told, shown)
    # Headings of one name are told apart by -1 in the repository and by _1 on the site.
    return _REPEATED.sub(r"(#\1_\2)", shown)


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for name, content in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def pages() -> dict[str, str]:
    """Return the generated pages' Markdown, by name."""
    return {
        "commands": _commands(),
        "errors": _errors(),
        "precisions": _precisions(),
        "python": _python(),
        "targets": _targets(),
    }


def commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Walk a command line: the name, command and context of everything that can be called."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                inner = click.Context(found, info_name=name, parent=context)
                yield from commands(found, inner)
        return
    yield context.command_path, command, context


def _told(link: re.Match[str]) -> str:
    name, place = link[1], link[2].removeprefix("../").partition("#")[0]
    return f"`{place}`" if place.endswith(name) else f"{name} (`{place}`)"


def _commands() -> str:
    from motionrt.cli.main import cli

    parts = [
        "# Commands\n\nWhat `motionrt COMMAND --help` prints, made of the commands themselves.\n"
    ]
    for path, command, context in commands(cli, click.Context(cli, info_name="motionrt")):
        parts.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _errors() -> str:
    from motionrt.runtime import errors

    rows = []

    def walk(kind: type[Exception], depth: int) -> None:
        first = (kind.__doc__ or "").strip().splitlines()[0]
        rows.append(f"| {'&emsp;' * depth}`{kind.__name__}` | {first} |")
        for below in kind.__subclasses__():
            if below.__module__.startswith("motionrt."):
                walk(below, depth + 1)

    walk(errors.MotionrtError, 0)
    warning = (errors.MotionWarning.__doc__ or "").strip().splitlines()[0]
    return (
        "# Errors\n\nEvery error that is raised on purpose derives from `MotionrtError`. Its "
        "message is one line: what is wrong, where, what to do. The command line prints it and "
        "exits with 1; wrong usage exits with 2.\n\n| error | when |\n| --- | --- |\n"
        + "\n".join(rows)
        + f"\n\n`MotionWarning`: {warning}\n"
    )


def _precisions() -> str:
    from motionrt.export.quantise.recipes import DENOISER_RECIPES, LANGUAGE_MODEL_RECIPES

    def told(format_: Any) -> str:
        if format_.kind == "blockwise":
            return f"int{format_.bits}, a scale for {format_.block_size} inputs"
        if format_.kind == "stored-int8":
            return f"int8, a scale for {format_.block_size} inputs, computed in float32"
        return str(format_.kind)

    parts = [
        "# Precisions\n\nHow weights are stored. What that costs is measured when a bundle is "
        "exported, and stated in its manifest.\n"
    ]
    for title, option, recipes in (
        ("Denoisers", "--precision", DENOISER_RECIPES),
        ("Text encoders and language models", "--text-precision", LANGUAGE_MODEL_RECIPES),
    ):
        parts.append(
            f"## {title}: `{option}`\n\n| name | weights | lookup tables |\n| --- | --- | --- |"
        )
        parts += [
            f"| `{name}` | {told(recipe.weights)} | {told(recipe.embeddings)} |"
            for name, recipe in recipes.items()
        ]
        parts.append("")
    return "\n".join(parts)


def _targets() -> str:
    from motionrt.runtime.formats.targets import HEADINGS, rows

    lines = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    lines += [f"| {' | '.join((f'`{first}`', *rest))} |" for first, *rest in rows()]
    return (
        "# Targets\n\nWhat `--for NAME` writes for: axes, units and the file that a program takes "
        "best. [Motion files](../formats.md) has the formats.\n\n" + "\n".join(lines) + "\n"
    )


def _python() -> str:
    homes = motionrt._HOMES  # names are imported when they are used: tools do not find them
    blocks = [
        f"::: {home}.{name}"
        for name, home in sorted(homes.items(), key=lambda item: item[0].casefold())
        if not home.endswith(".errors")
    ]
    return (
        "# Python\n\nThe public names of `motionrt`, each imported from there. A family's pipeline "
        "is what `motionrt.load` gives. [Errors](errors.md) have a page of their own.\n\n"
        + "\n\n".join(blocks)
        + "\n\n## Constraints\n\n::: motionrt.constraints\n"
    )
