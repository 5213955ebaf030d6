from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from robots import dance

from motionrt.cli._output import check_writable, output_paths
from motionrt.cli.gen import _outputs as settled
from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.table import FORMATS


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


def test_robots_are_written_as_csv_unasked_and_otherwise_when_asked(tmp_path: Path) -> None:
    robot: dict[str, Any] = {"quaternion": "xyzw"}
    for asked, formats in [
        ([], ("npz", "csv")),
        (["gmr"], ("npz", "csv", "gmr")),
        (["beyondmimic", "mjlab"], ("npz", "csv", "mjlab", "beyondmimic")),
    ]:
        outputs = settled(load_skeleton("g1"), asked, robot, None)
        assert outputs.formats == formats
        files = outputs.write([dance().motion], str(tmp_path / "clip"))
        assert {path.name for path in files} == {f"clip{FORMATS[n].ending}" for n in formats}
        for path in files:
            options: dict[str, Any] = {"fps": 50} if path.suffix == ".csv" else {}
            again = Motion.load(path, **options)
            np.testing.assert_allclose(again.posed_joints, dance().motion.posed_joints, atol=1e-4)
    with pytest.raises(click.UsageError, match=r"--gmr holds .*; this model makes smplx22"):
        settled(load_skeleton("smplx22"), ["gmr"], {}, None)


def test_a_format_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = tmp_path / "walk"
    arguments = ["gen", "a man walks", "--duration", "1", "-o", stem]
    main([*map(str, arguments), "--format", "bvh", "--format", "glb"])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"walk.npz", "walk.bvh", "walk.glb"}
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--format", "gmr"])
    assert ended.value.code == 2
    assert "this model makes cmu22" in capsys.readouterr().err
