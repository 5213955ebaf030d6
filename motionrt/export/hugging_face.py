"""Write a language model as the directory that transformers, vLLM and SGLang load.

A checkpoint of the training framework is none: it has no config, no tokenizer with the motion
tokens, and its tensors have other names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from motionrt.export.readers.motiongpt_qwen import (
    EMBEDDING,
    LanguageCheckpoint,
    MotionGptQwenCheckpoint,
)
from motionrt.export.readers.weights import read_json
from motionrt.runtime.errors import CheckpointError, InputError, one_line
from motionrt.runtime.files import atomic_folder, refuse_lfs_pointer

WEIGHTS_FILE = "model.safetensors"
_FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")
"""Of a token that was added to a vocabulary."""
_LEFT_OUT = ("auto_map", "quantization_config")
CHAT_TEMPLATE = """\
{%- set ns = namespace(last_user=messages|length - 1) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}{%- set ns.last_user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
  {%- set text = message.content if message.content is string else '' -%}
  {%- if message.role != 'assistant' -%}
    {{- '<|im_start|>' + message.role + '\\n' + text + '<|im_end|>\\n' -}}
  {%- else -%}
    {%- set turn = namespace(thought='', answer=text) -%}
    {%- if message.reasoning_content is string -%}
      {%- set turn.thought = message.reasoning_content -%}
    {%- elif '</think>' in text -%}
      {%- set turn.thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1] -%}
      {%- set turn.thought = turn.thought.lstrip('\\n') -%}
      {%- set turn.answer = text.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if loop.index0 > ns.last_user and (loop.last or turn.thought) -%}
      {{- '<think>\\n' + turn.thought.strip('\\n') + '\\n</think>\\n\\n' -}}
      {%- set turn.answer = turn.answer.lstrip('\\n') -%}
    {%- endif -%}
    {{- turn.answer + '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\\n' -}}
  {%- if enable_thinking is defined and enable_thinking is false -%}
    {{- '<think>\\n\\n</think>\\n\\n' -}}
  {%- endif -%}
{%- endif -%}
"""
"""Qwen3's chat format without tools, for a base directory that states none."""


def write_language_model(
    folder: Path, checkpoint: MotionGptQwenCheckpoint, replace: bool = False
) -> None:
    """Write a checkpoint's language model into folder; replace allows one that is there.

    The weights keep their element type. InputError if there is no language model, or the place is
    taken by something else.
    """
    language = checkpoint.language
    if language is None:
        raise InputError(f"{checkpoint.name}: holds no language model to write (give --lm)")
    known = (folder / "config.json").is_file() and (folder / WEIGHTS_FILE).is_file()
    if folder.exists() and replace and not known:
        raise InputError(f"{folder}: is no directory of a language model, so it is not replaced")
    with atomic_folder(folder, replace=replace) as temporary:
        _write_json(temporary / "config.json", _config(language))
        _write_json(temporary / "generation_config.json", _generation(language))
        tokenizer, template = _tokenizer_config(language)
        _write_json(temporary / "tokenizer_config.json", tokenizer)
        (temporary / "chat_template.jinja").write_text(template, "utf-8")
        language.tokenizer.save(str(temporary / "tokenizer.json"), pretty=False)
        weights = language.weights
        # Tensors are mapped from where they are stored: none of them is held.
        tensors = {name: weights.load(name).contiguous() for name in weights.shapes}
        save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / WEIGHTS_FILE).chmod(0o644)


def _config(language: LanguageCheckpoint) -> dict[str, Any]:
    """Return the directory's config with the rows that the embedding has now.

    Libraries from before transformers 5 read rope_theta alone, and take 10000 where it is missing.
    """
    raw = _own(read_json(language.directory / "config.json"))
    dtype = str(language.weights.load(EMBEDDING).dtype).removeprefix("torch.")
    types = [key for key in ("dtype", "torch_dtype") if key in raw] or ["torch_dtype"]
    return {
        **raw,
        **dict.fromkeys(types, dtype),
        "architectures": ["Qwen3ForCausalLM"],
        "vocab_size": language.config.vocab_size,
        "rope_theta": language.config.rope_theta,
        "eos_token_id": language.token_ids["end_of_turn_id"],
    }


def _generation(language: LanguageCheckpoint) -> dict[str, Any]:
    """Return the directory's generation settings, or the ones that motions are made with."""
    defaults = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}
    return {
        "eos_token_id": language.token_ids["end_of_turn_id"],
        "pad_token_id": language.token_ids["end_of_text_id"],
        **(language.generation or defaults),
    }


def _tokenizer_config(language: LanguageCheckpoint) -> tuple[dict[str, Any], str]:
    """Return the directory's tokenizer settings with all added tokens, and the chat template."""
    path = language.directory / "tokenizer_config.json"
    found: dict[str, Any] = {"tokenizer_class": "Qwen2Tokenizer"}
    if path.is_file():
        found = _own(read_json(path))
    template = _chat_template(found.pop("chat_template", None), language.directory)
    # What is not listed gets another id: transformers adds it again, behind all others.
    added = sorted(language.tokenizer.get_added_tokens_decoder().items())
    found["added_tokens_decoder"] = {
        str(token_id): {"content": token.content, **{key: getattr(token, key) for key in _FLAGS}}
        for token_id, token in added
    }
    return found, template


def _chat_template(stated: Any, place: Path) -> str:
    """Return the directory's chat template, from its file or settings; ours if it has none."""
    path = place / "chat_template.jinja"
    if path.is_file():
        refuse_lfs_pointer(path, CheckpointError)
        try:
            return path.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read as text ({one_line(error)})") from None
    if isinstance(stated, list):  # several by name
        named = {t.get("name"): t.get("template") for t in stated if _has_name(t)}
        stated = named.get("default")
    return stated if isinstance(stated, str) and _can_be_written(stated) else CHAT_TEMPLATE


def _has_name(template: Any) -> bool:
    return isinstance(template, dict) and isinstance(template.get("name"), str)


def _can_be_written(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a letter, written as an escape
        return False
    return True


def _own(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a directory's settings without those that name code to run, or other weights."""
    return {key: value for key, value in settings.items() if key not in _LEFT_OUT}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    try:
        text = json.dumps(values, indent=2)
    except RecursionError:
        raise CheckpointError(f"{path.name} of the language model is nested too deep") from None
    path.write_text(text + "\n", "utf-8")
