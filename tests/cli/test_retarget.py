from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from rigs import character
from strides import gliding, striding

from motionrt.runtime.body.motion import Motion


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    striding(phase=0.3).save(tmp_path / "walk.npz")
    return tmp_path / "walk.npz"


def test_a_character_walks(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hero = character(tmp_path, "mixamo")
    words = ["--to", hero, "-o", f"{tmp_path}/made/", "--loop", "--in-place", "--for", "blender"]
    code, out, err = run(capsys, "retarget", walk, *words)
    assert (code, err) == (0, "")
    assert "loop of" in out and "walk.glb: pass" in out and "standing feet slide" in out
    made = Motion.load(tmp_path / "made" / "walk.glb")
    assert made.num_frames < 120 and abs(made.root_positions[:, ::2]).max() < 0.1
    assert "mixamorig:LeftHandIndex1" in made.skeleton.joint_names


def test_the_certificate_as_json(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hero = character(tmp_path, "kaykit")
    code, out, _ = run(
        capsys, "retarget", walk, "--to", hero, "-o", tmp_path / "a.npz", "--json", "--mirror"
    )
    told = json.loads(out)
    assert code == 0 and told["passed"] and told["failures"] == [] and told["frames"] == 120
    assert told["slide_mm"] < 5 and "toe_left" not in told["unmapped_roles"]
    assert Motion.load(tmp_path / "a.npz").skeleton.joint_names[0] == "hips"


def test_the_bones_are_shown_and_corrected(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hero = character(tmp_path, "rocketbox")
    code, out, _ = run(
        capsys, "retarget", walk, "--to", hero, "--bones", "--write-map", tmp_path / "map.json"
    )
    assert code == 0
    rows = [line.split("  ") for line in out.splitlines()]
    assert rows[0][0] == "role" and ["hips", "Bip01 Pelvis", "words"] in [
        [cell.strip() for cell in row if cell.strip()] for row in rows
    ]
    told = json.loads((tmp_path / "map.json").read_text())
    assert told["shin_left"] == "Bip01 L Calf"
    told["toe_left"] = None
    (tmp_path / "map.json").write_text(json.dumps(told))
    words = ["--to", hero, "--map", tmp_path / "map.json", "-o", tmp_path / "a.glb", "--json"]
    code, out, _ = run(capsys, "retarget", walk, *words)
    assert code == 0 and json.loads(out)["unmapped_roles"][0] == "toe_left"


def test_a_certificate_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gliding().save(tmp_path / "walk.npz")
    hero = character(tmp_path, "mixamo")
    words = ["retarget", tmp_path / "walk.npz", "--to", hero, "-o", tmp_path / "a.glb"]
    code, out, err = run(capsys, *words)
    assert code == 0 and "a.glb: FAIL" in out and "warning: " in err
    (tmp_path / "a.glb").unlink()
    code, _, err = run(capsys, *words, "--strict")
    assert code == 1 and "misses its place" in err and not (tmp_path / "a.glb").exists()


def test_root_motion_for_engines(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hero = character(tmp_path, "unreal")
    words = ["--to", hero, "-o", tmp_path / "a.glb", "--for", "unreal", "--quiet"]
    assert run(capsys, "retarget", walk, *words)[:2] == (0, "")
    data = (tmp_path / "a.glb").read_bytes()
    parsed = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    names = [node["name"] for node in parsed["nodes"]]
    moved = {names[c["target"]["node"]] for c in parsed["animations"][0]["channels"]}
    assert {"root", "pelvis"} <= moved


def test_hands_are_put_into_a_pose(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hero = character(tmp_path, "mixamo")
    made = {}
    for pose in ("flat", "fist"):
        place = tmp_path / f"{pose}.npz"
        words = ["--to", hero, "-o", place, "--hands", pose, "--quiet"]
        assert run(capsys, "retarget", walk, *words)[0] == 0
        made[pose] = Motion.load(place)
    body = made["fist"].skeleton
    tip, hand = (body.index(f"mixamorig:Left{name}") for name in ("HandIndex3", "Hand"))
    reach = {
        pose: float(abs(motion.posed_joints[0, tip] - motion.posed_joints[0, hand]).max())
        for pose, motion in made.items()
    }
    assert reach["fist"] < 0.9 * reach["flat"]
    code, _, err = run(capsys, "finish", walk, "-o", tmp_path / "a.npz", "--hands", "fist")
    assert code == 1 and "has no fingers" in err


def test_wrong_use_is_told(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "retarget", walk, "--to", "cmu22")[0] == 2
    code, _, err = run(capsys, "retarget", walk, "--to", "nobody.glb", "-o", tmp_path / "a.glb")
    assert code == 1 and err == "Error: nobody.glb: no such file\n"
    code, _, err = run(capsys, "retarget", walk, "--to", "g1", "-o", tmp_path / "a.npz")
    assert code == 1 and "no bone was found" in err
