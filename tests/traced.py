"""Graphs that torch traces are kept in a folder: what was traced before is taken from there.

Tracing is most of an export's time, and tests export the same few checkpoints again and again, in
several processes. A graph is taken only for what is equal in all that tracing sees: the module with
its weights and settings, the example, the axes. The first of them is traced, by torch.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from functools import wraps
from pathlib import Path
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

MAX_BYTES = 1 << 28
"""Graphs with larger weights are not kept."""


def keep_in(folder: Path) -> None:
    """Keep what ``torch.onnx.export`` gives in a folder; processes may share it."""
    folder.mkdir(parents=True, exist_ok=True)
    export: Any = getattr(torch.onnx.export, "__wrapped__", torch.onnx.export)

    @wraps(export)
    def traced(module: Any, *arguments: Any, **options: Any) -> Any:
        key = key_of(module, arguments, options)
        if key is None:
            return export(module, *arguments, **options)
        path = folder / f"{key}.onnx"
        if path.exists():
            model = ir.load(path)
            for held in weights(model):  # what torch gives can be written to
                numbers = np.array(held.const_value)
                dtype = held.const_value.dtype
                held.const_value = ir.Tensor(numbers, dtype=dtype, name=held.name)
            return SimpleNamespace(model=model)
        program = export(module, *arguments, **options)
        if sum(held.const_value.nbytes for held in weights(program.model)) <= MAX_BYTES:
            written = path.with_suffix(f".{os.getpid()}")
            ir.save(program.model, written)
            written.rename(path)
        return program

    vars(torch.onnx)["export"] = traced


def weights(model: ir.Model) -> list[Any]:
    """Return the values of a model that hold numbers."""
    return [value for value in model.graph.initializers.values() if value.const_value is not None]


def key_of(*values: Any) -> str | None:
    """Return a name of values, equal for equal ones; None if that cannot be said of them."""
    held = io.BytesIO()
    try:
        _Sum(held).dump(values)
    except Exception:  # a class of a function's own, a lock: each type has its own error
        return None
    return hashlib.sha256(held.getvalue()).hexdigest()


class _Sum(pickle.Pickler):
    """Tensors by their numbers, local functions by their code, and what they close over.

    Sets have another order in every process: those of modules, of names, are sorted.
    """

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            storage = value.detach().untyped_storage()
            numbers = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
            content = hashlib.sha256(numbers.tobytes()).hexdigest()
            place = (tuple(value.shape), value.stride(), value.storage_offset())
            return tuple, ((type(value).__name__, str(value.dtype), place, content),)
        if isinstance(value, torch.nn.Module):
            settings = vars(value).items()
            held = {name: sorted(v) if isinstance(v, set) else v for name, v in settings}
            return tuple, ((type(value), held),)
        if isinstance(value, CodeType):
            return tuple, ((value.co_code, value.co_consts, value.co_names),)
        if isinstance(value, FunctionType) and "<" in value.__qualname__:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            given = (value.__defaults__, value.__kwdefaults__, vars(value))
            return tuple, ((value.__qualname__, value.__code__, cells, given),)
        return NotImplemented
