"""The C library through its mirror: the same motions as Python, and nothing that breaks it."""

import ctypes
import json
import re
import shutil
import threading
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import motionrt
from motionrt import capi
from motionrt.capi.options import GenerateKeywords
from motionrt.capi.signatures import SIGNATURES
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import in_place
from motionrt.runtime.body.rotation import (
    axis_angle_to_matrix,
    matrix_to_quaternion,
    quaternion_to_matrix,
)
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.bundle.sharing import hub_names, renamed
from motionrt.runtime.errors import BackendError, BundleError, InputError
from motionrt.runtime.families import find_family
from motionrt.runtime.request import request_schema

HEADER = Path(motionrt.__file__).parent / "runtime" / "capi" / "motionrt.h"
FRAMES, STEPS = 40, 4
POSITIONS, ROTATIONS = 3e-4, 1e-3
"""Metres and quaternions: what the runtimes may differ by. Sampling magnifies what rounding does to
noise and constraints, a few units in the last place of float32; most motions are within 1e-5."""


@pytest.fixture(scope="module")
def c_pipeline() -> capi.Pipeline:
    return capi.Pipeline()


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return motionrt.load()


def array(view: "capi.View | None") -> NDArray[Any]:
    assert view is not None
    return np.asarray(view)


def same(found: capi.Motion, expected: motionrt.Motion, atol: float = POSITIONS) -> None:
    pairs = {
        "root_positions": found.root_positions,
        "posed_joints": found.global_positions,
        "smooth_root_pos": found.smooth_root,
        "global_root_heading": found.heading,
    }
    for name, view in pairs.items():
        np.testing.assert_allclose(
            array(view), getattr(expected, name), rtol=0, atol=atol, err_msg=name
        )
    turns, wanted = array(found.local_rotations), expected.local_rotations
    apart = np.minimum(np.abs(turns - wanted), np.abs(turns + wanted)).max()
    assert apart < ROTATIONS
    assert expected.foot_contacts is not None
    np.testing.assert_array_equal(array(found.foot_contacts), expected.foot_contacts)


def poses(skeleton: motionrt.Skeleton, count: int) -> list[list[list[float]]]:
    generator = np.random.default_rng(count)
    turns: list[list[list[float]]] = (
        generator.normal(size=(count, skeleton.num_joints, 3)) * 0.2
    ).tolist()
    return turns


def constraint_file(skeleton: motionrt.Skeleton) -> list[dict[str, Any]]:
    def of(kind: str, frames: list[int], **more: Any) -> dict[str, Any]:
        roots = [[0.02 * frame, 0.9, 0.05 * frame] for frame in frames]
        turns = poses(skeleton, len(frames))
        held = {"local_joints_rot": turns, "root_positions": roots}
        return {"type": kind, "frame_indices": frames, **held, **more}

    path = [0, 10, 20]
    return [
        {
            "type": "root2d",
            "frame_indices": path,
            "smooth_root_2d": [[0.02 * frame, 0.05 * frame] for frame in path],
            "global_root_heading": [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]],
        },
        of("fullbody", [25]),
        of("left-hand", [5, 6]),
        of("right-foot", [12], smooth_root_2d=[[0.3, 0.6]]),
        of("end-effector", [30], joint_names=["LeftFoot", "Hips"]),
    ]


# What the header says, and what the mirror says


def test_every_function_of_the_header_is_mirrored() -> None:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    declared = set(re.findall(r"MRT_API[^;(]*?\b(mrt_\w+)\(", text))
    assert declared == set(SIGNATURES)


@pytest.mark.parametrize(
    ("name", "mirror"),
    [
        ("mrt_load_options", capi.LoadOptions),
        ("mrt_tensor", capi.Tensor),
        ("mrt_pipeline_info", capi.PipelineInfo),
        ("mrt_constraint", capi.ConstraintStruct),
        ("mrt_motion_info", capi.MotionInfo),
        ("mrt_motion_arrays", capi.MotionArrays),
        ("mrt_finish_options", capi.FinishOptions),
        ("mrt_loop_info", capi.LoopInfo),
        ("mrt_save_options", capi.SaveOptions),
        ("mrt_generate_options", capi.GenerateOptions),
        ("mrt_stream_options", capi.StreamOptions),
        ("mrt_stream_info", capi.StreamInfo),
    ],
)
def test_fields_are_those_of_the_header(name: str, mirror: Any) -> None:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    body = re.search(rf"typedef struct {name} \{{(.*?)\}} {name};", text, re.S)
    assert body is not None
    fields = re.findall(r"(\w+);", body[1])
    assert fields == [field for field, *_ in mirror._fields_]


