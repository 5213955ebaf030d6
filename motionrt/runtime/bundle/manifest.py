"""A bundle's ``manifest.json``: what it holds, read and checked before anything is loaded.

The exporter writes through ``Manifest.write``, so the classes below are the format's definition.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.bundle.held_folder import HeldFolder
from motionrt.runtime.bundle.schema_1 import upgraded
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.files import atomic_file, check_folder, refuse_lfs_pointer

SCHEMA = 2
"""Version of the format that is written. Version 1 is read as well, others are refused."""
FILE_NAME = "manifest.json"
_CHUNK = 1 << 22
_SMALL = 1 << 20
"""Bytes that are hashed sooner than a thread is started."""
_LONGEST_NAME = 250

Section = TypeVar("Section")
Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
"""A whole number from 1."""
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
"""Of an axis, or a file in bytes."""
ElementType = Literal["float32", "float16", "int32", "int64", "bool"]
Tolerance = Annotated[float, msgspec.Meta(ge=0)]
MOST_JOINTS = 1000
"""Of a bundle's skeleton: several times a body with fingers and face."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An object of the manifest: no key is missing, unknown or of another type."""


class TensorInfo(_Part, frozen=True):
    """A graph's input or output: its name, its axes (a name is a dynamic axis), its dtype."""

    name: str
    axes: tuple[str | Size, ...]
    dtype: ElementType


class AxisInfo(_Part, frozen=True):
    """How large a dynamic axis may be."""

    smallest: Size = 1
    typical: Size = 1
    """What engines are tuned for."""
    largest: Size | None = None
    """None: as large as memory allows."""


class PreparedForm(_Part, frozen=True):
    """A loop in another form, for a backend that steps it: a graph that is run once, then a step.

    What the first gives the step takes under the same names. The state lies where the step runs.
    """

    prepare: str
    """The graph that is run once, of the loop's inputs without its state."""
    step: str
    """The graph that is one iteration, where all items of a batch are of one length."""
    masked_step: str
    """The same for items of several lengths."""
    carried: Mapping[str, str]
    """Step input -> the step output that it becomes, the counter included."""
    counter: str
    """The step input that says how many iterations are done."""
    lengths: str
    """The input that the masked step takes besides; of equal lengths the other step is right."""


class LoopInfo(_Part, frozen=True):
    """How a compiled loop is made of a step graph: one iteration a row of the scanned inputs."""

    step: str
    """The graph that is one iteration."""
    carried: Mapping[str, str]
    """Step input -> the step output that it becomes. The loop takes the first, returns the last."""
    scanned: Mapping[str, str]
    """Step input -> loop input with one more axis in front, of which iteration i takes row i."""
    steps_axis: str = "steps"
    padded_axis: str | None = None
    """An axis that may be longer than is asked: what lies behind (zeros, False in masks) changes
    nothing before it. None: no axis may."""
    forms: Mapping[str, PreparedForm] = msgspec.field(default_factory=dict)
    """Backend -> the form that it runs instead."""


