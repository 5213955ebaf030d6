"""Read MotionGPT with a Qwen3: the training framework's checkpoint, its config, and a directory.

The directory is the language model's that it was trained from, in Hugging Face's layout. It has the
tokenizer, which is in none of the checkpoints; motion tokens stand behind its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer

from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.decoder_lm import decoder_config, expected_shapes
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.motion_vq import HUMANML_FEATURES, MotionVqCheckpoint, read_motion_vq
from motionrt.export.readers.safe_pickle import open_pickled
from motionrt.export.readers.statistics import read_row
from motionrt.export.readers.weights import Weights, open_checkpoint, open_safetensors, read_json
from motionrt.models.decoder_lm import DecoderConfig
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.language.sampling import LARGEST_TEMPERATURE

EXTRA_MOTION_TOKENS = 3
"""Start, end and mask follow the codes."""
LANGUAGE_PREFIX = "lm.language_model."
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_VQ_PREFIXES = ("vae.", "motion_vae.")
_IGNORED = ("_losses.", "metrics.")
_PARAMS = "model.params"
_TURN_TOKENS = {
    "turn_start_id": "<|im_start|>",
    "end_of_turn_id": "<|im_end|>",
    "end_of_text_id": "<|endoftext|>",
    "think_start_id": "<think>",
    "think_end_id": "</think>",
}
"""What a manifest calls the tokens of Qwen3's chat format."""
_LARGEST_SETTINGS = {
    "temperature": LARGEST_TEMPERATURE,
    "top_p": 1.0,
    "repetition_penalty": 1e3,
}
"""Of sampling, beside top_k."""


@dataclass(frozen=True)
class LanguageCheckpoint:
    """The language model: sizes, weights and a tokenizer that has the motion tokens."""

    directory: Path
    """Where its config and tokenizer were."""
    config: DecoderConfig
    weights: Weights
    """Named as Hugging Face names them, without a head where it is the embedding."""
    tokenizer: Tokenizer
    first_motion_id: int
    num_motion_tokens: int
    token_ids: Mapping[str, int]
    """Of the chat format, by their names in a manifest."""
    max_positions: int
    generation: Mapping[str, Any]
    """generation_config.json, empty if there is none."""
    sampling: Mapping[str, float]
    """What it states of how tokens are drawn, by the names of a manifest."""


@dataclass(frozen=True)
class MotionGptQwenCheckpoint:
    """What is exported; a checkpoint of the tokenizer alone has no language model."""

    name: str
    vq: MotionVqCheckpoint
    mean: NDArray[np.float32] | None
    """(263,) of HumanML3D's features; None where they were not given, or there are none."""
    std: NDArray[np.float32] | None
    language: LanguageCheckpoint | None
    is_partly_read: bool
    """It holds a language model, and nothing said where its config and tokenizer are."""
    fps: float
    enable_thinking: bool
    predict_ratio: float
    inbetween_ratio: float
    quota_ratio: float
    paths: tuple[Path, ...]
    """The files it came from."""


def read_motiongpt_qwen(
    vq: Path,
    language_model: Path | None = None,
    config: Path | None = None,
    base: Path | None = None,
    mean: Path | None = None,
    std: Path | None = None,
) -> MotionGptQwenCheckpoint:
    """Read a motion tokenizer and the language model that speaks its tokens.

    vq is a checkpoint of the training framework, which may hold the language model as well.
    language_model is a directory in Hugging Face's layout, or another such checkpoint, whose config
    and tokenizer are then those of the directory base. A directory whose tokenizer has no motion
    tokens is a base too: the weights are vq's. config is the training's YAML; without it the
    released settings hold. Nothing in a file is executed. CheckpointError, one line, for whatever
    does not fit.
    """
    settings = InterpolatedYaml(config) if config else None
    stored = _open(vq)
    tokenizer = read_motion_vq(_vq_weights(stored), settings)
    if (mean is None) != (std is None):
        raise InputError("give both --mean and --std, or neither")
    if mean is not None and tokenizer.representation != "humanml3d":
        raise InputError(f"{vq}: joint positions have no statistics; leave out --mean and --std")
    language, paths = None, [vq, *([config] if config else [])]
    speaks = any(name.startswith(LANGUAGE_PREFIX) for name in stored.shapes)
    if language_model is None and speaks:
        language_model = _named_base(settings)
    if language_model is not None:
        weights = stored if _language_names(stored) else None
        if not os.path.isdir(language_model):
            if not os.path.isfile(language_model):
                raise CheckpointError(f"{language_model}: no such directory or checkpoint")
            weights = _open(language_model)
            paths.append(language_model)
            base = base or _named_base(settings)
            if base is None:
                raise CheckpointError(
                    f"{language_model}: a checkpoint has no tokenizer; give --base, the directory "
                    "of the language model that was trained"
                )
        language = _read_language(
            language_model, base or language_model, weights, tokenizer.config.num_codes, settings
        )
    return MotionGptQwenCheckpoint(
        name=vq.stem,
        vq=tokenizer,
        mean=read_row(mean, HUMANML_FEATURES) if mean else None,
        std=read_row(std, HUMANML_FEATURES, positive=True) if std else None,
        language=language,
        is_partly_read=speaks and language is None,
        fps=_number(settings, "lm.params.framerate", 20.0),
        enable_thinking=_flag(settings, "lm.params.enable_thinking", False),
        predict_ratio=_number(settings, "lm.params.predict_ratio", 0.2),
        inbetween_ratio=_number(settings, "lm.params.inbetween_ratio", 0.25),
        quota_ratio=_number(settings, "lm.params.quota_ratio", 0.5),
        paths=tuple(paths),
    )


