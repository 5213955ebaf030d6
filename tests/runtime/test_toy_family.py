"""A family is new files and one row: a toy one goes through all that the others go through."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from command_line import run
from places import DATA
from safetensors.numpy import save_file

import motionrt
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import (
    AxisInfo,
    FileInfo,
    GraphInfo,
    Limits,
    Manifest,
    TensorInfo,
    sha256,
)
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.families import FAMILIES, all_families, find_family
from motionrt.runtime.options import options_of
from motionrt.runtime.pipeline import pipeline_class
from motionrt.runtime.request import request_schema


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "toy", "toy_family.family:FAMILY")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Write the toy's bundle: one graph, which takes phases to heights."""
    folder = tmp_path / "toy"
    folder.mkdir()
    shutil.copyfile(DATA / "toy" / "wave.onnx", folder / "wave.onnx")
    phases = np.linspace(0, 3, 5, dtype=np.float32)
    stored = {"wave/in/phase": phases, "wave/out/height": np.sin(phases)}
    save_file(stored, folder / "reference.safetensors")
    skeleton = load_skeleton("cmu22").to_dict()
    graph = GraphInfo(
        files={"onnx": "wave.onnx"},
        inputs=(TensorInfo("phase", ("frames",), "float32"),),
        outputs=(TensorInfo("height", ("frames",), "float32"),),
        atol=1e-6,
        axes={"frames": AxisInfo(typical=50, largest=200)},
    )
    files = {path.name: FileInfo(path.stat().st_size, sha256(path)) for path in folder.iterdir()}
    Manifest(
        family="toy",
        name="bobbing",
        fps=10.0,
        skeleton=skeleton,
        output_skeleton=skeleton,
        graphs={"wave": graph},
        sampler={"num_steps": 3, "bob_height": 0.1},
        limits=Limits(max_frames=200, advised_seconds=10.0),
        text={},
        provenance={"source": "a test"},
        files=files,
    ).write(folder)
    return folder


def test_it_is_loaded_and_generates(bundle: Path) -> None:
    pipeline = motionrt.load(bundle)
    assert "bobbing: toy, cmu22 at 10 fps" in repr(pipeline)
    motion = pipeline.generate("bob", 2.0, seed=3)
    assert motion.num_frames == 20 and motion.info["num_steps"] == 3
    high = pipeline.generate("bob", 2.0, seed=3, preset="high")
    assert np.ptp(high.root_positions[:, 1]) > 4 * np.ptp(motion.root_positions[:, 1])
    several = pipeline.generate_many(["a", "b"], [1, 2], num_samples=2, seed=3, sample_seeds=True)
    assert [made.num_frames for made in several] == [10, 10, 20, 20]
    assert [made.info["sample"] for made in several] == [0, 1, 0, 1]
    with pytest.raises(InputError, match=r"no option bobheight; did you mean bob_height\?"):
        pipeline.generate("bob", bobheight=2)
    with pytest.raises(InputError, match="num_samples is for generate_many"):
        pipeline.generate("bob", num_samples=2)
    with pytest.raises(InputError, match=r"20\.1 s: 201 frames at 10 fps, this model allows 200"):
        pipeline.generate("bob", 20.1)
    with pytest.raises(InputError, match="toy cannot describe motions; use a bundle of motiongpt3"):
        pipeline.caption(motion)
    with pytest.raises(BundleError, match="a bundle of toy, not for KimodoPipeline"):
        motionrt.KimodoPipeline.load(bundle)


def test_the_command_line_has_its_flags(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "clip"
    common = ("--bundle", bundle, "--duration", "4", "--seed", "1", "-o", stem, "--json")
    code, out, err = run(capsys, "gen", "bob. And bob", "--bob", "0.3", "--bvh", *common)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["prompt"] == "bob. And bob"
    assert summary["files"] == [f"{stem}.npz", f"{stem}.bvh"]
    assert np.ptp(motionrt.Motion.load(stem.with_suffix(".npz")).root_positions[:, 1]) > 0.3
    code, _, err = run(capsys, "gen", "bob", "--constraints", "c.json", *common)
    assert code == 1 and "--constraints: toy has no such option (kimodo and ardy have)" in err
    (tmp_path / "list.jsonl").write_text('"bob"\n{"prompt": "b", "preset": "high"}\n')
    code, out, err = run(
        capsys, "gen", "--batch", tmp_path / "list.jsonl", "--bundle", bundle, "-o", tmp_path / "b"
    )
    assert code == 0, err
    assert len(out.splitlines()) == 2


def test_it_is_timed_inspected_and_verified(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("bench", bundle, "--frames", "20", "--steps", "2", "--repeats", "1", "--json")
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    report = json.loads(out)
    assert report["ran_on"] == {"wave": "cpu fp32"} and set(report["presets"]) == {"high"}
    code, out, err = run(capsys, "inspect", bundle)
    assert code == 0 and "bobbing (toy)" in out and "none: takes text embeddings" in out, err
    code, out, err = run(capsys, "verify", bundle)
    assert code == 0 and "verified" in out, err


def test_its_sampler_section_is_checked_when_it_is_loaded(bundle: Path) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    for change, message in (
        ({"num_steps": "3"}, r"sampler\.num_steps"),
        ({"num_steps": 0}, r"sampler\.num_steps"),
        ({"speed": 1}, "unknown field `speed`"),
    ):
        path.write_text(json.dumps({**document, "sampler": {**document["sampler"], **change}}))
        with pytest.raises(BundleError, match=message):
            motionrt.load(bundle)
    path.write_text(json.dumps({**document, "sampler": {"num_steps": 3}}))
    with pytest.raises(BundleError, match="missing required field `bob_height`"):
        motionrt.load(bundle)


def test_its_requests_have_a_schema() -> None:
    schema = request_schema([find_family("toy")])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"prompt": "bob", "bob_height": 0.2, "preset": "high"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"prompt": "bob", "solver": "ddim"}, schema)


def test_an_option_that_says_nothing_of_itself_is_refused() -> None:
    with pytest.raises(TypeError, match="speed is not annotated"):
        options_of(type("Bad", (), {"__annotations__": {"speed": int}}))


def test_every_row_is_a_family_of_its_name() -> None:
    assert [family.name for family in all_families()] == list(FAMILIES)
    for family in all_families():
        assert pipeline_class(family).__name__.lower().startswith(family.name.replace("-", ""))
        assert set(family.motion_graphs)
