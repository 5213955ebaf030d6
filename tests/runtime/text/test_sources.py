import json
from pathlib import Path

import numpy as np
import pytest
from local_server import serving
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import FILE_NAME, Bundle, sha256
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.pipeline import load
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.runtime.text.sources import BundleTextEncoder
from motionrt.serving.text_encoder import TextEncoderServer

WIDTH = 128
PROMPTS = ["A person walks forward.", "Someone jumps."]


def _rows() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(2, WIDTH)).astype(np.float32)


def _with_book(folder: Path, keep_encoder: bool) -> KimodoPipeline:
    """Put a prompt book into a bundle, as the exporter does."""
    path = folder / "prompts.safetensors"
    PromptBook(PROMPTS, _rows()).save(path)
    manifest = json.loads((folder / FILE_NAME).read_text())
    manifest["text"]["prompt_book"] = path.name
    manifest["files"][path.name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    if not keep_encoder:
        graph = manifest["graphs"].pop("text_encoder")
        for name in (*graph["files"].values(), *graph["data"]):
            manifest["files"].pop(name)
    (folder / FILE_NAME).write_text(json.dumps(manifest))
    pipeline = load(folder, "cpu")
    assert isinstance(pipeline, KimodoPipeline)
    return pipeline


def test_a_book_alone_serves_known_prompts_and_refuses_others(own_copy: Path) -> None:
    pipeline = _with_book(own_copy, keep_encoder=False)
    features, mask = pipeline.encode_text(["a person walks forward", ""])
    np.testing.assert_array_equal(features[0, 0], _rows()[0])
    assert not features[1].any()
    assert list(mask[:, 0]) == [True, False]
    with pytest.raises(
        InputError,
        match=r"bundle.prompts\.safetensors: no prompt 'A person hops\.'; nearest are",
    ) as told:
        pipeline.encode_text(["a person hops"])
    assert str(told.value).startswith(str(pipeline.bundle.folder))


def test_an_encoder_serves_what_the_book_does_not_know(own_copy: Path) -> None:
    encoder = BundleTextEncoder(Bundle(own_copy), choose_backend("cpu"))
    pipeline = _with_book(own_copy, keep_encoder=True)
    features, _ = pipeline.encode_text(["someone jumps", "someone hops"])
    np.testing.assert_array_equal(features[0, 0], _rows()[1])
    np.testing.assert_array_equal(features[1, 0], encoder.encode(["Someone hops."])[0])


def test_a_server_is_asked_for_everything(own_copy: Path) -> None:
    pipeline = _with_book(own_copy, keep_encoder=True)
    asked: list[str] = []

    def encode(prompt: str) -> NDArray[np.float32]:
        asked.append(prompt)
        return np.full(WIDTH, len(prompt), np.float32)

    with serving(TextEncoderServer(encode, port=0)) as server:
        pipeline.use_text_encoder(server.url)
        features, _ = pipeline.encode_text(["someone jumps", "someone jumps"])
    assert asked == ["Someone jumps."], "cleaned, and asked once"
    assert (features == 14).all()
    with pytest.raises(BackendError, match="cannot connect"):
        pipeline.encode_text(["another"])


def test_single_prompts_and_batches_agree(bundle: Path) -> None:
    encoder = BundleTextEncoder(Bundle(bundle), choose_backend("cpu"))
    together = encoder.encode([*PROMPTS, "Jump!"])
    alone = np.concatenate([encoder.encode([prompt]) for prompt in (*PROMPTS, "Jump!")])
    np.testing.assert_allclose(together, alone, rtol=0, atol=3e-6)
    assert encoder.description["text_width"] == WIDTH


def test_a_bundle_without_any_source_says_so(own_copy: Path) -> None:
    manifest = json.loads((own_copy / FILE_NAME).read_text())
    del manifest["graphs"]["text_encoder"]
    manifest["text"] = {}
    (own_copy / FILE_NAME).write_text(json.dumps(manifest))
    pipeline = load(own_copy, "cpu")
    assert isinstance(pipeline, KimodoPipeline)
    with pytest.raises(InputError, match="neither text encoder nor prompt book"):
        pipeline.encode_text(["walk"])
    with pytest.raises(InputError, match="kimodo bundle holds no text encoder"):
        BundleTextEncoder(Bundle(own_copy), choose_backend("cpu"))
