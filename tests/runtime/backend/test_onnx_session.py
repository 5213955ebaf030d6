from __future__ import annotations

import base64
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.onnx_session import OnnxSession, onnxruntime_session
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, BundleError, InputError
from motionrt.runtime.sampling.schedule import cosine_schedule

CPU = choose_backend("cpu")


def loop_inputs(opened: Bundle, frames: int, steps: int) -> dict[str, NDArray[Any]]:
    """What the sampler takes for a motion without text or constraints."""
    schedule = cosine_schedule(1000, steps)
    width = int(opened.manifest.graphs["step"].inputs[0].axes[-1])
    x = np.random.default_rng(0).standard_normal((1, frames, width), dtype=np.float32)
    return {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timesteps": schedule.timesteps[:, None],
        "schedule": schedule.coefficients,
        "text_features": np.zeros((1, 1, int(opened.manifest.sampler["text_width"])), np.float32),
        "text_mask": np.zeros((1, 1), np.bool_),
        "frame_mask": np.ones((1, frames), np.bool_),
        "first_heading_rad": np.zeros(1, np.float32),
        "motion_mask": np.zeros_like(x),
        "observed_motion": np.zeros_like(x),
        "branch_text": np.zeros(1, np.float32),
        "branch_constraints": np.zeros(1, np.float32),
        "branch_weights": np.zeros(1, np.float32),
    }


def decoder_inputs(session: OnnxSession) -> Mapping[str, NDArray[np.float32]]:
    return {"features": np.zeros((1, 3, int(session.info.inputs[0].axes[-1])), np.float32)}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of mappings")
def test_weights_of_a_loop_are_let_go_of_once_they_are_packed(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = OnnxSession(opened, "sampler", CPU)
    (weights,) = (str(opened.path(name)) for name in session.info.data)
    held, is_ours = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8", "surrogateescape").splitlines():
        if re.match(r"[0-9a-f]+-", line):
            is_ours = line.endswith(weights)
        elif is_ours and line.startswith("Rss:"):
            held += int(line.split()[1])
    assert held * 1024 < Path(weights).stat().st_size / 4
    inputs = loop_inputs(opened, 4, 2)
    assert np.isfinite(session.run(inputs)["x_next"]).all()


def test_runs_a_graph_and_says_what_ran_it(bundle: Path) -> None:
    session = OnnxSession(Bundle(bundle), "decoder", CPU)
    feed = decoder_inputs(session)
    found = session.run(feed)
    assert list(found) == [tensor.name for tensor in session.info.outputs]
    assert found["posed_joints"].shape == (1, 3, 22, 3)
    assert list(session.run(feed, ["root_positions"])) == ["root_positions"]
    assert session.runs_on == "cpu"
    with pytest.raises(InputError, match="input features is missing"):
        session.run({})


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGINT there")
def test_a_long_loop_is_interrupted_and_the_session_goes_on(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = OnnxSession(opened, "sampler", CPU)
    short = loop_inputs(opened, 10, 3)
    before = session.run(short)
    # Minutes of work, were it not interrupted.
    long = loop_inputs(opened, 400, 1000)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        session.run(long)
    timer.join()
    assert time.monotonic() - started < 20
    after = session.run(short)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


# y = -(-(-… x)), for a float32 vector of one, and never done.
ENDLESS = base64.b64decode(
    "CAg6vQEKigEKAAoCZ28KAXgSAXkiBExvb3AqdgoEYm9keTJrChAKAWMSAWQiCElkZW50aXR5CgsKAXYSAXciA05lZxIBYloL"
    "CgFpEgYKBAgHEgBaCwoBYxIGCgQICRIAWg8KAXYSCgoICAESBAoCCAFiCwoBZBIGCgQICRIAYg8KAXcSCgoICAESBAoCCAGg"
    "AQUSAWcqCRAJKgEBQgJnb1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEBE="
)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGINT there")
def test_a_graph_that_does_not_end_is_interrupted_in_silence(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(ENDLESS)
    session = OnnxSession(Bundle(bundle), "decoder", CPU)  # declares no loop
    feed = decoder_inputs(session)
    endless = onnxruntime_session(str(path), CPU)

    class Endless:
        def run(self, outputs: object, feed: object, options: object) -> object:
            return endless.run(["y"], {"x": np.ones(1, np.float32)}, options)

    monkeypatch.setattr(session, "_session", Endless())
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        session.run(feed)
    timer.join()
    assert capfd.readouterr() == ("", "")


def test_what_goes_wrong_in_a_graph_is_raised_and_not_printed(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = OnnxSession(Bundle(bundle), "text_encoder", CPU)
    ids = np.full((1, 2), 10**9)  # no token of any vocabulary
    with pytest.raises(BackendError, match=r"^graph text_encoder failed on cpu: .*$"):
        session.run({"input_ids": ids, "attention_mask": ids // ids, "pool_mask": ids // ids})
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        onnxruntime_session(str(tmp_path / "no.onnx"), CPU)
    assert capfd.readouterr() == ("", "")


def test_weights_unpacked_at_each_run_give_what_folded_ones_do(
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = Bundle(embedded_bundle())
    session = OnnxSession(source, "text_encoder", CPU)
    assert session.info.unpack_each_run
    ids = np.array([[5, 6, 7]])
    feed = {"input_ids": ids, "attention_mask": ids // ids, "pool_mask": ids // ids}
    file = source.path(session.info.files["onnx"])
    (folded,) = onnxruntime_session(str(file), CPU).run(None, feed)
    np.testing.assert_allclose(session.run(feed)["text_features"], folded, atol=2e-5)
    assert capfd.readouterr() == ("", "")


def test_a_loop_may_run_in_another_thread(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = OnnxSession(opened, "sampler", CPU)
    feed = loop_inputs(opened, 10, 2)
    found: dict[str, NDArray[Any]] = {}
    thread = threading.Thread(target=lambda: found.update(session.run(feed)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found["x0"], session.run(feed)["x0"])


def test_a_damaged_file_is_the_explanation_not_what_onnxruntime_says_of_it(own_copy: Path) -> None:
    path = own_copy / "decoder.onnx"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"decoder\.onnx: altered since export"):
        OnnxSession(Bundle(own_copy), "decoder", CPU)


def test_a_graph_that_fails_is_one_line(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def run(self, *arguments: object) -> object:
            raise RuntimeError("out of memory\nand more lines")

    session = OnnxSession(Bundle(bundle), "decoder", CPU)
    feed = decoder_inputs(session)
    monkeypatch.setattr(session, "_session", Failing())
    with pytest.raises(BackendError, match=r"^graph decoder failed on cpu: out of memory$"):
        session.run(feed)


def test_a_provider_that_does_not_start_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fallen:
        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(
        "motionrt.runtime.backend.onnx_session.onnxruntime_session",
        lambda *arguments, **settings: Fallen(),
    )
    cuda = Backend("cuda", (("CUDAExecutionProvider", {}),), 0)
    with pytest.raises(BackendError, match="CUDAExecutionProvider did not start"):
        OnnxSession(Bundle(bundle), "decoder", cuda)


def test_threads_are_as_many_as_asked_for(bundle: Path) -> None:
    session = OnnxSession(Bundle(bundle), "decoder", choose_backend("cpu", 3))
    options = session.onnxruntime.get_session_options()
    assert options.intra_op_num_threads == 3
