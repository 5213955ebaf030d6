"""An ARDY checkpoint directory, as released: config.yaml, two files of weights, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from motionrt.export.readers.checkpoint_folder import (
    MOST_BASE_STEPS,
    MOST_FPS,
    MOST_TEXT_TOKENS,
    as_choice,
    as_switch,
    choice,
    display_name,
    named_skeleton,
    open_config,
    open_weights,
    path_of,
    read_statistics,
)
from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.models.ardy import (
    LOCAL_ROOT_WIDTH,
    ROOT_WIDTH,
    ArdyConfig,
    Denoiser,
    RootStats,
    Tokenizer,
    TransformerConfig,
)
from motionrt.models.layers import ACTIVATIONS
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.sampling.guidance import NUM_WEIGHTS

SKELETONS = {
    "CoreSkeleton27": ("core27", 27),
    "G1Skeleton34": ("g1", 34),
    "SOMASkeleton30": ("soma30", 30),
}
"""Last part of a config's skeleton target -> our skeleton's name, and its joints."""
POSITION_MODES = ("default", "learned_prefix_zero_at_first_generation")
FEATURE_MODE = ["body", "pose", "body", "root"]
"""What the tokenizer encodes and decodes, and what its decoder is told."""
MOST_LEVELS = 1 << 16


@dataclass(frozen=True)
class ArdyCheckpoint:
    """What a checkpoint directory holds."""

    name: str
    config: ArdyConfig
    denoiser: Denoiser
    tokenizer: Tokenizer
    feature_stats: tuple[Tensor, Tensor]
    """Mean and standard deviation of the features (D,), root first."""
    root_stats: RootStats
    latent_stats: tuple[Tensor, Tensor]
    """Of latents (latent_width,): after they are quantised, or as they are if none is."""
    levels: tuple[int, ...]
    """Of each number of a latent."""
    quantises: bool
    normalises: bool
    """Latents are given to the denoiser standardised."""
    skeleton: str
    horizon: int
    """Frames that a window generates."""
    num_base_steps: int
    guidance_type: str
    files: tuple[Path, ...]
    """What was read of it, weights and config."""


def read_ardy(folder: Path) -> ArdyCheckpoint:
    """Read a checkpoint directory; CheckpointError names the first thing that is wrong."""
    settings = open_config(folder, "an ARDY")
    place = settings.path
    skeleton, num_joints = named_skeleton(settings, SKELETONS)
    config = _config(settings, num_joints)
    horizon = whole_number(settings.find("gen_horizon_len"), f"{place}: gen_horizon_len")
    if horizon % config.frames_per_token:
        raise CheckpointError(
            f"{place}: gen_horizon_len {horizon} is no multiple of num_frames_per_token "
            f"{config.frames_per_token}"
        )
    num_base_steps = whole_number(
        settings.find("num_base_steps"), f"{place}: num_base_steps", largest=MOST_BASE_STEPS
    )
    guidance = choice(settings, "cfg_type", tuple(NUM_WEIGHTS), "regular", empty="nocfg")
    levels = _levels(settings, config.latent_width)
    quantises = _switch(settings, "autoencoder", "encode_with_quantization", True)
    normalises = _switch(settings, "autoencoder", "encode_with_normalization", True)

    denoiser_path = folder / path_of(settings, "denoiser.ckpt_path")
    tokenizer_path = folder / path_of(settings, "autoencoder.ckpt_path")
    feature_stats, root_stats = _motion_stats(folder / path_of(settings, "stats_path"), config)
    latent_folder = tokenizer_path.parent / "stats"
    latent_stats = {
        name: _pair(latent_folder / name, config.latent_width)
        for name in ("post_quantization", "pre_quantization")
    }
    denoiser = open_weights(denoiser_path).renamed(_denoiser_key)
    for stage in ("root_model", "body_model"):
        denoiser.require_layers(
            f"{stage}.seqTransEncoder.layers.",
            config.denoiser.num_layers,
            f"{place}: denoiser.num_layers",
        )
    tokenizer = open_weights(tokenizer_path).renamed(_tokenizer_key)
    for part in ("encoder", "decoder"):
        tokenizer.require_layers(
            f"{part}.seqTransEncoder.layers.",
            config.tokenizer.num_layers,
            f"{place}: autoencoder.num_layers",
        )
    return ArdyCheckpoint(
        name=display_name(folder),
        config=config,
        denoiser=denoiser.build(lambda: Denoiser(config, root_stats)),
        tokenizer=tokenizer.build(lambda: Tokenizer(config)),
        feature_stats=feature_stats,
        root_stats=root_stats,
        latent_stats=latent_stats["post_quantization" if quantises else "pre_quantization"],
        levels=levels,
        quantises=quantises,
        normalises=normalises,
        skeleton=skeleton,
        horizon=horizon,
        num_base_steps=num_base_steps,
        guidance_type=guidance,
        files=(place, denoiser_path, tokenizer_path),
    )


def _denoiser_key(name: str) -> str | None:
    if not name.startswith("denoiser"):
        return None
    return name.replace("denoiser.", "").replace("backbone.", "")


def _tokenizer_key(name: str) -> str | None:
    return name.removeprefix("pose_net.") if name.startswith("pose_net") else None


def _config(settings: InterpolatedYaml, num_joints: int) -> ArdyConfig:
    place = settings.path

    def size(section: str, key: str, **limits: Any) -> int:
        value = settings.find_in(section, key)
        return whole_number(value, f"{place}: {section}.{key}", **limits)

    mask_mode = settings.find_in("denoiser", "motion_mask_mode", None)
    if mask_mode not in (None, "concat"):
        raise CheckpointError(
            f"{place}: motion_mask_mode {told(mask_mode)} is unknown; known are concat and none"
        )
    text_shape = settings.find_in("denoiser", "llm_shape")
    if not isinstance(text_shape, list) or len(text_shape) != 2:
        raise CheckpointError(f"{place}: llm_shape must be [text tokens, text width]")
    positions = as_choice(
        settings,
        "positional_encoding_mode",
        settings.find_in("denoiser", "positional_encoding_mode", "default"),
        POSITION_MODES,
    )
    mode = settings.find_in("autoencoder", "feature_mode", FEATURE_MODE)
    if mode != FEATURE_MODE:
        raise CheckpointError(
            f"{place}: feature_mode {told(mode)} is unknown; known is {FEATURE_MODE}"
        )
    frames = size("denoiser", "num_frames_per_token", largest=1 << 10)
    latent = size("autoencoder", "num_fsq_levels")
    for section, key, wanted in (
        ("autoencoder", "num_frames_per_token", frames),
        ("denoiser", "latent_embedding_dim", latent),
        ("denoiser", "nframe_root_dim", ROOT_WIDTH * frames),
    ):
        if size(section, key) != wanted:
            raise CheckpointError(
                f"{place}: {section}.{key} is {size(section, key)}, by the rest of the config "
                f"it should be {wanted}"
            )
    config = ArdyConfig(
        num_joints=num_joints,
        fps=positive_number(settings.find("fps"), f"{place}: fps", MOST_FPS),
        frames_per_token=frames,
        latent_width=latent,
        denoiser=_transformer(settings, "denoiser"),
        tokenizer=_transformer(settings, "autoencoder"),
        text_width=whole_number(text_shape[1], f"{place}: llm_shape"),
        num_text_tokens=whole_number(
            text_shape[0], f"{place}: llm_shape", largest=MOST_TEXT_TOKENS
        ),
        use_text_mask=_switch(settings, "denoiser", "use_text_mask", False),
        input_first_heading_angle=_switch(settings, "denoiser", "input_first_heading_angle", False),
        learned_prefix=positions != "default",
        takes_constraints=mask_mode == "concat",
        causal_encoder=_switch(settings, "autoencoder", "causal_encoder", False),
        causal_decoder=_switch(settings, "autoencoder", "causal_decoder", False),
    )
    if config.tokenizer.latent_dim < frames:
        raise CheckpointError(
            f"{place}: autoencoder.latent_dim {config.tokenizer.latent_dim} is below "
            f"num_frames_per_token {frames}"
        )
    return config


def _transformer(settings: InterpolatedYaml, section: str) -> TransformerConfig:
    place = settings.path

    def size(key: str) -> int:
        return whole_number(settings.find_in(section, key), f"{place}: {section}.{key}")

    config = TransformerConfig(
        latent_dim=size("latent_dim"),
        ff_size=size("ff_size"),
        num_layers=size("num_layers"),
        num_heads=size("num_heads"),
        activation=as_choice(
            settings,
            f"{section}.activation",
            settings.find_in(section, "activation", "gelu"),
            tuple(ACTIVATIONS),
        ),
        norm_first=_switch(settings, section, "norm_first", False),
    )
    if config.latent_dim % config.num_heads or config.latent_dim % 2:
        raise CheckpointError(
            f"{place}: {section}.latent_dim {config.latent_dim} must be even and a multiple of "
            f"num_heads {config.num_heads}"
        )
    return config


def _switch(settings: InterpolatedYaml, section: str, key: str, default: bool) -> bool:
    value = settings.find_in(section, key, default)
    return as_switch(settings, f"{section}.{key}", value)


def _levels(settings: InterpolatedYaml, count: int) -> tuple[int, ...]:
    """Return the levels of each of a latent's numbers; one for all may be given."""
    given = settings.find_in("autoencoder", "fsq_level_list")
    listed = given if isinstance(given, list) else [given] * count
    what = f"{settings.path}: fsq_level_list"
    if len(listed) != count:
        raise CheckpointError(f"{what} has {len(listed)} entries for {count} levels")
    return tuple(whole_number(level, what, smallest=2, largest=MOST_LEVELS) for level in listed)


def _motion_stats(folder: Path, config: ArdyConfig) -> tuple[tuple[Tensor, Tensor], RootStats]:
    """Read the statistics of features and of the local root, which stand in one vector."""
    whole = _pair(folder, config.num_features + LOCAL_ROOT_WIDTH)
    body = ROOT_WIDTH + LOCAL_ROOT_WIDTH
    roots, locals_, features = [], [], []
    for vector in whole:
        root, local, rest = vector[:ROOT_WIDTH], vector[ROOT_WIDTH:body], vector[body:]
        roots.append(root)
        locals_.append(local)
        features.append(_joined(root, rest))
    root_stats = RootStats((roots[0], roots[1]), (locals_[0], locals_[1]))
    return (features[0], features[1]), root_stats


def _joined(root: Tensor, body: Tensor) -> Tensor:
    joined = root.new_empty(len(root) + len(body))
    joined[: len(root)], joined[len(root) :] = root, body
    return joined


def _pair(folder: Path, width: int) -> tuple[Tensor, Tensor]:
    mean, std = (read_statistics(folder / f"{name}.npy", width) for name in ("mean", "std"))
    return mean, std
