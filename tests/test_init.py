"""The public interface: what `motionrt` and `motionrt.constraints` name."""

from __future__ import annotations

import pytest

import motionrt
from motionrt import constraints


@pytest.mark.parametrize("name", motionrt.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(motionrt, name) is not None
    assert name in dir(motionrt)


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'motionrt' has no attribute 'genrate'"):
        motionrt.genrate  # noqa: B018


def test_what_is_found_is_kept() -> None:
    assert motionrt.Motion is motionrt.Motion
    assert "Motion" in vars(motionrt)
    assert motionrt.constraints is constraints
