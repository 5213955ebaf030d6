"""ARDY's features and clean-up against recorded numbers: what numpy alone must meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.ardy.constraints import correction_targets
from motionrt.runtime.ardy.features import NUM_LOCAL_ROOT_FEATURES, ArdyFeatures
from motionrt.runtime.ardy.model_names import resolve_model_name
from motionrt.runtime.ardy.network import ArdySizes
from motionrt.runtime.ardy.streaming import window_frames
from motionrt.runtime.body.motion_correction import correct_motion
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.body.upright_features import NUM_ROOT_FEATURES
from motionrt.runtime.constraints.files import read_constraints
from motionrt.runtime.errors import InputError
from motionrt.runtime.request import num_frames

FAMILIES = ("ardy",)
"""Golden folders whose cases are run here (see ``cases``)."""

FEATURES = {"atol": 1e-4, "rtol": 1e-4}
"""The motionrep cases' README."""
CORRECTED_ROTATIONS, CORRECTED_POSITIONS = 5e-3, 2e-3
"""The postprocess cases' README: upstream works in float32."""


def read(case: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return case.json, inputs and expected arrays."""
    content = json.loads((case / "case.json").read_text())
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as expected:
        return content, dict(inputs), dict(expected)


def features_of(checkpoint: Path, skeleton: str, fps: float) -> ArdyFeatures:
    """Make the features of a checkpoint, whose local root stands between root and body."""
    whole = {name: np.load(checkpoint / f"stats/motion/{name}.npy") for name in ("mean", "std")}
    local = slice(NUM_ROOT_FEATURES, NUM_ROOT_FEATURES + NUM_LOCAL_ROOT_FEATURES)
    return ArdyFeatures(
        load_skeleton(skeleton),
        fps,
        np.delete(whole["mean"], local),
        np.delete(whole["std"], local),
        (whole["mean"][local], whole["std"][local]),
    )


def run_motionrep(case: Path) -> None:
    content, inputs, expected = read(case)
    features = features_of(case / content["checkpoint"], content["skeleton"], content["fps"])
    lengths = np.array(content["lengths"])
    encoded = features.encode(inputs["local_rot_mats"], inputs["root_positions"], lengths)
    close(encoded, expected["enc_features"], **FEATURES)
    given = expected["enc_features"]
    close(features.normalize(given), expected["enc_features_norm"], **FEATURES)
    close(features.local_root(given, lengths), expected["local_root"], **FEATURES)
    root = expected["enc_features_norm"][..., :NUM_ROOT_FEATURES]
    local = features.normalized_local_root(root, lengths)
    close(local, expected["local_root_norm"], **FEATURES)
    close(features.headings(root), expected["heading_angle"], **FEATURES)
    for name, values in (
        ("rotated", features.rotate(given, np.array(content["rotate_angles"], np.float32))),
        ("translated", features.translate_2d(given, np.array(content["translate_xz"]))),
        ("canonicalized", features.canonicalize(given)),
    ):
        close(values, expected[name], **FEATURES)
    recentred, centre = features.recentred(root, content["center_frames"])
    close(recentred, expected["recentered_root"], **FEATURES)
    close(centre, expected["center_pos"], **FEATURES)
    close(features.translated(recentred, centre), root, **FEATURES)

    unnormalized = features.unnormalize(inputs["features_norm"])
    close(unnormalized, expected["unnormalized"], **FEATURES)
    decoded = features.decode(unnormalized)
    for name, array in decoded.items():
        if f"dec_{name}" not in expected:
            assert name == "smooth_root_pos"
            np.testing.assert_array_equal(array, decoded["root_positions"])
        elif array.dtype == bool:
            np.testing.assert_array_equal(array, expected[f"dec_{name}"], err_msg=name)
        else:
            close(array, expected[f"dec_{name}"], **FEATURES)
    by_position = features.decode(unnormalized, joints_from_positions=True)["posed_joints"]
    close(by_position, expected["dec_posed_joints_from_positions"], **FEATURES)


def run_postprocess(case: Path) -> None:
    content, inputs, expected = read(case)
    skeleton = load_skeleton(content["skeleton"])
    frames = content["num_frames"]
    for name, run in content["runs"].items():
        constraints = []
        if run["constraints"]:
            whole = read_constraints(case / run["constraints"], skeleton)
            constraints = whole[: run.get("first")]
        targets = correction_targets(constraints, skeleton, frames)
        if name == "constrained":
            close(targets.root_positions, expected["target_root"], **FEATURES)
            turned = quaternion_to_matrix(expected["target_quats"])
            close(targets.local_rot_mats, turned, **FEATURES)
        for row in range(len(inputs["root_positions"])):
            local, root = correct_motion(
                skeleton,
                inputs["local_rot_mats"][row],
                inputs["root_positions"][row],
                inputs["contacts"][row],
                targets,
                run["root_margin"],
                run["contact_threshold"],
            )
            posed, _ = skeleton.forward_kinematics(local, root)
            wanted = {
                key.removeprefix(f"{name}_"): value[row]
                for key, value in expected.items()
                if key.startswith(f"{name}_")
            }
            close(local, wanted["local_rot_mats"], atol=CORRECTED_ROTATIONS)
            close(root, wanted["root_positions"], atol=CORRECTED_POSITIONS)
            close(posed, wanted["posed_joints"], atol=CORRECTED_POSITIONS)


def run_cli(case: Path) -> None:
    """Check names and sizes. Where files go is the command line's own matter."""
    cases = json.loads((case / "cli_cases.json").read_text())
    for name, model in cases["model_names"]:
        try:
            found: str | None = resolve_model_name(name)
        except InputError:
            found = None
        assert found == model, name
    for (fps, horizon, frames_per_token), history in cases["default_history_frames"]:
        sizes = _sizes(frames_per_token, horizon)
        assert sizes.longest_history(fps) == history
    for seconds, fps, frames in cases["num_frames"]:
        assert num_frames(seconds, fps) == frames
    for given, frames in cases["window_frames"]:
        history, horizon, token, most, start, furthest, future = given
        if furthest is not None and furthest < start + history:
            furthest = None  # it lies in the history: nobody asks for it any more
        assert window_frames(history, horizon, token, most, start, furthest, future) == frames


def _sizes(frames_per_token: int, horizon: int) -> ArdySizes:
    return ArdySizes(
        frames_per_token=frames_per_token,
        horizon=horizon,
        latent_width=128,
        num_base_steps=10,
        num_steps=10,
        guidance_type="separated",
        num_text_tokens=1,
        text_width=4096,
        hidden_width=1024,
        num_heads=8,
        takes_constraints=True,
        quantises=True,
        normalises=True,
        window_seconds=10.0,
    )


def close(
    found: NDArray[Any], expected: NDArray[Any], atol: float = 0.0, rtol: float = 0.0
) -> None:
    assert found.shape == expected.shape, (found.shape, expected.shape)
    np.testing.assert_allclose(found, expected, atol=atol, rtol=rtol)
