import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from motiongpt_qwen_checkpoint import (
    LM,
    NUM_BASE_TOKENS,
    QWEN,
    ROWS,
    language_state,
    make_settings,
    make_state,
    make_vq,
    write_base,
    write_checkpoint,
)
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer

from motionrt.export.readers.motiongpt_qwen import motion_tokens, read_motiongpt_qwen
from motionrt.models.motion_vq import MyoSkeletonVq
from motionrt.runtime.errors import CheckpointError, InputError


def refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises((CheckpointError, InputError)) as error:
        read_motiongpt_qwen(*arguments, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("representation", ["humanml3d", "myoskeleton"])
def test_one_file_holds_both_halves(tmp_path: Path, representation: str) -> None:
    path = write_checkpoint(tmp_path / "run", representation)
    read = read_motiongpt_qwen(path, config=path.parent / "config.yaml")
    assert read.vq.representation == representation
    vq, want = read.vq.module(), make_vq(representation)
    assert isinstance(vq, MyoSkeletonVq) == (representation == "myoskeleton")
    assert vq.config == want.config
    for name, tensor in want.state_dict().items():
        assert torch.equal(vq.state_dict()[name], tensor)
    language = read.language
    assert language is not None
    assert language.first_motion_id == NUM_BASE_TOKENS
    assert language.config.vocab_size == ROWS
    assert "lm_head.weight" not in language.weights.shapes  # it is the embedding
    assert language.tokenizer.token_to_id("<motion_id_514>") == ROWS - 1
    text = "<motion_id_512><motion_id_7><motion_id_513>"
    ids = language.tokenizer.encode(text, add_special_tokens=False).ids
    assert ids == [NUM_BASE_TOKENS + i for i in (512, 7, 513)]
    assert language.tokenizer.decode(ids, skip_special_tokens=True) == text
    assert language.token_ids["end_of_turn_id"] == 258
    assert read.enable_thinking
    assert read.fps == 20


def test_older_files_call_the_tokenizer_otherwise(tmp_path: Path) -> None:
    state = make_state("humanml3d", language=False)
    state = {name.replace("vae.", "motion_vae."): t for name, t in state.items()}
    state["motion_vae.quantizer.embedding.weight"] = state.pop("motion_vae.quantizer.codebook")
    path = write_checkpoint(tmp_path / "run", state=state)
    read = read_motiongpt_qwen(path)
    assert read.language is None
    codes = read.vq.module().quantizer.codebook
    assert torch.equal(codes, make_vq("humanml3d").quantizer.codebook)


def test_a_tokenizer_alone_may_have_no_prefix(tmp_path: Path) -> None:
    path = tmp_path / "vq.safetensors"
    save_file({k: t.contiguous() for k, t in make_vq("myoskeleton").state_dict().items()}, path)
    assert read_motiongpt_qwen(path).vq.representation == "myoskeleton"


def test_features_are_what_the_tensors_have(tmp_path: Path) -> None:
    state = make_state("myoskeleton", language=False)
    state["vae.encoder.input_proj.weight"] = torch.randn(16, 84)
    state["vae.decoder.output_proj.weight"] = torch.randn(84, 16)
    state["vae.decoder.output_proj.bias"] = torch.randn(84)
    path = write_checkpoint(tmp_path / "run", "myoskeleton", state)
    read = read_motiongpt_qwen(path, config=path.parent / "config.yaml")
    assert read.vq.config.num_features == 84
    state["vae.encoder.input_proj.weight"] = torch.randn(16, 81)
    path = write_checkpoint(tmp_path / "other", "myoskeleton", state)
    assert "81 features a frame; myoskeleton has 78 or 84" in refused(path)


def test_activation_dilation_and_norm_are_the_configs(tmp_path: Path) -> None:
    state = make_state("myoskeleton", language=False)
    path = write_checkpoint(tmp_path / "run", "myoskeleton", state)
    settings = make_settings("myoskeleton")
    params = settings["model"]["params"]["motion_vae"]["params"]
    params |= {"activation": "gelu", "dilation_growth_rate": 2}
    config = path.parent / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    read = read_motiongpt_qwen(path, config=config).vq.config
    assert (read.activation, read.dilation_growth) == ("gelu", 2)
    params["activation"] = "tanh"
    config.write_text(yaml.safe_dump(settings))
    assert "motion_vae.params.activation is 'tanh'" in refused(path, config=config)
    params |= {"activation": "relu", "dilation_growth_rate": 1000}
    config.write_text(yaml.safe_dump(settings))
    assert "dilation_growth_rate is 1000" in refused(path, config=config)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_are_told_by_their_tensors(tmp_path: Path, norm: str) -> None:
    from dataclasses import replace

    from motiongpt_qwen_checkpoint import MYO

    torch.manual_seed(0)
    vq = MyoSkeletonVq(replace(MYO, norm=norm))
    state = {f"vae.{name}": t for name, t in vq.state_dict().items()}
    if norm == "batch":  # written by a torch that does not count
        state = {name: t for name, t in state.items() if "num_batches" not in name}
    path = write_checkpoint(tmp_path / "run", "myoskeleton", state)
    if norm == "layer":
        assert "whether they are LN or GN" in refused(path)
    settings = make_settings("myoskeleton")
    settings["model"]["params"]["motion_vae"]["params"]["norm"] = norm
    (path.parent / "config.yaml").write_text(yaml.safe_dump(settings))
    read = read_motiongpt_qwen(path, config=path.parent / "config.yaml")
    ids = torch.arange(6).unsqueeze(0)
    torch.testing.assert_close(read.vq.module().decode(ids), vq.eval().decode(ids))


def test_a_config_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "run")
    settings = make_settings("humanml3d")
    settings["model"]["params"]["motion_vae"]["params"]["depth"] = 3
    config = path.parent / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert "depth is 3, the tensors have 2" in refused(path, config=config)
    config.write_text(yaml.safe_dump(make_settings("myoskeleton")))
    assert "the tensors are those of VQVae" in refused(path, config=config)


