"""Measure how fast a bundle runs here."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from motionrt.cli._bundles import backend_options
from motionrt.cli._streams import tell


@click.command("bench")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@backend_options
@click.option("--solver", help="How steps are taken.  [default: the model's]")
@click.option("--frames", type=int, default=150, show_default=True, help="Length of the motion.")
@click.option(
    "--steps",
    type=int,
    default=20,
    show_default=True,
    help="Denoising steps; of a language model a step is a token, and --frames says how many.",
)
@click.option(
    "--repeats", type=int, default=3, show_default=True, help="Runs, of which the median counts."
)
@click.option("--json", "as_json", is_flag=True, help="Print a machine-readable report.")
def command(
    bundle: Path | None,
    backend: str,
    threads: int,
    frames: int,
    steps: int,
    repeats: int,
    solver: str | None,
    as_json: bool,
) -> None:
    """Load BUNDLE, or the embedded one, make one motion several times, and print the medians.

    Always in the same way: load (and encode the text, where a motion needs one), the first step
    cold, a warm-up, then the runs that count. No file is written.
    """
    from motionrt.runtime.benchmark import benchmark
    from motionrt.runtime.bundle.embedded import bundle_folder

    found = benchmark(bundle_folder(bundle), backend, threads, frames, steps, repeats, solver)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    machine = found.machine
    rows = [
        ("model", f"{found.model} ({found.family}), {found.size_mb:.0f} MB of graphs"),
        ("machine", f"{machine['processor']}, {machine['cores']} cores"),
        ("ran on", ", ".join(f"{name}: {where}" for name, where in found.ran_on.items())),
        ("load", f"{found.load:.2f} s"),
        (
            "first step",
            f"{found.first_step:.2f} s ({found.load + found.first_step:.2f} s with load)",
        ),
        ("step", f"{found.step_ms:.1f} ms"),
        ("decode", f"{found.decode_ms:.1f} ms"),
        ("motion", f"{found.motion:.2f} s for {found.frames} frames in {found.steps} steps"),
        ("real time", f"{found.real_time_factor:.2f} seconds of motion a second"),
    ]
    rows += [
        (f"  {name}", f"about {seconds:.2f} s a motion") for name, seconds in found.presets.items()
    ]
    if found.peak_memory_mb is not None:
        rows.append(("peak memory", f"{found.peak_memory_mb:.0f} MB"))
    for name, text in rows:
        click.echo(f"{name:<14}{text}")
    busy = machine["load_average"]
    if busy is not None and busy > 0.5 * (machine["cores"] or 1):
        tell(
            f"warning: the machine was busy (load {busy:.1f} on {machine['cores']} cores); "
            "these figures are too slow"
        )
