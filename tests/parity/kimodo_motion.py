"""Runners for the golden kinds of Kimodo that numpy alone must meet: encoding, files, the smoother.

Each takes a case folder and raises AssertionError where we differ from the authors' arrays.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.features import MotionFeatures, statistics_from_parts
from motionrt.runtime.root_smoother import smooth_root
from motionrt.runtime.skeleton import expand_soma30, load_skeleton

GEOMETRY = 2e-5  # float32 sums over a few joints; upstream suggests 1e-4
FEATURES = 1e-4  # velocities are positions times 30 frames a second
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
    turned = codec.rotate(given, np.float32([0.7, -2.2]))
    _close(turned, expected["rotated"], GEOMETRY, "rotated")
    moved = codec.translate_2d(given, np.float32([[1, -2], [0.5, 0.25]]))
    _close(moved, expected["translated"], GEOMETRY, "translated")
    _close(codec.canonicalize(given), expected["canonicalized"], GEOMETRY, "canonicalized")
    _close(codec.local_root(given, lengths), expected["local_root"], FEATURES, "local_root")
    joints = codec.decode(given)["posed_joints"]
    _close(joints, expected["dec_of_enc_posed_joints"], GEOMETRY, "dec_of_enc_posed_joints")


def run_smooth_root(case_dir: Path) -> None:
    _, inputs, expected = _load(case_dir)
    for name, root in inputs.items():
        _close(smooth_root(root), expected[name.replace("root", "smooth")], SMOOTHER, name)


def _check_77_joints(decoded: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    local = expand_soma30(decoded["local_rot_mats"])
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
