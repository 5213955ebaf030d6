from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, load, save
from onnx.numpy_helper import from_array, to_array

import motionrt
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle, sha256
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.shipped import Shipped, read_shipped


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return read_shipped(embedded_bundle())


@pytest.fixture
def own_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded_bundle(), tmp_path / "bundle"))


def test_the_embedded_default_is_read_with_its_sizes(shipped: Shipped) -> None:
    config = shipped.model.config
    assert (config.latent_dim, config.num_layers, config.num_heads) == (256, 4, 4)
    assert sum(p.numel() for p in shipped.model.parameters()) == 5_948_177
    assert shipped.digest == read_shipped(embedded_bundle()).digest


def test_its_statistics_are_those_that_the_runtime_uses(shipped: Shipped) -> None:
    features: MotionFeatures = motionrt.load(backend="cpu").features
    std = torch.cat((shipped.stats.global_root[1], shipped.stats.body[1])).numpy()
    np.testing.assert_array_equal(std, features.std)


def test_its_encoder_gives_what_the_runtime_gives(shipped: Shipped) -> None:
    texts = ["A person walks.", "Someone waves."]
    pipeline = motionrt.load(backend="cpu")
    expected, _ = pipeline.encode_text(texts)
    np.testing.assert_allclose(shipped.encoder()(texts), expected[:, 0], atol=1e-5)


def test_another_model_is_refused(own_copy: Path) -> None:
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    document["sampler"]["num_text_tokens"] = 50
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="train-default made"):
        read_shipped(own_copy)


def test_a_graph_that_computes_something_else_is_refused(own_copy: Path) -> None:
    model = load(str(own_copy / "step.onnx"), load_external_data=False)
    # A constant of the graph that is no weight of the model: the sinusoid of time.
    tensor = next(t for t in model.graph.initializer if t.name.endswith("root_model.frequencies"))
    assert tensor.data_type == TensorProto.FLOAT
    tensor.CopyFrom(from_array(to_array(tensor) * np.float32(2), tensor.name))
    save(model, str(own_copy / "step.onnx"))
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    for name in ("step.onnx",):
        document["files"][name] = {
            "size": (own_copy / name).stat().st_size,
            "sha256": sha256(own_copy / name),
        }
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="computes something else"):
        read_shipped(own_copy)


def test_its_text_encoder_moves_to_another_bundle(shipped: Shipped, own_copy: Path) -> None:
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    document["text"] = {}
    for name in ("text_encoder.onnx", "text_encoder.weights", "tokenizer.json"):
        (own_copy / name).unlink()
        del document["files"][name]
    del document["graphs"]["text_encoder"]
    path.write_text(json.dumps(document))
    shipped.copy_text_encoder(own_copy)
    moved, source = Bundle(own_copy).manifest, shipped.bundle.manifest
    assert moved.graphs["text_encoder"] == source.graphs["text_encoder"]
    assert moved.files["text_encoder.weights"] == source.files["text_encoder.weights"]
    assert "known_prompts" not in moved.text and moved.text["tokenizer"] == "tokenizer.json"
    motion = motionrt.load(own_copy, backend="cpu").generate("a person walks", seconds=1.0, seed=0)
    assert np.isfinite(motion.posed_joints).all()
