from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.ardy.rollout import extend
from motionrt.runtime.ardy.session import Session, window_seed
from motionrt.runtime.ardy.snapshot import Snapshot
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.kinds import EndEffector, Root2D
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import Guidance
from motionrt.runtime.sampling.noise import TorchGenerator

Script = dict[int, Callable[[Session], object]]
SCRIPT: Script = {
    0: lambda s: s.prompt("walk"),
    6: lambda s: s.goal((1.0, 2.0), 0.6, heading_rad=0.5),
    12: lambda s: s.prompt("wave"),
    13: lambda s: s.velocity((0.5, -1.0)),
    14: lambda s: s.velocity((0.5, -1.1)),
    23: lambda s: s.constraints([Root2D([2, 30], [[0, 0], [1, 1]])]),
    30: lambda s: s.clear(),
    31: lambda s: s.replan(at=37),
}
"""What is asked for at which frame."""


def joints(motion: Motion) -> NDArray[Any]:
    return motion.posed_joints


def played(session: Session, frames: int, script: Script, most: int = 1) -> NDArray[Any]:
    """Fetch frames, at most so many at once, and ask for what a script says on the way."""
    first, made = session.position, []
    while (done := session.position - first) < frames:
        if done in script:
            script[done](session)
        stop = min([frame for frame in script if frame > done] + [frames, done + most])
        made.append(joints(session.take(stop - done)))
    return np.concatenate(made)


@pytest.mark.parametrize("most", [3, 100])
@pytest.mark.parametrize("is_ahead", [False, True])
def test_chunks_and_threads_change_nothing(
    pipeline: ArdyPipeline, most: int, is_ahead: bool
) -> None:
    want = played(pipeline.stream(seed=7), 60, SCRIPT)
    session = pipeline.stream(seed=7)
    if is_ahead:
        with session.ahead():
            found = played(session, 60, SCRIPT, most)
    else:
        found = played(session, 60, SCRIPT, most)
    np.testing.assert_array_equal(found, want)
    other = played(pipeline.stream(seed=8), 60, SCRIPT)
    assert np.abs(other - want).max() > 1e-3


def test_the_first_window_is_that_of_a_clip_of_the_same_seed(pipeline: ArdyPipeline) -> None:
    features = extend(
        pipeline.network,
        pipeline.embed(["walk"]),
        pipeline.noise(TorchGenerator(11), 1),
        guidance=Guidance("separated", (2.0, 2.0)),
        num_steps=4,
        translation=np.array([[1.0, 0, 2]]),
        first_heading_rad=0.4,
    )
    session = pipeline.stream("walk", seed=11, start=(1, 2), first_heading_rad=0.4)
    want = pipeline.to_motion(features[0], {})
    np.testing.assert_array_equal(joints(session.take(8)), joints(want))
    assert (window_seed(11, 0), session.seed) == (11, 11)
    assert len({window_seed(11, frame) for frame in range(100)}) == 100


@pytest.mark.parametrize("reaction", [1, 2, 5])
def test_what_is_asked_for_holds_after_the_frames_of_reaction(
    pipeline: ArdyPipeline, reaction: int
) -> None:
    options: dict[str, Any] = {"seed": 2, "reaction_frames": reaction}
    plain = played(pipeline.stream("walk", **options), 40, {})
    changed = played(pipeline.stream("walk", **options), 40, {10: lambda s: s.prompt("wave")})
    np.testing.assert_array_equal(changed[: 10 + reaction], plain[: 10 + reaction])
    assert np.abs(changed - plain)[10 + reaction].max() > 1e-4
    told = pipeline.stream("walk", **options)
    told.take(10)
    assert told.next_change == 10 + reaction


def test_few_frames_are_never_all_that_is_left(pipeline: ArdyPipeline) -> None:
    plain = played(pipeline.stream("walk", seed=2), 20, {})
    changed = played(pipeline.stream("walk", seed=2), 20, {1: lambda s: s.prompt("wave")})
    np.testing.assert_array_equal(
        changed[:4], plain[:4]
    )  # a token, which a window can look back at
    # Before anything was fetched, what is asked for holds from the start.
    session = pipeline.stream("sit", seed=2)
    with session.ahead():
        session.prompt("walk")
        np.testing.assert_array_equal(joints(session.take(20)), plain)


def test_what_does_not_change_makes_no_new_window(pipeline: ArdyPipeline, maps: Any) -> None:
    session = pipeline.stream("walk", seed=3)
    session.velocity((1, 0))
    session.take(9)
    ran = maps.ran["sampler"]
    for _ in range(100):
        session.velocity((1, 0))
        session.prompt("walk")
    session.take(1)
    assert maps.ran["sampler"] == ran
    session.velocity((1, 0.5))
    session.take(6)
    assert maps.ran["sampler"] == ran + 1
    # A stick that moves all the time costs a window a token, not one a frame.
    before = maps.ran["sampler"]
    for step in range(40):
        session.velocity((1, step / 40))
        session.take(1)
    assert maps.ran["sampler"] - before <= 40 // 4 + 1