class GraphInfo(_Part, frozen=True):
    """One graph of a bundle."""

    files: Mapping[str, str]
    """Backend kind (``onnx``, or a TensorRT target) -> file that holds the graph. A loop may have
    none: whoever runs it iterates its step."""
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    atol: Tolerance
    """Difference from the torch module that was allowed at export, and is by ``verify``."""
    rtol: Tolerance = 0.0
    precision: str = "fp32"
    data: tuple[str, ...] = ()
    """Files with weights that the graph's files refer to."""
    deviation: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Measured at export: largest differences from fp32, by what was measured."""
    axes: Mapping[str, AxisInfo] = msgspec.field(default_factory=dict)
    """Sizes of the dynamic axes, by name; one that is not listed may have any size from 1."""
    loop: LoopInfo | None = None
    """What the graph iterates, if it is a compiled loop."""
    unpack_each_run: bool = False
    """Rounded weights are made float32 at each run, not once when the graph is loaded: less time to
    load and less memory, for a graph that runs once a motion."""

    def axis(self, name: str) -> AxisInfo:
        """Return the sizes that a dynamic axis may have."""
        return self.axes.get(name, AxisInfo())


class TargetInfo(_Part, frozen=True):
    """What a bundle was lowered for (``motionrt lower``)."""

    name: str
    opset: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    """ONNX operator set of its graphs."""
    ir_version: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    runtime: str
    """What it is made to run in."""


class FileInfo(_Part, frozen=True):
    """Size in bytes and SHA-256 of a file."""

    size: Size
    sha256: str


class Limits(_Part, frozen=True):
    """What the runtime refuses to exceed, and what the model was trained on."""

    max_frames: Count
    advised_seconds: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    """The longest motion that it was trained on, or that its authors advise."""
    transitions_included: bool = False
    """advised_seconds is of all that is sampled at once, the frames of a transition too; otherwise
    of a prompt, and a transition may come on top."""


class Manifest(_Part, frozen=True):
    """What a bundle holds. Paths are relative to the bundle and never leave it."""

    family: str
    name: str
    fps: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    skeleton: Mapping[str, Any]
    """The skeleton that features describe, as ``Skeleton.to_dict``."""
    output_skeleton: Mapping[str, Any]
    """The skeleton of the motions that come out; the same unless the decoder expands it."""
    graphs: Mapping[str, GraphInfo]
    sampler: Mapping[str, Any]
    """The family's sampling defaults; its pipeline reads them by ``section``."""
    limits: Limits
    text: Mapping[str, Any]
    """How prompts become token ids, or how else they are looked up; empty where texts are not."""
    provenance: Mapping[str, Any]
    """Where the weights come from: source, hashes, tool versions, licence."""
    files: Mapping[str, FileInfo]
    target: TargetInfo | None = None
    """What it was lowered for; None: for onnxruntime, as it was exported."""

    def encoded(self) -> bytes:
        """Return what a manifest's file holds."""
        document = {"schema": SCHEMA, **msgspec.to_builtins(self)}
        return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"

    def write(self, folder: Path) -> None:
        """Write the manifest into a bundle's folder."""
        content = self.encoded()
        with atomic_file(folder / FILE_NAME) as temporary:
            temporary.write_bytes(content)


class Bundle:
    """An exported model on disk: its manifest, and its files by name.

    On Linux they stay those of one bundle for as long as the object lives, though another may be
    put in its place meanwhile (``export --force``).
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Read and check the manifest and that every file is there with its size.

        BundleError with what to do if it is no bundle of this schema, or is damaged.
        """
        self.folder = Path(folder)
        self._held = HeldFolder(self.folder)
        self.manifest = _read(self.folder, self._held.root)
        self.skeleton = self._skeleton("skeleton")
        """The skeleton that features describe."""
        self.output_skeleton = self._skeleton("output_skeleton")
        """The skeleton of the motions that come out."""
        for name, info in self.manifest.files.items():
            path = self._held.root / name
            try:
                found = path.stat() if path.is_file() else None
            except OSError as error:
                raise BundleError(
                    f"{self.folder / name}: cannot be read ({error.strerror}); "
                    "export or copy it again"
                ) from error
            if found is None:
                raise BundleError(
                    f"{self.folder / name}: missing from the bundle; export or copy it again"
                )
            size = found.st_size
            if size != info.size:
                refuse_lfs_pointer(path, BundleError, self.folder / name)
                raise BundleError(
                    f"{self.folder / name}: {size} bytes, should be {info.size}; "
                    "export or copy the bundle again"
                )

    def path(self, name: str) -> Path:
        """Return where a file that the manifest lists is opened, while this object lives.

        Who reads messages knows it as ``folder / name``.
        """
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the manifest lists no file {name}")
        return self._held.root / name

    def manifest_bytes(self) -> bytes:
        """Return the manifest's file as it is."""
        return (self._held.root / FILE_NAME).read_bytes()

    def read_tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """Read a safetensors file, compared with its hash; BundleError if it is damaged."""
        # Here: a bundle is opened for other things than its tensors, too.
        from safetensors.numpy import load_file

        path = self.path(name)
        self.check_hashes([name])
        try:
            return dict(load_file(path))
        # Its own kind, and what numpy says of a type that it does not have.
        except Exception as error:
            raise BundleError(
                f"{self.folder / name}: no safetensors file ({error}); export the bundle again"
            ) from error

    def _skeleton(self, section: str) -> Skeleton:
        try:
            made = Skeleton.from_dict(getattr(self.manifest, section))
            if made.num_joints > MOST_JOINTS:
                raise InputError(f"{made.num_joints} joints, at most {MOST_JOINTS}")
        except InputError as error:
            raise self.unfit(f"{section}: {error}") from error
        return made

    def section(self, name: str, kind: type[Section]) -> Section:
        """Read a section of the manifest as a class; BundleError names the key that does not fit.

        kind is a ``msgspec.Struct`` or a dataclass with the section's keys as fields.
        """
        try:
            return msgspec.convert(getattr(self.manifest, name), kind)
        except msgspec.ValidationError as error:
            reason = str(error).replace("$.", f"{name}.").replace("`$`", name)
            raise self.unfit(f"{name}: {reason}") from error

    def require(
        self, graph: str, inputs: Mapping[str, Sequence[str | int]], outputs: Iterable[str]
    ) -> None:
        """Raise BundleError unless a graph, if the bundle has it, takes and gives certain tensors.

        inputs: by name, what their last axes are (fewer than they have: the first are free).
        """
        info = self.manifest.graphs.get(graph)
        if info is None:
            return
        found = {tensor.name: tensor for tensor in info.inputs}
        for name, axes in inputs.items():
            own = found[name].axes if name in found else ()
            if name not in found or own[len(own) - len(axes) :] != tuple(axes):
                shape = ", ".join(map(str, ("…", *axes)))
                raise self.unfit(f"graph {graph} has no input {name} of shape ({shape})")
        given = {tensor.name for tensor in info.outputs}
        for name in outputs:
            if name not in given:
                raise self.unfit(f"graph {graph} has no output {name}")

    def unfit(self, reason: object) -> BundleError:
        """Return the error for a manifest whose parts do not fit one another."""
        return BundleError(f"{self.folder / FILE_NAME}: {reason}; export the bundle again")

    def check_hashes(self, names: Iterable[str]) -> None:
        """Compare the SHA-256 of the named files; BundleError names the first that differs."""
        names = list(names)
        files = self.manifest.files
        if sum(files[name].size for name in names if name in files) < _SMALL:
            self._compare_hashes(names, map(self._hash, names))
            return
        with ThreadPoolExecutor(max_workers=2) as pool:
            self._compare_hashes(names, pool.map(self._hash, names))

    def _compare_hashes(self, names: Iterable[str], hashes: Iterable[str]) -> None:
        for name, found in zip(names, hashes, strict=True):
            if found != self.manifest.files[name].sha256:
                if self._is_replaced():
                    raise BundleError(
                        f"{self.folder}: was replaced since it was loaded; load it again"
                    )
                raise BundleError(
                    f"{self.folder / name}: altered since export (SHA-256 differs); "
                    "export or copy the bundle again"
                )

    def _hash(self, name: str) -> str:
        try:
            return sha256(self.path(name))
        except OSError as error:
            raise BundleError(
                f"{self.folder / name}: cannot be read ({error.strerror}); copy the bundle again"
            ) from error

    def _is_replaced(self) -> bool:
        """Return whether another bundle has its name, where it could not be held."""
        try:
            return _read(self.folder, self._held.root) != self.manifest
        except BundleError:
            return False


