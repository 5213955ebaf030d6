"""What the harness must notice, done by readers that do it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz.campaign import Figures, fuzz
from fuzz.target import Target

from motionrt.runtime.errors import InputError


class Untidy(InputError):
    def __str__(self) -> str:
        return str(self.told)

    def __init__(self, told: str) -> None:
        self.told = told


def _raise(error: Exception) -> None:
    raise error


def _swallow_memory() -> None:
    try:
        np.zeros(1 << 40, np.uint8)
    except MemoryError as error:
        raise InputError("damaged") from error


def _forever() -> None:
    while True:
        pass


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "exception": (lambda: _raise(KeyError("x")), "KeyError"),
    "own check": (lambda: _raise(AssertionError()), "AssertionError"),
    "memory": (lambda: np.ones(1 << 30, np.uint8), "memory"),
    "hidden memory": (_swallow_memory, "memory"),
    "time": (_forever, "time"),
    "warning": (lambda: warnings.warn("x", stacklevel=1), "warning"),
    "output": (lambda: os.write(2, b"x"), "output"),
    "death": (lambda: os.abort(), "death by signal 6"),
    "two lines": (lambda: _raise(Untidy("a\nb")), "message"),
    "an escape": (lambda: _raise(Untidy("a \x1b[2J")), "message"),
}


def run(read: Callable[[Path], object], folder: Path, inputs: int = 2) -> Figures:
    target = Target("t", read, lambda rng, data: data + b"x", lambda: [b"seed"], free_seconds=0.2)
    return fuzz(target, inputs=inputs, seconds=None, seed="0", workers=1, findings=folder)


@pytest.mark.parametrize("case", CASES)
def test_notices(case: str, tmp_path: Path) -> None:
    act, kind = CASES[case]

    def read(path: Path) -> None:
        if path.read_bytes() == b"seedx":
            act()

    figures = run(read, tmp_path, inputs=12)
    assert [found.split(" ")[0] for found in figures.kinds] == [kind.split(" ")[0]]
    (saved,) = tmp_path.glob("t-*.input")
    assert saved.read_bytes() == b"seedx"
    assert saved.with_suffix(".txt").read_text().startswith(kind)


def test_counts_what_is_read_and_where_it_is_refused(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        if len(path.read_bytes()) > 4:
            raise InputError("too long")

    figures = run(read, tmp_path, inputs=10)
    assert (figures.inputs, figures.accepted, figures.refused) == (10, 1, 9)
    assert len(figures.places) == 1 and not figures.kinds
    assert not list(tmp_path.iterdir())


def test_a_short_time_is_enough_for_the_seeds(tmp_path: Path) -> None:
    seeds = [b"a", b"b", b"c"]
    target = Target("t", lambda path: None, lambda rng, data: data, lambda: seeds)
    figures = fuzz(target, inputs=None, seconds=0.0, seed="0", workers=1, findings=tmp_path)
    assert figures.inputs == 3
