from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from places import GOLDEN
from safetensors.torch import load_file, save_file

from motionrt.export.readers.ardy import read_ardy
from motionrt.runtime.errors import CheckpointError

CHECKPOINTS = GOLDEN / "ardy" / "checkpoints"
G1 = CHECKPOINTS / "ARDY-G1-RP-25FPS-Horizon8"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(G1, tmp_path / G1.name))


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def test_sizes_weights_and_statistics_are_read() -> None:
    read = read_ardy(G1)
    assert (read.name, read.skeleton, read.horizon) == (G1.name, "g1", 8)
    assert (read.config.num_joints, read.config.fps, read.config.num_features) == (34, 25, 414)
    assert (read.num_base_steps, read.guidance_type) == (10, "separated")
    assert not read.denoiser.training and not read.tokenizer.training
    whole = np.load(G1 / "stats/motion/mean.npy").astype(np.float32)
    np.testing.assert_array_equal(read.feature_stats[0].numpy(), np.delete(whole, range(5, 9)))
    np.testing.assert_array_equal(read.root_stats.local_root[0].numpy(), whole[5:9])
    stored = load_file(G1 / "tokenizer.safetensors")
    state = read.tokenizer.state_dict()
    assert {f"pose_net.{name}" for name in state} == set(stored)
    stored = load_file(G1 / "denoiser.safetensors")
    for name, tensor in read.denoiser.state_dict().items():
        assert any(key.endswith(name) and torch.equal(stored[key], tensor) for key in stored)


def test_the_switches_that_no_released_model_has_are_read() -> None:
    config = read_ardy(CHECKPOINTS / "ardy-variant").config
    assert not config.learned_prefix and not config.input_first_heading_angle
    assert config.use_text_mask and config.num_text_tokens == 3
    assert config.causal_encoder and config.frames_per_token == 2
    assert config.denoiser.norm_first and config.denoiser.activation == "relu"


def test_weights_may_be_named_without_the_backbone(checkpoint: Path) -> None:
    want = read_ardy(checkpoint).denoiser.state_dict()
    path = checkpoint / "denoiser.safetensors"
    stored = load_file(path)
    save_file({name.replace("backbone.", ""): value for name, value in stored.items()}, path)
    for name, tensor in read_ardy(checkpoint).denoiser.state_dict().items():
        assert torch.equal(tensor, want[name])


def test_weights_may_be_a_pickle_with_a_state_dict(checkpoint: Path) -> None:
    want = read_ardy(checkpoint).tokenizer.state_dict()
    state = load_file(checkpoint / "tokenizer.safetensors")
    (checkpoint / "tokenizer.safetensors").unlink()
    torch.save({"state_dict": state}, checkpoint / "tokenizer.ckpt")
    path = checkpoint / "config.yaml"
    path.write_text(path.read_text().replace("tokenizer.safetensors", "tokenizer.ckpt"))
    for name, tensor in read_ardy(checkpoint).tokenizer.state_dict().items():
        assert torch.equal(tensor, want[name])


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (None, "gen_horizon_len", 10, "gen_horizon_len 10 is no multiple of .* 4"),
        (None, "num_base_steps", 0, "num_base_steps is 0, should be a whole number"),
        (None, "cfg_type", "loud", "cfg_type loud is unknown"),
        ("denoiser", "motion_mask_mode", "add", "motion_mask_mode 'add' is unknown"),
        ("denoiser", "llm_shape", [3], r"llm_shape must be \[text tokens, text width\]"),
        ("denoiser", "positional_encoding_mode", "rotary", "positional_encoding_mode rotary"),
        ("denoiser", "nframe_root_dim", 21, "nframe_root_dim is 21, .* it should be 20"),
        ("denoiser", "num_heads", 3, "multiple of num_heads 3"),
        ("denoiser", "num_layers", 1_000_000, r"denoiser\.safetensors has 2"),
        ("denoiser", "ff_size", 1_000_000, "misshapen .*instead of"),
        ("autoencoder", "num_layers", 3, r"tokenizer\.safetensors has 2"),
        ("autoencoder", "causal_decoder", "perhaps", "causal_decoder is 'perhaps', should be true"),
        ("autoencoder", "fsq_level_list", [16], r"fsq_level_list has 1 entries for \d+ levels"),
        (
            "autoencoder",
            "fsq_level_list",
            1,
            "fsq_level_list is 1, should be .* from 2",
        ),
        ("autoencoder", "feature_mode", ["pose"], "feature_mode .* is unknown"),
        ("autoencoder", "num_frames_per_token", 2, "num_frames_per_token is 2, .* should be 4"),
        ("autoencoder", "activation", "tanh", "autoencoder.activation tanh is unknown"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(
    checkpoint: Path, section: str | None, key: str, value: object, message: str
) -> None:
    change_config(checkpoint, lambda d: (d[section] if section else d).update({key: value}))
    with pytest.raises(CheckpointError, match=message) as refusal:
        read_ardy(checkpoint)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.yaml", "is this an ARDY checkpoint directory"),
        ("denoiser.safetensors", "denoiser.safetensors"),
        ("tokenizer.safetensors", "tokenizer.safetensors"),
        ("stats/motion/mean.npy", "stats/motion/mean.npy: missing"),
        ("stats/pre_quantization/std.npy", "stats/pre_quantization/std.npy: missing"),
    ],
)
def test_files_that_are_missing_are_named(checkpoint: Path, file: str, message: str) -> None:
    (checkpoint / file).unlink()
    with pytest.raises(CheckpointError, match=message):
        read_ardy(checkpoint)


def test_statistics_of_another_skeleton_are_refused(checkpoint: Path) -> None:
    np.save(checkpoint / "stats/motion/mean.npy", np.zeros(334))
    with pytest.raises(CheckpointError, match=r"shape \(334,\), should be \(418,\)"):
        read_ardy(checkpoint)
