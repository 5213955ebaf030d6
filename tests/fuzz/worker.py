"""One process that gives inputs to a target, each within its time and memory."""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import os
import resource
import signal
import sys
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from fuzz.target import Target

from motionrt.runtime.errors import MotionrtError, MotionWarning

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST_MESSAGE = 1000
_LARGEST_POOL = 400
_LARGEST_KEPT = 1 << 16
"""Longer inputs are not changed further: speed finds more than size."""


class _TooLong(BaseException):
    """Raised inside a reader that takes too long; no reader catches it by mistake."""


@dataclass(frozen=True)
class Outcome:
    """What one input led to."""

    kind: str
    """accepted, refused, or what is wrong: the exception's name, time, memory, warning, output,
    message (not one printable line)."""
    where: str = ""
    """file:line of ours where it came from; with the kind, the identity of a finding."""
    text: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether it must not happen."""
        return self.kind not in ("accepted", "refused")


@dataclass
class Runner:
    """Runs inputs of a target in this process, which it prepares for that: for forked ones."""

    target: Target
    folder: Path
    _warned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        prepare = self.target.prepare
        self.place = prepare(self.folder) if prepare else self.folder / self.target.file_name
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._output = os.open(self.folder.parent / "output", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._seen_output = 0
        faulthandler.enable(os.dup(self._output))
        for stream in (1, 2):
            os.dup2(self._output, stream)
        signal.signal(signal.SIGPROF, self._too_long)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        warnings.simplefilter("always")
        warnings.showwarning = self._warn  # type: ignore[assignment]

    def warm_up(self, data: bytes) -> None:
        """Run an input without limits: what is imported and cached then is no input's own."""
        for _ in range(2):
            self.place.write_bytes(data)
            try:
                self.target.read(self.place)
            except Exception:
                pass
        gc.collect()
        gc.freeze()  # what was imported need not be looked through again and again
        self._warned.clear()
        self._seen_output = os.fstat(self._output).st_size

    def run(self, data: bytes) -> Outcome:
        """Give one input to the reader."""
        with self.place.open("wb") as file:
            file.write(data)
        target, size = self.target, len(data)
        room = target.free_bytes + target.bytes_per_byte * size
        seconds = target.free_seconds + target.seconds_per_megabyte * size / 1e6
        hard = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, (self._size() + room, hard))
        failure: BaseException | None = None
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
            try:
                target.read(self.place)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except (Exception, _TooLong) as error:
            failure = error
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return self._judge(failure)

    def _judge(self, failure: BaseException | None) -> Outcome:
        if self._warned:
            text = "\n".join(self._warned)
            self._warned.clear()
            return Outcome("warning", text.splitlines()[0], text)
        printed = os.fstat(self._output).st_size
        if printed > self._seen_output:
            text = os.pread(self._output, 4000, self._seen_output).decode("utf-8", "replace")
            self._seen_output = printed
            return Outcome("output", "", text)
        if failure is None:
            return Outcome("accepted")
        where = place_of(failure)
        if isinstance(failure, _TooLong):
            return Outcome("time", where, _told(failure))
        if _has_memory_error(failure):
            return Outcome("memory", where, _told(failure))
        if not isinstance(failure, MotionrtError):
            return Outcome(type(failure).__name__, where, _told(failure))
        message = str(failure)
        if not message.isprintable() or not 0 < len(message) <= _LONGEST_MESSAGE:
            return Outcome("message", where, _told(failure))
        return Outcome("refused", where)

    def _size(self) -> int:
        return int(os.pread(self._statm, 64, 0).split(b" ", 1)[0]) * _PAGE

    def _warn(self, message: Any, category: type[Warning], file: str, line: int, *_: Any) -> None:
        if issubclass(category, MotionWarning) and str(message).isprintable():
            return  # said on purpose, of a motion that no body makes
        self._warned.append(f"{_short(file)}:{line} {category.__name__}: {message}")

    @staticmethod
    def _too_long(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLong


class Pool:
    """Inputs to change: the seeds, and what led to a place that none did before."""

    def __init__(self, seeds: list[bytes], rng: Random) -> None:
        self._rng, self._seeds = rng, seeds
        self._read, self._refused = list[bytes](), list[bytes]()
        self.places: set[tuple[str, str]] = set()

    def pick(self) -> bytes:
        """Return one: mostly a seed or what was read, so that the next change is met."""
        kind = self._rng.random()
        if kind < 0.4 and self._read:
            return self._rng.choice(self._read)
        if kind > 0.95 and self._refused:
            return self._rng.choice(self._refused)
        return self._rng.choice(self._seeds)

    def add(self, data: bytes, outcome: Outcome) -> bool:
        """Keep an input if it is new in kind, or one of some that were read; True if new."""
        place = (outcome.kind, outcome.where)
        new = place not in self.places
        self.places.add(place)
        lucky = outcome.kind == "accepted" and self._rng.random() < 0.02
        if (new or lucky) and len(data) <= _LARGEST_KEPT and not outcome.is_finding:
            pool = self._read if outcome.kind == "accepted" else self._refused
            if len(pool) < _LARGEST_POOL:
                pool.append(data)
            else:
                pool[self._rng.randrange(_LARGEST_POOL)] = data
        return new


def save_finding(folder: Path, target: Target, outcome: Outcome, data: bytes) -> None:
    """Keep the smallest input of each finding, with what it did."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = f"{outcome.kind} {outcome.where}"
    name = f"{target.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    place = folder / f"{name}.input"
    if place.exists() and place.stat().st_size <= len(data):
        return
    place.write_bytes(data)
    (folder / f"{name}.txt").write_text(
        f"{identity}\n{outcome.text}\n", encoding="utf-8", errors="backslashreplace"
    )


def place_of(error: BaseException) -> str:
    """Return the line of ours that an error comes from, whoever put the file's name before it."""
    return _ours(_first(error))


def _first(error: BaseException) -> BaseException:
    """What an error was made of, by readers that put the file's name before it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _ours(error: BaseException) -> str:
    """Where it came from: the last line of ours, and the last of all where that is elsewhere."""
    ours = last = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        last = f"{_short(file)}:{trace.tb_lineno}"
        if "/motionrt/" in file:
            ours = last
        trace = trace.tb_next
    return ours if ours == last or not ours else f"{ours} at {last}"


def _short(file: str) -> str:
    for mark in ("/site-packages/", "/motionrt/", "/tests/", "/lib/"):
        before, found, after = file.rpartition(mark)
        if found and (mark != "/motionrt/" or "site-packages" not in before):
            return f"{mark.strip('/')}/{after}" if mark != "/site-packages/" else after
    return file


def _has_memory_error(error: BaseException | None) -> bool:
    """Whether more memory was asked for than there may be, even if a reader made it its own."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-12))[-6000:]


def die_with_parent() -> None:
    """Make a forked worker end when the command does."""
    parent = os.getppid()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        sys.exit(1)
