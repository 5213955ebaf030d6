from pathlib import Path

import pytest
from documented import EMBED, commands, copy_of_examples, run

import motionrt


@pytest.fixture(scope="session")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a game ships: `motionrt package`."""
    folder = tmp_path_factory.mktemp("ship")
    run(commands(EMBED, "What you ship"), folder)
    return folder / "ship"


@pytest.fixture
def desk(ship: Path, tmp_path: Path) -> Path:
    """Where a reader of docs/embed.md sits: what is shipped, beside the examples."""
    (tmp_path / "ship").symlink_to(ship)
    copy_of_examples(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def walk() -> motionrt.Motion:
    """What the examples of engines play first."""
    return motionrt.load().generate("a person walks forward", 2, seed=1)


@pytest.fixture(scope="session")
def jump() -> motionrt.Motion:
    """What they play next."""
    return motionrt.load().generate("a person jumps", 1, seed=2)
