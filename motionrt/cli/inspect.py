"""Show what is inside a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(bundle: Path | None, as_json: bool) -> None:
    """Show graphs, sizes, precision, licence and provenance of BUNDLE, or of the embedded one."""
    from motionrt.runtime.bundle.embedded import embedded_bundle
    from motionrt.runtime.bundle.manifest import FILE_NAME, Bundle

    opened = Bundle(bundle or embedded_bundle())
    manifest = opened.manifest
    if as_json:
        click.echo((opened.folder / FILE_NAME).read_text(encoding="utf-8"), nl=False)
        return
    total = sum(info.size for info in manifest.files.values())
    skeletons = str(manifest.skeleton["name"])
    if manifest.output_skeleton["name"] != skeletons:
        skeletons += f", written as {manifest.output_skeleton['name']}"
    joints = len(manifest.output_skeleton["joint_names"])
    click.echo(f"{manifest.name} ({manifest.family}), {total / 1e6:.1f} MB")
    click.echo(f"  skeleton    {skeletons}, {joints} joints, {manifest.fps:g} fps")
    sampler = ", ".join(f"{key} {value}" for key, value in manifest.sampler.items())
    click.echo(f"  sampler     {sampler}")
    limits = ", ".join(f"{key} {value}" for key, value in manifest.limits.items())
    click.echo(f"  limits      {limits}")
    if manifest.text:
        text = manifest.text
        click.echo(f"  text        {text.get('encoder')} {text.get('name')}")
    else:
        click.echo("  text        none: takes text embeddings")
    provenance = manifest.provenance
    click.echo(f"  licence     {provenance.get('licence') or 'not stated'}")
    click.echo(f"  made from   {provenance.get('source')}")
    for name, digest in provenance.get("sha256", {}).items():
        click.echo(f"              {name} {digest[:16]}…")
    tools = ", ".join(f"{key} {value}" for key, value in provenance.get("tools", {}).items())
    click.echo(f"  made with   {tools}")
    click.echo("  graphs")
    for name, graph in manifest.graphs.items():
        files = {*graph.files.values(), *graph.data}
        size = sum(manifest.files[file].size for file in files)
        deviation = json.dumps(dict(graph.deviation))
        click.echo(f"    {name:<14}{graph.precision:<6}{size / 1e6:9.1f} MB  deviation {deviation}")
        for side, tensors in (("in", graph.inputs), ("out", graph.outputs)):
            for tensor in tensors:
                axes = ", ".join(str(axis) for axis in tensor.axes)
                click.echo(f"      {side:<4}{tensor.name:<22}{tensor.dtype:<8}({axes})")
    click.echo("  files")
    for name, info in manifest.files.items():
        click.echo(f"    {name:<28}{info.size / 1e6:9.2f} MB  {info.sha256[:16]}…")
