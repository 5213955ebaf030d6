"""Runners for the golden kinds of Kimodo that numpy alone must meet: encoding, files, the smoother.

Each takes a case folder and raises AssertionError where we differ from the authors' arrays.
"""

import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import g1_hinges, project_to_hinges, qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import bvh_rig_rotations, rebase
from motionrt.runtime.body.root_smoother import smooth_root
from motionrt.runtime.body.skeleton import expand, load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures, statistics_from_parts

FAMILIES = ("kimodo",)
"""Golden folders whose cases are run here (see ``cases``)."""

GEOMETRY = 2e-5  # float32 sums over a few joints; upstream suggests 1e-4
FEATURES = 1e-4  # velocities are positions times 30 frames a second
BVH_DEGREES = 5e-4  # angles of float32 rotations; upstream suggests 2e-3
BVH_CENTIMETRES = 1e-6  # the last decimal of the file
SMOOTHER = 1e-5  # 500 iterations in float32; upstream suggests 1e-3


def run_decode(case_dir: Path) -> None:
    case, inputs, expected = _load(case_dir)
    statistics = case_dir / case["checkpoint"] / "stats/motion"
    parts = {
        part: (np.load(statistics / part / "mean.npy"), np.load(statistics / part / "std.npy"))
        for part in ("global_root", "body")
    }
    skeleton = load_skeleton(case["skeleton"])
    codec = MotionFeatures(skeleton, case.get("fps", 30), *statistics_from_parts(parts))

    features = codec.unnormalize(inputs["features_norm"])
    _close(features, expected["features"], GEOMETRY, "features")
    _close(codec.normalize(features), expected["features_renorm"], FEATURES, "features_renorm")
    decoded = codec.decode(features)
    for name, values in decoded.items():
        if values.dtype == bool:
            np.testing.assert_array_equal(values, expected[f"dec_{name}"], err_msg=name)
        else:
            _close(values, expected[f"dec_{name}"], GEOMETRY, name)
    by_position = codec.decode(features, joints_from_positions=True)["posed_joints"]
    _close(by_position, expected["dec_posed_joints_from_positions"], GEOMETRY, "from positions")
    if "out77_local_rot_mats" in expected:
        _check_77_joints(decoded, expected)

    lengths = inputs["enc_lengths"]
    encoded = codec.encode(inputs["enc_local_rot_mats"], inputs["enc_root_positions"], lengths)
    _close(encoded, expected["enc_features"], FEATURES, "enc_features")
    _close(encoded[..., :3], expected["enc_smooth_root"], SMOOTHER, "enc_smooth_root")
    given = expected["enc_features"]
    turned = codec.rotate(given, np.array([0.7, -2.2], np.float32))
    _close(turned, expected["rotated"], GEOMETRY, "rotated")
    moved = codec.translate_2d(given, np.array([[1, -2], [0.5, 0.25]], np.float32))
    _close(moved, expected["translated"], GEOMETRY, "translated")
    _close(codec.canonicalize(given), expected["canonicalized"], GEOMETRY, "canonicalized")
    _close(codec.local_root(given, lengths), expected["local_root"], FEATURES, "local_root")
    joints = codec.decode(given)["posed_joints"]
    _close(joints, expected["dec_of_enc_posed_joints"], GEOMETRY, "dec_of_enc_posed_joints")


def run_smooth_root(case_dir: Path) -> None:
    _, inputs, expected = _load(case_dir)
    for name, root in inputs.items():
        _close(smooth_root(root), expected[name.replace("root", "smooth")], SMOOTHER, name)


def run_export_bvh(case_dir: Path) -> None:
    case, inputs, expected = _load(case_dir)
    skeleton = load_skeleton("soma77")
    root = inputs["root_positions"]
    motion = Motion.from_local(inputs["local_rot_mats77"], root, skeleton, case["fps"])
    based = rebase(motion, bvh_rig_rotations("soma77"))
    _close(based.local_rot_mats, expected["bvh_local_rot_mats"], GEOMETRY, "bvh_local_rot_mats")
    _close(based.global_rot_mats, expected["bvh_global_rot_mats"], GEOMETRY, "bvh_global_rot_mats")
    back = rebase(based, np.swapaxes(bvh_rig_rotations("soma77"), -1, -2))
    _close(back.local_rot_mats, expected["roundtrip_local_rot_mats"], GEOMETRY, "roundtrip")

    for joints in (77, 30):
        local = inputs[f"local_rot_mats{joints}"]
        motion = Motion.from_local(local, root, load_skeleton(f"soma{joints}"), case["fps"])
        with tempfile.TemporaryDirectory() as folder:
            motion.save(Path(folder) / "motion.bvh")
            got = (Path(folder) / "motion.bvh").read_text()
        want = (case_dir / f"motion{joints}.bvh").read_text()
        got_head, _, got_frames = got.partition("Frame Time: ")
        want_head, _, want_frames = want.partition("Frame Time: ")
        assert got_head == want_head, "the hierarchy differs"
        got_lines, want_lines = got_frames.split("\n"), want_frames.split("\n")
        assert got_lines[0] == want_lines[0], "the frame time differs"
        assert [line[-1:] for line in got_lines] == [line[-1:] for line in want_lines]
        table, wanted = (
            np.array([line.split() for line in lines[1:-1]], float)
            for lines in (got_lines, want_lines)
        )
        np.testing.assert_allclose(table[:, :9], wanted[:, :9], rtol=0, atol=BVH_CENTIMETRES)
        np.testing.assert_allclose(table[:, 9:], wanted[:, 9:], rtol=0, atol=BVH_DEGREES)


