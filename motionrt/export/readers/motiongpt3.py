"""Read a MotionGPT3 checkpoint: the training framework's file, its config and its side files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.safe_pickle import open_pickled
from motionrt.export.readers.statistics import read_row
from motionrt.export.readers.weights import Weights, read_json
from motionrt.models.motion_vae import MotionVae, MotionVaeConfig
from motionrt.models.motiongpt3 import MotionGpt3, MotionGpt3Config
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import refuse_lfs_pointer

NUM_FEATURES = 263
"""Features a frame of HumanML3D, the representation that the released models speak."""
LATENT_SCALES = {"humanml3d": 0.8457, "motionx": 0.7281}
"""What latents are multiplied by for the language model: constants of the training code."""
_LANGUAGE_MODEL_FOLDER = "mot-gpt2"
_TIED = ("lm_head.weight", "pre_processors.0.weight", "post_processors.0.weight")
_TABLE = "lm.language_model.transformer.wte.weight"


@dataclass(frozen=True)
class MotionGpt3Checkpoint:
    """What is exported; a checkpoint of the motion VAE alone has no language model."""

    name: str
    config: MotionGpt3Config | None
    vae_config: MotionVaeConfig
    weights: Weights
    mean: NDArray[np.float32]
    """(263,) of the features, in their units."""
    std: NDArray[np.float32]
    tokenizer: Path | None
    """The language model's tokenizer.json, without the tokens that MotionGPT3 adds."""
    end_of_text_id: int
    fps: float
    wraps_holders: bool
    """Whether a prompt's holders stand between the tokens that start and end a motion."""
    guidance_scale: float
    num_steps: int
    paths: tuple[Path, ...]
    """The files it came from."""

    def language_motion_model(self) -> MotionGpt3:
        """Build the whole model and fill it; CheckpointError if there is no language model."""
        if self.config is None:
            raise CheckpointError(f"{self.weights.place}: holds a motion VAE, no language model")
        config = self.config
        return self.weights.build(lambda: MotionGpt3(config))

    def motion_vae(self) -> MotionVae:
        """Build the motion VAE alone and fill it."""
        weights = self.weights.renamed(lambda name: _after(name, "vae."))
        return weights.build(lambda: MotionVae(self.vae_config))


def read_motiongpt3(checkpoint: Path, config: Path, deps: Path) -> MotionGpt3Checkpoint:
    """Read a checkpoint file with its YAML config and the folder of its side files.

    deps holds Mean.npy and Std.npy of the data set and the folder mot-gpt2, with the language
    model's config.json and tokenizer.json; either may also lie beside the checkpoint or the config.
    Nothing in the checkpoint is executed. CheckpointError, one line, for whatever does not fit.
    """
    settings = InterpolatedYaml(config)
    weights = _select(open_pickled(checkpoint))
    places = _places(deps, checkpoint, config)
    mean, std = _read_stats(places)
    vae_config = _vae_config(settings, weights)
    lm_config, tokenizer, end_of_text_id = None, None, 0
    if _TABLE in weights.shapes:
        folder = _language_model_folder(places)
        language = read_json(folder / "config.json")
        lm_config = _config(settings, weights, language, folder / "config.json", vae_config)
        end_of_text_id = _integer(language, "eos_token_id", folder / "config.json")
        tokenizer = folder / "tokenizer.json"
        if not tokenizer.is_file():
            raise CheckpointError(f"{tokenizer}: no such file; it comes with the checkpoint")
        refuse_lfs_pointer(tokenizer, CheckpointError)
        if lm_config.has_null_condition and "lm.fake_latent" not in weights.shapes:
            weights = _with_zeros(weights, "lm.fake_latent", _null_shape(lm_config))
    guided = lm_config is not None and lm_config.has_null_condition
    return MotionGpt3Checkpoint(
        name=checkpoint.stem,
        config=lm_config,
        vae_config=vae_config,
        weights=weights,
        mean=mean,
        std=std,
        tokenizer=tokenizer,
        end_of_text_id=end_of_text_id,
        fps=_number(settings, "DATASET.HUMANML3D.FPS", 20.0),
        wraps_holders=_option(settings, "motion_holder_seq_mode", ("withse", "alone")) == "withse",
        guidance_scale=_number(settings, "model.params.guidance_scale", 1.0) if guided else 1.0,
        num_steps=_size(settings, "lm.diffloss.params.num_sampling_steps", 100),
        paths=(config, checkpoint),
    )


