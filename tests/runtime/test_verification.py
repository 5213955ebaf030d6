from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import Bundle, sha256
from motionrt.runtime.errors import BundleError
from motionrt.runtime.verification import REFERENCE_FILE, CheckResult, verify

CPU = choose_backend("cpu")


def change_reference(folder: Path, name: str, value: float) -> None:
    """Add a number to a stored output, and note the file's new hash."""
    path = folder / REFERENCE_FILE
    stored = load_file(path)
    stored[name] = stored[name] + np.float32(value)
    save_file(stored, path)
    document = json.loads((folder / "manifest.json").read_text())
    document["files"][REFERENCE_FILE] = {"size": path.stat().st_size, "sha256": sha256(path)}
    (folder / "manifest.json").write_text(json.dumps(document))


def test_every_output_of_every_graph_is_compared(bundle: Path) -> None:
    opened = Bundle(bundle)
    results = list(verify(opened, CPU))
    assert all(result.passed for result in results), results
    assert results[0].what == "files"
    assert [result.what for result in results[1:]] == [
        f"{name}/{tensor.name}"
        for name, graph in opened.manifest.graphs.items()
        for tensor in graph.outputs
    ]


@pytest.mark.parametrize("value", [0.1, float("nan")])
def test_a_number_that_is_off_fails_its_output_alone(own_copy: Path, value: float) -> None:
    change_reference(own_copy, "decoder/out/root_positions", value)
    failed = {result.what: result for result in verify(Bundle(own_copy), CPU) if not result.passed}
    assert set(failed) == {"decoder/root_positions"}
    assert failed["decoder/root_positions"].difference > 100


def test_altered_files_are_not_run(own_copy: Path) -> None:
    path = own_copy / "decoder.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    (result,) = verify(Bundle(own_copy), CPU)
    assert not result.passed and "decoder.onnx: altered" in result.message


def test_a_graph_that_cannot_be_opened_fails_and_the_others_are_checked(
    own_copy: Path,
) -> None:
    path = own_copy / "text_encoder.onnx"
    path.write_bytes(path.read_bytes()[:100])
    document = json.loads((own_copy / "manifest.json").read_text())
    document["files"][path.name] = {"size": 100, "sha256": sha256(path)}
    (own_copy / "manifest.json").write_text(json.dumps(document))
    failed = [result for result in verify(Bundle(own_copy), CPU) if not result.passed]
    assert [result.what for result in failed] == ["text_encoder"]
    assert "cannot load it" in failed[0].message


def test_a_difference_is_a_share_of_what_is_allowed() -> None:
    assert CheckResult("a", "", 1.0).passed and not CheckResult("a", "", 1.01).passed


def test_weights_that_the_manifest_does_not_list_fail_their_graph(own_copy: Path) -> None:
    document = json.loads((own_copy / "manifest.json").read_text())
    for name in ("step", "sampler"):
        document["graphs"][name]["data"] = []
    del document["files"]["step.weights"]
    (own_copy / "manifest.json").write_text(json.dumps(document))
    failed = [result for result in verify(Bundle(own_copy), CPU) if not result.passed]
    assert {result.what for result in failed} == {"step", "sampler"}
    assert "step.weights are not listed in the manifest" in failed[0].message


def test_a_stored_run_that_is_missing_or_of_another_shape_fails_its_graph(own_copy: Path) -> None:
    path = own_copy / REFERENCE_FILE
    stored = load_file(path)
    del stored["decoder/in/features"]
    stored["text_encoder/out/text_features"] = np.zeros((1, 2), np.float32)
    save_file(stored, path)
    document = json.loads((own_copy / "manifest.json").read_text())
    document["files"][REFERENCE_FILE] = {"size": path.stat().st_size, "sha256": sha256(path)}
    (own_copy / "manifest.json").write_text(json.dumps(document))
    failed = [result for result in verify(Bundle(own_copy), CPU) if not result.passed]
    assert {result.what for result in failed} == {"decoder", "text_encoder/text_features"}
    path.write_bytes(b"x")
    document["files"][REFERENCE_FILE] = {"size": 1, "sha256": sha256(path)}
    (own_copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="no safetensors file"):
        list(verify(Bundle(own_copy), CPU))
