"""A bundle as a model repository of NVIDIA's Triton Inference Server.

An ensemble NAME takes a text, a seed and a number of frames: a Python backend makes tokens, noise
and masks, onnxruntime runs the three graphs, a Python backend cleans up. Every part has rows as its
first axis and batches dynamically. What a request of ours may say beside (steps, solver, guidance)
is fixed in the sampler, so that all rows share it.

The files follow Triton's ``model_config.proto`` and docs/user_guide/model_repository.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo, TensorInfo
from motionrt.runtime.errors import ExportError
from motionrt.runtime.files import atomic_folder
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.kimodo.triton import FILE, TOKENIZER, HostInfo
from motionrt.runtime.sampling.guidance import guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.runtime.text.sources import GRAPH as TEXT_ENCODER
from motionrt.runtime.text.sources import EncoderInfo

VERSION = "1"
MAX_BATCH, QUEUE_MICROSECONDS = 32, 2000
_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
Tensor = tuple[str, str, tuple[int, ...]]
"""Name, Triton's type, axes without the batch; -1 may vary."""
_Step = tuple[str, Mapping[str, str], Mapping[str, str]]
"""A model of an ensemble; its inputs and outputs -> the ensemble's tensors."""
_ASKED: tuple[Tensor, ...] = (
    ("TEXT", "TYPE_STRING", (1,)),
    ("SEED", "TYPE_INT64", (1,)),
    ("NUM_FRAMES", "TYPE_INT32", (1,)),
)


def write_repository(
    bundle_folder: str | PathLike[str],
    repository: str | PathLike[str],
    name: str | None = None,
    *,
    num_steps: int | None = None,
    solver: str | None = None,
    replace: bool = False,
) -> list[str]:
    """Write a repository for one bundle of the kimodo family; return the names of its models.

    num_steps and solver are the bundle's own unless they are given. ExportError for a bundle of
    another family or without a text encoder, InputError for a solver that there is not or a place
    that is taken.
    """
    bundle = Bundle(bundle_folder)
    if bundle.manifest.family != "kimodo":
        raise ExportError(f"{bundle.folder}: Triton repositories are made of kimodo bundles")
    if TEXT_ENCODER not in bundle.manifest.graphs:
        raise ExportError(f"{bundle.folder}: holds no text encoder; export with --text-encoder")
    pipeline = KimodoPipeline(bundle, choose_backend("cpu"))
    name = name or "".join(c if c.isalnum() else "_" for c in bundle.manifest.name)
    graphs = bundle.manifest.graphs
    parts = f"{name}_{TEXT_ENCODER}", f"{name}_sampler", f"{name}_decoder"
    prepare, finish = f"{name}_prepare", f"{name}_finish"
    fed: list[Tensor] = []
    made: list[Tensor] = []
    with atomic_folder(repository, replace=replace) as folder:
        for part, graph in zip(parts, (TEXT_ENCODER, "sampler", "decoder"), strict=True):
            version = folder / part / VERSION
            version.mkdir(parents=True)
            _copy_data(bundle, graphs[graph], version)
            source = bundle.path(graphs[graph].files["onnx"])
            if graph == "sampler":
                target = version / "model.onnx"
                inputs, outputs = _write_sampler(pipeline, source, target, num_steps, solver)
                fed, made = inputs, outputs
            else:
                shutil.copyfile(source, version / "model.onnx")
                inputs = list(map(_tensor, graphs[graph].inputs))
                outputs = list(map(_tensor, graphs[graph].outputs))
            _write_config(folder / part, part, "onnxruntime", inputs, outputs)
        decoded = list(map(_tensor, graphs["decoder"].outputs))
        text = [_tensor(tensor) for tensor in graphs[TEXT_ENCODER].inputs]
        masks: list[Tensor] = [("text_mask", "TYPE_BOOL", (1,)), ("frame_mask", "TYPE_BOOL", (-1,))]
        noise: Tensor = ("x", "TYPE_FP32", (-1, pipeline.features.width))
        joints = pipeline.skeleton.num_joints
        contacts = next(axes for key, _, axes in decoded if key == "foot_contacts")
        answers: list[Tensor] = [
            ("LOCAL_ROTATIONS", "TYPE_FP32", (-1, joints, 4)),
            ("ROOT_POSITIONS", "TYPE_FP32", (-1, 3)),
            ("POSED_JOINTS", "TYPE_FP32", (-1, joints, 3)),
            ("FOOT_CONTACTS", "TYPE_BOOL", contacts),
        ]
        host = _host_info(pipeline, [key for key, _, _ in decoded])
        _write_backend(folder, prepare, "prepare.py", host, bundle, _ASKED, [*text, *masks, noise])
        taken = [*decoded, _ASKED[2]]
        _write_backend(folder, finish, "finish.py", host, bundle, taken, answers)
        (embedding,) = (tensor.name for tensor in graphs[TEXT_ENCODER].outputs)
        steps: list[_Step] = [
            (prepare, _same(_ASKED), _same([*text, *masks, noise])),
            (parts[0], _same(text), {embedding: "embedding"}),
            (parts[1], _same(fed), _same(made)),
            (parts[2], _same(made), _same(decoded)),
            (finish, _same(taken), _same(answers)),
        ]
        _write_ensemble(folder / name, name, _ASKED, answers, steps)
    return [name, prepare, *parts, finish]


def _same(tensors: Iterable[Tensor]) -> dict[str, str]:
    """Map tensors to those of their own names."""
    return {name: name for name, _, _ in tensors}


