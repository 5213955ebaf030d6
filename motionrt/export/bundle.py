"""Write the directory that the runtime reads: graphs, checked, and the manifest last."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

import motionrt
from motionrt.export.checking import check_model
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.parity import check_graph
from motionrt.export.quantise.deviation import concerns
from motionrt.export.quantise.recipes import DENOISER_RECIPES, Recipe
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.readers.licence import licence_files, stated_licence
from motionrt.export.sampling import LoopSpec, compile_loop, run_in_torch
from motionrt.export.to_onnx import to_onnx
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.bundle.manifest import (
    FileInfo,
    GraphInfo,
    Limits,
    LoopInfo,
    Manifest,
    PreparedForm,
    TensorInfo,
    sha256,
)
from motionrt.runtime.errors import ExportError

EXTERNAL_BYTES = 1 << 12
"""Initializers of at least this size are written beside the graph, not into it."""
ALIGNMENT = 1 << 12
FP32_RECIPE = DENOISER_RECIPES["fp32"]
MAX_DEVIATION = 0.25
"""Relative difference above which a graph with fewer bits is no longer the same model."""
NUM_NUDGES = 8
VERIFY_MARGIN = 1.5
"""Where a bundle is verified, a graph with fewer bits may be so many times as far from torch as it
was at export and as another rounding moved it, both together; ``parity.check_graph`` nudges it so
often. Of int8 runs on inputs nudged anew (random weights, loops of a few steps, which magnify)
5.5 % were further off than the margin alone allows, 0.15 % with 4 nudges, 0.025 % with 8. The half
is for arithmetic that was not tried, such as a GPU's, and for text encoders: they take integers, so
they are not nudged (without AVX2 they came nearer to torch by up to a third, never further)."""
_FP32_FOLDER = ".fp32"
Progress = Callable[[str], None]
"""Told in a few words what is being done."""

LICENCE_FOLDER = "licences"
"""Where a bundle keeps the licences that came with checkpoints, by the names of their folders."""


class BundleWriter:
    """Fills a folder with a family's graphs and files; ``finish`` makes it a bundle.

    Use inside ``runtime.files.atomic_folder``: a failure then leaves nothing behind.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        """Write into an empty folder, telling progress of each step."""
        self.folder = folder
        self.progress = progress
        self.warnings: list[str] = []
        """What whoever asked for the bundle must know of it, a line each."""
        self._graphs: dict[str, GraphInfo] = {}
        self._references: dict[str, NDArray[Any]] = {}

    def add_graph(
        self,
        graph: Graph,
        loop: LoopSpec | None = None,
        loop_checks: Sequence[Mapping[str, Tensor]] | None = None,
        recipe: Recipe = FP32_RECIPE,
    ) -> None:
        """Export a graph, and with a LoopSpec the compiled loop over it beside it.

        Both share one file of weights. The graph is compared with its module on graph.checks, the
        loop with the module called in turn on loop_checks (inputs of the loop, scanned ones with
        a row a step; None repeats the graph's own checks); ParityError if one differs. With fewer
        bits the fp32 graph is held to that first and kept until ``finish``, for comparisons. What
        the bits cost is not an error but stated: the manifest has the largest difference from
        torch, what another rounding changes, and allows both with a margin (``VERIFY_MARGIN``)
        where the bundle is verified. ExportError if it is more than ``MAX_DEVIATION``.
        """
        spec = graph.spec
        self.progress(f"tracing {spec.name}")
        model = to_onnx(graph)
        loop_graph = None
        if loop is not None:
            if loop_checks is None:
                loop_checks = [_loop_inputs(check, loop) for check in graph.checks]
            loop_spec = _loop_graph_spec(spec, loop)
            loop_graph = (loop, loop_spec, _loop_reference(graph, loop), loop_checks)
        if recipe.name != FP32_RECIPE.name:
            path = self.fp32_path(spec.name)
            path.parent.mkdir(exist_ok=True)
            self.progress(f"checking {spec.name} in fp32")
            save_model(model, path)
            check_graph(path, spec, graph.module, graph.checks)
            if loop_graph is not None:
                ir.save(compile_loop(ir.load(path), loop_graph[0]), self.fp32_path(loop_spec.name))
                check_graph(self.fp32_path(loop_spec.name), *loop_graph[1:])
            model = ir.load(path)  # its weights now come from the file, one at a time
            quantise(model, recipe)
        self.add_model(spec, model, graph.module, graph.checks, recipe)
        self.refuse_deviation(spec.name, recipe)
        if loop_graph is not None:
            self.progress(f"compiling {loop_spec.name}")
            path = self.folder / f"{loop_spec.name}.onnx"
            step_path = self.folder / self._graphs[spec.name].files["onnx"]
            ir.save(compile_loop(ir.load(step_path), loop_graph[0]), path)
            data = self._graphs[spec.name].data
            info = loop_graph[0].info(spec.name)
            self._register(loop_spec, path, *loop_graph[2:], data, recipe, info)

    def take_licence(self, stated: str, *folders: Path) -> str:
        """Copy the licences that lie in checkpoints' folders, and return what is known of them.

        stated: what whoever exports says; empty takes what a folder's model card says. Where
        nobody says anything a warning asks for it.
        """
        self.keep_licences(*folders)
        found = stated or next(filter(None, map(stated_licence, folders)), "")
        if not found:
            self.warnings.append(
                "the licence of the weights is not stated; give it with --licence, for whoever "
                "takes the bundle"
            )
        return found

    def keep_licences(self, *folders: Path) -> None:
        """Copy the licences and notices that lie in folders, under the folders' names."""
        for folder in folders:
            for path in licence_files(folder):
                place = self.folder / LICENCE_FOLDER / folder.resolve().name / path.name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)

    def fp32_path(self, name: str) -> Path:
        """Return where a graph that was added with fewer bits lies in fp32, until ``finish``."""
        return self.folder / _FP32_FOLDER / f"{name}.onnx"

    def reference(self, graph: str, output: str) -> NDArray[Any] | None:
        """Return torch's output for the last check of a graph, None if it was not added."""
        return self._references.get(f"{graph}/out/{output}")

    def note_deviation(self, name: str, figures: Mapping[str, float]) -> None:
        """Add what was measured of a graph to what the manifest states of it."""
        graph = self._graphs[name]
        self._graphs[name] = msgspec.structs.replace(
            graph, deviation={**graph.deviation, **figures}
        )

    def refuse_deviation(self, name: str, recipe: Recipe) -> None:
        """Raise ExportError if a graph is further than ``MAX_DEVIATION`` from fp32."""
        relative = self._graphs[name].deviation.get("relative", 0.0)
        if not relative <= MAX_DEVIATION:
            raise ExportError(
                f"{name}: deviates from fp32 by {relative:.3f} (relative), allowed is "
                f"{MAX_DEVIATION}; use --precision {' or '.join(recipe.better)}"
            )

    def judge(self, what: str, names: Sequence[str], recipe: Recipe, option: str) -> None:
        """Warn once if what was measured of graphs is bad, by the worst of each figure.

        what names them for the reader, option is the command line's that a better precision of the
        recipe is given to.
        """
        worst: dict[str, float] = {}
        for name in names:
            for key, value in self._graphs[name].deviation.items():
                worst[key] = max(value, worst.get(key, value))
        if found := concerns(worst):
            self.warnings.append(
                f"{what} in {recipe.name}: {', '.join(found)}; "
                f"use {option} {' or '.join(recipe.better)}"
            )

    def add_model(
        self,
        spec: GraphSpec,
        model: ir.Model,
        reference: Callable[..., Any],
        checks: Sequence[Mapping[str, Tensor]],
        recipe: Recipe = FP32_RECIPE,
    ) -> None:
        """Save a model that was made elsewhere, compare it with reference, and list it."""
        path = self.folder / f"{spec.name}.onnx"
        self.progress(f"writing {spec.name}")
        data = save_model(model, path)
        self._register(spec, path, reference, checks, data, recipe)

    def add_traced(
        self, graph: Graph, reference: Callable[..., Any], recipe: Recipe, like: str
    ) -> None:
        """Export a module that is compared with another one, on graph.checks, and list it.

        Weights that are those of the graph ``like``, byte for byte, stay in its files.
        """
        self.progress(f"tracing {graph.spec.name}")
        model = to_onnx(graph)
        path = self.folder / f"{graph.spec.name}.onnx"
        self.progress(f"writing {graph.spec.name}")
        data = save_model(model, path, ir.load(self.folder / self._graphs[like].files["onnx"]))
        self._register(graph.spec, path, reference, graph.checks, data, recipe)

    def add_derived(
        self,
        name: str,
        spec: GraphSpec,
        edit: Callable[[ir.Model], None],
        reference: Callable[..., Any],
        checks: Sequence[Mapping[str, Tensor]],
        recipe: Recipe,
    ) -> None:
        """Add what edit makes of a graph that is there; both share its files of weights."""
        path = self.folder / f"{spec.name}.onnx"
        model = ir.load(self.folder / self._graphs[name].files["onnx"])
        edit(model)
        model.graph.name = spec.name
        ir.save(model, path)
        self._register(spec, path, reference, checks, self._graphs[name].data, recipe)

    def note_form(self, name: str, backend: str, form: PreparedForm) -> None:
        """State the form in which a backend runs a loop."""
        graph = self._graphs[name]
        assert graph.loop is not None
        loop = msgspec.structs.replace(graph.loop, forms={**graph.loop.forms, backend: form})
        self._graphs[name] = msgspec.structs.replace(graph, loop=loop)

    def add_file(self, name: str, content: bytes | Path) -> None:
        """Put a file into the bundle, from memory or copied."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)

    def add_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put a safetensors file of host-side tables into the bundle."""
        # Written from memory: safetensors' own files are readable for their owner only.
        content = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        (self.folder / name).write_bytes(content)

    def finish(
        self,
        *,
        family: str,
        name: str,
        fps: float,
        skeleton: Skeleton,
        output_skeleton: Skeleton | None = None,
        sampler: Mapping[str, Any],
        limits: Limits,
        text: Mapping[str, Any],
        licence: str,
        sources: Sequence[Path],
        num_parameters: int | None = None,
    ) -> None:
        """Write the reference runs and the manifest with the hash of every file.

        output_skeleton is that of motions where it is not the model's own. Of where the bundle
        comes from it states licence, the hashes of the checkpoint's files (sources), and how many
        parameters there were.
        """
        self.progress("hashing")
        shutil.rmtree(self.folder / _FP32_FOLDER, ignore_errors=True)
        self.add_arrays("reference.safetensors", self._references)
        files = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                relative = path.relative_to(self.folder).as_posix()
                files[relative] = FileInfo(path.stat().st_size, sha256(path))
        Manifest(
            family=family,
            name=name,
            fps=fps,
            skeleton=skeleton.to_dict(),
            output_skeleton=(output_skeleton or skeleton).to_dict(),
            graphs=self._graphs,
            sampler=sampler,
            limits=limits,
            text=text,
            provenance={
                "source": name,
                "licence": licence,
                "sha256": source_hashes(sources),
                **({} if num_parameters is None else {"parameters": num_parameters}),
                "tools": tool_versions(),
            },
            files=files,
        ).write(self.folder)

    def _register(
        self,
        spec: GraphSpec,
        path: Path,
        reference: Callable[..., Any],
        checks: Sequence[Mapping[str, Tensor]],
        data: tuple[str, ...],
        recipe: Recipe,
        loop: LoopInfo | None = None,
    ) -> None:
        self.progress(f"checking {spec.name}")
        check_model(path, spec)
        exact = recipe.name == "fp32"
        # Only what is not finite, or of another shape, is wrong with fewer bits.
        allowed = spec if exact else replace(spec, atol=math.inf)
        compared = check_graph(path, allowed, reference, checks, 0 if exact else NUM_NUDGES)
        for side, arrays in (("in", compared.inputs), ("out", compared.expected)):
            for key, array in arrays.items():
                self._references[f"{spec.name}/{side}/{key}"] = array
        deviation = {"export": compared.largest}
        if compared.moved:
            deviation["rounding"] = compared.moved
        if not exact:
            deviation["relative"] = compared.relative
        self._graphs[spec.name] = GraphInfo(
            files={"onnx": path.name},
            inputs=tuple(TensorInfo(t.name, t.axes, t.dtype) for t in spec.inputs),
            outputs=tuple(TensorInfo(t.name, t.axes, t.dtype) for t in spec.outputs),
            atol=spec.atol + (0 if exact else VERIFY_MARGIN * (compared.largest + compared.moved)),
            rtol=spec.rtol,
            precision=recipe.name,
            data=data,
            deviation=deviation,
            axes={name: sizes for name, sizes in spec.axes.items() if name in spec.dynamic_axes()},
            loop=loop,
            unpack_each_run=recipe.unpack_each_run,
        )


