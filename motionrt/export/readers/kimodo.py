"""A Kimodo checkpoint directory, as released: config.yaml, weights, statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from motionrt.export.readers.weights import Weights, load_pickled, open_safetensors
from motionrt.models.kimodo import LOCAL_ROOT_WIDTH, ROOT_WIDTH, Kimodo, KimodoConfig, MotionStats
from motionrt.models.layers import ACTIVATIONS
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.readers.arrays import read_array

SKELETONS = {
    "SOMASkeleton30": ("soma30", 30),
    "G1Skeleton34": ("g1", 34),
    "SMPLXSkeleton22": ("smplx22", 22),
    "CMUSkeleton22": ("cmu22", 22),
}
"""Last part of a config's skeleton target -> our skeleton's name, and its joints."""
GUIDANCE_TYPES = ("nocfg", "regular", "separated")
_KEY_PREFIX = "denoiser.backbone."


@dataclass(frozen=True)
class KimodoCheckpoint:
    """What a checkpoint directory holds."""

    name: str
    model: Kimodo
    stats: MotionStats
    skeleton: str
    num_base_steps: int
    guidance_type: str
    weights_path: Path
    config_path: Path


def read_kimodo(folder: Path) -> KimodoCheckpoint:
    """Read a checkpoint directory; CheckpointError names the first thing that is wrong."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint directory")
    config_path = folder / "config.yaml"
    settings = _Settings(config_path)
    target = str(settings.get("skeleton._target_")).rpartition(".")[2]
    if target not in SKELETONS:
        raise CheckpointError(
            f"{config_path}: skeleton {target} is unknown; known are {', '.join(SKELETONS)}"
        )
    skeleton, num_joints = SKELETONS[target]
    if settings.get("motion_mask_mode", "concat") != "concat":
        raise CheckpointError(f"{config_path}: only motion_mask_mode concat is known")
    text_shape = settings.get("llm_shape")
    if not isinstance(text_shape, list) or len(text_shape) != 2:
        raise CheckpointError(f"{config_path}: llm_shape must be [text tokens, text width]")
    guidance = settings.get("cfg_type", "separated") or "nocfg"
    if guidance not in GUIDANCE_TYPES:
        raise CheckpointError(f"{config_path}: cfg_type {guidance} is unknown")
    activation = settings.get("activation", "gelu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{config_path}: activation {activation}, known are {', '.join(ACTIVATIONS)}"
        )
    config = KimodoConfig(
        num_joints=num_joints,
        fps=settings.number("fps", float),
        text_width=_size(config_path, "llm_shape", text_shape[1]),
        num_text_tokens=_size(
            config_path,
            "num_text_tokens_override",
            settings.get("num_text_tokens_override", None) or text_shape[0],
        ),
        latent_dim=settings.number("latent_dim"),
        ff_size=settings.number("ff_size"),
        num_layers=settings.number("num_layers"),
        num_heads=settings.number("num_heads"),
        activation=activation,
        norm_first=bool(settings.get("norm_first", False)),
        use_text_mask=bool(settings.get("use_text_mask", False)),
        input_first_heading_angle=bool(settings.get("input_first_heading_angle", False)),
        keep_held_root=bool(settings.get("keep_held_root", False)),
    )
    if config.latent_dim % config.num_heads or config.latent_dim % 2:
        raise CheckpointError(
            f"{config_path}: latent_dim {config.latent_dim} must be even and a multiple of "
            f"num_heads {config.num_heads}"
        )
    stats = _read_stats(Path(settings.get("stats_path")), config)
    model = Kimodo(config, stats)
    weights_path = Path(settings.get("ckpt_path"))
    _open_weights(weights_path).renamed(lambda name: name.replace(_KEY_PREFIX, "")).fill(model)
    return KimodoCheckpoint(
        name=_name(folder),
        model=model.eval(),
        stats=stats,
        skeleton=skeleton,
        num_base_steps=settings.number("num_base_steps"),
        guidance_type=guidance,
        weights_path=weights_path,
        config_path=config_path,
    )


