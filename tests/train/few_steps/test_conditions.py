from __future__ import annotations

import torch

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.few_steps.conditions import ConditionShares, ConditionSource
from motionrt.train.few_steps.prompts import draw_prompts
from motionrt.train.few_steps.start import Start


def test_what_is_held_is_of_the_motion_and_inside_it(tiny_start: Start) -> None:
    layout = MotionFeatures(load_skeleton("cmu22"), 20.0)
    generator = torch.Generator().manual_seed(3)
    source = ConditionSource(tiny_start.prompts, layout, generator, ConditionShares(silent=0.0))
    asked = source.draw(64, 6, 16)
    lengths = asked.frame_mask.sum(1)
    assert lengths.min() >= 6 and lengths.max() <= 16
    motions = source.noise(64, 16, layout.width)
    held = source.constrain(asked, motions)
    mask = held.motion_mask > 0
    assert mask.flatten(1).any(1).float().mean() > 0.9
    assert not mask[~asked.frame_mask].any()
    assert torch.equal(held.observed[mask], motions[mask]) and not held.observed[~mask].any()
    own = (held.text == asked.text).flatten(1).all(1)
    silent = ~held.text.flatten(1).any(1)
    assert 20 < own.sum() < 50 and 6 < silent.sum() < 28


def test_prompts_are_many_different_ones_and_the_same_again() -> None:
    prompts = draw_prompts(400, 5)
    assert len(set(prompts)) == 400 and prompts == draw_prompts(400, 5)
    assert prompts != draw_prompts(400, 6)
    assert any("walk" in prompt.lower() for prompt in prompts)
