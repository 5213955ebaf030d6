import json
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run
from motiongpt_qwen_checkpoint import (
    LM,
    NUM_BASE_TOKENS,
    ROWS,
    make_state,
    tiny_bundle,
    write_checkpoint,
)
from parity.exported import scratch
from safetensors.torch import load_file

from motionrt.export.hugging_face import CHAT_TEMPLATE, write_language_model
from motionrt.export.readers.motiongpt_qwen import MotionGptQwenCheckpoint, read_motiongpt_qwen
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.motiongpt_qwen.chat import Message, render
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
from motionrt.runtime.pipeline import load

TEMPLATE = "{{ messages[0].content }}"
CONVERSATIONS = (
    [Message("user", "walk")],
    [Message("system", "Be brief."), Message("user", "walk")],
    [
        Message("user", "walk"),
        Message("assistant", "<think>\nslow\n\n</think>\n\n<motion_id_512><motion_id_513>"),
        Message("user", "faster"),
        Message("assistant", "\ndone"),
        Message("assistant", "\nreally", "\nfast\n"),
        Message("user", "jump"),
    ],
    [Message("user", "walk"), Message("assistant", "\n\ndone")],
    [Message("user", "walk"), Message("assistant", "a</think>b<think>c</think>\n\nd")],
    [Message("user", "walk"), Message("assistant", "\none"), Message("assistant", "two", "so")],
    [Message("system", "x"), Message("assistant", "<think>a</think>b"), Message("assistant", "c")],
)


def read(folder: Path) -> MotionGptQwenCheckpoint:
    return read_motiongpt_qwen(folder / "model.ckpt", config=folder / "config.yaml")


@lru_cache(maxsize=1)
def written() -> Path:
    """Write the language model of the small checkpoint, once a test run."""
    folder = scratch() / "hf"
    write_checkpoint(folder / "from")
    write_language_model(folder / "made", read(folder / "from"))
    return folder / "made"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "from").parent


