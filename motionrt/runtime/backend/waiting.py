"""Wait for work outside Python so that Ctrl-C is heard meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_LOOK_S = 0.2


def interruptible(work: Callable[[], Result], stop: Callable[[], None] | None = None) -> Result:
    """Return what work gives, or raise what it raises.

    Python hears signals in the main thread, between two steps of its own: a call into a library
    holds them up until it returns. Called there, this does the work in a thread and waits. An
    interrupt calls stop, which must make the work end soon, and is raised when it has; without
    stop it is raised at once, and the work goes on to its end unheard.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Result] = []
    errors: list[BaseException] = []
    # Thread.join is not used: an interrupt makes it forget that the thread runs.
    begins, ended = threading.Lock(), threading.Event()

    def run() -> None:
        if not begins.acquire(blocking=False):
            return  # interrupted before it began
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run).start()
        # A signal that comes just before the lock is waited for does not wake it: look again.
        while not ended.wait(_LOOK_S):
            pass
    except BaseException:
        if stop is not None and not begins.acquire(blocking=False):
            stop()
            ended.wait()
        raise
    if errors:
        raise errors[0]
    return results[0]
