from pathlib import Path

import pytest
from documented import run

import motionrt


@pytest.fixture(scope="session")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a game ships: `motionrt package`."""
    folder = tmp_path_factory.mktemp("ship") / "ship"
    run(f"motionrt package -o {folder}", folder.parent)
    return folder


@pytest.fixture(scope="session")
def walk() -> motionrt.Motion:
    """What the examples of engines play first."""
    return motionrt.load().generate("a person walks forward", 2, seed=1)


@pytest.fixture(scope="session")
def jump() -> motionrt.Motion:
    """What they play next."""
    return motionrt.load().generate("a person jumps", 1, seed=2)
