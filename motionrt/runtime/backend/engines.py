"""Engines in a bundle: what each was built of and for, and whether it fits this machine.

``engines/<target>/engine.json`` describes the engines beside it; export writes through
``EngineSet.to_dict``, so the reader below is the format's definition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from motionrt.runtime.backend.backends import Backend, engine_target
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, BundleError, InputError

SCHEMA = 1
FILE_NAME = "engine.json"
ANY = "any"
"""The capability of engines that run on every RTX card."""
Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class EngineInfo:
    """One engine."""

    file: str
    """Beside ``engine.json``."""
    onnx: Mapping[str, str]
    """SHA-256 of the ONNX file and of its weights, by their names in the bundle."""
    precision: str
    profile: Shapes
    """Input -> smallest, best and largest shape."""


@dataclass(frozen=True)
class EngineSet:
    """The engines of one target."""

    backend: str
    sm: str
    """Compute capability that they were built for: 89 is 8.9."""
    version: str
    """TensorRT's, exactly: engines of another one are not loaded."""
    max_frames: int
    graphs: Mapping[str, EngineInfo]
    max_batch: int = 4

    def to_dict(self) -> dict[str, Any]:
        """Return what ``engine.json`` holds."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> EngineSet:
        """Read what ``to_dict`` wrote; ValueError if it is of another form."""
        values = dict(document)
        if values.pop("schema", None) != SCHEMA:
            raise ValueError(f"schema is not {SCHEMA}")
        values.setdefault("max_batch", 4)  # nobody could choose it before it was noted
        if set(values) != {spec.name for spec in fields(EngineSet)}:
            raise ValueError("keys are missing or unknown")
        graphs = {}
        for name, entry in values["graphs"].items():
            profile = {
                tensor: tuple(tuple(int(size) for size in shape) for shape in shapes)
                for tensor, shapes in entry["profile"].items()
            }
            if any(len(shapes) != 3 for shapes in profile.values()):
                raise ValueError(f"the profile of {name} is not three shapes an input")
            graphs[name] = EngineInfo(**{**entry, "profile": profile})
        return EngineSet(**{**values, "graphs": graphs})


def rebuild_command(
    bundle: Bundle, backend: str, sm: str, max_frames: int = 300, max_batch: int = 4
) -> str:
    """Return the command that builds a target's engines."""
    batch = f" --max-batch {max_batch}" if max_batch != 4 else ""
    return (
        f"motionrt engine {bundle.folder} --engine {backend} --sm {sm} --max-frames {max_frames}"
        f"{batch}"
    )


def held_target(bundle: Bundle, backend: Backend) -> str:
    """Return the target of a bundle's engines that the backend's device runs.

    Those that were built for it, else those for every RTX card if the bundle has them.
    """
    kinds = {kind for graph in bundle.manifest.graphs.values() for kind in graph.files}
    portable = engine_target(backend.name, ANY)
    if backend.engine_target not in kinds and portable in kinds:
        return portable
    return backend.engine_target


def has_engine(bundle: Bundle, name: str, backend: Backend) -> bool:
    """Return whether a graph has an engine for the backend's device.

    BackendError with the command that builds them if the bundle has none for it at all.
    """
    target = held_target(bundle, backend)
    holders = [key for key, graph in bundle.manifest.graphs.items() if target in graph.files]
    if not holders:
        sm = backend.device.sm if backend.device else "89"
        others = sorted(
            {kind for graph in bundle.manifest.graphs.values() for kind in graph.files} - {"onnx"}
        )
        raise BackendError(
            f"{bundle.folder}: no engines for {target} (it has: {', '.join(others) or 'none'}); "
            f"build them with: {rebuild_command(bundle, backend.name, sm)}"
        )
    return name in holders


def load_engines(bundle: Bundle, backend: Backend, version: str) -> EngineSet:
    """Read the engines' description and check that all of it fits.

    BundleError if it is damaged; BackendError with the command that builds them again if they were
    built for another GPU, by another TensorRT, or of other graphs than the bundle's.
    """
    target = held_target(bundle, backend)
    name = f"engines/{target}/{FILE_NAME}"
    path = bundle.folder / name
    bundle.check_hashes([name])
    try:
        engines = EngineSet.from_dict(json.loads(bundle.path(name).read_text(encoding="utf-8")))
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise BundleError(f"{path}: damaged ({error}); build the engines again") from error
    assert backend.device is not None
    problem = ""
    sm = target.rpartition("-sm")[2]
    if (engines.backend, engines.sm) != (backend.name, sm):
        problem = f"built for {engines.backend} sm {engines.sm}, this is {target}"
    elif engines.version != version:
        problem = f"built by {engines.backend} {engines.version}, this is {version}"
    for graph, info in engines.graphs.items():
        if problem:
            break
        for file, digest in info.onnx.items():
            held = bundle.manifest.files.get(file)
            if held is None or held.sha256 != digest:
                problem = f"{graph} was built of another {file}"
    if problem:
        limits = engines.max_frames, engines.max_batch
        command = rebuild_command(bundle, backend.name, sm, *limits)
        raise BackendError(f"{path.parent}: {problem}; build again with: {command}")
    return engines


def check_profile(
    graph: str, info: EngineInfo, shapes: Mapping[str, tuple[int, ...]], command: str
) -> None:
    """Raise InputError if a shape is outside what the engine was built for."""
    for tensor, (smallest, _, largest) in info.profile.items():
        shape = shapes[tensor]
        if any(
            not low <= size <= high
            for low, size, high in zip(smallest, shape, largest, strict=True)
        ):
            raise InputError(
                f"graph {graph}: input {tensor} has shape {shape}, its engine takes {smallest} to "
                f"{largest}; build a larger one with: {command}"
            )
