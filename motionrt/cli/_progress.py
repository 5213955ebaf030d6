"""Progress on standard error: a line that changes on a terminal, nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from motionrt.cli._streams import tell
from motionrt.runtime.pipeline import Progress


@contextmanager
def step_progress(quiet: bool) -> Iterator[Progress | None]:
    """Yield what ``Pipeline.generate`` reports to: a bar over denoising steps.

    None when quiet or when standard error is no terminal: a loop that nobody watches runs whole.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield report


class StageProgress:
    """Names each stage of a long job and says how long it took."""

    def __init__(self, quiet: bool) -> None:
        """Say nothing when quiet."""
        self.quiet = quiet
        self._stage = ""
        self._start = time.monotonic()
        self._stage_start = self._start

    def __call__(self, stage: str) -> None:
        """End the last stage and begin another."""
        self._end()
        self._stage, self._stage_start = stage, time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            click.echo(f"  {stage} …\r", nl=False, err=True)

    def finish(self) -> float:
        """End the last stage; return the seconds of all."""
        self._end()
        self._stage = ""
        return time.monotonic() - self._start

    def _end(self) -> None:
        if self._stage and not self.quiet:
            seconds = time.monotonic() - self._stage_start
            tell(f"  {self._stage:<40} {seconds:6.1f} s")
