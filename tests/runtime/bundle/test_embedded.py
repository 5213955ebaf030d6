from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import motionrt
from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle import embedded
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError

MAX_BYTES = 25e6


@pytest.fixture(scope="module")
def pipeline() -> motionrt.Pipeline:
    return motionrt.load(backend="cpu")


def test_it_comes_with_the_package_small_and_whole() -> None:
    bundle = Bundle(embedded_bundle())
    assert sum(info.size for info in bundle.manifest.files.values()) < MAX_BYTES
    bundle.check_hashes(bundle.manifest.files)


def test_without_it_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "FOLDER", Path("assets", "nothing"))
    with pytest.raises(BundleError, match="motionrt export"):
        motionrt.load()


def test_a_walk_goes_forward_and_a_stand_stays(pipeline: motionrt.Pipeline) -> None:
    made = pipeline.generate_many(["a person walks forward", "a person stands still"], 4.0, seed=1)
    walk, stand = (motion.root_positions[-1] - motion.root_positions[0] for motion in made)
    assert walk[2] > 2.0
    assert np.hypot(stand[0], stand[2]) < 0.5


def test_what_it_does_not_know_it_says(pipeline: motionrt.Pipeline) -> None:
    assert pipeline.hints(["a person walks forward", "someone jumps", ""]) == []
    hints = pipeline.hints(["the stock market fell by three percent on Tuesday"])
    assert len(hints) == 1 and "walking" in hints[0]


def test_gen_needs_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = tmp_path / "walk"
    main(["gen", "a person walks forward", "--duration", "2", "--bvh", "-o", str(stem)])
    assert "motionrt-default" in capsys.readouterr().out
    assert Motion.load(stem.with_suffix(".bvh")).num_frames == 40
