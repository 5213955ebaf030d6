from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import motionrt
from motionrt.runtime.bundle import held_folder
from motionrt.runtime.bundle.held_folder import HeldFolder
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError
from motionrt.runtime.files import atomic_folder

holds = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="by Linux's /proc")


def replace(path: Path, name: str) -> None:
    with atomic_folder(path, replace=True) as folder:
        (folder / name).touch()


@holds
def test_a_held_folder_stays_in_reach_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    replace(path, "a")
    held = HeldFolder(path)
    for name in ("b", "c"):
        replace(path, name)
    assert [entry.name for entry in held.root.iterdir()] == ["a"]
    assert [entry.name for entry in path.iterdir()] == ["c"]
    assert len(list(tmp_path.iterdir())) == 2
    descriptor = int(held.root.name)
    del held
    gc.collect()
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_what_is_no_folder_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing", "a\0b"):
        assert HeldFolder(tmp_path / name).root == tmp_path / name


@holds
def test_a_loaded_bundle_generates_though_another_took_its_place(
    bundle: Path, own_copy: Path
) -> None:
    pipeline = motionrt.load(own_copy, backend="cpu")
    with atomic_folder(own_copy, replace=True) as folder:
        (folder / "manifest.json").write_text("{}")
    found = pipeline.generate("a man walks", 0.5, seed=1, num_steps=2)
    expected = motionrt.load(bundle, backend="cpu").generate(
        "a man walks", 0.5, seed=1, num_steps=2
    )
    np.testing.assert_array_equal(found.posed_joints, expected.posed_joints)
    with pytest.raises(BundleError):
        Bundle(own_copy)


def test_where_it_cannot_be_held_a_replaced_bundle_says_so(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_folder, "_DESCRIPTORS", own_copy / "nothing")
    opened = Bundle(own_copy)
    assert opened.path("decoder.onnx") == own_copy / "decoder.onnx"
    copy = Path(shutil.copytree(own_copy, own_copy.parent / "copy"))
    content = (copy / "decoder.onnx").read_bytes()
    (copy / "decoder.onnx").write_bytes(content[:-1] + b"\0")
    with atomic_folder(own_copy, replace=True) as folder:
        shutil.copytree(copy, folder, dirs_exist_ok=True)
        manifest = (copy / "manifest.json").read_text()
        (folder / "manifest.json").write_text(manifest.replace("motionrt-default", "another"))
    with pytest.raises(
        BundleError, match="bundle: was replaced since it was loaded; load it again"
    ):
        opened.check_hashes(["decoder.onnx"])
