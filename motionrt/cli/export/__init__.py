"""Turn a checkpoint into a bundle that runs without PyTorch."""

from __future__ import annotations

import click

from motionrt.cli.main import LazyGroup


@click.group(cls=LazyGroup, package="motionrt.cli.export")
def command() -> None:
    """Turn a checkpoint into a bundle; one subcommand for each family of models."""
