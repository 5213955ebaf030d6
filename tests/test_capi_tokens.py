"""Models that take several tokens of a text: the C library and Python on one bundle."""

import ctypes
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import motionrt
from motionrt import capi
from motionrt.capi.shared_library import check
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.text.prompt_book import PromptBook

pytestmark = pytest.mark.slow

WIDTH = 32
BOOK = ("A person walks.", "A person jumps.", "Someone waves.")
SHORT: dict[str, Any] = {"num_frames": 24, "num_steps": 4, "seed": 3}
POSITIONS = 3e-4
"""Metres: what the runtimes may differ by (see test_capi.py)."""


def tokens() -> NDArray[np.float32]:
    """Embeddings (3, 4, W) of the book's prompts: of four tokens, two and one."""
    found = np.random.default_rng(0).normal(size=(3, 4, WIDTH)).astype(np.float32)
    found[1, 2:] = 0
    found[2, 1:] = 0
    return found


def put(folder: Path, change: Any, **files: bytes) -> Path:
    """Change a bundle's manifest, and put files into it."""
    document = json.loads((folder / "manifest.json").read_text())
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
        document["files"][name.replace("__", ".")] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
    change(document)
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def embedder(bundle: Path) -> bytes:
    """A graph that looks a token's embedding up, for each token."""
    document = json.loads((bundle / "manifest.json").read_text())
    entry = document["graphs"]["text_encoder"]
    old = onnx.load(bundle / entry["files"]["onnx"], load_external_data=False)
    table = np.random.default_rng(1).normal(size=(4096, WIDTH)).astype(np.float32)
    table[0] = 0
    output = onnx.helper.make_tensor_value_info(
        "text_features", onnx.TensorProto.FLOAT, ["batch", "tokens", WIDTH]
    )
    node = onnx.helper.make_node("Gather", ["table", "input_ids"], ["text_features"])
    graph = onnx.helper.make_graph(
        [node],
        "tokens",
        list(old.graph.input),
        [output],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    opset = onnx.helper.make_opsetid("", 18)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def with_book(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose prompt book has several tokens a prompt; its encoder gives one."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("book") / "bundle"))
    book = PromptBook(BOOK, tokens()).to_bytes()
    return put(
        folder,
        lambda document: document["text"].update(prompt_book="book.safetensors"),
        book__safetensors=book,
    )


@pytest.fixture(scope="module")
def with_encoder(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose text encoder gives an embedding for each token."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("encoder") / "bundle"))

    def change(document: dict[str, Any]) -> None:
        entry = document["graphs"]["text_encoder"]
        entry["files"]["onnx"] = "tokens.onnx"
        entry["data"] = []
        entry["outputs"][0]["axes"] = ["batch", "tokens", WIDTH]
        document["text"]["rules"].update(prefix="", suffix="")

    return put(folder, change, tokens__onnx=embedder(folder))


def same(found: capi.Motion, expected: motionrt.Motion) -> None:
    assert found.root_positions is not None and found.global_positions is not None
    for ours, theirs in (
        (found.root_positions, expected.root_positions),
        (found.global_positions, expected.posed_joints),
    ):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=POSITIONS)


def apart(one: capi.Motion, other: capi.Motion) -> float:
    assert one.root_positions is not None and other.root_positions is not None
    return float(np.abs(np.asarray(one.root_positions) - np.asarray(other.root_positions)).max())


@pytest.mark.parametrize("which", ["with_book", "with_encoder"])
def test_prompts_make_the_motions_of_python(which: str, request: pytest.FixtureRequest) -> None:
    bundle = request.getfixturevalue(which)
    c_pipeline, pipeline = capi.Pipeline(bundle), motionrt.load(bundle)
    assert c_pipeline.max_text_tokens == 8
    features, mask = pipeline.encode_text([*BOOK, "runs", ""])
    assert features.shape[1] > 1 and mask[0].sum() > mask[2].sum() and not mask[4].any()
    single = c_pipeline.generate(BOOK[0], **SHORT)
    same(single, pipeline.generate(BOOK[0], **SHORT))
    # Prompts of other lengths beside it, one of one vector, one blank.
    prompts = [*BOOK, "runs", ""]
    found = c_pipeline.generate_many(prompts, num_samples=2, **SHORT)
    for ours, theirs in zip(
        found, pipeline.generate_many(prompts, num_samples=2, **SHORT), strict=True
    ):
        same(ours, theirs)
    request_document = {"prompts": prompts[:2], **SHORT}
    (ours,) = c_pipeline.generate_json(json.dumps(request_document))
    same(ours, pipeline.generate(prompts[:2], **SHORT))


def test_stored_embeddings_stand_for_prompts(with_book: Path) -> None:
    c_pipeline = capi.Pipeline(with_book)
    rows = np.zeros((3, 4, WIDTH), np.float32)
    for row, prompt in zip(rows, BOOK, strict=True):
        embedding = np.atleast_2d(np.asarray(c_pipeline.embed(prompt)))
        row[: len(embedding)] = embedding
    np.testing.assert_array_equal(rows, tokens())
    blank = np.asarray(c_pipeline.embed(""))
    assert blank.shape == (WIDTH,) and not blank.any()
    stored: dict[str, Any] = {"embedding": rows, "num_embedding_tokens": 4}
    expected = c_pipeline.generate_many(list(BOOK), **SHORT)
    found = c_pipeline.generate_many(["", "", ""], **SHORT, **stored)
    for ours, theirs in zip(found, expected, strict=True):
        assert apart(ours, theirs) == 0
    (expected_one,) = c_pipeline.generate_sequence(list(BOOK), **SHORT)
    document = json.dumps({"prompts": ["", "", ""], **SHORT})
    (found_one,) = c_pipeline.generate_json(document, **stored)
    assert apart(found_one, expected_one) == 0
    # Longer than the model was trained on: each prompt by itself, in parts.
    long = {**SHORT, "num_frames": 320, "num_steps": 2}
    for ours, theirs in zip(
        c_pipeline.generate_many(["", "", ""], **long, **stored),
        c_pipeline.generate_many(list(BOOK), **long),
        strict=True,
    ):
        assert apart(ours, theirs) == 0


def test_a_mask_says_which_tokens_there_are(with_book: Path) -> None:
    c_pipeline = capi.Pipeline(with_book)
    pipeline: Any = motionrt.load(with_book)
    rows, frames = tokens(), SHORT["num_frames"]
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    noise = TorchGenerator(1).randn((3, frames, c_pipeline.num_features))
    expected = pipeline.sample(rows, noise, text_mask=mask, num_steps=SHORT["num_steps"])
    given = {"embedding": rows, "num_embedding_tokens": 4, "noise": noise}
    found = c_pipeline.generate_many(["", "", ""], **SHORT, **given, embedding_mask=mask)
    for row, motion in zip(expected, found, strict=True):
        np.testing.assert_allclose(np.asarray(motion.features), row, rtol=0, atol=1e-3)
    unmasked = c_pipeline.generate_many(["", "", ""], **SHORT, **given)
    assert apart(unmasked[1], found[1]) < POSITIONS  # its filling is zeros
    assert apart(unmasked[2], found[2]) > POSITIONS


def test_too_many_tokens_are_refused(with_book: Path, with_encoder: Path) -> None:
    c_pipeline = capi.Pipeline(with_book)
    given = {"embedding": np.zeros((9, WIDTH), np.float32), "num_embedding_tokens": 9}
    with pytest.raises(InputError, match="9 tokens a prompt, this model takes 1 to 8"):
        c_pipeline.generate("", **SHORT, **given)
    with pytest.raises(InputError, match="go with an embedding"):
        c_pipeline.generate("", **SHORT, num_embedding_tokens=2)
    with pytest.raises(InputError, match="the embedding has 4 tokens; mrt_embed_tokens"):
        row = (ctypes.c_float * WIDTH)()
        check(capi.library().mrt_embed(c_pipeline._handle, BOOK[0].encode(), row, WIDTH))
    long = " ".join(["a person walks"] * 9)
    with pytest.raises(BundleError, match="tokens, the model takes 1 to 8"):
        capi.Pipeline(with_encoder).generate(long, **SHORT)
    with pytest.raises(BundleError, match=r"not \(32,\) or \(1 to 8, 32\)"):
        motionrt.load(with_encoder).generate(long, **SHORT)
