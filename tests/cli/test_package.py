import json
import shutil
from pathlib import Path

import pytest
from command_line import run

from motionrt import capi
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.errors import BundleError


def test_a_folder_holds_all_that_a_program_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", "linux")
    assert code == 0, err
    told = json.loads((tmp_path / "ship" / "package.json").read_text())
    assert {"libmotionrt.so", "libonnxruntime.so", "motionrt.h"} < set(told["files"])
    assert told["bytes"] == sum(told["files"].values())
    for name, size in told["files"].items():
        assert (tmp_path / "ship" / name).stat().st_size == size, name
    assert "MB for linux" in out
    pipeline = capi.Pipeline(tmp_path / "ship" / told["bundle"])
    assert pipeline.generate("walks", num_frames=10, num_steps=1, seed=1).num_frames == 10


def test_another_system_needs_its_own_libraries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", "windows")
    assert code == 2 and "give the libraries that were built for it" in err
    for name in ("motionrt.dll", "onnxruntime.dll"):
        (tmp_path / name).write_bytes(b"library")
    code, _, err = run(
        capsys,
        "package",
        "-o",
        tmp_path / "ship",
        "--target",
        "windows",
        "--library",
        tmp_path / "motionrt.dll",
        "--onnxruntime",
        tmp_path / "onnxruntime.dll",
    )
    assert code == 0, err
    assert (tmp_path / "ship" / "onnxruntime.dll").read_bytes() == b"library"
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship")
    assert code == 1 and "exists already" in err


def test_a_family_that_the_library_does_not_run_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(embedded_bundle(), tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "family": "ardy"}))
    code, _, err = run(capsys, "package", tmp_path / "bundle", "-o", tmp_path / "ship")
    assert code == 1 and "runs bundles of kimodo and motiongpt3, not of ardy" in err
    with pytest.raises(BundleError, match="family ardy is unknown"):
        capi.Pipeline(tmp_path / "bundle")
