from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from parity import exported
from safetensors.numpy import load_file

from motionrt.cli.main import main
from motionrt.export import bundle as bundle_module
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import ExportError
from motionrt.runtime.verification import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["int8", "fp16"])
def reduced(request: pytest.FixtureRequest, smplx_checkpoint: Path) -> Bundle:
    options = ("--no-text-encoder", "--precision", str(request.param))
    return Bundle(exported.export("kimodo", str(smplx_checkpoint), *options))


def test_states_precision_and_what_it_costs(reduced: Bundle) -> None:
    for name in ("step", "sampler"):
        graph = reduced.manifest.graphs[name]
        assert graph.precision in ("int8", "fp16")
        assert 0 < graph.deviation["relative"]
        assert 0 < graph.deviation["motion_joints_cm"]
    assert reduced.manifest.graphs["decoder"].precision == "fp32"
    assert not any("fp32" in name for name in reduced.manifest.files)


def test_verifies_within_its_own_tolerance(reduced: Bundle) -> None:
    assert all(result.passed for result in verify(reduced, choose_backend("cpu")))


def test_runs_here_as_it_was_checked_at_export(reduced: Bundle) -> None:
    stored = load_file(reduced.path("reference.safetensors"))
    graph = reduced.manifest.graphs["sampler"]
    inputs = {t.name: stored[f"sampler/in/{t.name}"] for t in graph.inputs}
    found = open_graph(reduced, "sampler", choose_backend("cpu")).run(inputs)
    largest = max(
        np.abs(found[t.name].astype(np.float64) - stored[f"sampler/out/{t.name}"]).max()
        for t in graph.outputs
    )
    assert largest == graph.deviation["export"]  # the loop is checked on this one set of inputs


def test_allows_what_another_rounding_may_do(reduced: Bundle) -> None:
    for name in ("step", "sampler"):
        graph = reduced.manifest.graphs[name]
        assert graph.deviation["rounding"] > 0
        assert graph.atol > 1.5 * (graph.deviation["export"] + graph.deviation["rounding"])


def test_loop_holds_its_weights_in_the_body_and_shares_the_file(reduced: Bundle) -> None:
    graphs = reduced.manifest.graphs
    assert graphs["sampler"].data == graphs["step"].data == ("step.weights",)
    model = ir.load(reduced.path("sampler.onnx"))
    assert not model.graph.initializers
    (body,) = {id(graph): graph for graph in model.graph.subgraphs()}.values()
    kinds = {value.const_value.dtype for value in body.initializers.values()}  # type: ignore[union-attr]
    wanted = {"int8": ir.DataType.INT8, "fp16": ir.DataType.FLOAT16}
    assert wanted[graphs["step"].precision] in kinds


def test_maps_from_and_to_features_stay_exact(reduced: Bundle) -> None:
    model = ir.load(reduced.path("step.onnx"))
    kept = [
        name
        for name, value in model.graph.initializers.items()
        if "put_linear.weight" in name and value.const_value.dtype == ir.DataType.FLOAT  # type: ignore[union-attr]
    ]
    assert len(kept) == 4, list(model.graph.initializers)


def test_warns_of_motions_that_are_far_off(
    smplx_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(tmp_path / "bundle")
    arguments = ["export", "kimodo", str(smplx_checkpoint), "--no-text-encoder", "-o", bundle]
    arguments += ["--licence", "CC0-1.0"]
    main([*arguments, "--precision", "int8", "--quiet"])
    found = capsys.readouterr()
    assert found.out == ""
    # The weights are random: in few bits they are another model.
    wanted = (
        r"Warning: denoiser in int8: joints are [0-9.]+ cm from where fp32 puts them "
        r"\(above 5 is bad\).*; use --precision int8-weights or fp32\n"
    )
    assert re.fullmatch(wanted, found.err), found.err
    main(["inspect", bundle])
    assert "      bad: joints are " in capsys.readouterr().out
    main([*arguments, "--precision", "fp16", "--quiet", "--force"])
    assert capsys.readouterr().err == ""


def test_refuses_a_precision_that_loses_the_model(
    smplx_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MAX_DEVIATION", 1e-6)
    arguments = ("kimodo", str(smplx_checkpoint), "--no-text-encoder", "--precision", "int8")
    with pytest.raises(ExportError, match="deviates from fp32"):
        exported.export(*arguments, "--quiet")
