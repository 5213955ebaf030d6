from __future__ import annotations

import asyncio
import threading
import time

import pytest
from starlette.exceptions import HTTPException

from motionrt.serving.calls import Call, CallLimits, Calls


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def encode(prompt: str) -> bytes:
    return prompt.encode() * 2


def test_a_call_is_taken_once() -> None:
    calls = Calls(encode)
    first, second = calls.accept("a", "x"), calls.accept("b", "x")
    assert calls.take("unknown") is None
    assert calls.take(second.event) is second
    assert calls.take(second.event) is None
    assert calls.take(first.event) is first


def test_a_sessions_calls_are_taken_in_order_and_by_it_alone() -> None:
    calls = Calls(encode)
    accepted = [calls.accept(prompt, "x", "session") for prompt in "abc"]
    other = calls.accept("d", "x", "other")
    assert calls.take(accepted[0].event) is None
    first = calls.take_next("session")
    assert first is accepted[0]
    calls.put_back(first)
    assert [calls.take_next("session") for _ in range(4)] == [*accepted, None]
    assert calls.take_next("other") is other


def test_too_many_calls_are_refused_and_none_is_dropped() -> None:
    calls = Calls(encode, CallLimits(calls=5, calls_of_client=3))
    accepted = [calls.accept("a", "x") for _ in range(3)]
    with pytest.raises(HTTPException, match="429: too many calls of yours wait") as caught:
        calls.accept("a", "x")
    assert caught.value.headers == {"Retry-After": "1"}
    accepted += [calls.accept("a", "y") for _ in range(2)]
    with pytest.raises(HTTPException, match="503: too many calls wait"):
        calls.accept("a", "y")
    assert [calls.take(call.event) for call in accepted] == accepted
    calls.accept("a", "x")


def test_the_text_that_waits_is_limited() -> None:
    calls = Calls(encode, CallLimits(waiting_bytes=5000))
    call = calls.accept("é" * 1500, "x")
    with pytest.raises(HTTPException, match="503: too much text waits"):
        calls.accept("é" * 1500, "y")
    calls.take(call.event)
    calls.accept("é" * 1500, "y")


def test_a_call_that_runs_counts_for_its_client() -> None:
    release = threading.Event()

    def slow(prompt: str) -> bytes:
        release.wait(60)
        return b""

    async def main() -> None:
        calls = Calls(slow, CallLimits(calls_of_client=1))
        call = calls.accept("a", "x")
        calls.take(call.event)
        running = asyncio.create_task(calls.run(call))
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match="429"):
            calls.accept("b", "x")
        assert not calls.finished()
        release.set()
        name, _ = await running
        calls.accept("b", "x")
        assert calls.fetch(name) == b""

    asyncio.run(main())


def test_a_call_that_nobody_asks_for_is_forgotten() -> None:
    clock = Clock()
    calls = Calls(encode, CallLimits(calls=2, patience_seconds=60), clock)
    old = calls.accept("a", "x", "session")
    clock.now += 40
    new = calls.accept("b", "x")
    clock.now += 30
    assert calls.take_next("session") is None, old
    assert calls.take(new.event) is new


def keep(calls: Calls, prompt: str) -> str:
    name, _ = asyncio.run(calls.run(Call(prompt, "x")))
    return name


def test_a_file_may_be_fetched_again_until_room_is_needed() -> None:
    calls = Calls(encode, CallLimits(results=2))
    first, second = keep(calls, "a"), keep(calls, "b")
    assert calls.fetch(first) == calls.fetch(first) == b"aa"
    third = keep(calls, "c")
    assert [calls.fetch(name) for name in (first, second, third)] == [None, b"bb", b"cc"]
    assert calls.fetch("unknown") is None


@pytest.mark.parametrize("limits", [CallLimits(results=2), CallLimits(result_bytes=2000)])
def test_encoding_pauses_until_files_are_fetched_or_given_up(limits: CallLimits) -> None:
    clock = Clock()

    async def main() -> None:
        calls = Calls(encode, limits, clock)
        names = [(await calls.run(Call(letter * 500, "x")))[0] for letter in "ab"]
        third = asyncio.create_task(calls.run(Call("c" * 500, "x")))
        done, _ = await asyncio.wait({third}, timeout=0.2)
        assert not done, "nobody has fetched anything"
        assert calls.fetch(names[1]) is not None
        third_name, _ = await third
        assert calls.fetch(names[0]) == b"a" * 1000
        assert calls.fetch(names[1]) is None
        await calls.run(Call("d" * 500, "x"))
        fifth = asyncio.create_task(calls.run(Call("e" * 500, "x")))
        assert not (await asyncio.wait({fifth}, timeout=0.2))[0]
        clock.now += 61
        await fifth
        assert calls.fetch(third_name) is None

    asyncio.run(main())


def test_one_that_is_larger_than_all_room_is_kept_alone() -> None:
    calls = Calls(encode, CallLimits(result_bytes=10))
    name = keep(calls, "a" * 100)
    assert calls.fetch(name) == b"a" * 200
    other = keep(calls, "b" * 100)
    assert (calls.fetch(name), calls.fetch(other)) == (None, b"b" * 200)


def test_one_prompt_is_encoded_at_a_time_and_not_on_the_loop() -> None:
    running = 0
    threads = set()

    def count(prompt: str) -> bytes:
        nonlocal running
        running += 1
        assert running == 1
        threads.add(threading.current_thread())
        time.sleep(0.01)
        running -= 1
        return b""

    async def main() -> None:
        calls = Calls(count)
        tasks = [asyncio.create_task(calls.run(Call("a", "x"))) for _ in range(20)]
        await asyncio.sleep(0.015)
        for task in tasks[:4]:  # Clients that leave do not let two in.
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks[4:]:
            task.result()

    asyncio.run(main())
    assert len(threads) == 1 and threading.main_thread() not in threads


def test_what_encoding_raises_is_raised_and_leaves_nothing_behind() -> None:
    calls = Calls(lambda prompt: b"" if prompt else int(prompt), CallLimits(calls_of_client=1))  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="invalid literal"):
        keep(calls, "")
    calls.accept("a", "x")


def test_it_has_finished_when_no_client_is_expected_any_more() -> None:
    clock = Clock()
    calls = Calls(encode, clock=clock)
    assert calls.finished()
    call = calls.accept("a", "x")
    assert not calls.finished()
    calls.take(call.event)
    assert calls.finished()
    name = keep(calls, "a")
    assert not calls.finished()
    calls.fetch(name)
    assert calls.finished()
    calls.accept("a", "x")
    keep(calls, "b")
    clock.now += 6
    assert calls.finished(), "they were given up"
