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
    motion_tokens,
)
from motionrt.export.readers.weights import read_json
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_folder

WEIGHTS_FILE = "model.safetensors"
CHAT_TEMPLATE = """\
{%- set ns = namespace(last_user=-1) -%}
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
      {%- set turn.answer = text.split('</think>')[-1] -%}
    {%- endif -%}
    {%- set turn.thought = turn.thought.strip('\\n') -%}
    {%- set turn.answer = turn.answer.lstrip('\\n') -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if loop.index0 > ns.last_user and (loop.last or turn.thought) -%}
      {{- '<think>\\n' + turn.thought + '\\n</think>\\n\\n' -}}
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
    raw = read_json(language.directory / "config.json")
    dtype = str(language.weights.load(EMBEDDING).dtype).removeprefix("torch.")
    types = {key: dtype for key in ("dtype", "torch_dtype") if key in raw}
    return {
        **raw,
        **(types or {"torch_dtype": dtype}),
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
    """Return the directory's tokenizer settings with the motion tokens, and the chat template."""
    path = language.directory / "tokenizer_config.json"
    found = read_json(path) if path.is_file() else {"tokenizer_class": "Qwen2Tokenizer"}
    template = found.pop("chat_template", None)
    beside = language.directory / "chat_template.jinja"
    if beside.is_file():
        template = beside.read_text("utf-8")
    if not isinstance(template, str):
        template = CHAT_TEMPLATE
    added = found.get("added_tokens_decoder")
    num_codes = language.num_motion_tokens - 3
    motion = {
        str(language.first_motion_id + i): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": False,
        }
        for i, token in enumerate(motion_tokens(num_codes))
    }
    found["added_tokens_decoder"] = {**(added if isinstance(added, dict) else {}), **motion}
    return found, template


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
