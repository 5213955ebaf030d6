"""Weights as a checkpoint stores them, read tensor by tensor and never trusted.

``Weights`` is what readers hand on: names, shapes and a way to load one tensor, so that a model of
any size is exported without being held in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import refuse_lfs_pointer

_RANDOM = frozenset(
    (Tensor.uniform_, Tensor.normal_, nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_)
)
_COUNTED = "embeddings.position_ids"
"""A row of 0, 1, 2 … that older versions of transformers stored beside the weights."""
FLOAT_TYPES = {"F64", "F32", "F16", "BF16"}
Module = TypeVar("Module", bound=nn.Module)


class Weights:
    """Named tensors that are loaded when asked for."""

    def __init__(
        self,
        place: Path,
        shapes: Mapping[str, tuple[int, ...]],
        load: Callable[[str], Tensor],
    ) -> None:
        """Take the names with their shapes, and what loads one; place is for messages."""
        self.place = place
        self.shapes = dict(shapes)
        self._load = load

    def load(self, name: str) -> Tensor:
        """Return one tensor as stored; KeyError if there is none of that name."""
        if name not in self.shapes:
            raise KeyError(name)
        return self._load(name)

    def renamed(self, rename: Callable[[str], str | None]) -> Weights:
        """Return the same tensors under other names; None leaves one out."""
        names = {new: old for old in self.shapes if (new := rename(old)) is not None}
        shapes = {new: self.shapes[old] for new, old in names.items()}
        return Weights(self.place, shapes, lambda name: self._load(names[name]))

    def require(
        self, expected: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()
    ) -> Weights:
        """Return the expected tensors alone.

        CheckpointError names what is missing, misshapen, or neither expected nor ignored.
        """
        spare = set(ignored)
        problems = [
            ("missing", [name for name in expected if name not in self.shapes]),
            ("unexpected", sorted(set(self.shapes) - set(expected) - spare)),
            (
                "misshapen",
                [
                    f"{name} {_sizes(self.shapes[name])} instead of {_sizes(shape)}"
                    for name, shape in expected.items()
                    if name in self.shapes and self.shapes[name] != tuple(shape)
                ],
            ),
        ]
        told = [f"{what} {_listed(names)}" for what, names in problems if names]
        if told:
            raise CheckpointError(f"{self.place}: {'; '.join(told)}")
        shapes = {name: self.shapes[name] for name in expected}
        return Weights(self.place, shapes, self._load)

    def require_layers(self, prefix: str, stated: int, what: str) -> None:
        """Raise CheckpointError if a config states more layers than there are tensors of.

        Layers are called ``<prefix><number>.…``; what is the config's place and key. To be asked
        before a module of so many layers is built: each takes a millisecond and more.
        """
        tails = (name.removeprefix(prefix) for name in self.shapes if name.startswith(prefix))
        stored = len({tail.partition(".")[0] for tail in tails})
        if stored < stated:
            raise CheckpointError(
                f"{what} is {stated}, {self.place} has {stored} ({prefix or 'layers '}…)"
            )

    def build(self, make: Callable[[], Module], ignored: Iterable[str] = ()) -> Module:
        """Make a module and fill it, in eval mode; it keeps its types.

        Its shapes are compared with the stored ones before it takes any memory: they come from a
        config. CheckpointError as `require` and `fill` raise it, and for sizes of which no module
        can be made (a ValueError of the module).
        """
        try:
            self.require(shapes_of(make), ignored)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; is the config that of these weights?") from None
        except ValueError as error:
            told = f"{self.place}: {error}; is the config that of these weights?"
            raise CheckpointError(told) from error
        with _Unfilled():
            module = make()
        self.fill(module, ignored)
        return module.eval()

    def fill(self, module: nn.Module, ignored: Iterable[str] = ()) -> None:
        """Load all parameters and persistent buffers of a module, which keeps its types."""
        state = module.state_dict()
        kept = self.require({name: tuple(t.shape) for name, t in state.items()}, ignored)
        with torch.no_grad():
            for name, target in state.items():
                target.copy_(kept.load(name))
                if not torch.isfinite(target).all():
                    raise CheckpointError(f"{self.place}: {name} holds values that are not finite")


class _Unfilled(TorchFunctionMode):
    """Leaves new weights as they are where random numbers would fill them: a file will."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def shapes_of(make: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's parameters and persistent buffers; none takes memory."""
    with torch.device("meta"), _Unfilled():
        module = make()
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; CheckpointError if there is none."""
    value = _json_value(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds no JSON object")
    return value


def read_json_list(path: Path) -> list[Any]:
    """Return the list in a JSON file; CheckpointError if there is none."""
    value = _json_value(path)
    if not isinstance(value, list):
        raise CheckpointError(f"{path}: holds no JSON list")
    return value


def _json_value(path: Path) -> Any:
    refuse_lfs_pointer(path, CheckpointError)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({_one_line(error)})") from None


def open_safetensors(path: Path) -> tuple[Weights, dict[str, str]]:
    """Open one safetensors file; return its tensors and its string metadata."""
    refuse_lfs_pointer(path, CheckpointError)
    try:
        handle: Any = safe_open(path, framework="pt", device="cpu")
        names = [name for name in handle.keys() if not name.endswith(_COUNTED)]
        slices = {name: handle.get_slice(name) for name in names}
        shapes = {name: tuple(piece.get_shape()) for name, piece in slices.items()}
        kinds = {name: piece.get_dtype() for name, piece in slices.items()}
        metadata = handle.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: no safetensors file ({_one_line(error)})") from None
    foreign = sorted(name for name, kind in kinds.items() if kind not in FLOAT_TYPES)
    if foreign:
        raise CheckpointError(
            f"{path}: {_listed([f'{name} of type {kinds[name]}' for name in foreign])}, "
            "weights must be floating point"
        )
    return Weights(path, shapes, lambda name: _tensor(handle, path, name)), metadata


def open_checkpoint(directory: Path, stem: str = "model") -> Weights:
    """Open ``<stem>.safetensors`` or the shards that ``<stem>.safetensors.index.json`` lists."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such directory")
    single = directory / f"{stem}.safetensors"
    index_path = directory / f"{stem}.safetensors.index.json"
    if single.is_file():
        return open_safetensors(single)[0]
    if not index_path.is_file():
        raise CheckpointError(
            f"{directory}: neither {single.name} nor {index_path.name}; "
            "only safetensors checkpoints are read"
        )
    weight_map = read_json(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) and isinstance(file, str) for name, file in weight_map.items()
    ):
        raise CheckpointError(f"{index_path}: has no weight_map of names to files")
    for file in sorted(set(weight_map.values())):
        if os.path.basename(file) != file or not file.endswith(".safetensors"):
            raise CheckpointError(f"{index_path}: {file!r} is no shard beside it")
    shards = {
        file: open_safetensors(directory / file)[0] for file in sorted(set(weight_map.values()))
    }
    absent = [name for name, file in weight_map.items() if name not in shards[file].shapes]
    if absent:
        raise CheckpointError(f"{index_path}: {_listed(sorted(absent))} not in the shard it names")
    shapes = {name: shards[file].shapes[name] for name, file in weight_map.items()}
    return Weights(directory, shapes, lambda name: shards[weight_map[name]].load(name))


def _tensor(handle: Any, path: Path, name: str) -> Tensor:
    try:
        tensor: Tensor = handle.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {name} cannot be read ({_one_line(error)})") from None
    return tensor


def _sizes(shape: Iterable[int]) -> str:
    return "x".join(str(size) for size in shape) or "scalar"


def _listed(names: list[str], shown: int = 4) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
