from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

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
    (tmp_path / "blobs").mkdir()
    (tmp_path / "real.onnx").rename(tmp_path / "blobs" / "real.onnx")
    (own_copy / "decoder.onnx").symlink_to(tmp_path / "blobs" / "real.onnx")
    with pytest.raises(BundleError, match=r"decoder\.onnx leaves the bundle"):
        Bundle(own_copy)


def leave_files_out(document: dict[str, Any], *names: str) -> None:
    """Say that graphs are no files, as a bundle says of a loop that it leaves to the host."""
    for name in names:
        document["graphs"][name].update(files={}, data=[])


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
        (
            lambda d: leave_files_out(d, "sampler", "step"),
            "graph (sampler iterates step, which has|step has) no file",
        ),
        (lambda d: leave_files_out(d, "decoder"), "graph decoder has no file"),
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
    with pytest.raises(BundleError, match=r"holds no bundle \(no manifest\.json\); make one with"):
        Bundle(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BundleError, match=r"is a checkpoint, no bundle \(no manifest\.json\)"):
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


def no_foot(document: dict[str, Any]) -> None:
    document["skeleton"]["left_foot_joints"] = []


def rename_output(document: dict[str, Any]) -> None:
    document["graphs"]["decoder"]["outputs"][0]["name"] = "other"


def out_of_the_way(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["files"].update({name: {"size": 1, "sha256": "0" * 64}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(skeleton={}), "skeleton: not a skeleton: KeyError 'name'"),
        (lambda d: d.update(output_skeleton={}), "output_skeleton: not a skeleton"),
        (lambda d: d["skeleton"].update(parents=[0.5] * 22), "joint that is no whole number"),
        (lambda d: d["skeleton"].update(parents=[-1, *range(1, 22)]), "before its children"),
        (lambda d: d["skeleton"].update(rest_positions=[["a"] * 3] * 22), "are no numbers"),
        (lambda d: d["skeleton"].update(rest_positions=[[1e300] * 3] * 22), "not all finite"),
        (lambda d: d["skeleton"].update(joint_names=["a"] * 22), "the same name"),
        (lambda d: d["skeleton"].update(joint_names={"a": 1}), "dict where a list"),
        (lambda d: d["skeleton"].update(expands_to="soma77"), "expands_to is 'soma77', which it"),
        (lambda d: d["skeleton"].update(has_bvh_rig=True), "has_bvh_rig is True, which it has not"),
        (lambda d: d["skeleton"].update(t_pose_bones=[["a", "b", [1, 2]]]), "not a skeleton"),
        (lambda d: d["skeleton"].update(hip_joints=[1]), "needs two hip_joints"),
        (no_foot, "an ankle and toe a foot"),
        (rename_output, "graph decoder has no output"),
        (lambda d: d["sampler"].update(text_width=64), r"no input text_features of shape .*64"),
        (lambda d: d["sampler"].update(num_base_steps=10**9), "sampler: Expected `int` <= 100000"),
        (lambda d: d["sampler"].update(num_steps=2000), "2000 diffusion steps: must be from 1 to"),
        (lambda d: d["sampler"].update(guidance_weights=[1.0]), "sampler: guidance separated"),
        (lambda d: d["sampler"].update(solver="x"), "sampler: solver 'x' is unknown"),
        (lambda d: d["limits"].update(max_frames=-1), "limits.max_frames"),
        (lambda d: d.update(fps=1e308), "fps"),
        (lambda d: d["graphs"]["step"]["inputs"][0].update(dtype="complex128"), "dtype"),
        (lambda d: d["graphs"]["step"]["inputs"][0].update(axes=[-1]), "axes"),
        (lambda d: d["graphs"]["step"].update(atol=-1), "atol"),
        (lambda d: d.update(name="a\nb"), r"'a\\nb' is no name"),
        (lambda d: d.update(schema=True), "schema True"),
        (out_of_the_way("/etc/passwd"), "leaves the bundle"),
        (out_of_the_way("a/../../b"), "leaves the bundle"),
        (out_of_the_way("a\0b"), "leaves the bundle"),
        (out_of_the_way("..\\a"), "leaves the bundle"),
        (out_of_the_way("c:a"), "leaves the bundle"),
        (out_of_the_way("x" * 5000), "(leaves the bundle|is no name)"),
        (out_of_the_way("x" * 240 + "/" + "y" * 9), "missing from the bundle"),
    ],
)
def test_what_does_not_fit_is_one_line_when_the_bundle_is_loaded(
    own_copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(own_copy, change)
    with pytest.raises(BundleError, match=message) as refusal:
        load(own_copy, backend="cpu")
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 1000


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b"1e999"])
def test_a_manifest_that_is_no_json_is_one_line(own_copy: Path, content: bytes) -> None:
    (own_copy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json: (cannot be read|schema None)"):
        load(own_copy)


def test_what_stands_in_a_files_place_is_refused_and_not_waited_for(own_copy: Path) -> None:
    for name, kind in (("step.weights", "missing"), ("manifest.json", "pipe or a device")):
        (own_copy / name).unlink()
        os.mkfifo(own_copy / name)
        with pytest.raises(BundleError, match=kind):
            load(own_copy)
    (own_copy / "manifest.json").unlink()
    (own_copy / "manifest.json").mkdir()
    with pytest.raises(BundleError, match="is a folder, expected a file"):
        load(own_copy)


def replace_file(bundle: Path, name: str, content: bytes) -> None:
    """Put other content in a file of a bundle, with its hash."""
    (bundle / name).write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(bundle, lambda document: document["files"].update({name: entry}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        struct.pack("<Q", 1 << 60) + b"{}",
        save({"mean": np.zeros(273, np.float32)}),
        save({"mean": np.zeros(273, np.float32), "std": np.zeros((1, 273), np.float32)}),
        save({"mean": np.zeros(273, np.float32), "std": np.full(273, np.nan, np.float32)}),
        save({"mean": np.zeros(273, np.float32), "std": np.ones(273, np.int64)}),
        struct.pack("<Q", 64)
        + b'{"mean":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'.ljust(64)
        + b"\0\0",
    ],
)
def test_damaged_statistics_are_one_line(own_copy: Path, content: bytes) -> None:
    replace_file(own_copy, "statistics.safetensors", content)
    with pytest.raises(BundleError, match=r"statistics\.safetensors"):
        load(own_copy, backend="cpu")


def test_damaged_known_prompts_are_one_line(own_copy: Path) -> None:
    for arrays in ({}, {"centres": np.zeros((3, 4), np.float32)}, {"centres": np.zeros(3)}):
        replace_file(own_copy, "known_prompts.safetensors", save(arrays))
        with pytest.raises(BundleError, match=r"known_prompts\.safetensors: .*centres"):
            load(own_copy, backend="cpu").hints(["walk"])
