"""What sentence-transformers notes beside an encoder: pooling, normalisation, prompt, length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionrt.export.readers.config_values import told
from motionrt.export.readers.decoder_lm import config_count
from motionrt.export.readers.weights import read_json, read_json_list
from motionrt.runtime.errors import CheckpointError

SENTENCE_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first_token",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last_token",
}
"""What 1_Pooling/config.json may say, and our name for it."""
_MODULES = ("Transformer", "Pooling", "Normalize")
"""Those of modules.json that a text encoder here has."""


@dataclass(frozen=True)
class SentenceSettings:
    """What is stated; None or empty where nothing is."""

    pooling: str | None
    """One of ``pooling.POOLINGS``."""
    normalise: bool
    max_tokens: int | None
    prompt: str
    """What is put in front of every text."""
    pool_prompt: bool
    """The prompt's tokens are pooled with the text's."""


def read_sentence_settings(directory: Path) -> SentenceSettings:
    """Read the settings beside an encoder.

    CheckpointError names, on one line, what has no counterpart here.
    """
    kinds: list[str] = []
    modules = directory / "modules.json"
    if modules.is_file():
        for module in read_json_list(modules):
            kind = str(module.get("type") if isinstance(module, dict) else module)
            kinds.append(kind.rpartition(".")[2])
        strange = [kind for kind in kinds if kind not in _MODULES]
        if strange:
            raise CheckpointError(
                f"{modules}: {told(strange[0])} behind the encoder is not read "
                f"(only {', '.join(_MODULES)})"
            )
    pooling, pool_prompt = _pooling(directory / "1_Pooling" / "config.json")
    length = directory / "sentence_bert_config.json"
    stated: dict[str, Any] = read_json(length) if length.is_file() else {}
    has_length = stated.get("max_seq_length") is not None
    return SentenceSettings(
        pooling=pooling,
        normalise="Normalize" in kinds or (directory / "2_Normalize").is_dir(),
        max_tokens=config_count(stated, "max_seq_length", length) if has_length else None,
        prompt=_prompt(directory / "config_sentence_transformers.json"),
        pool_prompt=pool_prompt,
    )


def _pooling(path: Path) -> tuple[str | None, bool]:
    if not path.is_file():
        return None, True
    raw = read_json(path)
    chosen = [key for key, value in raw.items() if key.startswith("pooling_mode") and value is True]
    if len(chosen) != 1 or chosen[0] not in SENTENCE_POOLINGS:
        raise CheckpointError(f"{path}: pooling {', '.join(chosen) or 'none'} is not supported")
    return SENTENCE_POOLINGS[chosen[0]], raw.get("include_prompt", True) is not False


def _prompt(path: Path) -> str:
    """Return the prompt that is used where none is asked for."""
    raw = read_json(path) if path.is_file() else {}
    name, prompts = raw.get("default_prompt_name"), raw.get("prompts")
    if name is None:
        return ""
    found = prompts.get(name) if isinstance(prompts, dict) else None
    if not isinstance(found, str):
        raise CheckpointError(f"{path}: default_prompt_name {told(name)} is none of its prompts")
    return found