def test_it_is_of_this_version() -> None:
    assert capi.version() == motionrt.__version__
    abi = re.search(r"MRT_ABI_VERSION (\d+)", HEADER.read_text())
    assert abi is not None and int(abi[1]) == capi.ABI_VERSION == capi.library().mrt_abi_version()


# The same motions


def test_one_prompt_one_seed_one_motion(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    expected = pipeline.generate("a person walks forward", 3, seed=1)
    found = c_pipeline.generate("a person walks forward", seconds=3, seed=1)
    same(found, expected)
    assert (found.seed, found.prompt, found.fps) == (1, "a person walks forward", expected.fps)
    assert found.skeleton.joint_names == expected.skeleton.joint_names
    np.testing.assert_array_equal(found.skeleton.parents, expected.skeleton.parents)
    np.testing.assert_array_equal(found.skeleton.rest_positions, expected.skeleton.rest_positions)
    np.testing.assert_array_equal(found.skeleton.rest_offsets, expected.skeleton.offsets)


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "ddim", "num_steps": STEPS},
        {"preset": "fast"},
        {"num_steps": STEPS, "guidance_weights": [1.5]},
        {"num_steps": STEPS, "guidance_weights": [2.0, 1.0], "first_heading_rad": 1.2},
        {"num_steps": STEPS, "postprocess": False},
        {"num_steps": 1},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_do_what_they_do_in_python(
    c_pipeline: capi.Pipeline, pipeline: Any, options: dict[str, Any]
) -> None:
    given = {"num_frames": FRAMES, "seed": 7, **options}
    same(c_pipeline.generate("she runs!", **given), pipeline.generate("she runs!", **given))


def test_without_guidance(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    given = {"num_frames": FRAMES, "seed": 7, "num_steps": STEPS}
    same(
        c_pipeline.generate("", no_guidance=True, **given),
        pipeline.generate("", guidance_type="nocfg", **given),
    )


@pytest.mark.parametrize("preset", [None, "fast"])
@pytest.mark.parametrize("interval", [(0.4, 1.0), (0.0, 0.6), (0.2, 0.8)])
def test_guidance_in_an_interval(
    c_pipeline: capi.Pipeline, pipeline: Any, preset: str | None, interval: tuple[float, float]
) -> None:
    given = {"num_frames": FRAMES, "seed": 5, "num_steps": STEPS, "preset": preset}
    expected = pipeline.generate("a man jumps", guidance_interval=interval, **given)
    low, high = interval
    ends = {"guided_from": low or None, "guided_to": None if high == 1 else high}
    same(c_pipeline.generate("a man jumps", **given, **ends), expected)


@pytest.mark.parametrize("sample_seeds", [False, True])
def test_prompts_and_samples(c_pipeline: capi.Pipeline, pipeline: Any, sample_seeds: bool) -> None:
    given = {"num_frames": FRAMES, "seed": 3, "num_samples": 2, "num_steps": STEPS}
    given["sample_seeds"] = sample_seeds
    found = c_pipeline.generate_many(["a man jumps", "someone dances"], **given)
    expected = pipeline.generate_many(["a man jumps", "someone dances"], **given)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)
        assert ours.sample_index == theirs.info["sample"]


@pytest.mark.parametrize("compat", ["2026-03", "latest"])
def test_sequences(c_pipeline: capi.Pipeline, pipeline: Any, compat: str) -> None:
    prompts, seconds = ["a person walks", "a person jumps", "a man sits down"], [2, 1.5, 2]
    given = {"seed": 5, "num_steps": STEPS, "compat": compat}
    (found,) = c_pipeline.generate_sequence(prompts, seconds, **given)
    same(found, pipeline.generate(prompts, seconds, **given))


@pytest.mark.parametrize("compat", ["2026-03", "latest"])
def test_constraints(c_pipeline: capi.Pipeline, pipeline: Any, compat: str) -> None:
    held = constraint_file(pipeline.native_skeleton)
    given = {"num_frames": FRAMES, "seed": 2, "num_steps": STEPS, "compat": compat}
    found = c_pipeline.generate("a person walks", constraints_json=json.dumps(held), **given)
    same(found, pipeline.generate("a person walks", constraints=held, **given))


