"""Runners for the golden kinds of MotionGPT with Qwen3: recorded runs against exported bundles.

Each takes a case folder and raises AssertionError where we differ from the reference's arrays and
strings. Ids and strings are exact.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parity.exported import export, scratch
from tokenizers import Tokenizer

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.answer import parse_as_upstream
from motionrt.runtime.motiongpt_qwen.chat import NO_THOUGHT, THINK, Message, render
from motionrt.runtime.motiongpt_qwen.grammar import MotionGrammar
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens
from motionrt.runtime.motiongpt_qwen.myo_motion import centred
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
from motionrt.runtime.motiongpt_qwen.templates import MOTION, Filling
from motionrt.runtime.pipeline import load
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

FAMILIES = ("motiongpt-qwen",)
"""Golden folders whose cases are run here (see ``cases``)."""

CLOSE = 1e-4  # absolute, of float32 through a few layers: the fixtures' own
_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n", re.DOTALL)

Array = NDArray[Any]


# Motion codes


def run_vq_h3d(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    mean, std = inputs["mean"], inputs["std"]
    for tag in ("", "_odd"):
        found = _encoded(pipeline, inputs[f"features{tag}"] * std + mean)
        _close(found["latents"], expected[f"latents{tag}"], f"latents{tag}")
        np.testing.assert_array_equal(found["ids"], expected[f"ids{tag}"], err_msg=f"ids{tag}")
        _decoded(pipeline, found["ids"], expected, f"decoded{tag}", f"joints{tag}")
        _margins(case_dir, found["latents"], expected[f"id_margin{tag}"])
    _decoded(pipeline, inputs["random_ids"][None], expected, "random_decoded", "random_joints")
    single = expected["single_decoded"]
    lone = [pipeline.decode([[code]])["normalized_features"] for code in inputs["random_ids"]]
    assert any(np.abs(clip - single).max() < CLOSE for clip in lone) or any(
        np.abs(pipeline.decode([[code]])["normalized_features"] - single).max() < CLOSE
        for code in range(pipeline.tokens.num_codes)
    ), "single_decoded"
    _forward(case_dir, pipeline, inputs["features"] * std + mean, expected)


def run_vq_myo(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    for tag in ("", "_odd"):
        found = _encoded(pipeline, inputs[f"features{tag}"])
        _close(found["latents"], expected[f"latents{tag}"], f"latents{tag}")
        np.testing.assert_array_equal(found["ids"], expected[f"ids{tag}"], err_msg=f"ids{tag}")
        _decoded(pipeline, found["ids"], expected, f"decoded{tag}", f"joints{tag}")
        if f"id_margin{tag}" in expected:
            _margins(case_dir, found["latents"], expected[f"id_margin{tag}"])
    _decoded(pipeline, inputs["random_ids"], expected, "random_decoded", None)
    raw = inputs["raw_positions"]
    ours = centred(raw.reshape(len(raw), -1, 3)).reshape(raw.shape)
    _close(ours, expected["raw_normalised"], "raw_normalised")


# The language model


def run_lm_logits(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    prompt, steps = inputs["prompt_ids"], inputs["step_ids"]
    assert pipeline.tokenize(_text(inputs["prompt_utf8"])) == prompt.tolist()
    found = _read(pipeline, prompt[None], {}, np.arange(len(prompt)))
    _close(found["logits"], expected["prefill_logits"], "prefill_logits")
    _same_past(found, expected, "prefill_past")
    for step, token in enumerate(steps):
        past = {name: found[name] for name in found if name.startswith("present_")}
        found = _read(pipeline, token.reshape(1, 1), past, np.array([0]))
        _close(found["logits"][0, 0], expected["step_logits"][step], f"step_logits[{step}]")
    _same_past(found, expected, "final_past")
    whole = np.concatenate((prompt, steps))
    last = np.arange(len(whole) - len(expected["full_logits_last4"]), len(whole))
    found = _read(pipeline, whole[None], {}, last)
    _close(found["logits"][0], expected["full_logits_last4"], "full_logits_last4")
    # Step by step, as motions are made: on keys and values that the runtime keeps.
    cache = pipeline.new_cache()
    _close(cache.read([prompt.tolist()])[0], expected["prefill_logits"][0, -1], "kept prefill")
    first = pipeline.language.first_motion_id
    motion = slice(first, first + pipeline.tokens.num_codes + 3)
    for step, token in enumerate(steps.tolist()):
        short = pipeline.new_cache()
        short.read([[*prompt.tolist(), *steps[:step].tolist()]])
        part = short.read([[token]], short=True)[0, motion]
        _close(part, expected["step_logits"][step, motion], f"motion logits[{step}]")
        _close(cache.read([[token]])[0], expected["step_logits"][step], f"kept step[{step}]")
    rows = [
        ids[mask > 0].tolist()
        for ids, mask in zip(inputs["batch_ids"], inputs["batch_mask"], strict=True)
    ]
    for row, positions in zip(rows, inputs["batch_positions"], strict=True):
        np.testing.assert_array_equal(positions[-len(row) :], np.arange(len(row)))
    batch = pipeline.new_cache(len(rows)).read(rows)
    _close(batch, expected["batch_last_logits"], "batch_last_logits")


def run_e2e_t2m_h3d(case_dir: Path) -> None:
    _runs(case_dir)


def run_e2e_t2m_myo(case_dir: Path) -> None:
    _runs(case_dir)


def run_e2e_thinking(case_dir: Path) -> None:
    _runs(case_dir)


def run_m2t(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    template = pipeline.templates["m2t"]
    for name in _runs(case_dir):
        filling = Filling(motion=pipeline.tokens.text(inputs[f"{name}.motion_ids"].tolist()))
        prompt = render([Message("user", filling.into(template))], False)
        assert prompt == _text(inputs[f"{name}.prompt_utf8"])
        caption = _text(expected[f"{name}.cleaned_utf8"])
        (ids,) = pipeline.generate_ids(
            [pipeline.tokenize(prompt)],
            rules=pipeline.rules(temperature=0),
            max_tokens=pipeline.defaults.caption_max_new_tokens,
        )
        assert pipeline.text_of(ids) == caption


def run_multi_turn(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    history = [Message(**turn) for turn in json.loads((case_dir / "history.json").read_text())]
    cache = pipeline.new_cache()
    greedy = pipeline.rules(temperature=0)
    questions = [i for i, message in enumerate(history) if message.role == "user"]
    for name in _runs(case_dir):
        prompt = render(history, True)
        assert prompt == _text(inputs[f"{name}.prompt_utf8"])
        # The same after the turn before, on what is kept of it.
        before = pipeline.tokenize(render(history[: questions[-2] + 1], True))
        pipeline.generate_ids([before], rules=greedy, max_tokens=8, cache=cache)
        (ids,) = pipeline.generate_ids(
            [pipeline.tokenize(prompt)],
            rules=greedy,
            max_tokens=int(inputs[f"{name}.max_new_tokens"]),
            cache=cache,
        )
        assert ids == expected[f"{name}.new_ids"].reshape(-1).tolist(), f"{name} on a kept turn"


# Texts


def run_text_rules(case_dir: Path) -> None:
    words = _extended_tokenizer(case_dir / "base")
    tokens = MotionTokens()
    layout = _json(case_dir, "ids")
    first = layout["motion_id_0"]
    assert words.vocab_size == layout["extended_len"] == first + tokens.num_codes + 3
    assert layout["base_tokenizer_len"] == first
    places = {
        "<motion_id_0>": first,
        f"<motion_id_{tokens.start}>": layout["motion_start"],
        f"<motion_id_{tokens.end}>": layout["motion_end"],
        f"<motion_id_{tokens.mask}>": layout["motion_mask"],
        "<think>": layout["think_open"],
        "</think>": layout["think_close"],
        "<|im_end|>": layout["eos"],
        "<|endoftext|>": layout["pad"],
    }
    for token, number in places.items():
        assert words.token_id(token) == number, token
    for case in _json(case_dir, "chat_rendering"):
        messages = [Message(**turn) for turn in case["messages"]]
        text = render(messages, case["enable_thinking"], asks=case["add_generation_prompt"])
        assert text == case["text"], case["name"]
        assert words.ids(text) == case["ids"], case["name"]
    for case in _json(case_dir, "placeholders"):
        filling = Filling(
            case["text"],
            "" if case["motion_ids"] is None else tokens.text(case["motion_ids"]),
            case["length"],
            case["down_t"],
            case["framerate"],
            case["quoted"],
            case["predict_ratio"],
            case["inbetween_ratio"],
        )
        assert filling.into(case["template"]) == case["result"], case["name"]
    for case in _json(case_dir, "parser"):
        try:
            ids, cleaned = parse_as_upstream(case["string"], tokens)
        except InputError:
            assert case["error"] == "ValueError", case["name"]
            continue
        assert case["error"] is None, case["name"]
        assert (ids, cleaned) == (case["ids"], case["cleaned"]), case["name"]
        clamped = np.clip(ids, 0, tokens.num_codes - 1).tolist()
        assert clamped == case["clamped"], case["name"]
    for case in _json(case_dir, "tokenizer"):
        ids = words.ids(case["string"])
        assert ids == case["ids"], case["string"]
        assert words.decode(ids) == case["decoded_keep"]
        assert words.decode(ids, skip_special=True) == case["decoded_skip"]
    for case in _json(case_dir, "ids_to_string"):
        assert tokens.text(case["ids"], case["length"]) == case["string"]


# Parts


def _runs(case_dir: Path) -> list[str]:
    """Run every recorded generation of a case, token by token and to its end; return the names."""
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    names = [name.removesuffix(".prompt_ids") for name in inputs if name.endswith(".prompt_ids")]
    assert names
    for name in names:
        prompt = _text(inputs[f"{name}.prompt_utf8"])
        _same_rendering(prompt)
        ids = inputs[f"{name}.prompt_ids"].reshape(-1).tolist()
        assert pipeline.tokenize(prompt) == ids, name
        most = int(inputs[f"{name}.max_new_tokens"])
        logits: list[Array] = []
        (new,) = pipeline.generate_ids(
            [ids], rules=pipeline.rules(temperature=0), max_tokens=most, logits=logits
        )
        assert new == expected[f"{name}.new_ids"].reshape(-1).tolist(), name
        two = np.sort(np.concatenate(logits), axis=1)[:, -2:]
        # A difference of two logits, each of which may be off by so much.
        margins = expected[f"{name}.step_margin"].reshape(-1)
        _close(two[:, 1] - two[:, 0], margins, f"{name}.step_margin", 2 * CLOSE)
        text = pipeline.text_of(new)
        assert text == _text(expected[f"{name}.text_utf8"]), name
        codes, cleaned = parse_as_upstream(text, pipeline.tokens)
        assert codes == expected[f"{name}.motion_ids"].reshape(-1).tolist(), name
        assert cleaned == _text(expected[f"{name}.cleaned_utf8"]), name
        if f"{name}.features" in expected:
            clamped = np.clip(codes, 0, pipeline.tokens.num_codes - 1)
            decoded = pipeline.decode(clamped[None])
            kinds = ("normalized_features", "features")
            off = {kind: _off(decoded[kind], expected[f"{name}.features"]) for kind in kinds}
            assert min(off.values()) <= CLOSE, f"{name}.features: {off}"
            _close(decoded["joints"], expected[f"{name}.joints"], f"{name}.joints")
        if new[-1] in pipeline.language.end_ids and MOTION in cleaned:
            _same_with_grammar(pipeline, ids, new, codes, name)
    # All prompts at once, of unequal lengths: each goes on as it does alone.
    prompts = [inputs[f"{name}.prompt_ids"].reshape(-1).tolist() for name in names]
    limits = [int(inputs[f"{name}.max_new_tokens"]) for name in names]
    together = pipeline.generate_ids(
        prompts, rules=pipeline.rules(temperature=0), max_tokens=max(limits)
    )
    for name, made, most in zip(names, together, limits, strict=True):
        assert made[:most] == expected[f"{name}.new_ids"].reshape(-1).tolist(), f"{name} in a batch"
    return names


def _same_with_grammar(
    pipeline: MotionGptQwenPipeline, prompt: list[int], new: list[int], codes: list[int], name: str
) -> None:
    """A well-formed answer is the same under the grammar, which reads the short head inside."""
    grammar = MotionGrammar(pipeline.vocabulary, 2 * len(new) + len(codes), most=len(codes) + 2)
    (ruled,) = pipeline.generate_ids(
        [prompt],
        rules=pipeline.rules(temperature=0),
        max_tokens=2 * len(new) + len(codes),
        grammars=[grammar],
    )
    assert pipeline.read_answer(ruled)[1].codes == tuple(codes), f"{name} under the grammar"
    assert ruled == new[: len(ruled)], f"{name} under the grammar"


def _same_rendering(prompt: str) -> None:
    """A prompt is what rendering its turns gives."""
    turns = [Message(role, content) for role, content in _TURN.findall(prompt)]
    opened = render(turns, True)
    assert prompt.startswith(opened), prompt
    behind = prompt.removeprefix(opened)
    assert not behind or behind.startswith(THINK), prompt
    if behind == NO_THOUGHT:
        assert prompt == render(turns, False)


def _read(
    pipeline: MotionGptQwenPipeline, ids: Array, past: dict[str, Array], rows: Array
) -> dict[str, Array]:
    """Run the language model's graph by itself."""
    graph = pipeline.graph("language_model")
    feed: dict[str, Array] = {}
    before = 0
    for tensor in graph.info.inputs:
        if not tensor.name.startswith("past_"):
            continue
        present = tensor.name.replace("past_", "present_", 1)
        sizes = {"batch": len(ids), "past_tokens": 0}
        empty = np.zeros([sizes[a] if isinstance(a, str) else a for a in tensor.axes], np.float32)
        feed[tensor.name] = past.get(present, empty)
        before = feed[tensor.name].shape[2]
    return graph.run(
        {
            **feed,
            "input_ids": ids,
            "lengths": np.full(len(ids), before + ids.shape[1]),
            "logit_rows": np.tile(rows, (len(ids), 1)),
            "motion_rows": np.zeros((len(ids), 0), np.int64),
        }
    )