@pytest.mark.parametrize(
    ("name", "tensor", "told"),
    [
        ("vae.decoder.model.6.bias", None, "missing decoder.model.6.bias"),
        ("vae.decoder.model.6.bias", torch.zeros(9), "misshapen decoder.model.6.bias 9"),
        ("vae.mystery", torch.zeros(9), "unexpected mystery"),
        ("mystery", torch.zeros(9), "unexpected (outside of vae.…) mystery"),
        ("vae.quantizer.codebook", None, "missing quantizer.codebook"),
        ("vae.quantizer.codebook", torch.zeros(9), "misshapen quantizer.codebook 9"),
        ("vae.encoder.model.0.weight", torch.zeros(16, 90, 3), "90 features a frame"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, told: str
) -> None:
    state = make_state("humanml3d", language=False)
    state.pop(name, None)
    if tensor is not None:
        state[name] = tensor
    path = write_checkpoint(tmp_path / "run", state=state)
    with pytest.raises(CheckpointError) as error:
        read_motiongpt_qwen(path).vq.module()
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "tensor", "told"),
    [
        ("model.norm.weight", None, "missing model.norm.weight"),
        ("model.norm.weight", torch.zeros(3), "misshapen model.norm.weight 3 instead of 32"),
        ("model.extra.weight", torch.zeros(3), "unexpected model.extra.weight"),
        ("lm_head.weight", torch.zeros(ROWS, 32), "lm_head.weight differs from"),
        ("model.layers.1.mlp.up_proj.weight", None, "missing model.layers.1.mlp.up_proj"),
        ("model.embed_tokens.weight", torch.zeros(ROWS - 1, 32), f"has {ROWS - 1} rows"),
        ("model.embed_tokens.weight", torch.zeros(ROWS + 4, 32), f"has {ROWS + 4} rows"),
    ],
)
def test_tensors_of_the_language_model_are_named(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, told: str
) -> None:
    state = make_state("humanml3d")
    state.pop(LM + name, None)
    if tensor is not None:
        state[LM + name] = tensor
    path = write_checkpoint(tmp_path / "run", state=state)
    assert told in refused(path, path.parent / "base")


def write_trained(folder: Path, **changes: Any) -> Path:
    """Write a Hugging Face directory that knows motion tokens."""
    write_base(folder, vocab_size=ROWS, **changes)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in motion_tokens(512)])
    tokenizer.save(str(folder / "tokenizer.json"))
    state = language_state()
    if changes.get("tie_word_embeddings", True):
        del state["lm_head.weight"]
    else:
        state["lm_head.weight"] = state["lm_head.weight"] * 2
    save_file(state, folder / "model.safetensors")
    return folder


def test_a_directory_with_motion_tokens_has_the_weights(tmp_path: Path) -> None:
    place = write_trained(tmp_path / "trained")
    path = write_checkpoint(tmp_path / "run")  # holds another language model, which is not taken
    read = read_motiongpt_qwen(path, place).language
    assert read is not None
    assert read.first_motion_id == NUM_BASE_TOKENS
    want = language_state()["model.norm.weight"]
    assert torch.equal(read.weights.load("model.norm.weight"), want)
    assert read.weights.place == place / "model.safetensors"


