"""A bundle as a model hub shows it: a card with front matter, and the usual names of its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from motionrt.runtime.bundle.manifest import FileInfo, GraphInfo, Manifest
from motionrt.runtime.errors import one_line

CARD = "README.md"
FOLDER = "onnx"
ENDINGS = {"fp16": "_fp16", "int8": "_int8", "int4": "_q4"}
"""Behind a graph's name for its precision, as the hub's other ONNX models have it."""
LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "openrail", "llama3")
"""Licences that the hub has an identifier for, as they are commonly spelled in a statement."""


def hub_names(manifest: Manifest) -> dict[str, str]:
    """Return the name that each file has on the hub, by its name in the bundle.

    Graphs of onnxruntime and their weights lie in ``onnx``, the precision in the graph's name; all
    else keeps its place.
    """
    names = {name: name for name in manifest.files}
    for graph_name, graph in manifest.graphs.items():
        file = graph.files.get("onnx")
        if file is None or PurePosixPath(file).parent.name:
            continue  # it has a folder already
        ending = next((e for p, e in ENDINGS.items() if graph.precision.startswith(p)), "")
        names[file] = f"{FOLDER}/{graph_name}{ending}.onnx"
        names.update({data: f"{FOLDER}/{data}" for data in graph.data})
    return names


def renamed(manifest: Manifest, names: Mapping[str, str]) -> Manifest:
    """Return a manifest whose files have other names; weights stay beside their graphs."""
    graphs = {
        key: msgspec.structs.replace(
            graph,
            files={kind: names[file] for kind, file in graph.files.items()},
            data=tuple(names[file] for file in graph.data),
        )
        for key, graph in manifest.graphs.items()
    }
    files: dict[str, FileInfo] = {names[name]: info for name, info in manifest.files.items()}
    return msgspec.structs.replace(manifest, graphs=graphs, files=files)


def card(manifest: Manifest, place: str, base_model: str | None, licence: str | None) -> str:
    """Write the model card of a bundle that lies at a place of the hub.

    base_model: the repository that the weights come from, None if it has no name there. licence:
    the hub's identifier; None reads it off the manifest where that is certain, else ``other``.
    """
    stated = one_line(manifest.provenance.get("licence") or "not stated")
    front = {
        "library_name": "motionrt",
        "license": licence or _identifier(stated),
        **({} if licence or _identifier(stated) != "other" else {"license_name": stated}),
        **({"base_model": base_model} if base_model else {}),
        "pipeline_tag": "text-to-3d",
        "tags": ["text-to-motion", "motion-generation", "onnx", manifest.family],
    }
    size = sum(info.size for info in manifest.files.values())
    joints = len(manifest.output_skeleton["joint_names"])
    body = one_line(manifest.output_skeleton["name"])
    name = one_line(manifest.name)
    rows = [
        f"| `{key}` | {one_line(graph.precision)} | {_graph_size(graph, manifest) / 1e6:.1f} | "
        f"{_figures(graph)} |"
        for key, graph in manifest.graphs.items()
    ]
    return f"""---
{_front_matter(front)}---

# {name}

A text-to-motion model as a motionrt bundle: ONNX graphs that run without PyTorch.

```sh
pip install "motionrt[cpu]"
motionrt gen "a person walks forward" --bundle {place} --bvh
```

```python
import motionrt

motion = motionrt.load("{place}").generate("a person walks forward", seconds=4.0)
motion.save("walk.bvh")
```

| | |
| --- | --- |
| family | {one_line(manifest.family)} |
| body | {body}, {joints} joints, {manifest.fps:g} frames a second |
| length | made for up to {manifest.limits.advised_seconds:g} s; longer prompts are made of parts |
| size | {size / 1e6:.1f} MB |
| made from | {one_line(manifest.provenance.get("source") or "not stated")} |
| licence of the weights | {stated} |{_text_licence(manifest)}

| graph | precision | MB | largest difference, measured at export |
| --- | --- | ---: | --- |
{chr(10).join(rows)}
"""


def _text_licence(manifest: Manifest) -> str:
    """Give the row of a text encoder that has a licence of its own, with the line's end before."""
    stated = manifest.text.get("licence")
    return f"\n| licence of the text encoder | {one_line(stated)} |" if stated else ""


def _front_matter(values: Mapping[str, Any]) -> str:
    """Write YAML of texts and lists of texts; JSON's strings are YAML's."""
    lines = []
    for key, value in values.items():
        written = msgspec.json.encode(value).decode()
        lines.append(f"{key}: {written}\n")
    return "".join(lines)


def _identifier(stated: str) -> str:
    plain = stated.lower().replace(" ", "-")
    return next((name for name in LICENCES if plain.startswith(name)), "other")


def _graph_size(graph: GraphInfo, manifest: Manifest) -> int:
    return sum(manifest.files[file].size for file in {*graph.files.values(), *graph.data})


def _figures(graph: GraphInfo) -> str:
    told = (f"{key.replace('_', ' ')} {value:.3g}" for key, value in graph.deviation.items())
    return one_line(", ".join(told)) or "none kept"
