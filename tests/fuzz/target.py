"""What is fuzzed: a reader, valid files of its format, and how to change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Mutator = Callable[[Random, bytes], bytes]
"""Makes another input out of one; never raises, whatever the bytes are."""

SEEDS = Path(__file__).parent / "seeds"
"""Holds a folder a target: inputs that once broke something."""
_HOSTILE = Path(__file__).parents[1] / "data" / "field" / "hostile"
"""More of them, which other tests read too."""


@dataclass(frozen=True)
class Target:
    """One reader under test: it must take any bytes in its time and memory.

    Allowed outcomes are a return and a `MotionrtError` of one printable line. Everything else is a
    finding: another exception (AssertionError included, so ``read`` may check what it got), a
    warning, anything printed, more time or memory than the input's size allows, a dead process.
    """

    name: str
    read: Callable[[Path], object]
    """Reads the input, which lies at the path, and uses what it read as a command would."""
    mutate: Mutator
    make_seeds: Callable[[], Iterable[bytes]] = tuple
    """Valid inputs, small and made by our own writers: what is changed."""
    file_name: str = "input"
    """The input's name, for readers that go by the suffix."""
    prepare: Callable[[Path], Path] | None = None
    """Called once a worker with an empty folder: puts there what the input needs beside it, and
    returns where the inputs go. Without it they are file_name in the folder."""
    imports: tuple[str, ...] = ()
    """Heavy modules, imported once before the workers are forked."""
    free_bytes: int = 192 << 20
    bytes_per_byte: int = 256
    """Memory that one input may take: free_bytes, and so many more for each of its bytes."""
    free_seconds: float = 2.0
    seconds_per_megabyte: float = 60.0
    """The same of processor time."""

    def stored(self) -> list[bytes]:
        """Return inputs that once broke something: they are replayed first."""
        places = [*(SEEDS / self.name).glob("*"), *_HOSTILE.glob(f"{self.name}-*.input")]
        return [path.read_bytes() for path in sorted(places)]
