"""What runs a graph, chosen by the backend; and graphs that pipelines share."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_tensorrt import BACKEND, TARGET, add_engine
from msgspec import structs

import motionrt
from motionrt.runtime.backend import opening
from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.graph import find_graph
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.backend.step_driver import StepDriver, drives
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, BundleError
from motionrt.runtime.verification import verify

CPU = choose_backend("cpu")


def test_only_cuda_drives_the_loop(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Bundle(bundle)
    assert drives(opened.manifest.graphs["sampler"])
    assert not drives(opened.manifest.graphs["decoder"])
    assert isinstance(open_graph(opened, "sampler", CPU), OnnxSession)
    made: list[object] = []
    monkeypatch.setattr(opening, "StepDriver", lambda *arguments: made.append(arguments))
    cuda = Backend("cuda", (("CUDAExecutionProvider", {}),), 0)
    open_graph(opened, "sampler", cuda)
    assert made == [(opened, "sampler", cuda)]


def without_the_loop(bundle: Path) -> None:
    """Leave the loop to the host, as ``motionrt lower`` does for some targets."""
    manifest = Bundle(bundle).manifest
    graphs = dict(manifest.graphs)
    graphs["sampler"] = structs.replace(graphs["sampler"], files={}, data=())
    files = {name: info for name, info in manifest.files.items() if name != "sampler.onnx"}
    (bundle / "sampler.onnx").unlink()
    structs.replace(manifest, graphs=graphs, files=files).write(bundle)


def test_a_loop_without_a_file_is_run_step_by_step(bundle: Path, own_copy: Path) -> None:
    without_the_loop(own_copy)
    assert isinstance(open_graph(Bundle(own_copy), "sampler", CPU), StepDriver)
    with pytest.raises(BundleError, match="the loop sampler is none in this bundle"):
        OnnxSession(Bundle(own_copy), "sampler", CPU)
    told: list[int] = []
    expected, found = (
        motionrt.load(folder).generate(
            *("a person walks", 1.0), seed=3, num_steps=4, progress=lambda _s, i, _n: told.append(i)
        )
        for folder in (bundle, own_copy)
    )
    np.testing.assert_allclose(found.posed_joints, expected.posed_joints, atol=1e-4)
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    assert all(result.passed for result in verify(Bundle(own_copy), CPU))


@pytest.mark.parametrize("rounds_activations", [True, False])
def test_dynamic_int8_is_refused_on_cuda_with_the_command(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch, rounds_activations: bool
) -> None:
    opened = Bundle(own_copy)
    graphs = opened.manifest.graphs
    sampler = structs.replace(graphs["sampler"], precision="int8")
    content = b"DynamicQuantizeLinear" if rounds_activations else b"MatMulNBits"
    monkeypatch.setattr(Path, "read_bytes", lambda path: content)
    cuda = Backend("cuda", (("CUDAExecutionProvider", {}),), 0)
    opened.manifest = structs.replace(opened.manifest, graphs={**graphs, "sampler": sampler})
    made: list[object] = []
    monkeypatch.setattr(opening, "StepDriver", lambda *arguments: made.append(arguments))
    if rounds_activations:
        refused = r"sampler is in int8.*export kimodo .* --precision fp16"
        with pytest.raises(BackendError, match=refused):
            open_graph(opened, "sampler", cuda)
    else:
        open_graph(opened, "sampler", cuda)
        assert made == [(opened, "sampler", cuda)]


def in_a_hubs_cache(bundle: Path, cache: Path) -> Path:
    """Lay a bundle out as the Hugging Face Hub's library does: links to files named by hashes."""
    blobs, snapshot = cache / "models--us--walks" / "blobs", cache / "models--us--walks/snapshots/1"
    blobs.mkdir(parents=True)
    (snapshot / "default").mkdir(parents=True)
    for file in bundle.iterdir():
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        (snapshot / "default" / file.name).symlink_to(Path("../../../blobs") / blob.name)
    return snapshot / "default"


def of_two_names(bundle: Path, other: Path) -> Path:
    """Give every file of a bundle a second name."""
    other.mkdir()
    for file in bundle.iterdir():
        shutil.copyfile(file, other / file.name)
    return Path(shutil.copytree(other, other.with_name("linked"), copy_function=os.link))


@pytest.mark.parametrize("layout", [in_a_hubs_cache, of_two_names])
def test_weights_behind_links_give_the_same_motion(
    bundle: Path, tmp_path: Path, layout: Callable[[Path, Path], Path]
) -> None:
    linked = motionrt.load(layout(bundle, tmp_path / "cache"), backend="cpu")
    wanted, found = (
        pipeline.generate("a person walks", 1.0, seed=3, num_steps=4)
        for pipeline in (motionrt.load(backend="cpu"), linked)
    )
    assert np.array_equal(found.local_rotations, wanted.local_rotations)
    assert np.array_equal(found.root_positions, wanted.root_positions)


def test_bundle_without_engines_is_refused_with_the_command(bundle: Path) -> None:
    with pytest.raises(BackendError, match=r"no engines for .*motionrt engine .* --sm 89"):
        open_graph(Bundle(bundle), "decoder", BACKEND)


def test_graph_without_engine_beside_others_runs_on_the_cpu(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = add_engine(own_copy)
    assert open_graph(opened, "sampler", BACKEND).runs_on == "cpu"
    made: list[object] = []
    monkeypatch.setattr(opening, "TensorRTSession", lambda *arguments: made.append(arguments))
    open_graph(opened, "decoder", BACKEND)
    assert made == [(opened, "decoder", BACKEND)]
    assert find_graph(opened, "decoder", TARGET).files[TARGET].endswith(".engine")


def test_a_graph_that_is_not_there_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"no graph encoder in this bundle \(it has: step, samp"):
        open_graph(Bundle(bundle), "encoder", CPU)


def test_one_graph_is_loaded_once_and_other_settings_are_another(bundle: Path) -> None:
    first, second = (open_graph(Bundle(bundle), "decoder", CPU) for _ in range(2))
    assert first is second
    assert open_graph(Bundle(bundle), "decoder", choose_backend("cpu", 1)) is not first


def test_an_altered_bundle_is_not_taken_for_the_loaded_one(own_copy: Path) -> None:
    opened = Bundle(own_copy)
    loaded = open_graph(opened, "decoder", CPU)
    weights = own_copy / "decoder.onnx"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    manifest = own_copy / "manifest.json"
    before = opened.manifest.files["decoder.onnx"].sha256
    digest = hashlib.sha256(content).hexdigest()
    manifest.write_text(manifest.read_text().replace(before, digest))
    assert open_graph(Bundle(own_copy), "decoder", CPU) is not loaded


def test_what_nobody_uses_is_not_kept(own_copy: Path) -> None:
    gc.collect()  # what other tests left
    before = len(opening._sessions)
    session = open_graph(Bundle(own_copy), "decoder", CPU)
    assert len(opening._sessions) == before + 1
    del session
    gc.collect()
    assert len(opening._sessions) == before
