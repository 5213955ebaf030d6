"""Check a bundle on this machine: hashes, and stored runs against runs made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from motionrt.cli._bundles import backend_options
from motionrt.cli._streams import tell


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print a machine-readable report.")
def command(bundle: Path | None, backend: str, threads: int, as_json: bool) -> None:
    """Check BUNDLE, or the embedded one: its files, and every graph on its stored inputs.

    Exit code 1 if a file is altered or a graph gives other numbers than at export.
    """
    from motionrt.runtime.backend.backends import choose_backend
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import Bundle
    from motionrt.runtime.verification import verify

    opened = Bundle(bundle_folder(bundle))
    chosen = choose_backend(backend, threads)
    rows = []
    failed = False
    for result in verify(opened, chosen):
        failed |= not result.passed
        rows.append({**result.__dict__, "passed": result.passed})
        if not as_json:
            mark = "ok  " if result.passed else "FAIL"
            click.echo(f"{mark}  {result.what:<36} {result.message}")
    if as_json:
        report = {"bundle": str(opened.folder), "backend": chosen.name, "passed": not failed}
        click.echo(json.dumps({**report, "checks": rows}))
    elif failed:
        tell(f"{opened.folder}: does not verify on {chosen.name}")
    else:
        click.echo(f"{opened.folder}: verified on {chosen.name}")
    if failed:
        sys.exit(1)
