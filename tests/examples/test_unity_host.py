"""The Unity package without the native library: its host code under Mono, against Python.

Unity's Inference Engine was not at hand. What stands in for it (tests/examples/unity_host) sends
tensors here, where onnxruntime runs the graphs that were lowered for Unity.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnxruntime as ort
import pytest
from documented import EMBED, commands, need, run
from numpy.typing import NDArray
from places import ROOT, TESTS

import motionrt
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.runtime.text.tokenizer import TextTokenizer

PACKAGE = ROOT / "examples" / "unity" / "com.motionrt.unity"
STRINGS = [
    *("", " ", "a person walks forward", "Jump!  then 3.5 m LEFT, turn", "it's we'll I'd can't 'x"),
    *("tabs\tand\n\nlines  end  ", "  two  blanks ", "naïve café Zürich ÉCOLE", "走る人が跳ぶ。"),
    *("…dots?!", '(brackets) [and] "marks"', "emoji 🕺🏽 dance", "<|endoftext|>x<|endoftext|>"),
    *("a\u00a0b\u2003c", "UPPER lower 12345 6", "end ) ] ' \"", "--- what? no. yes!ok", "½ turn ²"),
    *("٣ kicks", "ﬁne ⅷ times"),
]
NUMBERS = {"float32": np.float32, "int64": np.int64, "bool": np.bool_}
Rows = dict[str, list[list[str]]]


class Graphs:
    """The graphs of a lowered bundle, run for whoever is at the other end of two pipes."""

    def __init__(self, folder: Path) -> None:
        infos = Bundle(folder).manifest.graphs
        self.inputs = {name: {t.name: t for t in info.inputs} for name, info in infos.items()}
        self.sessions = {
            name: ort.InferenceSession(folder / info.files["onnx"])
            for name, info in infos.items()
            if info.files
        }

    def serve(self, asked: IO[bytes], told: IO[bytes]) -> None:
        """Answer until the other end is closed."""
        results: dict[str, NDArray[np.float32]] = {}
        while name := _text(asked):
            if name not in self.sessions:
                array = results[name]
                head = np.array([array.ndim, *array.shape], np.int32)
                told.write(head.tobytes() + array.tobytes())
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
                key: np.asarray(array, np.float32) for key, array in zip(names, arrays, strict=True)
            }


def _text(stream: IO[bytes]) -> str:
    """Read a text as .NET's BinaryWriter writes it; empty at the end."""
    size = stream.read(1)
    return stream.read(size[0]).decode() if size else ""


def _ints(stream: IO[bytes], count: int) -> list[int]:
    return [int(number) for number in np.frombuffer(stream.read(4 * count), np.int32)]


@pytest.fixture(scope="module")
def told(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the host said, by its first word."""
    need("mcs", "mono")
    folder = tmp_path_factory.mktemp("host")
    run(f"mkdir -p MyGame/Assets\n{commands(EMBED, 'Without the native library')}", folder)
    bundle = folder / "MyGame" / "Assets" / "Motionrt"
    (folder / "strings.json").write_text(json.dumps(STRINGS))
    sources = " ".join(
        [
            f"{PACKAGE}/Runtime/*.cs {PACKAGE}/Runtime/Host/*.cs",
            f"{PACKAGE}/Runtime/InferenceEngine/*.cs",
            f"{TESTS}/examples/unity/UnityEngine.cs {TESTS}/examples/unity_host/*.cs",
        ]
    )
    run(f"mcs -langversion:7 -warnaserror -out:Host.exe {sources}", folder)
    command = ["mono", "--debug", "Host.exe", str(bundle), "strings.json", "dump.txt"]
    places = {"LD_LIBRARY_PATH": str(ship), "MOTIONRT_BUNDLE": str(ship / "motionrt-default")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        Graphs(bundle).serve(process.stdout, process.stdin)
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    rows: Rows = {}
    for line in (folder / "dump.txt").read_text().splitlines():
        what, *words = line.split(" ")
        rows.setdefault(what, []).append(words)
    return rows


def floats(rows: list[list[str]]) -> Iterator[NDArray[np.float64]]:
    return (np.array(row, float) for row in rows)


def test_prompts_are_cleaned_and_cut_into_the_same_tokens(told: Rows) -> None:
    bundle = Bundle(embedded_bundle())
    rules = bundle.manifest.text["rules"]
    tokenizer = TextTokenizer(bundle.path("tokenizer.json"), rules)
    for text, (clean,), tokens in zip(STRINGS, told["clean"], told["tokens"], strict=True):
        assert base64.b64decode(clean).decode() == clean_prompt(text)
        assert [int(token) for token in tokens if token] == tokenizer.ids(text), text


def test_noise_and_schedules_are_pythons(told: Rows) -> None:
    expected = [TorchGenerator(s).randn((n,)) for s in (0, 7, 2**32 - 1) for n in (16, 40, 5460)]
    for noise, wanted in zip(floats(told["noise"]), expected, strict=True):
        np.testing.assert_allclose(noise, wanted, atol=2e-6)
    schedules = [
        cosine_schedule(1000, steps, solver)
        for solver in ("ddim", "dpmpp-2m")
        for steps in (1, 2, 3, 12, 20, 100, 1000)
    ]
    for schedule, steps, rows in zip(
        schedules, told["timesteps"], floats(told["coefficients"]), strict=True
    ):
        assert [int(step) for step in steps] == schedule.timesteps.tolist()
        table = schedule.coefficients
        np.testing.assert_allclose(rows.reshape(-1, 3), table, rtol=1e-5, atol=1e-6)


def test_a_clip_is_sampled_as_the_library_samples_it(told: Rows) -> None:
    pairs = zip(floats(told["host"]), floats(told["library"]), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert len(told["host"]) == 24


def test_the_inference_engine_makes_pythons_motion(told: Rows) -> None:
    wanted = motionrt.load().generate("a person walks forward", 2, seed=5, postprocess=False)
    assert told["frames"] == [[str(20 + 2)]]  # a text, a step each frame, the decoder
    roots = next(floats(told["roots"])).reshape(-1, 3)
    np.testing.assert_allclose(roots, wanted.root_positions, atol=1e-4)
    rotations = next(floats(told["rotations"])).reshape(-1, len(wanted.skeleton.joint_names), 4)
    matrices = quaternion_to_matrix(rotations.astype(np.float32))
    np.testing.assert_allclose(matrices, wanted.local_rot_mats, atol=1e-4)
    moved, height = next(floats(told["moved"]))
    assert moved > 0.3 and 0.8 < height < 1.1


def test_what_it_does_not_do_is_one_line_and_nothing_is_left(told: Rows) -> None:
    (refused,) = told["refused"]
    assert " ".join(refused) == "motionrt: a motion is of one frame to 6 seconds here"
    assert told["left"] == [["0", "0", "0"]]


def test_its_assembly_is_left_out_without_the_inference_engine() -> None:
    text = (PACKAGE / "Runtime/InferenceEngine/Motionrt.InferenceEngine.asmdef").read_text()
    described = json.loads(text)
    (condition,) = described["versionDefines"]
    assert described["defineConstraints"] == [condition["define"]]
