"""A Kimodo checkpoint directory, as released: config.yaml, weights, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motionrt.export.readers.checkpoint_folder import (
    MOST_BASE_STEPS,
    MOST_FPS,
    MOST_TEXT_TOKENS,
    choice,
    display_name,
    named_skeleton,
    open_config,
    open_weights,
    path_of,
    read_statistics,
    switch,
)
from motionrt.export.readers.config_values import positive_number, whole_number
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.models.kimodo import LOCAL_ROOT_WIDTH, ROOT_WIDTH, Kimodo, KimodoConfig, MotionStats
from motionrt.models.layers import ACTIVATIONS
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.sampling.guidance import NUM_WEIGHTS

SKELETONS = {
    "SOMASkeleton30": ("soma30", 30),
    "G1Skeleton34": ("g1", 34),
    "SMPLXSkeleton22": ("smplx22", 22),
    "CMUSkeleton22": ("cmu22", 22),
}
"""Last part of a config's skeleton target -> our skeleton's name, and its joints."""
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
    few_steps: int | None = None
    """Of ddim in one branch, where the denoiser knows no other way."""


def read_kimodo(folder: Path) -> KimodoCheckpoint:
    """Read a checkpoint directory; CheckpointError names the first thing that is wrong."""
    settings = open_config(folder, "a Kimodo")
    config_path = settings.path
    skeleton, num_joints = named_skeleton(settings, SKELETONS)
    config = _config(settings, num_joints)
    num_base_steps = whole_number(
        settings.find("num_base_steps"), f"{config_path}: num_base_steps", largest=MOST_BASE_STEPS
    )
    guidance = choice(settings, "cfg_type", tuple(NUM_WEIGHTS), "separated", empty="nocfg")
    stats = _read_stats(path_of(settings, "stats_path"), config)
    weights_path = path_of(settings, "ckpt_path")
    weights = open_weights(weights_path).renamed(lambda name: name.replace(_KEY_PREFIX, ""))
    for stage in ("root_model", "body_model"):
        weights.require_layers(
            f"{stage}.seqTransEncoder.layers.", config.num_layers, f"{config_path}: num_layers"
        )
    return KimodoCheckpoint(
        name=display_name(folder),
        model=weights.build(lambda: Kimodo(config, stats)),
        stats=stats,
        skeleton=skeleton,
        num_base_steps=num_base_steps,
        guidance_type=guidance,
        weights_path=weights_path,
        config_path=config_path,
    )


def _config(settings: InterpolatedYaml, num_joints: int) -> KimodoConfig:
    path = settings.path
    if settings.find("motion_mask_mode", "concat") != "concat":
        raise CheckpointError(f"{path}: only motion_mask_mode concat is known")
    text_shape = settings.find("llm_shape")
    if not isinstance(text_shape, list) or len(text_shape) != 2:
        raise CheckpointError(f"{path}: llm_shape must be [text tokens, text width]")

    def size(key: str) -> int:
        return whole_number(settings.find(key), f"{path}: {key}")

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
        activation=choice(settings, "activation", tuple(ACTIVATIONS), "gelu"),
        norm_first=switch(settings, "norm_first"),
        use_text_mask=switch(settings, "use_text_mask"),
        input_first_heading_angle=switch(settings, "input_first_heading_angle"),
        keep_held_root=switch(settings, "keep_held_root"),
    )
    if config.latent_dim % config.num_heads or config.latent_dim % 2:
        raise CheckpointError(
            f"{path}: latent_dim {config.latent_dim} must be even and a multiple of "
            f"num_heads {config.num_heads}"
        )
    return config


def _read_stats(folder: Path, config: KimodoConfig) -> MotionStats:
    widths = {
        "global_root": ROOT_WIDTH,
        "local_root": LOCAL_ROOT_WIDTH,
        "body": config.num_features - ROOT_WIDTH,
    }
    pairs = {
        part: (
            read_statistics(folder / part / "mean.npy", n),
            read_statistics(folder / part / "std.npy", n),
        )
        for part, n in widths.items()
    }
    return MotionStats(**pairs)
