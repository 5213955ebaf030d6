from __future__ import annotations

from pathlib import Path

import pytest

from motionrt.cli._output import check_writable, output_paths
from motionrt.runtime.errors import InputError


@pytest.mark.parametrize(
    ("stem", "files"),
    [
        ("walk", ["walk.npz", "walk_amass.npz", "walk.csv", "walk.bvh"]),
        ("a/walk", ["a/walk.npz", "a/walk_amass.npz", "a/walk.csv", "a/walk.bvh"]),
        (
            "clip.npz",
            ["clip.npz", "clip.npz_amass.npz", "clip.npz.csv", "clip.npz.bvh"],
        ),
    ],
)
def test_one_sample_adds_an_ending_only_where_it_is_missing(stem: str, files: list[str]) -> None:
    (paths,) = output_paths(stem, 1, ["npz", "amass", "csv", "bvh"])
    assert [str(path) for path in paths.values()] == files


@pytest.mark.parametrize("stem", ["a/sit", "a/sit.npz", "a/sit.bvh"])
def test_several_samples_are_numbered_in_a_folder(stem: str) -> None:
    paths = output_paths(stem, 2, ["npz", "amass", "csv", "bvh"])
    assert [str(path) for path in paths[1].values()] == [
        "a/sit/sit_01.npz",
        "a/sit/amass_01.npz",
        "a/sit/sit_01.csv",
        "a/sit/sit_01.bvh",
    ]


def test_a_place_is_checked_and_left_as_it_was(tmp_path: Path) -> None:
    check_writable([tmp_path / "new" / "deep" / "walk.npz"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "walk.bvh").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_writable([tmp_path / "walk.bvh"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        check_writable([tmp_path / "file" / "walk.npz"])
