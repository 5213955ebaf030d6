"""A small evaluator and a small data set, in the layouts of the published ones."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from walking import walking

from motionrt.runtime.humanml.features import joints_to_features

WORDS = ("sos", "eos", "unk", "a", "person", "walk", "run", "slowly", "left")


def write_evaluator(folder: Path) -> tuple[Path, Path, Path]:
    """Write a checkpoint of random networks, the statistics and the words; return their places."""
    import torch

    from motionrt.models.humanml_evaluator import (
        EvaluatorConfig,
        MovementEncoder,
        TextEncoder,
        motion_encoder,
    )

    torch.manual_seed(0)
    config = EvaluatorConfig(263, 12, 15, 16, 16, 16, 24, 20)
    networks = {
        "text_encoder": TextEncoder(config),
        "movement_encoder": MovementEncoder(config),
        "motion_encoder": motion_encoder(config),
    }
    state = {name: network.state_dict() for name, network in networks.items()}
    checkpoint = folder / "finest.tar"
    torch.save({**state, "epoch": 3, "iter": 9}, checkpoint)
    meta, glove = folder / "meta", folder / "glove"
    meta.mkdir()
    glove.mkdir()
    random = np.random.default_rng(0)
    np.save(meta / "mean.npy", random.normal(size=263).astype(np.float32) * 0.1)
    np.save(meta / "std.npy", random.uniform(0.5, 2, 263).astype(np.float32))
    np.save(glove / "our_vab_data.npy", random.normal(size=(len(WORDS), 12)))
    (glove / "our_vab_words.pkl").write_bytes(pickle.dumps(list(WORDS)))
    numbers = {word: row for row, word in enumerate(WORDS)}
    (glove / "our_vab_idx.pkl").write_bytes(pickle.dumps(numbers))
    return checkpoint, meta, glove


def write_data(folder: Path, count: int = 36) -> Path:
    """Write walks of several lengths, described, in HumanML3D's layout."""
    (folder / "new_joint_vecs").mkdir(parents=True)
    (folder / "texts").mkdir()
    names = []
    for i in range(count):
        names.append(f"{i:06d}")
        features, _ = joints_to_features(walking(45 + i, turn=0.02 * i))
        np.save(folder / "new_joint_vecs" / f"{names[-1]}.npy", features)
        verb, how = ("walk", "slowly") if i % 2 else ("run", "left")
        lines = [
            f"a person {verb}s {how}.#a/DET person/NOUN {verb}/VERB {how}/ADV#0.0#0.0",
            f"{verb}ing#{verb}/VERB#0.0#0.0",
        ]
        (folder / "texts" / f"{names[-1]}.txt").write_text("\n".join(lines))
    (folder / "test.txt").write_text("\n".join([*names, "999999"]))
    return folder


def tiny_evaluator() -> Path:
    """Return the bundle of a small random evaluator, exported once a test run."""
    from parity.exported import export, scratch

    folder = scratch() / "evaluator-checkpoint"
    if not folder.exists():
        folder.mkdir()
        write_evaluator(folder)
    return export(
        "evaluator", str(folder / "finest.tar"), "--meta", str(folder / "meta"),
        "--glove", str(folder / "glove"), "--licence", "none: random weights", "--quiet",
    )  # fmt: skip
