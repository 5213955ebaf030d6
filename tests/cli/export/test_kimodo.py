from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run

pytestmark = pytest.mark.slow


def test_a_bad_export_is_refused_and_leaves_nothing(
    smplx_checkpoint: Path,
    tiny_encoder: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, _ = tiny_encoder
    out_dir = tmp_path / "made"
    code, _, err = run(capsys, "export", "kimodo", smplx_checkpoint, "-o", out_dir)
    assert code == 2
    assert "--text-encoder" in err
    code, _, err = run(
        capsys, "export", "kimodo", smplx_checkpoint, "--text-encoder", model, "-o", out_dir
    )
    assert code == 1
    assert "gives 64 numbers" in err
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("precious")
    for force in ((), ("--force",)):
        code, _, err = run(
            capsys, "export", "kimodo", smplx_checkpoint, "--no-text-encoder", "-o", kept, *force
        )
        assert code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert (kept / "mine.txt").read_text() == "precious"
