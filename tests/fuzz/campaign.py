"""Many inputs for one target, by processes that may die."""

from __future__ import annotations

import gc
import importlib
import math
import mmap
import os
import shutil
import signal
import struct
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.target import Target
from fuzz.worker import Outcome, Pool, Runner, die_with_parent, save_finding

_COUNTS = struct.Struct("<qqqq")
"""Inputs, accepted, refused, findings."""
_LONGEST_RUN_S, _LONGEST_WAIT_S = 60.0, 900.0
"""After so much processor time, or so long, without a next input a worker hangs where no signal
reaches it. It may wait for long on a machine that does other things."""


@dataclass
class Figures:
    """What came of a target's inputs."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    findings: int = 0
    seconds: float = 0.0
    """Of all workers together, of processor time."""
    places: set[str] = field(default_factory=set)
    """The lines of ours that refused an input: how deep they went."""
    kinds: set[str] = field(default_factory=set)
    """The findings, each once."""

    def row(self, name: str) -> str:
        """Give the figures as a line of a Markdown table."""
        cost = 1000 * self.seconds / max(1, self.inputs)
        share = self.accepted / max(1, self.inputs)
        return (
            f"| {name} | {self.inputs:,} | {cost:.2f} | {share:.0%} | {len(self.places)} "
            f"| {len(self.kinds)} |"
        )


HEAD = (
    "| target | inputs | processor ms each | read | places that refuse | findings |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |"
)


def fuzz(
    target: Target,
    *,
    inputs: int | None,
    seconds: float | None,
    seed: str,
    workers: int,
    findings: Path,
) -> Figures:
    """Give a target so many inputs, or inputs for so long; findings are saved as files.

    The first are its seeds, however long they take; 0 inputs are these alone. Time counts from
    when a worker is warm.
    """
    for name in target.imports:
        importlib.import_module(name)
    figures = Figures()
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        share = None if inputs is None else math.ceil(inputs / workers)
        running = [
            _Worker(target, scratch / str(number), f"{seed}/{number}", share, findings)
            for number in range(workers)
        ]
        for worker in running:
            worker.start(seconds)
        while any(worker.pid for worker in running):
            time.sleep(0.02)
            for worker in running:
                worker.look(seconds)
        for worker in running:
            worker.collect(figures)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return figures


class _Worker:
    """A forked process and what it is to do; it is started again when it dies."""

    def __init__(
        self, target: Target, scratch: Path, seed: str, quota: int | None, findings: Path
    ) -> None:
        self.target, self.scratch, self.seed = target, scratch, seed
        self.quota, self.findings = quota, findings
        self.counts = mmap.mmap(-1, _COUNTS.size)
        self.pid = 0
        self.life = 0
        self.started = self.changed = time.monotonic()
        self.seen, self.used = 0, 0.0
        self.spent = self.processor = 0.0
        self.kinds: set[str] = set()

    def start(self, seconds: float | None) -> None:
        """Fork."""
        self.life += 1
        shutil.rmtree(self.scratch / "work", ignore_errors=True)
        (self.scratch / "work").mkdir(parents=True)
        self.started = self.changed = time.monotonic()
        self.used = 0.0
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            die_with_parent()
            self._work(seconds)
            code = 0
        except BaseException:
            import traceback

            (self.scratch / "failure").write_text(traceback.format_exc())
        finally:
            os._exit(code)

    def look(self, seconds: float | None) -> None:
        """See how it does: count a death or a hang as a finding and start it again."""
        if not self.pid:
            return
        now, done = time.monotonic(), self._counted()[0]
        if done != self.seen:
            self.seen, self.changed, self.used = done, now, _processor_s(self.pid)
        silent = now - self.changed
        hangs = silent > _LONGEST_WAIT_S or (
            silent > _LONGEST_RUN_S and _processor_s(self.pid) - self.used > _LONGEST_RUN_S
        )
        if hangs:
            os.kill(self.pid, signal.SIGKILL)
        pid, status, usage = os.wait4(self.pid, 0 if hangs else os.WNOHANG)
        if not pid:
            return
        self.pid = 0
        self.spent += now - self.started
        self.processor += usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return
        if (self.scratch / "failure").exists():
            raise RuntimeError((self.scratch / "failure").read_text())
        printed = (self.scratch / "output").read_text("utf-8", "replace")[-3000:]
        told = "time" if hangs else f"death by signal {-code}"
        outcome = Outcome(told, "", printed)
        place = Path((self.scratch / "place").read_text())
        save_finding(self.findings, self.target, outcome, place.read_bytes())
        self.kinds.add(told)
        number, accepted, refused, found = self._counted()
        _COUNTS.pack_into(self.counts, 0, number + 1, accepted, refused, found + 1)
        self.start(None if seconds is None else max(0.0, seconds - self.spent))

    def collect(self, figures: Figures) -> None:
        """Add what it did to the figures."""
        number, accepted, refused, found = self._counted()
        figures.inputs += number
        figures.accepted += accepted
        figures.refused += refused
        figures.findings += found
        figures.seconds += self.processor
        figures.kinds |= self.kinds
        told = self.scratch / "places"
        for line in told.read_text().splitlines() if told.exists() else ():
            kind, _, where = line.partition("\t")
            if kind == "refused":
                figures.places.add(where)
            elif kind != "accepted":
                figures.kinds.add(f"{kind} {where}")

    def _counted(self) -> tuple[int, int, int, int]:
        number, accepted, refused, found = _COUNTS.unpack_from(self.counts, 0)
        return number, accepted, refused, found

    def _work(self, seconds: float | None) -> None:
        gc.freeze()  # a session of onnxruntime that is freed here waits for its parent's threads
        rng = Random(f"{self.target.name}/{self.seed}/{self.life}")
        seeds = list(self.target.make_seeds()) or self.target.stored()
        runner = Runner(self.target, self.scratch / "work")
        (self.scratch / "place").write_text(str(runner.place))
        pool = Pool(seeds, rng)
        runner.warm_up(seeds[0])
        ends = None if seconds is None else time.monotonic() + seconds  # warm: all get as much
        number, accepted, refused, found = self._counted()
        with (self.scratch / "places").open("a") as places:
            replay = [*self.target.stored(), *seeds] if self.life == 1 else []
            quota = len(replay) if self.quota == 0 else self.quota
            while (quota is None or number < quota) and (
                replay or ends is None or time.monotonic() < ends
            ):
                if replay:
                    data = replay.pop()
                else:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        data = self.target.mutate(rng, pool.pick())
                outcome = runner.run(data)
                number += 1
                accepted += outcome.kind == "accepted"
                refused += outcome.kind == "refused"
                if outcome.is_finding:
                    found += 1
                    save_finding(self.findings, self.target, outcome, data)
                if pool.add(data, outcome):
                    print(outcome.kind, outcome.where, sep="\t", file=places, flush=True)
                _COUNTS.pack_into(self.counts, 0, number, accepted, refused, found)


def _processor_s(pid: int) -> float:
    """Return the processor time that a process had so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
