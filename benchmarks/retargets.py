"""How well motions of the embedded default fit characters of ten makers.

    python benchmarks/retargets.py [--seeds 3]

The characters are those of the tests (tests/rigs.py): names, trees, rest poses, axes and units as
their makers have them, boxes for a mesh. Prints a table for docs/retargeting.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import motionrt
from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.retarget import retargeted
from motionrt.runtime.formats.character import read_character

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from rigs import RIGS, character

PROMPTS = ("a person walks forward", "a person runs forward", "a person walks in a circle")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    pipeline = motionrt.load()
    motions = [
        pipeline.generate(prompt, seconds=4, seed=seed)
        for prompt in PROMPTS
        for seed in range(arguments.seeds)
    ]
    source = map_bones(motions[0].skeleton)
    print(
        "| rig | bones (without a role) | found by | feet slide (before) | below the floor "
        "| feet miss | limbs off | passed |\n|" + " --- |" * 8
    )
    with tempfile.TemporaryDirectory() as folder:
        for rig in RIGS:
            body = read_character(character(Path(folder), rig))
            made = [
                retargeted(motion, source, body.skeleton, body.bones).certificate
                for motion in motions
            ]
            slides = [max(getattr(one, name) for one in made) for name in _WORST]
            print(
                f"| {rig} | {body.skeleton.num_joints} ({len(made[0].unmapped_bones)}) "
                f"| {', '.join(sorted(set(body.bones.found_by.values())))} "
                f"| {slides[0]:.1f} mm ({slides[1]:.0f}) | {slides[2]:.1f} mm | {slides[3]:.1f} mm "
                f"| {np.mean([one.direction_deg for one in made]):.1f}° "
                f"| {sum(one.passed for one in made)} of {len(made)} |"
            )


_WORST = ("slide_mm", "source_slide_mm", "depth_mm", "unreached_mm")

if __name__ == "__main__":
    main()
