from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from motiongpt3_checkpoint import CONFIG, LM, make_state, write_checkpoint

from motionrt.export.readers.motiongpt3 import MotionGpt3Checkpoint, read_motiongpt3
from motionrt.runtime.errors import CheckpointError


def read(checkpoint: Path) -> MotionGpt3Checkpoint:
    return read_motiongpt3(
        checkpoint, checkpoint.parent / "config.yaml", checkpoint.parent / "deps"
    )


def test_sizes_weights_and_side_files_are_read(tmp_path: Path) -> None:
    found = read(write_checkpoint(tmp_path))
    assert found.config == CONFIG
    assert found.guidance_scale == 2.0
    assert found.num_steps == 6
    assert found.wraps_holders
    assert found.end_of_text_id == 256
    assert found.std[0] == np.float32(0.2)
    model = found.language_motion_model()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, make_state()[name]), name


def test_a_motion_vae_alone_is_read(tmp_path: Path) -> None:
    state = {k: v for k, v in make_state().items() if k.startswith("vae.")}
    prefixed = {f"motion_{name}": tensor for name, tensor in state.items()}
    prefixed["denoiser.weight"] = torch.zeros(2)
    found = read(write_checkpoint(tmp_path, prefixed))
    assert found.config is None
    weights = found.motion_vae().state_dict()
    assert torch.equal(weights["final_layer.bias"], state["vae.final_layer.bias"])
    with pytest.raises(CheckpointError, match="no language model"):
        found.language_motion_model()


def test_a_null_condition_of_zeros_needs_no_tensor(tmp_path: Path) -> None:
    state = make_state()
    del state["lm.fake_latent"]
    found = read(write_checkpoint(tmp_path, state, lm_ablation__fake_latent_mode="all_zero"))
    assert found.config is not None
    assert found.config.has_null_condition
    assert not found.language_motion_model().lm.fake_latent.any()


def test_without_a_null_condition_guidance_is_off(tmp_path: Path) -> None:
    state = make_state()
    del state["lm.fake_latent"]
    found = read(write_checkpoint(tmp_path, state))
    assert found.config is not None
    assert not found.config.has_null_condition
    assert found.guidance_scale == 1.0


def test_a_table_that_is_not_tied_is_refused(tmp_path: Path) -> None:
    state = make_state()
    state[f"{LM}lm_head.weight"] = torch.zeros(259, 32)
    with pytest.raises(CheckpointError, match="tied"):
        read(write_checkpoint(tmp_path, state))


@pytest.mark.parametrize(
    "changes",
    [
        {"lm_ablation__with_hid_norm": True},
        {"lm_ablation__multi_hidden": False},
        {"lm_ablation__mot_factor": 0.5},
        {"lm_ablation__attention_mode": "first"},
        {"lm_ablation__motion_holder_seq_mode": "other"},
        {"lm_ablation__motion_holder_repeat": "four"},
        {"lm_ablation__motion_holder_repeat": -1},
        {"lm__diffloss__params__learn_sigma": True},
        {"vae__mldvae__params__num_layers": 4},
        {"vae__mldvae__params__num_heads": 3},
        {"vae__mldvae__params__latent_dim": [2, 16]},
        {"vae__mldvae__params__nfeats": 251},
        {"vae__mldvae__params__datatype": "kit"},
        {"vae__mldvae__params__ff_size": 48},
        {"ABLATION__MLP_DIST": True},
    ],
)
def test_configs_that_are_not_supported_are_one_line(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(write_checkpoint(tmp_path, **changes)).language_motion_model()
    assert "\n" not in str(caught.value)


def test_tensors_that_are_missing_or_strange_are_named(tmp_path: Path) -> None:
    state = make_state()
    state["lm.extra"] = torch.zeros(1)
    del state["vae.final_layer.bias"]
    with pytest.raises(CheckpointError, match=r"missing vae\.final_layer\.bias.*lm\.extra"):
        read(write_checkpoint(tmp_path, state)).language_motion_model()


def test_statistics_are_checked(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path)
    deps = tmp_path / "deps"
    np.save(deps / "Std.npy", np.zeros(263, np.float32))
    with pytest.raises(CheckpointError, match="no deviations"):
        read(checkpoint)
    np.save(deps / "Std.npy", np.ones(100, np.float32))
    with pytest.raises(CheckpointError, match="263"):
        read(checkpoint)
    (deps / "Std.npy").unlink()
    with pytest.raises(CheckpointError, match=r"no Mean\.npy and Std\.npy"):
        read(checkpoint)


def test_side_files_are_looked_for(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        read_motiongpt3(checkpoint, tmp_path / "config.yaml", tmp_path / "other")
    (tmp_path / "deps" / "mot-gpt2" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        read(checkpoint)
    (tmp_path / "deps" / "mot-gpt2" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="no folder mot-gpt2"):
        read(checkpoint)


def test_older_files_nest_the_state_dict(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    content["state_dict"] = {"state_dict": content["state_dict"]}
    torch.save(content, path)
    model = read(path).language_motion_model()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, make_state()[name]), name


@pytest.mark.parametrize(
    ("target", "scale"),
    [
        ("motGPT.data.HumanML3D.HumanML3DDataModule", 0.8457),
        ("motGPT.data.MotionX.MotionXDataModule", 0.7281),
        ("motionx", 0.7281),
        ("HumanML3D", 0.8457),
    ],
)
def test_upstreams_merged_configs_name_a_class_as_the_data(
    tmp_path: Path, target: str, scale: float
) -> None:
    path = write_checkpoint(
        tmp_path, DATASET__target=target, vae__mldvae__params__datatype="${DATASET.target}"
    )
    config = read(path).config
    assert config is not None and config.latent_scale == scale
