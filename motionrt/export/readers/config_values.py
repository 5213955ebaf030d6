"""Numbers that a config states, checked before anything is made of them."""

from __future__ import annotations

import math
from typing import Any

from motionrt.runtime.errors import CheckpointError

LARGEST_SIZE = 1 << 20
"""The largest size of anything. A tensor of three such sizes is still one that torch can name."""


def whole_number(value: Any, what: str, smallest: int = 1, largest: int = LARGEST_SIZE) -> int:
    """Return a whole number of a config, also one written as 8.0 or "8".

    CheckpointError begins with what, the place and the key, if it is none or out of range.
    """
    number = _float(value)
    if not (smallest <= number <= largest and number.is_integer()):
        limits = f"from {smallest} to {largest}" if number > largest else f"from {smallest}"
        raise CheckpointError(f"{what} is {told(value)}, should be a whole number {limits}")
    return int(number)


def positive_number(value: Any, what: str, largest: float = 1e9) -> float:
    """Return a number above 0 of a config, also one written as text; CheckpointError as above."""
    number = _float(value)
    if not 0 < number <= largest:
        limit = f" and at most {largest:g}" if number > largest else ""
        raise CheckpointError(f"{what} is {told(value)}, should be a number above 0{limit}")
    return number


def told(value: Any) -> str:
    """Return a value as an error message shows it: on one line, the end of a long one cut."""
    if isinstance(value, int) and not -(10**40) < value < 10**40:
        return "a number of more than 40 digits"
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _float(value: Any) -> float:
    """Return a number as float, nan for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # of a whole number with hundreds of digits
        return math.inf
    except ValueError:
        return math.nan
