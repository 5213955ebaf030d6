from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from click.testing import CliRunner
from parity import exported
from safetensors.numpy import load_file

from motionrt.cli.main import cli
from motionrt.export.bundle import save_model
from motionrt.export.running import run_graph
from motionrt.export.to_tensorrt import (
    EngineTarget,
    _profile,
    build_engines,
    parse_capability,
    with_float_weights,
)
from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.cuda import CudaDevice
from motionrt.runtime.backend.engines import has_engine, held_target, load_engines
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, ExportError, InputError

pytestmark = pytest.mark.slow

HAS_RTX = importlib.util.find_spec("tensorrt_rtx_bindings") is not None
needs_rtx = pytest.mark.skipif(not HAS_RTX, reason="TensorRT for RTX is not installed")
TARGET = EngineTarget("tensorrt-rtx", "89", max_frames=32, max_batch=2, max_steps=20)


@pytest.fixture(scope="module")
def bundle(smplx_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = exported.export("kimodo", str(smplx_checkpoint), "--no-text-encoder")
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("engines") / "bundle"))


@needs_rtx
@pytest.mark.tensorrt
def test_builds_step_loop_and_decoder_without_a_gpu(bundle: Path) -> None:
    names = ("step", "sampler", "decoder")
    build_engines(bundle, TARGET, names)
    opened = Bundle(bundle)
    opened.check_hashes(opened.manifest.files)
    backend = Backend("tensorrt-rtx", (), 1, CudaDevice("a GPU", "89"))
    for name in names:
        assert has_engine(opened, name, backend)
    import tensorrt_rtx_bindings

    version = tensorrt_rtx_bindings.__version__
    engines = load_engines(opened, backend, version)
    assert engines.graphs["sampler"].profile["x"][2] == (2, 32, 273)
    assert engines.graphs["sampler"].profile["timesteps"] == ((1, 1), (20, 1), (20, 1))
    assert set(engines.graphs["step"].onnx) == {"step.onnx", "step.weights"}
    # Built again, the engines of the target make way and others stay.
    build_engines(bundle, TARGET, ["decoder"])
    again = Bundle(bundle)
    assert has_engine(again, "decoder", backend)
    assert not has_engine(again, "sampler", backend)
    other = Backend("tensorrt-rtx", (), 1, CudaDevice("a GPU", "120"))
    with pytest.raises(BackendError, match="no engines for tensorrt-rtx-sm120"):
        has_engine(again, "decoder", other)


@needs_rtx
@pytest.mark.tensorrt
def test_says_why_it_cannot_build(bundle: Path, smplx_checkpoint: Path) -> None:
    with pytest.raises(BackendError, match=r"builds for sm .*89.*, not 61"):
        build_engines(bundle, EngineTarget("tensorrt-rtx", "61"), ["decoder"])
    options = ("--no-text-encoder", "--precision", "int8")
    int8 = exported.export("kimodo", str(smplx_checkpoint), *options)
    with pytest.raises(ExportError, match="engines are built of fp32 and fp16 bundles"):
        build_engines(int8, TARGET, ["step"])
    assert json.loads((int8 / "manifest.json").read_text())["graphs"]["step"]["files"] == {
        "onnx": "step.onnx"
    }


