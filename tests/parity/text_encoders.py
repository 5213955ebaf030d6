"""Runners for the golden kinds of text encoders, projectors and prompts.

Each takes a case folder and raises AssertionError where we differ from the reference's arrays. What
a bundle would hold as a graph runs as an exported graph.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.readers.projector import read_projector
from motionrt.export.text_encoder import (
    LLM2VEC_FOLDERS,
    TextEncoderOptions,
    TextEncoderSource,
    read_text_encoder,
    trace_text_encoder,
)
from motionrt.export.to_onnx import to_onnx
from motionrt.models.pooling import pool_to_length
from motionrt.runtime.errors import InputError
from motionrt.runtime.input_folder import stored_guidance, with_guidance
from motionrt.runtime.kimodo.model_names import resolve_model_name
from motionrt.runtime.request import num_frames
from motionrt.runtime.sampling.guidance import resolve_guidance
from motionrt.runtime.text.prompt import clean_prompt, split_prompt

FAMILIES = ("kimodo", "text-encoders")
"""Golden folders whose cases are run here (see ``cases``)."""

ENCODER = 2e-5  # float32 through a few layers; the fixtures' own advice
PROJECTOR = 2e-5  # one or two float32 products
ATTENTION = 5e-5  # inputs have large outliers; the fixtures' own advice
SOLVER = 1e-9  # relative, solved in float64
TRACE = 1e-5  # relative, float32 over 24 steps
METRIC = 1e-6  # computed in float64
BFLOAT16_COSINE = 0.999  # the reference rounded every step to 8 bits

Array = NDArray[Any]


class Encoder:
    """An exported text encoder: a tokenizer in front of a graph, as at run time."""

    def __init__(self, source: TextEncoderSource) -> None:
        self.source = source
        self.tokenizer = source.tokenizer
        self._session = _load_session(trace_text_encoder(source))

    def ids(self, *arrays: Array) -> Array:
        names = ("input_ids", "attention_mask", "pool_mask")
        feed = {n: a.astype(np.int64) for n, a in zip(names, arrays, strict=True)}
        return np.asarray(self._session.run(None, feed)[0])

    def batch(self, texts: list[str]) -> Array:
        return self.ids(*self.tokenizer.encode(texts))

    def single(self, texts: list[str]) -> Array:
        return np.concatenate([self.batch([text]) for text in texts])


@lru_cache(maxsize=2)
def _encoder(places: tuple[Path, ...], projector: Path | None = None, **options: Any) -> Encoder:
    return Encoder(read_text_encoder(places, projector, TextEncoderOptions(**options)))


def run_qwen3_meanpool(case_dir: Path) -> None:
    expected = _load(case_dir / "expected.npz")
    texts = json.loads((case_dir / "inputs.json").read_text())["texts"]
    model = (case_dir / "model",)

    plain = _encoder(model)
    _same_tokens(plain, texts, expected["right_input_ids"], expected["right_attention_mask"])
    _close(plain.batch(texts), expected["pooled_right"], ENCODER, "pooled_right")
    _close(plain.single(texts), expected["pooled_single"], ENCODER, "pooled_single")
    for side in ("left", "right"):
        mask = expected[f"{side}_attention_mask"]
        got = plain.ids(expected[f"{side}_input_ids"], mask, mask)
        _close(got, expected[f"pooled_{side}"], ENCODER, f"pooled_{side} from its ids")

    fused = _encoder(model, case_dir / "projection.pt")
    _close(fused.batch(texts), expected["projected"], ENCODER, "projected")
    _close(fused.single(texts), expected["projected"], ENCODER, "projected, one by one")
    for file in ("projection_wrapped.pt", "projection.safetensors"):
        other = read_text_encoder(model, case_dir / file)
        for name, tensor in fused.source.weights.shapes.items():
            assert other.weights.shapes[name] == tensor
            if name.startswith("projector."):
                same = torch.equal(other.weights.load(name), fused.source.weights.load(name))
                assert same, f"{name} of {file}"
    projection = case_dir / "projection.pt"
    variants = {
        "pooled_hs_minus2_right": _encoder(model, output_layer=-2),
        "projected_from_hs_minus2": _encoder(model, projection, output_layer=-2),
        "projected_from_l2_normalised": _encoder(model, projection, normalise=True),
        "last_token_left": _encoder(model, pooling="last_token"),
        "pooled_chat_single": _encoder(model, framing="chatml-user", pool_prefix=True),
    }
    for name, encoder in variants.items():
        _close(encoder.batch(texts), expected[name], ENCODER, name)


def run_llm2vec(case_dir: Path) -> None:
    expected = _load(case_dir / "expected.npz")
    inputs = json.loads((case_dir / "inputs.json").read_text())
    texts = inputs["texts"]
    places = tuple(case_dir / name for name in LLM2VEC_FOLDERS)

    header = _encoder(places)
    for mode, encoder in (("header", header), ("plain", _encoder(places, framing="plain"))):
        mask, pooled = expected[f"{mode}_attention_mask"], expected[f"{mode}_embed_mask"]
        _same_tokens(encoder, texts, expected[f"{mode}_input_ids"], mask, pooled)
        _close(encoder.single(texts), expected[f"{mode}_single"], ENCODER, f"{mode}_single")
        _close(encoder.batch(texts), expected[f"{mode}_batch"], ENCODER, f"{mode}_batch")
        left = encoder.ids(expected[f"{mode}_input_ids"], mask, pooled)
        _close(left, expected[f"{mode}_batch"], ENCODER, f"{mode}_batch from its ids")
        _close(encoder.batch([""]), expected[f"{mode}_empty"], ENCODER, f"{mode}_empty")
        reference = expected.get(f"k510_{mode}_single")
        if reference is not None:
            _close(encoder.single(texts), reference, ENCODER, f"k510_{mode}_single")

    _, mask, pooled = header.tokenizer.encode([inputs["long"]])
    assert mask.sum() == inputs["long_token_count"]
    assert pooled.sum() == inputs["long_pooled_count"]
    _close(header.batch([inputs["long"]]), expected["header_long"], ENCODER, "header_long")
    after_merge = expected["header_single_after_merge"]
    _close(header.single(texts), after_merge, 2 * ENCODER, "header_single_after_merge")
    rounded, exact = expected["header_single_bf16"], header.single(texts)
    cosine = (rounded * exact).sum(1) / np.linalg.norm(rounded, axis=1)
    assert (cosine / np.linalg.norm(exact, axis=1)).min() > BFLOAT16_COSINE

    variants = {
        "header_instruction_single": _encoder(places, instruction=inputs["instruction"]),
        "header_weighted_mean": _encoder(places, pooling="weighted_mean"),
        "header_last_token": _encoder(places, pooling="last_token"),
        "header_noskip_mean": _encoder(places, pool_prefix=True),
        "header_mntp_only_single": _encoder(places[:2]),
        "header_base_only_single": _encoder(places[:1]),
    }
    for name, encoder in variants.items():
        _close(encoder.batch(texts), expected[name], ENCODER, name)

    merged = {"merged::": header.source, "mntp_merged::": read_text_encoder(places[:2])}
    for name, values in expected.items():
        head, _, tensor = name.rpartition("::")
        if head:
            got = merged[f"{head}::"].weights.load(f"backbone.{tensor}").numpy()
            _close(got, values, 1e-6, name)


def run_text_encoder_llama(case_dir: Path) -> None:
    case = json.loads((case_dir / "case.json").read_text())
    inputs, expected = _load(case_dir / "inputs.npz"), _load(case_dir / "expected.npz")
    encoder = _encoder(tuple(case_dir / name for name in LLM2VEC_FOLDERS))
    rules = encoder.source.rules
    batch = encoder.batch(case["prompts"])
    for index, prompt in enumerate(case["prompts"]):
        assert rules.prefix + prompt.rstrip() + rules.suffix == case["framed"][index]
        ids, _, pooled = encoder.tokenizer.encode([prompt])
        np.testing.assert_array_equal(ids[0], inputs[f"input_ids_{index}"])
        np.testing.assert_array_equal(pooled[0], inputs[f"pool_mask_{index}"])
        wanted = expected[f"embedding_{index}"]
        _close(encoder.batch([prompt])[0], wanted, 1e-4, f"embedding_{index}", 1e-4)
        _close(batch[index], wanted, 1e-4, f"embedding_{index} in a batch", 1e-4)


def run_text(case_dir: Path) -> None:
    cases = json.loads((case_dir / "text_cases.json").read_text())
    for case in cases["sanitize"]:
        assert clean_prompt(case["in"]) == case["out"], case
    for case in cases["resolve_model_name"]:
        _same(case, lambda case=case: resolve_model_name(case["in"], case["default_family"]))
    for case in cases["prompt_split"]:
        _same(case, lambda case=case: _split(case))
    for case in cases["cfg_kwargs"]:
        _same(case, lambda case=case: _guidance(case))


def run_sanitize(case_dir: Path) -> None:
    for case in json.loads((case_dir / "cases.json").read_text()):
        assert clean_prompt(case["in"]) == case["out"], case


def run_projectors(case_dir: Path) -> None:
    from motionrt.train.gradient import masked_mse, weighted_mse

    expected = _load(case_dir / "expected.npz")
    for kind in ("linear", "mlp", "attention"):
        for suffix in (".pt", ".safetensors"):
            # The heads do not show in a state dict; beside it the metadata states them.
            _, metadata = read_projector(case_dir / f"{kind}.safetensors")
            heads = int(metadata.get("num_heads", "0")) or None
            module, _ = read_projector(case_dir / f"{kind}{suffix}", heads)
            if kind == "attention":
                masks = np.arange(expected["x"].shape[1]) < expected["lengths"][:, None]
                for name, kept in (
                    ("attention_x", np.ones_like(masks)),
                    ("attention_x_masked", masks),
                ):
                    got = _run_module(module, tokens=expected["x"], key_mask=kept)
                    _close(got, expected[name], ATTENTION, f"{name} of {kind}{suffix}")
                continue
            for key in ("x", "v"):
                rows = expected[key].reshape(-1, expected[key].shape[-1])
                wanted = expected[f"{kind}_{key}"]
                name = "input" if kind == "linear" else "x"
                got = _run_module(module, **{name: rows}).reshape(wanted.shape)
                _close(got, wanted, PROJECTOR, f"{kind}_{key} of {kind}{suffix}")
    for name, rows in expected.items():
        if name.startswith("pool_in_"):
            wanted = expected[name.replace("pool_in", "pool64_out")]
            got = pool_to_length(torch.from_numpy(rows), len(wanted)).numpy()
            _close(got, wanted, 1e-6, name)
    p, t, w, mask = (torch.from_numpy(expected[f"loss_{k}"]) for k in ("p", "t", "w", "mask"))
    losses = {
        "loss_plain": weighted_mse(p, t),
        "loss_weighted": weighted_mse(p, t, w),
        "loss_weighted_normalised": weighted_mse(p, t, w, normalised=True),
        "loss_masked": masked_mse(p, t, mask),
    }
    for name, loss in losses.items():
        np.testing.assert_allclose(loss.item(), expected[name], rtol=1e-5, err_msg=name)


def run_ridge(case_dir: Path) -> None:
    from motionrt.train.closed_form import fit_ridge

    expected = _load(case_dir / "expected.npz")
    for shape in ("wide", "tall"):
        x, y, xv, yv = (expected[f"{shape}_{k}"].astype(np.float64) for k in ("X", "Y", "XV", "YV"))
        lambdas = expected[f"{shape}_lambdas"]
        for prefix, suffix in ((f"{shape}_", ""), (f"{shape}_std_", "_folded")):
            fit = fit_ridge(x, y, xv, yv, lambdas, standardise=bool(suffix))
            assert fit.penalty == expected[f"{prefix}best_lambda"]
            for name, got in (
                ("val_mse", fit.validation_mse),
                (f"W{suffix}", fit.weight),
                (f"b{suffix}", fit.bias),
            ):
                wanted = expected[prefix + name]
                scale = np.abs(wanted).max()
                np.testing.assert_allclose(
                    got, wanted, rtol=SOLVER, atol=SOLVER * scale, err_msg=prefix + name
                )


def run_metrics(case_dir: Path) -> None:
    from motionrt.train.metrics import projector_metrics

    inputs, vectors = _load(case_dir / "inputs.npz"), _load(case_dir / "expected_vectors.npz")
    expected = json.loads((case_dir / "expected.json").read_text())
    target = inputs["target"].reshape(-1, inputs["target"].shape[-1])
    constant = np.broadcast_to(inputs["constant_projected"], target.shape)
    main = projector_metrics(inputs["projected"].reshape(target.shape), target)
    for block, got in (
        ("main", main),
        ("constant_prediction", projector_metrics(constant, target)),
    ):
        figures = got.to_dict()
        for name, wanted in expected[block].items():
            if wanted is None or isinstance(wanted, list):
                assert figures[name] == wanted, (block, name)
            else:
                np.testing.assert_allclose(
                    figures[name], wanted, rtol=METRIC, atol=METRIC, err_msg=f"{block} {name}"
                )
    for name, wanted in vectors.items():
        np.testing.assert_allclose(getattr(main, name), wanted, atol=METRIC, err_msg=name)


def run_train_trace(case_dir: Path) -> None:
    from motionrt.train.gradient import GradientSettings, fit_gradient

    trace = _load(case_dir / "trace.npz")
    recipes = {
        "linear_adam": GradientSettings(
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0,
            batch_size=10,
            epochs=8,
            schedule="cosine-epoch",
        ),
        "mlp_adamw": GradientSettings(
            optimiser="adamw",
            learning_rate=1e-4,
            weight_decay=0.01,
            batch_size=8,
            epochs=6,
            schedule="cosine-epoch",
        ),
        "mlp_adamw_warmup5": GradientSettings(
            optimiser="adamw",
            learning_rate=1e-3,
            weight_decay=0.01,
            batch_size=8,
            epochs=6,
            warmup_steps=5,
            schedule="cosine-step",
        ),
    }
    x, y, xv, yv = (torch.from_numpy(trace[name]) for name in ("X", "Y", "XV", "YV"))
    for tag, recipe in recipes.items():
        settings = recipe.replaced(
            shuffle=False, standardise=False, clip_norm=None, keep="last", patience=None
        )
        initial = {
            name.partition("::")[2]: torch.from_numpy(values)
            for name, values in trace.items()
            if name.startswith(f"{tag}_init::")
        }
        kind = "linear" if "weight" in initial else "mlp"
        hidden = len(initial.get("proj.0.bias", ()))
        fit = fit_gradient(kind, x, y, xv, yv, settings, initial=initial, hidden_dim=hidden)
        for name, got in (
            ("train_loss", fit.train_loss),
            ("val_loss", fit.validation_loss),
            ("lr_per_step", fit.learning_rates),
        ):
            np.testing.assert_allclose(got, trace[f"{tag}_{name}"], rtol=TRACE, err_msg=tag + name)
        for name, values in fit.module.state_dict().items():
            wanted = trace[f"{tag}_final::{name}"]
            np.testing.assert_allclose(
                values.numpy(), wanted, rtol=TRACE, atol=TRACE * np.abs(wanted).max(), err_msg=name
            )


def _run_module(module: torch.nn.Module, **inputs: Array) -> Array:
    """Run a projector as an exported graph."""
    specs = tuple(
        TensorSpec(name, ("rows", *values.shape[1:]), "bool" if values.dtype == bool else "float32")
        for name, values in inputs.items()
    )
    outputs = (TensorSpec("projected", ("rows", "features")),)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in inputs.items()}
    spec = GraphSpec("projector", specs, outputs, atol=PROJECTOR)
    return np.asarray(_session(Graph(spec, module, (tensors,))).run(None, dict(inputs))[0])


def _session(graph: Graph) -> ort.InferenceSession:
    return _load_session(to_onnx(graph))


def _load_session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    data = ir.to_proto(model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _same_tokens(
    encoder: Encoder, texts: list[str], ids: Array, mask: Array, pooled: Array | None = None
) -> None:
    """Compare the real tokens of each row: on which side a row is padded makes no difference."""
    got_ids, got_mask, got_pooled = encoder.tokenizer.encode(texts)
    for row in range(len(texts)):
        real, wanted = got_mask[row] > 0, mask[row] > 0
        np.testing.assert_array_equal(got_ids[row][real], ids[row][wanted])
        if pooled is not None:
            np.testing.assert_array_equal(got_pooled[row][real], pooled[row][wanted])


def _same(case: dict[str, Any], call: Any) -> None:
    try:
        got = call()
    except InputError:
        assert isinstance(case["out"], dict) and "error" in case["out"], case
        return
    assert got == case["out"], (case, got)


def _split(case: dict[str, Any]) -> list[list[Any]]:
    texts, seconds = split_prompt(case["prompt"], case["duration"])
    frames = [num_frames(value, case["fps"]) for value in seconds]
    return [texts, frames]


def _guidance(case: dict[str, Any]) -> dict[str, Any]:
    cli = case["cli"]
    flags = {"guidance_type": cli.get("cfg_type"), "guidance_weights": cli.get("cfg_weight")}
    asked = with_guidance(flags, stored_guidance(case["meta"] or {}))
    found = resolve_guidance(asked["guidance_type"], asked.get("guidance_weights"))
    if found is None:
        return {}
    if found.mode == "nocfg":
        return {"cfg_type": "nocfg"}
    weights = list(found.weights)
    return {"cfg_type": found.mode, "cfg_weight": weights if len(weights) > 1 else weights[0]}


def _load(path: Path) -> dict[str, Array]:
    with np.load(path) as arrays:
        return dict(arrays)


def _close(got: Array, wanted: Array, atol: float, name: str, rtol: float = 0.0) -> None:
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol, err_msg=name)
