"""Kimodo's controls against recorded numbers: constraints, sequences, clean-up, whole commands."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray
from parity import exported
from parity.kimodo import whole

import motionrt.cli.main
from motionrt.cli._bundles import BUNDLE_DIR_VARIABLE
from motionrt.runtime.body.motion_correction import correct_motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix, euler_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.files import read_constraints
from motionrt.runtime.constraints.kinds import Constraint
from motionrt.runtime.kimodo.compat import DEFAULT_COMPAT
from motionrt.runtime.kimodo.constraints import conditioning, correction_targets
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.guidance import Guidance
from motionrt.runtime.sampling.noise import TorchGenerator

FAMILIES = ("kimodo", "kimodo-cli")
"""Golden folders whose cases are run here (see ``cases``)."""

CONDITIONING = 1e-4
"""Masks and observed motion, by the constraints cases' README."""
FEATURES = {"atol": 3e-3, "rtol": 1e-3}
"""Features after sampling, which magnifies rounding: the same README."""
DECODED, DECODED_999 = 1e-2, 2e-3
"""Rotations and positions after sampling: all, and 99.9 % of them."""
CORRECTED_ROTATIONS, CORRECTED_POSITIONS = 2e-3, 1e-3
"""By the postprocess cases' README: upstream works in float32."""
SEQUENCE_OBSERVED = 2e-3
"""Transitions hold what was sampled before, normalised: they drift as features do."""

# A whole command, by the recorded drift of correct runs (all, and 99.9 % where that is stated).
NOISE = 3e-6
EMBEDDING = 1e-4
COMMAND_FEATURES = (2e-3, 5e-4)
COMMAND_ARRAYS = {
    "root_positions": (1e-3, 1e-3),
    "smooth_root_pos": (1e-3, 1e-3),
    "global_root_heading": (1e-3, 1e-3),
    "posed_joints": (5e-3, 1e-3),
    "local_rot_mats": (1e-2, 3e-3),
    "global_rot_mats": (1e-2, 3e-3),
}
COMMAND_ROTATIONS = (1e-2, 3e-3)
CSV_POSITIONS, CSV_ANGLES = 1e-3, 5e-3
AMASS_TRANS, AMASS_ROTATIONS = 1e-3, 1e-2
BVH_POSITION_CM, BVH_DEGREES_999, BVH_ROTATIONS = 0.1, 0.05, 1e-2