def motion_tokens(num_codes: int) -> list[str]:
    """Return the tokens of a codebook, those for start, end and mask behind the codes."""
    return [f"<motion_id_{i}>" for i in range(num_codes + EXTRA_MOTION_TOKENS)]


def _open(path: Path) -> Weights:
    return open_safetensors(path)[0] if path.suffix == ".safetensors" else open_pickled(path)


def _vq_weights(stored: Weights) -> Weights:
    """Return the tokenizer's tensors; CheckpointError for what belongs to nothing we know."""
    prefixed = any(name.startswith(_VQ_PREFIXES) for name in stored.shapes)

    def rename(name: str) -> str | None:
        for prefix in _VQ_PREFIXES if prefixed else ("",):
            if name.startswith(prefix):
                return name.removeprefix(prefix)
        if name.startswith((*_IGNORED, LANGUAGE_PREFIX)) or "Metrics" in name:
            return None
        return f"(outside of {_VQ_PREFIXES[0]}…) {name}"

    return stored.renamed(rename)


def _language_names(stored: Weights) -> bool:
    return LANGUAGE_PREFIX + EMBEDDING in stored.shapes


def _named_base(settings: InterpolatedYaml | None) -> Path | None:
    """Return the directory that a config names, if it lies beside it."""
    if settings is None:
        return None
    named = settings.get(f"{_PARAMS}.lm.params.model_path", None)
    if not isinstance(named, str) or not named or "\0" in named:
        return None
    place = settings.path.parent / named
    # Whatever a config names: a path that no system takes is none.
    return place if os.path.isfile(place / "config.json") else None


