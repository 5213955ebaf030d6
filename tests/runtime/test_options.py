# Annotations are not postponed here: `options_of` reads them.
from typing import Annotated, Any, TypedDict

import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.options import (
    Kind,
    Option,
    check_options,
    did_you_mean,
    either,
    options_of,
)

STEPS = Option(Kind.INTEGER, "Steps.")
KNOWN = {
    "num_steps": STEPS,
    "scale": Option(Kind.NUMBER, "Scale."),
    "heading": Option(Kind.NUMBER, "Heading.", objects=True),
    "switch": Option(Kind.SWITCH, "Switch."),
}


class Declared(TypedDict, total=False):
    num_steps: Annotated[int | None, STEPS]


class Bare(TypedDict):
    num_steps: int


def test_a_family_declares_its_options_once() -> None:
    assert options_of(Declared) == {"num_steps": STEPS}
    with pytest.raises(TypeError, match=r"Bare\.num_steps is not annotated with an Option"):
        options_of(Bare)


def test_what_is_given_is_kept_and_numpys_numbers_become_pythons() -> None:
    given = check_options(
        "a model",
        KNOWN,
        {"num_steps": np.int64(3), "scale": np.float32(0.5), "switch": False, "heading": [1, 2]},
        (),
    )
    assert given == {"num_steps": 3, "scale": 0.5, "switch": False, "heading": [1, 2]}
    assert type(given["num_steps"]) is int and type(given["scale"]) is float
    assert check_options("a model", KNOWN, {"num_steps": None}, ()) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_step": 1}, r"a model has no option num_step; did you mean num_steps\? \(it has h"),
        ({"seconds_": 1}, r"did you mean seconds\?"),
        ({"num_steps": 1.0}, "num_steps is 1.0, must be a whole number"),
        ({"num_steps": np.array([1])}, "must be a whole number"),
        ({"scale": False}, "scale is False, must be a number"),
        ({"switch": 0}, "switch is 0, must be true or false"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_options("a model", KNOWN, values, ("seconds", "seed"))


def test_the_nearest_name_is_asked_for() -> None:
    assert did_you_mean("Num_Stepz", KNOWN) == "; did you mean num_steps?"
    assert did_you_mean("steps", KNOWN) == "; did you mean num_steps?"
    assert did_you_mean("duration", ["seconds"]) == "; did you mean seconds?"
    assert did_you_mean("duration", KNOWN) == ""  # the word that is meant is not there
    assert did_you_mean("qqq", KNOWN) == ""


def test_a_value_that_is_given_wins_even_if_it_is_nothing() -> None:
    assert either(0, 5) == 0
    assert either(None, 5) == 5
