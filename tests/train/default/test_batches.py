from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.batches import (
    BatchConfig,
    BatchSource,
    place,
)
from motionrt.train.default.dataset import DatasetConfig, build_dataset
from motionrt.train.default.held import CONSTRAINT_KINDS, constraint_columns

SKELETON = load_skeleton("cmu22")
LAYOUT = MotionFeatures(SKELETON, 20.0)


@pytest.fixture(scope="module")
def source(
    data_folder: Path, random_vectors: Callable[[int, int], NDArray[np.float32]]
) -> BatchSource:
    config = DatasetConfig(window_frames=(30, 50), stride_frames=20, splits=("train",))
    dataset = build_dataset([data_folder], config)
    vectors = random_vectors(len(dataset.texts), 8)
    batches = BatchConfig(batch_size=64, constraint_share=0.5, bucket_shares=(0.5, 0.5))
    return BatchSource(dataset, vectors, SKELETON, batches, torch.device("cpu"))


def test_placing_agrees_with_the_runtime(source: BatchSource) -> None:
    motion = source.features[40:70].unsqueeze(0)
    placed = place(motion, torch.zeros(1), LAYOUT)[0].numpy()
    np.testing.assert_allclose(placed, LAYOUT.canonicalize(motion[0].numpy()), atol=2e-5)
    turned = place(motion, torch.tensor([0.7]), LAYOUT)[0].numpy()
    np.testing.assert_allclose(turned, LAYOUT.rotate(placed, 0.7), atol=2e-5)


def test_samples_start_at_the_origin_with_their_heading(source: BatchSource) -> None:
    batch = source.draw(torch.Generator().manual_seed(0))
    first = batch.motion[:, 0]
    torch.testing.assert_close(first[:, [0, 2]], torch.zeros(64, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(first[:, 3], batch.first_heading_rad.cos(), atol=1e-5, rtol=0)
    torch.testing.assert_close(first[:, 4], batch.first_heading_rad.sin(), atol=1e-5, rtol=0)
    assert 0 < (batch.first_heading_rad != 0).float().mean() < 0.5


def test_the_same_generator_draws_the_same_batch(source: BatchSource) -> None:
    batches = [source.draw(torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(batches[0].motion, batches[1].motion)
    assert torch.equal(batches[0].text, batches[1].text)
    assert torch.equal(batches[0].motion_mask, batches[1].motion_mask)


def test_constraints_hold_real_frames_of_about_half(source: BatchSource) -> None:
    batch = source.draw(torch.Generator().manual_seed(1))
    held = batch.motion_mask.any(-1)
    assert not (held & ~batch.frame_mask).any()
    assert 0.25 < held.any(-1).float().mean() < 0.75


def test_words_are_left_out_more_often_beside_constraints(source: BatchSource) -> None:
    generator = torch.Generator().manual_seed(2)
    silent: dict[bool, list[bool]] = {True: [], False: []}
    for _ in range(20):
        batch = source.draw(generator)
        constrained = batch.motion_mask.flatten(1).any(-1)
        for flag, text in zip(constrained, batch.text, strict=True):
            silent[bool(flag)].append(bool((text == 0).all()))
    assert np.mean(silent[False]) == pytest.approx(0.1, abs=0.05)
    assert np.mean(silent[True]) > 0.35


@pytest.mark.parametrize(
    ("kind", "held", "free"),
    [
        ("fullbody", [0, 1, 2, 3, 4, 5, 70], [71, 203, 269]),
        ("root2d", [0, 2], [1, 3, 4, 5]),
        ("root2d_heading", [0, 2, 3, 4], [1, 5]),
        ("left_hand", [0, 1, 2, 3, 4, 5 + 51, 71 + 102, 71 + 107], [5, 71, 71 + 108]),
        ("left_foot", [5 + 9, 5 + 14, 71 + 18, 71 + 23], [71 + 24]),
        ("hips", [5, 6, 7, 71, 76], [8, 77]),
    ],
)
def test_a_constraint_holds_what_the_runtime_would(
    kind: str, held: list[int], free: list[int]
) -> None:
    row = constraint_columns(LAYOUT)[[name for name, _ in CONSTRAINT_KINDS].index(kind)]
    assert row[held].eq(1).all()
    assert row[free].eq(0).all()
