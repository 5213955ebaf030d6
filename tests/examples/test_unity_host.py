"""The Unity package without the native library: its host code under Mono, against Python.

Unity's Inference Engine was not at hand. What stands in for it (tests/examples/unity_host) sends
tensors here, where onnxruntime runs the graphs that were lowered for Unity.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import held_bodies
import numpy as np
import pytest
from documented import EMBED, commands, need, run
from graph_server import Graphs
from numpy.typing import NDArray
from places import ROOT, TESTS
from safetensors.numpy import load, save

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import correct_motion
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.constraints.files import constraints_from, to_json, write_constraints
from motionrt.runtime.constraints.kinds import CONSTRAINT_TYPES, Root2D, constraint_from_motion
from motionrt.runtime.kimodo.constraints import conditioning, correction_targets
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.runtime.text.tokenizer import TextTokenizer

PACKAGE = ROOT / "examples" / "unity" / "com.motionrt.unity"
STRINGS = [
    *("", " ", "a person walks forward", "Jump!  then 3.5 m LEFT, turn", "it's we'll I'd can't 'x"),
    *("tabs\tand\n\nlines  end  ", "  two  blanks ", "naïve café Zürich ÉCOLE", "走る人が跳ぶ。"),
    *("…dots?!", '(brackets) [and] "marks"', "emoji 🕺🏽 dance", "<|endoftext|>x<|endoftext|>"),
    *("a\u00a0b\u2003c", "UPPER lower 12345 6", "end ) ] ' \"", "--- what? no. yes!ok", "½ turn ²"),
    *("٣ kicks", "ﬁne ⅷ times"),
]
BODIES = [(name, held) for name in ("cmu22", "soma30", "smplx22", "g1") for held in (False, True)]
Rows = dict[str, list[list[str]]]


def asked() -> list[dict[str, Any]]:
    """Motions of the default: constraints of each kind, with motion correction and without."""
    turn = motionrt.load().generate("a person turns around", 2, seed=9, num_steps=8)
    each = [
        constraint_from_motion(turn, frames, kind, ("Hips", "RightHand") if "end" in kind else ())
        for kind, frames in {
            "root2d": [0, 12, 39],
            "fullbody": [20, 21],
            "left-hand": [8, 30],
            "right-hand": [25],
            "left-foot": [10, 11, 12],
            "right-foot": [33],
            "end-effector": [16],
        }.items()
    ]
    assert {item.type for item in each} == set(CONSTRAINT_TYPES)
    walk = {"prompt": "a person walks forward", "seconds": 2, "seed": 5, "num_steps": 3}
    held = [{**walk, "constraints": [to_json(item)], "seed": n} for n, item in enumerate(each)]
    everything = {**walk, "constraints": [to_json(item) for item in each]}
    return [
        *held,
        everything,
        {**everything, "postprocess": False},
        {**everything, "prompt": ""},
        {**everything, "guidance_weights": [3.0]},
        {"prompt": "a person jumps", "seconds": 1, "seed": 1, "preset": "fast"},
    ]


def path_of_player() -> Root2D:
    """Half a metre to the left in two seconds."""
    return Root2D([0, 39], [[0.0, 0.0], [0.5, 0.2]])


def body_case(name: str, constrained: bool) -> dict[str, Any]:
    """What the host's own parts are asked: a clip on a body, and constraints on it."""
    skeleton = load_skeleton(name)
    clip, other = held_bodies.walk(skeleton), held_bodies.walk(skeleton, seed=1)
    assert clip.foot_contacts is not None
    features = MotionFeatures(skeleton)
    statistics = {"mean": np.full(features.width, 0.5, np.float32)}
    statistics["std"] = np.linspace(0.5, 2, features.width, dtype=np.float32)
    constraints = held_bodies.held(other) if constrained else []
    larger = skeleton.expands_to and load_skeleton(skeleton.expands_to)
    if larger and constrained:  # a pose may have the joints of what a skeleton expands to
        one = constraint_from_motion(other.expanded(), [3], "left-hand")
        constraints.append(to_json(one))
    return {
        "skeleton": skeleton.to_dict(),
        "larger": larger.to_dict() if larger else None,
        "statistics": base64.b64encode(save(statistics)).decode(),
        "constraints": json.dumps(constraints),
        "local": clip.local_rot_mats.ravel().tolist(),
        "root": clip.root_positions.ravel().tolist(),
        "contacts": clip.foot_contacts.astype(int).ravel().tolist(),
    }


