"""A Triton repository, run as Triton would: Python backends with a stand-in, graphs by onnxruntime.

No Triton server has run it. Where tritonclient is installed, configurations are parsed by its
``model_config.proto``; elsewhere by what stands here.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from command_line import run

import motionrt
from motionrt.runtime.request import Request

TYPES = {
    "TYPE_FP32": np.float32,
    "TYPE_INT64": np.int64,
    "TYPE_INT32": np.int32,
    "TYPE_BOOL": np.bool_,
    "TYPE_STRING": np.object_,
}
TEXTS = ["a person walks forward", "", "a person jumps"]
FRAMES, SEEDS, STEPS = [30, 17, 40], [3, 4, 5], 4


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


def stand_in() -> types.ModuleType:
    """What Triton gives its Python backends, as far as ours ask."""
    module: Any = types.ModuleType("triton_python_backend_utils")
    module.Tensor = Tensor
    module.get_input_tensor_by_name = lambda request, name: Tensor(name, request[name])
    module.TritonError = str
    module.InferenceResponse = lambda tensors, error=None: (tensors, error)
    return module  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def repository(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from motionrt.export.triton import write_repository

    place = tmp_path_factory.mktemp("triton") / "repository"
    models = write_repository(bundle, place, "walks", num_steps=STEPS)
    assert sorted(path.name for path in place.iterdir()) == sorted(models)
    return place


def config(folder: Path) -> dict[str, Any]:
    """Read a configuration: names, tensors and the steps of an ensemble."""
    text = (folder / "config.pbtxt").read_text()
    found: dict[str, Any] = {"name": re.findall(r'^name: "(\w+)"', text)[0]}
    for field in ("input", "output"):
        pattern = rf'^{field} {{ name: "(\w+)" data_type: (\w+) dims: \[([-\d, ]*)\] }}'
        found[field] = {
            name: (kind, tuple(int(size) for size in dims.split(",") if size.strip()))
            for name, kind, dims in re.findall(pattern, text, re.MULTILINE)
        }
    found["steps"] = []
    for part in text.split("  step {")[1:]:
        pair = r'{ key: "(\w+)" value: "(\w+)" }'
        (model,) = re.findall(r'model_name: "(\w+)"', part)
        maps = [dict(re.findall(rf"{name} {pair}", part)) for name in ("input_map", "output_map")]
        found["steps"].append((model, *maps))
    return found


def checked(arrays: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """Compare arrays with what a configuration says of them; the first axis is the batch."""
    assert set(arrays) == set(tensors)
    for name, (kind, dims) in tensors.items():
        array = arrays[name]
        assert array.dtype == TYPES[kind], name
        assert array.ndim == 1 + len(dims), name
        for size, wanted in zip(array.shape[1:], dims, strict=True):
            assert wanted in (-1, size), (name, array.shape)
    return arrays


def run_model(folder: Path, feed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run one model of the repository on a batch, as Triton would."""
    about = config(folder)
    checked(feed, about["input"])
    version = folder / "1"
    if (version / "model.onnx").is_file():
        session = onnxruntime.InferenceSession(version / "model.onnx")
        names = [tensor.name for tensor in session.get_outputs()]
        assert {tensor.name for tensor in session.get_inputs()} == set(about["input"])
        return checked(dict(zip(names, session.run(None, feed), strict=True)), about["output"])
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in())
    spec = importlib.util.spec_from_file_location(folder.name, version / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({})
    ((tensors, error),) = model.execute([feed])
    assert error is None, error
    return checked({tensor.name: tensor.array for tensor in tensors}, about["output"])


def run_ensemble(repository: Path, feed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    about = config(repository / "walks")
    known = dict(checked(feed, about["input"]))
    for model, taken, given in about["steps"]:
        inputs = {key: known[value] for key, value in taken.items()}
        made = run_model(repository / model, inputs, monkeypatch)
        assert set(given) == set(made)
        known |= {value: made[key] for key, value in given.items()}
    return {name: known[name] for name in about["output"]}


def test_an_ensemble_makes_the_motions_that_we_make(
    repository: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = {
        "TEXT": np.array([[text.encode()] for text in TEXTS], np.object_),
        "SEED": np.array(SEEDS, np.int64)[:, None],
        "NUM_FRAMES": np.array(FRAMES, np.int32)[:, None],
    }
    made = run_ensemble(repository, feed, monkeypatch)
    pipeline = motionrt.load(bundle, backend="cpu")
    for row, (text, count, seed) in enumerate(zip(TEXTS, FRAMES, SEEDS, strict=True)):
        options = {"num_steps": STEPS}
        request = Request.make(pipeline.family, text, num_frames=count, seed=seed, options=options)
        (motion,) = pipeline.run(request)
        for name, wanted in (
            ("LOCAL_ROTATIONS", motion.local_rotations),
            ("ROOT_POSITIONS", motion.root_positions),
            ("POSED_JOINTS", motion.posed_joints),
        ):
            found = made[name][row]
            np.testing.assert_allclose(found[:count], wanted, rtol=0, atol=2e-3)
            np.testing.assert_array_equal(
                found[count:], np.broadcast_to(found[count - 1], found[count:].shape)
            )


def test_what_is_wrong_with_one_request_is_told_to_it_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in())
    place = repository / "walks_prepare" / "1" / "model.py"
    spec = importlib.util.spec_from_file_location("prepare", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize({})
    good = {
        "TEXT": np.array([[b"walk"]], np.object_),
        "SEED": np.array([[1]]),
        "NUM_FRAMES": np.array([[10]]),
    }
    bad = {**good, "NUM_FRAMES": np.array([[0]])}
    (first, no_error), (none, error) = model.execute([good, bad])
    assert len(first) == 6 and no_error is None
    assert none == [] and "0 frames: this model takes 1 to" in error


def test_every_model_has_a_version_and_a_name(repository: Path) -> None:
    for folder in repository.iterdir():
        assert (folder / "1").is_dir() and config(folder)["name"] == folder.name
        assert "max_batch_size: 32" in (folder / "config.pbtxt").read_text()


def test_configurations_are_those_of_tritons_schema(repository: Path) -> None:
    pytest.importorskip("tritonclient", reason="its model_config.proto is not installed")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    for folder in repository.iterdir():
        text = (folder / "config.pbtxt").read_text()
        text_format.Parse(text, model_config_pb2.ModelConfig())


def test_the_command_writes_a_repository(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("export", "triton", bundle, "-o", tmp_path / "repository")
    code, out, err = run(capsys, *command)
    assert (code, err) == (0, "") and "motionrt_default, an ensemble of" in out
    code, _, err = run(capsys, *command)
    assert code == 1 and "exists already" in err
    code, _, err = run(capsys, *command, "--force", "--solver", "magic")
    assert code == 1 and "magic" in err
