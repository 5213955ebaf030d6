"""A Kimodo checkpoint directory, as released: config.yaml, weights, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.safe_pickle import open_pickled
from motionrt.export.readers.weights import Weights, open_safetensors
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
MOST_BASE_STEPS = 100_000
MOST_TEXT_TOKENS = 4096
MOST_FPS = 1000.0
"""Of what no weight says: tables and padding of this size are made, so more is refused."""
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
    if not config_path.exists():
        raise CheckpointError(f"{config_path}: missing; is this a Kimodo checkpoint directory?")
    given = {"checkpoint_dir": str(folder.resolve()), "text_encoder": None}
    settings = InterpolatedYaml(config_path, given)
    skeleton, num_joints = _skeleton(settings)
    config = _config(settings, num_joints)
    num_base_steps = whole_number(
        settings.find("num_base_steps"), f"{config_path}: num_base_steps", largest=MOST_BASE_STEPS
    )
    guidance = _choice(settings, "cfg_type", GUIDANCE_TYPES, "separated", empty="nocfg")
    stats = _read_stats(_path(settings, "stats_path"), config)
    weights_path = _path(settings, "ckpt_path")
    weights = _open_weights(weights_path).renamed(lambda name: name.replace(_KEY_PREFIX, ""))
    for stage in ("root_model", "body_model"):
        weights.require_layers(
            f"{stage}.seqTransEncoder.layers.", config.num_layers, f"{config_path}: num_layers"
        )
    return KimodoCheckpoint(
        name=_name(folder),
        model=weights.build(lambda: Kimodo(config, stats)),
        stats=stats,
        skeleton=skeleton,
        num_base_steps=num_base_steps,
        guidance_type=guidance,
        weights_path=weights_path,
        config_path=config_path,
    )


def _skeleton(settings: InterpolatedYaml) -> tuple[str, int]:
    """Return our name of the skeleton that a config names, and its joints."""
    named = settings.find("skeleton._target_")
    target = str(named).rpartition(".")[2]
    if target not in SKELETONS:
        shown = told(target).strip("'")
        raise CheckpointError(
            f"{settings.path}: skeleton {shown} is unknown; known are {', '.join(SKELETONS)}"
        )
    return SKELETONS[target]


def _config(settings: InterpolatedYaml, num_joints: int) -> KimodoConfig:
    path = settings.path
    if settings.find("motion_mask_mode", "concat") != "concat":
        raise CheckpointError(f"{path}: only motion_mask_mode concat is known")
    text_shape = settings.find("llm_shape")
    if not isinstance(text_shape, list) or len(text_shape) != 2:
        raise CheckpointError(f"{path}: llm_shape must be [text tokens, text width]")

    def size(key: str) -> int:
        return whole_number(settings.find(key), f"{path}: {key}")

    def switch(key: str) -> bool:
        value = settings.find(key, False)
        if value not in (None, True, False):
            raise CheckpointError(f"{path}: {key} is {told(value)}, should be true or false")
        return bool(value)

    num_text_tokens = settings.find("num_text_tokens_override", None)
    config = KimodoConfig(
        num_joints=num_joints,
        fps=positive_number(settings.find("fps"), f"{path}: fps", MOST_FPS),
        text_width=whole_number(text_shape[1], f"{path}: llm_shape"),
        num_text_tokens=whole_number(
            text_shape[0] if num_text_tokens is None else num_text_tokens,
            f"{path}: {'llm_shape' if num_text_tokens is None else 'num_text_tokens_override'}",
            largest=MOST_TEXT_TOKENS,
        ),
        latent_dim=size("latent_dim"),
        ff_size=size("ff_size"),
        num_layers=size("num_layers"),
        num_heads=size("num_heads"),
        activation=_choice(settings, "activation", tuple(ACTIVATIONS), "gelu"),
        norm_first=switch("norm_first"),
        use_text_mask=switch("use_text_mask"),
        input_first_heading_angle=switch("input_first_heading_angle"),
        keep_held_root=switch("keep_held_root"),
    )
    if config.latent_dim % config.num_heads or config.latent_dim % 2:
        raise CheckpointError(
            f"{path}: latent_dim {config.latent_dim} must be even and a multiple of "
            f"num_heads {config.num_heads}"
        )
    return config


def _choice(
    settings: InterpolatedYaml,
    key: str,
    known: tuple[str, ...],
    default: str,
    empty: str | None = None,
) -> str:
    """Return one of the known texts; empty stands for a key without a value."""
    value = settings.find(key, default)
    value = empty if value is None and empty is not None else value
    if not isinstance(value, str) or value not in known:
        shown = told(value).strip("'")
        raise CheckpointError(
            f"{settings.path}: {key} {shown} is unknown; known are {', '.join(known)}"
        )
    return value


def _path(settings: InterpolatedYaml, key: str) -> Path:
    """Return a path of the config."""
    value = settings.find(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise CheckpointError(f"{settings.path}: {key} is {told(value)}, should be a path")
    return Path(value)


def _name(folder: Path) -> str:
    """Return the display name: the directory's own, or the repository's of a hub snapshot."""
    place = folder.absolute()
    if place.parent.name == "snapshots":
        return place.parent.parent.name.rpartition("--")[2]
    return place.name


def _open_weights(path: Path) -> Weights:
    """Open safetensors, or a pickle of tensors, entering a ``state_dict`` at its top."""
    return open_safetensors(path)[0] if path.suffix == ".safetensors" else open_pickled(path)


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