def check_place(folder: Path, replace: bool) -> None:
    """Raise InputError unless a bundle can be written at folder, where only a bundle is replaced.

    Asked before long work; replace allows a bundle that is there.
    """
    if os.path.lexists(folder):
        if not replace:
            raise InputError(f"{folder}: exists already; choose another place or use --force")
        if not (folder / FILE_NAME).is_file():
            raise InputError(f"{folder}: is no bundle, so it is not replaced")
    check_folder(folder)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_checkpoint(folder: Path) -> bool:
    return any(any(folder.glob(name)) for name in ("config.yaml", "*.safetensors", "*.ckpt"))


def _read(folder: Path, root: Path) -> Manifest:
    """Read the manifest of a bundle that is opened at root and called folder in messages."""
    path = folder / FILE_NAME
    if not root.is_dir():
        raise BundleError(f"{folder}: no such bundle; make one with: motionrt export")
    refuse_lfs_pointer(root / FILE_NAME, BundleError, path)
    try:
        document = msgspec.json.decode((root / FILE_NAME).read_bytes())
    except FileNotFoundError:
        kind = "is a checkpoint, no bundle" if _is_checkpoint(root) else "holds no bundle"
        raise BundleError(
            f"{folder}: {kind} (no {FILE_NAME}); make one with: motionrt export"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the bundle again") from error
    schema = document.pop("schema", None) if isinstance(document, dict) else None
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise BundleError(
            f"{path}: schema {schema}, this runtime reads 1 and {SCHEMA}; export the bundle again"
        )
    try:
        manifest = msgspec.convert(upgraded(document) if schema == 1 else document, Manifest)
    except (msgspec.ValidationError, ValueError) as error:
        raise BundleError(f"{path}: damaged ({error}); export the bundle again") from error
    _check_names(path, root, manifest)
    return manifest


def _check_names(path: Path, root: Path, manifest: Manifest) -> None:
    """Raise BundleError for a file outside the bundle, and for a name that stands for nothing."""
    for name in manifest.files:
        if not _is_inside(root, name):
            raise BundleError(f"{path}: {name} leaves the bundle; do not trust this bundle")
    names = {manifest.family, manifest.name, *manifest.files, *manifest.graphs}
    for graph in manifest.graphs.values():
        names |= {tensor.name for tensor in (*graph.inputs, *graph.outputs)}
    for name in names:
        if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
            raise BundleError(
                f"{path}: damaged ({name[:80]!a} is no name); export the bundle again"
            )
    for graph_name, graph in manifest.graphs.items():
        for name in (*graph.files.values(), *graph.data):
            if name not in manifest.files:
                raise BundleError(f"{path}: graph {graph_name} names {name}, which is not listed")
        if not graph.files and graph.loop is None:
            raise BundleError(f"{path}: graph {graph_name} has no file; export the bundle again")
        if graph.loop is not None:
            _check_loop(path, graph_name, graph, graph.loop, manifest.graphs)


def _is_inside(root: Path, name: str) -> bool:
    """Return whether a name is that of a file below root, on every system.

    Where no link is met this asks for no absolute path: root may be moving to another.
    """
    relative = Path(name)
    if set(name) & set("\\:\0") or relative.anchor or ".." in relative.parts:
        return False
    place = root
    try:
        for part in relative.parts:
            place /= part
            if place.is_symlink():
                whole, target = root.resolve(), (root / name).resolve()
                return any(map(target.is_relative_to, (whole, *_hub_blobs(whole))))
    except (OSError, RuntimeError):  # too long a name, links in a circle
        return False
    return True


def _hub_blobs(folder: Path) -> list[Path]:
    """Return where the files of a bundle in a cache of the Hugging Face Hub really lie.

    Such a cache holds, for each repository, ``snapshots/REVISION/…`` of links into ``blobs``.
    """
    places = [place.parent.parent for place in (folder, *folder.parents)]
    return [place / "blobs" for place in places if (place / "snapshots") in folder.parents]


def _check_loop(
    path: Path, name: str, graph: GraphInfo, loop: LoopInfo, graphs: Mapping[str, GraphInfo]
) -> None:
    step = graphs.get(loop.step)
    if step is None:
        raise BundleError(f"{path}: graph {name} iterates {loop.step}, which is not listed")
    if not step.files:
        raise BundleError(f"{path}: graph {name} iterates {loop.step}, which has no file")
    have = {tensor.name for tensor in step.inputs}
    outer = {tensor.name for tensor in graph.inputs}
    wrong = [key for key in (*loop.carried, *loop.scanned) if key not in have]
    wrong += [key for key in loop.scanned.values() if key not in outer]
    wrong += [key for key in loop.carried.values() if key not in {t.name for t in step.outputs}]
    if wrong or not loop.carried or not loop.scanned:
        what = wrong[0] if wrong else "nothing"
        raise BundleError(f"{path}: graph {name}: its loop names {what}, which its step has not")
    for backend, form in loop.forms.items():
        if problem := _form_problem(graph, loop, form, graphs):
            raise BundleError(f"{path}: graph {name}: its form for {backend} {problem}")


def _form_problem(
    graph: GraphInfo, loop: LoopInfo, form: PreparedForm, graphs: Mapping[str, GraphInfo]
) -> str:
    """Say why the graphs of a form do not fit one another; empty if they do."""
    for name in (form.prepare, form.step, form.masked_step):
        if name not in graphs:
            return f"names {name}, which is not listed"
    prepare = graphs[form.prepare]
    outer = {tensor.name for tensor in graph.inputs} - set(loop.carried)
    if unknown := sorted({tensor.name for tensor in prepare.inputs} - outer):
        return f"prepares of {unknown[0]}, which the loop does not take"
    given = {tensor.name for tensor in prepare.outputs} | set(form.carried)
    for name in (form.step, form.masked_step):
        have = {tensor.name for tensor in graphs[name].inputs}
        gives = {tensor.name for tensor in graphs[name].outputs}
        wrong = have - given or set(form.carried) - have or set(form.carried.values()) - gives
        if wrong:
            return f"has no {sorted(wrong)[0]} for {name}"
    if form.lengths not in given or not {form.counter, *loop.carried} <= set(form.carried):
        return "lacks a counter, lengths or the loop's state"
    return ""
