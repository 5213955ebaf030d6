"""Streams and clips of ARDY in the module, in Chromium: those of Python, frame by frame."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ardy_bundle
import numpy as np
import pytest
from places import ROOT

import motionrt
from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.ardy.session import Session

WITHIN_M, ROTATIONS = 1e-4, 1e-3
WALKS, JUMPS, WAVES = ardy_bundle.PROMPTS
Ask = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.slow  # onnx, of the exporter's packages, writes the bundle


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return ardy_bundle.write(tmp_path_factory.mktemp("ardy") / "toy")


@pytest.fixture(scope="module")
def pipeline(toy: Path) -> ArdyPipeline:
    loaded = motionrt.load(toy, backend="cpu")
    assert isinstance(loaded, ArdyPipeline)
    return loaded


class Plain(SimpleHTTPRequestHandler):
    """What `python -m http.server` does, without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def place(built: Path, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the toy's site is served."""
    from motionrt.web import write_site

    site = tmp_path_factory.mktemp("web") / "site"
    write_site(toy, site)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Plain, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def in_browser(script: str, place: str, browser: str, given: str = "") -> dict[str, Any]:
    """Run a script of tests/node in a browser at a place; what it saw."""
    done = subprocess.run(
        ["node", str(ROOT / "tests" / "node" / script), place, browser],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def ask(place: str, browser: str) -> Ask:
    """Steer streams of the toy's site; see tests/node/stream.mjs."""

    def told(**question: object) -> dict[str, Any]:
        return in_browser("stream.mjs", place, browser, json.dumps(question))

    return told


def same(found: Any, wanted: Any) -> None:
    assert isinstance(found, dict), found
    joints = np.reshape(found["posed_joints"], wanted.posed_joints.shape)
    np.testing.assert_allclose(joints, wanted.posed_joints, rtol=0, atol=WITHIN_M)
    root = np.reshape(found["root_positions"], wanted.root_positions.shape)
    np.testing.assert_allclose(root, wanted.root_positions, rtol=0, atol=WITHIN_M)
    turns, own = (
        np.reshape(found["local_rotations"], wanted.local_rotations.shape),
        wanted.local_rotations,
    )
    assert np.minimum(np.abs(turns - own), np.abs(turns + own)).max() < ROTATIONS
    contacts = np.reshape(found["foot_contacts"], wanted.foot_contacts.shape)
    np.testing.assert_array_equal(contacts, wanted.foot_contacts)


def poses(joints: int) -> list[dict[str, Any]]:
    turns = np.random.default_rng(1).normal(size=(1, joints, 3)) * 0.2
    held = {"local_joints_rot": turns.tolist(), "root_positions": [[0.2, 0.9, 0.4]]}
    feet = {"joint_names": ["LeftFoot", "Hips"], **held}
    return [
        {"type": "fullbody", "frame_indices": [9], **held},
        {"type": "left-hand", "frame_indices": [14], **held},
        {"type": "root2d", "frame_indices": [20], "root_2d": [[0.1, 0.5]]},
        {"type": "end-effector", "frame_indices": [25], **feet},
    ]


def steered(session: Session, calls: list[list[Any]]) -> list[Any]:
    """Do to Python's session what was asked of the module's; gives frames, None for the rest."""
    made = []
    for method, *given in calls:
        found = getattr(session, method)(*given)
        made.append(found if method in ("take", "advance") else None)
    return made


def test_a_stream_is_that_of_python(ask: Ask, pipeline: ArdyPipeline) -> None:
    steering: list[list[Any]] = [
        ["take", 7],
        ["prompt", JUMPS],
        ["take", 30],
        ["goal", [1, 2], 1.5, 0.5],
        ["take", 40],
        ["constraints", poses(pipeline.skeleton.num_joints)],
        ["take", 10],
        ["velocity", [0.5, 1.25]],
        ["take", 33],
        ["clear"],
        ["replan"],
        *([["advance", 0.13]] * 5),
    ]
    others: dict[str, Any] = {
        "seed": 2,
        "start": (1.0, 2.0),
        "first_heading_rad": 0.7,
        "history_frames": 8,
        "num_steps": 3,
        "reaction_frames": 3,
        "postprocess": True,
        "root_margin": 0.01,
        "guidance_weights": [1.5, 2.5],
    }
    near: list[list[Any]] = [["goal", [1.5, 2], 0.3], ["take", 20], ["prompt", ""], ["take", 20]]
    streams = [
        {"options": {"prompt": WALKS, "seed": 5}, "calls": [*steering, ["told"]]},
        {"options": {"prompt": WAVES, **others}, "calls": near},
        {
            "options": {
                "prompt": JUMPS,
                "seed": 1,
                "clip": {"prompts": [WALKS], "seconds": 1.0, "seed": 4},
            },
            "calls": [["take", 20]],
        },
    ]
    answer = ask(streams=streams)
    assert answer["model"]["streams"] and answer["model"]["family"] == "ardy"
    sessions = [
        pipeline.stream(WALKS, seed=5),
        pipeline.stream(WAVES, **others),
        pipeline.stream(JUMPS, seed=1, start=pipeline.generate(WALKS, 1.0, seed=4)),
    ]
    for heard, session, calls in zip(
        answer["streams"], sessions, (steering, near, [["take", 20]]), strict=True
    ):
        assert isinstance(heard, list), heard
        for found, wanted in zip(heard, steered(session, calls), strict=False):
            if wanted is None:
                assert found is None, found
            else:
                same(found, wanted)
                assert {**wanted.info, "backend": "WebAssembly"} == found["info"]
    told, session = answer["streams"][0][-1], sessions[0]
    assert (told["position"], told["heldFrames"]) == (session.position, session.held_frames)
    assert told["nextChange"] == session.next_change


def test_frames_follow_from_seed_and_wishes_alone(ask: Ask) -> None:
    """However many are fetched at once, and however far ahead they are made."""
    start = {"prompt": WALKS, "seed": 3}
    plain: list[list[Any]] = [["take", 6], ["prompt", JUMPS], ["take", 30]]
    ahead: list[list[Any]] = [
        ["ahead", 2.0],
        ["take", 2],
        ["take", 4],
        ["together", ["prompt", WAVES], ["prompt", JUMPS]],
        *([["take", 1]] * 30),
    ]
    heard = ask(streams=[{"options": start, "calls": calls} for calls in (plain, ahead)])
    whole, cut = heard["streams"]
    chunks = [cut[1], cut[2], *cut[4:]]
    joints = np.concatenate([chunk["posed_joints"] for chunk in chunks])
    wanted = np.concatenate([whole[0]["posed_joints"], whole[2]["posed_joints"]])
    # The last prompt holds, and from the frame at which it was asked for.
    np.testing.assert_array_equal(joints, wanted)


def test_states_go_from_the_module_to_python_and_back(ask: Ask, pipeline: ArdyPipeline) -> None:
    session = pipeline.stream(WALKS, seed=9, first_heading_rad=0.3)
    before: list[list[Any]] = [
        ["take", 9],
        ["goal", [1.0, 1.0], 2.0],
        ["constraints", poses(pipeline.skeleton.num_joints)],
        ["advance", 0.13],
        ["velocity", [0.0, 1.0]],
        ["prompt", JUMPS],
    ]
    steered(session, before)
    state = session.snapshot().to_bytes()
    told = base64.b64encode(state).decode()
    after: list[list[Any]] = [["take", 25], ["advance", 0.17]]
    options = {"prompt": WALKS, "seed": 9, "first_heading_rad": 0.3}
    answer = ask(
        streams=[
            {"options": options, "calls": [*before, ["snapshot"], *after]},
            {"options": {"snapshot": told}, "calls": [["told"], *after]},
            {
                "options": {"prompt": WAVES},
                "calls": [
                    ["take", 3],
                    ["restore", told],
                    *after,
                    ["restore", base64.b64encode(b"nothing").decode()],
                    ["restore", base64.b64encode(state.replace(b"toy", b"boy")).decode()],
                ],
            },
        ]
    )
    own, begun, restored = answer["streams"]
    assert begun[0]["seed"] == 9 and begun[0]["wanted"] == JUMPS
    other = pipeline.stream(snapshot=base64.b64decode(own[len(before)]))
    wanted, theirs = steered(session, after), steered(other, after)
    for i, motion in enumerate(wanted):
        np.testing.assert_allclose(
            theirs[i].posed_joints, motion.posed_joints, rtol=0, atol=WITHIN_M
        )
        for found in (own[len(before) + 1 + i], begun[1 + i], restored[2 + i]):
            same(found, motion)
    assert "MotionrtError: snapshot: cannot be read" in restored[4]
    assert restored[5] == "MotionrtError: a snapshot of boy, this is toy"


def test_clips_are_those_of_python(ask: Ask, pipeline: ArdyPipeline) -> None:
    joints = pipeline.skeleton.num_joints
    options: list[dict[str, Any]] = [
        {},
        {"preset": "exact", "first_heading_rad": 1.0, "history_frames": 4, "sample_seeds": True},
        {"constraints": poses(joints), "postprocess": True},
        {"guidance_type": "regular", "guidance_weights": [3.0], "postprocess": False},
    ]
    asked = {"prompts": [WALKS, JUMPS], "seconds": [2.1, 1.4], "num_samples": 2, "seed": 3}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"history_frames": 3}, "3 frames of history: must be a positive multiple of 4"),
        ({"num_steps": 11}, "11 diffusion steps: must be from 1 to 10"),
        ({"multi_prompt": True}, "ardy makes a motion of one prompt, 2 are given as parts of one"),
        ({"chain": False}, "request: chain is not known to a browser"),
        ({"prompts": [WALKS, "flies"]}, "the prompt book does not know “flies”"),
        (
            {"constraints": [{**poses(joints)[3], "joint_names": ["LeftFoot"]}]},
            "end-effector constraint: joint_names must have Hips among them",
        ),
    ]
    listed = [{**asked, **each} for each in (*options, *(given for given, _ in refused))]
    answer = ask(clips=[*listed, {"prompt": WALKS, "seconds": 1.0, "seed": 1}])
    *clips, one = answer["clips"]
    for each, found in zip(options, clips, strict=False):
        wanted = pipeline.generate_many([WALKS, JUMPS], [2.1, 1.4], num_samples=2, seed=3, **each)
        assert len(found) == len(wanted), found
        for ours, theirs in zip(found, wanted, strict=True):
            same(ours, theirs)
            assert ours["info"].items() <= {**theirs.info, "backend": "WebAssembly"}.items()
    for (_, said), told in zip(refused, clips[len(options) :], strict=True):
        assert isinstance(told, str) and told.startswith(f"MotionrtError: {said}"), told
    same(one[0], pipeline.generate(WALKS, 1.0, seed=1))


