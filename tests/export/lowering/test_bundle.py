"""The embedded default, lowered for every target, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from msgspec.structs import replace

import motionrt
from motionrt.export.lowering import bundle as lowering
from motionrt.export.lowering.bundle import _portable, lower, lower_in_place, resized
from motionrt.export.lowering.operators import rewrite
from motionrt.export.lowering.targets import Target, targets
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.external_data import external_data
from motionrt.runtime.bundle.manifest import (
    AxisInfo,
    Bundle,
    FileInfo,
    GraphInfo,
    PreparedForm,
    TensorInfo,
    sha256,
)
from motionrt.runtime.errors import BundleError, ExportError, ParityError
from motionrt.runtime.verification import verify


def quiet(_: str) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module", params=list(targets()))
def lowered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundle: Path
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    lower(Bundle(bundle), targets()[request.param], folder, quiet)
    return folder


def test_a_lowered_bundle_is_what_its_manifest_says(lowered: Path) -> None:
    opened = Bundle(lowered)
    made = opened.manifest.target
    assert made is not None
    target = targets()[made.name]
    assert (made.opset, made.ir_version) == (target.opset, target.ir_version)
    held = {path.relative_to(lowered).as_posix() for path in lowered.rglob("*") if path.is_file()}
    assert held == {"manifest.json", *opened.manifest.files}
    for name, graph in opened.manifest.graphs.items():
        if graph.loop is not None and not target.loops:
            assert not graph.files and not graph.data
            continue
        path = lowered / graph.files["onnx"]
        model = onnx.load(path, load_external_data=False)
        assert model.ir_version == target.ir_version
        assert {entry.domain: entry.version for entry in model.opset_import} == {"": target.opset}
        assert external_data(path) == set(graph.data)
        assert bool(graph.data) <= target.external_data
        assert graph.deviation["lowered"] <= 1e-4, name


def test_a_lowered_bundle_verifies_and_moves_as_the_original(lowered: Path, bundle: Path) -> None:
    assert all(result.passed for result in verify(Bundle(lowered), choose_backend("cpu")))
    expected, found = (
        motionrt.load(folder).generate("a person walks", seconds=1.0, seed=3, num_steps=4)
        for folder in (bundle, lowered)
    )
    np.testing.assert_allclose(found.posed_joints, expected.posed_joints, atol=1e-4)


def test_a_lowered_bundle_is_not_lowered_again(lowered: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"was lowered for .* already"):
        lower(Bundle(lowered), targets()["web"], tmp_path, quiet)


def test_in_place_nothing_of_the_original_is_left(own_copy: Path) -> None:
    engine = own_copy / "engines" / "rtx-sm89"
    engine.mkdir(parents=True)
    (engine / "decoder.engine").write_bytes(b"engine")
    manifest = Bundle(own_copy).manifest
    name = "engines/rtx-sm89/decoder.engine"
    decoder = manifest.graphs["decoder"]
    decoder = replace(decoder, files={**decoder.files, "rtx-sm89": name})
    replace(
        manifest,
        graphs={**manifest.graphs, "decoder": decoder},
        files={**manifest.files, name: FileInfo(6, sha256(own_copy / name))},
    ).write(own_copy)
    lower_in_place(own_copy, targets()["unity"], quiet)
    opened = Bundle(own_copy)
    assert opened.manifest.target is not None
    assert opened.manifest.graphs["decoder"].files == {"onnx": "decoder.onnx"}
    assert not (own_copy / "engines").exists()
    assert not (own_copy / "step.weights").exists()
    assert not list(own_copy.glob(".*"))


def test_a_graph_that_gives_other_numbers_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(model: ir.Model, target: Target) -> bool:
        for node in model.graph:
            if node.op_type == "Sin":
                node.op_type = "Cos"
        return rewrite(model, target)

    monkeypatch.setattr(lowering, "rewrite", spoiled)
    with pytest.raises(ParityError, match=r"^step/.*max \|diff\|"):
        lower(Bundle(bundle), targets()["web"], tmp_path, quiet)


def test_what_does_not_fit_into_one_file_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "LARGEST_FILE", 10**6)
    with pytest.raises(ExportError, match=r"do not fit into the one file of 2 GB that target web"):
        lower(Bundle(bundle), targets()["web"], tmp_path, quiet)


def test_a_damaged_bundle_is_refused(own_copy: Path, tmp_path: Path) -> None:
    content = bytearray((own_copy / "step.weights").read_bytes())
    content[5000] ^= 1
    (own_copy / "step.weights").write_bytes(content)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(BundleError, match=r"step\.weights: altered since export"):
        lower(Bundle(own_copy), targets()["web"], folder, quiet)


def test_other_sizes_stay_within_the_axes_limits() -> None:
    info = GraphInfo(
        files={},
        inputs=(
            TensorInfo("x", ("batch", "frames", 3), "float32"),
            TensorInfo("m", ("batch", "branches"), "bool"),
            TensorInfo("past", ("batch", "seen"), "float32"),
        ),
        outputs=(),
        atol=0,
        axes={"frames": AxisInfo(smallest=4), "branches": AxisInfo(largest=1)},
    )
    inputs = {"x": np.arange(15.0).reshape(1, 5, 3), "m": np.ones((1, 1), bool)}
    inputs["past"] = np.zeros((1, 0))
    other = resized(inputs, info)
    assert other["x"].shape == (2, 4, 3)
    assert other["m"].shape == (2, 1)
    assert other["past"].shape == (2, 0)
    np.testing.assert_array_equal(other["x"][1], inputs["x"][0, :4])


def test_forms_of_loops_for_a_backend_stay_behind(bundle: Path) -> None:
    graphs = Bundle(bundle).manifest.graphs
    sampler = graphs["sampler"]
    assert sampler.loop is not None
    forms = {"cuda": PreparedForm("prepare", "fused", "masked", {}, "counter", "lengths")}
    held = {**graphs, "sampler": replace(sampler, loop=replace(sampler.loop, forms=forms))}
    held |= dict.fromkeys(("prepare", "fused", "masked"), graphs["decoder"])
    assert _portable(held) == dict(graphs)
