"""The graphs of a lowered bundle, run by onnxruntime for a program that stands for an engine."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from motionrt.runtime.bundle.manifest import Bundle

NUMBERS = {"float32": np.float32, "int64": np.int64, "bool": np.bool_}


class Graphs:
    """The graphs of a lowered bundle, run for whoever is at the other end of two pipes."""

    def __init__(self, folder: Path) -> None:
        infos = Bundle(folder).manifest.graphs
        self.infos = infos
        self.inputs = {name: {t.name: t for t in info.inputs} for name, info in infos.items()}
        self.sizes = {
            str((folder / info.files["onnx"]).stat().st_size): name
            for name, info in infos.items()
            if info.files
        }
        self.sessions = {
            name: ort.InferenceSession(folder / info.files["onnx"])
            for name, info in infos.items()
            if info.files
        }

    def serve(self, asked: IO[bytes], told: IO[bytes]) -> None:
        """Answer until the other end is closed."""
        results: dict[str, NDArray[Any]] = {}
        while name := _text(asked):
            name = self.sizes.get(name, name)
            if name not in self.sessions:
                array = results[name]
                head = np.array([array.ndim, *array.shape], np.int32)
                integers = bytes([array.dtype == np.int32])
                told.write(integers + head.tobytes() + array.tobytes())
                told.flush()
                continue
            feed: dict[str, NDArray[Any]] = {}
            for _ in range(_ints(asked, 1)[0]):
                key = _text(asked)
                whole = asked.read(1) == b"\1"
                shape = _ints(asked, _ints(asked, 1)[0])
                raw = asked.read(4 * int(np.prod(shape)))
                given = np.frombuffer(raw, np.int32 if whole else np.float32).reshape(shape)
                dtype = NUMBERS[self.inputs[name][key].dtype]
                assert whole == (dtype is not np.float32), key
                feed[key] = given.astype(dtype)
            session = self.sessions[name]
            names = [value.name for value in session.get_outputs()]
            arrays = session.run(names, feed)
            results = {
                key: np.asarray(array, np.float32 if array.dtype.kind == "f" else np.int32)
                for key, array in zip(names, arrays, strict=True)
            }


def described(graphs: Graphs) -> str:
    """Say what each graph takes and gives, a line each, for whom knows it by its file's size."""
    return "".join(
        f"{size} {way} {tensor.name} {tensor.dtype}\n"
        for size, name in graphs.sizes.items()
        for way, tensors in (("in", graphs.infos[name].inputs), ("out", graphs.infos[name].outputs))
        for tensor in tensors
    )


def _text(stream: IO[bytes]) -> str:
    """Read a text as .NET's BinaryWriter writes it; empty at the end."""
    size = stream.read(1)
    return stream.read(size[0]).decode() if size else ""


def _ints(stream: IO[bytes], count: int) -> list[int]:
    return [int(number) for number in np.frombuffer(stream.read(4 * count), np.int32)]
