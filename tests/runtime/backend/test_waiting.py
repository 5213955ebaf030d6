from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from motionrt.runtime.backend import waiting
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
    assert interruptible(lambda: "meanwhile") == "meanwhile"
    go_on.set()
    assert ended.wait(60)
    thread.join()


def test_one_thread_does_it_all() -> None:
    first, second = (interruptible(threading.current_thread) for _ in range(2))
    assert first is second

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interruptible(interrupted)
    assert interruptible(threading.current_thread) is first


def test_without_a_thread_to_be_had_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_a_limit(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []
    nothing: dict[str, int] = {}
    waiting._kept.clear()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", at_a_limit)
        assert interruptible(lambda: done.append(1)) is None
        with pytest.raises(KeyError):
            interruptible(lambda: nothing["missing"], lambda: done.append(9))
    interruptible(lambda: done.append(2))
    assert done == [1, 2]


AT_THE_END = """
import atexit, os, sys
from motionrt.runtime.backend.waiting import interruptible

interruptible(lambda: None)
if hasattr(os, "fork"):
    pid = os.fork()
    if not pid:
        os._exit(interruptible(lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
atexit.register(lambda: print(interruptible(lambda: "done")))
"""


def test_a_forked_process_and_one_that_ends_do_their_work() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", AT_THE_END]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
