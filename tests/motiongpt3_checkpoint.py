"""Write MotionGPT3 checkpoints with small random weights, in the released layout."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from byte_tokenizer import make_tokenizer
from parity.exported import export, scratch

from motionrt.models.motion_vae import MotionVaeConfig
from motionrt.models.motiongpt3 import MotionGpt3, MotionGpt3Config

CONFIG = MotionGpt3Config(
    vocab_size=259,
    num_positions=160,
    width=32,
    num_layers=2,
    num_heads=2,
    ff_size=128,
    layer_norm_epsilon=1e-5,
    num_output_holders=4,
    num_input_holders=4,
    head_width=64,
    head_depth=2,
    has_null_condition=True,
    latent_scale=0.8457,
    vae=MotionVaeConfig(num_features=263, latent_dim=16, ff_size=32, num_layers=3, num_heads=2),
)
LM = "lm.language_model."
TABLE_NAMES = ("lm_head.weight", "pre_processors.0.weight", "post_processors.0.weight")
"""What else the table of text tokens is called."""


class TrainerConfig:
    """A class of a training framework, which a checkpoint's pickle refers to."""

    def __init__(self) -> None:
        self.content = {"stage": "lm_pretrain"}


def make_model() -> MotionGpt3:
    torch.manual_seed(7)
    return MotionGpt3(CONFIG).eval()


def make_state() -> dict[str, torch.Tensor]:
    """Return the tensors as a checkpoint holds them: the tied table four times, and strangers."""
    state = dict(make_model().state_dict())
    table = state[f"{LM}transformer.wte.weight"]
    for name in TABLE_NAMES:
        state[LM + name] = table
    state["metrics.TM2TMetrics.text.weight"] = torch.zeros(2, 2)
    return state


def make_settings(**changes: Any) -> dict[str, Any]:
    """Return the config; changes name a key by its path, joined with two underscores."""
    settings: dict[str, Any] = {
        "lm_ablation": {
            "motion_holder_repeat": 4,
            "holder_num_in_input": 4,
            "motion_holder_seq_mode": "withse",
            "with_hid_norm": False,
            "with_vae_latent_norm": True,
            "multi_hidden": True,
            "guidance_scale": 3.0,
            "model_guidance_scale": 2.0,
            "predict_epsilon": True,
            "fake_latent_mode": "learnable_zero",
            "mot_factor": 1.0,
            "attention_mode": "all",
        },
        "ABLATION": {"MLP_DIST": False, "PE_TYPE": "mld"},
        "DATASET": {"NFEATS": 263, "HUMANML3D": {"FPS": 20}},
        "model": {"params": {"guidance_scale": "${lm_ablation.model_guidance_scale}"}},
        "vae": {
            "mldvae": {
                "params": {
                    "arch": "encoder_decoder",
                    "ff_size": 32,
                    "num_layers": 3,
                    "num_heads": 2,
                    "normalize_before": False,
                    "activation": "gelu",
                    "position_embedding": "learned",
                    "latent_dim": [1, 16],
                    "datatype": "humanml3d",
                    "nfeats": "${DATASET.NFEATS}",
                    "ablation": "${ABLATION}",
                }
            }
        },
        "lm": {
            "diffloss": {
                "params": {
                    "width": 64,
                    "depth": 2,
                    "num_sampling_steps": "6",
                    "noise_schedule": "scaled_linear",
                    "learn_sigma": False,
                    "sigma_small": True,
                }
            }
        },
        "unused": "${eval:'1 + 1'}",
    }
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = settings
        for name in sections:
            section = section[name]
        section[key] = value
    return settings


def write_checkpoint(folder: Path, state: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write model.ckpt, config.yaml and deps into a folder; return the checkpoint's path."""
    language = folder / "deps" / "mot-gpt2"
    language.mkdir(parents=True)
    content = {
        "epoch": 3,
        "state_dict": make_state() if state is None else state,
        "optimizer_states": [{"step": torch.zeros(3)}],
        "hyper_parameters": {"cfg": TrainerConfig()},
    }
    torch.save(content, folder / "model.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(make_settings(**changes)))
    language_config = (
        '{"n_embd": 32, "n_head": 2, "n_layer": 2, "n_positions": 160, "n_inner": null, '
        '"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "eos_token_id": 256}'
    )
    (language / "config.json").write_text(language_config)
    make_tokenizer("gpt2").save(str(language / "tokenizer.json"))
    generator = np.random.default_rng(0)
    np.save(folder / "deps" / "Mean.npy", generator.normal(size=263).astype(np.float32) * 0.1)
    np.save(folder / "deps" / "Std.npy", np.full(263, 0.2, np.float32))
    return folder / "model.ckpt"


@lru_cache(maxsize=1)
def tiny_bundle() -> Path:
    """Export the small checkpoint, once a test run."""
    folder = scratch() / "motiongpt3-checkpoint"
    return export("motiongpt3", str(write_checkpoint(folder)), "--quiet")
