"""Print the JSON Schema of a request."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.option("--family", help="Of one family's requests.  [default: all]")
def command(family: str | None) -> None:
    """Print the JSON Schema of what --batch lines, and programs, ask for.

    docs/request.md says what the keys mean.
    """
    from motionrt.runtime.families import FAMILIES, find_family
    from motionrt.runtime.request import request_schema

    if family is not None and family not in FAMILIES:
        raise click.UsageError(f"--family {family}: there are {', '.join(FAMILIES)}")
    names = FAMILIES if family is None else [family]
    click.echo(json.dumps(request_schema([find_family(name) for name in names]), indent=1))
