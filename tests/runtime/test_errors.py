from __future__ import annotations

import inspect
import re

import motionrt
from motionrt.runtime import errors
from motionrt.runtime.errors import InputError, MotionrtError


def test_every_error_is_one_of_ours_public_and_in_the_tree() -> None:
    found = {
        name: value
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception) and not issubclass(value, Warning)
    }
    assert all(issubclass(value, MotionrtError) for value in found.values())
    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or "")) | {"MotionrtError"}
    assert drawn == set(found) <= set(motionrt.__all__)


def test_a_message_is_one_printable_line_whatever_it_is_made_of() -> None:
    message = str(InputError("a.bvh: joint 'x\x1b[2J\ud800'\n  twice\t."))
    assert message.isprintable() and message == r"a.bvh: joint 'x\x1b[2J\ud800' twice\t."
    assert str(InputError("a folder  with blanks")) == "a folder  with blanks"
    long = str(InputError("start " + "x" * 10_000_000 + " end"))
    assert len(long) < 1000 and long.startswith("start ") and long.endswith(" end")
    escaped = str(InputError("start " + "\0" * 2000 + " end"))
    assert len(escaped) < 1000 and escaped.startswith("start \\x00") and escaped.endswith(" end")
