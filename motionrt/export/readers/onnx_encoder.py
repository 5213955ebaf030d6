"""Read a text encoder that is an ONNX graph already, in the layout that optimum writes.

A folder with model.onnx (and its external data), config.json and tokenizer.json; or the graph in a
folder ``onnx`` below them, as on model hubs. What the graph takes and gives is looked at, not
believed: it comes from the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from motionrt.export.readers.config_values import told, whole_number
from motionrt.export.readers.sentence_transformers import SentenceSettings, read_sentence_settings
from motionrt.export.readers.weights import read_json
from motionrt.runtime.errors import CheckpointError, one_line
from motionrt.runtime.files import refuse_lfs_pointer

ENDING = ".onnx"
PAST = "past_key_values."
"""What the names of a decoder's cached keys and values begin with: empty ones are given."""
HIDDEN = ("last_hidden_state", "token_embeddings")
"""Names of hidden states (B, S, W), as transformers and sentence-transformers call them."""
SENTENCE = "sentence_embedding"
"""The name of what a graph has pooled itself (B, W)."""
_WHOLE = {ir.DataType.INT64: "int64", ir.DataType.INT32: "int32"}
_REAL = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
_DERIVED = ("attention_mask", "token_type_ids", "position_ids")
_WIDTHS = ("hidden_size", "d_model", "dim", "n_embd")
"""What configs call the width of hidden states."""
_ROUNDING = (
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearMatMul",
    "DynamicQuantizeMatMul",
    "QAttention",
)
"""Operators of graphs in 8 bits."""


@dataclass(frozen=True)
class GraphInput:
    """An input of an encoder's graph."""

    name: str
    dtype: ir.DataType
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class OnnxEncoder:
    """An encoder's graph and the files beside it; its weights are not loaded."""

    path: Path
    """The graph."""
    folder: Path
    """Where config and tokenizer are."""
    data: tuple[Path, ...]
    """Files that hold weights of the graph."""
    model_type: str
    vocab_size: int
    width: int
    max_tokens: int
    inputs: tuple[GraphInput, ...]
    hidden: str
    """The output that is pooled."""
    sentence: str | None
    """The output that the graph has pooled itself."""
    precision: str
    """Of its weights, as it came: fp32, fp16, int8 or int4."""
    settings: SentenceSettings

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the graph."""
        return (self.path, *self.data)


def find_onnx_encoder(place: Path) -> Path | None:
    """Return the graph that a place means, None if it means none.

    A place is a file, or a folder with a graph in it or in its folder ``onnx``: model.onnx, or the
    only one. CheckpointError if there are several and none is called so.
    """
    if place.suffix == ENDING:
        return place
    for folder in (place, place / "onnx"):
        found = sorted(folder.glob(f"*{ENDING}"))
        if usual := [path for path in found if path.stem == "model"]:
            return usual[0]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise CheckpointError(f"{folder}: holds {names}; name the text encoder's file")
        if found:
            return found[0]
    return None


def read_onnx_encoder(path: Path) -> OnnxEncoder:
    """Read the graph of an encoder and its config; CheckpointError, on one line, if it is none."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    beside = path.parent
    folder = beside if (beside / "config.json").exists() else beside.parent
    config_path = folder / "config.json"
    if not config_path.is_file():
        raise CheckpointError(f"{path}: no config.json beside it or in the folder above")
    config = read_json(config_path)
    model = load_onnx(path)
    inputs = tuple(_input(value, path) for value in model.graph.inputs)
    _check_inputs(inputs, path)
    hidden, sentence, width = _outputs(model, config, path, config_path)
    settings = read_sentence_settings(folder)
    return OnnxEncoder(
        path=path,
        folder=folder,
        data=tuple(dict.fromkeys(path.parent / name for name in _external(model))),
        model_type=str(config.get("model_type", "onnx")),
        vocab_size=whole_number(config.get("vocab_size"), f"{config_path}: vocab_size"),
        width=width,
        max_tokens=settings.max_tokens or _max_tokens(config, config_path),
        inputs=inputs,
        hidden=hidden,
        sentence=sentence,
        precision=_precision(model),
        settings=settings,
    )


