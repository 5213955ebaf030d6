"""Options and fixtures for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from places import GOLDEN


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        action="append",
        type=Path,
        help="Directory of golden cases to run, instead of the ones that come with the tests.",
    )


@pytest.fixture(scope="session")
def smplx_checkpoint() -> Path:
    """A Kimodo checkpoint with small random weights, in the released layout."""
    return GOLDEN / "kimodo" / "checkpoints" / "Kimodo-SMPLX-RP-v1"


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen3 directory and a projection of it to the SMPL-X checkpoint's text width."""
    import torch

    model = GOLDEN / "text-encoders" / "qwen3-meanpool" / "model"
    projection = tmp_path_factory.mktemp("projection") / "projection.pt"
    generator = torch.Generator().manual_seed(0)
    width = 64
    weight = torch.randn(32, width, generator=generator) / width**0.5
    torch.save({"weight": weight, "bias": torch.zeros(32)}, projection)
    return model, projection


@pytest.fixture(scope="session")
def tiny_bundle(smplx_checkpoint: Path, tiny_encoder: tuple[Path, Path]) -> Path:
    """A whole bundle: real graphs with small random weights, text to motion."""
    from parity import exported

    model, projection = tiny_encoder
    return exported.export(
        "kimodo",
        str(smplx_checkpoint),
        "--text-encoder",
        str(model),
        "--projector",
        str(projection),
        "--licence",
        "none: random weights",
    )


@pytest.fixture
def own_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
