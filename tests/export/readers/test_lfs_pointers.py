"""Git LFS pointers, the commonest broken download, wherever a file is read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from motiongpt3_checkpoint import write_checkpoint
from places import DATA

from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.kimodo import read_kimodo
from motionrt.export.readers.motiongpt3 import read_motiongpt3
from motionrt.export.readers.projector import read_projector
from motionrt.export.readers.safe_pickle import read_checkpoint
from motionrt.export.readers.weights import open_safetensors, read_json
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import MotionrtError
from motionrt.runtime.formats.table import FORMATS
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.runtime.text.tokenizer import TextTokenizer

POINTER = (DATA / "field" / "lfs_pointer" / "walk.npy").read_bytes()
READERS: dict[str, Callable[[Path], Any]] = {
    **{f"a.{name}": Motion.load for name in ("npz", "npy", "csv", "bvh", "glb", "pkl")},
    "a.ckpt": read_checkpoint,
    "b.pt": read_checkpoint,
    "c.pt": read_projector,
    "c.safetensors": read_projector,
    "d.safetensors": open_safetensors,
    "config.json": read_json,
    "config.yaml": InterpolatedYaml,
    "tokenizer.json": lambda path: TextTokenizer(path, {}),
    "book.safetensors": PromptBook.load,
}


@pytest.mark.parametrize("name", READERS)
def test_pointers_are_said_to_be_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(MotionrtError, match="is a Git LFS pointer, not the file itself") as caught:
        READERS[name](tmp_path / name)
    told = str(caught.value)
    assert told.startswith(str(tmp_path / name)) and "git lfs pull" in told and "\n" not in told


@pytest.mark.parametrize("format", FORMATS)
def test_pointers_of_every_format(tmp_path: Path, format: str) -> None:
    (tmp_path / "clip").write_bytes(POINTER)
    with pytest.raises(MotionrtError, match="Git LFS pointer"):
        Motion.load(tmp_path / "clip", format=format)


@pytest.mark.parametrize("name", ["config.yaml", "stats/motion/body/mean.npy", "model.safetensors"])
def test_pointers_in_a_kimodo_checkpoint(tmp_path: Path, smplx_checkpoint: Path, name: str) -> None:
    folder = Path(shutil.copytree(smplx_checkpoint, tmp_path / "Kimodo-SMPLX-RP-v1"))
    found = [path for path in folder.rglob(Path(name).name) if str(path).endswith(name)]
    assert found, sorted(str(path) for path in folder.rglob("*"))
    found[0].write_bytes(POINTER)
    with pytest.raises(MotionrtError, match="Git LFS pointer"):
        read_kimodo(folder)


@pytest.mark.parametrize("name", ["Mean.npy", "tokenizer.json", "config.json", "config.yaml"])
def test_pointers_in_a_motiongpt3_checkpoint(tmp_path: Path, name: str) -> None:
    checkpoint = write_checkpoint(tmp_path)
    next(tmp_path.rglob(name)).write_bytes(POINTER)
    with pytest.raises(MotionrtError, match=f"{name}: is a Git LFS pointer"):
        read_motiongpt3(checkpoint, tmp_path / "config.yaml", tmp_path / "deps")