def test_what_cannot_be_meant_is_refused_in_one_line(ask: Ask) -> None:
    calls: list[tuple[list[Any], str]] = [
        (["take", 0], "frames 0: must be a whole number from 1"),
        (["advance", -1], "-1 s: must be from 0 to 1000000"),
        (["prompt", "flies"], "the prompt book does not know “flies”"),
        (["velocity", [1]], "a velocity is x, z in metres a second, not 1"),
        (["goal", [1, None], 1], "constraint 0 (root2d): null is no number"),
        (["constraints", [{"type": "wings"}]], "constraint 0 (wings): type must be one of"),
    ]
    begins: list[tuple[dict[str, Any], str]] = [
        ({"seed": -1}, "seed -1: must be a whole number from 0"),
        ({"history_frames": 6}, "6 frames of history: must be a multiple of 4 from 4 to 32"),
        ({"reaction_frames": 0}, "reaction frames 0: must be a whole number from 1"),
        ({"guidance_weights": [1.0, 2.0, 3.0]}, "3 guidance weights; give one, or two"),
        ({"prompt": "flies"}, "the prompt book does not know “flies”"),
    ]
    answer = ask(
        streams=[
            {"options": {"prompt": WALKS}, "calls": [*(call for call, _ in calls), ["take", 5]]},
            *({"options": options, "calls": []} for options, _ in begins),
        ]
    )
    (*heard, after), *refused = answer["streams"]
    said = [told for _, told in (*calls, *begins)]
    for told, wanted in zip([*heard, *refused], said, strict=True):
        assert isinstance(told, str) and told.startswith(f"MotionrtError: {wanted}"), told
    assert len(after["root_positions"]) == 15  # it goes on


def test_a_visitor_steers_the_figure_of_the_page(place: str, browser: str) -> None:
    seen = in_browser("steer.mjs", place, browser)
    assert seen["problems"] == []
    assert seen["chips"] == list(ardy_bundle.PROMPTS)  # a book's: it takes no others
    assert seen["begun"] == WALKS and seen["said"] == JUMPS
    assert seen["refused"] == "the prompt book does not know “nobody knows this”"
    assert seen["reached"]
    assert np.hypot(*seen["walks"]) == pytest.approx(1.2, abs=0.1)  # metres a second
    assert seen["stops"] is None
    assert seen["pauses"]
    assert seen["again"].startswith("0:0") and seen["again"].endswith("seed 3")
    assert "seed=3" in seen["address"]
