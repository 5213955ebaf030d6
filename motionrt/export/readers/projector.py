"""Read a projector: safetensors with metadata, or a torch state dict.

A torch file may hold the state dict itself, or nest it as training code does (``state_dict``,
``model_state_dict``, ``weights``…) beside an optimizer's or a trainer's own; nothing in it is
executed. All names may share one prefix. The kind follows from the names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from motionrt.export.readers.safe_pickle import StandIn, StoredTensor, read_checkpoint, weights_of
from motionrt.export.readers.weights import Weights, open_safetensors
from motionrt.models.projector import Projector, ProjectorConfig, make_projector
from motionrt.runtime.errors import CheckpointError

PROJECTOR_NAMES = ("projector", "projection", "proj")
"""What a projector is called in a checkpoint that holds other modules too."""
NESTS = (
    "model_state_dict",
    "state_dict",
    *PROJECTOR_NAMES,
    "projector_state_dict",
    "model",
    "net",
    "weights",
    "params",
    "module",
)
"""What training code calls the state dict; the first that fits is taken, then any other."""
_DEEPEST = 5
_LAYER = re.compile(r"(?P<stem>.{0,200}?)(?P<number>\d{1,4})\.(?P<part>weight|bias)")
DEFAULT_NUM_HEADS = 8
"""Heads of an attention projector that does not say: a state dict does not show them."""
SIGNATURES = {
    "kernel": {"centres", "weight", "bias", "scale", "shift", "gamma"},
    "linear": {"weight", "bias"},
    "mlp": {"proj.0.weight", "proj.0.bias", "proj.2.weight", "proj.2.bias"},
    "attention": {
        "query",
        "attn.in_proj_weight",
        "attn.in_proj_bias",
        "attn.out_proj.weight",
        "attn.out_proj.bias",
        "out.weight",
        "out.bias",
    },
}


def read_projector(path: Path, num_heads: int | None = None) -> tuple[Projector, dict[str, str]]:
    """Return the module with its weights (float32), and the metadata stored with it.

    num_heads overrides what an attention projector's metadata says. CheckpointError if the file is
    damaged, holds code, or its tensors are those of no kind.
    """
    if path.suffix == ".safetensors":
        stored, metadata = open_safetensors(path)
        stored = _renamed(stored) or stored
    else:
        stored, metadata = _of_torch_file(path), {}
    config = _config(stored, metadata, num_heads)
    return stored.build(lambda: make_projector(config)), metadata


def _of_torch_file(path: Path) -> Weights:
    """Find the projector in a torch file: a state dict that has a projector's names."""
    content = read_checkpoint(path)
    if isinstance(content, StandIn):
        raise CheckpointError(
            f"{path}: holds {content.source or 'an object'} and was not loaded; save a state_dict()"
        )
    states = _state_dicts(content)
    weights = [_weights(state, path) for state in states]
    if not weights:
        raise CheckpointError(f"{path}: holds no state dict")
    for find in (_renamed, _projector_among_others):
        for stored in weights:
            found = find(stored)
            if found is not None:
                return _of_floats(found)
    if len(weights[0].shapes) < len(states[0]):
        raise CheckpointError(f"{path}: holds no state dict: not every entry is a named tensor")
    return weights[0]


def _state_dicts(content: Any) -> list[dict[Any, Any]]:
    """Return all that may be a state dict, the least nested and those of usual names first."""
    found: list[dict[Any, Any]] = []
    level, seen = [content], set()
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            if any(isinstance(item, StoredTensor) for item in value.values()):
                found.append(value)
            below += [value[name] for name in NESTS if name in value]
            below += [item for name, item in value.items() if not _is_optimizers(name)]
        level = below
    return found


def _is_optimizers(name: Any) -> bool:
    return isinstance(name, str) and "optim" in name


def _weights(state: dict[Any, Any], path: Path) -> Weights:
    tensors = {
        name: value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, StoredTensor)
    }
    return weights_of(tensors, path)


def _of_floats(stored: Weights) -> Weights:
    """Return the projector's weights, whose numbers must be floats."""
    for name in stored.shapes:
        dtype = stored.load(name).dtype
        if not dtype.is_floating_point:
            raise CheckpointError(f"{stored.place}: {name} is {dtype}, expected float")
    return Weights(stored.place, stored.shapes, lambda name: stored.load(name).to(torch.float32))