def test_a_goal_steers_and_is_forgotten_when_it_is_past(pipeline: ArdyPipeline) -> None:
    free = played(pipeline.stream(seed=4), 60, {})
    session = pipeline.stream(seed=4)
    found = played(session, 60, {16: lambda s: s.goal((3, 3), 1.0)})
    np.testing.assert_array_equal(found[:17], free[:17])
    assert np.abs(found - free)[17:36].max() > 1e-3
    assert session.snapshot().state.asked[-1].constraints == []
    session.goal((1, 1), 1.0)
    (asked,) = session.snapshot().state.asked[-1].constraints
    assert asked["frame_indices"] == [80]


def test_memory_stays_the_same(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=5, history_frames=8)
    rng = np.random.default_rng(0)
    held, sizes = [], []
    for step in range(120):
        if step % 3 == 0:
            session.goal(rng.normal(size=2).tolist(), 0.5)
        if step % 5 == 0:
            session.velocity(rng.normal(size=2).tolist())
        session.replan(at=session.position + 9)
        session.take(int(rng.integers(1, 5)))
        held.append(session.held_frames)
        sizes.append(len(session.snapshot().to_bytes()))
    assert session.position > 200
    assert max(held) <= 8 + 3 * 8
    assert max(sizes[60:]) <= 1.2 * max(sizes[:60])


def test_time_goes_by_in_any_steps(pipeline: ArdyPipeline) -> None:
    want = joints(pipeline.stream(seed=6).take(20))
    session = pipeline.stream(seed=6)
    chunks = [session.advance(1 / 60) for _ in range(60)]
    assert [chunk is None for chunk in chunks[:6]] == [True, True, False, True, True, False]
    found = np.concatenate([joints(chunk) for chunk in chunks if chunk is not None])
    np.testing.assert_array_equal(found, want)
    assert session.advance(0) is None
    again = pipeline.stream(seed=6).advance(1.0)
    assert again is not None
    np.testing.assert_array_equal(joints(again), want)
    assert again.info["first_frame"] == 0 and again.info["seed"] == 6


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_snapshot_is_gone_on_with(pipeline: ArdyPipeline, as_bytes: bool) -> None:
    script = {frame - 14: act for frame, act in SCRIPT.items() if frame > 14}
    session = pipeline.stream("walk", seed=9, start=(1, 2), first_heading_rad=1)
    played(session, 14, {5: lambda s: s.goal((1, 1), 2.0), 13: lambda s: s.velocity((1, 0))})
    assert session.advance(0.03) is None
    taken = session.snapshot()
    snapshot = taken.to_bytes() if as_bytes else taken
    want = played(session, 40, script)
    resumed = pipeline.stream(snapshot=snapshot)
    np.testing.assert_array_equal(played(resumed, 40, script), want)
    assert resumed.seed == 9
    session.restore(snapshot)
    assert session.position == 14
    assert session.advance(0.03) is not None  # the rest of a frame is kept, too
    session.restore(snapshot)
    with session.ahead():
        np.testing.assert_array_equal(played(session, 40, script, most=7), want)


def test_a_snapshot_that_is_none_is_refused(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=1)
    session.goal((1, 1), 3)
    session.take(3)
    snapshot = session.snapshot()
    content = snapshot.to_bytes()
    for damaged in (b"", b"hello", content[:100], content[:-5], b"\xff" * 40):
        with pytest.raises(InputError, match="snapshot of a stream"):
            Snapshot.from_bytes(damaged)
    with pytest.raises(InputError, match="cannot be read as a snapshot"):
        Snapshot.from_bytes(content.replace(b'\\"seed\\":1', b'\\"seed\\":-'))
    import msgspec

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"model": "other"}, "a snapshot of other, this is toy"),
        ({"position": 999}, "do not fit its position"),
    ]
    for change, message in wrong:
        state = msgspec.structs.replace(snapshot.state, **change)
        with pytest.raises(InputError, match=message):
            session.restore(Snapshot(state, snapshot.features))
    with pytest.raises(InputError, match="of another model"):
        session.restore(Snapshot(snapshot.state, snapshot.features[:, :9]))
    assert session.position == 3


def test_a_clip_is_gone_on_from(
    pipeline: ArdyPipeline, wandering: Callable[..., Motion], tmp_path: Path
) -> None:
    clip = wandering("core27", frames=30, fps=20)
    session = pipeline.stream("walk", seed=1, start=clip)
    assert session.position == 30
    made = session.take(10)
    step = np.linalg.norm(made.root_positions[0] - clip.root_positions[-1])
    alone = pipeline.stream("walk", seed=1).take(1)
    assert step < np.linalg.norm(alone.root_positions[0] - clip.root_positions[-1])
    session.goal((1, 1), 1.0)
    clip.save(tmp_path / "clip.npz")
    again = pipeline.stream("walk", seed=1, start=tmp_path / "clip.npz").take(10)
    np.testing.assert_allclose(joints(again), joints(made), atol=1e-5)
    with pytest.raises(InputError, match="is on g1, the model on core27"):
        pipeline.stream(start=wandering("g1", fps=20))
    with pytest.raises(InputError, match="has 2 frames, it needs 4 at least"):
        pipeline.stream(start=wandering("core27", frames=2, fps=20))


