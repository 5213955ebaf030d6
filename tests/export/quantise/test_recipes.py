from __future__ import annotations

import subprocess
import sys

import pytest

from motionrt.export.quantise.recipes import (
    DENOISER_RECIPES,
    LANGUAGE_MODEL_RECIPES,
    Recipe,
    recipe,
)
from motionrt.runtime.errors import InputError

PROBE = """
import sys
for name in ("torch", "onnx", "onnx_ir", "numpy", "onnxruntime"):
    sys.modules[name] = None
from motionrt.export.framings import FRAMINGS
from motionrt.export.quantise.recipes import DENOISER_RECIPES, LANGUAGE_MODEL_RECIPES, recipe
assert FRAMINGS and DENOISER_RECIPES and recipe("int4", language_model=True).weights.bits == 4
"""


def test_names_load_without_torch() -> None:
    subprocess.run([sys.executable, "-c", PROBE], check=True)


@pytest.mark.parametrize("table", [DENOISER_RECIPES, LANGUAGE_MODEL_RECIPES])
def test_every_precision_but_fp32_names_better_ones(table: dict[str, Recipe]) -> None:
    for name, wanted in table.items():
        assert wanted.name == name
        assert bool(wanted.better) == (name != "fp32")
        assert set(wanted.better) <= set(table) - {name}


def test_unknown_precisions_are_refused() -> None:
    with pytest.raises(InputError, match="precision 'int3'"):
        recipe("int3", language_model=True)
    with pytest.raises(InputError, match="block size 48"):
        recipe("int4", language_model=True, block_size=48)
    with pytest.raises(InputError, match="fp16 has no block_size"):
        recipe("fp16", language_model=True, block_size=32)
