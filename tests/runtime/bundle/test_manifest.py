from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError
from motionrt.runtime.pipeline import load


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_lists_every_file_of_the_bundle(tiny_bundle: Path) -> None:
    listed = set(Bundle(tiny_bundle).manifest.files)
    found = {p.relative_to(tiny_bundle).as_posix() for p in tiny_bundle.rglob("*") if p.is_file()}
    assert found - listed == {"manifest.json"}
    assert listed <= found


def test_says_nothing_of_the_machine_that_made_it(tiny_bundle: Path) -> None:
    for path in tiny_bundle.iterdir():
        content = path.read_bytes()
        for place in (ROOT, Path(sys.prefix), Path.home() / ""):
            assert f"{place}/".encode() not in content, f"{path.name} names {place}"
        assert b'.py"' not in content, f"{path.name} names a source file"


def rename_graph_file(document: dict[str, Any]) -> None:
    document["graphs"]["decoder"]["files"]["onnx"] = "elsewhere.onnx"


def leave_the_bundle(document: dict[str, Any]) -> None:
    document["files"]["../outside"] = {"size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=99), "schema 99, this runtime reads 1 and 2"),
        (lambda d: d.pop("schema"), "schema None"),
        (lambda d: d.pop("graphs"), "missing required field `graphs`"),
        (lambda d: d.update(colour="red"), "unknown field `colour`"),
        (lambda d: d.update(graphs=[]), "damaged"),
        (lambda d: d.update(family="opera"), "family 'opera' is unknown"),
        (rename_graph_file, "names elsewhere.onnx, which is not listed"),
        (leave_the_bundle, "leaves the bundle"),
    ],
)
def test_refuses_a_manifest(
    own_bundle: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(own_bundle, change)
    with pytest.raises(BundleError, match=message) as refusal:
        load(own_bundle)
    assert "\n" not in str(refusal.value)


def test_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle(tmp_path)


def test_refuses_a_truncated_file(own_bundle: Path) -> None:
    weights = own_bundle / "step.weights"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"step\.weights: \d+ bytes, should be"):
        load(own_bundle)


def test_refuses_a_missing_file(own_bundle: Path) -> None:
    (own_bundle / "decoder.onnx").unlink()
    with pytest.raises(BundleError, match=r"decoder\.onnx: missing"):
        load(own_bundle)


def test_refuses_an_altered_weight_before_it_is_used(own_bundle: Path) -> None:
    weights = own_bundle / "step.weights"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"step\.weights: altered since export"):
        load(own_bundle).generate("")


def test_refuses_an_altered_graph_in_a_folder_of_the_bundle(own_bundle: Path) -> None:
    (own_bundle / "graphs").mkdir()
    shutil.copy(own_bundle / "decoder.onnx", own_bundle / "graphs" / "decoder.onnx")

    def move(document: dict[str, Any]) -> None:
        info = {**document["files"]["decoder.onnx"], "sha256": "0" * 64}
        document["files"]["graphs/decoder.onnx"] = info
        document["graphs"]["decoder"]["files"]["onnx"] = "graphs/decoder.onnx"

    edit(own_bundle, move)
    with pytest.raises(BundleError, match=r"graphs.decoder\.onnx: altered since export"):
        load(own_bundle).graph("decoder")
