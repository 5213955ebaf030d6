"""A bundle's graphs made anew, as the exporter writes them today, of the weights that it holds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from motionrt.export.bundle import BundleWriter
from motionrt.export.kimodo import LOOP, export_kimodo
from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.bundle.manifest import Bundle, Manifest, check_place
from motionrt.runtime.files import atomic_folder
from motionrt.train.default.checkpoint import write_kimodo_checkpoint
from motionrt.train.default.shipped import STEP, read_shipped

_MEASURED_ANEW = ("export", "rounding")
"""Of a graph's deviations, those that tell what exporting alone did."""


def renew(start: Path, output: Path, precision: str, echo: Callable[[str], None]) -> None:
    """Write a bundle at output that does what the one at start does, by today's graphs.

    Text encoder, what it knows and its defaults are copied. In its own precision the weights stay
    as they are: what their rounding once did to motions is then told as before, since the network
    they were rounded from is not at hand. InputError if start is not understood.
    """
    shipped = read_shipped(start)
    source = shipped.bundle.manifest
    check_place(output, replace=True)
    with tempfile.TemporaryDirectory() as place, atomic_folder(output, replace=True) as folder:
        checkpoint = Path(place) / "denoiser"
        model = shipped.model
        write_kimodo_checkpoint(checkpoint, model.config, shipped.stats, model.state_dict())
        read = replace(read_kimodo(checkpoint), name=source.name)
        if source.sampler.get("guidance_type") == "nocfg":
            read = replace(read, few_steps=int(source.sampler["num_steps"]))
        writer = BundleWriter(folder, echo)
        licence = str(source.provenance.get("licence", ""))
        export_kimodo(writer, read, None, licence, precision)
        shipped.copy_text_encoder(folder)
        shipped.copy_known_prompts(folder)
        made = Bundle(folder).manifest
        _with_what_was_known(made, source).write(folder)
    for warning in writer.warnings:
        echo(f"Warning: {warning}")
    kept = all(made.files.get(name) == source.files[name] for name in source.graphs[STEP].data)
    echo(f"{output}: its weights are {'those of' if kept else 'rounded anew from'} {start}")


def _with_what_was_known(made: Manifest, source: Manifest) -> Manifest:
    graphs = dict(made.graphs)
    if made.graphs[STEP].precision == source.graphs[STEP].precision:
        for name in (STEP, LOOP.name):
            before = source.graphs[name].deviation.items()
            found = made.graphs[name].deviation.items()
            graphs[name] = msgspec.structs.replace(
                made.graphs[name],
                deviation={key: value for key, value in found if key in _MEASURED_ANEW}
                | {key: value for key, value in before if key not in _MEASURED_ANEW},
            )
    return msgspec.structs.replace(
        made,
        graphs=graphs,
        sampler={**made.sampler, **source.sampler},
        limits=source.limits,
        provenance={**source.provenance, "tools": made.provenance["tools"]},
    )
