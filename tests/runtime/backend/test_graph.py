"""The checks that every kind of graph makes of what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from motionrt.runtime.backend.graph import check_inputs, check_outputs
from motionrt.runtime.bundle.manifest import GraphInfo, TensorInfo
from motionrt.runtime.errors import InputError

INFO = GraphInfo(
    files={"onnx": "step.onnx"},
    inputs=(
        TensorInfo("x", ("batch", "frames", 3), "float32"),
        TensorInfo("mask", ("batch", "frames"), "bool"),
        TensorInfo("amount", (), "float32"),
    ),
    outputs=(TensorInfo("y", ("batch", 3), "float32"), TensorInfo("z", (), "float32")),
    atol=1e-5,
)
FEED: dict[str, Any] = {"x": np.zeros((2, 4, 3)), "mask": np.ones((2, 4), bool), "amount": 0.5}


def test_inputs_get_the_graphs_types_and_keep_their_shapes() -> None:
    strided = np.arange(48.0).reshape(2, 3, 8)[:, :, ::2].transpose(0, 2, 1)
    found = check_inputs("step", INFO, {**FEED, "x": strided, "mask": [[1, 0, 1, 0]] * 2})
    assert list(found) == ["x", "mask", "amount"]
    assert {name: array.dtype for name, array in found.items()} == {
        "x": np.float32,
        "mask": np.bool_,
        "amount": np.float32,
    }
    assert found["x"].flags.c_contiguous and found["amount"].shape == ()
    np.testing.assert_array_equal(found["x"], strided)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 4, 2))}, r"x has shape \(2, 4, 2\), should be \(2, 4, 3\)"),
        ({"x": np.zeros((4, 3))}, r"x has shape \(4, 3\), should be"),
        ({"mask": np.ones((2, 5), bool)}, r"mask has shape \(2, 5\), should be \(2, 4\)"),
        ({"amount": [0.5]}, "amount has shape"),
        ({"colour": 1}, "no input colour"),
    ],
)
def test_an_input_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^graph step: .*{message}"):
        check_inputs("step", INFO, {**FEED, **change})


def test_an_input_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="graph step: input mask is missing"):
        check_inputs("step", INFO, {"x": FEED["x"], "amount": 0.5})


def test_all_outputs_come_unless_some_are_named() -> None:
    assert check_outputs("step", INFO, None) == ["y", "z"]
    assert check_outputs("step", INFO, ["z"]) == ["z"]
    with pytest.raises(InputError, match=r"no output w \(it has y, z\)"):
        check_outputs("step", INFO, ["z", "w"])
