"""Streams and clips of ARDY in the C library: those of Python, frame by frame."""

import ctypes
import json
import subprocess
import threading
from collections.abc import Callable
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any

import ardy_bundle
import numpy as np
import pytest
from c_builds import CAPI, LIBRARIES, WARNINGS, compile_c
from numpy.typing import NDArray
from places import ROOT

import motionrt
from motionrt import capi
from motionrt.runtime.errors import InputError

POSITIONS, FEATURES, ROTATIONS = 1e-4, 1e-4, 1e-3
WALKS, JUMPS, WAVES = ardy_bundle.PROMPTS

pytestmark = pytest.mark.slow  # onnx, of the exporter's packages, writes the bundle


@pytest.fixture(scope="module", params=[1, 3], ids=["one token", "three tokens"])
def toy(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A bundle whose prompts have so many tokens at most."""
    pytest.importorskip("onnx")
    return ardy_bundle.write(tmp_path_factory.mktemp("ardy") / "toy", request.param)


@pytest.fixture(scope="module")
def c_pipeline(toy: Path) -> capi.Pipeline:
    return capi.Pipeline(toy, threads=1)


@pytest.fixture(scope="module")
def pipeline(toy: Path) -> Any:
    return motionrt.load(toy, backend="cpu")


def array(view: "capi.View | None") -> NDArray[Any]:
    assert view is not None
    return np.asarray(view)


def same(found: capi.Motion, expected: Any) -> None:
    for name, view in {
        "root_positions": found.root_positions,
        "posed_joints": found.global_positions,
        "smooth_root_pos": found.smooth_root,
        "global_root_heading": found.heading,
    }.items():
        wanted = getattr(expected, name)
        np.testing.assert_allclose(array(view), wanted, rtol=0, atol=POSITIONS, err_msg=name)
    turns, wanted = array(found.local_rotations), expected.local_rotations
    assert np.minimum(np.abs(turns - wanted), np.abs(turns + wanted)).max() < ROTATIONS
    np.testing.assert_array_equal(array(found.foot_contacts), expected.foot_contacts)


def poses(skeleton: Any) -> list[dict[str, Any]]:
    turns = np.random.default_rng(1).normal(size=(1, skeleton.num_joints, 3)) * 0.2
    held = {"local_joints_rot": turns.tolist(), "root_positions": [[0.2, 0.9, 0.4]]}
    return [
        {"type": "fullbody", "frame_indices": [9], **held},
        {"type": "left-hand", "frame_indices": [14], **held},
        {"type": "root2d", "frame_indices": [20], "root_2d": [[0.1, 0.5]]},
        {
            "type": "end-effector",
            "frame_indices": [25],
            "joint_names": ["LeftFoot", "Hips"],
            **held,
        },
    ]


# The same frames


def test_a_stream_is_that_of_python(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    ours, theirs = c_pipeline.stream(WALKS, seed=5), pipeline.stream(WALKS, seed=5)
    same(ours.take(7), theirs.take(7))
    for each in (ours, theirs):
        each.prompt(JUMPS)
    same(ours.take(30), theirs.take(30))
    ours.goal(1, 2, 1.5, 0.5)
    theirs.goal((1, 2), 1.5, 0.5)
    same(ours.take(40), theirs.take(40))
    listed = poses(pipeline.skeleton)
    ours.constraints(json.dumps(listed))
    theirs.constraints(listed)
    same(ours.take(10), theirs.take(10))
    for each in (ours, theirs):
        each.velocity((0.5, 1.25))
    same(ours.take(33), theirs.take(33))
    for each in (ours, theirs):
        each.clear()
        each.replan()
    for _ in range(5):
        found, wanted = ours.advance(0.13), theirs.advance(0.13)
        assert found is not None
        same(found, wanted)
    assert (ours.info.position, ours.info.held_frames) == (theirs.position, theirs.held_frames)
    assert ours.info.next_change == theirs.next_change


def test_options_are_those_of_python(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    shared: dict[str, Any] = {
        "seed": 2,
        "first_heading_rad": 0.7,
        "history_frames": 8,
        "num_steps": 3,
    }
    shared |= {"reaction_frames": 3, "postprocess": True, "root_margin": 0.01}
    shared["guidance_weights"] = [1.5, 2.5]
    ours = c_pipeline.stream(WAVES, start_x=1, start_z=2, **shared)
    theirs = pipeline.stream(WAVES, start=(1, 2), **shared)
    ours.goal(1.5, 2, 0.3)
    theirs.goal((1.5, 2), 0.3)
    first, second = ours.take(20), theirs.take(20)
    same(first, second)
    same(
        c_pipeline.stream(JUMPS, seed=1, start=first).take(20),
        pipeline.stream(JUMPS, seed=1, start=second).take(20),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "exact", "first_heading_rad": 1.0, "history_frames": 4},
        {"constraints": True, "postprocess": True},
        {"guidance_type": "regular", "guidance_weights": [3.0], "postprocess": False},
    ],
    ids=["plain", "short history", "constraints", "guidance"],
)
def test_clips_are_those_of_python(
    pipeline: Any, c_pipeline: capi.Pipeline, options: dict[str, Any]
) -> None:
    if "constraints" in options:
        options = {**options, "constraints": poses(pipeline.skeleton)}
    wanted = pipeline.generate_many([WALKS, JUMPS], [2.1, 1.4], num_samples=2, seed=3, **options)
    request = {"prompts": [WALKS, JUMPS], "seconds": [2.1, 1.4], "num_samples": 2, "seed": 3}
    found = c_pipeline.generate_json(json.dumps({**request, **options}))
    for ours, theirs in zip(found, wanted, strict=True):
        same(ours, theirs)


def test_embeddings_stand_for_prompts(c_pipeline: capi.Pipeline) -> None:
    count = c_pipeline.max_text_tokens
    rows = ardy_bundle.prompt_tokens(count)
    for prompt, row in zip(ardy_bundle.PROMPTS, rows, strict=True):
        kept = row[row.any(axis=-1)]
        np.testing.assert_array_equal(
            np.atleast_2d(array(c_pipeline.embed(prompt)))[: len(kept)], kept
        )
    options: dict[str, Any] = {"seed": 3, "num_frames": 20}
    wanted = c_pipeline.generate_many(list(ardy_bundle.PROMPTS), **options)
    options["num_embedding_tokens"] = count
    names = ["", "", ""]
    found = c_pipeline.generate_many(names, embedding=rows, **options)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array(ours.features), array(theirs.features))
    mask = np.ones((3, count), np.uint8)
    mask[0, 0] = 0
    masked = c_pipeline.generate_many(names, embedding=rows, embedding_mask=mask, **options)
    assert np.abs(array(masked[0].features) - array(found[0].features)).max() > 1e-3
    np.testing.assert_array_equal(array(masked[1].features), array(found[1].features))
    options["num_embedding_tokens"] = count + 1
    with pytest.raises(
        InputError, match=f"{count + 1} tokens a prompt, this model takes 1 to {count}"
    ):
        c_pipeline.generate(
            "", embedding=np.zeros((count + 1, ardy_bundle.TEXT), np.float32), **options
        )


def test_a_clip_goes_on(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    ours, theirs = (each.generate(WALKS, seconds=1.5, seed=1) for each in (c_pipeline, pipeline))
    same(
        c_pipeline.generate(JUMPS, seconds=2, seed=2, continue_from=ours),
        pipeline.generate(JUMPS, seconds=2, seed=2, continue_from=theirs),
    )


@pytest.mark.parametrize("postprocess", [False, True])
def test_a_long_stream_whose_constraints_change(
    pipeline: Any, c_pipeline: capi.Pipeline, postprocess: bool
) -> None:
    options: dict[str, Any] = {"seed": 9, "postprocess": postprocess}
    ours, theirs = c_pipeline.stream(WALKS, **options), pipeline.stream(WALKS, **options)
    chosen = poses(pipeline.skeleton)
    for index in range(20):  # 36 s
        kind = index % 6
        if kind < 4:
            listed = [{**chosen[kind], "frame_indices": [12 + index]}]
            ours.constraints(json.dumps(listed))
            theirs.constraints(listed)
        elif kind == 4:
            for each in (ours, theirs):
                each.velocity((0.25 * (index % 3), 0.5))
        else:
            for each in (ours, theirs):
                each.clear()
        same(ours.take(36), theirs.take(36))
    assert ours.info.held_frames == theirs.held_frames


def test_frames_do_not_depend_on_how_they_are_fetched(c_pipeline: capi.Pipeline) -> None:
    whole = array(c_pipeline.stream(WALKS, seed=3).take(45).features)
    pieces, made = c_pipeline.stream(WALKS, seed=3), list[NDArray[Any]]()
    for count in (1, 2, 30, 12):
        pieces.make(count + 5)
        assert pieces.info.planned >= pieces.info.position + count + 5
        made.append(array(pieces.take(count).features).copy())
    np.testing.assert_array_equal(np.concatenate(made), whole)


def test_a_controller_gets_the_frames_of_python(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    ours, theirs = c_pipeline.stream(WALKS, seed=7), pipeline.stream(WALKS, seed=7)
    same(ours.take(3), theirs.take(3))
    fast, wanted = ours.at_rate(110), theirs.at_rate(110)  # no frame of its own meets most moments
    for count in (1, 7, 30, 1, 55, 4):
        same(fast.take(count), wanted.take(count))
        assert ours.info.position == theirs.position
    for each in (ours, theirs):
        each.prompt(JUMPS)
    for seconds in (0.004, 0.006, 0.3, 0.0, 0.1, 1.9):
        found, expected = fast.advance(seconds), wanted.advance(seconds)
        assert (found is None) == (expected is None)
        if found is not None:
            same(found, expected)
            assert (found.fps, found.seed) == (110, 7)
    assert found is not None and found.prompt == JUMPS and ours.info.position == theirs.position
    # The model's own rate, and more frames that are known behind a moment.
    slow, expected = ours.at_rate(20, 6), theirs.at_rate(20, 6)
    same(slow.take(13), expected.take(13))
    for fps, delay, line in (
        (19, 0, "19 fps of a stream of 20"),
        (float("nan"), 0, "nan fps"),
        (100, 1, "a delay of 1"),
        (100, -1, "a delay of -1"),
    ):
        with pytest.raises(InputError, match=line):
            ours.at_rate(fps, delay)
    before = ours.info.position
    with pytest.raises(InputError, match="0 frames"):
        fast.take(0)
    with pytest.raises(InputError, match="-1 s"):
        fast.advance(-1)
    assert ours.info.position == before


# Snapshots


def test_a_snapshot_crosses_over(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    ours, theirs = c_pipeline.stream(WALKS, seed=7), pipeline.stream(WALKS, seed=7)
    for each in (ours, theirs):
        each.take(11)
        each.prompt(JUMPS)
        each.velocity((0.25, 0.5))
    ours.constraints(json.dumps(poses(pipeline.skeleton)))
    theirs.constraints(poses(pipeline.skeleton))
    assert ours.advance(0.12) is not None and theirs.advance(0.12) is not None
    bytes_of_c, bytes_of_python = ours.snapshot(), theirs.snapshot().to_bytes()
    same(wanted := ours.take(30), theirs.take(30))
    ours.restore(bytes_of_c)
    np.testing.assert_array_equal(array(ours.take(30).features), array(wanted.features))
    theirs.restore(bytes_of_c)
    same(wanted, theirs.take(30))
    ours.restore(bytes_of_python)
    theirs.restore(bytes_of_python)
    same(ours.take(30), theirs.take(30))


def test_a_damaged_snapshot_is_refused_and_changes_nothing(c_pipeline: capi.Pipeline) -> None:
    stream = c_pipeline.stream(WALKS, seed=1)
    stream.take(9)
    content = stream.snapshot()
    for damaged in (
        b"",
        content[:40],
        content[:-4],
        content.replace(b"motionrt-stream", b"motionrt-strewn"),
        content.replace(b'\\"position\\":9', b'\\"position\\":3'),
        content.replace(b'\\"model\\":\\"toy', b'\\"model\\":\\"boy'),
        content.replace(b'\\"num_steps\\":4', b'\\"num_steps\\":0'),
        content.replace(b'\\"frame\\":0', b'\\"frame\\":-'),
        content[:-4] + b"\x00\x00\xc0\x7f",
    ):
        assert damaged != content
        with pytest.raises(InputError):
            stream.restore(damaged)
    assert stream.snapshot() == content


def test_a_stream_follows_embeddings(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    count = c_pipeline.max_text_tokens
    rows = ardy_bundle.prompt_tokens(count)
    mask = np.ones(count, bool)
    mask[0] = count == 1  # of three, the first is none
    given = {"embedding": rows[0], "num_embedding_tokens": count}
    ours = c_pipeline.stream("named", seed=7, **given)
    theirs = pipeline.stream("named", seed=7, embedding=rows[0])
    by_text = pipeline.stream(WALKS, seed=7)
    same(wanted := ours.take(11), theirs.take(11))
    same(wanted, by_text.take(11))
    assert wanted.prompt == "named"
    ours.prompt_embedding(rows[1], count, mask, "other")
    theirs.prompt("other", rows[1], mask)
    for each in (ours, theirs):
        each.velocity((0.25, 0.5))
    before = ours.info.next_change
    ours.prompt_embedding(rows[1], count, mask, "other")  # the same: nothing is made anew
    assert ours.snapshot() == ours.snapshot() and ours.info.next_change == before
    bytes_of_c, bytes_of_python = ours.snapshot(), theirs.snapshot().to_bytes()
    kept = theirs.snapshot()
    same(wanted := ours.take(30), theirs.take(30))
    assert wanted.prompt == "other"
    by_text.prompt(JUMPS)
    by_text.velocity((0.25, 0.5))
    apart = np.abs(array(wanted.global_positions) - by_text.take(30).posed_joints).max()
    assert apart < POSITIONS if count == 1 else apart > 1e-3
    for snapshot in (bytes_of_c, bytes_of_python):
        ours.restore(snapshot)
        theirs.restore(snapshot)
        same(found := ours.take(30), theirs.take(30))
        np.testing.assert_allclose(array(found.features), array(wanted.features), atol=FEATURES)
    same(wanted, pipeline.stream(snapshot=kept).take(30))
    # By its text again, with the same name.
    ours.prompt_embedding(rows[1], count, None, JUMPS)
    ours.prompt(JUMPS)
    assert b"embedding" in bytes_of_c and b"embedding_1" not in ours.snapshot()


def test_embeddings_that_do_not_fit_are_refused(pipeline: Any, c_pipeline: capi.Pipeline) -> None:
    count, width = c_pipeline.max_text_tokens, ardy_bundle.TEXT
    ours = c_pipeline.stream(seed=1)
    theirs: Any = pipeline.stream(seed=1)
    infinite = np.full((1, width), np.inf, np.float32)
    for each in (ours, theirs):
        each.take(3)
    too_many = np.ones((count + 1, width), np.float32)
    asked: dict[Callable[[], Any], str] = {
        lambda: ours.prompt_embedding(too_many, count + 1): f"takes 1 to {count}",
        lambda: ours.prompt_embedding(infinite): "not finite",
        lambda: ours.prompt_embedding(infinite, 0): "one token or more",
        lambda: c_pipeline.stream(num_embedding_tokens=1): "go with an embedding",
        lambda: theirs.prompt("", too_many): f"1 to {count}",
        lambda: theirs.prompt("", infinite): "not finite",
        lambda: theirs.prompt("", np.ones(width + 1)): f"the model takes {width}",
        lambda: theirs.prompt("", np.ones(width), [True, False]): "a mask",
        lambda: theirs.prompt("", None, [True]): "goes with an embedding",
    }
    for ask, line in asked.items():
        with pytest.raises(InputError, match=line):
            ask()
    ours.prompt_embedding(np.ones(width, np.float32))
    content = ours.snapshot()
    for damaged in (
        content.replace(b"[true]", b"[]"),
        content.replace(b"[true]", b"1"),
        content.replace(b"[true]", b"[true,true]"),
        content.replace(b'"embedding_0"', b'"embedding_9"'),
        content.replace(b'"embedding_1"', b'"embedding_9"'),
        content[:-4] + b"\x00\x00\xc0\x7f",
    ):
        if damaged == content:
            continue
        for each in (ours, theirs):
            with pytest.raises(InputError):
                each.restore(damaged)
    assert ours.snapshot() == content


# What is refused


def test_what_is_refused(c_pipeline: capi.Pipeline) -> None:
    stream = c_pipeline.stream(WALKS, seed=1)
    asked: dict[Callable[[], Any], str] = {
        lambda: stream.take(0): "0 frames",
        lambda: stream.advance(-1): "-1 s",
        lambda: stream.goal(0, 0, float("nan")): "nan s",
        lambda: stream.goal(float("inf"), 0, 1): "finite",
        lambda: stream.velocity((float("nan"), 0)): "finite",
        lambda: stream.prompt("flies"): "not in the bundle's prompt book",
        lambda: stream.constraints("[{}]"): "type must be",
        lambda: stream.constraints("["): "constraints",
        lambda: stream.replan(1 << 40): "never comes",
        lambda: stream.make(0): "0 frames",
        lambda: c_pipeline.stream(WALKS, num_steps=11): "from 1 to 10",
        lambda: c_pipeline.stream(WALKS, history_frames=3): "multiple of 4",
        lambda: c_pipeline.stream(WALKS, reaction_frames=0): "reaction frames",
        lambda: c_pipeline.stream(WALKS, first_heading_rad=float("nan")): "finite",
        lambda: c_pipeline.generate(WALKS, solver="ddim"): "no option solver",
        lambda: c_pipeline.generate(WALKS, history_frames=2): "multiple of 4",
        lambda: capi.Pipeline().stream(""): "makes no streams",
    }
    for ask, line in asked.items():
        with pytest.raises(InputError, match=line):
            ask()
    end = {**poses(c_pipeline.skeleton)[0], "type": "end-effector", "joint_names": ["LeftFoot"]}
    with pytest.raises(InputError, match="Hips among them"):
        stream.constraints(json.dumps([end]))
    assert stream.take(20).num_frames == 20


def test_null_and_structs_without_size_are_refused(c_pipeline: capi.Pipeline) -> None:
    lib, out = capi.library(), c_void_p()
    kept = c_pipeline.stream(WALKS)
    handle, stream = c_pipeline._handle, kept._handle
    short, no_write = capi.StreamOptions(struct_size=3), capi.WRITE_FN(0)
    for status in (
        lib.mrt_stream_open(None, None, byref(out)),
        lib.mrt_stream_open(handle, None, None),
        lib.mrt_stream_open(handle, byref(short), byref(out)),
        lib.mrt_stream_get_info(stream, None),
        lib.mrt_stream_get_info(stream, byref(capi.StreamInfo(struct_size=2))),
        lib.mrt_stream_prompt(stream, None),
        lib.mrt_stream_constraints(stream, None),
        lib.mrt_stream_take(stream, 1, None),
        lib.mrt_stream_advance(stream, 1.0, None),
        lib.mrt_stream_restore(stream, None, 0),
        lib.mrt_stream_snapshot(stream, no_write, None),
        lib.mrt_stream_prompt(None, b""),
        lib.mrt_stream_prompt_embedding(None, b"", (ctypes.c_float * 1)(), 1, None),
        lib.mrt_stream_prompt_embedding(stream, b"", None, 1, None),
        lib.mrt_control_rate_open(None, 100.0, 0, byref(out)),
        lib.mrt_control_rate_open(stream, 100.0, 0, None),
        lib.mrt_control_rate_take(None, 1, byref(out)),
        lib.mrt_control_rate_advance(None, 1.0, byref(out)),
        lib.mrt_stream_goal(None, 0, 0, 1, None),
        lib.mrt_stream_constraints(None, b"[]"),
        lib.mrt_stream_velocity(None, None),
        lib.mrt_stream_clear(None),
        lib.mrt_stream_replan(None, 0),
        lib.mrt_stream_take(None, 1, byref(out)),
        lib.mrt_stream_advance(None, 1.0, byref(out)),
        lib.mrt_stream_make(None, 1),
        lib.mrt_stream_get_info(None, byref(capi.StreamInfo(struct_size=64))),
        lib.mrt_stream_snapshot(None, no_write, None),
        lib.mrt_stream_restore(None, b"", 0),
    ):
        assert status == capi.BAD_ARGUMENT
        assert out.value is None
    lib.mrt_stream_free(None)
    lib.mrt_control_rate_free(None)


def test_an_older_program_has_fewer_fields(c_pipeline: capi.Pipeline) -> None:
    """What a smaller struct does not say is left at its default."""
    lib, out = capi.library(), c_void_p()
    old = capi.StreamOptions(struct_size=capi.StreamOptions.prompt.offset, seed=4)
    old.reaction_frames = -7  # beyond what it has
    assert lib.mrt_stream_open(c_pipeline._handle, byref(old), byref(out)) == capi.OK
    info = capi.StreamInfo(struct_size=capi.StreamInfo.position.offset, position=-1)
    assert lib.mrt_stream_get_info(out, byref(info)) == capi.OK
    assert (info.seed, info.fps, info.position) == (4, ardy_bundle.FPS, -1)
    lib.mrt_stream_free(out)


# Progress and threads


def test_progress_is_told_and_can_stop(c_pipeline: capi.Pipeline) -> None:
    told: list[tuple[str, int, int]] = []
    stops = [False]

    def progress(*step: Any) -> bool:
        told.append(step)
        return not stops[0]

    stream = c_pipeline.stream(WALKS, seed=3, progress=progress)
    first = array(stream.take(5).features).copy()
    assert told == [("denoising", done, 4) for done in range(5)]
    stops[0] = True
    with pytest.raises(capi.Cancelled):
        stream.take(40)
    stops[0] = False
    assert stream.info.position == 5
    whole = array(c_pipeline.stream(WALKS, seed=3).take(45).features)
    np.testing.assert_array_equal(first, whole[:5])
    np.testing.assert_array_equal(array(stream.take(40).features), whole[5:])


def test_one_thread_fetches_and_others_steer(c_pipeline: capi.Pipeline) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def progress(*_: Any) -> bool:
        inside.set()
        return go_on.wait(30)

    stream = c_pipeline.stream(WALKS, seed=3, progress=progress)
    fetched: list[capi.Motion] = []
    worker = threading.Thread(target=lambda: fetched.append(stream.take(12)))
    worker.start()
    assert inside.wait(30)
    with pytest.raises(capi.Busy):
        stream.take(1)
    stream.goal(0, 1, 1)
    stream.prompt(JUMPS)
    assert stream.info.position == 0
    assert c_pipeline.generate(WALKS, seed=1, num_frames=8).num_frames == 8
    go_on.set()
    worker.join(30)
    assert fetched[0].num_frames == 12


def test_the_example_plays_what_python_does(
    pipeline: Any, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = capi.library_path()
    program = compile_c(
        "stream_example",
        *("-std=c11", *WARNINGS, "-I", CAPI, ROOT / "examples" / "c" / "stream.c"),
        *(library, f"-Wl,-rpath,{library.parent}", *LIBRARIES),
    )
    runtime = capi.packaged_onnxruntime()
    assert runtime is not None
    monkeypatch.setenv("MOTIONRT_ONNXRUNTIME", runtime)
    written = tmp_path / "stream.bvh"
    subprocess.run([str(program), str(toy), WALKS, JUMPS, str(written)], check=True)
    session = pipeline.stream(WALKS, seed=1)
    parts = []
    for frame in range(360):
        if frame == 120:
            session.prompt(JUMPS)
        if frame == 240:
            session.goal((1, 2), 1.5)
        if (chunk := session.advance(1 / 60)) is not None:
            parts.append(chunk.posed_joints)
    found = motionrt.Motion.load(written)
    np.testing.assert_allclose(found.posed_joints, np.concatenate(parts), atol=1e-3)
