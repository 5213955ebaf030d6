"""Precisions by name: which weights are stored in how many bits.

Loads neither torch nor onnx: the command line takes its choices from here. What a precision costs
is measured, not assumed: see ``deviation``.

- ``fp16``: products with weights in half precision; norms, softmax and sums stay in float32.
- dynamic int8 (denoisers): weights with one scale per output, activations rounded at run time. All
  rows of a batch share one activation scale, so a row's last digits depend on the others.
- blockwise int8 and int4 (language models): weights with one scale for each block of inputs, and
  activations rounded in blocks of their own row, so a row does not depend on the others.
- stored int8: weights alone, with one scale for each block of inputs; plain operators bring them
  back to float32, so every runtime gives the same numbers. A network that runs many times does it
  once, when its graph is loaded; one that runs once a motion at each run, which loads faster and
  holds a quarter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from motionrt.runtime.errors import InputError

FORMATS = ("fp32", "fp16", "dynamic-int8", "blockwise", "stored-int8")
BLOCK_SIZES = (16, 32, 64, 128, 256)
"""Inputs that may share a scale, where a precision lets one choose."""


@dataclass(frozen=True)
class WeightFormat:
    """How one weight is stored."""

    kind: str = "fp32"
    """One of ``FORMATS``."""
    bits: int = 8
    """blockwise: 4 or 8."""
    block_size: int = 32
    """blockwise, stored-int8: inputs that share a scale, one of ``BLOCK_SIZES``. Fewer is more
    exact."""
    accuracy_level: int = 0
    """blockwise: onnxruntime's; 0 computes in float32, 4 rounds activations to int8 as well."""


@dataclass(frozen=True)
class Recipe:
    """A precision by its name: the format of weights, and of those that are more sensitive."""

    name: str
    weights: WeightFormat
    embeddings: WeightFormat = WeightFormat()
    """Format of lookup tables: blockwise (8 bits) or fp16 or fp32."""
    exceptions: tuple[tuple[str, WeightFormat], ...] = ()
    """Regular expressions searched in a weight's name; the first that matches decides."""
    min_elements: int = 1 << 12
    """Smaller weights stay in float32."""
    better: tuple[str, ...] = ()
    """Precisions that are more exact, the smallest first."""
    unpack_each_run: bool = False
    """stored-int8: see ``GraphInfo.unpack_each_run``."""

    def format_of(self, name: str) -> WeightFormat:
        """Return the format of the weight of a name."""
        for pattern, format_ in self.exceptions:
            if re.search(pattern, name):
                return format_
        return self.weights


FP32 = WeightFormat()
FP16 = WeightFormat("fp16")
INT8_DYNAMIC = WeightFormat("dynamic-int8")
# Activations rounded to int8 in blocks of their own row (accuracy level 4) add next to nothing to
# the error of 4-bit weights and half as much again to that of 8-bit ones (0.5 % to 0.8 % of a
# product), but a product of 15 tokens takes 7 ms instead of 16, and 8 ms instead of 261.
INT8 = WeightFormat("blockwise", bits=8, block_size=32, accuracy_level=4)
INT4 = WeightFormat("blockwise", bits=4, block_size=32, accuracy_level=4)
INT8_WEIGHTS = WeightFormat("stored-int8", block_size=32)
DENOISER_RECIPES = {
    "fp32": Recipe("fp32", FP32),
    "fp16": Recipe("fp16", FP16, better=("fp32",)),
    "int8": Recipe("int8", INT8_DYNAMIC, better=("int8-weights", "fp32")),
    "int8-weights": Recipe("int8-weights", INT8_WEIGHTS, better=("fp32",)),
}
"""Precisions of a network that is run many times a motion.

int8 rounds activations too, which is fastest but differs from frame to frame: a small model's poses
tremble. int8-weights rounds weights alone and computes in float32: as small, and smooth.
"""
LANGUAGE_MODEL_RECIPES = {
    "fp32": Recipe("fp32", FP32),
    "fp16": Recipe("fp16", FP16, embeddings=FP16, better=("fp32",)),
    "int8": Recipe("int8", INT8, embeddings=INT8, better=("int8-weights", "fp16", "fp32")),
    # Alike in every runtime, for small encoders: MatMulNBits rounds activations on some processors
    # and not on others, which moves a small model's motion by 3.5 cm, and not every engine has it.
    "int8-weights": Recipe(
        "int8-weights",
        INT8_WEIGHTS,
        embeddings=INT8,
        better=("fp16", "fp32"),
        unpack_each_run=True,
    ),
    "int4": Recipe(
        "int4",
        INT4,
        embeddings=INT8,
        exceptions=((r"^projector\.", INT8),),
        better=("int4-mixed", "int8"),
    ),
    "int4-mixed": Recipe(
        "int4-mixed",
        INT4,
        embeddings=INT8,
        # The maps whose rounding reaches the output most directly.
        exceptions=((r"^projector\.", INT8), (r"\.(v_proj|o_proj|down_proj)\.", INT8)),
        better=("int8",),
    ),
}
"""Precisions of a text encoder, run once a prompt."""
TOKEN_PRECISIONS = ("fp32", "fp16", "int8", "int4-mixed", "int4")
"""Those of a language model that speaks, run once a token."""


def recipe(name: str, language_model: bool, **changes: Any) -> Recipe:
    """Return a precision by name, with changes to the format of its weights.

    changes are fields of ``WeightFormat`` such as block_size; None leaves one as it is.
    InputError if there is no such precision or a change does not fit.
    """
    known = LANGUAGE_MODEL_RECIPES if language_model else DENOISER_RECIPES
    if name not in known:
        raise InputError(f"precision {name!r}: none of {', '.join(known)}")
    found = known[name]
    wanted = {key: value for key, value in changes.items() if value is not None}
    if not wanted:
        return found
    if found.weights.kind not in ("blockwise", "dynamic-int8", "stored-int8"):
        raise InputError(f"precision {name} has no {', '.join(wanted)}")
    size = wanted.get("block_size", 32)
    if size not in BLOCK_SIZES:
        raise InputError(f"block size {size}: none of {', '.join(map(str, BLOCK_SIZES))}")
    changed = [
        (pattern, replace(format_, **wanted) if format_.kind == "blockwise" else format_)
        for pattern, format_ in found.exceptions
    ]
    return replace(found, weights=replace(found.weights, **wanted), exceptions=tuple(changed))
