from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.errors import CheckpointError


@pytest.fixture
def checkpoint(smplx_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(smplx_checkpoint, tmp_path / "Kimodo-SMPLX-RP-v1"))


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def test_sizes_weights_and_statistics_are_read(smplx_checkpoint: Path) -> None:
    read = read_kimodo(smplx_checkpoint)
    assert (read.name, read.skeleton) == ("Kimodo-SMPLX-RP-v1", "smplx22")
    assert read.model.config.num_joints == 22 and read.model.config.fps == 30
    assert not read.model.training and read.num_base_steps == 1000
    stored = load_file(smplx_checkpoint / "model.safetensors")
    name, tensor = next(iter(read.model.root_model.state_dict().items()))
    assert any(key.endswith(name) and torch.equal(stored[key], tensor) for key in stored)
    std = np.load(smplx_checkpoint / "stats" / "motion" / "body" / "std.npy")
    np.testing.assert_array_equal(read.stats.body[1].numpy(), std.astype(np.float32))


def test_a_snapshot_of_the_hub_has_its_repositorys_name(checkpoint: Path, tmp_path: Path) -> None:
    place = tmp_path / "models--nvidia--Kimodo-G1" / "snapshots" / "0123abc"
    place.parent.mkdir(parents=True)
    checkpoint.rename(place)
    assert read_kimodo(place).name == "Kimodo-G1"


def test_weights_may_be_a_pickle_with_a_state_dict(checkpoint: Path) -> None:
    want = read_kimodo(checkpoint).model.state_dict()
    state = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save({"state_dict": state, "epoch": 3}, checkpoint / "model.ckpt")
    path = checkpoint / "config.yaml"
    path.write_text(path.read_text().replace("model.safetensors", "model.ckpt"))
    for name, tensor in read_kimodo(checkpoint).model.state_dict().items():
        assert torch.equal(tensor, want[name])


def find(tree: Any, key: str) -> dict[str, Any]:
    """The innermost dictionary that has a key."""
    if isinstance(tree, dict):
        if key in tree:
            return tree
        for value in tree.values():
            if found := find(value, key):
                return found
    return {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "skeleton",
            {"_target_": "kimodo.skeleton.DogSkeleton"},
            "skeleton DogSkeleton is unknown",
        ),
        ("motion_mask_mode", "add", "only motion_mask_mode concat"),
        ("llm_shape", [3], r"llm_shape must be \[text tokens, text width\]"),
        ("llm_shape", [1, 0], "llm_shape is 0"),
        ("fps", -1, "fps is -1, should be a number above 0"),
        ("fps", float("inf"), "fps is inf, should be a number above 0 and at most 1000"),
        ("num_layers", float("inf"), "num_layers is inf, should be a whole number"),
        ("num_layers", 2.5, "num_layers is 2.5, should be a whole number"),
        ("num_layers", True, "num_layers is True"),
        ("num_layers", 10**400, "num_layers is a number of more than 40 digits"),
        ("num_layers", 100_000_000, "num_layers is 100000000, should be a whole number from 1 to"),
        ("num_layers", 1_000_000, r"num_layers is 1000000, .*model\.safetensors has 2"),
        ("latent_dim", 1_000_000, "misshapen .*instead of"),
        ("ff_size", 1_000_000, "misshapen .*instead of"),
        ("num_base_steps", 1e9, "num_base_steps is 1000000000.0, should be a whole number from 1"),
        ("num_text_tokens_override", 10**9, "num_text_tokens_override is 1000000000"),
        ("norm_first", "yes please", "norm_first is 'yes please', should be true or false"),
        ("ckpt_path", 5, "ckpt_path is 5, should be a path"),
        ("ckpt_path", "a\0b", "ckpt_path is .*, should be a path"),
        ("stats_path", 1e400, "stats_path is inf, should be a path"),
        ("stats_path", ["a"], "stats_path is .*, should be a path"),
        ("cfg_type", {"a": 1}, "cfg_type {'a': 1} is unknown"),
        ("num_layers", "two", "num_layers is 'two'"),
        ("num_heads", 3, "multiple of num_heads 3"),
        ("cfg_type", "loud", "cfg_type loud is unknown"),
        ("activation", "tanh", "activation tanh is unknown; known are gelu, relu"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(
    checkpoint: Path, key: str, value: object, message: str
) -> None:
    change_config(checkpoint, lambda d: (find(d, key) or d).update({key: value}))
    with pytest.raises(CheckpointError, match=message) as refusal:
        read_kimodo(checkpoint)
    assert "\n" not in str(refusal.value)
    assert "config.yaml" in str(refusal.value) or "model.safetensors: misshapen" in str(
        refusal.value
    )


def test_files_that_are_missing_or_damaged_are_named(checkpoint: Path) -> None:
    mean = checkpoint / "stats" / "motion" / "body" / "mean.npy"
    whole = np.load(mean)
    for array, message in (
        (whole[:-1], r"mean\.npy: shape .*, should be"),
        (np.where(np.arange(len(whole)) == 3, np.nan, whole), r"mean\.npy: not all numbers"),
    ):
        np.save(mean, array)
        with pytest.raises(CheckpointError, match=message):
            read_kimodo(checkpoint)
    mean.write_bytes(b"\x93NUMPY")
    with pytest.raises(CheckpointError, match=r"mean\.npy: damaged"):
        read_kimodo(checkpoint)
    mean.unlink()
    with pytest.raises(CheckpointError, match=r"mean\.npy: missing"):
        read_kimodo(checkpoint)
    np.save(mean, whole)
    state = load_file(checkpoint / "model.safetensors")
    name = next(iter(state))
    del state[name]
    save_file(state, checkpoint / "model.safetensors")
    with pytest.raises(CheckpointError, match="missing"):
        read_kimodo(checkpoint)
    (checkpoint / "config.yaml").write_text("{")
    with pytest.raises(CheckpointError, match="no YAML config"):
        read_kimodo(checkpoint)
    (checkpoint / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match="is this a Kimodo checkpoint directory"):
        read_kimodo(checkpoint)
    with pytest.raises(CheckpointError, match="no such checkpoint directory"):
        read_kimodo(checkpoint / "none")
