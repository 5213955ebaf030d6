"""A bundle that was shipped, as the start of a further training: its weights and its words.

The weights are read out of the step graph, whatever they were rounded to; the text encoder is
taken as it is, so that the denoiser goes on with the words it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file, save
from torch import Tensor

from motionrt.export.kimodo import GuidedStep
from motionrt.export.running import run_graph
from motionrt.models.kimodo import (
    LOCAL_ROOT_WIDTH,
    ROOT_WIDTH,
    Kimodo,
    KimodoConfig,
    MotionStats,
)
from motionrt.models.layers import VARIANCE_FLOOR
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, sha256
from motionrt.runtime.errors import InputError
from motionrt.runtime.text.sources import GRAPH as TEXT_GRAPH
from motionrt.runtime.text.sources import BundleTextEncoder

SKELETON = "cmu22"
NUM_TEXT_TOKENS = 1
MAX_DIFFERENCE = 1e-3
"""Between the model that was read and its graph, in normalised features: rounding alone is less."""
STEP = "step"
_REFERENCE, _STATISTICS = "reference.safetensors", "statistics.safetensors"
_PREFIX = "denoiser."


@dataclass(frozen=True)
class Shipped:
    """What a further training takes from a bundle."""

    bundle: Bundle
    model: Kimodo
    """With the weights as the bundle computes them, in float32."""
    stats: MotionStats

    @property
    def digest(self) -> str:
        """Name the bundle's contents, for states that depend on them."""
        files = self.bundle.manifest.files
        return " ".join(files[name].sha256[:16] for name in sorted(self._weight_files()))

    def _weight_files(self) -> set[str]:
        graphs = self.bundle.manifest.graphs
        return {name for key in (STEP, TEXT_GRAPH) for name in graphs[key].data}

    def encoder(self) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        """Return its text encoder: cleaned prompts to text vectors (N, width).

        One at a time, as the runtime does.
        """
        source = BundleTextEncoder(self.bundle, choose_backend("cpu"))
        return lambda texts: np.concatenate([source.encode([text]) for text in texts])

    def copy_text_encoder(self, folder: Path) -> None:
        """Put its text encoder, as it is, into a bundle that was exported without one."""
        manifest, source = Bundle(folder).manifest, self.bundle.manifest
        graph = source.graphs[TEXT_GRAPH]
        names = [*graph.files.values(), *graph.data, str(source.text["tokenizer"])]
        for name in names:
            (folder / name).write_bytes(self.bundle.path(name).read_bytes())
        references = {
            name: array
            for name, array in load_file(self.bundle.path(_REFERENCE)).items()
            if name.startswith(f"{TEXT_GRAPH}/")
        }
        path = folder / _REFERENCE
        path.write_bytes(save({**load_file(path), **references}))
        files = {
            name: FileInfo((folder / name).stat().st_size, sha256(folder / name))
            for name in (*names, _REFERENCE)
        }
        msgspec.structs.replace(
            manifest,
            graphs={**manifest.graphs, TEXT_GRAPH: graph},
            text={name: value for name, value in source.text.items() if name != "known_prompts"},
            files={**manifest.files, **files},
        ).write(folder)

    def copy_known_prompts(self, folder: Path) -> None:
        """Put what it says of the prompts it knows, if it does, into a bundle of its encoder."""
        known = self.bundle.manifest.text.get("known_prompts")
        if known is None:
            return
        manifest, path = Bundle(folder).manifest, folder / known["file"]
        path.write_bytes(self.bundle.path(known["file"]).read_bytes())
        msgspec.structs.replace(
            manifest,
            text={**manifest.text, "known_prompts": known},
            files={**manifest.files, path.name: FileInfo(path.stat().st_size, sha256(path))},
        ).write(folder)