def test_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    place = write_trained(tmp_path / "trained", tie_word_embeddings=False)
    path = write_checkpoint(tmp_path / "run", state=make_state("humanml3d", language=False))
    read = read_motiongpt_qwen(path, place).language
    assert read is not None
    head, table = (read.weights.load(n) for n in ("lm_head.weight", "model.embed_tokens.weight"))
    assert torch.equal(head, 2 * table)


def test_a_second_checkpoint_may_hold_the_language_model(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "vq", state=make_state("humanml3d", language=False))
    other = write_checkpoint(tmp_path / "lm")
    read = read_motiongpt_qwen(path, other, base=other.parent / "base")
    assert read.language is not None
    assert other in read.paths
    assert "give --base" in refused(path, other)


def test_a_base_that_was_never_trained_on_motion_is_no_model(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    state = language_state()
    save_file(
        {"model.embed_tokens.weight": state["lm_head.weight"][:320]}, base / "model.safetensors"
    )
    path = write_checkpoint(tmp_path / "run", state=make_state("humanml3d", language=False))
    assert f"has 320 rows, the tokenizer of {base} with its 515 motion tokens" in refused(
        path, base
    )


def test_a_base_may_have_the_motion_tokens_already(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "run")
    place = write_trained(tmp_path / "trained")
    (place / "model.safetensors").unlink()
    read = read_motiongpt_qwen(path, place).language
    assert read is not None
    assert read.weights.place == path


def test_both_dialects_of_the_rotary_settings_are_read(tmp_path: Path) -> None:
    raw = {key: value for key, value in QWEN.items() if key != "rope_theta"}
    raw["rope_parameters"] = {"rope_type": "default", "rope_theta": 1000000}
    path = write_checkpoint(tmp_path / "run")
    (path.parent / "base" / "config.json").write_text(json.dumps(raw))
    read = read_motiongpt_qwen(path, path.parent / "base").language
    assert read is not None
    assert read.config.rope_theta == 1e6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "t5"}, "model_type 't5', expected qwen3"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3"),
        ({"hidden_size": 64}, "misshapen"),
        ({"use_sliding_window": True, "sliding_window": 8}, "sliding-window"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = write_checkpoint(tmp_path / "run")
    base = path.parent / "base"
    (base / "config.json").write_text(json.dumps({**QWEN, **changes}))
    assert told in refused(path, base)


def test_a_foreign_tokenizer_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "run")
    file = path.parent / "base" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_tokens(["another"])
    tokenizer.save(str(file))
    assert f"has {ROWS} rows, the tokenizer of" in refused(path, path.parent / "base")
    tokenizer.add_tokens(["<motion_id_0>", "more", "<motion_id_1>"])
    tokenizer.save(str(file))
    assert "has no <motion_id_1> in its place" in refused(path, file.parent)


def test_the_helper_embedding_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "run")
    settings = make_settings("humanml3d")
    settings["model"]["params"]["lm"]["params"]["new_token_type"] = "mlp"
    config = path.parent / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert "new_token_type is 'mlp'" in refused(path, path.parent / "base", config)


@pytest.mark.parametrize("named", ["A" * 5000, "nul\0", "no/such/place", "", 7])
def test_a_config_that_names_no_place_gives_no_language_model(tmp_path: Path, named: Any) -> None:
    path = write_checkpoint(tmp_path / "run")
    settings = make_settings("humanml3d")
    settings["model"]["params"]["lm"]["params"]["model_path"] = named
    config = path.parent / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert read_motiongpt_qwen(path, config=config).language is None


def test_statistics_are_read_and_belong_to_humanml(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "run", state=make_state("humanml3d", language=False))
    mean, std = tmp_path / "mean.npy", tmp_path / "std.npy"
    np.save(mean, np.zeros(263, np.float32))
    np.save(std, np.ones(263))
    read = read_motiongpt_qwen(path, mean=mean, std=std)
    assert read.std is not None
    assert read.std.dtype == np.float32
    assert "give both" in refused(path, mean=mean)
    for value in (0.0, 1e-60, 1e60, np.nan):
        np.save(std, np.full(263, value))
        assert "no deviations" in refused(path, mean=mean, std=std)
    state = make_state("myoskeleton", language=False)
    myo = write_checkpoint(tmp_path / "myo", "myoskeleton", state)
    assert "have no statistics" in refused(myo, mean=mean, std=std)
