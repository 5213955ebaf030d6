"""Say which backends can run here, and why others cannot."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Print a machine-readable list.")
def command(as_json: bool) -> None:
    """List the backends, one a line: whether it works here, and with what or why not."""
    from motionrt.runtime.backend.backends import statuses

    found = statuses()
    if as_json:
        click.echo(json.dumps([asdict(status) for status in found]))
        return
    for status in found:
        mark = "yes" if status.works else "no"
        click.echo(f"{status.name:<14}{mark:<5}{status.detail}")
