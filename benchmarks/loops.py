"""How well walks and runs of the embedded default loop, and what resampling costs.

    python benchmarks/loops.py [--seeds 10]

Prints a table for docs/finishing.md.
"""

from __future__ import annotations

import argparse

import numpy as np

import motionrt
from motionrt.runtime.body.loop import looped
from motionrt.runtime.body.metrics import foot_skate, jitter
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample

PROMPTS = (
    "a person walks forward",
    "a person walks slowly",
    "a person runs forward",
    "a person jogs",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    pipeline = motionrt.load()
    print(
        "| prompt | round, s | seam before | after, worst | joints moved, median (most) "
        "| skate of feet before, after |\n|" + " --- |" * 6
    )
    ratios: list[tuple[float, ...]] = []
    for prompt in PROMPTS:
        motions = [
            pipeline.generate(prompt, seconds=5, seed=seed) for seed in range(arguments.seeds)
        ]
        loops = [looped(motion) for motion in motions]
        before = [loop.before for loop in loops]
        after = [loop.after for loop in loops]
        seconds = [(loop.motion.num_frames - 1) / loop.motion.fps for loop in loops]
        moved = [loop.moved_mm for loop in loops]
        skates = [
            np.mean([value for motion in clips if (value := foot_skate(motion)) is not None])
            for clips in (motions, [loop.motion for loop in loops])
        ]
        print(
            f"| {prompt} | {np.median(seconds):.2f} "
            f"| {np.median([s.position_mm for s in before]):.0f} mm, "
            f"{np.median([s.rotation_deg for s in before]):.1f}° "
            f"| {max(s.position_mm for s in after):.2f} mm, "
            f"{max(s.rotation_deg for s in after):.2f}°, "
            f"{max(s.velocity_mps for s in after):.2f} m/s "
            f"| {np.median(moved):.0f} mm ({max(moved):.0f}) "
            f"| {skates[0]:.3f}, {skates[1]:.3f} m/s |"
        )
        clips = [(m, resample(m, 60), _linear(m, 60)) for m in motions]
        ratios += [tuple(jitter(clip) or 0.0 for clip in row) for row in clips]
    own, splines, lines = np.mean(ratios, axis=0)
    print(
        f"\njitter at {motions[0].fps:g} fps {own:.0f} m/s³, at 60 fps {splines:.0f} along splines,"
        f" {lines:.0f} along straight lines"
    )


def _linear(motion: Motion, fps: float) -> Motion:
    """Resample along straight lines, as is usual, for comparison."""
    moments = np.arange(0, motion.num_frames - 1, motion.fps / fps)
    before = moments.astype(int)
    share = (moments - before)[:, None, None]
    places = motion.posed_joints[before] * (1 - share) + motion.posed_joints[before + 1] * share
    local = motion.local_rot_mats[before]
    made = Motion.from_local(local, places[:, 0], motion.skeleton, fps)
    made.posed_joints = places.astype(np.float32)
    return made


if __name__ == "__main__":
    main()
