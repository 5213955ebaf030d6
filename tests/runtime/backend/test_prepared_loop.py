"""Kimodo's form for CUDA, run on the CPU: its numbers, and how it is driven."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fake_cuda import CUDA, FakeCuda, fake_cuda
from numpy.typing import NDArray

import motionrt
from motionrt.runtime.backend import opening
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.prepared_loop import PreparedLoop
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError
from motionrt.runtime.sampling.schedule import cosine_schedule

__all__ = ["fake_cuda"]  # a fixture
pytestmark = pytest.mark.slow
CPU = choose_backend("cpu")


@pytest.fixture(scope="module")
def half(smplx_checkpoint: Path) -> Bundle:
    from parity import exported

    options = ("--no-text-encoder", "--precision", "fp16")
    return Bundle(exported.export("kimodo", str(smplx_checkpoint), *options))


@pytest.fixture(scope="module")
def exact(smplx_checkpoint: Path) -> OnnxSession:
    from parity import exported

    bundle = Bundle(exported.export("kimodo", str(smplx_checkpoint), "--no-text-encoder"))
    return OnnxSession(bundle, "sampler", CPU)


def inputs(
    loop: Any, lengths: list[int], steps: int, branches: int = 2, held: bool = False
) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(branches)
    schedule = cosine_schedule(1000, steps)
    sizes = {tensor.name: tensor.axes[-1] for tensor in loop.info.inputs}
    batch, frames = len(lengths), max(lengths)
    x = rng.standard_normal((batch, frames, sizes["x"]), dtype=np.float32)
    mask = np.zeros_like(x)
    if held:
        mask[:, [0, -1]] = 1
    text = rng.standard_normal((batch, 1, sizes["text_features"]), dtype=np.float32)
    return {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timesteps": schedule.timesteps[:, None],
        "schedule": schedule.coefficients,
        "text_features": text,
        "text_mask": np.ones((batch, 1), np.bool_),
        "frame_mask": np.arange(frames) < np.array(lengths)[:, None],
        "first_heading_rad": rng.standard_normal(batch).astype(np.float32),
        "motion_mask": mask,
        "observed_motion": rng.standard_normal(x.shape).astype(np.float32) * mask,
        "branch_text": np.array([1, 0, 0], np.float32)[:branches],
        "branch_constraints": np.array([0, 1, 0], np.float32)[:branches],
        "branch_weights": np.array([2, 2, 0], np.float32)[:branches],
    }


@pytest.mark.parametrize("lengths", [[13], [9, 9], [9, 5], [1]])
@pytest.mark.parametrize(("branches", "held"), [(2, False), (3, True)])
def test_gives_what_the_compiled_loop_gives(
    half: Bundle, exact: OnnxSession, lengths: list[int], branches: int, held: bool
) -> None:
    loop = PreparedLoop(half, "sampler", CPU, device="cpu")
    feed = inputs(loop, lengths, 3, branches, held)
    found, wanted = loop.run(feed), exact.run(feed)
    assert list(found) == list(wanted)
    real = feed["frame_mask"]
    for name, array in wanted.items():
        apart = np.linalg.norm((found[name] - array)[real]) / np.linalg.norm(array[real])
        assert apart < 0.02, name
    assert list(loop.run(feed, ["x0"])) == ["x0"]


def test_what_is_prepared_in_float32_is_what_the_step_computes(
    half: Bundle, exact: OnnxSession
) -> None:
    """One step of few layers: the mask, lengths and order of tokens leave half precision alone."""
    loop = PreparedLoop(half, "sampler", CPU, device="cpu")
    full, part = (inputs(loop, lengths, 1) for lengths in ([9, 9], [9, 5]))
    shared = {**part, "x": full["x"], "text_features": full["text_features"]}
    alone = {
        name: value[1:2, :5] if np.ndim(value) > 1 and value.shape[:2] == (2, 9) else value
        for name, value in shared.items()
    }
    alone["text_features"], alone["text_mask"] = shared["text_features"][1:], np.ones((1, 1), bool)
    alone["first_heading_rad"] = shared["first_heading_rad"][1:]
    np.testing.assert_allclose(
        loop.run(alone)["x0"][0], loop.run(shared)["x0"][1, :5], rtol=0, atol=0.05
    )


def test_is_driven_in_one_thread_and_masked_when_lengths_differ(
    half: Bundle, fake_cuda: FakeCuda
) -> None:
    loop = PreparedLoop(half, "sampler", CUDA, device="cpu")
    assert loop.runs_on == "cuda, TF32 off, fused step in fp16, recorded"
    assert [name for name, _ in fake_cuda.opened] == ["cuda_prepare.onnx", "cuda_step.onnx"]
    feeds = [inputs(loop, [9], 3), inputs(loop, [9, 9], 3), inputs(loop, [9, 4], 3)]
    alone = [loop.run(feed)["x0"] for feed in feeds]
    assert fake_cuda.opened[2][0] == "cuda_step_masked.onnx"
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda feed: loop.run(feed)["x0"], feeds * 3))
    for i, array in enumerate(found):
        np.testing.assert_array_equal(array, alone[i % 3])
    assert fake_cuda.threads == {"motionrt-cuda0_0"}


def test_who_watches_sees_the_state_between_steps(half: Bundle) -> None:
    loop = PreparedLoop(half, "sampler", CPU, device="cpu")
    feed = inputs(loop, [7], 5)
    seen: list[tuple[int, NDArray[Any]]] = []
    whole = loop.run_watched(feed, 2, lambda done, state: seen.append((done, state()["x_next"])))
    assert [done for done, _ in seen] == [2, 4, 5]
    np.testing.assert_array_equal(seen[-1][1], whole["x_next"])
    assert not np.array_equal(seen[0][1], whole["x_next"])
    np.testing.assert_array_equal(whole["x_next"], loop.run(feed)["x_next"])


def test_a_motion_of_it_is_that_of_the_portable_graphs(
    half: Bundle, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    portable = motionrt.load(half.folder, backend="cpu")
    fused = motionrt.load(half.folder, backend="cpu")
    monkeypatch.setattr(
        opening,
        "PreparedLoop",
        lambda *arguments: PreparedLoop(*arguments, device="cpu"),
    )
    fused._graphs["sampler"] = opening.open_graph(half, "sampler", CUDA)
    steps: list[tuple[int, int]] = []
    wanted, found = (
        pipeline.generate(
            "",
            1.0,
            seed=3,
            num_steps=4,
            progress=lambda stage, done, total: steps.append((done, total)),
        )
        for pipeline in (portable, fused)
    )
    assert steps[:5] == steps[len(steps) // 2 :][:5]
    assert np.abs(found.root_positions - wanted.root_positions).max() < 0.2


def test_a_form_that_does_not_fit_is_refused(half: Bundle, tmp_path: Path) -> None:
    manifest = half.manifest
    loop = manifest.graphs["sampler"].loop
    assert loop is not None
    form = loop.forms["cuda"]
    with pytest.raises(BundleError, match="no form for tensorrt"):
        PreparedLoop(half, "sampler", CPU, form="tensorrt", device="cpu")
    for change, problem in (
        ({"prepare": "nothing"}, "names nothing, which is not listed"),
        ({"step": "decoder"}, "has no features for decoder"),
        ({"lengths": "heights"}, "lacks a counter, lengths or the loop's state"),
        ({"carried": {"x": "x_next", "x0_previous": "x0"}}, "has no counter for cuda_step"),
    ):
        changed = msgspec.structs.replace(form, **change)
        graphs = {
            **manifest.graphs,
            "sampler": msgspec.structs.replace(
                manifest.graphs["sampler"],
                loop=msgspec.structs.replace(loop, forms={"cuda": changed}),
            ),
        }
        msgspec.structs.replace(manifest, graphs=graphs).write(tmp_path)
        with pytest.raises(BundleError, match=problem):
            Bundle(tmp_path)