@needs_rtx
@pytest.mark.tensorrt
def test_command_builds_into_a_bundle(bundle: Path) -> None:
    arguments = ["engine", str(bundle), "--engine", "tensorrt-rtx", "--sm", "8.6"]
    arguments += ["--max-frames", "16", "--graph", "decoder"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "tensorrt-rtx-sm86 decoder:" in result.output
    assert "tensorrt-rtx-sm86" in Bundle(bundle).manifest.graphs["decoder"].files


def test_profiles_follow_the_axes(bundle: Path) -> None:
    graph = Bundle(bundle).manifest.graphs["sampler"]
    profile = _profile(graph, EngineTarget("tensorrt-rtx", "89", max_frames=300))
    assert profile["x"] == ((1, 2, 273), (1, 150, 273), (4, 300, 273))
    assert profile["branch_text"] == ((1,), (2,), (3,))
    assert profile["schedule"] == ((1, 3), (20, 3), (1000, 3))


def test_text_encoders_take_as_many_tokens_as_their_tokenizer_gives(tmp_path: Path) -> None:
    own_copy = Path(shutil.copytree(embedded_bundle(), tmp_path / "bundle"))
    target = EngineTarget("tensorrt-rtx", "89")
    build_engines(own_copy, target, ["text_encoder"])
    engines = json.loads((own_copy / "engines" / target.name / "engine.json").read_text())
    most = Bundle(own_copy).manifest.text["rules"]["max_tokens"]
    profile = engines["graphs"]["text_encoder"]["profile"]
    assert profile["input_ids"] == [[1, 1], [1, 24], [4, most]]


def test_refuses_graphs_and_capabilities_that_there_are_not(bundle: Path) -> None:
    with pytest.raises(InputError, match="no graph hands"):
        build_engines(bundle, TARGET, ["hands"])
    with pytest.raises(InputError, match="max-frames 1"):
        build_engines(bundle, EngineTarget("tensorrt-rtx", "89", max_frames=1))
    assert {parse_capability(sm) for sm in ("89", "8.9", "sm89", "sm_89")} == {"89"}
    with pytest.raises(InputError, match="compute capability"):
        parse_capability("ada")


@needs_rtx
@pytest.mark.tensorrt
def test_builds_for_every_rtx_card_and_of_weights_in_int8(smplx_checkpoint: Path) -> None:
    options = ("--no-text-encoder", "--precision", "int8-weights")
    stored = exported.export("kimodo", str(smplx_checkpoint), *options)
    arguments = ["engine", str(stored), "--engine", "tensorrt-rtx", "--sm", "any"]
    arguments += ["--max-frames", "16", "--max-batch", "3", "--graph", "step"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "tensorrt-rtx-smany step:" in result.output
    opened = Bundle(stored)
    for sm in ("89", "120"):
        backend = Backend("tensorrt-rtx", (), 1, CudaDevice("a GPU", sm))
        assert held_target(opened, backend) == "tensorrt-rtx-smany"
        assert has_engine(opened, "step", backend)
    import tensorrt_rtx_bindings

    engines = load_engines(opened, backend, tensorrt_rtx_bindings.__version__)
    assert engines.graphs["step"].profile["x"][2] == (3, 16, 273)


def test_weights_in_int8_become_the_float32_that_the_graph_computes(
    smplx_checkpoint: Path, tmp_path: Path
) -> None:
    options = ("--no-text-encoder", "--precision", "int8-weights")
    stored = exported.export("kimodo", str(smplx_checkpoint), *options)
    model = with_float_weights(ir.load(stored / "step.onnx"))
    kinds = {value.const_value.dtype for value in model.graph.initializers.values()}  # type: ignore[union-attr]
    assert ir.DataType.INT8 not in kinds
    save_model(model, tmp_path / "step.onnx")
    reference = load_file(stored / "reference.safetensors")
    names = [tensor.name for tensor in Bundle(stored).manifest.graphs["step"].inputs]
    inputs = {name: reference[f"step/in/{name}"] for name in names}
    found, wanted = (
        run_graph(folder / "step.onnx", inputs, ["x0"])["x0"] for folder in (tmp_path, stored)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_engines_for_every_card_are_those_of_rtx(bundle: Path) -> None:
    with pytest.raises(InputError, match="--sm any is for tensorrt-rtx"):
        build_engines(bundle, EngineTarget("tensorrt", "any"), ["decoder"])
    with pytest.raises(InputError, match="max-batch 0"):
        build_engines(bundle, EngineTarget("tensorrt-rtx", "89", max_batch=0), ["decoder"])
    assert parse_capability("Any") == "any"