def _same_past(found: dict[str, Array], expected: dict[str, Array], name: str) -> None:
    layers = {key.split(".")[1] for key in expected if key.startswith(f"{name}.")}
    assert layers
    for layer in layers:
        for kind in ("key", "value"):
            want = expected[f"{name}.{layer}.{kind}"]
            _close(found[f"present_{kind}_{layer}"], want, f"{name}.{layer}.{kind}")


def _encoded(pipeline: MotionGptQwenPipeline, features: Array) -> dict[str, Array]:
    found = pipeline.graph("motion_encoder").run({"features": features})
    for row, clip in enumerate(features):
        assert pipeline.encode_motion(clip) == found["ids"][row].tolist()
    return found


def _decoded(
    pipeline: MotionGptQwenPipeline,
    ids: Array,
    expected: dict[str, Array],
    features: str,
    joints: str | None,
) -> None:
    found = pipeline.decode(ids)
    _close(found["normalized_features"], expected[features], features)
    if joints is not None:
        _close(found["joints"], expected[joints], joints)


def _margins(case_dir: Path, latents: Array, margins: Array) -> None:
    """How far the second nearest code is, in squared distance."""
    codebook = _codebook(case_dir)
    points = latents.astype(np.float64)
    distances = ((points[..., None, :] - codebook) ** 2).sum(axis=-1)
    two = np.sort(distances, axis=-1)[..., :2]
    found = (two[..., 1] - two[..., 0]).reshape(margins.shape)
    _close(found, margins, "id_margin", CLOSE * max(1.0, float(distances.max())))


