"""Lower a bundle: its graphs rewritten for a target, each compared with the one that it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from motionrt.export.bundle import VERIFY_MARGIN, Progress, save_model, tool_versions
from motionrt.export.graphs import GraphSpec, TensorSpec
from motionrt.export.lowering.operators import kept_as_contrib, rewrite
from motionrt.export.lowering.targets import Target
from motionrt.export.parity import check_graph
from motionrt.export.running import cpu_session
from motionrt.export.sampling import LoopSpec, compile_loop
from motionrt.runtime.bundle.manifest import (
    Bundle,
    FileInfo,
    GraphInfo,
    LoopInfo,
    TargetInfo,
    sha256,
)
from motionrt.runtime.errors import ExportError
from motionrt.runtime.verification import REFERENCE_FILE

KIND = "onnx"
LARGEST_FILE = 2**31 - 1
"""Bytes of a protocol buffer: a graph with its weights in it cannot be larger."""
ATOL = 1e-4
"""Largest difference from the original, beyond what another rounding changes in it: products and
functions are summed in another order, as on another processor."""
Arrays = dict[str, NDArray[Any]]


def lower(bundle: Bundle, target: Target, folder: Path, progress: Progress) -> None:
    """Write a bundle for a target into an empty folder.

    Graphs are rewritten (``operators.rewrite``) and compared with the bundle's own on its stored
    inputs and on others of other sizes; a loop that the target does not have is left to the host,
    which iterates the step. Engines stay behind. ExportError if the target cannot run a graph,
    ParityError if a lowered one gives other numbers, BundleError if the bundle is damaged.
    """
    manifest = bundle.manifest
    if manifest.target is not None:
        raise ExportError(
            f"{bundle.folder}: was lowered for {manifest.target.name} already; lower the bundle "
            "that it was made from"
        )
    bundle.check_hashes(manifest.files)
    work = _Work(bundle, target, folder, progress)
    with _scratch(folder) as scratch:
        graphs = work.lower_graphs(scratch)
    taken = {name for graph in manifest.graphs.values() for name in _files(graph)}
    engines = {
        file
        for graph in manifest.graphs.values()
        for kind, file in graph.files.items()
        if kind != KIND
    }
    beside = {str(PurePosixPath(file).parent) for file in engines}
    for name in manifest.files:
        if name not in taken and str(PurePosixPath(name).parent) not in beside:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path(name), place)
            if name in target.copies:
                shutil.copyfile(place, folder / target.copies[name])
    progress("hashing")
    files = {
        path.relative_to(folder).as_posix(): FileInfo(path.stat().st_size, sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    replace(
        manifest,
        graphs=graphs,
        files=files,
        target=TargetInfo(target.name, target.opset, target.ir_version, target.runtime),
        provenance={**manifest.provenance, "lowered_with": tool_versions()},
    ).write(folder)


def lower_in_place(folder: Path, target: Target, progress: Progress) -> None:
    """Lower a bundle that is being written: the original is gone afterwards."""
    with _scratch(folder) as scratch:
        lower(Bundle(folder), target, scratch, progress)
        for path in folder.iterdir():
            if path == scratch:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in scratch.iterdir():
            path.rename(folder / path.name)


@dataclass(frozen=True)
class _Work:
    """What is lowered, for what, and where to."""

    bundle: Bundle
    target: Target
    folder: Path
    progress: Progress

    def lower_graphs(self, scratch: Path) -> dict[str, GraphInfo]:
        """Write every graph and return what the manifest says of them, in their order."""
        held = _portable(self.bundle.manifest.graphs)
        stored = self.bundle.read_tensors(REFERENCE_FILE)
        done: dict[str, GraphInfo] = {}
        unpacked: set[str] = set()
        for name, info in sorted(held.items(), key=lambda item: item[1].loop is not None):
            if KIND not in info.files:
                raise ExportError(f"{self.bundle.folder}: {name} is no ONNX graph here")
            if info.loop is not None and not self.target.loops:
                done[name] = replace(info, files={}, data=())
                continue
            self.progress(f"lowering {name}")
            path = self.folder / info.files[KIND]
            path.parent.mkdir(parents=True, exist_ok=True)
            reference = self.bundle.path(info.files[KIND])
            if info.loop is None:
                model = ir.load(reference)
                if rewrite(model, self.target):
                    unpacked.add(name)
                data = self._save(model, path)
            else:
                step = done[info.loop.step]
                model = compile_loop(
                    ir.load(self.folder / step.files[KIND]), _loop_spec(name, info.loop)
                )
                ir.save(model, path)
                data = step.data
                if info.loop.step in unpacked:
                    unpacked.add(name)
            self.progress(f"checking {name}")
            if name in unpacked:
                reference = _unrounded(reference, scratch / path.name, self.target)
            apart = self._compare(name, info, path, reference, stored)
            done[name] = replace(
                info,
                files={KIND: info.files[KIND]},
                data=data,
                deviation={**info.deviation, "lowered": apart},
            )
        return {name: done[name] for name in held}

    def _save(self, model: ir.Model, path: Path) -> tuple[str, ...]:
        """Write a model in the target's way; returns the files of its weights."""
        if not self.target.external_data:
            _save_whole(model, path, self.target)
            return ()
        beside = path.parent.relative_to(self.folder)
        return tuple((beside / name).as_posix() for name in save_model(model, path))

    def _compare(
        self, name: str, info: GraphInfo, path: Path, reference: Path, stored: Arrays
    ) -> float:
        """Return the largest difference of a lowered graph from what it was; ParityError."""
        session = cpu_session(reference)
        outputs = [tensor.name for tensor in info.outputs]

        def original(**inputs: Tensor) -> tuple[Tensor, ...]:
            feed = {key: tensor.numpy() for key, tensor in inputs.items()}
            return tuple(map(torch.from_numpy, session.run(outputs, feed)))

        inputs = {t.name: stored[f"{name}/in/{t.name}"] for t in info.inputs}
        checks = [inputs]
        other = resized(inputs, info)
        try:
            session.run(outputs, other)
            checks.append(other)
        except Exception:  # sizes that depend on each other: the original refuses these
            pass
        spec = GraphSpec(
            name,
            tuple(TensorSpec(t.name, t.axes, t.dtype) for t in info.inputs),
            tuple(TensorSpec(t.name, t.axes, t.dtype) for t in info.outputs),
            atol=ATOL + VERIFY_MARGIN * info.deviation.get("rounding", 0.0),
            rtol=info.rtol,
        )
        given = [{key: torch.from_numpy(a) for key, a in check.items()} for check in checks]
        return check_graph(path, spec, original, given).largest