def save_model(model: ir.Model, path: Path, like: ir.Model | None = None) -> tuple[str, ...]:
    """Write a model with its large initializers in ``<name>.weights`` beside it.

    Returns the names of the files that hold weights: none if there are no large ones. Equal
    initializers are stored once; those that a saved model beside it has too stay in its file.
    """
    data_path = path.with_suffix(".weights")
    stored: dict[bytes, ir.ExternalTensor] = {}
    used: set[str] = set()
    for value in like.graph.initializers.values() if like is not None else ():
        held = value.const_value
        if isinstance(held, ir.ExternalTensor):
            stored[_content_key(held, held.tobytes())] = held
    with data_path.open("wb") as file:
        for graph in (model.graph, *model.graph.subgraphs()):
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is None:
                    continue
                if tensor.nbytes < EXTERNAL_BYTES:
                    if isinstance(tensor, ir.ExternalTensor):  # of a model that lies elsewhere
                        value.const_value = ir.tensor(tensor.numpy().copy(), name=value.name)
                    continue
                content = tensor.tobytes()
                key = _content_key(tensor, content)
                if key not in stored:
                    file.write(b"\0" * (-file.tell() % ALIGNMENT))
                    stored[key] = ir.ExternalTensor(
                        location=data_path.name,
                        offset=file.tell(),
                        length=len(content),
                        dtype=tensor.dtype,
                        shape=ir.Shape(tensor.shape.numpy()),
                        name=value.name or "",
                        base_dir=path.parent,
                    )
                    file.write(content)
                shared = stored[key]
                used.add(str(shared.location))
                value.const_value = ir.ExternalTensor(
                    location=shared.location,
                    offset=shared.offset,
                    length=shared.length,
                    dtype=shared.dtype,
                    shape=ir.Shape(tensor.shape.numpy()),
                    name=value.name or "",
                    base_dir=path.parent,
                )
    if data_path.name not in used:
        data_path.unlink()
    ir.save(model, path)
    return tuple(sorted(used))


