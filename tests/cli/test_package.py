import json
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from command_line import run

from motionrt import capi
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.errors import BundleError


def windows(processor: int = 0x8664) -> bytes:
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    return head + b"PE\0\0" + struct.pack("<H", processor) + b"motionrt"


def elf(processor: int, needs: bytes) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + struct.pack("<H", processor) + b"\0" + needs + b"\0"


def test_a_folder_holds_all_that_a_program_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", "linux")
    assert code == 0, err
    told = json.loads((tmp_path / "ship" / "package.json").read_text())
    assert {"libmotionrt.so", "libonnxruntime.so", "motionrt.h"} < set(told["files"])
    assert "onnxruntime-LICENSE" in told["files"]
    assert told["bytes"] == sum(told["files"].values())
    for name, size in told["files"].items():
        assert (tmp_path / "ship" / name).stat().st_size == size, name
    assert f"MB for linux on {told['processor']}" in out
    pipeline = capi.Pipeline(tmp_path / "ship" / told["bundle"])
    assert pipeline.generate("walks", num_frames=10, num_steps=1, seed=1).num_frames == 10


def test_another_system_needs_its_own_libraries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", "windows")
    assert code == 2 and "give the libraries that were built for it" in err
    given = ["--library", tmp_path / "motionrt.dll", "--onnxruntime", tmp_path / "onnxruntime.dll"]
    for name in ("motionrt.dll", "onnxruntime.dll"):
        (tmp_path / name).write_bytes(windows())
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", "windows", *given)
    assert code == 0, err
    assert (tmp_path / "ship" / "onnxruntime.dll").read_bytes() == windows()
    told = json.loads((tmp_path / "ship" / "package.json").read_text())
    assert (told["target"], told["processor"]) == ("windows", "x86_64")
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship")
    assert code == 1 and "exists already" in err


def test_a_family_that_the_library_does_not_run_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(embedded_bundle(), tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "family": "motiongpt-qwen"}))
    code, _, err = run(capsys, "package", tmp_path / "bundle", "-o", tmp_path / "ship")
    assert code == 1 and "runs bundles of kimodo, motiongpt3 and ardy, not of motiongpt-qwen" in err
    with pytest.raises(BundleError, match="family motiongpt-qwen is unknown"):
        capi.Pipeline(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("library", "runtime", "target", "said"),
    [
        (b"library", windows(), "windows", "is no shared library"),
        (elf(62, b"libc.so.6"), windows(), "windows", "was built for linux on x86_64, not for"),
        (windows(), elf(62, b"libc.so.6"), "windows", "was built for linux on x86_64, not for"),
        (windows(), windows(0xAA64), "windows", "was built for windows on aarch64"),
        (elf(183, b"libc.so.6"), elf(183, b"libc.so"), "android", "built for linux on aarch64"),
        (b"MZ" + bytes(80), windows(), "windows", "is no shared library"),
        (elf(183, b"libc.so"), elf(62, b"libc.so"), "android", "was built for android on x86_64"),
    ],
)
def test_what_was_built_for_another_is_refused(
    library: bytes,
    runtime: bytes,
    target: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own").write_bytes(library)
    (tmp_path / "runtime").write_bytes(runtime)
    given = ["--library", tmp_path / "own", "--onnxruntime", tmp_path / "runtime"]
    code, _, err = run(capsys, "package", "-o", tmp_path / "ship", "--target", target, *given)
    assert code == 1 and said in err
    assert not (tmp_path / "ship").exists()


def test_archives_give_the_library_of_the_system_and_processor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.so").write_bytes(elf(183, b"libc.so"))
    archive = tmp_path / "onnxruntime.aar"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("jni/x86_64/libonnxruntime.so", elf(62, b"libc.so"))
        made.writestr("jni/arm64-v8a/libonnxruntime.so", elf(183, b"libc.so"))
        made.writestr("jni/arm64-v8a/libonnxruntime4j_jni.so", b"another")
        made.writestr("LICENSE", "terms")
    given = ["--target", "android", "--library", tmp_path / "own.so", "--onnxruntime", archive]
    code, out, err = run(capsys, "package", "-o", tmp_path / "ship", *given)
    assert code == 0, err
    assert "android on aarch64" in out
    assert (tmp_path / "ship" / "libonnxruntime.so").read_bytes() == elf(183, b"libc.so")
    assert (tmp_path / "ship" / "onnxruntime-LICENSE").read_text() == "terms"

    (tmp_path / "own.so").write_bytes(elf(40, b"libc.so"))
    code, _, err = run(capsys, "package", "-o", tmp_path / "arm", *given)
    assert code == 1
    assert "no ONNX Runtime for android on arm, but android on aarch64, android on x86_64" in err
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("README", "nothing")
    code, _, err = run(capsys, "package", "-o", tmp_path / "none", *given)
    assert code == 1 and "but none at all" in err
    archive.write_bytes(archive.read_bytes()[:-30] + b"PK\5\6" + bytes(18))
    code, _, err = run(capsys, "package", "-o", tmp_path / "none", *given)
    assert code == 1 and "Traceback" not in err
