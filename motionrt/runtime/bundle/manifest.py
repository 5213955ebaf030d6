"""A bundle's ``manifest.json``: what it holds, read and checked before anything is loaded.

The exporter writes through ``Manifest.write``, so the reader below is the format's definition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import BundleError
from motionrt.runtime.files import atomic_file

SCHEMA = 1
"""Version of the format; another one is refused."""
FILE_NAME = "manifest.json"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class TensorInfo:
    """A graph's input or output: its name, its axes (a name is a dynamic axis), its dtype."""

    name: str
    axes: tuple[str | int, ...]
    dtype: str


@dataclass(frozen=True)
class GraphInfo:
    """One graph of a bundle."""

    files: Mapping[str, str]
    """Backend kind (``onnx``, or a TensorRT target) -> file that holds the graph."""
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    atol: float
    """Difference from the torch module that was allowed at export, and is by ``verify``."""
    rtol: float = 0.0
    precision: str = "fp32"
    data: tuple[str, ...] = ()
    """Files with weights that the graph's files refer to."""
    deviation: Mapping[str, float] = field(default_factory=dict)
    """Measured at export: largest differences from fp32, by what was measured."""


@dataclass(frozen=True)
class FileInfo:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds. Paths are relative to the bundle and never leave it."""

    family: str
    name: str
    fps: float
    skeleton: Mapping[str, Any]
    """The skeleton that features describe, as ``Skeleton.to_dict``."""
    output_skeleton: Mapping[str, Any]
    """The skeleton of the motions that come out; the same unless the decoder expands it."""
    graphs: Mapping[str, GraphInfo]
    sampler: Mapping[str, Any]
    """The family's sampling defaults."""
    limits: Mapping[str, Any]
    """What the runtime refuses to exceed: ``max_seconds`` and the like."""
    text: Mapping[str, Any]
    """How prompts become token ids, or how else they are looked up."""
    provenance: Mapping[str, Any]
    """Where the weights come from: source, hashes, tool versions, licence."""
    files: Mapping[str, FileInfo]

    def write(self, folder: Path) -> None:
        """Write the manifest into a bundle's folder."""
        document = {"schema": SCHEMA, **asdict(self)}
        with atomic_file(folder / FILE_NAME) as temporary:
            temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


class Bundle:
    """An exported model on disk: its manifest, and its files by name."""

    def __init__(self, folder: str | Path) -> None:
        """Read and check the manifest and that every file is there with its size.

        BundleError with what to do if it is no bundle of this schema, or is damaged.
        """
        self.folder = Path(folder)
        self.manifest = _read(self.folder)
        for name, info in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file():
                raise BundleError(f"{path}: missing from the bundle; export or copy it again")
            size = path.stat().st_size
            if size != info.size:
                raise BundleError(
                    f"{path}: {size} bytes, should be {info.size}; export or copy the bundle again"
                )

    def path(self, name: str) -> Path:
        """Return the path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the manifest lists no file {name}")
        return self.folder / name

    def check_hashes(self, names: Iterable[str]) -> None:
        """Compare the SHA-256 of the named files; BundleError names the first that differs."""
        names = list(names)
        with ThreadPoolExecutor(max_workers=2) as pool:
            for name, found in zip(names, pool.map(self._hash, names), strict=True):
                if found != self.manifest.files[name].sha256:
                    raise BundleError(
                        f"{self.folder / name}: altered since export (SHA-256 differs); "
                        "export or copy the bundle again"
                    )

    def _hash(self, name: str) -> str:
        return sha256(self.path(name))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read(folder: Path) -> Manifest:
    path = folder / FILE_NAME
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle; make one with: motionrt export")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{folder}: no {FILE_NAME} in it, so it is no bundle") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the bundle again") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        schema = document.get("schema") if isinstance(document, dict) else None
        raise BundleError(
            f"{path}: schema {schema}, this runtime reads {SCHEMA}; export the bundle again"
        )
    document.pop("schema")
    try:
        manifest = _parse(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: damaged ({error}); export the bundle again") from error
    root = folder.resolve()
    for name in manifest.files:
        if Path(name).is_absolute() or not (folder / name).resolve().is_relative_to(root):
            raise BundleError(f"{path}: {name} leaves the bundle; do not trust this bundle")
    listed = set(manifest.files)
    for graph_name, graph in manifest.graphs.items():
        for name in (*graph.files.values(), *graph.data):
            if name not in listed:
                raise BundleError(f"{path}: graph {graph_name} names {name}, which is not listed")
    return manifest


def _parse(document: dict[str, Any]) -> Manifest:
    expected = {spec.name for spec in fields(Manifest)}
    if unknown := sorted(set(document) - expected):
        raise ValueError(f"unknown key {unknown[0]}")
    if missing := sorted(expected - set(document)):
        raise ValueError(f"no key {missing[0]}")
    graphs = {}
    for name, entry in document["graphs"].items():
        tensors = {
            side: tuple(
                TensorInfo(item["name"], tuple(item["axes"]), item["dtype"]) for item in entry[side]
            )
            for side in ("inputs", "outputs")
        }
        graphs[name] = GraphInfo(**{**entry, **tensors, "data": tuple(entry["data"])})
    files = {name: FileInfo(**entry) for name, entry in document["files"].items()}
    return Manifest(**{**document, "graphs": graphs, "files": files, "fps": float(document["fps"])})
