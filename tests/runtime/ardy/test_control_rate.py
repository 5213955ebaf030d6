from __future__ import annotations

import itertools

import numpy as np
import pytest

from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.errors import InputError


def test_a_controller_gets_the_streams_motion_at_its_rate(pipeline: ArdyPipeline) -> None:
    want = resample(pipeline.stream("walk", seed=7).take(40), 100)
    fast = pipeline.stream("walk", seed=7).at_rate(100)
    assert (fast.fps, fast.delay_seconds) == (100, 0.2)
    made = fast.take(1)
    for count in itertools.cycle((1, 7, 30)):
        if made.num_frames + count > 150:
            break
        assert fast.position == made.num_frames
        chunk = fast.take(count)
        assert (chunk.num_frames, chunk.info["first_frame"]) == (count, made.num_frames)
        made = joined(made, chunk)
    want = want.crop(0, made.num_frames)
    inside = slice(35, -5)  # behind the beginning, where the whole has another curve
    apart = np.abs(made.posed_joints - want.posed_joints)
    assert apart[inside].max() < 0.05  # metres: poses of the toy jump from frame to frame
    assert apart[::5].max() < 1e-5


def test_it_fetches_no_more_than_it_must_and_follows_what_is_asked(pipeline: ArdyPipeline) -> None:
    session = pipeline.stream("walk", seed=7)
    fast = session.at_rate(500, delay_frames=3)
    assert fast.advance(0.001) is None  # half a frame
    chunk = fast.advance(0.001)
    assert chunk is not None and chunk.num_frames == 1
    assert session.position == 4  # that frame, and three behind it
    assert fast.take(25).num_frames == 25
    assert session.position == 5
    session.prompt("wave")
    changed = session.next_change
    other, same = fast.take(500), pipeline.stream("walk", seed=7).at_rate(500, 3)
    same.take(26)
    unchanged = same.take(500)
    first = int(np.flatnonzero(np.abs(other.root_positions - unchanged.root_positions).max(1))[0])
    assert (first + 26) / 25 > changed - 4
    assert other.info["prompt"] == "wave"


def test_it_plays_in_time(pipeline: ArdyPipeline) -> None:
    now, chunks = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    fast = pipeline.stream(seed=1).at_rate(200)
    playing = fast.play(0.05, clock=lambda: now[0], sleep=sleep)
    chunks = [next(playing) for _ in range(9)]
    playing.close()  # type: ignore[attr-defined]
    assert {chunk.num_frames for chunk in chunks} == {10}
    assert now[0] == pytest.approx(0.4)
    assert all(isinstance(chunk, Motion) and chunk.fps == 200 for chunk in chunks)


@pytest.mark.parametrize("fps", [19.0, 0.0, float("nan")])
def test_a_lower_rate_is_refused(pipeline: ArdyPipeline, fps: float) -> None:
    with pytest.raises(InputError, match="fps of a stream of 20"):
        pipeline.stream(seed=1).at_rate(fps)
    with pytest.raises(InputError, match="at least one"):
        pipeline.stream(seed=1).at_rate(50).take(0)