def refused() -> list[tuple[str, str]]:
    """Constraint files that do not fit, and what is said of them."""
    pose = to_json(constraint_from_motion(motionrt.load().generate("", 0.2), [0], "right-hand"))
    path = {"type": "root2d", "frame_indices": [0, 5], "smooth_root_2d": [[0, 0], [1, 1]]}
    beyond = (
        "frame 60 is beyond the clip's 60 frames (0 to 59); lengthen the clip or move the frame"
    )
    lists: list[tuple[Any, str]] = [
        ([pose, path], "taken"),
        ({"type": "root2d"}, "constraints: expected a list of constraints"),
        ([path, 3], "constraint 1: expected an object"),
        ([{**path, "type": "root"}], "constraint 0 (root): type must be one of"),
        ([{**path, "frame_indices": [0, -1]}], "constraint 0 (root2d): frame_indices must be"),
        ([{**path, "frame_indices": []}], "constraint 0 (root2d): frame_indices must be"),
        ([{**path, "frame_indices": [0, 60]}], f"constraint 0 (root2d): {beyond}"),
        ([{**path, "smooth_root_2d": [[0, 0]]}], "constraint 0 (root2d): smooth_root_2d must"),
        ([{**path, "smooth_root_2d": [[0, 0], [1]]}], "constraint 0 (root2d): smooth_root_2d must"),
        ([{**path, "smooth_root_2d": [[0, 0], [1, 1e10]]}], "constraint 0 (root2d): smooth_root"),
        ([{**path, "global_root_heading": [1]}], "constraint 0 (root2d): global_root_heading must"),
        ([{**pose, "local_joints_rot": [[[0, 0, 0]]]}], "constraint 0 (right-hand): local_joints_"),
        ([{**pose, "local_joints_rot": [[]]}], "constraint 0 (right-hand): local_joints_rot has 0"),
        ([{**pose, "root_positions": None}], "constraint 0 (right-hand): root_positions is miss"),
        ([{**pose, "type": "end-effector"}], "constraint 0 (end-effector): joint_names must be"),
        ([{**pose, "type": "end-effector", "joint_names": ["Nose"]}], "constraint 0 (end-effector"),
    ]
    return [(json.dumps(given), line) for given, line in lists] + [("[", "constraints: JSON, char")]


def cases(bundle: Path) -> dict[str, Any]:
    """All that is asked of Host.exe."""
    small = load_skeleton("soma30")
    clip = held_bodies.walk(small)
    whole = clip.expanded()
    assert clip.foot_contacts is not None
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["skeleton"] = small.to_dict()
    manifest["output_skeleton"] = whole.skeleton.to_dict()
    manifest["graphs"]["decoder"]["outputs"].append({"name": "native_local_rot_mats"})
    motions = asked()
    for case in motions:
        if "constraints" in case:
            case["constraints"] = json.dumps(case["constraints"])
    return {
        "strings": STRINGS,
        "bodies": [body_case(*row) for row in BODIES],
        "refused": [given for given, _ in refused()],
        "motions": motions,
        "expanded": {
            "manifest": json.dumps(manifest),
            "native_local_rot_mats": clip.local_rot_mats.ravel().tolist(),
            "local_rot_mats": whole.local_rot_mats.ravel().tolist(),
            "root_positions": clip.root_positions.ravel().tolist(),
            "posed_joints": whole.posed_joints.ravel().tolist(),
            "foot_contacts": clip.foot_contacts.astype(int).ravel().tolist(),
        },
    }