def _name(folder: Path) -> str:
    """Return the display name: the directory's own, or the repository's of a hub snapshot."""
    place = folder.absolute()
    if place.parent.name == "snapshots":
        return place.parent.parent.name.rpartition("--")[2]
    return place.name


class _Settings:
    """A config's keys, found wherever they are nested: releases differ in that."""

    def __init__(self, path: Path) -> None:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        self.path = path
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; is this a Kimodo checkpoint directory?")
        refuse_lfs_pointer(path, CheckpointError)
        try:
            runtime_keys = {"checkpoint_dir": str(path.parent.resolve()), "text_encoder": None}
            merged = OmegaConf.merge(OmegaConf.load(path), runtime_keys)
            self._tree = OmegaConf.to_container(merged, resolve=True)
        except (OmegaConfBaseException, yaml.YAMLError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: cannot be read as YAML config ({reason})") from error
        if not isinstance(self._tree, dict):
            raise CheckpointError(f"{path}: holds no keys")

    def get(self, key: str, *default: Any) -> Any:
        """Return the value at the end of a dotted path that stands anywhere in the tree."""
        first, *rest = key.split(".")
        for value in _find(self._tree, first):
            for part in rest:
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None or not rest:
                return value
        if default:
            return default[0]
        raise CheckpointError(f"{self.path}: no key {key}")

    def number(self, key: str, kind: type[Any] = int) -> Any:
        """Return a value above zero as int or float."""
        value = self.get(key)
        try:
            number = kind(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, bool) or not (math.isfinite(number) and number > 0):
            raise CheckpointError(f"{self.path}: {key} is {value!r}, should be a number above 0")
        return number


def _open_weights(path: Path) -> Weights:
    """Open safetensors, or a pickle of tensors, entering a ``state_dict`` at its top."""
    if path.suffix == ".safetensors":
        return open_safetensors(path)[0]
    tensors = load_pickled(path)
    if isinstance(tensors, Mapping) and isinstance(tensors.get("state_dict"), Mapping):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, Mapping) or not all(
        isinstance(tensor, Tensor) for tensor in tensors.values()
    ):
        raise CheckpointError(f"{path}: holds no dictionary of tensors")
    shapes = {str(name): tuple(tensor.shape) for name, tensor in tensors.items()}
    return Weights(path, shapes, lambda name: tensors[name])


def _find(tree: Any, key: str) -> Iterator[Any]:
    """Yield the values of a key, the least nested first."""
    level = [tree]
    while level:
        below: list[Any] = []
        for node in level:
            if isinstance(node, Mapping):
                if key in node:
                    yield node[key]
                below.extend(node.values())
        level = below


def _size(path: Path, key: str, value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{path}: {key} is {value!r}, should be a whole number above 0")
    return value


def _read_stats(folder: Path, config: KimodoConfig) -> MotionStats:
    widths = {
        "global_root": ROOT_WIDTH,
        "local_root": LOCAL_ROOT_WIDTH,
        "body": config.num_features - ROOT_WIDTH,
    }
    pairs = {
        part: (
            _read_array(folder / part / "mean.npy", n),
            _read_array(folder / part / "std.npy", n),
        )
        for part, n in widths.items()
    }
    return MotionStats(**pairs)


def _read_array(path: Path, width: int) -> Tensor:
    """Read (width,) finite numbers as float32: cast before any arithmetic, as in training."""
    if not path.exists():
        raise CheckpointError(f"{path}: missing; statistics are part of a checkpoint")
    refuse_lfs_pointer(path, CheckpointError)
    try:
        array = read_array(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(f"{path}: damaged ({reason})") from error
    if array.shape != (width,):
        raise CheckpointError(f"{path}: shape {array.shape}, should be ({width},)")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise CheckpointError(f"{path}: not all numbers are finite")
    return torch.from_numpy(array.astype(np.float32))
