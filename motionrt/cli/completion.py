"""Print what makes a shell complete commands, options and their values."""

from __future__ import annotations

import click

_WHERE = {
    "bash": '~/.bashrc:  eval "$(motionrt completion bash)"',
    "zsh": '~/.zshrc, behind compinit:  eval "$(motionrt completion zsh)"',
    "fish": "~/.config/fish/config.fish:  motionrt completion fish | source",
}


@click.command("completion", epilog="\b\n" + "\n".join(_WHERE.values()))
@click.argument("shell", type=click.Choice(list(_WHERE)))
def command(shell: str) -> None:
    """Print the completion script of SHELL; a line in its start-up file loads it."""
    from click.shell_completion import get_completion_class

    from motionrt.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None, shell  # click has those that the argument offers
    click.echo(found(cli, {}, "motionrt", "_MOTIONRT_COMPLETE").source())