def test_constraints_as_arrays(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    held = constraint_file(pipeline.native_skeleton)
    rows = []
    for item in held:
        row = {"kind": item["type"], "frames": item["frame_indices"]}
        if "smooth_root_2d" in item:
            row["root_xz"] = np.array(item["smooth_root_2d"], np.float32)
        if "global_root_heading" in item:
            row["headings_rad"] = [np.arctan2(s, c) for c, s in item["global_root_heading"]]
        if "local_joints_rot" in item:
            turns = axis_angle_to_matrix(np.array(item["local_joints_rot"], np.float32))
            row["local_rotations"] = matrix_to_quaternion(turns)
            row["num_joints"] = pipeline.native_skeleton.num_joints
            row["root_positions"] = item["root_positions"]
        row["joint_groups"] = item.get("joint_names")
        rows.append(row)
    given = {"num_frames": FRAMES, "seed": 2, "num_steps": STEPS}
    found = c_pipeline.generate("a person walks", constraints=rows, **given)
    same(found, pipeline.generate("a person walks", constraints=held, **given))


def test_a_motion_goes_on(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    given = {"num_frames": FRAMES, "seed": 4, "num_steps": STEPS}
    first, before = c_pipeline.generate("walks", **given), pipeline.generate("walks", **given)
    found = c_pipeline.generate("jumps", continue_from=first, **given)
    same(found, pipeline.generate("jumps", continue_from=before, **given))
    request = {"prompt": "jumps", **given}
    (found,) = c_pipeline.generate_json(json.dumps(request), continue_from=first)
    same(found, pipeline.generate("jumps", continue_from=before, **given))


LONG = {"seed": 8, "num_steps": STEPS}
"""Of motions that are longer than the 6 seconds that the default was trained on."""


@pytest.mark.parametrize(("compat", "seconds"), [("2026-03", 30.0), ("latest", 13.0)])
def test_a_long_prompt_is_made_of_parts(
    c_pipeline: capi.Pipeline, pipeline: Any, compat: str, seconds: float
) -> None:
    given = {**LONG, "compat": compat}
    found = c_pipeline.generate("a person walks forward", seconds=seconds, **given)
    expected = pipeline.generate("a person walks forward", seconds, **given)
    assert len(expected.info["segments"]) > 2
    same(found, expected, atol=2e-3)  # each part goes on from the last digits of the one before


@pytest.mark.filterwarnings("ignore::motionrt.MotionWarning")
def test_a_long_prompt_can_stay_in_one_piece(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    told: list[str] = []
    capi.set_log(lambda level, line: told.append(line))
    try:
        found = c_pipeline.generate("walks", seconds=8, no_chain=True, **LONG)
    finally:
        capi.set_log(None)
    same(found, pipeline.generate("walks", 8.0, chain=False, **LONG))
    assert any("8 s in one piece" in line for line in told)
    apart = c_pipeline.generate("walks", seconds=8, **LONG)
    assert np.abs(array(apart.root_positions) - array(found.root_positions)).max() > 0.1
    for options, most in (({"no_chain": True}, "4997 "), ({}, r"12000 \(600.0 s\)")):
        with pytest.raises(InputError, match=f"this model allows {most}"):
            c_pipeline.generate("walks", seconds=601, **options)


def test_prompts_of_which_one_is_long(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    prompts, seconds = ["a person walks", "a person jumps"], [9.0, 2.0]
    given = {**LONG, "num_samples": 2}
    request = {"prompts": prompts, "seconds": seconds, "multi_prompt": False, **given}
    found = c_pipeline.generate_json(json.dumps(request))
    expected = pipeline.generate_many(prompts, seconds, **given)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)
        assert (ours.prompt, ours.sample_index) == (theirs.info["prompt"], theirs.info["sample"])
    together = pipeline.generate_many(prompts, seconds, multi_prompt=True, **given)
    for ours, theirs in zip(
        c_pipeline.generate_sequence(prompts, seconds, **given), together, strict=True
    ):
        same(ours, theirs)


@pytest.mark.parametrize("compat", ["2026-03", "latest"])
def test_parts_share_the_way_to_a_waypoint(
    c_pipeline: capi.Pipeline, pipeline: Any, compat: str
) -> None:
    places = [[0, 1.5], [9, 9], [1, 10]]  # of two at one frame the last counts
    held = [{"type": "root2d", "frame_indices": [40, 299, 299], "smooth_root_2d": places}]
    given = {**LONG, "compat": compat, "num_frames": 300, "num_steps": 8}
    found = c_pipeline.generate("a person walks", constraints_json=json.dumps(held), **given)
    same(found, pipeline.generate("a person walks", constraints=held, **given))


def test_a_motion_goes_on_in_parts(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    given = {**LONG, "num_frames": 300, "num_steps": 8}
    short = {"num_frames": FRAMES, "seed": 1}
    first, before = c_pipeline.generate("walks", **short), pipeline.generate("walks", **short)
    held = [{"type": "root2d", "frame_indices": [339], "smooth_root_2d": [[1, 12]]}]
    found = c_pipeline.generate(
        "walks on", constraints_json=json.dumps(held), continue_from=first, **given
    )
    same(found, pipeline.generate("walks on", constraints=held, continue_from=before, **given))


def test_a_long_prompt_with_noise_headings_and_an_embedding(
    c_pipeline: capi.Pipeline, pipeline: Any
) -> None:
    given = {"num_samples": 2, "num_frames": [150, 100], **LONG}
    headings = np.array([0, 1, 2, 3], np.float32)
    prompts = ["walks", "jumps"]
    rows = np.concatenate([array(c_pipeline.embed(prompt)) for prompt in prompts])
    request = {"prompts": ["", ""], "multi_prompt": False, **given}
    found = c_pipeline.generate_json(
        json.dumps(request), embedding=rows, first_headings_rad=headings
    )
    expected = pipeline.generate_many(prompts, first_heading_rad=headings, **given)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)


def test_embeddings_stand_for_prompts(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    row = c_pipeline.embed("a person walks")
    expected, _ = pipeline.encode_text(["a person walks"])
    np.testing.assert_allclose(array(row), expected[0, 0], atol=1e-5)
    given = {"num_frames": FRAMES, "seed": 4, "num_steps": STEPS}
    found = c_pipeline.generate("of no meaning", embedding=row, **given)
    same(found, pipeline.generate("a person walks", **given))


@pytest.mark.parametrize(
    "document",
    [
        {"prompt": "A person walks. Then jumps.", "seconds": [2, 1.5], "preset": "fast"},
        {"prompts": ["walks"], "num_frames": 30, "num_samples": 2, "num_steps": STEPS},
        {"prompts": ["walks", "jumps"], "multi_prompt": False, "seconds": "1 2", "num_steps": 2},
        {"prompt": "", "seconds": 1, "guidance_type": "nocfg", "postprocess": False},
        {"prompt": "jumps", "seconds": 1, "preset": "fast", "guidance_interval": [0.5]},
        {"prompt": "jumps", "seconds": 1, "num_steps": 5, "guidance_interval": [0.2, 0.7]},
        {"prompt": "turns", "guidance_weights": [2, 2], "root_margin": 0, "num_steps": STEPS},
    ],
    ids=str,
)
def test_requests(c_pipeline: capi.Pipeline, pipeline: Any, document: dict[str, Any]) -> None:
    given = {"seed": 9, **document}
    request = motionrt.Request.from_json(given, pipeline.family)
    expected = pipeline.run(request)
    found = c_pipeline.generate_json(json.dumps(given))
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)


def test_every_key_of_a_request_is_known(c_pipeline: capi.Pipeline) -> None:
    keys = request_schema([find_family("kimodo")])["$defs"]["kimodo"]["properties"]
    given = {"prompt": "walks", "num_frames": 10, "num_steps": 1}
    request = {key: None for key in keys if key != "prompts"} | given
    (motion,) = c_pipeline.generate_json(json.dumps(request))
    assert motion.num_frames == 10


def test_a_request_reads_its_constraints(
    c_pipeline: capi.Pipeline, pipeline: Any, tmp_path: Path
) -> None:
    held = constraint_file(pipeline.native_skeleton)
    (tmp_path / "held.json").write_text(json.dumps(held))
    given = {"prompt": "walks", "num_frames": FRAMES, "seed": 1, "num_steps": STEPS}
    request = json.dumps({**given, "constraints": "held.json"})
    (found,) = c_pipeline.generate_json(request, tmp_path)
    del given["prompt"]
    same(found, pipeline.generate("walks", constraints=held, **given))


@pytest.mark.parametrize("with_folders", [False, True])
def test_a_bundle_in_memory(c_pipeline: capi.Pipeline, with_folders: bool) -> None:
    files = {path.name: path.read_bytes() for path in Path(embedded_bundle()).iterdir()}
    if with_folders:  # as on a model hub
        manifest = Bundle(embedded_bundle()).manifest
        names = hub_names(manifest)
        assert names["step.weights"] == "onnx/step.weights"
        files = {names[name]: files[name] for name in names}
        files["manifest.json"] = renamed(manifest, names).encoded()
    held = capi.Pipeline(files)
    given = {"num_frames": FRAMES, "seed": 1, "num_steps": STEPS}
    np.testing.assert_array_equal(
        held.generate("walks", **given).root_positions,
        c_pipeline.generate("walks", **given).root_positions,
    )


def test_noise_stands_for_a_seed(c_pipeline: capi.Pipeline) -> None:
    from motionrt.runtime.sampling.noise import TorchGenerator

    noise = TorchGenerator(11).randn((1, FRAMES, c_pipeline.num_features))
    given = {"num_frames": FRAMES, "num_steps": STEPS}
    np.testing.assert_allclose(
        array(c_pipeline.generate("walks", noise=noise, **given).root_positions),
        array(c_pipeline.generate("walks", seed=11, **given).root_positions),
        atol=POSITIONS,
    )
    with pytest.raises(InputError, match="noise has 10 numbers"):
        c_pipeline.generate("walks", noise=noise.reshape(-1)[:10], **given)


# Files, and what a game needs each frame


def test_files_are_those_of_python(
    c_pipeline: capi.Pipeline, pipeline: Any, tmp_path: Path
) -> None:
    given = {"num_frames": FRAMES, "seed": 1, "num_steps": STEPS}
    found, expected = c_pipeline.generate("walks", **given), pipeline.generate("walks", **given)
    for suffix in ("bvh", "glb"):
        found.save(tmp_path / f"c.{suffix}")
        expected.save(tmp_path / f"python.{suffix}")
        ours, theirs = (
            motionrt.Motion.load(tmp_path / f"{name}.{suffix}") for name in ("c", "python")
        )
        assert ours.skeleton.joint_names == theirs.skeleton.joint_names
        np.testing.assert_allclose(ours.posed_joints, theirs.posed_joints, atol=POSITIONS)
        assert found.encode(suffix) == (tmp_path / f"c.{suffix}").read_bytes()
    words = [(tmp_path / f"{name}.bvh").read_text().split() for name in ("c", "python")]
    assert len(words[0]) == len(words[1])
    assert [w for w in words[0] if w.isalpha()] == [w for w in words[1] if w.isalpha()]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c.bvh",
        "c.glb",
        "python.bvh",
        "python.glb",
    ]


def test_a_file_that_cannot_be_written(c_pipeline: capi.Pipeline, tmp_path: Path) -> None:
    motion = c_pipeline.generate("walks", num_frames=10, seed=1, num_steps=1)
    with pytest.raises(InputError, match=r"walk\.fbx: this library writes \.bvh and \.glb"):
        motion.save(tmp_path / "walk.fbx")
    with pytest.raises(InputError, match="cannot write here"):
        motion.save(tmp_path / "nowhere" / "walk.bvh")
    assert not list(tmp_path.iterdir())


def test_poses_between_frames(c_pipeline: capi.Pipeline) -> None:
    motion = c_pipeline.generate("walks", num_frames=FRAMES, seed=1, num_steps=STEPS)
    root, turns = array(motion.root_positions), array(motion.local_rotations)
    at, rotations = motion.sample(7 / motion.fps)
    np.testing.assert_allclose(at, root[7], atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(rotations * turns[7], -1)), 1, atol=1e-6)
    at, _ = motion.sample(7.5 / motion.fps)
    np.testing.assert_allclose(at, (root[7] + root[8]) / 2, atol=1e-6)
    assert motion.sample(1e9)[0] == motion.sample((FRAMES - 1) / motion.fps)[0]
    length = (FRAMES - 1) / motion.fps
    looped, _ = motion.sample(length + 3 / motion.fps, capi.LOOP)
    np.testing.assert_allclose(looped, root[3], atol=1e-4)
    still, _ = motion.sample(length, capi.IN_PLACE)
    assert still == pytest.approx([0, root[-1, 1], 0])


def test_root_motion_adds_up(c_pipeline: capi.Pipeline) -> None:
    motion = c_pipeline.generate("walks and turns left", num_frames=FRAMES, seed=1, preset="fast")
    length = (FRAMES - 1) / motion.fps
    place, facing = np.zeros(2), 0.0
    for step in range(8):
        way, turn = motion.root_delta(length * step / 8, length * (step + 1) / 8)
        c, s = np.cos(facing), np.sin(facing)
        place += [c * way[0] + s * way[2], -s * way[0] + c * way[2]]
        facing += turn
    way, turn = motion.root_delta(0, length)
    np.testing.assert_allclose(place, [way[0], way[2]], atol=1e-5)
    np.testing.assert_allclose(np.remainder(facing - turn + np.pi, 2 * np.pi), np.pi, atol=1e-5)
    root = array(motion.root_positions)
    travelled = np.linalg.norm((root[-1] - root[0])[[0, 2]])
    np.testing.assert_allclose(np.linalg.norm(place), travelled, atol=1e-5)
    twice, _ = motion.root_delta(0, 2 * length, capi.LOOP)
    assert np.isfinite(twice).all()


def about_y(angle: float) -> NDArray[Any]:
    return np.array([np.cos(angle / 2), 0, np.sin(angle / 2), 0])


def test_poses_in_place_and_root_motion_are_the_motion(c_pipeline: capi.Pipeline) -> None:
    motion = c_pipeline.generate(
        "walks and turns left", num_frames=FRAMES, seed=1, preset="fast", first_heading_rad=1
    )
    root, turns = array(motion.root_positions), array(motion.local_rotations)
    _, first = motion.sample(0, capi.IN_PLACE)
    # In place the body's hips face +z: by what that turned the first pose, all is turned.
    turned = quaternion_to_matrix(turns[0, 0]) @ quaternion_to_matrix(np.array(first[0])).T
    heading = np.arctan2(turned[0, 2], turned[2, 2])
    assert abs(heading - 1) < 0.5
    place, facing, before = np.zeros(3), 0.0, 0.0
    for frame in range(FRAMES):
        now = frame / motion.fps
        way, turn = motion.root_delta(before, now)
        place, before = place + quaternion_to_matrix(about_y(facing)) @ way, now
        facing += turn
        at, rotations = motion.sample(now, capi.IN_PLACE)
        found = turned @ (place + np.array([0, at[1], 0]))
        np.testing.assert_allclose(found, root[frame] - root[0] * [1, 0, 1], atol=1e-4)
        whole = turned @ quaternion_to_matrix(about_y(facing))
        np.testing.assert_allclose(
            whole @ quaternion_to_matrix(np.array(rotations[0])),
            quaternion_to_matrix(turns[frame, 0]),
            atol=1e-4,
        )
        np.testing.assert_allclose(np.abs(np.sum(rotations * turns[frame], -1))[1:], 1, atol=1e-6)


def test_in_place_is_what_files_in_place_hold(c_pipeline: capi.Pipeline, pipeline: Any) -> None:
    motion = c_pipeline.generate("walks and turns left", num_frames=FRAMES, seed=1, preset="fast")
    same_motion = Motion.from_local(
        quaternion_to_matrix(array(motion.local_rotations)),
        array(motion.root_positions),
        pipeline.native_skeleton,
        motion.fps,
    )
    still = in_place(same_motion, smooth_seconds=0)
    for frame in range(0, FRAMES, 7):
        at, rotations = motion.sample(frame / motion.fps, capi.IN_PLACE)
        np.testing.assert_allclose(at, still.root_positions[frame], atol=1e-5)
        found = quaternion_to_matrix(np.array(rotations))
        np.testing.assert_allclose(found, still.local_rot_mats[frame], atol=1e-4)


# Progress, threads and wrong calls


def test_progress_and_cancelling(c_pipeline: capi.Pipeline) -> None:
    told: list[tuple[str, int, int]] = []

    def listen(stage: str, done: int, total: int) -> bool:
        told.append((stage, done, total))
        return not (stage == "denoising" and done == 2)

    with pytest.raises(capi.Cancelled, match="cancelled while denoising"):
        c_pipeline.generate("walks", num_frames=10, num_steps=STEPS, progress=listen)
    assert told == [
        ("encoding text", 0, 1),
        ("denoising", 0, STEPS),
        ("denoising", 1, STEPS),
        ("denoising", 2, STEPS),
    ]
    c_pipeline.generate("walks", num_frames=10, num_steps=STEPS)


def test_what_progress_raises_comes_back(c_pipeline: capi.Pipeline) -> None:
    def listen(stage: str, done: int, total: int) -> None:
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        c_pipeline.generate("walks", num_frames=10, num_steps=1, progress=listen)


def test_a_busy_pipeline_says_so(c_pipeline: capi.Pipeline) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait(stage: str, done: int, total: int) -> bool:
        inside.set()
        return go_on.wait(30)

    worker = threading.Thread(
        target=lambda: c_pipeline.generate("walks", num_frames=10, num_steps=1, progress=wait)
    )
    worker.start()
    try:
        assert inside.wait(30)
        with pytest.raises(capi.Busy, match="another thread"):
            c_pipeline.generate("walks", num_frames=10, num_steps=1)
    finally:
        go_on.set()
        worker.join()


def test_pipelines_run_side_by_side(c_pipeline: capi.Pipeline) -> None:
    others = [capi.Pipeline(threads=1) for _ in range(2)]
    found: list[Any] = [None, None]

    def run(index: int) -> None:
        motion = others[index].generate("walks", num_frames=20, seed=1, num_steps=STEPS)
        found[index] = array(motion.root_positions).copy()

    workers = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(found[0], found[1])


def test_views_keep_their_motion(c_pipeline: capi.Pipeline) -> None:
    view = c_pipeline.generate("walks", num_frames=10, seed=1, num_steps=1).global_positions
    copy = np.array(view)
    for _ in range(20):
        c_pipeline.generate("walks", num_frames=10, num_steps=1)
    np.testing.assert_array_equal(view, copy)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_frames": 10**8}, "this model allows"),
        ({"seconds": 0.001, "num_frames": 0}, "no whole frame"),
        ({"seconds": float("nan"), "num_frames": 0}, "finite number above 0"),
        ({"seed": 2**33}, "from 0 to 4294967295"),
        ({"num_steps": 10**6}, "must be from 1 to"),
        ({"num_steps": -1}, "must be 1 or more"),
        ({"solver": "euler"}, "choose ddim or dpmpp-2m"),
        ({"preset": "slow"}, "fast, balanced, exact"),
        ({"compat": "2020"}, "2026-03, latest"),
        ({"num_samples": 0}, "must be from 1"),
        ({"guidance_weights": [1, 2, 3]}, "give one guidance weight, or two"),
        ({"guidance_weights": [float("inf")]}, "not finite"),
        ({"guidance_weights": [1.0], "no_guidance": True}, "takes no weights"),
        ({"guided_from": 0.5, "guided_to": 0.2}, "guidance interval 0.5, 0.2: expected"),
        ({"guided_to": 1.5}, "guidance interval 0, 1.5: expected"),
        ({"guided_from": float("nan")}, "guidance interval: must be finite"),
        ({"constraints_json": "{"}, "not JSON"),
        ({"constraints_json": "[" * 1000}, "nested too deeply"),
        ({"constraints_json": '[{"type": "root3d"}]'}, "type must be root2d"),
        (
            {
                "constraints_json": '[{"type":"root2d","frame_indices":[99],'
                '"smooth_root_2d":[[0,0]]}]'
            },
            "frame 99 is beyond the clip's 10 frames",
        ),
        ({"root_margin": float("inf")}, "root margin"),
        ({"first_heading_rad": float("nan")}, "must be finite"),
        ({"temperature": float("inf")}, "temperature: must be finite"),
        ({"temperature": 0.5}, "kimodo has no option temperature"),
        ({"text_template": "caption"}, "kimodo has no option text_template"),
    ],
    ids=str,
)
def test_wrong_values_get_a_line(
    c_pipeline: capi.Pipeline, options: dict[str, Any], line: str
) -> None:
    given = {"num_frames": 10, "num_steps": 1, **options}
    with pytest.raises(InputError, match=re.escape(line)) as caught:
        c_pipeline.generate("walks", **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_text", "line"),
    [
        ("", "not JSON"),
        ("[]", "an object with prompt"),
        ('{"prompt": 3}', "prompt: expected a text"),
        ('{"prompt": "a", "prompts": ["a"]}', "give prompt, or prompts"),
        ('{"prompt": "a", "duration": 3}', "unknown key duration"),
        ('{"prompt": "a", "continue_from": "x.bvh"}', "does not read"),
        ('{"prompt": "a", "temperature": 1}', "has no option temperature"),
        ('{"prompt": "a", "guidance_interval": 0.1}', "guidance_interval: expected one or two"),
        ('{"prompt": "a", "guidance_interval": [0.5, 0.1]}', "expected one or two numbers"),
        ('{"prompt": "a. b.", "seconds": [1, 2, 3]}', "3 durations for 2 prompts"),
        ('{"prompt": "a", "seed": -1}', "a whole number from 0"),
        ('{"prompt": "a", "constraints": "none.json"}', "none.json: cannot be read"),
        ('{"prompt": "\\ud800"}', "half a character"),
    ],
)
def test_wrong_requests_get_a_line(c_pipeline: capi.Pipeline, request_text: str, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        c_pipeline.generate_json(request_text)


NOT_FAILURES = {
    "mrt_onnxruntime_load": capi.OK,  # the one that is found
    "mrt_skeleton_num_joints": 0,
    "mrt_skeleton_find_joint": -1,
    "mrt_motions_count": 0,
}
"""What functions that give a number say of nothing; all others return a status."""


@pytest.mark.parametrize("name", [name for name in SIGNATURES if name != "mrt_set_log"])
def test_nothing_at_all_is_no_fault(name: str, c_pipeline: capi.Pipeline) -> None:
    result, kinds = SIGNATURES[name]
    nothing = [kind() for kind in kinds]
    found = getattr(capi.library(), name)(*nothing)
    if result is ctypes.c_int32:
        assert found == NOT_FAILURES.get(name, capi.BAD_ARGUMENT)
        if name not in NOT_FAILURES:
            assert capi.library().mrt_last_error()
    elif any(kind is c_void_p for kind in kinds):
        assert not found


@pytest.mark.parametrize("size", [0, 3, 7])
def test_structs_too_short_for_their_size_are_refused(size: int, c_pipeline: capi.Pipeline) -> None:
    library, made = capi.library(), c_void_p()
    pipeline, walks = c_pipeline._handle, b"walks"
    prompts = (ctypes.c_char_p * 1)(walks)
    load, generate = capi.LoadOptions(struct_size=size), capi.GenerateOptions(struct_size=size)
    folder = str(embedded_bundle()).encode()
    motion = c_pipeline.generate("walks", num_frames=3, num_steps=1)
    pipeline_info = capi.PipelineInfo(struct_size=size)
    motion_info = capi.MotionInfo(struct_size=size)
    constraint = capi.ConstraintStruct(struct_size=size)
    finish, loop = capi.FinishOptions(struct_size=size), capi.LoopInfo(struct_size=size)
    arrays, saving = capi.MotionArrays(struct_size=size), capi.SaveOptions(struct_size=size)
    constrained = GenerateKeywords({}).struct
    constrained.constraints, constrained.num_constraints = ctypes.pointer(constraint), 1
    for name, *given in (
        ("mrt_pipeline_load", folder, byref(load), byref(made)),
        ("mrt_generate", pipeline, walks, byref(generate), byref(made)),
        ("mrt_generate_many", pipeline, prompts, 1, byref(generate), byref(made)),
        ("mrt_generate_sequence", pipeline, prompts, None, 1, byref(generate), byref(made)),
        ("mrt_generate_json", pipeline, b'{"prompt": ""}', None, byref(generate), byref(made)),
        ("mrt_generate", pipeline, walks, byref(constrained), byref(made)),
        ("mrt_pipeline_get_info", pipeline, byref(pipeline_info)),
        ("mrt_motion_get_info", motion._handle, byref(motion_info)),
        ("mrt_motion_finish", motion._handle, byref(finish), None, byref(made)),
        ("mrt_motion_finish", motion._handle, None, byref(loop), byref(made)),
        ("mrt_motion_save_as", motion._handle, b"/nowhere/a.bvh", byref(saving)),
        ("mrt_motion_make", c_pipeline.skeleton._handle, byref(arrays), byref(made)),
    ):
        status, said = getattr(library, name)(*given), library.mrt_last_error().decode()
        assert (status, bool(re.search(r"call mrt_\w+_init first", said))) == (
            capi.BAD_ARGUMENT,
            True,
        ), f"{name}: {said}"
    assert not made


def test_each_thread_has_its_own_last_error() -> None:
    library, made = capi.library(), c_void_p()
    said: list[bytes] = []

    def fail_elsewhere() -> None:
        said.append(library.mrt_last_error())
        library.mrt_motion_save(None, None)
        said.append(library.mrt_last_error())

    library.mrt_pipeline_load(b"/nowhere", None, byref(made))
    before = library.mrt_last_error()
    worker = threading.Thread(target=fail_elsewhere)
    worker.start()
    worker.join()
    assert said[0] == b"" and said[1] != before and b"/nowhere" in before
    assert library.mrt_last_error() == before


def test_an_older_caller_has_shorter_structs(c_pipeline: capi.Pipeline) -> None:

    options = capi.GenerateOptions(struct_size=capi.GenerateOptions.num_steps.offset, seed=1)
    options.seconds, options.num_frames, options.num_samples = 5, 10, 1
    options.num_steps = 10**6  # beyond what the caller is said to know: not looked at
    made = c_void_p()
    status = capi.library().mrt_generate(c_pipeline._handle, b"walks", byref(options), byref(made))
    assert status == capi.OK
    capi.library().mrt_motion_free(made)


def test_bundles_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json in it"):
        capi.Pipeline(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BundleError, match="reads bundles of schema 2"):
        capi.Pipeline(tmp_path)
    with pytest.raises(BundleError, match=r"there is no file manifest\.json"):
        capi.Pipeline({})


def test_an_altered_bundle_is_refused(tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in Path(embedded_bundle()).iterdir()}
    files["step.weights"] = files["step.weights"][:-1] + b"x"
    held = capi.Pipeline(files)  # graphs are loaded when they are needed
    with pytest.raises(BundleError, match=r"step\.weights was altered since export"):
        held.generate("walks", num_frames=10, num_steps=1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda content: content[:-1] + b"x", r"step\.weights was altered since export"),
        (lambda content: content[:-1], r"step\.weights has \d+ bytes, should have"),
        (lambda content: b"", r"step\.weights has 0 bytes, should have"),
        (
            lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "step.weights is a Git LFS pointer",
        ),
        (None, r"step\.weights: cannot be read"),
    ],
    ids=["altered", "cut", "empty", "pointer", "missing"],
)
def test_a_damaged_file_of_a_folder_is_refused(change: Any, line: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(embedded_bundle(), folder)
    weights = folder / "step.weights"
    if change is None:
        weights.unlink()
    else:
        weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(BundleError, match=line):
        capi.Pipeline(folder).generate("", num_frames=10, num_steps=1)


def test_backends(c_pipeline: capi.Pipeline) -> None:
    assert "cpu" in capi.backends()
    assert c_pipeline.backend == "cpu"
    with pytest.raises(InputError, match="there are cpu, cuda"):
        capi.Pipeline(backend="magic")
    if "cuda" not in capi.backends():
        with pytest.raises(BackendError, match="backend cuda"):
            capi.Pipeline(backend="cuda")


def test_the_log(c_pipeline: capi.Pipeline) -> None:
    lines: list[tuple[int, str]] = []
    capi.set_log(lambda level, line: lines.append((level, line)))
    capi.set_log(None)
    assert lines == []
