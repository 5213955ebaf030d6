from __future__ import annotations

from pathlib import Path

import pytest

from motionrt.export.readers import published
from motionrt.export.readers.published import find_checkpoint
from motionrt.runtime.errors import CheckpointError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be fetched from the hub."""
    names: list[str] = []

    def fetch(place: str | Path) -> Path:
        names.append(str(place))
        return Path("fetched")

    monkeypatch.setattr(published, "local_path", fetch)
    return names


def test_a_folder_that_is_there_is_itself(tmp_path: Path, asked: list[str]) -> None:
    assert find_checkpoint(tmp_path, {"CHECKPOINT_DIR": "elsewhere"}) == tmp_path
    assert asked == []


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("kimodo-soma-rp", "nvidia/Kimodo-SOMA-RP-v1.1"),
        ("Kimodo-SOMA-RP-v1", "nvidia/Kimodo-SOMA-RP-v1"),
        ("nvidia/Kimodo-SMPLX-RP-v1", "nvidia/Kimodo-SMPLX-RP-v1"),
        ("g1-seed", "nvidia/Kimodo-G1-SEED-v1"),
        ("me/kimodo-soma-rp", "me/kimodo-soma-rp"),
        ("somebody/walks@v2", "somebody/walks@v2"),
    ],
)
def test_a_name_is_a_repository(name: str, repository: str, asked: list[str]) -> None:
    assert find_checkpoint(name, {}) == Path("fetched")
    assert asked == [repository]


@pytest.mark.parametrize("folder", ["Kimodo-SOMA-RP-v1", "Kimodo-SOMA-RP-v1.1", "kimodo-soma-rp"])
def test_checkpoint_dir_comes_first(tmp_path: Path, asked: list[str], folder: str) -> None:
    (tmp_path / folder).mkdir()
    environment = {"CHECKPOINT_DIR": str(tmp_path)}
    assert find_checkpoint("soma-rp", environment) == tmp_path / folder
    find_checkpoint("kimodo-g1-rp", environment)
    assert asked == ["nvidia/Kimodo-G1-RP-v1"]


def test_a_stated_version_is_that_one(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "Kimodo-SOMA-RP-v1.1").mkdir()
    find_checkpoint("Kimodo-SOMA-RP-v1", {"CHECKPOINT_DIR": str(tmp_path)})
    assert asked == ["nvidia/Kimodo-SOMA-RP-v1"]


def test_a_folder_of_ones_own_in_checkpoint_dir(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert find_checkpoint("mine", {"CHECKPOINT_DIR": str(tmp_path)}) == tmp_path / "mine"
    with pytest.raises(CheckpointError, match="CHECKPOINT_DIR is nowhere: no such folder"):
        find_checkpoint("mine", {"CHECKPOINT_DIR": "nowhere"})
