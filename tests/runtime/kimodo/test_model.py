"""The parts of a Kimodo bundle: text to features, noise to motion features, these to motions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> KimodoPipeline:
    return KimodoPipeline.load(bundle, backend="cpu")


def noise(pipeline: KimodoPipeline, *shape: int) -> Any:
    generator = np.random.default_rng(0)
    return generator.standard_normal((*shape, pipeline.features.width), dtype=np.float32)


def test_blank_prompts_have_no_features(pipeline: KimodoPipeline) -> None:
    features, mask = pipeline.encode_text(["a person walks", "  ", "A  person walks."])
    assert features.shape == (3, 1, 128) and mask.tolist() == [[True], [False], [True]]
    assert not features[1].any()
    np.testing.assert_array_equal(features[0], features[2])  # cleaned, they are one prompt


def test_two_branches_equal_three_without_constraints(pipeline: KimodoPipeline) -> None:
    x = noise(pipeline, 1, 12)
    text, mask = pipeline.encode_text(["walk"])
    guidance = Guidance("separated", (2.0, 1.5))
    fast = pipeline.sample(text, x, text_mask=mask, guidance=guidance, num_steps=5)
    assert len(guidance_branches(guidance, True, False)[0]) == 2
    branches = guidance_branches(guidance, True, True)
    assert len(branches[0]) == 3
    # All three branches, through the same graph, with a mask that holds nothing.
    table = cosine_schedule(pipeline.defaults.num_base_steps, 5, pipeline.defaults.solver)
    zeros = np.zeros_like(x)
    state = pipeline.graph("sampler").run(
        {
            "x": x,
            "x0_previous": zeros,
            "timesteps": table.timesteps[:, None],
            "schedule": table.coefficients,
            "text_features": text,
            "text_mask": mask,
            "frame_mask": np.ones(x.shape[:2], bool),
            "first_heading_rad": np.zeros(1, np.float32),
            "motion_mask": zeros,
            "observed_motion": zeros,
            "branch_text": branches[0],
            "branch_constraints": branches[1],
            "branch_weights": branches[2],
        }
    )
    np.testing.assert_allclose(fast, state["x_next"], atol=2e-4)


def test_branches_that_would_add_nothing_are_left_out() -> None:
    def rows(mode: str, weights: tuple[float, ...], text: bool, constrained: bool) -> list[Any]:
        branches = guidance_branches(Guidance(mode, weights), text, constrained)
        return [[float(value) for value in row] for row in np.stack(branches, 1)]

    none = [0, 0, 0]
    assert rows("nocfg", (), True, True) == [[1, 1, 0]]
    assert rows("regular", (3,), True, False) == [[1, 1, 3], none]
    assert rows("regular", (3,), False, False) == [none]
    assert rows("separated", (2, 1.5), True, True) == [[1, 0, 2], [0, 1, 1.5], none]
    assert rows("separated", (2, 1.5), False, True) == [[0, 1, 1.5], none]
    assert rows("separated", (2, 1.5), True, False) == [[1, 0, 2], none]


def test_a_batch_of_lengths_is_what_each_is_alone(pipeline: KimodoPipeline) -> None:
    x = noise(pipeline, 2, 16)
    text, mask = pipeline.encode_text(["walk", ""])
    both = pipeline.sample(text, x, text_mask=mask, lengths=[16, 9], num_steps=3)
    for row, count in ((0, 16), (1, 9)):
        one = slice(row, row + 1)
        alone = pipeline.sample(text[one], x[one, :count], text_mask=mask[one], num_steps=3)
        np.testing.assert_allclose(both[row, :count], alone[0], rtol=0, atol=5e-3)


def test_every_step_is_heard_of(pipeline: KimodoPipeline) -> None:
    text, _ = pipeline.encode_text(["walk"])
    x = noise(pipeline, 1, 8)
    heard: list[int] = []
    last: list[Any] = []

    def on_step(done: int, state: Any, x0: Any) -> None:
        heard.append(done)
        last[:] = [state]
        assert x0.shape == x.shape

    found = pipeline.sample(text, x, num_steps=4, on_step=on_step)
    assert heard == [1, 2, 3, 4]
    np.testing.assert_array_equal(last[0], found)
    np.testing.assert_array_equal(pipeline.sample(text, x, num_steps=4), found)


def test_beyond_the_guided_steps_one_branch_runs(pipeline: KimodoPipeline) -> None:
    text, mask = pipeline.encode_text(["walk"])
    x = noise(pipeline, 1, 12)
    given: dict[str, Any] = {"text_mask": mask, "num_steps": 6, "solver": "ddim"}
    given["motion_mask"] = np.zeros_like(x)
    given["motion_mask"][:, 0] = 1
    given["observed_motion"] = noise(pipeline, 1, 12)[::-1]
    separated = Guidance("separated", (2.0, 1.5))
    everything = pipeline.sample(text, x, guidance=separated, **given)
    schedule = cosine_schedule(pipeline.defaults.num_base_steps, 6, "ddim")
    heard: list[int] = []
    states: list[tuple[Any, Any]] = []

    def on_step(done: int, state: Any, x0: Any) -> None:
        heard.append(done)
        states.append((state, x0))

    part = Guidance("separated", (2.0, 1.5), (0.5, 0.9))
    found = pipeline.sample(text, x, guidance=part, on_step=on_step, **given)
    assert heard == [1, 2, 3, 4, 5, 6] and np.abs(found - everything).max() > 0.01
    np.testing.assert_array_equal(pipeline.sample(text, x, guidance=part, **given), found)
    # Step by step through the step graph, each step with the branches that are due.
    now, x0 = x, np.zeros_like(x)
    branches = {
        guided: guidance_branches(separated if guided else Guidance("nocfg"), True, True)
        for guided in (False, True)
    }
    rows = zip(schedule.timesteps, schedule.coefficients, strict=True)
    guided_steps = []
    for index, (timestep, row) in enumerate(rows):
        base = pipeline.defaults.num_base_steps
        guided = bool(0.5 * base <= timestep <= 0.9 * base)
        guided_steps.append(guided)
        branch_text, branch_constraints, branch_weights = branches[guided]
        state = pipeline.graph("step").run(
            {
                "x": now,
                "x0_previous": x0,
                "timestep": timestep[None],
                "coefficients": row,
                "text_features": text,
                "text_mask": mask,
                "frame_mask": np.ones(x.shape[:2], bool),
                "first_heading_rad": np.zeros(1, np.float32),
                "motion_mask": given["motion_mask"],
                "observed_motion": given["observed_motion"],
                "branch_text": branch_text,
                "branch_constraints": branch_constraints,
                "branch_weights": branch_weights,
            }
        )
        now, x0 = state["x_next"], state["x0"]
        np.testing.assert_allclose(states[index][0], now, rtol=0, atol=1e-4)
    assert guided_steps == [False, True, True, False, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": np.zeros((1, 4, 7))}, r"noise is \(1, 4, 7\), should be \(B, T, 273\)"),
        ({"noise": np.zeros((0, 4, 273))}, "noise is"),
        ({"text_features": np.zeros((2, 1, 128))}, r"text features are \(2, 1, 128\)"),
        ({"text_features": np.zeros((1, 2, 128))}, r"should be \(1, 1 to 1, 128\)"),
        ({"lengths": [5]}, r"lengths \[5\]: 1 numbers from 1 to 4"),
        ({"lengths": [0]}, "lengths"),
        ({"lengths": [1, 2]}, "lengths"),
        ({"num_steps": 0}, "0"),
        ({"solver": "euler"}, "euler"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    pipeline: KimodoPipeline, change: dict[str, Any], message: str
) -> None:
    arguments: dict[str, Any] = {
        "text_features": np.zeros((1, 1, 128)),
        "noise": np.zeros((1, 4, 273)),
        **change,
    }
    with pytest.raises(InputError, match=message):
        pipeline.sample(**arguments)


def test_guidance_is_the_bundles_unless_one_is_asked_for(
    pipeline: KimodoPipeline, own_copy: Path
) -> None:
    assert pipeline.settle_guidance(None, None) == Guidance("separated", (2.5, 2.0))
    assert pipeline.settle_guidance(None, [4]) == Guidance("regular", (4.0,))
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    del document["sampler"]["guidance_weights"]
    path.write_text(json.dumps(document))
    usual = KimodoPipeline.load(own_copy, backend="cpu").default_guidance
    assert usual == Guidance("separated", (2.0, 2.0))


def test_a_manifest_that_does_not_fit_is_refused_at_once(own_copy: Path) -> None:
    path = own_copy / "manifest.json"
    whole = json.loads(path.read_text())
    for section, change, message in (
        ("sampler", {"num_text_tokens": 0}, r"sampler\.num_text_tokens"),
        ("sampler", {"colour": "red"}, "unknown field `colour`"),
        ("text", {"known_prompts": {"file": "x"}}, r"text\.known_prompts"),
    ):
        path.write_text(json.dumps({**whole, section: {**whole[section], **change}}))
        with pytest.raises(BundleError, match=message):
            KimodoPipeline.load(own_copy, backend="cpu")


def test_what_is_timed_is_one_motion_in_two_parts(pipeline: KimodoPipeline) -> None:
    case = pipeline.benchmark_case(6)
    arrays: Any = case.decode(case.sample(2))
    assert arrays["posed_joints"].shape == (1, 6, 22, 3)
    assert {"sampler", "decoder"} <= set(pipeline.loaded_graphs)
    with pytest.raises(InputError, match="euler"):
        pipeline.benchmark_case(6, "euler")


def test_prompts_far_from_what_it_knows_are_told(pipeline: KimodoPipeline, own_copy: Path) -> None:
    strange = "the stock market fell by three percent on Tuesday"
    (hint,) = pipeline.hints(["a person walks forward", "", strange])
    assert repr(strange) in hint
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    del document["text"]["known_prompts"]
    path.write_text(json.dumps(document))
    assert KimodoPipeline.load(own_copy, backend="cpu").hints([strange]) == []
