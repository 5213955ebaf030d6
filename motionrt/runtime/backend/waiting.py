"""Wait for work outside Python so that Ctrl-C is heard meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
_LOOK_S = 0.2
_kept: list[ThreadPoolExecutor] = []
"""The thread that works for the main one, if any: starting one takes longer than a graph may."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.clear)  # a child has none of its parent's threads


def interruptible(work: Callable[[], Result], stop: Callable[[], None] | None = None) -> Result:
    """Return what work gives, or raise what it raises.

    Python hears signals in the main thread, between two steps of its own: a call into a library
    holds them up until it returns. Called there, this has another thread do the work and waits. An
    interrupt calls stop, which must make the work end soon, and is raised when it has; without
    stop it is raised at once, and work that has begun goes on to its end unheard.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Result] = []
    errors: list[BaseException] = []
    # What the pool knows is not asked: an interrupt may come before it has told.
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

    alone = False
    try:
        try:
            _thread().submit(run)
        except RuntimeError:  # no thread is to be had: Python is ending, or at a limit
            alone = True
            _kept.clear()
        # A signal that comes just before the lock is waited for does not wake it: look again.
        while not (alone or ended.wait(_LOOK_S)):
            pass
    except BaseException:
        _kept.clear()  # it may be busy for long
        if not begins.acquire(blocking=False) and stop is not None:
            stop()
            ended.wait()
        raise
    if alone:
        return work()
    if errors:
        raise errors[0]
    return results[0]


def _thread() -> ThreadPoolExecutor:
    if not _kept:
        _kept.append(ThreadPoolExecutor(max_workers=1, thread_name_prefix="motionrt"))
    return _kept[0]
