from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from command_line import run
from robots import dance

from motionrt.cli._output import output_paths
from motionrt.cli._places import name_of
from motionrt.cli.gen import _outputs as settled
from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
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


@pytest.mark.parametrize(
    ("skeleton", "formats"),
    [
        ("humanml22", ("npz",)),
        ("soma77", ("npz",)),
        ("smplx22", ("npz", "amass")),  # as Kimodo's command line does
        ("g1", ("npz", "csv")),
    ],
)
def test_an_npz_that_is_named_is_alone_but_where_upstream_writes_more(
    skeleton: str, formats: tuple[str, ...]
) -> None:
    rig = load_skeleton(skeleton)
    assert settled(rig, [], {}, None, "walk.npz").formats == formats
    assert "npz" in settled(rig, ["bvh"], {}, None, "walk.npz").formats


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


# What -o names


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gen(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    return run(capsys, "gen", "A man waves!", "--duration", "0.5", "--seed", "1", *words)


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ([], ["output.npz"]),
        (["-o", "walk"], ["walk.npz"]),
        (["-o", "walk.glb"], ["walk.glb"]),
        (["-o", "WALK.BVH"], ["WALK.BVH"]),
        (["-o", "walk.npz"], ["walk.npz"]),
        (["-o", "take.2"], ["take.2.npz"]),
        (["-o", "walk_0.5s", "--bvh"], ["walk_0.5s.bvh", "walk_0.5s.npz"]),
        (["-o", "walk.npz", "--bvh"], ["walk.npz", "walk.npz.bvh"]),  # as Kimodo names them
        (["-o", "walk.bvh", "--bvh"], ["walk.bvh", "walk.bvh.npz"]),
        (["-o", "walk.glb", "--num-samples", "2"], ["walk/walk_00.glb", "walk/walk_01.glb"]),
        (["-o", "clips/"], ["clips/a-man-waves.npz"]),
        (["-o", "clips/", "--glb"], ["clips/a-man-waves.glb", "clips/a-man-waves.npz"]),
        (["-o", "."], ["a-man-waves.npz"]),
    ],
)
def test_a_place_is_a_stem_a_file_or_a_folder(
    words: list[str], files: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = gen(capsys, *words)
    assert code == 0, err
    assert files_in(elsewhere) == files
    assert all(f"wrote {name}" in out for name in files)
    Motion.load(elsewhere / files[0])


def test_what_a_folder_has_stays(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert gen(capsys, "-o", "clips/")[0] == 0
    assert gen(capsys, "-o", "clips", "--glb")[0] == 0  # it is there: no slash needed
    names = ["clips/a-man-waves.npz", "clips/a-man-waves-2.npz"]
    names += ["clips/a-man-waves-3.npz", "clips/a-man-waves-3.glb"]
    assert files_in(elsewhere) == sorted(names)


def test_the_folder_of_samples_is_the_same_the_next_time(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert gen(capsys, "-o", "walk", "--num-samples", "2")[0] == 0
    assert files_in(elsewhere) == ["walk/walk_00.npz", "walk/walk_01.npz"]
    (elsewhere / "output").mkdir()
    assert gen(capsys)[0] == 0  # the default name is a file's
    assert "output.npz" in files_in(elsewhere)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "walk.obj"], "walk.obj: no motions are written as .obj (there are .npz, .bvh"),
        (["-o", "walk.bhv"], ".bhv; did you mean .bvh?"),
        (["-o", "walk.mp4", "--bvh"], "no motions are written as .mp4"),
        (["-o", "walk.csv"], "-o walk.csv: .csv holds the robot Unitree G1; this model makes"),
        (["-o", "a_amass.npz"], "_amass.npz holds SMPL-X bodies"),
        (["-o", "walk.glb", "--bvh"], "names glb, bvh asked for; give the name without"),
        (["-o", "-", "--bvh", "--glb"], "-o - takes one format"),
        (["-o", "-", "--json"], "-o - goes without --json"),
    ],
)
def test_a_place_that_is_not_clear_is_refused(
    words: list[str], message: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = gen(capsys, *words)
    assert code == 2 and not out
    assert message in err and err.strip().splitlines()[-1].startswith("Error: ")
    assert files_in(elsewhere) == []


@pytest.mark.parametrize("words", [[], ["--bvh"], ["--format", "glb"]])
def test_standard_output_gets_the_bytes_of_one_file(words: list[str], tmp_path: Path) -> None:
    start = ["gen", "walk", "--duration", "0.5", "--seed", "1", "--threads", "1"]
    command = [sys.executable, "-m", "motionrt", *start, *words]
    done = subprocess.run([*command, "-o", "-"], cwd=tmp_path, capture_output=True, check=True)
    assert list(tmp_path.iterdir()) == []
    assert b"seed 1" in done.stderr
    ending = f".{words[-1].strip('-')}" if words else ".npz"
    subprocess.run([*command, "-o", "walk"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == (tmp_path / f"walk{ending}").read_bytes()


def test_bytes_are_not_printed_on_a_terminal(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    code, out, err = gen(capsys, "-o", "-", "--glb")
    assert code == 2 and "a .glb file is no text for a terminal" in err and not out
    code, out, err = gen(capsys, "-o", "-", "--num-samples", "2")
    assert code == 1 and "-o - takes one motion" in err


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A person walks. Then sits!", "a-person-walks-then-sits"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "motion"),
        ("...", "motion"),
        ("Tänzerin 走る", "tänzerin-走る"),
        ("x" * 500, "x" * 48),
        ("one two three four five six seven eight nine ten " * 3, "one-two-three-four-five-six"),
    ],
)
def test_a_prompt_names_a_file(prompt: str, name: str) -> None:
    found = name_of(prompt)
    assert found.startswith(name) and len(found) <= 48 and not found.endswith("-")
