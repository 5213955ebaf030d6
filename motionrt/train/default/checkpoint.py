"""The denoiser as a checkpoint directory in Kimodo's released layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from motionrt.models.kimodo import KimodoConfig, MotionStats
from motionrt.runtime.files import atomic_folder

NUM_BASE_STEPS = 1000
STATS_PARTS = ("global_root", "local_root", "body")


def write_kimodo_checkpoint(
    path: Path, config: KimodoConfig, stats: MotionStats, weights: Mapping[str, Tensor]
) -> None:
    """Write config.yaml, model.safetensors and stats/motion, replacing the folder at path."""
    # Here, so that who trains where there is torch alone can read the constants above.
    import yaml
    from safetensors.torch import save

    document = {
        "_target_": "kimodo.model.Kimodo",
        "num_base_steps": NUM_BASE_STEPS,
        "cfg_type": "separated",
        "denoiser": {
            "_target_": "kimodo.model.twostage_denoiser.TwostageDenoiser",
            "ckpt_path": "${checkpoint_dir}/model.safetensors",
            "motion_mask_mode": "concat",
            "motion_rep": {
                "_target_": "kimodo.motion_rep.KimodoMotionRep",
                "fps": config.fps if config.fps % 1 else int(config.fps),
                "stats_path": "${checkpoint_dir}/stats/motion",
                "skeleton": {"_target_": "motionrt.skeleton.CMUSkeleton22"},
            },
            "llm_shape": [1, config.text_width],
            "use_text_mask": config.use_text_mask,
            "latent_dim": config.latent_dim,
            "ff_size": config.ff_size,
            "num_layers": config.num_layers,
            "num_heads": config.num_heads,
            "activation": config.activation,
            "dropout": 0.0,
            "pe_dropout": 0.0,
            "norm_first": config.norm_first,
            "num_text_tokens_override": config.num_text_tokens,
            "input_first_heading_angle": config.input_first_heading_angle,
            "keep_held_root": config.keep_held_root,
        },
    }
    with atomic_folder(path, replace=True) as folder:
        (folder / "config.yaml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        tensors = {name: value.detach().float().cpu() for name, value in weights.items()}
        content = save({n: t.contiguous() for n, t in tensors.items()})
        (folder / "model.safetensors").write_bytes(content)
        for part in STATS_PARTS:
            place = folder / "stats" / "motion" / part
            place.mkdir(parents=True)
            mean, std = getattr(stats, part)
            np.save(place / "mean.npy", mean.cpu().numpy())
            np.save(place / "std.npy", std.cpu().numpy())
