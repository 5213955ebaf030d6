"""How the command line ends when it does not come to its end: signals, and errors of our own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import motionrt

BUG = 70
"""The exit code of an error that nobody expected (EX_SOFTWARE of sysexits.h)."""
STOPPED = 128
"""Plus the number of a signal: the exit code of a command that it ended, as shells count."""
CLOSED_PIPE = STOPPED + 13
"""The exit code where nobody reads the output any more; SIGPIPE, which Windows lacks, is 13."""
_PATIENCE_S = 1.0
"""A signal that comes later than this after the first ends the process at once."""
_first: tuple[int, float] | None = None
"""The first signal, and when it came."""


class Stopped(BaseException):
    """A signal other than Ctrl-C's asked the command to end."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(number)
        self.number = number


def listen() -> None:
    """End as Ctrl-C does, temporary files removed, when asked by SIGTERM or the terminal's end.

    Signals that are ignored (nohup, jobs in the background) stay so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


@contextmanager
def no_reader_ends() -> Iterator[None]:
    """End the command when nobody reads its output any more, before click makes a failure of it."""
    try:
        yield
    except BrokenPipeError as error:
        raise Stopped(CLOSED_PIPE - STOPPED) from error


def signal_seen() -> int | None:
    """Return the signal that asked the command to end, if one did."""
    return None if _first is None else _first[0]


def leave(code: int) -> NoReturn:
    """End the process, all its work being undone or done.

    After a signal it ends at once. So it does where a thread is still in a graph: that would meet
    the interpreter's end, which aborts in C++ ("terminate called without an active exception").
    """
    busy = any(thread is not threading.main_thread() for thread in threading.enumerate())
    if busy or _first is not None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        os._exit(code)
    sys.exit(code)


def bug_line(error: BaseException) -> str:
    """Say in one line that an error is a bug, its traceback kept in a file; never fails itself."""
    try:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
    except Exception:  # an error that cannot be told
        reason = type(error).__name__
    try:
        place = f"with {_kept(error)}"
    except Exception:  # no place for files, no memory
        place = f"(its traceback could not be kept; it began in {_origin(error)})"
    return f"Error: a bug in motionrt {motionrt.__version__} ({reason}); please report it {place}"


def _kept(error: BaseException) -> str:
    """Write the traceback to a new file in the folder of temporary files; return its path."""
    import platform
    import tempfile
    import traceback

    handle, path = tempfile.mkstemp(prefix="motionrt-bug-", suffix=".txt")
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"motionrt {motionrt.__version__}, Python {sys.version.split()[0]}, ")
        file.write(f"{platform.platform()}\n{sys.argv[1:]!r:.4000}\n\n")
        file.writelines(traceback.format_exception(error))
    return path


def _origin(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return "no line of ours"
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"


def _stop(number: int, frame: FrameType | None) -> None:
    """Interrupt the main thread once; what follows soon is held off while it cleans up."""
    global _first
    now = time.monotonic()
    if _first is None:
        _first = number, now
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)
    if now - _first[1] > _PATIENCE_S:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
