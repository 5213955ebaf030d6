import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import DATA
from robots import dance

from motionrt.cli.main import main
from motionrt.runtime.body.g1 import motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton


def clip(skeleton: str, frames: int = 13) -> Motion:
    rng = np.random.default_rng(0)
    found = load_skeleton(skeleton)
    turns = axis_angle_to_matrix(rng.normal(size=(frames, found.num_joints, 3)) * 0.3)
    return Motion.from_local(turns, rng.normal(size=(frames, 3)), found, 30)


def run(*arguments: object) -> int:
    """Run the command line; returns its exit code."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.mark.parametrize("first", ["npz", "bvh", "glb"])
@pytest.mark.parametrize("second", ["npz", "bvh", "glb"])
def test_any_way_round_the_joints_stay(tmp_path: Path, first: str, second: str) -> None:
    motion = clip("soma77")
    motion.save(tmp_path / f"a.{first}")
    assert run("convert", tmp_path / f"a.{first}", tmp_path / f"b.{second}") == 0
    again = Motion.load(tmp_path / f"b.{second}")
    assert again.skeleton.name == "soma77" and again.fps == 30
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_robots_go_through_csv_and_bodies_through_amass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    quaternion = np.tile([1.0, 0, 0, 0], (5, 1))
    values = np.concatenate([rng.normal(size=(5, 3)), quaternion, rng.normal(size=(5, 29))], 1)
    local, root = motion_arrays_from_qpos(values * 0.2 + 0.5)
    robot = Motion.from_local(local, root, load_skeleton("g1"), 30)
    robot.save(tmp_path / "a.npz")
    for options in ([], ["--rest-zero"]):
        assert run("convert", tmp_path / "a.npz", tmp_path / "a.csv", *options) == 0
        assert run("convert", tmp_path / "a.csv", tmp_path / "b.npz", *options) == 0
        got = Motion.load(tmp_path / "b.npz")
        np.testing.assert_allclose(got.posed_joints, robot.posed_joints, rtol=0, atol=1e-4)

    body = clip("smplx22")
    body.save(tmp_path / "c.npz")
    for name, options in [("d_amass.npz", []), ("d.npz", ["--amass", "--y-up"])]:
        assert run("convert", tmp_path / "c.npz", tmp_path / name, *options) == 0
        assert "pose_body" in np.load(tmp_path / name).files
        back = [option for option in options if option == "--y-up"]
        assert run("convert", tmp_path / name, tmp_path / "e.bvh", *back) == 0
        got = Motion.load(tmp_path / "e.bvh")
        np.testing.assert_allclose(got.posed_joints, body.posed_joints, rtol=0, atol=1e-4)


def test_rates_scales_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip("smplx22").save(tmp_path / "a.npz")
    arguments = ["--fps", 60, "--bvh-scale", 1, "--joint-names", "vrm", "--rest", "t-pose"]
    assert run("convert", tmp_path / "a.npz", tmp_path / "b.bvh", *arguments) == 0
    assert "25 frames, 60 fps, smplx22" in capsys.readouterr().out
    text = (tmp_path / "b.bvh").read_text()
    assert "Frames: 25" in text and "JOINT leftUpperLeg" in text
    assert (
        run("convert", tmp_path / "b.bvh", tmp_path / "c.npz", "--input-scale", 1, "--quiet") == 0
    )
    assert capsys.readouterr().out == ""
    want = clip("smplx22").posed_joints
    np.testing.assert_allclose(
        Motion.load(tmp_path / "c.npz").posed_joints[::2], want, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.npz", "b.bvh"], 1, "no such file"),
        (["a.npz", "b.dae"], 1, "unknown suffix .dae"),
        (["a.npz", "b.csv"], 1, "the motion is on smplx22"),
        (["a.npz", "b.glb", "--bvh-scale", "1"], 2, "--bvh-scale is for .bvh"),
        (["a.npz", "b.npz", "--rest", "t-pose"], 2, "--rest is for .bvh and .glb"),
        (["a.npz", "b.bvh", "--rest", "sitting"], 2, "--rest"),
        (["a.npz", "b.bvh", "--fps", "0"], 1, "fps is 0.0"),
        (["a.npz", "b.bvh", "--fps", "nan"], 1, "fps is nan"),
        (["a.npz", "b.bvh", "--bvh-scale", "-1"], 1, "scale is -1.0"),
        (["a.npz", "b.bvh", "--amass"], 2, "AMASS is written as .npz"),
        (["a.npz", "b.bvh", "--rest-zero"], 2, "--rest-zero is for CSV"),
        (["a.npz", "b.bvh", "--input-scale", "1"], 1, "--input-scale is for bvh"),
        (["a.npz", "b.bvh", "--animation", "Walk"], 1, "--animation is for glb, gltf, vrma"),
        (["a.npz", "b.vrma", "--rest", "t-pose"], 2, "--rest is for .bvh and .glb"),
        (["a.npz", "here/"], 2, "here/: names no format; add --format NAME"),
        (["a.npz", "-"], 2, "-: names no format; add --format NAME"),
        (["a.npz"], 2, "say where to, as in: motionrt convert a.npz walk.bvh"),
        (["a.npz", "b.bvh", "-o", "c.bvh"], 2, "say where to"),
        (["a.npz"], 2, "OUT"),
        (["a.npz", "b.bvh", "--format", "gmr"], 1, "the motion is on smplx22"),
        (["a.npz", "b_mjlab.npz"], 1, "the motion is on smplx22"),
        (["a.npz", "b.npz", "--format", "dae"], 2, "--format"),
        (["a.npz", "b.npz", "--sample", "1"], 1, "--input-sample is for npy"),
        (["a.npz", "b.bvh", "--joint-order", "random"], 2, "--joint-order"),
    ],
)
def test_mistakes_are_one_clear_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    clip("smplx22").save("a.npz")
    assert run("convert", *arguments) == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]


METRES = DATA / "field" / "bvh_units_only_in_convert" / "metres.bvh"


@pytest.mark.parametrize("scale", ["1", "guess"])
def test_info_is_told_the_units(scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", METRES, "--json", "--input-scale", scale) == 0
    out, notes = capsys.readouterr()
    measures = json.loads(out)
    assert measures["root_height_m"] == pytest.approx([0.91, 0.93])
    assert measures["path_length_m"] == pytest.approx(0.028, abs=0.002)
    assert ("guessed units: metres" in notes) == (scale == "guess")
    assert run("info", METRES) == 0
    assert "0.2 cm" in (notes := capsys.readouterr().err) and "--input-scale guess" in notes


def test_a_scale_that_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", METRES, "--input-scale", "gess") == 2
    assert "'gess' is no number of units per metre, nor guess" in capsys.readouterr().err


def test_every_command_that_reads_a_motion_guesses_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    motion = replace(clip("cmu22", frames=30), fps=20)
    motion.save("a.bvh", scale=17.716535)
    guess = ["--input-scale", "guess"]
    assert run("convert", "a.bvh", "b.npz", *guess) == 0
    np.testing.assert_allclose(
        Motion.load("b.npz").posed_joints, motion.posed_joints, rtol=0, atol=1e-4
    )
    assert run("view", "a.bvh", "-o", "a.html", *guess) == 0
    assert run("constraints", "from-motion", "a.bvh", "--frames", 0, "-o", "a.json", *guess) == 0
    assert run("gen", "walks", "--continue-from", "a.bvh", "--duration", 1, "-o", "c", *guess) == 0
    assert capsys.readouterr().err.count("guessed units: CMU's units") == 4
    continued = Motion.load("c.npz")
    assert continued.skeleton.name == "cmu22"
    run("info", "a.bvh")
    assert "--input-scale guess" in capsys.readouterr().err


def test_an_animation_of_a_gltf_file_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = DATA / "field" / "glb_two_animations" / "glb_two_animations.glb"
    assert run("convert", source, tmp_path / "a.npz") == 0
    told = capsys.readouterr()
    assert "1 frames" in told.out
    note = "animation 0 'TPose' of 2 is read; the others are 1 'Walk'"
    assert told.err == f"note: {source}: {note}\n"
    for animation in ("Walk", "1"):
        assert run("convert", source, tmp_path / "b.bvh", "--animation", animation) == 0
        told = capsys.readouterr()
        assert "7 frames, 10 fps" in told.out and told.err == ""
        assert run("info", source, "--animation", animation) == 0
        assert "7" in capsys.readouterr().out
    assert run("convert", source, tmp_path / "c.npz", "--animation", "Run") == 1
    assert "has no animation 'Run'; there are 0 'TPose', 1 'Walk'" in capsys.readouterr().err


def test_vrm_animations_and_text_gltf(tmp_path: Path) -> None:
    motion = clip("smplx22")
    motion.save(tmp_path / "a.npz")
    for name in ("b.vrma", "c.gltf"):
        assert run("convert", tmp_path / "a.npz", tmp_path / name, "--quiet") == 0
        assert run("convert", tmp_path / name, tmp_path / "d.npz", "--quiet") == 0
        got = Motion.load(tmp_path / "d.npz")
        np.testing.assert_allclose(got.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    (tmp_path / "e").write_bytes((tmp_path / "b.vrma").read_bytes())
    back = ["convert", tmp_path / "e", tmp_path / "f.bvh", "--input-format", "vrma"]
    assert run(*back) == 0


FIELD = DATA / "field"


def test_robots_go_between_what_they_are_trained_on(tmp_path: Path) -> None:
    dance().motion.save(tmp_path / "a.npz")
    steps = ["a.npz", "b.pkl", "c_mjlab.npz", "d_beyondmimic.npz", "e.csv", "f.npz"]
    for source, target in itertools.pairwise(steps):
        rate = ["--input-fps", "50"] if source == "e.csv" else []
        assert run("convert", tmp_path / source, tmp_path / target, *rate, "--quiet") == 0
    last = Motion.load(tmp_path / "f.npz")
    assert last.fps == 50
    np.testing.assert_allclose(last.posed_joints, dance().motion.posed_joints, rtol=0, atol=1e-4)


def test_a_format_is_named_where_an_ending_does_not_say_it(tmp_path: Path) -> None:
    dance().motion.save(tmp_path / "a.npz")
    target = tmp_path / "clip.dat"
    for name in ("gmr", "mjlab", "beyondmimic", "csv", "npz"):
        assert run("convert", tmp_path / "a.npz", target, "--format", name) == 0
        options = ["--input-format", name, *(["--input-fps", 50] if name == "csv" else [])]
        assert run("convert", target, tmp_path / "b.npz", *options) == 0
        again = Motion.load(tmp_path / "b.npz")
        np.testing.assert_allclose(again.posed_joints, dance().motion.posed_joints, atol=1e-4)
    assert run("convert", tmp_path / "a.npz", tmp_path / "c.npz", "--format", "beyondmimic") == 0
    assert "joint_pos" in np.load(tmp_path / "c.npz").files


def test_quaternion_orders_go_in_and_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wxyz, xyzw = (FIELD / "csv_quaternion_xyzw" / f"{order}.csv" for order in ("wxyz", "xyzw"))
    want = Motion.load(wxyz).posed_joints
    for given in ([], ["--quaternion", "xyzw"], ["--input-quaternion", "xyzw"]):
        assert run("convert", xyzw, tmp_path / "a.npz", *given) == 0
        assert ("read as x y z w" in capsys.readouterr().err) == (not given)
        np.testing.assert_allclose(Motion.load(tmp_path / "a.npz").posed_joints, want, atol=1e-5)
    for source, given, like in [
        (xyzw, ["--input-quaternion", "xyzw", "--quaternion", "wxyz"], wxyz),
        (xyzw, ["--input-quaternion", "xyzw"], wxyz),
        (wxyz, ["--quaternion", "xyzw"], xyzw),
        (xyzw, ["--quaternion", "xyzw"], xyzw),
    ]:
        assert run("convert", source, tmp_path / "b.csv", *given) == 0
        rows, told = (np.loadtxt(path, delimiter=",") for path in (tmp_path / "b.csv", like))
        np.testing.assert_allclose(rows, told, rtol=0, atol=1e-5)
    capsys.readouterr()
    assert run("info", xyzw, "--quaternion", "xyzw") == 0
    assert capsys.readouterr().err == ""


def test_field_files_of_arrays_are_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", FIELD / "amass_smplx_stageii" / "stageii.npz", tmp_path / "a.bvh") == 0
    assert "3 frames, 120 fps, smplx22" in capsys.readouterr().out
    results = FIELD / "npy_mdm_results" / "results.npy"
    assert run("convert", results, tmp_path / "b.bvh", "--sample", "0") == 0
    assert run("convert", results, tmp_path / "b.bvh", "--sample", "1") == 1
    assert "sample 1: it holds one motion" in capsys.readouterr().err
    assert run("info", FIELD / "lfs_pointer" / "walk.npy") == 1
    assert "git lfs pull" in capsys.readouterr().err


def test_units_and_axes_of_joints_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = Motion.load(FIELD / "npy_mdm_results" / "results.npy").posed_joints
    z_up = np.stack([-joints[..., 0], joints[..., 2], joints[..., 1]], axis=-1) * 100
    np.save(tmp_path / "a.npy", z_up)
    assert run("convert", tmp_path / "a.npy", tmp_path / "b.npz") == 0
    error = capsys.readouterr().err
    assert "--input-scale 100" in error and "--input-up z" in error
    told = ["--input-scale", 100, "--input-up", "z"]
    assert run("convert", tmp_path / "a.npy", tmp_path / "b.npz", *told) == 0
    assert capsys.readouterr().err == ""
    np.testing.assert_allclose(Motion.load(tmp_path / "b.npz").posed_joints, joints, atol=1e-5)


def test_a_folder_gets_the_name_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip("cmu22").save("a.npz")
    assert run("convert", "a.npz", "new/", "--format", "bvh") == 0
    assert run("convert", "a.npz", "-o", "new", "--format", "glb") == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.bvh", "a.glb"]


@pytest.mark.parametrize("name", ["npz", "bvh", "glb", "gltf", "csv", "gmr", "npy"])
def test_a_motion_goes_through_pipes(tmp_path: Path, name: str) -> None:
    skeleton = {"csv": "g1", "gmr": "g1", "npy": "humanml22"}.get(name, "cmu22")
    source = tmp_path / "a.npz"
    motion = dance().motion if skeleton == "g1" else clip(skeleton)
    motion.save(source)
    command = [sys.executable, "-m", "motionrt", "convert"]
    words = [*command, str(source), "-", "--format", name, "--quiet"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    again = [*command, "-", "b.npz"]
    if name in ("csv", "npy"):
        again += ["--input-fps", f"{motion.fps:g}"]
    subprocess.run(again, cwd=tmp_path, input=done.stdout, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    found = Motion.load(tmp_path / "b.npz")
    np.testing.assert_allclose(found.posed_joints, motion.posed_joints, rtol=0, atol=2e-4)