def _select(weights: Weights) -> Weights:
    """Keep the model's tensors, under the names that our modules have.

    Left out: evaluation networks and losses, and the three other names of the text token table,
    which must be that table.
    """
    if _TABLE in weights.shapes:
        table = weights.load(_TABLE)
        for name in _TIED:
            name = f"lm.language_model.{name}"
            if name in weights.shapes and not torch.equal(weights.load(name), table):
                raise CheckpointError(
                    f"{weights.place}: {name} differs from the token table it should be tied to"
                )

    def rename(name: str) -> str | None:
        if "Metrics" in name or "_losses" in name or name.endswith(_TIED):
            return None
        if name.startswith("motion_vae."):
            return name.removeprefix("motion_")
        # A checkpoint of the VAE alone may come with the model that it was first trained for.
        kept = name.startswith("vae.") or _TABLE in weights.shapes
        return name if kept and not name.startswith("metrics.") else None

    selected = weights.renamed(rename)
    if not any(name.startswith("vae.") for name in selected.shapes):
        raise CheckpointError(f"{weights.place}: holds no motion VAE (no tensor named vae.…)")
    return selected


def _vae_config(settings: InterpolatedYaml, weights: Weights) -> MotionVaeConfig:
    where = "vae.mldvae.params"
    for key, supported in (
        ("arch", "encoder_decoder"),
        ("normalize_before", False),
        ("activation", "gelu"),
        ("position_embedding", "learned"),
        ("ablation.MLP_DIST", False),
        ("ablation.PE_TYPE", "mld"),
    ):
        _require(settings, f"{where}.{key}", supported)
    latent_dim = settings.get(f"{where}.latent_dim")
    if not isinstance(latent_dim, list) or len(latent_dim) != 2 or latent_dim[0] != 1:
        raise CheckpointError(
            f"{settings.path}: {where}.latent_dim is {told(latent_dim)}, not [1, width]"
        )
    num_features = _size(settings, f"{where}.nfeats", NUM_FEATURES)
    if num_features != NUM_FEATURES:
        raise CheckpointError(
            f"{settings.path}: {num_features} features a frame; only HumanML3D's {NUM_FEATURES}"
        )
    made = MotionVaeConfig(
        num_features=num_features,
        latent_dim=whole_number(latent_dim[1], f"{settings.path}: {where}.latent_dim"),
        ff_size=_size(settings, f"{where}.ff_size"),
        num_layers=_size(settings, f"{where}.num_layers"),
        num_heads=_size(settings, f"{where}.num_heads"),
    )
    if made.num_layers % 2 == 0 or made.latent_dim % made.num_heads:
        raise CheckpointError(
            f"{settings.path}: {where} needs an odd num_layers, and a latent_dim that num_heads "
            f"divides; they are {made.num_layers}, {made.latent_dim} and {made.num_heads}"
        )
    for half in ("encoder", "decoder"):
        # Of the layers half lead to the middle one, half away from it.
        prefix, stated = f"vae.{half}.input_blocks.", made.num_layers // 2
        weights.require_layers(prefix, stated, f"{settings.path}: half of {where}.num_layers")
    return made


def _config(
    settings: InterpolatedYaml,
    weights: Weights,
    language: dict[str, Any],
    language_path: Path,
    vae_config: MotionVaeConfig,
) -> MotionGpt3Config:
    for key, supported in (
        ("with_hid_norm", False),
        ("multi_hidden", True),
        ("predict_epsilon", True),
        ("mot_factor", 1.0),
        ("attention_mode", "all"),
    ):
        _require(settings, f"lm_ablation.{key}", supported)
    _require(settings, "lm.diffloss.params.learn_sigma", False)
    _require(settings, "lm.diffloss.params.sigma_small", True)
    _require(settings, "lm.diffloss.params.noise_schedule", "scaled_linear")
    if language.get("activation_function", "gelu_new") != "gelu_new":
        raise CheckpointError(
            f"{language_path}: activation {told(language['activation_function'])}, only gelu_new "
            "is known"
        )
    # In upstream's merged configs it is a class's name, and the code asks for "motionx" in it.
    datatype = str(settings.get("vae.mldvae.params.datatype", "")).lower()
    data = "motionx" if "motionx" in datatype else "humanml3d"
    if re.search(r"\bkit", datatype):
        raise CheckpointError(
            f"{settings.path}: data type {told(datatype)}, not {', '.join(LATENT_SCALES)}"
        )
    scaled = bool(settings.get("lm_ablation.with_vae_latent_norm", True))
    guided = _number(settings, "lm_ablation.guidance_scale", 1.0) > 1
    zeros = guided and settings.get("lm_ablation.fake_latent_mode", "") == "all_zero"
    width = _integer(language, "n_embd", language_path, 1)
    num_heads = _integer(language, "n_head", language_path, 1)
    if width % num_heads:
        raise CheckpointError(f"{language_path}: n_head {num_heads} does not divide n_embd {width}")
    config = MotionGpt3Config(
        vocab_size=(*weights.shapes[_TABLE], 0)[0],
        num_positions=_integer(language, "n_positions", language_path, 1),
        width=width,
        num_layers=_integer(language, "n_layer", language_path, 1),
        num_heads=num_heads,
        ff_size=4 * width
        if language.get("n_inner") is None
        else _integer(language, "n_inner", language_path, 1),
        layer_norm_epsilon=positive_number(
            language.get("layer_norm_epsilon", 1e-5), f"{language_path}: layer_norm_epsilon"
        ),
        num_output_holders=_size(settings, "lm_ablation.motion_holder_repeat"),
        num_input_holders=_size(settings, "lm_ablation.holder_num_in_input"),
        head_width=_size(settings, "lm.diffloss.params.width"),
        head_depth=_size(settings, "lm.diffloss.params.depth"),
        has_null_condition="lm.fake_latent" in weights.shapes or zeros,
        latent_scale=LATENT_SCALES[data] if scaled else 1.0,
        vae=vae_config,
    )
    layers = "lm.language_model.transformer.h."
    weights.require_layers(layers, config.num_layers, f"{language_path}: n_layer")
    blocks = "lm.diffloss.net.res_blocks."
    where = f"{settings.path}: lm.diffloss.params.depth"
    weights.require_layers(blocks, config.head_depth, where)
    return config