def _forward(
    case_dir: Path, pipeline: MotionGptQwenPipeline, features: Array, expected: dict[str, Array]
) -> None:
    """The original's own pass: reconstruction, commitment and perplexity."""
    found = _encoded(pipeline, features)
    _close(
        pipeline.decode(found["ids"])["normalized_features"],
        expected["forward_recon"],
        "forward_recon",
    )
    codebook = _codebook(case_dir)
    commitment = ((found["latents"] - codebook[found["ids"]]) ** 2).mean()
    _close(commitment, expected["forward_commit"], "forward_commit")
    shares = np.bincount(found["ids"].reshape(-1), minlength=len(codebook)) / found["ids"].size
    perplexity = np.exp(-(shares * np.log(shares + 1e-7)).sum())
    _close(perplexity, expected["forward_perplexity"], "forward_perplexity")


@lru_cache(maxsize=8)
def _codebook(case_dir: Path) -> Array:
    import torch

    stored = torch.load(case_dir / "model.ckpt", map_location="cpu", weights_only=True)
    codebook: Array = stored["state_dict"]["vae.quantizer.codebook"].numpy().astype(np.float64)
    return codebook


@lru_cache(maxsize=16)
def _pipeline(case_dir: Path) -> MotionGptQwenPipeline:
    """Export a case's checkpoint, with its statistics, and load the bundle on the CPU."""
    arguments = ["--vq", str(case_dir / "model.ckpt")]
    if (case_dir / "base").is_dir():
        arguments += ["--lm", str(case_dir / "base")]
    inputs, _ = _arrays(case_dir)
    config = (case_dir / "config.yaml").read_text(encoding="utf-8")
    for name in ("mean", "std"):
        # Those of HumanML3D are recorded beside MyoSkeleton's cases too, which have none.
        if name in inputs and f"nfeats: {len(inputs[name])}" in config:
            place = scratch() / f"{case_dir.parent.name}-{case_dir.name}-{name}.npy"
            np.save(place, inputs[name])
            arguments += [f"--{name}", str(place)]
    pipeline = load(export("motiongpt-qwen", *arguments), backend="cpu")
    assert isinstance(pipeline, MotionGptQwenPipeline)
    return pipeline


def _extended_tokenizer(base: Path) -> TextTokenizer:
    words = Tokenizer.from_file(str(base / "tokenizer.json"))
    words.add_tokens(MotionTokens().names())
    return TextTokenizer(words.to_str().encode(), TextRules(max_tokens=1 << 20))


@lru_cache(maxsize=16)
def _arrays(case_dir: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    loaded = (np.load(case_dir / f"{name}.npz") for name in ("inputs", "expected"))
    inputs, expected = ({key: found[key] for key in found.files} for found in loaded)
    return inputs, expected


def _json(case_dir: Path, name: str) -> Any:
    return json.loads((case_dir / f"{name}.json").read_text(encoding="utf-8"))


def _text(array: Array) -> str:
    return array.tobytes().decode("utf-8")


def _off(found: Any, expected: Any) -> float:
    assert np.shape(found) == np.shape(expected), f"{np.shape(found)}, not {np.shape(expected)}"
    return float(np.abs(np.asarray(found, np.float64) - expected).max(initial=0.0))


def _close(found: Any, expected: Any, label: str, tolerance: float = CLOSE) -> None:
    off = _off(found, expected)
    assert off <= tolerance, f"{label}: off by {off:.2e}, allowed {tolerance:.0e}"