def _renamed(stored: Weights) -> Weights | None:
    """Take off the one prefix that all names share, and other names of an MLP's two layers.

    None if what is left is no kind of projector.
    """
    names = set(stored.shapes)
    for signature in SIGNATURES.values():
        for known in signature:
            for name in names:
                prefix = name.removesuffix(known)
                if prefix + known == name and names == {prefix + n for n in signature}:
                    return stored.renamed(lambda full, prefix=prefix: full.removeprefix(prefix))  # type: ignore[misc]
    return _of_two_layers(stored)


def _of_two_layers(stored: Weights) -> Weights | None:
    """Rename an MLP's two layers, of an nn.Sequential (0 and 2) or numbered (fc1 and fc2)."""
    layers = {name: match for name in stored.shapes if (match := _LAYER.fullmatch(name))}
    numbers = sorted({int(match["number"]) for match in layers.values()})
    stems = {match["stem"] for match in layers.values()}
    if not len(layers) == len(stored.shapes) == 4 or len(stems) != 1 or len(numbers) != 2:
        return None
    stem = stems.pop()
    if (not stem or stem.endswith(".")) and numbers[1] - numbers[0] < 2:
        return None  # a sequence without an activation between is no MLP
    new = {numbers[0]: "proj.0", numbers[1]: "proj.2"}
    return stored.renamed(lambda name: f"{new[int(layers[name]['number'])]}.{layers[name]['part']}")


def _projector_among_others(stored: Weights) -> Weights | None:
    """Find a projector by what it is called beside other modules' tensors."""
    for called in PROJECTOR_NAMES:
        prefixes = {
            name[: at + len(called) + 1]
            for name in stored.shapes
            if (at := name.find(f"{called}.")) >= 0 and (at == 0 or name[at - 1] == ".")
        }
        for prefix in sorted(prefixes, key=len):
            below = stored.renamed(
                lambda name, prefix=prefix: (  # type: ignore[misc]
                    name.removeprefix(prefix) if name.startswith(prefix) else None
                )
            )
            found = _renamed(below)
            if found is not None:
                return found
    return None


def _config(stored: Weights, metadata: dict[str, str], num_heads: int | None) -> ProjectorConfig:
    names = set(stored.shapes)
    kinds = [kind for kind, signature in SIGNATURES.items() if names == signature]
    if not kinds:
        # Name the nearest kind's differences, rather than only that none fits.
        nearest = max(SIGNATURES, key=lambda kind: len(SIGNATURES[kind] & names))
        if not SIGNATURES[nearest] & names:
            shown = ", ".join(sorted(names)[:4])
            raise CheckpointError(f"{stored.place}: no projector: its tensors are {shown}")
        stored.require({n: stored.shapes.get(n, ()) for n in sorted(SIGNATURES[nearest])})
    kind = kinds[0]
    told = metadata.get("kind")
    if told not in (None, kind):
        raise CheckpointError(f"{stored.place}: says it is {told}, its tensors are {kind}")
    shape = {name: (*sizes, 0, 0) for name, sizes in stored.shapes.items()}
    if kind == "linear":
        config = ProjectorConfig("linear", shape["weight"][1], shape["weight"][0])
    elif kind == "mlp":
        hidden, in_dim = shape["proj.0.weight"][:2]
        config = ProjectorConfig("mlp", in_dim, shape["proj.2.weight"][0], hidden_dim=hidden)
        activation = metadata.get("activation", "gelu_erf")
        if activation not in ("gelu", "gelu_erf"):
            raise CheckpointError(f"{stored.place}: activation {activation!r} is not supported")
    elif kind == "attention":
        queries, in_dim = shape["query"][:2]
        heads = num_heads or _metadata_count(stored.place, metadata, "num_heads")
        heads = heads or DEFAULT_NUM_HEADS
        if in_dim % heads:
            raise CheckpointError(
                f"{stored.place}: {in_dim} features do not split in {heads} heads"
            )
        out_dim = shape["out.weight"][0]
        config = ProjectorConfig("attention", in_dim, out_dim, num_queries=queries, num_heads=heads)
    else:
        centres, in_dim = shape["centres"][:2]
        config = ProjectorConfig("kernel", in_dim, shape["weight"][0], num_centres=centres)
    if min(min(sizes, default=1) for sizes in stored.shapes.values()) < 1 or not (
        config.in_dim and config.out_dim
    ):
        raise CheckpointError(f"{stored.place}: weight is no matrix, or empty")
    return config


def _metadata_count(place: Path, metadata: dict[str, str], key: str) -> int:
    text = metadata.get(key, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise CheckpointError(f"{place}: {key} is {text!r}, expected a whole number")
    return int(text)
