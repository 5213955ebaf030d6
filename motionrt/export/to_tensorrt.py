"""A bundle's ONNX graphs become TensorRT engines, on a machine with or without a GPU.

One builder for ``tensorrt`` and for TensorRT for RTX: their Python APIs are the same. Precision is
the ONNX graph's own (networks are strongly typed): a bundle exported with --precision fp16 gives
engines with products in fp16 and norms, softmax and sums in fp32.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from msgspec.structs import replace
from numpy.typing import NDArray

from motionrt.export.bundle import save_model
from motionrt.runtime.backend.backends import engine_module, engine_target
from motionrt.runtime.backend.engines import ANY, FILE_NAME, EngineInfo, EngineSet, Shapes
from motionrt.runtime.bundle.manifest import AxisInfo, Bundle, FileInfo, GraphInfo, Manifest, sha256
from motionrt.runtime.errors import BackendError, ExportError, InputError
from motionrt.runtime.families import find_family
from motionrt.runtime.files import atomic_file
from motionrt.runtime.staging import staging

_TYPICAL_TOKENS = 24
"""Of a prompt: what the kernels of a text encoder's engine are chosen for."""
_FEWEST = {"frames": 2}
"""A single frame has no differences between frames, so no engine of it can be built."""
_OF_WEIGHTS = ("Cast", "Mul", "Reshape")
"""What makes a weight of its int8 numbers, their scales and its shape."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class EngineTarget:
    """What engines are built for."""

    backend: str
    """A key of ``backends.ENGINE_MODULES``."""
    sm: str
    """Compute capability without its point, as in 89; ``engines.ANY`` for every RTX card."""
    max_frames: int = 300
    max_batch: int = 4
    max_steps: int = 1000

    @property
    def name(self) -> str:
        """The folder below ``engines/``."""
        return engine_target(self.backend, self.sm)

    def axis_range(self, axis: str, sizes: AxisInfo) -> tuple[int, int, int]:
        """Return the smallest, the best and the largest size of a dynamic axis.

        They are the manifest's, and within what is asked for. ExportError for an axis that neither
        limits.
        """
        asked = {"batch": self.max_batch, "frames": self.max_frames, "steps": self.max_steps}
        limits = [size for size in (sizes.largest, asked.get(axis)) if size is not None]
        if not limits:
            raise ExportError(f"axis {axis} has no largest size; engines cannot be built of it")
        smallest, largest = max(sizes.smallest, _FEWEST.get(axis, 1)), min(limits)
        return smallest, min(max(sizes.typical, smallest), largest), largest


def build_engines(
    folder: Path,
    target: EngineTarget,
    graphs: Sequence[str] | None = None,
    progress: Progress = lambda stage: None,
) -> list[Path]:
    """Build engines of a bundle's graphs and list them in its manifest; return their files.

    Engines of the target that are there already make way when the new ones are built. Killed at any
    moment, the bundle is whole, with or without engines. BackendError if TensorRT is not
    installed or does not know the GPU, ExportError if it cannot take a graph.
    """
    bundle = Bundle(folder)
    held = bundle.manifest.graphs
    usual = find_family(bundle.manifest.family).motion_graphs
    names = list(graphs or [_engine_graph(held[name], name) for name in usual if name in held])
    if target.max_frames < 2:
        raise InputError(f"--max-frames {target.max_frames}: must be 2 or more")
    if target.max_batch < 1:
        raise InputError(f"--max-batch {target.max_batch}: must be 1 or more")
    if target.sm == ANY and target.backend != "tensorrt-rtx":
        raise InputError(f"--sm {ANY} is for tensorrt-rtx; {target.backend} builds for one GPU")
    for name in names:
        if name not in held or "onnx" not in held[name].files:
            raise InputError(f"{folder}: no graph {name} (it has: {', '.join(held)})")
    if not names:
        raise InputError(f"{folder}: none of {', '.join(usual)} in it; name the graphs")
    module = engine_module(target.backend)
    place = folder / "engines" / target.name
    infos = {}
    with staging(folder) as stage:
        for name in names:
            graph = held[name]
            sources = (graph.files["onnx"], *graph.data)
            bundle.check_hashes(sources)
            progress(f"building {name} for {target.name}")
            profile = _profile(_with_token_range(graph, bundle.manifest), target)
            content = build_engine(
                module, bundle.path(sources[0]), profile, target, graph.precision
            )
            with atomic_file(stage / f"{name}.engine") as temporary:
                temporary.write_bytes(content)
            digests = {source: bundle.manifest.files[source].sha256 for source in sources}
            infos[name] = EngineInfo(f"{name}.engine", digests, graph.precision, profile)
        version = str(module.__version__)
        described = EngineSet(
            target.backend, target.sm, version, target.max_frames, infos, target.max_batch
        )
        with atomic_file(stage / FILE_NAME) as temporary:
            temporary.write_text(json.dumps(described.to_dict(), indent=1) + "\n")
        plain = _without_engines(bundle.manifest, target)
        if plain != bundle.manifest:
            plain.write(folder)
        written = []
        for name in (*(info.file for info in infos.values()), FILE_NAME):
            with atomic_file(place / name) as temporary:
                (stage / name).replace(temporary)
            written.append(place / name)
    files = dict(plain.files)
    for path in written:
        files[path.relative_to(folder).as_posix()] = FileInfo(path.stat().st_size, sha256(path))
    updated = dict(plain.graphs)
    for name, info in infos.items():
        kinds = {**plain.graphs[name].files, target.name: f"engines/{target.name}/{info.file}"}
        updated[name] = replace(plain.graphs[name], files=kinds)
    replace(plain, graphs=updated, files=files).write(folder)
    return written


def _engine_graph(graph: GraphInfo, name: str) -> str:
    """Return the graph that an engine is built of: of a loop its step, which is driven."""
    return graph.loop.step if graph.loop is not None else name


def _without_engines(manifest: Manifest, target: EngineTarget) -> Manifest:
    files = {
        name: info
        for name, info in manifest.files.items()
        if not name.startswith(f"engines/{target.name}/")
    }
    graphs = {}
    for name, graph in manifest.graphs.items():
        kinds = {kind: file for kind, file in graph.files.items() if kind != target.name}
        graphs[name] = replace(graph, files=kinds)
    return replace(manifest, graphs=graphs, files=files)


def build_engine(
    module: Any, path: Path, profile: Shapes, target: EngineTarget, precision: str = "fp32"
) -> bytes:
    """Build the engine of one ONNX file; module is TensorRT's.

    precision is the graph's: weights in int8 that are computed in float32 are made float32 first,
    since TensorRT has no such cast.
    """
    trt = module
    logger = _logger(trt)
    builder = trt.Builder(logger)
    # From TensorRT 11 on every network is strongly typed, and the flag may be gone.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    with tempfile.TemporaryDirectory() as scratch:
        source = path
        if precision == "int8-weights":
            source = Path(scratch) / path.name
            save_model(with_float_weights(ir.load(path)), source)
        parsed = parser.parse_from_file(str(source))
    if not parsed:
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise ExportError(
            f"{path}: {target.backend} cannot take it ({_first_line(reason)}); "
            "engines are built of fp32 and fp16 bundles"
        )
    config = builder.create_builder_config()
    if target.sm == ANY:
        pass  # an engine without a named capability runs on every RTX card
    elif hasattr(trt, "ComputeCapability"):
        capability = getattr(trt.ComputeCapability, f"SM{target.sm}", None)
        if capability is None:
            known = [name[2:] for name in dir(trt.ComputeCapability) if name.startswith("SM")]
            raise BackendError(
                f"{target.backend} {trt.__version__} builds for sm {', '.join(sorted(known))}, "
                f"not {target.sm}"
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
    else:
        _check_own_gpu(target)
    shapes = builder.create_optimization_profile()
    for name, (smallest, best, largest) in profile.items():
        shapes.set_shape(name, smallest, best, largest)
    config.add_optimization_profile(shapes)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ExportError(f"{path}: {target.backend} cannot build it: {logger.last or 'no reason'}")
    return bytes(serialized)


def with_float_weights(model: ir.Model) -> ir.Model:
    """Compute what depends on initializers alone, as weights in int8 are: they become float32."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            inputs = [value for value in node.inputs if value is not None]
            if node.op_type not in _OF_WEIGHTS or not inputs:
                continue
            if not all(value.is_initializer() and value.const_value for value in inputs):
                continue
            output = node.outputs[0]
            array = _computed(node, [value.const_value.numpy() for value in inputs])  # type: ignore[union-attr]
            made = ir.Value(
                name=output.name,
                type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
                shape=ir.Shape(array.shape),
                const_value=ir.tensor(array, name=output.name),
            )
            ir.convenience.replace_all_uses_with(output, made)
            graph.remove(node, safe=True)
            graph.register_initializer(made)
        for name, value in list(graph.initializers.items()):
            if not value.uses() and value not in graph.outputs:
                del graph.initializers[name]
    return model