def tool_versions() -> dict[str, str]:
    """Return the versions of what makes a bundle."""
    packages = ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime")
    return {"motionrt": motionrt.__version__, **{name: metadata.version(name) for name in packages}}


def count_parameters(*modules: nn.Module) -> int:
    """Count the parameters of modules; a shared one counts once a module."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def source_hashes(paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of a checkpoint's files by their names, for a bundle's provenance."""
    return {path.name: sha256(path) for path in paths}


def _content_key(tensor: ir.TensorProtocol, content: bytes) -> bytes:
    """Return what is equal for initializers that may share their bytes, whatever their shapes."""
    return hashlib.sha256(f"{tensor.dtype!r} {len(content)} ".encode() + content).digest()


def _loop_graph_spec(step: GraphSpec, loop: LoopSpec) -> GraphSpec:
    """Describe the compiled loop's tensors, as ``compile_loop`` makes them."""
    inputs = tuple(
        TensorSpec(loop.scanned[t.name], (loop.steps_axis, *t.axes), t.dtype)
        if t.name in loop.scanned
        else t
        for t in step.inputs
    )
    outputs = {tensor.name: tensor for tensor in step.outputs}
    returned = tuple(outputs[name] for name in loop.carried.values())
    return GraphSpec(
        loop.name,
        inputs,
        returned,
        loop.atol or step.atol,
        loop.rtol or step.rtol,
        axes={**step.axes, loop.steps_axis: loop.steps},
    )


def _loop_inputs(check: Mapping[str, Tensor], loop: LoopSpec) -> dict[str, Tensor]:
    """Repeat the scanned inputs of a step's check as three rows."""
    return {
        loop.scanned.get(name, name): torch.stack([tensor] * 3) if name in loop.scanned else tensor
        for name, tensor in check.items()
    }


def _loop_reference(graph: Graph, loop: LoopSpec) -> Callable[..., tuple[Tensor, ...]]:
    """Run the step's module as the loop does, in torch."""
    names = [tensor.name for tensor in graph.spec.outputs]
    return lambda **inputs: run_in_torch(graph.module, names, loop, inputs)[0]
