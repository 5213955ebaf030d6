"""Read a projector: safetensors with metadata, or a torch state dict.

A torch file may hold the state dict itself, or nest it under ``state_dict``, ``model`` or
``projection``; all names may share one prefix. The kind follows from the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from motionrt.export.readers.weights import Weights, load_pickled, open_safetensors
from motionrt.models.projector import Projector, ProjectorConfig, make_projector
from motionrt.runtime.errors import CheckpointError

NESTS = ("state_dict", "model", "projection", "projector")
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
    else:
        state = _state_dict(load_pickled(path), path)
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        stored, metadata = Weights(path, shapes, state.__getitem__), {}
    stored = _without_prefix(stored)
    config = _config(stored, metadata, num_heads)
    module = make_projector(config)
    stored.fill(module)
    return module.eval(), metadata


def _state_dict(value: object, path: Path) -> dict[str, Tensor]:
    while isinstance(value, Mapping) and len(nests := [key for key in NESTS if key in value]) == 1:
        inner = value[nests[0]]
        if not isinstance(inner, Mapping):
            break
        value = inner
    if not isinstance(value, Mapping) or not value:
        raise CheckpointError(f"{path}: holds no state dict")
    if not all(isinstance(name, str) and isinstance(t, Tensor) for name, t in value.items()):
        raise CheckpointError(f"{path}: holds no state dict: not every entry is a named tensor")
    state: dict[str, Tensor] = dict(value)
    foreign = [name for name, tensor in state.items() if not tensor.is_floating_point()]
    if foreign:
        raise CheckpointError(f"{path}: {foreign[0]} is {state[foreign[0]].dtype}, expected float")
    return {name: tensor.to(torch.float32) for name, tensor in state.items()}


def _without_prefix(stored: Weights) -> Weights:
    """Take off the one prefix that all names share, if the kind is found beneath it."""
    names = set(stored.shapes)
    for signature in SIGNATURES.values():
        for known in signature:
            for name in names:
                prefix = name.removesuffix(known)
                if prefix and prefix != name and names == {prefix + n for n in signature}:
                    return stored.renamed(lambda full, prefix=prefix: full.removeprefix(prefix))  # type: ignore[misc]
    return stored


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
    if min(config.in_dim, config.out_dim) < 1:
        raise CheckpointError(f"{stored.place}: weight is no matrix")
    return config


def _metadata_count(place: Path, metadata: dict[str, str], key: str) -> int:
    text = metadata.get(key, "0")
    if not text.isdecimal():
        raise CheckpointError(f"{place}: {key} is {text!r}, expected a whole number")
    return int(text)
