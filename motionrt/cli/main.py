"""The ``motionrt`` command: finds each subcommand in a file of its own, loaded when it is used."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import click

import motionrt
from motionrt.cli._ending import (
    BUG,
    CLOSED_PIPE,
    STOPPED,
    Stopped,
    bug_line,
    leave,
    listen,
    no_reader_ends,
    signal_seen,
)
from motionrt.cli._streams import discard_output, mend_streams, tell
from motionrt.runtime.errors import MotionrtError, one_line


class LazyGroup(click.Group):
    """A group whose commands are the modules of a package, each defining ``command``.

    A new file is a new command, unless its name begins with an underscore. The first docstring
    line of a module is its line in the help, read without importing it.
    """

    def __init__(self, *args: Any, package: str, **kwargs: Any) -> None:
        """Take the package whose modules are the commands."""
        super().__init__(*args, **kwargs)
        self.package = package

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments, and print the help if they ask for it."""
        with no_reader_ends():
            return super().make_context(*args, **kwargs)

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
            with no_reader_ends():
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
    """Run the command line, the process's own arguments by default.

    Whatever goes wrong becomes one line on standard error and an exit code: 2 for a wrong use, 1
    for an error that was raised on purpose or comes from the system, 70 for a bug, 130 after
    Ctrl-C, 128 and its number after another signal, 141 when nobody reads the output any more.
    """
    if arguments is not None:
        code = _run(cli, list(arguments))
        if code:
            sys.exit(code)
        return
    _run_program(cli, None)


def kimodo_gen() -> None:
    """Run ``motionrt gen`` by the name and with the defaults of Kimodo's own command.

    Its model is a bundle in the folder that ``MOTIONRT_BUNDLE_DIR`` names. Ends as `main` does.
    """
    from motionrt.cli.gen import command

    arguments = sys.argv[1:]
    defaults = {"output": "output"}
    if not any(argument.split("=")[0] == "--bundle" for argument in arguments):
        defaults["model"] = "kimodo-soma-rp"
    _run_program(command, arguments, prog_name="kimodo_gen", default_map=defaults)


def _run_program(command: click.Command, arguments: list[str] | None, **settings: Any) -> None:
    """Run a command as a process of its own does, and leave it with its exit code."""
    mend_streams()
    listen()
    warnings.showwarning = _tell_warning
    code = _run(command, arguments, **settings)
    if code:
        leave(code)


def _run(command: click.Command, arguments: list[str] | None, **settings: Any) -> int:
    """Run a command and return the exit code."""
    try:
        try:
            code = command.main(args=arguments, standalone_mode=False, **settings)
        except Exception as error:
            # Some libraries make an error of their own of an interrupt.
            if (number := signal_seen()) is not None:
                raise Stopped(number) from error
            raise
    except (click.exceptions.Abort, KeyboardInterrupt):
        tell("Stopped.")
        return STOPPED + 2
    except Stopped as stop:
        if STOPPED + stop.number == CLOSED_PIPE:
            discard_output()
        else:
            tell("Stopped.")
        return STOPPED + stop.number
    except click.ClickException as error:
        _tell_misuse(error)
        return error.exit_code
    except MotionrtError as error:
        tell(f"Error: {error}")
        return 1
    except MemoryError:
        tell("Error: out of memory; ask for fewer samples or a shorter motion")
        return 1
    except OSError as error:
        tell(f"Error: {_place(error)}: {error.strerror or error}")
        return 1
    except Exception as error:
        tell(bug_line(error))
        return BUG
    # click returns the code of ctx.exit() instead of raising it.
    return code if isinstance(code, int) else 0


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of Python's as one line, without the place in the code."""
    tell(f"Warning: {one_line(message)}")


def _tell_misuse(error: click.ClickException) -> None:
    """Print what click has to say, with nothing of it that a terminal would obey."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        context = error.ctx
        for line in context.get_usage().splitlines():
            tell(line)
        tell(f"Try '{context.command_path} {max(context.help_option_names, key=len)}' for help.")
        tell("")
    tell(f"Error: {error.format_message()}".replace("\n\t", " "))  # click lists choices so


def _place(error: OSError) -> str:
    """Say which file an error of the system is about."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is not None and last.tb_frame.f_code is click.echo.__code__:
        discard_output()
        return "standard output"
    return "the system" if error.filename is None else str(error.filename)


def _summary(folder: str, module: str) -> str:
    """Return the first docstring line of a module's file, or of a package's __init__."""
    from pathlib import Path

    place = Path(folder) / module
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    line = file.read_text(encoding="utf-8").split('"""', 2)[1].strip().splitlines()[0]
    return line.rpartition("`: ")[2] if "`: " in line else line