def _places(deps: Path, checkpoint: Path, config: Path) -> list[Path]:
    if not deps.is_dir():
        raise CheckpointError(f"{deps}: no such folder; give the one that holds mot-gpt2")
    return list(dict.fromkeys((deps, checkpoint.parent, config.parent)))


def _language_model_folder(places: Iterable[Path]) -> Path:
    places = list(places)
    for place in places:
        for folder in (place / _LANGUAGE_MODEL_FOLDER, place / "deps" / _LANGUAGE_MODEL_FOLDER):
            if (folder / "config.json").is_file():
                return folder
    if (places[0] / "tokenizer.json").is_file():
        return places[0]
    raise CheckpointError(f"{places[0]}: no folder {_LANGUAGE_MODEL_FOLDER} with a config.json")


def _read_stats(places: Iterable[Path]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    places = list(places)
    for place in places:
        for folder in (place, place / "assets" / "meta", place / "meta"):
            for mean, std in (("Mean.npy", "Std.npy"), ("mean.npy", "std.npy")):
                if (folder / mean).is_file() and (folder / std).is_file():
                    return (
                        read_row(folder / mean, NUM_FEATURES),
                        read_row(folder / std, NUM_FEATURES, positive=True),
                    )
    raise CheckpointError(
        f"{places[0]}: no Mean.npy and Std.npy there or beside the checkpoint; "
        "they come with the HumanML3D data set"
    )


def _require(settings: InterpolatedYaml, key: str, supported: Any) -> None:
    value = settings.get(key, supported)
    if value != supported:
        raise CheckpointError(
            f"{settings.path}: {key} is {told(value)}, only {supported} is supported"
        )


def _option(settings: InterpolatedYaml, key: str, supported: tuple[str, ...]) -> str:
    value = str(settings.get(f"lm_ablation.{key}", supported[0]))
    if value not in supported:
        raise CheckpointError(
            f"{settings.path}: lm_ablation.{key} is {told(value)}, not {' or '.join(supported)}"
        )
    return value


def _number(settings: InterpolatedYaml, key: str, default: float | None = None) -> float:
    value = settings.get(key) if default is None else settings.get(key, default)
    return positive_number(value, f"{settings.path}: {key}")


def _size(settings: InterpolatedYaml, key: str, default: int | None = None) -> int:
    value = settings.get(key) if default is None else settings.get(key, default)
    return whole_number(value, f"{settings.path}: {key}")


def _integer(values: dict[str, Any], key: str, path: Path, smallest: int = 0) -> int:
    return whole_number(values.get(key), f"{path}: {key}", smallest)


def _null_shape(config: MotionGpt3Config) -> tuple[int, ...]:
    return (config.num_output_holders, config.width)


def _with_zeros(weights: Weights, name: str, shape: tuple[int, ...]) -> Weights:
    return Weights(
        weights.place,
        {**weights.shapes, name: shape},
        lambda wanted: torch.zeros(shape) if wanted == name else weights.load(wanted),
    )


def _after(name: str, prefix: str) -> str | None:
    return name.removeprefix(prefix) if name.startswith(prefix) else None
