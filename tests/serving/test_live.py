from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import numpy as np
import pytest
from local_server import serving

from motionrt.runtime.ardy.session import Timing
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.serving.live import MAX_VIEWERS, LiveServer


class Steps:
    """A stream whose root goes one metre a frame; it notes what is asked for."""

    fps = 20.0
    next_change = 12
    position = 10

    def __init__(self) -> None:
        self.timing = Timing(frames=40, seconds=1.0, last_seconds=0.05)
        self.asked: list[Any] = []
        self.frame = 0
        self.players = 0
        self.fails = False

    def play(self, chunk_seconds: float) -> Iterator[Motion]:
        self.players += 1
        try:
            while True:
                time.sleep(0.005)
                if self.fails:
                    raise InputError("it\nbroke")
                yield self._chunk()
        finally:
            self.players -= 1

    def _chunk(self) -> Motion:
        skeleton = load_skeleton("core27")
        local = np.broadcast_to(np.eye(3), (2, skeleton.num_joints, 3, 3))
        root = np.array([[self.frame, 1, 0], [self.frame + 1, 1, 0]], np.float32)
        info = {"first_frame": self.frame, "prompt": "go"}
        self.frame += 2
        return Motion.from_local(local, root, skeleton, self.fps, info=info)

    def prompt(self, text: str) -> None:
        if text == "bad":
            raise InputError("no such prompt")
        self.asked.append(text)

    def goal(
        self, place: Sequence[float], seconds: float, heading_rad: float | None = None
    ) -> None:
        self.asked.append((tuple(place), seconds, heading_rad))

    def velocity(self, wanted: Sequence[float] | None) -> None:
        self.asked.append(wanted)

    def clear(self) -> None:
        self.asked.append("clear")


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def server(steps: Steps) -> Iterator[LiveServer]:
    reports: list[str] = []
    with serving(LiveServer(steps, "<p>page</p>", port=0, report=reports.append)) as running:
        yield running


def frames(server: LiveServer, count: int) -> list[dict[str, Any]]:
    """Look at a stream until so many chunks came."""
    found: list[dict[str, Any]] = []
    with httpx2.stream("GET", f"{server.url}frames", timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


def ended(steps: Steps) -> bool:
    """Wait until nobody plays any more."""
    for _ in range(1000):
        if not steps.players:
            return True
        time.sleep(0.01)
    return False


def test_frames_come_in_order_and_stand_still_when_nobody_looks(
    server: LiveServer, steps: Steps
) -> None:
    assert httpx2.get(server.url).text == "<p>page</p>"
    assert steps.frame == 0
    chunks = frames(server, 4)
    assert [chunk["first"] for chunk in chunks] == [0, 2, 4, 6]
    assert chunks[1]["joints"][1][:3] == [3, 1, 0] and len(chunks[0]["joints"][0]) == 3 * 27
    told = {key: chunks[0][key] for key in ("prompt", "factor", "window_ms", "reaction_ms")}
    assert told == {"prompt": "go", "factor": 2.0, "window_ms": 50, "reaction_ms": 100}
    assert ended(steps)
    stood = steps.frame
    time.sleep(0.05)
    assert steps.frame == stood
    assert frames(server, 1)[0]["first"] == stood


def test_several_look_at_the_same(server: LiveServer, steps: Steps) -> None:
    found: dict[int, list[int]] = {}

    def look(number: int) -> None:
        found[number] = [chunk["first"] for chunk in frames(server, 30)]

    threads = [threading.Thread(target=look, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for firsts in found.values():
        assert firsts == list(range(firsts[0], firsts[0] + 60, 2))
    assert ended(steps)


def test_wishes_reach_the_stream(server: LiveServer, steps: Steps) -> None:
    wishes: list[tuple[dict[str, Any], Any]] = [
        ({"prompt": "jump"}, "jump"),
        ({"goal": [1, -2.5], "seconds": 2}, ((1.0, -2.5), 2.0, None)),
        ({"goal": [1, 2], "heading_rad": 0.5}, ((1.0, 2.0), 3.0, 0.5)),
        ({"velocity": [0, 1]}, (0.0, 1.0)),
        ({"velocity": None}, None),
        ({"clear": True}, "clear"),
    ]
    for wish, asked in wishes:
        answer = httpx2.post(f"{server.url}ask", json=wish)
        assert answer.status_code == 200 and answer.json() == {"from_frame": 12}
        assert steps.asked[-1] == asked
    assert len(steps.asked) == len(wishes)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"jump": 1}', "jump"),
        (b'{"goal": [1]}', "length 2"),
        (b'{"goal": ["a", 1]}', "float"),
        (b'{"prompt": "bad"}', "no such prompt"),
    ],
)
def test_wishes_that_are_none_are_told(
    server: LiveServer, steps: Steps, wish: bytes, message: str
) -> None:
    answer = httpx2.post(f"{server.url}ask", content=wish)
    assert answer.status_code == 422
    assert message in answer.json()["detail"] and not steps.asked


def test_pages_of_others_may_not_steer(server: LiveServer, steps: Steps) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    answer = httpx2.post(f"{server.url}ask", json={"clear": True}, headers=headers)
    assert answer.status_code == 403
    answer = httpx2.post(f"{server.url}ask", json={"clear": True}, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert not steps.asked


def test_a_stream_that_breaks_says_so_and_may_go_on(server: LiveServer, steps: Steps) -> None:
    steps.fails = True
    assert frames(server, 1)[0]["problem"] == "it broke"
    assert ended(steps)
    steps.fails = False
    assert frames(server, 1)[0]["first"] == 0


def test_only_so_many_may_look(server: LiveServer, steps: Steps) -> None:
    streams = [httpx2.stream("GET", f"{server.url}frames") for _ in range(MAX_VIEWERS)]
    for stream in streams:
        stream.__enter__()
    assert httpx2.get(f"{server.url}frames").status_code == 503
    for stream in streams:
        stream.__exit__(None, None, None)
    assert ended(steps)


def test_stopping_ends_what_is_open(steps: Steps) -> None:
    with serving(LiveServer(steps, "", port=0)) as server:
        stream = httpx2.stream("GET", f"{server.url}frames", timeout=20)
        lines = stream.__enter__().iter_lines()
        next(lines)
        server.shutdown()
        with pytest.raises((StopIteration, httpx2.HTTPError)):
            while True:
                next(lines)
        stream.__exit__(None, None, None)
    assert ended(steps)
