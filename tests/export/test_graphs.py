from __future__ import annotations

import torch

from motionrt.export.graphs import DTYPES, GraphSpec, TensorSpec
from motionrt.runtime.backend.graph import DTYPES as RUNTIME_DTYPES

SPEC = GraphSpec(
    "step",
    (
        TensorSpec("x", ("batch", "frames", 3)),
        TensorSpec("mask", ("batch", "frames"), "bool"),
        TensorSpec("ids", ("tokens",), "int64"),
    ),
    (TensorSpec("y", ("batch", 3)),),
    atol=1e-5,
)


def test_dynamic_axes_come_once_in_order() -> None:
    assert SPEC.dynamic_axes() == ["batch", "frames", "tokens"]


def test_random_inputs_are_of_the_specs_shapes_and_types_and_of_their_seed() -> None:
    sizes = {"batch": 2, "frames": 5, "tokens": 4}
    found = SPEC.random_inputs(sizes, seed=3)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "x": (2, 5, 3),
        "mask": (2, 5),
        "ids": (4,),
    }
    assert found["x"].std() > 0.5 and found["mask"].all() and found["ids"].dtype == torch.int64
    again, other = SPEC.random_inputs(sizes, 3), SPEC.random_inputs(sizes, 4)
    assert torch.equal(found["x"], again["x"]) and not torch.equal(found["x"], other["x"])


def test_the_runtime_knows_every_type_that_is_exported() -> None:
    assert set(DTYPES) <= set(RUNTIME_DTYPES)