def read(case: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return case.json, inputs and expected arrays."""
    content = json.loads((case / "case.json").read_text())
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as expected:
        return content, dict(inputs), dict(expected)


def run_constraints(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = exported.kimodo((case / content["checkpoint"]).resolve())
    frames = content["num_frames"]
    text, noise = inputs["text_feat_walks"][None], inputs["noise"]
    weights = tuple(content["cfg_weight"])
    runs = [(name, name, Guidance(content["cfg_type"], weights)) for name in content["sets"]]
    runs.append(("overlap", "overlap_nocfg", Guidance("nocfg")))
    runs.append(("overlap", "overlap_regular", Guidance("regular", (2.5,))))
    for name, result, guidance in runs:
        constraints = read_constraints(case / f"{name}.json", pipeline.native_skeleton)
        observed, mask = conditioning(constraints, pipeline.features, frames)
        np.testing.assert_array_equal(mask, expected[f"{name}_mask"])
        close(observed, expected[f"{name}_observed"], atol=CONDITIONING)
        normalised = pipeline.features.normalize(observed)
        if f"{name}_observed_norm" in expected:
            close(normalised, expected[f"{name}_observed_norm"], atol=CONDITIONING, rtol=1e-5)
        if f"{result}_features" not in expected:
            continue
        features = pipeline.sample(
            text,
            noise,
            first_heading_rad=content["first_heading_angle"],
            motion_mask=mask[None],
            observed_motion=normalised[None],
            guidance=guidance,
            num_steps=content["num_denoising_steps"],
        )
        close(features, expected[f"{result}_features"], **FEATURES)
    if "batched_features" in expected:
        _batched(case, pipeline, content, inputs, expected["batched_features"])


def _batched(
    case: Path,
    pipeline: KimodoPipeline,
    content: dict[str, Any],
    inputs: dict[str, Any],
    expected: NDArray[Any],
) -> None:
    """Run two prompts with constraints of their own through ``generate``."""
    files = [case / "overlap.json", case / "root2d_heading.json"]
    texts = {
        "A person walks": inputs["text_feat_walks"],
        "A person runs": inputs["text_feat_runs"],
    }
    lengths = [24, 20]
    features: list[NDArray[Any]] = []
    with injected(texts, [inputs["noise2"]]), recorded(lambda _, out: features.append(out)):
        pipeline.generate_many(
            list(texts),
            num_frames=lengths,
            first_heading_rad=[0.4, -1.0],
            constraints=[read_constraints(file) for file in files],
            guidance_type=content["cfg_type"],
            guidance_weights=content["cfg_weight"],
            num_steps=content["num_denoising_steps"],
            postprocess=False,
        )
    close(whole(features[0], expected, lengths), expected, **FEATURES)


def run_multiprompt(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = exported.kimodo((case / content["checkpoint"]).resolve())
    texts = dict(zip(content["prompts"], inputs["text_feat"], strict=True))
    for run, settings in content["runs"].items():
        segments: list[tuple[dict[str, Any], NDArray[Any]]] = []
        share = content["percentage_transition_override"] if settings["share_transition"] else 0.0
        noises = [inputs[f"noise_{run}_{i}"] for i in range(len(texts))]
        file = settings["constraints"]

        def keep(given: dict[str, Any], out: NDArray[Any], into: Any = segments) -> None:
            into.append((given, out))

        with injected(texts, noises), recorded(keep):
            motions = pipeline.generate_many(
                list(texts),
                num_frames=content["num_frames"],
                num_samples=content["num_samples"],
                multi_prompt=True,
                num_transition_frames=content["num_transition_frames"],
                first_heading_rad=inputs["first_heading_angle"],
                constraints=None if file is None else case / file,
                guidance_type=content["cfg_type"],
                guidance_weights=content["cfg_weight"],
                num_steps=content["num_denoising_steps"],
                compat=dataclasses.replace(DEFAULT_COMPAT, replayed_part=share),
                postprocess=False,
            )
        for index, (given, features) in enumerate(segments):
            prefix = f"seg_{run}_{index}"
            close(features[:1], expected[f"{prefix}_features"], **FEATURES)
            close(given["first_heading_rad"], expected[f"{prefix}_heading"], atol=1e-3)
            if f"{prefix}_mask" in expected:
                mask = given["motion_mask"][:1]
                np.testing.assert_array_equal(mask, expected[f"{prefix}_mask"])
                observed = given["observed_motion"][:1] * mask
                close(observed, expected[f"{prefix}_observed"], atol=SEQUENCE_OBSERVED)
        for name in COMMAND_ARRAYS:
            if f"{run}_{name}" in expected:
                wanted = expected[f"{run}_{name}"]
                found = np.stack([getattr(motion, name) for motion in motions])[: len(wanted)]
                within(found, wanted, (DECODED, DECODED_999), name)
        contacts = np.stack([motion.to_arrays()["foot_contacts"] for motion in motions])
        np.testing.assert_array_equal(contacts, expected[f"{run}_foot_contacts"])


def run_postprocess(case: Path) -> None:
    content, inputs, expected = read(case)
    skeleton = load_skeleton(content["skeleton"])
    assert content["contact_threshold"] == 0.5
    for name in content["sets"]:
        constraints = read_constraints(case / f"{name}.json", skeleton)
        for row in range(len(expected[f"{name}_root_positions"])):
            _check_correction(
                skeleton.name,
                constraints,
                {key: inputs[key][row] for key in inputs},
                {
                    key: expected[f"{name}_{key}"][row]
                    for key in ("local_rot_mats", "root_positions", "posed_joints")
                    if f"{name}_{key}" in expected
                },
                content["root_margin"][name],
            )


def _check_correction(
    skeleton_name: str,
    constraints: Sequence[Constraint],
    before: dict[str, Any],
    after: dict[str, Any],
    root_margin: float,
) -> None:
    skeleton = load_skeleton(skeleton_name)
    targets = correction_targets(constraints, skeleton, len(before["root_positions"]))
    local, root = correct_motion(
        skeleton,
        before["local_rot_mats"],
        before["root_positions"],
        before["foot_contacts"],
        targets,
        root_margin,
    )
    close(local, after["local_rot_mats"], atol=CORRECTED_ROTATIONS)
    close(root, after["root_positions"], atol=CORRECTED_POSITIONS)
    if "posed_joints" in after:
        positions, _ = skeleton.forward_kinematics(local, root)
        close(positions, after["posed_joints"], atol=CORRECTED_POSITIONS)


def run_kimodo_cli(case: Path) -> None:
    """Run the recorded command, then compare its steps in order and the files it wrote."""
    content = json.loads((case / "case.json").read_text())
    checkpoint = (case / content["checkpoint"]).resolve()
    encoder = content["text_encoder"]
    parts = [(case / encoder[name]).resolve() for name in ("base", "mntp", "supervised")]
    pipeline = exported.kimodo(checkpoint, *parts)
    calls: list[tuple[dict[str, Any], NDArray[Any]]] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        recorded(lambda given, out: calls.append((given, out))),
    ):
        folder = Path(temporary)
        _run_command(case, content, pipeline, folder)
        with np.load(case / "diagnosis.npz") as diagnosis:
            _check_steps(case, content, dict(diagnosis), calls)
        for name in content["output_files"]:
            _check_file(folder / name, case / name)


def _run_command(
    case: Path, content: dict[str, Any], pipeline: KimodoPipeline, folder: Path
) -> None:
    for name in content["input_files"]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(case / name, target)
    bundles = folder / "bundles"
    bundles.mkdir()
    (bundles / pipeline.manifest.name).symlink_to(pipeline.bundle.folder.resolve())
    arguments = ["gen", *content["argv"][1:], "--backend", "cpu"]
    if "--model" not in arguments:
        arguments += ["--model", "kimodo-soma-rp"]  # upstream's default; ours has no default
    with contextlib.chdir(folder):
        result = CliRunner(env={BUNDLE_DIR_VARIABLE: str(bundles)}).invoke(
            motionrt.cli.main.cli, arguments, catch_exceptions=False
        )
    assert result.exit_code == 0, f"{shlex.join(arguments)}: {result.output}"


def _check_steps(
    case: Path,
    content: dict[str, Any],
    diagnosis: dict[str, Any],
    calls: Sequence[tuple[dict[str, Any], NDArray[Any]]],
) -> None:
    segments = content["resolved"]["segments"]
    assert len(calls) == len(segments)
    for index, ((given, features), segment) in enumerate(zip(calls, segments, strict=True)):
        if segment["text"]:  # what an encoder says of a blank prompt is not used
            embedding = diagnosis[f"text_embedding_{index}"]
            close(given["text_features"], embedding, atol=EMBEDDING)
        close(given["noise"], diagnosis[f"noise_{index}"], atol=NOISE)
        close(given["first_heading_rad"], diagnosis[f"first_heading_{index}"], atol=1e-3)
        mask = np.asarray(given["motion_mask"], bool)
        if f"mask_{index}" in diagnosis:
            np.testing.assert_array_equal(mask, diagnosis[f"mask_{index}"])
            observed = given["observed_motion"] * mask
            close(observed, diagnosis[f"observed_{index}"], atol=SEQUENCE_OBSERVED)
        else:
            assert not mask.any()
        within(features, diagnosis[f"features_{index}"], COMMAND_FEATURES, f"features_{index}")
    if "pre_local_rot_mats" in diagnosis:
        skeleton = load_skeleton(content["skeleton"])
        file = content["resolved"]["constraints"]
        constraints = [] if file is None else read_constraints(case / file, skeleton)
        for row in range(len(diagnosis["pre_local_rot_mats"])):
            before, after = (
                {
                    key.removeprefix(prefix): diagnosis[key][row]
                    for key in diagnosis
                    if key.startswith(prefix)
                }
                for prefix in ("pre_", "post_")
            )
            _check_correction(skeleton.name, constraints, before, after, root_margin=0.04)


def _check_file(found: Path, expected: Path) -> None:
    assert found.is_file(), found
    if expected.suffix == ".bvh":
        _check_bvh(found.read_text(), expected.read_text())
    elif expected.suffix == ".csv":
        _check_csv(
            np.loadtxt(found, delimiter=",", ndmin=2), np.loadtxt(expected, delimiter=",", ndmin=2)
        )
    else:
        with np.load(found) as ours, np.load(expected) as theirs:
            if "trans" in theirs:
                _check_amass(dict(ours), dict(theirs))
            else:
                _check_npz(dict(ours), dict(theirs))


def _check_npz(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(expected) <= set(found)
    for name, limits in COMMAND_ARRAYS.items():
        assert found[name].dtype == np.float32
        within(found[name], expected[name], limits, name)
    np.testing.assert_array_equal(found["foot_contacts"], expected["foot_contacts"])


def _check_csv(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.shape == expected.shape
    close(found[:, :3], expected[:, :3], atol=CSV_POSITIONS)
    signs = np.sign(np.sum(found[:, 3:7] * expected[:, 3:7], axis=1, keepdims=True))
    close(found[:, 3:7] * signs, expected[:, 3:7], atol=CSV_ANGLES)
    assert np.abs(wrapped(found[:, 7:] - expected[:, 7:], 2 * np.pi)).max() < CSV_ANGLES


def _check_amass(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(expected) <= set(found)
    close(found["trans"], expected["trans"], atol=AMASS_TRANS)
    for name in ("root_orient", "pose_body"):
        ours, theirs = (
            axis_angle_to_matrix(np.reshape(arrays[name], (-1, 3))) for arrays in (found, expected)
        )
        close(ours, theirs, atol=AMASS_ROTATIONS)
    for name in set(expected) - {"trans", "root_orient", "pose_body"}:
        assert found[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def _check_bvh(found: str, expected: str) -> None:
    (head, values), (expected_head, expected_values) = split_bvh(found), split_bvh(expected)
    assert head == expected_head
    assert values.shape == expected_values.shape
    # Root: six zeros. Hips: a position, then z y x. Every other joint: z y x.
    close(values[:, :6], expected_values[:, :6], atol=1e-6)
    close(values[:, 6:9], expected_values[:, 6:9], atol=BVH_POSITION_CM)
    difference = np.abs(wrapped(values[:, 9:] - expected_values[:, 9:], 360))
    if np.quantile(difference, 0.999) > BVH_DEGREES_999 or difference.max() > 1:
        ours, theirs = (
            euler_to_matrix(np.radians(array[:, 9:]).reshape(-1, 3), "ZYX")
            for array in (values, expected_values)
        )
        close(ours, theirs, atol=BVH_ROTATIONS)


def split_bvh(text: str) -> tuple[str, NDArray[Any]]:
    """Part the hierarchy and the frames' header from the numbers."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time:")) + 1
    rows = [[float(word) for word in line.split()] for line in lines[start:] if line.strip()]
    return "\n".join(line.rstrip() for line in lines[:start]), np.array(rows)


def wrapped(angles: NDArray[Any], turn: float) -> NDArray[Any]:
    """Bring differences of angles to half a turn around zero."""
    return (angles + turn / 2) % turn - turn / 2


@contextlib.contextmanager
def injected(texts: dict[str, Any], noises: Sequence[NDArray[Any]]) -> Iterator[None]:
    """Give ``generate`` stored embeddings, prompt -> (1, W), and stored draws."""

    def encode(pipeline: KimodoPipeline, prompts: Sequence[str]) -> tuple[Any, Any]:
        features = np.stack([np.atleast_2d(texts[prompt]) for prompt in prompts])
        mask = np.array([[bool(prompt.strip())] for prompt in prompts])
        return features, mask

    with (
        mock.patch.object(KimodoPipeline, "encode_text", encode),
        mock.patch.object(TorchGenerator, "randn", side_effect=list(noises)),
    ):
        yield


@contextlib.contextmanager
def recorded(tell: Callable[[dict[str, Any], NDArray[Any]], None]) -> Iterator[None]:
    """Report the arguments and the result of every ``KimodoPipeline.sample``."""
    original = KimodoPipeline.sample

    def sample(
        pipeline: KimodoPipeline, text_features: Any, noise: Any, **given: Any
    ) -> NDArray[Any]:
        result = original(pipeline, text_features, noise, **given)
        tell({"text_features": text_features, "noise": noise, **given}, result)
        return result

    with mock.patch.object(KimodoPipeline, "sample", sample):
        yield


def within(
    found: NDArray[Any], expected: NDArray[Any], limits: tuple[float, float], name: str
) -> None:
    """Hold the largest difference and that of 99.9 % to limits."""
    assert found.shape == expected.shape, (name, found.shape, expected.shape)
    difference = np.abs(found - expected)
    assert difference.max() <= limits[0], (name, float(difference.max()))
    assert np.quantile(difference, 0.999) <= limits[1], (
        name,
        float(np.quantile(difference, 0.999)),
    )


def close(
    found: NDArray[Any], expected: NDArray[Any], atol: float = 0.0, rtol: float = 0.0
) -> None:
    np.testing.assert_allclose(found, expected, atol=atol, rtol=rtol)
