from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.clips import Clip
from motionrt.train.default.held import CONSTRAINT_KINDS, constraint_columns
from motionrt.train.default.losses import LossWeights, MotionLoss, normalize, unnormalize

SKELETON = load_skeleton("cmu22")
LAYOUT = MotionFeatures(SKELETON, 30.0)


@pytest.fixture
def model() -> Kimodo:
    config = KimodoConfig(22, 30.0, 8, 1, 16, 32, 1, 2, norm_first=True)
    return Kimodo(config, MotionStats.identity(config))


@pytest.fixture
def motion(make_gait: Callable[..., Clip]) -> torch.Tensor:
    clip = make_gait(2.0, 1.0, 40.0)
    features = LAYOUT.encode(quaternion_to_matrix(clip.rotations), clip.root)
    return torch.from_numpy(features).unsqueeze(0)


def losses_of(
    model: Kimodo,
    predicted: torch.Tensor,
    target: torch.Tensor,
    held: torch.Tensor | None = None,
    signal: float = 1.0,
) -> dict[str, torch.Tensor]:
    loss = MotionLoss(LAYOUT, LossWeights())
    mask = torch.ones(predicted.shape[:2], dtype=torch.bool)
    held = torch.zeros_like(target) if held is None else held
    pair = normalize(model, predicted), normalize(model, target)
    found: dict[str, torch.Tensor] = loss(model, *pair, mask, torch.full((1,), signal), held)
    return found


def test_normalising_is_undone(model: Kimodo, motion: torch.Tensor) -> None:
    torch.testing.assert_close(unnormalize(model, normalize(model, motion)), motion)


def test_joints_are_those_of_the_runtime(motion: torch.Tensor) -> None:
    joints = MotionLoss(LAYOUT, LossWeights()).joints(motion)[0].numpy()
    decoded: dict[str, Any] = LAYOUT.decode(motion[0].numpy())
    expected = decoded["posed_joints"]
    np.testing.assert_allclose(joints, expected, atol=1e-5)


def test_the_truth_costs_nothing_but_its_own_foot_speed(
    model: Kimodo, motion: torch.Tensor
) -> None:
    losses = losses_of(model, motion, motion)
    for name, value in losses.items():
        if name not in ("total", "standing_feet"):
            assert float(value) == pytest.approx(0, abs=1e-9), name


def test_a_sliding_motion_costs_foot_speed(model: Kimodo, motion: torch.Tensor) -> None:
    target = motion.clone()
    target[..., -4:] = 1
    sliding = target.clone()
    sliding[..., 0] += torch.linspace(0, 2, motion.shape[1])
    slid, still = losses_of(model, sliding, target), losses_of(model, target, target)
    assert slid["standing_feet"] > still["standing_feet"] + 0.5
    assert slid["joint_velocities"] > 0.1


def test_a_held_frame_counts_as_much_as_a_held_motion(model: Kimodo, motion: torch.Tensor) -> None:
    aside = motion.clone()
    aside[..., 0] += 0.5
    one, every = torch.zeros_like(motion), torch.zeros_like(motion)
    one[:, 7, :71] = every[..., :71] = 1
    for held in (one, every):
        losses = losses_of(model, aside, motion, held, signal=0.0)
        assert float(losses["held_joints"]) == pytest.approx(0.5, abs=0.01)
        assert losses["joints"] == 0
    free = losses_of(model, aside, motion)
    assert free["held"] == free["held_joints"] == 0


def test_only_the_joints_that_are_held_count(model: Kimodo, motion: torch.Tensor) -> None:
    columns = dict(
        zip((kind for kind, _ in CONSTRAINT_KINDS), constraint_columns(LAYOUT), strict=True)
    )
    bent = motion.clone()
    hand = SKELETON.end_effector_groups["LeftHand"][0]
    parent = int(SKELETON.parents[hand])
    rotations = LAYOUT.slices["global_rot_data"].start + 6 * parent
    bent[..., rotations : rotations + 6] = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    cost = {
        kind: float(losses_of(model, bent, motion, held.expand_as(motion))["held_joints"])
        for kind, held in columns.items()
    }
    assert cost["left_hand"] > 0.05
    assert cost["right_foot"] == cost["root2d"] == pytest.approx(0, abs=1e-4)


def test_padding_costs_nothing(model: Kimodo, motion: torch.Tensor) -> None:
    loss = MotionLoss(LAYOUT, LossWeights())
    target = normalize(model, motion)
    noisy = target + 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(target.shape[:2], dtype=torch.bool)
    mask[:, 40:] = False
    held = torch.ones_like(target)
    short = loss(model, noisy[:, :40], target[:, :40], mask[:, :40], torch.ones(1), held[:, :40])
    padded = loss(model, noisy, target, mask, torch.ones(1), held)
    for name, value in short.items():
        torch.testing.assert_close(padded[name], value, rtol=1e-4, atol=1e-6)


def test_gradients_stay_finite_where_a_rotation_is_zero(model: Kimodo) -> None:
    predicted = torch.zeros(1, 8, 273, requires_grad=True)
    target = torch.zeros(1, 8, 273)
    target[..., 3] = 1
    frames, held = torch.ones(1, 8, dtype=torch.bool), torch.ones_like(target)
    loss = MotionLoss(LAYOUT, LossWeights())
    total = loss(model, predicted, target, frames, torch.ones(1), held)["total"]
    total.backward()
    assert predicted.grad is not None and torch.isfinite(predicted.grad).all()