def loaded() -> tuple[Any, Any]:
    """Return model and tokenizer as transformers loads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = AutoModelForCausalLM.from_pretrained(written())
        return model.eval(), AutoTokenizer.from_pretrained(written())


@pytest.mark.slow
def test_transformers_generates_what_the_bundle_does() -> None:
    pytest.importorskip("transformers")
    model, tokenizer = loaded()
    pipeline = load(tiny_bundle(), backend="cpu")
    assert isinstance(pipeline, MotionGptQwenPipeline)
    greedy = SamplingRules(temperature=0)
    for conversation in CONVERSATIONS[:3]:
        text = render(conversation, False)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids == pipeline.tokenize(text)
        given = torch.tensor([ids])
        options = {"do_sample": False, "max_new_tokens": 24, "attention_mask": given * 0 + 1}
        with torch.no_grad():
            want = model.generate(given, **options)[0, len(ids) :].tolist()
        (found,) = pipeline.generate_ids([ids], max_tokens=24, rules=greedy)
        assert found == want
        assert len(set(found)) > 2


@pytest.mark.slow
def test_transformers_knows_the_motion_tokens_and_both_ends() -> None:
    pytest.importorskip("transformers")
    model, tokenizer = loaded()
    assert model.config.vocab_size == len(tokenizer) == ROWS
    assert model.config.rope_parameters["rope_theta"] == 1e6
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    text = "<motion_id_512><motion_id_0><motion_id_511><motion_id_513>"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ids == [NUM_BASE_TOKENS + i for i in (512, 0, 511, 513)]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@pytest.mark.slow
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("thinking", [True, False, None])
def test_its_chat_template_is_the_runtimes(
    conversation: list[Message], thinking: bool | None
) -> None:
    pytest.importorskip("transformers")
    _, tokenizer = loaded()
    messages = [
        {"role": m.role, "content": m.content}
        | ({} if m.reasoning is None else {"reasoning_content": m.reasoning})
        for m in conversation
    ]
    options = {} if thinking is None else {"enable_thinking": thinking}
    for asks in (True, False):
        found = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=asks, **options
        )
        assert found == render(conversation, thinking, asks=asks)


def test_weights_are_the_checkpoints_and_keep_their_type(tmp_path: Path) -> None:
    state = {
        name: tensor.to(torch.bfloat16) if name.startswith(LM) else tensor
        for name, tensor in make_state("humanml3d").items()
    }
    place = write_checkpoint(tmp_path / "from", state=state).parent
    write_language_model(tmp_path / "made", read(place))
    found = load_file(tmp_path / "made" / "model.safetensors")
    # The head is the embedding, which is stored once.
    wanted = {n.removeprefix(LM) for n in state if n.startswith(LM)} - {"lm_head.weight"}
    assert found.keys() == wanted
    for name, tensor in found.items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, state[LM + name])
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (config["vocab_size"], config["torch_dtype"]) == (ROWS, "bfloat16")
    assert config["architectures"] == ["Qwen3ForCausalLM"]


def test_settings_of_the_base_are_kept_but_for_code(tmp_path: Path, checkpoint: Path) -> None:
    base = checkpoint / "base"
    config = json.loads((base / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "evil.Model"}, "quantization_config": {}, "mine": 1}
    (base / "config.json").write_text(json.dumps(config))
    settings = {"auto_map": {"AutoTokenizer": "evil.T"}, "model_max_length": 77}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    (base / "generation_config.json").write_text('{"top_k": 3, "eos_token_id": [1, 2]}')
    write_language_model(tmp_path / "made", read(checkpoint))
    names = ("config.json", "tokenizer_config.json", "generation_config.json")
    made = [json.loads((tmp_path / "made" / name).read_text()) for name in names]
    assert "evil" not in repr(made)
    assert "quantization_config" not in made[0]
    assert (made[0]["mine"], made[1]["model_max_length"]) == (1, 77)
    assert made[2]["eos_token_id"] == [1, 2]


@pytest.mark.parametrize(
    ("stated", "file", "want"),
    [
        (None, None, CHAT_TEMPLATE),
        (TEMPLATE, None, TEMPLATE),
        (TEMPLATE, "of the file", "of the file"),
        ([{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}], None, "y"),
        ([{"name": "tool_use", "template": "x"}, 3], None, CHAT_TEMPLATE),
        ({"default": "x"}, None, CHAT_TEMPLATE),
        ("half a letter \ud83d", None, CHAT_TEMPLATE),
    ],
)
def test_a_chat_template_is_the_bases_own(
    tmp_path: Path, checkpoint: Path, stated: Any, file: str | None, want: str
) -> None:
    base = checkpoint / "base"
    (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": stated}))
    if file is not None:
        (base / "chat_template.jinja").write_text(file)
    write_language_model(tmp_path / "made", read(checkpoint))
    assert (tmp_path / "made" / "chat_template.jinja").read_text() == want
    settings = json.loads((tmp_path / "made" / "tokenizer_config.json").read_text())
    assert "chat_template" not in settings


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("chat_template.jinja", b"\xff", "chat_template.jinja: cannot be read as text"),
        ("tokenizer_config.json", b"[]", "tokenizer_config.json: holds no JSON object"),
    ],
)
def test_files_that_cannot_be_carried_over_are_refused(
    tmp_path: Path, checkpoint: Path, name: str, content: bytes, told: str
) -> None:
    (checkpoint / "base" / name).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        write_language_model(tmp_path / "made", read(checkpoint))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()


def test_only_a_directory_of_its_kind_is_replaced(tmp_path: Path, checkpoint: Path) -> None:
    made, other = tmp_path / "made", tmp_path / "other"
    write_language_model(made, read(checkpoint))
    before = sorted(path.name for path in made.iterdir())
    (made / "config.json").write_text("{}")
    with pytest.raises(InputError, match="exists already"):
        write_language_model(made, read(checkpoint))
    write_language_model(made, read(checkpoint), replace=True)
    assert (made / "config.json").read_text() != "{}"
    assert sorted(path.name for path in made.iterdir()) == before
    other.mkdir()
    (other / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="no directory of a language model"):
        write_language_model(other, read(checkpoint), replace=True)
    assert [path.name for path in other.iterdir()] == ["precious.txt"]


def test_a_motion_tokenizer_alone_has_no_language_model(tmp_path: Path) -> None:
    state = make_state("myoskeleton", language=False)
    path = write_checkpoint(tmp_path / "from", "myoskeleton", state)
    with pytest.raises(InputError, match="no language model to write"):
        write_language_model(tmp_path / "made", read_motiongpt_qwen(path))


def test_the_command_writes_it(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", "motiongpt-qwen", "--vq", checkpoint / "model.ckpt")
    code, out, _ = run(capsys, *words, "--hf-dir", tmp_path / "made")
    size = sum(path.stat().st_size for path in (tmp_path / "made").iterdir()) / 1e6
    assert code == 0
    assert out.strip() == f"{tmp_path / 'made'}: {size:.1f} MB"
    code, _, err = run(capsys, *words, "--hf-dir", tmp_path / "made")
    assert code == 1 and "--force" in err
    assert run(capsys, *words)[0] == 2


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"temperature": -1}, "temperature is -1, should be a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 1.5}, "top_p is 1.5, should be a number above 0 and at most 1"),
        ({"top_k": 0.5}, "top_k is 0.5, should be a whole number"),
        ({"repetition_penalty": []}, "repetition_penalty is []"),
    ],
)
def test_sampling_that_makes_no_sense_is_refused(
    checkpoint: Path, setting: dict[str, Any], told: str
) -> None:
    (checkpoint / "base" / "generation_config.json").write_text(json.dumps(setting))
    with pytest.raises(CheckpointError) as error:
        read(checkpoint)
    assert told in str(error.value)


def test_sampling_is_the_bases(checkpoint: Path) -> None:
    stated = {"temperature": 1, "top_k": 5.0, "top_p": None, "other": "x"}
    (checkpoint / "base" / "generation_config.json").write_text(json.dumps(stated))
    language = read(checkpoint).language
    assert language is not None
    assert language.sampling == {"temperature": 1.0, "top_k": 5}
    assert np.isscalar(language.sampling["temperature"])
