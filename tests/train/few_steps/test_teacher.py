from __future__ import annotations

import numpy as np
import torch

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.train.few_steps.conditions import ConditionSource
from motionrt.train.few_steps.start import Start
from motionrt.train.few_steps.teacher import (
    Conditions,
    Teacher,
    predict,
    student_schedule,
    teacher_schedule,
)


def drawn(start: Start) -> tuple[ConditionSource, Conditions]:
    """Motions of 8 to 12 frames."""
    layout = MotionFeatures(load_skeleton(start.skeleton), start.config.fps)
    source = ConditionSource(start.prompts, layout, torch.Generator().manual_seed(1))
    return source, source.draw(6, 8, 12)


def test_the_teacher_stops_where_its_student_does() -> None:
    jumps = student_schedule(4)
    assert jumps.timesteps.tolist() == cosine_schedule(1000, 4, "ddim").timesteps.tolist()
    steps = teacher_schedule(24, jumps)
    assert set(jumps.timesteps) <= set(steps.timesteps)
    assert np.all(np.diff(steps.timesteps) < 0) and 20 <= len(steps.timesteps) <= 24


def test_its_guidance_is_that_of_the_runtime(tiny_start: Start) -> None:
    model = tiny_start.model().eval()
    model.config = model.config.__class__(**{**vars(model.config), "keep_held_root": False})
    source, asked = drawn(tiny_start)
    noise = source.noise(*asked.observed.shape)
    held = source.constrain(asked, noise)
    for conditions, constrained in ((asked, False), (held, True)):
        branches = guidance_branches(Guidance("separated", (2.5, 2.0)), True, constrained)
        parts = [
            predict(
                model,
                noise,
                torch.full((6,), 700),
                Conditions(
                    conditions.text * text,
                    conditions.first_heading_rad,
                    conditions.frame_mask,
                    conditions.motion_mask * held_share,
                    conditions.observed * held_share,
                ),
            )
            for text, held_share in zip(*map(np.ndarray.tolist, branches[:2]), strict=True)
        ]
        expected = parts[-1].clone()
        for part, weight in zip(parts[:-1], branches[2].tolist(), strict=False):
            expected += weight * (part - parts[-1])
        found = Teacher(model, (2.5, 2.0)).guided(noise, 700, conditions, constrained)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_states_are_those_at_the_stops_and_the_end(tiny_start: Start) -> None:
    source, asked = drawn(tiny_start)
    noise = source.noise(*asked.observed.shape)
    jumps = student_schedule(4)
    teacher = Teacher(tiny_start.model().eval(), tiny_start.guidance)
    states = teacher.run(noise, asked, teacher_schedule(12, jumps), jumps)
    assert states.shape == (6, 5, 12, 273)
    torch.testing.assert_close(states[:, 0], noise)
    # With the student's own steps a jump leads from each state to the next.
    own = teacher.run(noise, asked, jumps, jumps)
    a, b, _ = jumps.coefficients[1].tolist()
    x0 = teacher.guided(own[:, 1], int(jumps.timesteps[1]), asked, False)
    torch.testing.assert_close(own[:, 2], a * own[:, 1] + b * x0)