@pytest.fixture(scope="module")
def told(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the host said, by its first word."""
    need("mcs", "mono")
    folder = tmp_path_factory.mktemp("host")
    run(f"mkdir -p MyGame/Assets\n{commands(EMBED, 'Without the native library')}", folder)
    bundle = folder / "MyGame" / "Assets" / "Motionrt"
    assert (bundle / "statistics.bytes").read_bytes() == (
        embedded_bundle() / "statistics.safetensors"
    ).read_bytes()
    (folder / "cases.json").write_text(json.dumps(cases(bundle)))
    write_constraints(folder / "constraints.json", [path_of_player()])
    sources = " ".join(
        [
            f"{PACKAGE}/Runtime/*.cs {PACKAGE}/Runtime/Host/*.cs",
            f"{PACKAGE}/Runtime/InferenceEngine/*.cs",
            f"{TESTS}/examples/unity/UnityEngine.cs {TESTS}/examples/unity_host/*.cs",
        ]
    )
    run(f"mcs -langversion:7 -warnaserror -out:Host.exe {sources}", folder)
    command = ["mono", "--debug", "Host.exe", str(bundle), "cases.json", "dump.txt"]
    places = {"LD_LIBRARY_PATH": str(ship), "MOTIONRT_BUNDLE": str(ship / "motionrt-default")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        Graphs(bundle).serve(process.stdout, process.stdin)
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    rows: Rows = {}
    for line in (folder / "dump.txt").read_text().splitlines():
        what, *words = line.split(" ")
        rows.setdefault(what, []).append(words)
    return rows


def floats(rows: list[list[str]]) -> Iterator[NDArray[np.float64]]:
    return (np.array(row, float) for row in rows)


def test_prompts_are_cleaned_and_cut_into_the_same_tokens(told: Rows) -> None:
    bundle = Bundle(embedded_bundle())
    rules = bundle.manifest.text["rules"]
    tokenizer = TextTokenizer(bundle.path("tokenizer.json"), rules)
    for text, (clean,), tokens in zip(STRINGS, told["clean"], told["tokens"], strict=True):
        assert base64.b64decode(clean).decode() == clean_prompt(text)
        assert [int(token) for token in tokens if token] == tokenizer.ids(text), text


def test_noise_and_schedules_are_pythons(told: Rows) -> None:
    expected = [TorchGenerator(s).randn((n,)) for s in (0, 7, 2**32 - 1) for n in (16, 40, 5460)]
    for noise, wanted in zip(floats(told["noise"]), expected, strict=True):
        np.testing.assert_allclose(noise, wanted, atol=2e-6)
    schedules = [
        cosine_schedule(1000, steps, solver)
        for solver in ("ddim", "dpmpp-2m")
        for steps in (1, 2, 3, 12, 20, 100, 1000)
    ]
    for schedule, steps, rows in zip(
        schedules, told["timesteps"], floats(told["coefficients"]), strict=True
    ):
        assert [int(step) for step in steps] == schedule.timesteps.tolist()
        table = schedule.coefficients
        np.testing.assert_allclose(rows.reshape(-1, 3), table, rtol=1e-5, atol=1e-6)


def test_a_clip_is_sampled_as_the_library_samples_it(told: Rows) -> None:
    pairs = zip(floats(told["host"]), floats(told["library"]), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert len(told["host"]) == 24


def same_motion(roots: NDArray[Any], rotations: NDArray[Any], wanted: Motion) -> None:
    np.testing.assert_allclose(roots.reshape(-1, 3), wanted.root_positions, atol=1e-4)
    turns = rotations.reshape(-1, wanted.skeleton.num_joints, 4).astype(np.float32)
    made = Motion.from_local(
        quaternion_to_matrix(turns), wanted.root_positions, wanted.skeleton, wanted.fps
    )
    np.testing.assert_allclose(made.posed_joints, wanted.posed_joints, atol=1e-4)
    np.testing.assert_allclose(made.local_rot_mats, wanted.local_rot_mats, atol=1e-3)


@pytest.mark.parametrize("row", range(len(BODIES)), ids=lambda row: "-".join(map(str, BODIES[row])))
def test_constraints_and_motion_correction_are_pythons(told: Rows, row: int) -> None:
    name, _ = BODIES[row]
    case = body_case(*BODIES[row])
    skeleton = load_skeleton(name)
    constraints = constraints_from(json.loads(case["constraints"]), skeleton)
    statistics = load(base64.b64decode(case["statistics"]))
    features = MotionFeatures(skeleton, mean=statistics["mean"], std=statistics["std"])
    observed, mask = conditioning(constraints, features, 60)
    seen, given, local, root = (
        np.array(told[word][row], float) for word in ("observed", "mask", "corrected", "moved_root")
    )
    np.testing.assert_array_equal(given.reshape(mask.shape), mask)
    np.testing.assert_allclose(
        seen.reshape(mask.shape), features.normalize(observed), rtol=1e-6, atol=5e-6
    )
    clip = held_bodies.walk(skeleton)
    assert clip.foot_contacts is not None
    wanted_local, wanted_root = correct_motion(
        skeleton,
        clip.local_rot_mats,
        clip.root_positions,
        clip.foot_contacts,
        correction_targets(constraints, skeleton, 60),
    )
    assert np.abs(wanted_local - clip.local_rot_mats).max() > 0.05  # there was something to do
    np.testing.assert_allclose(root.reshape(-1, 3), wanted_root, atol=1e-5)
    np.testing.assert_allclose(local.reshape(wanted_local.shape), wanted_local, atol=1e-5)


def test_constraints_that_do_not_fit_are_told_in_a_line(told: Rows) -> None:
    for words, (given, line) in zip(told["line"], refused(), strict=True):
        assert " ".join(words).startswith(line), given


def test_each_kind_of_constraint_makes_pythons_motion(told: Rows) -> None:
    pairs = zip(floats(told["motion_roots"]), floats(told["motion_rotations"]), strict=True)
    pipeline = motionrt.load()
    for (roots, rotations), case in zip(pairs, asked(), strict=True):
        same_motion(roots, rotations, pipeline.generate(**case))


def test_a_body_with_fingers_is_corrected_without_them(told: Rows) -> None:
    skeleton = load_skeleton("soma30")
    clip = held_bodies.walk(skeleton)
    assert clip.foot_contacts is not None
    corrected = correct_motion(
        skeleton, clip.local_rot_mats, clip.root_positions, clip.foot_contacts
    )
    wanted = Motion.from_local(*corrected, skeleton, clip.fps).expanded()
    (line,) = told["untold"]
    assert " ".join(line) == "without tokenizer.json a prompt needs its embedding"
    (roots,), (rotations,) = told["expanded_roots"], told["expanded_rotations"]
    same_motion(np.array(roots, float), np.array(rotations, float), wanted)


def test_the_inference_engine_makes_pythons_motion(told: Rows) -> None:
    wanted = motionrt.load().generate(
        "a person walks forward", 2, seed=5, constraints=[path_of_player()]
    )
    assert told["frames"] == [[str(20 + 3)]]  # a text, a step each frame, the decoder, clean-up
    same_motion(next(floats(told["roots"])), next(floats(told["rotations"])), wanted)
    moved, height = next(floats(told["moved"]))
    assert 0.1 < moved < 0.4 and 0.8 < height < 1.1


def test_what_it_does_not_do_is_one_line_and_nothing_is_left(told: Rows) -> None:
    (refused,) = told["refused"]
    assert " ".join(refused) == "motionrt: a motion is of one frame to 6 seconds here"
    assert told["left"] == [["0", "0", "0"]]


def test_its_assembly_is_left_out_without_the_inference_engine() -> None:
    text = (PACKAGE / "Runtime/InferenceEngine/Motionrt.InferenceEngine.asmdef").read_text()
    described = json.loads(text)
    (condition,) = described["versionDefines"]
    assert described["defineConstraints"] == [condition["define"]]