def load_onnx(path: Path) -> ir.Model:
    """Load a graph, its external data still in its files, which lie whole beside it."""
    refuse_lfs_pointer(path, CheckpointError)
    try:
        model = ir.load(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # protobuf's, and what the package makes of odd graphs
        raise CheckpointError(f"{path}: no ONNX graph ({one_line(error, 160)})") from None
    if not len(model.graph):  # an empty file is a message of protobuf, too
        raise CheckpointError(f"{path}: no ONNX graph (it has no operators)")
    for tensor in _external_tensors(model):
        name = os.fspath(tensor.location)
        # Not pathlib: it would take "a/../b" apart.
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise CheckpointError(f"{path}: its weights {told(name)} are no file beside it")
        place = path.parent / name
        refuse_lfs_pointer(place, CheckpointError)
        if not place.is_file():
            raise CheckpointError(f"{place}: no such file, {path.name} has its weights there")
        end = (tensor.offset or 0) + (tensor.length or tensor.nbytes)
        if end > place.stat().st_size or (tensor.length or tensor.nbytes) != tensor.nbytes:
            raise CheckpointError(f"{place}: too short or torn for {path.name}; fetch it again")
    return model


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value


def _external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    return (tensor for tensor in _tensors(model) if isinstance(tensor, ir.ExternalTensor))


def _external(model: ir.Model) -> list[str]:
    return [os.fspath(tensor.location) for tensor in _external_tensors(model)]


def _input(value: ir.Value, path: Path) -> GraphInput:
    name = value.name or ""
    if value.shape is None or value.dtype is None:
        raise CheckpointError(f"{path}: input {told(name)} has no stated shape and type")
    shape = tuple(size if isinstance(size, int) else str(size) for size in value.shape)
    return GraphInput(name, value.dtype, shape)


def _check_inputs(inputs: tuple[GraphInput, ...], path: Path) -> None:
    names = {tensor.name for tensor in inputs}
    for wanted in ("input_ids", "attention_mask"):
        if wanted not in names:
            raise CheckpointError(
                f"{path}: takes {', '.join(sorted(names))}, and no {wanted}; a text encoder's "
                "graph is exported with --task feature-extraction"
            )
    for tensor in inputs:
        if tensor.name.startswith(PAST):
            fixed = [isinstance(size, int) for size in tensor.shape]
            if fixed != [False, True, False, True] or tensor.dtype not in _REAL:
                raise CheckpointError(
                    f"{path}: {tensor.name} has the shape {list(tensor.shape)}, which no empty "
                    "one can be made of; export it with --task feature-extraction"
                )
        elif tensor.name not in ("input_ids", *_DERIVED):
            raise CheckpointError(
                f"{path}: takes {told(tensor.name)}, which no text gives; export it with "
                "--task feature-extraction"
            )
        elif tensor.dtype not in _WHOLE or len(tensor.shape) != 2:
            raise CheckpointError(
                f"{path}: {tensor.name} is {tensor.dtype.name.lower()} {list(tensor.shape)}, "
                "should be whole numbers (batch, tokens)"
            )
        elif any(isinstance(size, int) for size in tensor.shape):
            raise CheckpointError(
                f"{path}: {tensor.name} has the fixed shape {list(tensor.shape)}; export it with "
                "dynamic axes"
            )


def _outputs(
    model: ir.Model, config: Mapping[str, Any], path: Path, config_path: Path
) -> tuple[str, str | None, int]:
    outputs = {value.name or "": value for value in model.graph.outputs}
    hidden = next((name for name in HIDDEN if name in outputs), None)
    if hidden is None:
        raise CheckpointError(
            f"{path}: gives {', '.join(sorted(outputs)[:4])}, and no {' or '.join(HIDDEN)}; "
            "export it with --task feature-extraction"
        )
    value = outputs[hidden]
    if value.dtype not in _REAL:
        kind = value.dtype.name.lower() if value.dtype else "of no stated type"
        raise CheckpointError(f"{path}: {hidden} is {kind}, should be float32 or float16")
    last = value.shape[-1] if value.shape is not None and len(value.shape) == 3 else None
    if not isinstance(last, int):
        key = next((key for key in _WIDTHS if key in config), _WIDTHS[0])
        last = whole_number(config.get(key), f"{config_path}: {key}")
    return hidden, SENTENCE if SENTENCE in outputs else None, last


def _max_tokens(config: Mapping[str, Any], path: Path) -> int:
    """Return the longest row that positions are known for, 512 at most."""
    key = "max_position_embeddings"
    if config.get(key) is None:
        return 512
    longest = whole_number(config[key], f"{path}: {key}", largest=1 << 30)
    # RoBERTa counts positions from behind the padding token's.
    padding = config.get("pad_token_id") if "roberta" in str(config.get("model_type")) else None
    return max(1, min(512, longest - (padding + 1 if isinstance(padding, int) else 0)))


def _precision(model: ir.Model) -> str:
    """Return in how many bits most of the weights are."""
    bits = [
        node.attributes.get_int("bits", 4)
        for node in model.graph.all_nodes()
        if node.op_type == "MatMulNBits"
    ]
    if bits:
        return f"int{min(bits)}"
    if any(node.op_type in _ROUNDING for node in model.graph.all_nodes()):
        return "int8"
    sizes = {"fp32": 0, "fp16": 0}
    for tensor in _tensors(model):
        name = {ir.DataType.FLOAT: "fp32", ir.DataType.FLOAT16: "fp16"}.get(tensor.dtype)
        if name:
            sizes[name] += tensor.size
    return "fp16" if sizes["fp16"] > sizes["fp32"] else "fp32"
