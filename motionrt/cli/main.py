"""The ``motionrt`` command: finds each subcommand in a file of its own, loaded when it is used."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

import click

import motionrt
from motionrt.runtime.errors import MotionrtError


class LazyGroup(click.Group):
    """A group whose commands are the modules of a package, each defining ``command``.

    A new file is a new command, unless its name begins with an underscore. The first docstring
    line of a module is its line in the help, read without importing it.
    """

    def __init__(self, *args: Any, package: str, **kwargs: Any) -> None:
        """Take the package whose modules are the commands."""
        super().__init__(*args, **kwargs)
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the package's modules, with dashes for underscores."""
        path = importlib.import_module(self.package).__path__
        names = (module.name for module in pkgutil.iter_modules(path))
        return sorted(name.replace("_", "-") for name in names if name != "main" and name[0] != "_")

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command's module; None if there is none."""
        if name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package}.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; UsageError says what was probably meant by one that is none."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            from motionrt.cli._suggestions import about_command

            if self.get_command(ctx, args[0]) is None:
                raise click.UsageError(about_command(args[0], known), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; UsageError says what was probably meant by an option that is none."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if error.ctx is None:
                raise
            from motionrt.cli._suggestions import about_option

            told = about_option(error.option_name, error.ctx.command, error.ctx)
            raise click.UsageError(told, error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the first line of their files: nothing heavy is imported."""
        rows = []
        path = next(iter(importlib.import_module(self.package).__path__))
        for name in self.list_commands(ctx):
            rows.append((name, _summary(path, name.replace("-", "_"))))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    package="motionrt.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(motionrt.__version__, prog_name="motionrt")
def cli() -> None:
    """Turn text into animated skeletons, without PyTorch."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors raised on purpose become one line and exit code 1."""
    try:
        given = list(arguments) if arguments is not None else None
        code = cli.main(args=given, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MotionrtError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except MemoryError:
        click.echo("Error: out of memory; ask for fewer samples or a shorter motion", err=True)
        sys.exit(1)
    # click returns the code of ctx.exit() instead of raising it.
    if isinstance(code, int) and code:
        sys.exit(code)


def _summary(folder: str, module: str) -> str:
    """Return the first docstring line of a module's file, or of a package's __init__."""
    from pathlib import Path

    place = Path(folder) / module
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    line = file.read_text(encoding="utf-8").split('"""', 2)[1].strip().splitlines()[0]
    return line.rpartition("`: ")[2] if "`: " in line else line
