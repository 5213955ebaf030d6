"""ARDY's whole commands against the recorded ones: our command line with upstream's arguments."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray
from parity import exported

import motionrt.cli.main
from motionrt.cli._bundles import BUNDLE_DIR_VARIABLE
from motionrt.runtime.ardy.model import ArdyModel
from motionrt.runtime.sampling.noise import TorchGenerator

FAMILIES = ("ardy",)
"""Golden folders whose cases are run here (see ``cases``)."""

DECODED = 1e-2
"""Rotations and positions, also when they were corrected: the export cases' README."""
CSV_POSITIONS, CSV_ANGLES = 3e-3, 1e-2
DEFAULT_MODEL, DEFAULT_OUTPUT = "core", "output"
"""Upstream's; ours has no model by default."""


def run_export(case: Path) -> None:
    content = json.loads((case / "case.json").read_text())
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as arrays:
        given, expected = dict(inputs), dict(arrays)
    pipeline = exported.ardy((case / content["checkpoint"]).resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "bundles").mkdir()
        place = folder / "bundles" / pipeline.manifest.name
        place.symlink_to(pipeline.bundle.folder.resolve())
        for file in case.glob("constraints*.json"):
            shutil.copy(file, folder)
        _run_command(content, given, folder)
        for name, shapes in content["npz_contents"].items():
            with np.load(folder / name) as written:
                _check_contents(dict(written), shapes, content)
        # The names that were written, and no other.
        written_files = [str(f.relative_to(folder)) for f in folder.rglob("*") if _is_written(f)]
        assert sorted(written_files) == sorted(content["written_files"])
        npz = [name for name in content["written_files"] if name.endswith(".npz")]
        for index, name in enumerate(npz):
            with np.load(folder / name) as written:
                _check_npz(dict(written), expected, f"npz{index}_")
        csv = [name for name in content["written_files"] if name.endswith(".csv")]
        for index, name in enumerate(csv):
            rows = np.loadtxt(folder / name, delimiter=",")
            _check_csv(rows, expected[f"csv{index}"].astype(np.float64))
        if csv:
            ours, theirs = (
                (place).read_text().splitlines() for place in (folder / csv[0], case / "output.csv")
            )
            assert [line.count(",") for line in ours] == [line.count(",") for line in theirs]


def _is_written(file: Path) -> bool:
    return file.is_file() and file.suffix in (".npz", ".csv") and "bundles" not in file.parts


def _run_command(content: dict[str, Any], given: dict[str, Any], folder: Path) -> None:
    arguments = ["gen", *content["argv"], "--backend", "cpu"]
    if "--model" not in arguments:
        arguments += ["--model", DEFAULT_MODEL]
    if content["skeleton"] == "g1":
        arguments += ["--csv-angles", "mujoco"]  # ARDY's exporter reads them so, Kimodo's does not
    # Upstream puts a bare name into a folder of its own; our command writes where it is told.
    at = arguments.index("--output") + 1 if "--output" in arguments else None
    name = arguments[at] if at else DEFAULT_OUTPUT
    place = name if "/" in name else f"outputs/{name}"
    if at:
        arguments[at] = place
    else:
        arguments += ["--output", place]
    with contextlib.chdir(folder), injected(given["text_feat"], list(given["noise"])):
        result = CliRunner(env={BUNDLE_DIR_VARIABLE: str(folder / "bundles")}).invoke(
            motionrt.cli.main.cli, arguments, catch_exceptions=False
        )
    assert result.exit_code == 0, f"{shlex.join(arguments)}: {result.output}"


def _check_contents(
    found: dict[str, NDArray[Any]], shapes: dict[str, Any], content: dict[str, Any]
) -> None:
    # Our files say the prompt among what else is known of the motion.
    assert set(shapes) - {"text"} <= set(found)
    assert json.loads(str(found["info"]))["prompt"].strip() == content["text_entry"]
    assert found["fps"] == content["fps"]
    for name in set(shapes) - {"text", "fps"}:
        shape, dtype = shapes[name]
        assert (list(found[name].shape), found[name].dtype) == (shape, np.dtype(dtype)), name


def _check_npz(found: dict[str, Any], expected: dict[str, Any], prefix: str) -> None:
    for key, wanted in expected.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        if wanted.dtype == bool:
            np.testing.assert_array_equal(found[name], wanted, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=DECODED, err_msg=name)


def _check_csv(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[:, :3], expected[:, :3], rtol=0, atol=CSV_POSITIONS)
    signs = np.sign(np.sum(found[:, 3:7] * expected[:, 3:7], axis=1, keepdims=True))
    np.testing.assert_allclose(found[:, 3:7] * signs, expected[:, 3:7], rtol=0, atol=CSV_ANGLES)
    turned = (found[:, 7:] - expected[:, 7:] + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(turned).max() < CSV_ANGLES


@contextlib.contextmanager
def injected(embedding: NDArray[Any], noises: Sequence[NDArray[Any]]) -> Iterator[None]:
    """Give ``generate`` a stored embedding (1, 1, W) of its prompt, and stored draws."""

    def encode(model: ArdyModel, texts: Sequence[str]) -> tuple[Any, Any]:
        rows = np.repeat(embedding, len(texts), axis=0)
        return rows, np.array([[bool(text.strip())] for text in texts])

    with (
        mock.patch.object(ArdyModel, "encode_text", encode),
        mock.patch.object(TorchGenerator, "randn", side_effect=list(noises)),
    ):
        yield
