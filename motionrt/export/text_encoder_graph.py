"""A text encoder as one graph of a bundle, in any precision; or its results in a prompt book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from torch import Tensor

from motionrt.export.bundle import BundleWriter, save_model
from motionrt.export.parity import Recorded, check_graph
from motionrt.export.quantise.deviation import check_deviation, measure_deviation
from motionrt.export.quantise.recipes import LANGUAGE_MODEL_RECIPES, Recipe
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.running import run_graph
from motionrt.export.streaming import LARGE_BYTES, weights_bytes
from motionrt.export.text_encoder import (
    TextEncoderSource,
    text_encoder_graph,
    trace_text_encoder,
)
from motionrt.export.text_reference import compare_with_transformers
from motionrt.runtime.errors import ExportError
from motionrt.runtime.text.prompt_book import PromptBook

BOOK_FILE = "prompts.safetensors"
ROUNDED_SHARE = {"fp16": 0.01, "int8": 0.05, "int4": 0.05}
"""Of the largest embedding: what an encoder that came in fewer bits may differ by elsewhere."""


@dataclass(frozen=True)
class AddedTextEncoder:
    """What the manifest says of an encoder, and the embeddings it was judged by."""

    manifest: Mapping[str, Any]
    exact: NDArray[np.float32]
    """Of ``CHECK_PROMPTS``, by the torch module (B, W)."""
    found: NDArray[np.float32]
    """The same by the graph in the bundle."""


def add_text_encoder(
    writer: BundleWriter,
    source: TextEncoderSource,
    wanted: Recipe | None = None,
    max_deviation: float | None = None,
) -> AddedTextEncoder:
    """Export ``text_encoder`` and ``tokenizer.json`` in a precision (None is fp32).

    In fp32 the graph must equal the torch module; with fewer bits the fp32 graph must (unless the
    encoder is too large to be written in fp32), and what the bits cost is measured on the check
    prompts and stated in the manifest. ExportError if it is above max_deviation, relative. One that
    came as a graph keeps the bits that it came with, and is compared with transformers.
    """
    wanted = wanted or LANGUAGE_MODEL_RECIPES["fp32"]
    if source.onnx is not None and source.onnx.precision != "fp32":
        return _add_as_it_came(writer, source, wanted)
    writer.progress("tracing text_encoder")
    graph = text_encoder_graph(source)
    spec = graph.spec
    model = trace_text_encoder(source, graph)
    reference = Recorded(graph.module)
    if wanted.name != "fp32" and weights_bytes(source.weights) < LARGE_BYTES:
        path = writer.fp32_path(spec.name)
        path.parent.mkdir(exist_ok=True)
        save_model(model, path)
        writer.progress("checking text_encoder in fp32")
        check_graph(path, spec, reference, graph.checks)
        model = ir.load(path)
    done = quantise(model, wanted)
    writer.add_model(spec, model, reference, graph.checks, wanted)
    writer.add_file("tokenizer.json", source.tokenizer_json)
    exact = np.asarray(reference.first.numpy(), np.float32)
    found = _run(writer, graph.checks[0])
    manifest = _manifest(writer, source)
    if wanted.name != "fp32":
        deviation = measure_deviation(found, exact)
        check_deviation(spec.name, deviation, max_deviation)
        writer.note_deviation(spec.name, deviation.to_dict())
        manifest["quantised"] = done.to_dict()
    return AddedTextEncoder(manifest, exact, found)


def _add_as_it_came(
    writer: BundleWriter, source: TextEncoderSource, wanted: Recipe
) -> AddedTextEncoder:
    """Export an encoder whose graph came in fewer bits: nothing is rounded a second time."""
    assert source.onnx is not None
    came = source.onnx.precision
    if wanted.name not in ("fp32", came):
        raise ExportError(
            f"{source.onnx.path}: its weights are in {came}, which {wanted.name} would round "
            "again; leave out --text-precision, or take a graph in fp32"
        )
    manifest = _manifest(writer, source)
    writer.progress("tracing text_encoder")
    graph = text_encoder_graph(source)
    reference = Recorded(graph.module)
    exact = np.asarray(reference(**graph.checks[0]), np.float32)
    # Another processor multiplies integers, or halves, by other instructions.
    atol = ROUNDED_SHARE[came] * float(np.abs(exact).max())
    spec = replace(graph.spec, atol=max(graph.spec.atol, atol))
    recipe = replace(LANGUAGE_MODEL_RECIPES["fp32"], name=came)
    model = trace_text_encoder(source, graph)
    writer.add_model(spec, model, reference, graph.checks, recipe)
    writer.add_file("tokenizer.json", source.tokenizer_json)
    return AddedTextEncoder(manifest, exact, _run(writer, graph.checks[0]))


def _manifest(writer: BundleWriter, source: TextEncoderSource) -> dict[str, Any]:
    told = {**source.manifest, "tokenizer": "tokenizer.json"}
    if source.onnx is not None:
        writer.progress("comparing the graph with transformers")
        told["graph"] = source.onnx.path.name
        told["reference"] = compare_with_transformers(source)
    return told


def add_prompt_book(
    writer: BundleWriter, book: PromptBook, width: int, most_tokens: int = 1
) -> dict[str, Any]:
    """Put a prompt book into a bundle whose model takes so many tokens of a width."""
    if book.width != width:
        raise ExportError(
            f"{book.place}: embeddings of {book.width} numbers, the model takes {width}; "
            "make the book with the encoder of this model"
        )
    if book.num_tokens > most_tokens:
        raise ExportError(
            f"{book.place}: prompts of {book.num_tokens} tokens, the model takes {most_tokens}"
        )
    writer.add_file(BOOK_FILE, book.to_bytes())
    return {"prompt_book": BOOK_FILE, "num_prompts": len(book), "prompt_book_encoder": book.encoder}


def _run(writer: BundleWriter, inputs: Mapping[str, Tensor]) -> NDArray[np.float32]:
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    result = run_graph(writer.folder / "text_encoder.onnx", feed)
    return np.asarray(result["text_features"], np.float32)
