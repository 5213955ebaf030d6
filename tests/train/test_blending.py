from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motionrt.cli.main import cli
from motionrt.runtime.errors import InputError
from motionrt.train.blending import blend_embeddings, write_embedding
from motionrt.train.pairs import read_embedding


def test_a_blend_lies_between() -> None:
    a, b = np.ones((3, 2), np.float32), np.zeros((5, 2), np.float32)
    found = blend_embeddings(a, b, 0.3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.full((3, 2), 0.3))
    np.testing.assert_array_equal(blend_embeddings(a, b, 1), a)
    np.testing.assert_array_equal(blend_embeddings(a[0], b[0], 0), b[0])
    for left, right, share in ((a, b, 1.2), (a, b[:, :1], 0.5), (a, b[0], 0.5)):
        with pytest.raises(InputError):
            blend_embeddings(left, right, share)


def test_files_and_folders_are_blended(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 3)):
        for name in ("x.npy", "y.pt", "z.safetensors"):
            write_embedding(tmp_path / folder / name, np.full((2, 3), value, np.float32))
    a, b, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    result = CliRunner().invoke(cli, ["blend-embeddings", a, b, "-o", out, "--share", "0.5"])
    assert result.exit_code == 0, result.output
    assert result.output == f"{out}: 3 blended, 0.5 of {a}\n"
    for name in ("x.npy", "y.pt", "z.safetensors"):
        np.testing.assert_array_equal(read_embedding(tmp_path / "out" / name), np.full((2, 3), 2.0))
    result = CliRunner().invoke(cli, ["blend-embeddings", a, f"{b}/x.npy", "-o", out])
    assert result.exit_code == 2
