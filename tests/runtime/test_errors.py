from __future__ import annotations

import inspect
import re

import motionrt
from motionrt.runtime import errors
from motionrt.runtime.errors import MotionrtError


def test_every_error_is_one_of_ours_public_and_in_the_tree() -> None:
    found = {
        name: value
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception)
    }
    assert all(issubclass(value, MotionrtError) for value in found.values())
    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or "")) | {"MotionrtError"}
    assert drawn == set(found) <= set(motionrt.__all__)
