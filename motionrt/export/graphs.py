"""What a family says of a graph: its tensors by name, their axes, and how exact it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from motionrt.runtime.bundle.manifest import AxisInfo, ElementType

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}
"""Element types that graphs take and give, by the name used in specs and manifests."""


@dataclass(frozen=True)
class TensorSpec:
    """A graph's input or output."""

    name: str
    axes: tuple[str | int, ...]
    """A name makes the axis dynamic; two axes of one name always have one size."""
    dtype: ElementType = "float32"


@dataclass(frozen=True)
class GraphSpec:
    """A torch module's signature as a graph.

    The module is called with the inputs as keywords and returns the outputs in order (a tensor, or
    a tuple of tensors).
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    atol: float
    """Largest |graph - module| that passes where the module's value is small."""
    rtol: float = 0.0
    """Further difference allowed, as a share of |module|."""
    axes: Mapping[str, AxisInfo] = field(default_factory=dict)
    """Sizes of the dynamic axes; one that is not named is 1 at least and unlimited."""

    def dynamic_axes(self) -> list[str]:
        """Return the names of the dynamic axes in order of appearance."""
        names = [axis for spec in self.inputs for axis in spec.axes if isinstance(axis, str)]
        return list(dict.fromkeys(names))

    def random_inputs(self, sizes: Mapping[str, int], seed: int) -> dict[str, Tensor]:
        """Draw inputs with the given sizes of the dynamic axes: normal floats, true masks.

        For a check that depends on no weights or values; a family gives realistic ones besides.
        """
        generator = torch.Generator().manual_seed(seed)
        inputs = {}
        for spec in self.inputs:
            shape = [sizes[axis] if isinstance(axis, str) else axis for axis in spec.axes]
            if spec.dtype == "float32":
                inputs[spec.name] = torch.randn(shape, generator=generator)
            elif spec.dtype == "bool":
                inputs[spec.name] = torch.ones(shape, dtype=torch.bool)
            else:
                inputs[spec.name] = torch.randint(0, 100, shape, generator=generator)
        return inputs


@dataclass(frozen=True)
class Graph:
    """A module, its signature and the inputs that it is traced and checked with."""

    spec: GraphSpec
    module: nn.Module
    checks: tuple[Mapping[str, Tensor], ...]
    """Input sets; the first one traces the graph, all of them compare it with the module."""