def run_export_csv(case_dir: Path) -> None:
    case, inputs, expected = _load(case_dir)
    local, root = inputs["local_rot_mats"], inputs["root_positions"]
    _close(qpos(local, root), expected["qpos"], GEOMETRY, "qpos")
    _close(qpos(local, root, rest_zero=True), expected["qpos_rest_zero"], GEOMETRY, "rest zero")
    xyzw = qpos(local, root, quaternion_first=False)
    _close(xyzw, expected["qpos_xyzw"], GEOMETRY, "qpos_xyzw")
    hinges = g1_hinges()
    _close(hinges.rest_euler_rad, expected["rest_dofs"], GEOMETRY, "rest_dofs")
    rest = expected["rest_dofs_axis_angle"]
    _close(hinges.rest_axis_angle_rad, rest, GEOMETRY, "rest_dofs_axis_angle")
    for name, want in expected.items():
        if name.startswith("proj_") and name.endswith("local_rot_mats"):
            clamp, rest_zero = "clamp1" in name, "rest1" in name
            got = project_to_hinges(local, clamp_to_limits=clamp, rest_zero=rest_zero)
            _close(got, want, GEOMETRY, name)
            joints = expected.get(name.replace("local_rot_mats", "posed_joints"))
            if joints is not None:
                _close(load_skeleton("g1").forward_kinematics(got, root)[0], joints, GEOMETRY, name)

    motion = Motion.from_local(local[0], root[0], load_skeleton("g1"), case["fps"])
    with tempfile.TemporaryDirectory() as folder:
        motion.save(Path(folder) / "qpos.csv")
        got_text = (Path(folder) / "qpos.csv").read_text()
    want_text = (case_dir / "qpos.csv").read_text()
    shape = [re.sub(r"[0-9-]", "", text.replace("+", "")) for text in (got_text, want_text)]
    assert shape[0] == shape[1], "the CSV is laid out differently"
    got, want = (np.loadtxt(io.StringIO(t), delimiter=",") for t in (got_text, want_text))
    _close(got, want, GEOMETRY, "qpos.csv")


def run_export_amass(case_dir: Path) -> None:
    case, inputs, _ = _load(case_dir)
    skeleton = load_skeleton("smplx22")
    local, root = inputs["local_rot_mats"][0], inputs["root_positions"][0]
    motion = Motion.from_local(local, root, skeleton, case["fps"])
    for name, z_up in (("amass_zup.npz", True), ("amass_yup.npz", False)):
        with tempfile.TemporaryDirectory() as folder:
            motion.save(Path(folder) / "clip.npz", format="amass", z_up=z_up)
            got = dict(np.load(Path(folder) / "clip.npz"))
        want = dict(np.load(case_dir / name))
        assert list(got) == list(want), f"{name}: keys {list(got)}"
        for key, values in want.items():
            if values.dtype.kind == "U":
                assert got[key].dtype == values.dtype and got[key] == values, key
            else:
                _close(got[key], values, GEOMETRY, f"{name}/{key}")


def _check_77_joints(decoded: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    local = expand(decoded["local_rot_mats"], load_skeleton("soma30"))
    skeleton = load_skeleton("soma77")
    joints, rotations = skeleton.forward_kinematics(local, decoded["root_positions"])
    _close(local, expected["out77_local_rot_mats"], GEOMETRY, "out77_local_rot_mats")
    _close(rotations, expected["out77_global_rot_mats"], GEOMETRY, "out77_global_rot_mats")
    _close(joints, expected["out77_posed_joints"], GEOMETRY, "out77_posed_joints")


def _load(case_dir: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    case = json.loads((case_dir / "case.json").read_text())
    arrays = []
    for name in ("inputs.npz", "expected.npz"):
        path = case_dir / name
        arrays.append(dict(np.load(path)) if path.exists() else {})
    return case, arrays[0], arrays[1]


def _close(got: NDArray[Any], want: NDArray[Any], tolerance: float, what: str) -> None:
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{what}: {got.dtype}, expected {want.dtype}"
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=what)
