"""A Kimodo checkpoint of the released SOMA size with random weights: what speed depends on.

python benchmarks/released_size.py FOLDER writes one (1.1 GB).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats

RELEASED = KimodoConfig(
    num_joints=30,
    fps=30.0,
    text_width=4096,
    num_text_tokens=50,
    latent_dim=1024,
    ff_size=2048,
    num_layers=16,
    num_heads=8,
)
"""283,281,777 parameters in two stages of 16 layers."""

CONFIG = """_target_: kimodo.model.Kimodo
num_base_steps: 1000
cfg_type: separated
denoiser:
  _target_: kimodo.model.twostage_denoiser.TwostageDenoiser
  ckpt_path: ${{checkpoint_dir}}/model.safetensors
  motion_mask_mode: concat
  motion_rep:
    _target_: kimodo.motion_rep.KimodoMotionRep
    fps: {fps}
    stats_path: ${{checkpoint_dir}}/stats/motion
    skeleton:
      _target_: kimodo.skeleton.SOMASkeleton30
  llm_shape: [1, {text_width}]
  num_text_tokens_override: {num_text_tokens}
  use_text_mask: {use_text_mask}
  latent_dim: {latent_dim}
  ff_size: {ff_size}
  num_layers: {num_layers}
  num_heads: {num_heads}
  activation: {activation}
  dropout: 0.1
  pe_dropout: 0.1
  norm_first: {norm_first}
  input_first_heading_angle: {input_first_heading_angle}
"""
"""Dropout is for training, but upstream's loader asks for both figures."""


def write_checkpoint(folder: Path, config: KimodoConfig = RELEASED, seed: int = 0) -> Path:
    """Write a checkpoint directory in the released layout; return it."""
    torch.manual_seed(seed)
    stats = MotionStats.identity(config)
    model = Kimodo(config, stats)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {key: str(value).lower() for key, value in vars(config).items()}
    (folder / "config.yaml").write_text(CONFIG.format(**settings))
    save_file(model.state_dict(), folder / "model.safetensors")
    for part, (mean, std) in vars(stats).items():
        place = folder / "stats" / "motion" / part
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / "mean.npy", mean.numpy())
        np.save(place / "std.npy", std.numpy())
    return folder


if __name__ == "__main__":
    print(write_checkpoint(Path(sys.argv[1])))
