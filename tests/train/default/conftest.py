from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default.clips import Clip

FPS = 30.0


def gait(
    seconds: float = 4.0,
    speed: float = 1.2,
    turn_deg: float = 0.0,
    tags: tuple[str, ...] = ("walk",),
) -> Clip:
    """A puppet's walk: swinging legs and arms, travel along an arc, left turns positive."""
    skeleton = load_skeleton("cmu22")
    frames = int(seconds * FPS)
    time = np.arange(frames) / FPS
    swing = 0.5 * np.sin(2 * np.pi * time / 1.0)
    rotations = np.zeros((frames, skeleton.num_joints, 4), np.float32)
    rotations[..., 0] = 1
    for name, angle in (
        ("LeftUpLeg", swing),
        ("RightUpLeg", -swing),
        ("LeftLeg", np.maximum(0, -swing)),
        ("RightLeg", np.maximum(0, swing)),
        ("LeftArm", -0.5 * swing),
        ("RightArm", 0.5 * swing),
    ):
        joint = skeleton.index(name)
        rotations[:, joint, 0], rotations[:, joint, 1] = np.cos(angle / 2), np.sin(angle / 2)
    heading = np.radians(turn_deg) * time / time[-1]
    rotations[:, 0, 0], rotations[:, 0, 2] = np.cos(heading / 2), np.sin(heading / 2)
    steps = speed / FPS * np.stack([np.sin(heading), np.zeros(frames), np.cos(heading)], axis=-1)
    root = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[:-1], axis=0)])
    root[:, 1] = 0.92 + 0.02 * np.cos(4 * np.pi * time)
    return Clip(
        name=f"gait {speed} {turn_deg}",
        folder="mocap",
        fps=FPS,
        rotations=rotations,
        root=root.astype(np.float32),
        tags=tags,
        captions=("a person walks forward",),
        variant="mb",
    )


@pytest.fixture
def make_gait() -> Callable[..., Clip]:
    return gait


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a few short clips, in the layout of the real ones."""
    folder = tmp_path_factory.mktemp("data") / "mocap"
    folder.mkdir()
    skeleton = load_skeleton("cmu22")
    clips = [
        gait(3.0, 1.2),
        gait(3.0, 0.6),
        gait(3.0, 1.7),
        gait(4.0, 1.0, 120.0),
        gait(3.0, 0.0, tags=("climb",)),
    ]
    records, offsets = [], np.cumsum([0, *(clip.num_frames for clip in clips)])
    for index, clip in enumerate(clips):
        records.append(
            {
                "id": clip.name,
                "split": "train",
                "index": index,
                "captions": list(clip.captions),
                "tags": list(clip.tags),
                "variant": clip.variant,
            }
        )
    meta = {"fps": FPS, "names": list(skeleton.joint_names), "clips": records}
    (folder / "meta.json").write_text(json.dumps(meta))
    for split in ("train", "val"):
        np.savez(
            folder / f"{split}.npz",
            quat=np.rint(np.concatenate([clip.rotations for clip in clips]) * 32767).astype(
                np.int16
            ),
            root=np.concatenate([clip.root for clip in clips]),
            offsets=offsets.astype(np.int32),
        )
    return folder


@pytest.fixture(scope="session")
def random_vectors() -> Callable[[int, int], NDArray[np.float32]]:
    def make(count: int, width: int) -> NDArray[np.float32]:
        return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)

    return make