class Clock:
    """A clock that goes on when somebody sleeps, and when it is told to."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_chunks_fall_due_as_time_goes_by(pipeline: ArdyPipeline) -> None:
    clock = Clock()
    session = pipeline.stream(seed=1)
    chunks = session.play(0.2, clock=clock, sleep=clock.sleep)
    for index in range(5):
        assert next(chunks).num_frames == 4
        if index == 2:
            clock.now += 3  # who looks at them was busy
    chunks.close()  # type: ignore[attr-defined]
    assert clock.slept == pytest.approx([0.2, 0.2, 0.2])
    assert not [t for t in threading.enumerate() if t.name == "motionrt-stream"]
    for chunk in session:
        assert chunk.num_frames == 2
        break


def test_others_may_steer_while_one_fetches(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=1)
    stop = threading.Event()
    failed: list[BaseException] = []

    def steer() -> None:
        rng = np.random.default_rng(0)
        try:
            while not stop.is_set():
                session.prompt(str(rng.integers(5)))
                session.goal(rng.normal(size=2).tolist(), 1.0)
                session.restore(session.snapshot()) if rng.uniform() < 0.02 else None
                stop.wait(0.003)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=steer) for _ in range(2)]
    for thread in threads:
        thread.start()
    with session.ahead():
        for _ in range(20):
            assert session.take(2).num_frames == 2
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_failure_ahead_is_told_to_who_fetches(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=1)

    def fails(*_: Any) -> Any:
        raise InputError("no more")

    pipeline.network._run = fails
    with session.ahead(), pytest.raises(InputError, match="no more"):
        session.take(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 11}, "11 diffusion steps: must be from 1 to 10"),
        ({"history_frames": 6}, "6 frames of history: must be a multiple of 4 from 4 to 32"),
        ({"history_frames": 64}, "64 frames of history"),
        ({"reaction_frames": 0}, "0 reaction frames: must be from 1"),
        ({"root_margin": float("nan")}, "root margin nan"),
        ({"seed": -1}, "seed -1"),
        ({"start": (1, 2, 3)}, "a start is a place x, z"),
        ({"start": (1, None)}, "a start is a place x, z"),
        ({"start": "none.npz"}, "none.npz: no such file"),
        ({"first_heading_rad": float("inf")}, "first heading inf"),
    ],
)
def test_options_that_do_not_fit_are_told(
    pipeline: ArdyPipeline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pipeline.stream("walk", **options)


def test_wishes_that_do_not_fit_are_told_and_change_nothing(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=1)
    session.take(5)
    wishes: list[tuple[Callable[[], object], str]] = [
        (lambda: session.goal((1, 2, 3), 1), "a goal is a place x, z"),
        (lambda: session.goal((1, float("nan")), 1), "a goal is a place x, z"),
        (lambda: session.goal("there", 1), "a goal is a place x, z"),  # type: ignore[arg-type]
        (lambda: session.goal((1, 2), "soon"), "'soon' is no number of seconds"),  # type: ignore[arg-type]
        (lambda: session.goal((1, 2), 1, float("inf")), "heading inf: must be"),
        (lambda: session.goal((1, 2), -1), "-1 s: must be from 0"),
        (lambda: session.velocity((1,)), "a velocity is x, z"),
        (lambda: session.velocity((1, float("inf"))), "a velocity is x, z"),
        (lambda: session.constraints([3]), "a constraint is int"),  # type: ignore[list-item]
        (lambda: session.constraints(3), "constraints are int"),  # type: ignore[arg-type]
        (lambda: session.constraints("none.json"), "none.json: cannot be read"),
        (lambda: session.replan(1.5), "frame is 1.5, must be a whole"),  # type: ignore[arg-type]
        (lambda: session.take(1.5), "num_frames is 1.5, must be"),  # type: ignore[arg-type]
        (lambda: session.take(0), "0 frames: at least one"),
        (lambda: session.advance(-1), "-1 s: must be from 0"),
        (lambda: session.advance(float("nan")), "nan s: must be from 0"),
    ]
    for wish, message in wishes:
        with pytest.raises(InputError, match=message):
            wish()
    want = played(pipeline.stream("walk", seed=1), 20, {})[5:]
    np.testing.assert_array_equal(joints(session.take(15)), want)


def test_a_constraint_that_no_window_can_meet_is_refused_at_once(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=1)
    turns = np.zeros((1, pipeline.skeleton.num_joints, 3))
    foot = EndEffector([5], turns, [[0, 1, 0]], joint_names=["LeftFoot"])
    with pytest.raises(InputError, match="Hips among them"):
        session.constraints([foot])
    assert session.take(9).num_frames == 9
