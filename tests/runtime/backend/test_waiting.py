from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from motionrt.runtime.backend.waiting import interruptible


def test_gives_what_work_gives_and_raises_what_it_raises() -> None:
    assert interruptible(lambda: threading.current_thread()) is not threading.main_thread()

    def fail() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        interruptible(fail)


def test_in_another_thread_work_is_done_there() -> None:
    found: list[threading.Thread] = []
    thread = threading.Thread(
        target=lambda: found.append(interruptible(lambda: threading.current_thread()))
    )
    thread.start()
    thread.join()
    assert found == [thread]


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGINT there")
def test_an_interrupt_stops_the_work_and_waits_for_its_end() -> None:
    begun, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stopped.wait()
        ended.set()

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work, stopped.set)
    assert ended.is_set()
    thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGINT there")
def test_what_cannot_be_stopped_is_left_to_its_end() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        ended.set()

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(60)
    thread.join()