def _portable(graphs: Mapping[str, GraphInfo]) -> dict[str, GraphInfo]:
    """Return graphs without the forms that loops have for backends, which are lowered already."""
    forms = [form for graph in graphs.values() if graph.loop for form in graph.loop.forms.values()]
    left = {name for form in forms for name in (form.prepare, form.step, form.masked_step)}
    return {
        name: replace(graph, loop=graph.loop and replace(graph.loop, forms={}))
        for name, graph in graphs.items()
        if name not in left
    }


def resized(inputs: Arrays, info: GraphInfo) -> Arrays:
    """Return inputs of about half the size along every dynamic axis; 1 is doubled, 0 stays."""
    result = dict(inputs)
    for tensor in info.inputs:
        array = result[tensor.name]
        for i, axis in enumerate(tensor.axes):
            if not isinstance(axis, str):
                continue
            limits, size = info.axis(axis), array.shape[i]
            if not size:
                continue
            wanted = max(-(-size // 2), limits.smallest) if size > 1 else 2
            if limits.largest is not None:
                wanted = min(wanted, limits.largest)
            array = np.take(array, np.arange(wanted) % size, axis=i)
        result[tensor.name] = np.ascontiguousarray(array)
    return result


def _loop_spec(name: str, loop: LoopInfo) -> LoopSpec:
    return LoopSpec(name, loop.carried, loop.scanned, loop.steps_axis)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder in another, which is gone afterwards."""
    scratch = folder / ".lowering"
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _unrounded(source: Path, place: Path, target: Target) -> Path:
    """Write a copy of a graph in which the products that are unpacked round no activations."""
    model = ir.load(source)
    for node in model.graph.all_nodes():
        if node.op_type == "MatMulNBits" and not kept_as_contrib(node, target):
            node.attributes.pop("accuracy_level", None)
    place.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, place)
    return place


def _save_whole(model: ir.Model, path: Path, target: Target) -> None:
    """Write a model and its weights into one file; ExportError if it would be too large."""
    graphs = (model.graph, *model.graph.subgraphs())
    tensors = [v.const_value for graph in graphs for v in graph.initializers.values()]
    size = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    if size > LARGEST_FILE:
        raise ExportError(
            f"{model.graph.name}: {size / 1e9:.1f} GB do not fit into the one file of 2 GB that "
            f"target {target.name} needs; use a smaller precision"
        )
    for graph in graphs:
        for value in graph.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor):
                held = np.array(value.const_value.numpy())
                value.const_value = ir.Tensor(
                    held, dtype=value.const_value.dtype, name=value.const_value.name
                )
    ir.save(model, path)


def _files(graph: GraphInfo) -> Iterator[str]:
    yield from graph.files.values()
    yield from graph.data
