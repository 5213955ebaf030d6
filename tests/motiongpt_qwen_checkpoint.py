"""Write MotionGPT checkpoints with a Qwen3 of small random weights, as training leaves them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from byte_tokenizer import make_tokenizer
from parity.exported import export, scratch

from motionrt.export.readers.decoder_lm import decoder_config, expected_shapes
from motionrt.models.motion_vq import MotionVq, MotionVqConfig, MyoSkeletonVq

NUM_CODES = 512
NUM_BASE_TOKENS = 256 + 3 + 2
"""Bytes, the special tokens, and the marks around a thought."""
ROWS = NUM_BASE_TOKENS + NUM_CODES + 3
HUMANML = MotionVqConfig(263, 16, 12, NUM_CODES, 2, 2, 2, 3)
MYO = MotionVqConfig(78, 16, 16, NUM_CODES, 1, 2, 3, 3)
TARGETS = {"humanml3d": "mGPT.archs.mgpt_vq.VQVae", "myoskeleton": "a.b.MyoSkeletonVQVAE"}
LM = "lm.language_model."
QWEN = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "vocab_size": 320,
}


def make_vq(representation: str) -> MotionVq:
    """Return a tokenizer whose codes are apart enough to be told."""
    torch.manual_seed(3)
    made = MotionVq(HUMANML) if representation == "humanml3d" else MyoSkeletonVq(MYO)
    made.quantizer.codebook.normal_(std=0.3)
    return made.eval()


def language_state(prefix: str = "", **changes: Any) -> dict[str, torch.Tensor]:
    """Return a language model's tensors with the rows of its motion tokens, the head tied."""
    config = decoder_config({**QWEN, "vocab_size": ROWS, **changes}, Path("config.json"))
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, shape in expected_shapes(config).items():
        drawn = torch.randn(shape, generator=generator) * 0.2
        state[f"{prefix}model.{name}"] = drawn + 1 if "norm" in name else drawn
    state[f"{prefix}lm_head.weight"] = state[f"{prefix}model.embed_tokens.weight"]
    return state


def make_state(representation: str, language: bool = True) -> dict[str, torch.Tensor]:
    """Return a checkpoint's tensors, strangers among them."""
    state = {f"vae.{name}": t for name, t in make_vq(representation).state_dict().items()}
    if language:
        state |= language_state(LM)
    state["_losses.losses_train.total"] = torch.zeros(())
    state["metrics.TM2TMetrics.text.weight"] = torch.zeros(2, 2)
    return state


def make_settings(representation: str) -> dict[str, Any]:
    """Return the config of such a checkpoint."""
    config = HUMANML if representation == "humanml3d" else MYO
    params: dict[str, Any] = {
        "width": config.width,
        "code_dim": config.code_dim,
        "depth": config.depth,
        "down_t": 2,
        "stride_t": 2,
        "dilation_growth_rate": 3,
        "activation": "relu",
        "norm": "None",
        "nfeats": 84 if representation == "myoskeleton" else 263,
        "quantizer": "ema_reset",
        "code_num" if representation == "humanml3d" else "nb_code": NUM_CODES,
    }
    language = {
        "target": "mGPT.archs.mgpt_lm_qwen.QwenMLM",
        "params": {
            "model_path": "base",
            "framerate": 20,
            "enable_thinking": True,
            "new_token_type": "insert",
        },
    }
    vae = {"target": TARGETS[representation], "params": params}
    return {"model": {"params": {"codebook_size": NUM_CODES, "motion_vae": vae, "lm": language}}}


def write_base(folder: Path, **changes: Any) -> Path:
    """Write the directory that the language model was trained from: no weights, no motion."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**QWEN, **changes}))
    tokenizer = make_tokenizer("qwen3")
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_checkpoint(
    folder: Path, representation: str = "humanml3d", state: dict[str, Any] | None = None
) -> Path:
    """Write model.ckpt, config.yaml and base into a folder; return the checkpoint's path."""
    write_base(folder / "base")
    content = {"epoch": 3, "state_dict": make_state(representation) if state is None else state}
    torch.save(content, folder / "model.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(make_settings(representation)))
    return folder / "model.ckpt"


def tiny_bundle(representation: str = "humanml3d") -> Path:
    """Export the small checkpoint, once a test run."""
    return _exported(representation)  # a default is another key of a cache than its value


@lru_cache(maxsize=2)
def _exported(representation: str) -> Path:
    path = write_checkpoint(scratch() / f"qwen-{representation}", representation)
    return export("motiongpt-qwen", "--vq", str(path), "--quiet")