def _read_language(
    language_model: Path,
    place: Path,
    stored: Weights | None,
    num_codes: int,
    settings: InterpolatedYaml | None,
) -> LanguageCheckpoint:
    """Read the directory at place, and the weights from a checkpoint if they are there.

    They are the directory's own if it is what was given, and knows motion tokens.
    """
    kind = _setting(settings, "lm.params.new_token_type", "insert")
    if kind != "insert":
        raise CheckpointError(
            f"{settings.path if settings else place}: new_token_type is {told(kind)}; motion "
            "tokens are read where they are rows of the embedding (insert)"
        )
    path = place / "config.json"
    raw = read_json(path)
    config = decoder_config(raw, path, ("qwen3",))
    tokenizer = _tokenizer(place)
    tokens = motion_tokens(num_codes)
    extended = tokenizer.token_to_id(tokens[0]) is not None
    if not extended:
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    own = any((place / f"model.safetensors{end}").is_file() for end in ("", ".index.json"))
    if stored is not None and (place != language_model or not extended or not own):
        if not _language_names(stored):
            raise CheckpointError(f"{stored.place}: holds no language model ({LANGUAGE_PREFIX}…)")
        weights = stored.renamed(
            lambda name: (
                name.removeprefix(LANGUAGE_PREFIX) if name.startswith(LANGUAGE_PREFIX) else None
            )
        )
    else:
        weights = open_checkpoint(place)
    if EMBEDDING not in weights.shapes:
        raise CheckpointError(f"{weights.place}: missing {EMBEDDING}; it is no Qwen3")
    rows = weights.shapes[EMBEDDING][0] if weights.shapes[EMBEDDING] else 0
    first = _check_tokens(tokenizer, tokens, rows, place, weights.place, exact=not extended)
    config = _resized(config, rows, path)
    weights.require_layers("model.layers.", config.num_layers, f"{path}: num_hidden_layers")
    tied = bool(raw.get("tie_word_embeddings", False))
    expected = {f"model.{name}": shape for name, shape in expected_shapes(config).items()}
    head = {HEAD: expected[EMBEDDING]}
    if tied and HEAD in weights.shapes:
        weights.require({**expected, **head})
        if not torch.equal(weights.load(HEAD), weights.load(EMBEDDING)):
            raise CheckpointError(
                f"{weights.place}: {HEAD} differs from {EMBEDDING}, which {path} has it tied to"
            )
    spare = [HEAD] if tied else []
    generation = _optional_json(place / "generation_config.json")
    return LanguageCheckpoint(
        directory=place,
        config=config,
        weights=weights.require(expected if tied else {**expected, **head}, spare),
        tokenizer=tokenizer,
        first_motion_id=first,
        num_motion_tokens=len(tokens),
        token_ids={key: _token_id(tokenizer, token, place) for key, token in _TURN_TOKENS.items()},
        max_positions=whole_number(
            raw.get("max_position_embeddings", 32768), f"{path}: max_position_embeddings"
        ),
        generation=generation,
        sampling=_sampling(generation, place / "generation_config.json"),
    )


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _sampling(raw: Mapping[str, Any], path: Path) -> dict[str, float]:
    """Return the settings of sampling that are stated; CheckpointError for one that is none."""
    found: dict[str, float] = {}
    for key, largest in _LARGEST_SETTINGS.items():
        if raw.get(key) is not None:
            found[key] = positive_number(raw[key], f"{path}: {key}", largest)
    if raw.get("top_k") is not None:
        found["top_k"] = whole_number(raw["top_k"], f"{path}: top_k", 0)
    return found


def _tokenizer(place: Path) -> Tokenizer:
    path = place / "tokenizer.json"
    refuse_lfs_pointer(path, CheckpointError)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; it comes with the language model")
    try:
        made: Tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises Exception itself
        line = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: no tokenizer ({line})") from error
    return made


def _check_tokens(
    tokenizer: Tokenizer, tokens: list[str], rows: int, place: Path, weights: Path, exact: bool
) -> int:
    """Return the first motion token's id; CheckpointError unless the embedding has all of them.

    exact: the motion tokens were added here, so the embedding must have been made to fit.
    """
    ids = [tokenizer.token_to_id(token) for token in tokens]
    first = ids[0]
    wrong = [t for i, t in enumerate(tokens) if first is None or ids[i] != first + i]
    if first is None or wrong:
        raise CheckpointError(f"{place}: its tokenizer has no {wrong[0]} in its place")
    length = tokenizer.get_vocab_size(with_added_tokens=True)
    if rows < first + len(tokens) or (exact and rows != length):
        raise CheckpointError(
            f"{weights}: {EMBEDDING} has {rows} rows, the tokenizer of {place} with its "
            f"{len(tokens)} motion tokens {length}; give the directory that the model was trained "
            "from, or a model that was trained on motion"
        )
    return first


def _resized(config: DecoderConfig, rows: int, path: Path) -> DecoderConfig:
    """Return the config with as many tokens as the embedding has rows."""
    return replace(config, vocab_size=whole_number(rows, f"{path}: rows of the embedding"))


def _token_id(tokenizer: Tokenizer, token: str, place: Path) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise CheckpointError(f"{place}: its tokenizer has no {token}; it is no chat model's")
    return found


def _setting(settings: InterpolatedYaml | None, key: str, default: Any) -> Any:
    return default if settings is None else settings.get(f"{_PARAMS}.{key}", default)


def _number(settings: InterpolatedYaml | None, key: str, default: float) -> float:
    where = f"{settings.path if settings else ''}: {_PARAMS}.{key}"
    return positive_number(_setting(settings, key, default), where)


def _flag(settings: InterpolatedYaml | None, key: str, default: bool) -> bool:
    value = _setting(settings, key, default)
    if not isinstance(value, bool):
        where = f"{settings.path if settings else ''}: {_PARAMS}.{key}"
        raise CheckpointError(f"{where} is {told(value)}, should be true or false")
    return value
