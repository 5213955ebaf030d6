"""A lowered bundle in the C library, with a program's own inference in ONNX Runtime's place."""

from __future__ import annotations

import ctypes
import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import motionrt
from motionrt import capi
from motionrt.export.lowering.bundle import lower
from motionrt.export.lowering.targets import targets
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.constraints.files import to_json
from motionrt.runtime.constraints.kinds import Root2D
from motionrt.runtime.errors import BackendError, BundleError, InputError

TYPES: dict[int, type[np.generic]] = {1: np.float32, 7: np.int64, 9: np.bool_}


class Engine:
    """Sessions of onnxruntime, behind the functions that the library calls."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.names: list[str] = []
        self.closed: list[int] = []
        self.sessions: list[ort.InferenceSession] = []
        self.runner = capi.Runner(
            struct_size=ctypes.sizeof(capi.Runner),
            user=None,
            open=capi.OPEN_FN(self._open),
            run=capi.RUN_FN(self._run),
            close=capi.CLOSE_FN(lambda _, opened: self.closed.append(opened)),
        )

    def _open(self, _: int, graph: bytes, onnx: Any, size: int) -> int:
        if self.fails == "open":
            return 0
        self.names.append(graph.decode())
        self.sessions.append(ort.InferenceSession(ctypes.string_at(onnx, size)))
        return len(self.sessions)

    def _run(self, _: int, opened: int, ins: Any, num_ins: int, outs: Any, num_outs: int) -> bool:
        if self.fails == "run":
            return False
        feed = {ins[i].name.decode(): _array(ins[i]) for i in range(num_ins)}
        session = self.sessions[opened - 1]
        names = [value.name for value in session.get_outputs()]
        assert [outs[i].name.decode() for i in range(num_outs)] == names
        for i, array in enumerate(session.run(names, feed)):
            _array(outs[i])[...] = array
        return True


def _array(tensor: Any) -> Any:
    """A tensor's numbers, as they lie in the library's memory."""
    shape = tuple(tensor.dims[i] for i in range(tensor.rank))
    dtype = np.dtype(TYPES[tensor.type])
    size = int(np.prod(shape)) * dtype.itemsize
    memory = memoryview((ctypes.c_char * size).from_address(tensor.data)).cast("B")
    return np.frombuffer(memory, dtype).reshape(shape)


@pytest.fixture(scope="module")
def lowered(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    folder = tmp_path_factory.mktemp("unreal")
    lower(Bundle(bundle), targets()["unreal"], folder, lambda _: None)
    return folder


def test_a_runner_makes_pythons_motions(lowered: Path) -> None:
    engine = Engine()
    pipeline = capi.Pipeline(lowered, runner=engine.runner)
    assert pipeline.backend == "runner"
    path = [to_json(Root2D([0, 30], [[0.0, 0.0], [0.5, 1.0]]))]
    for held in ([], path):
        expected = motionrt.load().generate(
            "a person walks", 2, seed=3, num_steps=4, constraints=held
        )
        found = pipeline.generate(
            "a person walks", seconds=2, seed=3, num_steps=4, constraints_json=json.dumps(held)
        )
        positions = np.asarray(found.global_positions).reshape(expected.posed_joints.shape)
        np.testing.assert_allclose(positions, expected.posed_joints, atol=1e-4)
    assert sorted(engine.names) == ["decoder", "step", "text_encoder"]
    del positions, found, pipeline
    gc.collect()  # a pipeline and its skeleton hold each other
    assert sorted(engine.closed) == [1, 2, 3]


@pytest.mark.parametrize("what", ["open", "run"])
def test_what_a_runner_cannot_do_is_said(lowered: Path, what: str) -> None:
    pipeline = capi.Pipeline(lowered, runner=Engine(what).runner)
    with pytest.raises(BackendError, match=f"the program's own runner cannot {what} it"):
        pipeline.generate("a person walks", seconds=1)


def test_a_runner_takes_bundles_that_are_lowered(bundle: Path) -> None:
    pipeline = capi.Pipeline(bundle, runner=Engine().runner)
    with pytest.raises(BundleError, match="weights of graph step lie beside it"):
        pipeline.generate("a person walks", seconds=1)


def test_a_runner_and_a_backend_contradict_each_other(lowered: Path) -> None:
    with pytest.raises(InputError, match="a runner runs the graphs"):
        capi.Pipeline(lowered, runner=Engine().runner, backend="cuda")
