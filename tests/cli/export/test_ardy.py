from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run
from places import GOLDEN

pytestmark = pytest.mark.slow

G1 = GOLDEN / "ardy" / "checkpoints" / "ARDY-G1-RP-25FPS-Horizon8"


def test_a_bad_export_is_refused_and_leaves_nothing(
    tiny_encoder: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = tiny_encoder
    out_dir = tmp_path / "made"
    code, _, err = run(capsys, "export", "ardy", G1, "-o", out_dir)
    assert code == 2
    assert "--text-encoder" in err
    code, _, err = run(capsys, "export", "ardy", G1, "--text-encoder", model, "-o", out_dir)
    assert code == 1
    assert "gives 64 numbers" in err and "takes 16 (or 32, embedded)" in err
    code, _, err = run(capsys, "export", "ardy", tmp_path, "--no-text-encoder", "-o", out_dir)
    assert code == 1
    assert "is this an ARDY checkpoint directory" in err
    assert not list(tmp_path.iterdir())
