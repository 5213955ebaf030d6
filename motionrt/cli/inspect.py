"""Show what is inside a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from motionrt.runtime.bundle.manifest import GraphInfo, Manifest


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--verbose", is_flag=True, help="Show tensors and files, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(bundle: Path | None, verbose: bool, as_json: bool) -> None:
    """Show graphs, sizes, precision, licence and provenance of BUNDLE, or of the embedded one."""
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import Bundle

    opened = Bundle(bundle_folder(bundle))
    manifest = opened.manifest
    if as_json:
        click.echo(opened.manifest_bytes().decode(), nl=False)
        return
    total = sum(info.size for info in manifest.files.values())
    click.echo(f"{manifest.name} ({manifest.family}), {total / 1e6:.1f} MB")
    for label, text in _rows(manifest):
        click.echo(f"  {label:<12}{text}")
    click.echo("  graphs")
    for name, graph in manifest.graphs.items():
        _show_graph(name, graph, manifest, verbose)
    if verbose:
        click.echo("  files")
        for name, info in manifest.files.items():
            click.echo(f"    {name:<28}{info.size / 1e6:9.2f} MB  {info.sha256[:16]}…")


def _rows(manifest: Manifest) -> list[tuple[str, str]]:
    from motionrt.runtime.errors import one_line

    skeletons = str(manifest.skeleton["name"])
    if manifest.output_skeleton["name"] != skeletons:
        skeletons += f", written as {manifest.output_skeleton['name']}"
    joints = len(manifest.output_skeleton["joint_names"])
    limits, provenance = manifest.limits, manifest.provenance
    longest = limits.max_frames / manifest.fps
    rows = [
        ("skeleton", f"{skeletons}, {joints} joints, {manifest.fps:g} fps"),
        ("sampler", _listed(manifest.sampler)),
        ("length", f"advised {limits.advised_seconds:g} s, at most {longest:.1f} s"),
        ("text", _text(manifest.text)),
        ("licence", str(provenance.get("licence") or "not stated")),
        *_text_licence(manifest.text),
        *_text_reference(manifest.text),
        ("made from", str(provenance.get("source") or "not stated")),
    ]
    if manifest.target is not None:
        lowered = manifest.target
        told = f"{lowered.name}: {lowered.runtime}, operator set {lowered.opset}"
        rows.append(("target", told))
    hashes = _mapping(provenance.get("sha256"))
    rows += [("", f"{name} {_told(sha)[:16]}…") for name, sha in hashes.items()]
    rows.append(("made with", _listed(_mapping(provenance.get("tools")))))
    return [(label, one_line(text)) for label, text in rows]


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return an object of the manifest's free sections, an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}


def _text_licence(text: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say under which licence a text encoder's own weights are, where it is one."""
    if "licence" not in text:
        return []  # of an older bundle, or trained along with it
    return [("", f"of the text encoder: {text.get('licence') or 'not stated'}")]


def _text_reference(text: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what a text encoder that came as a graph was compared with."""
    if "reference" not in text:
        return []
    told = _mapping(text["reference"])
    if not told.get("library"):
        return [("compared", f"the text encoder not ({told.get('reason', 'nothing stated')})")]
    return [
        (
            "compared",
            f"the text encoder with {told['library']}: hidden states at most "
            f"{_told(told.get('hidden_states'))} apart, embeddings {_told(told.get('relative'))} "
            "(relative)",
        )
    ]


def _text(text: Mapping[str, Any]) -> str:
    """Say where text embeddings come from."""
    sources = []
    if text.get("encoder"):
        sources.append(f"{text['encoder']} {text.get('name', '')}".strip())
    if text.get("prompt_book"):
        sources.append(f"a book of {text.get('num_prompts', '?')} prompts")
    return ", and ".join(sources) or "none: takes text embeddings"


def _show_graph(name: str, graph: GraphInfo, manifest: Manifest, verbose: bool) -> None:
    from motionrt.export.quantise.deviation import concerns
    from motionrt.runtime.errors import one_line

    size = sum(manifest.files[file].size for file in {*graph.files.values(), *graph.data})
    told = f"    {name:<18}{one_line(graph.precision):<13}{size / 1e6:9.1f} MB"
    if graph.loop is not None and not graph.files:
        told = f"    {name:<18}left to the host, which iterates {one_line(graph.loop.step)}"
    click.echo(told + _deviation(graph.deviation))
    for concern in concerns(graph.deviation):
        click.echo(f"      bad: {concern}")
    if not verbose:
        return
    if graph.loop is not None:
        click.echo(f"      a loop over {graph.loop.step}, a row of {graph.loop.steps_axis} a step")
    for side, tensors in (("in", graph.inputs), ("out", graph.outputs)):
        for tensor in tensors:
            axes = ", ".join(str(axis) for axis in tensor.axes)
            click.echo(f"      {side:<4}{tensor.name:<22}{tensor.dtype:<8}({axes})")
    for axis, sizes in graph.axes.items():
        most = "any" if sizes.largest is None else sizes.largest
        click.echo(f"      axis {axis:<21}{sizes.smallest} to {most}")


def _deviation(figures: Mapping[str, float]) -> str:
    """Say how far a graph is from the model that it was exported from."""
    said = []
    if "motion_joints_cm" in figures:
        said.append(f"joints off by {figures['motion_joints_cm']:.2g} cm")
    if "cosine" in figures:
        said.append(f"cosine {figures['cosine']:.4f}")
    if "relative" in figures:
        said.append(f"{figures['relative']:.2%} relative")
    elif "export" in figures:
        said.append(f"at most {figures['export']:.1e} from torch's")
    return f"  {', '.join(said)}" if said else ""


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_told(value)}" for key, value in values.items())


def _told(value: Any) -> str:
    """Write a value for people: few digits, lists with blanks."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_told, value))
    return str(value)
