from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError
from motionrt.runtime.kimodo.model import KimodoSampler
from motionrt.runtime.pipeline import load


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_lists_every_file_of_the_bundle(bundle: Path) -> None:
    listed = set(Bundle(bundle).manifest.files)
    found = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert found - listed == {"manifest.json"}
    assert listed <= found


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
    own_copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(own_copy, change)
    with pytest.raises(BundleError, match=message) as refusal:
        load(own_copy)
    assert "\n" not in str(refusal.value)


def test_links_of_a_bundle_are_followed_inside_it_alone(own_copy: Path, tmp_path: Path) -> None:
    (own_copy / "decoder.onnx").rename(own_copy / "real.onnx")
    (own_copy / "decoder.onnx").symlink_to("real.onnx")
    Bundle(own_copy).check_hashes(["decoder.onnx"])
    (own_copy / "real.onnx").rename(tmp_path / "real.onnx")
    (own_copy / "decoder.onnx").unlink()
    (own_copy / "decoder.onnx").symlink_to(tmp_path / "real.onnx")
    with pytest.raises(BundleError, match=r"decoder\.onnx leaves the bundle"):
        Bundle(own_copy)


def lose_the_step(document: dict[str, Any]) -> None:
    del document["graphs"]["step"]


def scan_a_stranger(document: dict[str, Any]) -> None:
    document["graphs"]["sampler"]["loop"]["scanned"] = {"moment": "timesteps"}


def carry_nothing(document: dict[str, Any]) -> None:
    document["graphs"]["sampler"]["loop"]["carried"] = {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_the_step, "graph sampler iterates step, which is not listed"),
        (scan_a_stranger, "graph sampler: its loop names moment, which its step has not"),
        (carry_nothing, "its loop names nothing"),
    ],
)
def test_refuses_a_loop_that_does_not_fit_its_step(
    own_copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    Bundle(own_copy).manifest.write(own_copy)
    edit(own_copy, change)
    with pytest.raises(BundleError, match=message):
        Bundle(own_copy)


def test_what_is_written_is_read(own_copy: Path) -> None:
    manifest = Bundle(own_copy).manifest
    manifest.write(own_copy)
    assert Bundle(own_copy).manifest == manifest


def test_a_section_is_read_as_a_class_or_its_key_is_named(own_copy: Path) -> None:
    assert Bundle(own_copy).section("sampler", KimodoSampler).num_base_steps == 1000
    edit(own_copy, lambda d: d["sampler"].update(num_steps="many"))
    with pytest.raises(BundleError, match=r"sampler: Expected `int`.*sampler\.num_steps"):
        Bundle(own_copy).section("sampler", KimodoSampler)
    with pytest.raises(BundleError, match=r"the manifest lists no file walk\.onnx"):
        Bundle(own_copy).path("walk.onnx")


def test_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle(tmp_path)


def test_refuses_a_truncated_file(own_copy: Path) -> None:
    weights = own_copy / "step.weights"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"step\.weights: \d+ bytes, should be"):
        load(own_copy)


def test_refuses_a_missing_file(own_copy: Path) -> None:
    (own_copy / "decoder.onnx").unlink()
    with pytest.raises(BundleError, match=r"decoder\.onnx: missing"):
        load(own_copy)


def test_refuses_an_altered_weight_before_it_is_used(own_copy: Path) -> None:
    weights = own_copy / "step.weights"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"step\.weights: altered since export"):
        load(own_copy).generate("")


def test_refuses_an_altered_graph_in_a_folder_of_the_bundle(own_copy: Path) -> None:
    (own_copy / "graphs").mkdir()
    shutil.copy(own_copy / "decoder.onnx", own_copy / "graphs" / "decoder.onnx")

    def move(document: dict[str, Any]) -> None:
        info = {**document["files"]["decoder.onnx"], "sha256": "0" * 64}
        document["files"]["graphs/decoder.onnx"] = info
        document["graphs"]["decoder"]["files"]["onnx"] = "graphs/decoder.onnx"

    edit(own_copy, move)
    with pytest.raises(BundleError, match=r"graphs.decoder\.onnx: altered since export"):
        load(own_copy).graph("decoder")