def read_shipped(folder: Path) -> Shipped:
    """Read a bundle that ``train-default`` made; InputError if it is none or is not understood."""
    bundle = Bundle(folder)
    manifest, skeleton = bundle.manifest, load_skeleton(SKELETON)
    sampler = manifest.sampler
    reasons = {
        f"its family is {manifest.family}": manifest.family != "kimodo",
        "its skeleton is another": manifest.skeleton.get("name") != skeleton.name,
        "it has no text encoder": TEXT_GRAPH not in manifest.graphs,
        "it takes several embeddings of a text": sampler.get("num_text_tokens") != NUM_TEXT_TOKENS,
    }
    for reason, true in reasons.items():
        if true:
            raise InputError(f"{folder}: {reason}; give a bundle that train-default made")
    graph = manifest.graphs[STEP]
    bundle.check_hashes([*graph.files.values(), *graph.data, _STATISTICS, _REFERENCE])
    proto = onnx.load(bundle.path(graph.files["onnx"]))
    tensors = _tensors(proto, bundle.folder)
    try:
        width = tensors[f"{_PREFIX}root_model.input_linear.bias"].shape[0]
        ff_size = tensors[f"{_PREFIX}root_model.seqTransEncoder.layers.0.linear1.bias"].shape[0]
        stats = _stats(tensors, load_file(bundle.path(_STATISTICS)))
        layers = {
            name.split("layers.")[1].split(".")[0]
            for name in tensors
            if "root_model" in name and "layers." in name
        }
        config = KimodoConfig(
            num_joints=skeleton.num_joints,
            fps=manifest.fps,
            text_width=int(sampler["text_width"]),
            num_text_tokens=NUM_TEXT_TOKENS,
            latent_dim=width,
            ff_size=ff_size,
            num_layers=len(layers),
            num_heads=_num_heads(proto),
            norm_first=True,
            keep_held_root=True,
        )
        model = Kimodo(config, stats)
        state = {name: tensors[_PREFIX + name] for name in model.state_dict()}
        model.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"{folder}: its step graph is not that of a bundle that train-default made "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    shipped = Shipped(bundle, model.eval(), stats)
    _check(shipped)
    return shipped


def _tensors(proto: onnx.ModelProto, folder: Path) -> dict[str, Tensor]:
    """List the graph's constants by their names as parameters: rounded ones brought back."""
    arrays: dict[str, NDArray[Any]] = {
        tensor.name: numpy_helper.to_array(tensor, str(folder))
        for tensor in proto.graph.initializer
    }
    # A product's right side is stored as (in, out), a linear map's weight is (out, in).
    multiplied = {node.input[1] for node in proto.graph.node if node.op_type == "MatMul"}
    tensors = {}
    for name, array in arrays.items():
        stem, _, kind = name.rpartition(".")
        if kind == "int8":
            values = array.astype(np.float32) * arrays[f"{stem}.scale"]
            tensors[stem] = values.reshape(-1, values.shape[-1]).T
        elif array.dtype in (np.float32, np.float16):
            tensors[name] = array.T if name in multiplied else array
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in tensors.items()}


def _num_heads(proto: onnx.ModelProto) -> int:
    """Read the heads off the attention's weights, whose shape (B, heads, T, T) the graph states."""
    shapes = {value.name: value.type.tensor_type.shape.dim for value in proto.graph.value_info}
    softmax = next(node.output[0] for node in proto.graph.node if node.op_type == "Softmax")
    return int(shapes[softmax][1].dim_value)


def _stats(tensors: dict[str, Tensor], statistics: dict[str, NDArray[np.float32]]) -> MotionStats:
    mean = torch.from_numpy(statistics["mean"])
    std = torch.from_numpy(statistics["std"])
    scale = tensors[f"{_PREFIX}local_root.scale"]
    local = (tensors[f"{_PREFIX}local_root.mean"], (scale**2 - VARIANCE_FLOOR).clamp(min=0).sqrt())
    if len(scale) != LOCAL_ROOT_WIDTH:
        raise KeyError("local_root.scale")
    return MotionStats(
        (mean[:ROOT_WIDTH], std[:ROOT_WIDTH]), local, (mean[ROOT_WIDTH:], std[ROOT_WIDTH:])
    )


@torch.no_grad()
def _check(shipped: Shipped) -> None:
    """Compare the model with the graph it was read from, on the bundle's own reference inputs."""
    bundle = shipped.bundle
    graph = bundle.manifest.graphs[STEP]
    references = load_file(bundle.path(_REFERENCE))
    feed = {tensor.name: references[f"{STEP}/in/{tensor.name}"] for tensor in graph.inputs}
    # Nothing is held: how a graph keeps to what is held is no matter of its weights.
    feed["motion_mask"] = np.zeros_like(feed["motion_mask"])
    told = run_graph(bundle.path(graph.files["onnx"]), feed)
    inputs = {name: torch.from_numpy(array) for name, array in feed.items()}
    found = GuidedStep(shipped.model)(**inputs)
    for tensor, value in zip(graph.outputs, found, strict=True):
        difference = float(np.abs(value.numpy() - told[tensor.name]).max())
        if not difference <= MAX_DIFFERENCE * max(1.0, float(np.abs(told[tensor.name]).max())):
            raise InputError(
                f"{bundle.folder}: its step graph computes something else than its weights in "
                f"train-default's model do ({tensor.name} differs by {difference:.2g})"
            )