def _computed(node: ir.Node, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    if node.op_type == "Cast":
        kind = ir.DataType(node.attributes.get_int("to", ir.DataType.FLOAT.value))
        return arrays[0].astype(kind.numpy())
    if node.op_type == "Mul":
        return np.asarray(arrays[0] * arrays[1])
    return arrays[0].reshape(arrays[1].tolist())


def _profile(graph: GraphInfo, target: EngineTarget) -> Shapes:
    """Return the smallest, best and largest shape of each input that has dynamic axes."""
    profile = {}
    for tensor in graph.inputs:
        if not any(isinstance(axis, str) for axis in tensor.axes):
            continue
        ranges = [
            target.axis_range(axis, graph.axis(axis)) if isinstance(axis, str) else (axis,) * 3
            for axis in tensor.axes
        ]
        smallest, best, largest = (tuple(sizes) for sizes in zip(*ranges, strict=True))
        profile[tensor.name] = (smallest, best, largest)
    return profile


def _with_token_range(graph: GraphInfo, manifest: Manifest) -> GraphInfo:
    """Limit the tokens of a text encoder, where its graph does not, as its tokenizer is limited."""
    rules = manifest.text.get("rules", {})
    if graph.axis("tokens").largest is not None or "max_tokens" not in rules:
        return graph
    tokens = AxisInfo(1, _TYPICAL_TOKENS, int(rules["max_tokens"]))
    return replace(graph, axes={**graph.axes, "tokens": tokens})


def _check_own_gpu(target: EngineTarget) -> None:
    """Raise if engines are wanted for another GPU than this one, by a builder of its own only."""
    from motionrt.runtime.backend.cuda import find_device

    try:
        device = find_device()
    except BackendError as error:
        raise BackendError(
            f"{target.backend} builds only on the GPU that is to run the engine ({error}); "
            "--engine tensorrt-rtx builds without one"
        ) from error
    if device.sm != target.sm:
        raise BackendError(f"{target.backend} builds only for this GPU: --sm {device.sm}")


def _logger(trt: Any) -> Any:
    """Return a logger that says nothing and remembers the last error."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = _first_line(message)

    return Logger()


def _first_line(text: str) -> str:
    return next(iter(str(text).strip().splitlines()), "")


def parse_capability(sm: str) -> str:
    """Bring 89, 8.9, sm89 or sm_89 into the form 89, any stays; InputError if it is none."""
    if sm.lower() == ANY:
        return ANY
    digits = sm.lower().removeprefix("sm").strip("_ ").replace(".", "")
    if not digits.isdigit() or not 2 <= len(digits) <= 3:
        raise InputError(f"--sm {sm}: expected a compute capability such as 89 or 8.9, or any")
    return digits


def describe(paths: Sequence[Path]) -> Mapping[str, float]:
    """Return the megabytes of each engine by its name."""
    return {p.stem: p.stat().st_size / 1e6 for p in paths if p.suffix == ".engine"}
