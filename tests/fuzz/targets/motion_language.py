"""What `export motiongpt-qwen` reads: a checkpoint, and the files of the model it began with."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.mutators.archives import mutate_archive
from fuzz.mutators.arrays import mutate_npy, npy
from fuzz.mutators.havoc import havoc_text
from fuzz.mutators.safetensors import mutate_safetensors
from fuzz.mutators.trees import json_mutator, yaml_mutator
from fuzz.target import Mutator, Target

_IMPORTS = ("torch", "safetensors.torch", "yaml", "omegaconf", "tokenizers")
_SECRET = "hush-hush"
_WRITES = 8
"""One in so many inputs is written out as a directory for servers, which takes longer."""
_CHECKPOINT, _MEAN = "model.ckpt", "mean.npy"
_TEMPLATE = "{% for m in messages %}{{ m.role + m.content }}{% endfor %}"
_BESIDE: dict[str, Any] = {
    "generation_config.json": {
        "do_sample": True,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "repetition_penalty": 1.1,
        "eos_token_id": [258, 256],
    },
    "tokenizer_config.json": {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": [{"name": "default", "template": _TEMPLATE}],
        "added_tokens_decoder": {"256": {"content": "<|endoftext|>", "special": True}},
    },
}


@lru_cache(maxsize=2)
def _written(representation: str) -> dict[str, bytes]:
    """Write a small checkpoint once; return its files, by their names in its folder."""
    from motiongpt_qwen_checkpoint import make_vq, write_checkpoint
    from safetensors.torch import save

    with tempfile.TemporaryDirectory(prefix="motionrt-fuzz-") as name:
        folder = Path(name)
        write_checkpoint(folder, representation)
        for file, content in _BESIDE.items():
            (folder / "base" / file).write_text(json.dumps(content), "utf-8")
        (folder / "base" / "chat_template.jinja").write_text(_TEMPLATE, "utf-8")
        (folder / _MEAN).write_bytes(npy(np.zeros(263, np.float32)))
        (folder / "std.npy").write_bytes(npy(np.ones(263, np.float32)))
        state = make_vq(representation).state_dict()
        (folder / "vq.safetensors").write_bytes(save({n: t.contiguous() for n, t in state.items()}))
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _beside(representation: str, name: str) -> Callable[[Path], Path]:
    """Make what prepares a checkpoint in which one file is replaced."""

    def prepare(folder: Path) -> Path:
        os.environ["HOME"] = _SECRET
        for place, content in _written(representation).items():
            # The settings beside a template would not be looked at.
            if name.endswith("tokenizer_config.json") and place.endswith(".jinja"):
                continue
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        return folder / name

    return prepare


def _read(path: Path) -> None:
    """Read the checkpoint that a file belongs to, as the command does."""
    from motionrt.export.hugging_face import write_language_model
    from motionrt.export.readers.motiongpt_qwen import read_motiongpt_qwen

    folder = path.parent.parent if path.parent.name == "base" else path.parent
    given = path.read_bytes()
    chosen = zlib.crc32(given) % _WRITES == 0
    is_vq = path.name == "vq.safetensors"
    statistics = [folder / name if path.name == _MEAN else None for name in (_MEAN, "std.npy")]
    made = read_motiongpt_qwen(
        path if is_vq else folder / _CHECKPOINT,
        config=None if is_vq else folder / "config.yaml",
        mean=statistics[0],
        std=statistics[1],
    )
    assert _SECRET not in repr((made.name, made.paths, made.vq.config))
    if made.mean is not None:
        assert np.isfinite(made.mean).all()
    if chosen or is_vq:
        made.vq.module()
    # What is beside the weights is read when they are written.
    beside = path.name in ("tokenizer_config.json", "chat_template.jinja")
    if made.language is not None and (chosen or beside):
        target = folder / "written"
        shutil.rmtree(target, ignore_errors=True)
        write_language_model(target, made)
        names = {child.name for child in target.iterdir()}
        assert {"config.json", "tokenizer.json", "chat_template.jinja"} < names
        for child in target.glob("*.json"):
            json.loads(child.read_text("utf-8"))
        shutil.rmtree(target)


def _of(
    name: str, file: str, mutate: Mutator, representation: str = "humanml3d", **options: Any
) -> Target:
    return Target(
        name,
        _read,
        mutate,
        lambda: [_written(representation)[file]],
        Path(file).name,
        _beside(representation, file),
        _IMPORTS,
        **options,
    )


TARGETS = (
    _of("motion-vq-ckpt", _CHECKPOINT, mutate_archive),
    _of("myo-vq-safetensors", "vq.safetensors", mutate_safetensors, "myoskeleton"),
    _of("motion-vq-config", "config.yaml", yaml_mutator),
    _of("myo-vq-config", "config.yaml", yaml_mutator, "myoskeleton"),
    _of("motion-mean", _MEAN, mutate_npy),
    _of("motion-lm-config", "base/config.json", json_mutator()),
    _of("motion-lm-tokenizer", "base/tokenizer.json", json_mutator()),
    _of("generation-config", "base/generation_config.json", json_mutator()),
    _of("tokenizer-config", "base/tokenizer_config.json", json_mutator()),
    _of("chat-template", "base/chat_template.jinja", havoc_text),
)