def _write_sampler(
    pipeline: KimodoPipeline, source: Path, target: Path, num_steps: int | None, solver: str | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Write the loop with its schedule and guidance inside, and nothing held.

    What is left to feed has rows as first axis, as Triton's batches want it.
    """
    defaults = pipeline.defaults
    schedule = cosine_schedule(
        defaults.num_base_steps, num_steps or defaults.num_steps, solver or defaults.solver
    )
    branches = guidance_branches(pipeline.default_guidance, True, False)
    fixed: dict[str, NDArray[Any]] = {
        "timesteps": schedule.timesteps[:, None].astype(np.int64),
        "schedule": schedule.coefficients.astype(np.float32),
        "branch_text": branches[0],
        "branch_constraints": branches[1],
        "branch_weights": branches[2],
    }
    model = onnx.load(str(source), load_external_data=False)
    graph = model.graph
    fixed |= {"token_axis": np.array([1]), "last_axis": np.array([2]), "both": np.array([1, 2])}
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in fixed.items())
    nodes = [
        helper.make_node("Sub", ["x", "x"], [key])
        for key in ("x0_previous", "motion_mask", "observed_motion")
    ]
    # A zero a row: all begin facing +z. A blank text is no text, whatever its embedding is.
    nodes += [
        helper.make_node("ReduceSum", ["x0_previous", "both"], ["first_heading_rad"], keepdims=0),
        helper.make_node("Cast", ["text_mask"], ["text_given"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["text_given", "last_axis"], ["text_given_wide"]),
        helper.make_node("Unsqueeze", ["embedding", "token_axis"], ["text_token"]),
        helper.make_node("Mul", ["text_token", "text_given_wide"], ["text_features"]),
        *graph.node,
        helper.make_node("Identity", ["x_next"], ["features"]),
    ]
    fed = {tensor.name: tensor for tensor in graph.input}
    width, text_width = pipeline.features.width, pipeline.defaults.text_width
    real = onnx.TensorProto.FLOAT
    embedding = helper.make_tensor_value_info("embedding", real, ["batch", text_width])
    made = helper.make_tensor_value_info("features", real, ["batch", "frames", width])
    inputs = [fed["x"], embedding, fed["text_mask"], fed["frame_mask"]]
    lasting = helper.make_graph(nodes, graph.name, inputs, [made], list(graph.initializer))
    graph.CopyFrom(lasting)
    target.write_bytes(model.SerializeToString())
    taken: list[Tensor] = [
        ("x", "TYPE_FP32", (-1, width)),
        ("embedding", "TYPE_FP32", (text_width,)),
        ("text_mask", "TYPE_BOOL", (1,)),
        ("frame_mask", "TYPE_BOOL", (-1,)),
    ]
    return taken, [("features", "TYPE_FP32", (-1, width))]


def _copy_data(bundle: Bundle, info: GraphInfo, folder: Path) -> None:
    """Copy the files with a graph's weights, which are named relative to the graph."""
    for file in info.data:
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(file), target)


def _tensor(tensor: TensorInfo) -> Tensor:
    """Return a tensor of a graph as Triton describes it: its first axis, the batch, left out."""
    axes = tuple(axis if isinstance(axis, int) else -1 for axis in tensor.axes[1:])
    return tensor.name, _TYPES[tensor.dtype], axes


def _host_info(pipeline: KimodoPipeline, decoded: Sequence[str]) -> HostInfo:
    text = pipeline.bundle.section("text", EncoderInfo)
    return HostInfo(
        width=pipeline.features.width,
        max_frames=pipeline.advised_frames,
        fps=pipeline.fps,
        skeleton=pipeline.native_skeleton.to_dict(),
        rules=text.rules,
        decoded=tuple(decoded),
    )


def _write_backend(
    folder: Path,
    name: str,
    source: str,
    host: HostInfo,
    bundle: Bundle,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> None:
    version = folder / name / VERSION
    version.mkdir(parents=True)
    code = resources.files("motionrt").joinpath("assets/triton", source).read_text(encoding="utf-8")
    (version / "model.py").write_text(code, encoding="utf-8")
    (version / FILE).write_bytes(msgspec.json.encode(host))
    tokenizer = bundle.section("text", EncoderInfo).tokenizer
    shutil.copyfile(bundle.path(tokenizer), version / TOKENIZER)
    _write_config(folder / name, name, "python", inputs, outputs)


def _write_config(
    folder: Path, name: str, backend: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> None:
    lines = [
        f"name: {_text(name)}",
        f"backend: {_text(backend)}",
        f"max_batch_size: {MAX_BATCH}",
        *_tensors("input", inputs),
        *_tensors("output", outputs),
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS} }}",
        "version_policy { latest { num_versions: 1 } }",
    ]
    (folder / "config.pbtxt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_ensemble(
    folder: Path,
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    steps: Sequence[_Step],
) -> None:
    (folder / VERSION).mkdir(parents=True)  # an ensemble has no file, but a version
    (folder / VERSION / ".keep").touch()
    lines = [
        f"name: {_text(name)}",
        'platform: "ensemble"',
        f"max_batch_size: {MAX_BATCH}",
        *_tensors("input", inputs),
        *_tensors("output", outputs),
        "ensemble_scheduling {",
    ]
    for model, taken, given in steps:
        lines += ["  step {", f"    model_name: {_text(model)}", "    model_version: -1"]
        for field, names in (("input_map", taken), ("output_map", given)):
            lines += [
                f"    {field} {{ key: {_text(key)} value: {_text(value)} }}"
                for key, value in names.items()
            ]
        lines.append("  }")
    lines.append("}")
    (folder / "config.pbtxt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tensors(field: str, tensors: Iterable[Tensor]) -> list[str]:
    return [
        f"{field} {{ name: {_text(name)} data_type: {kind} dims: {list(axes)} }}"
        for name, kind, axes in tensors
    ]


def _text(value: str) -> str:
    return json.dumps(value)
