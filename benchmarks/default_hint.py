"""Check the hint of the embedded default: 60 prompts of which it can do half.

python benchmarks/default_hint.py                 # which of benchmarks/hint_prompts.json are hinted
python benchmarks/default_hint.py --measure       # also what their motions do, 4 seeds each
python benchmarks/default_hint.py --calibrate DIR # measure and fit again, writing into a bundle
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.train.default.deeds import DEEDS, falls, hips, travel
from motionrt.train.default.quality import pelvis_drop

PROMPTS = Path(__file__).with_name("hint_prompts.json")
SECONDS, FIRST_SEED = 5.0, 900
MAX_HINTED, MIN_HINTED = 0.05, 0.9
"""Of what it can do at most so many are hinted, of what it cannot do at least so many."""

_LIKE = {
    "walking": "^walk",
    "walking slowly": "^walk slowly",
    "walking quickly": "^walk quickly",
    "walking backwards": "^walk backward",
    "turning left": "^walk and ^turn left",
    "turning right": "^walk and ^turn right",
    "turning around": "^turn around",
    "circling": "^walk in a circle",
    "circling clockwise": "^walk clockwise in a circle",
    "running": "^run",
    "standing": "^stand",
    "jumping": "^jump",
    "kicking": "^kick",
    "boxing": "^box",
    "dancing": "^dance",
    "sitting": "^sit",
    "sitting on the floor": "^sit on the floor",
    "standing up": "^stand up",
    "waving": "^wave",
    "falling": "^fall",
    "sneaking": "^sneak",
    "crouching": "^crouch",
    "bowing": "^bow",
    "upstairs": "^climb stairs",
    "downstairs": "^walk down stairs",
    "rolling": "^roll",
    "cartwheeling": "^do a cartwheel",
    "standing upside down": "^do a handstand",
    "flipping": "^do a backflip",
    "crawling": "^crawl",
}
MEASURES: dict[str, Callable[[Motion], bool]] = {
    name: next(deed.passes for deed in DEEDS if wording in deed.wordings)
    for name, wording in _LIKE.items()
} | {
    "never": lambda motion: False,
    "lying after a walk": lambda m: travel(m)[0] > 0.8 and bool(falls(m)),
    "sitting after a run": lambda m: (
        travel(m)[0] > 2.0 and pelvis_drop(m) > 0.25 and bool(hips(m)[-5:].mean() < 0.7)
    ),
}
"""What tells whether a motion does what is asked; "never": nothing that it makes can show that."""


def measured(pipeline: Any, prompt: str, measure: str, seeds: int) -> float:
    """Return the share of seeds that do what is asked."""
    if measure == "never":
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", motionrt.MotionWarning)  # the measure judges
        motions = pipeline.generate_many(
            prompt, seconds=SECONDS, seed=FIRST_SEED, num_samples=seeds
        )
    return float(np.mean([MEASURES[measure](motion) for motion in motions]))


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle; else the embedded one.")
@click.option("--measure", "wanted", is_flag=True, help="Generate, and measure what is done.")
@click.option("--seeds", default=4, show_default=True, help="Motions for each prompt.")
@click.option(
    "--calibrate", type=click.Path(path_type=Path), help="Measure and fit anew, in this bundle."
)
def main(bundle: Path | None, wanted: bool, seeds: int, calibrate: Path | None) -> None:
    """Print which prompts are hinted, and whether that is right."""
    if calibrate is not None:
        from motionrt.train.default.recipe import recalibrate

        recalibrate(calibrate, click.echo)
        bundle = bundle or calibrate
    pipeline: Any = motionrt.load(bundle) if bundle else motionrt.load()
    listed = json.loads(PROMPTS.read_text("utf-8"))
    shares = {}
    for side, prompts in listed.items():
        hinted = {prompt for prompt in prompts if pipeline.hints([prompt])}
        shares[side] = len(hinted) / len(prompts)
        for prompt, measure in prompts.items():
            done = f" {measured(pipeline, prompt, measure, seeds):4.0%} do it" if wanted else ""
            click.echo(f"{side:6}{done} {'hint' if prompt in hinted else '-':4} {prompt}", err=True)
    click.echo("| prompts | hinted | asked |\n| --- | --- | --- |")
    click.echo(
        f"| {len(listed['can'])} it can do | {shares['can']:.0%} | at most {MAX_HINTED:.0%} |"
    )
    click.echo(
        f"| {len(listed['cannot'])} it cannot do | {shares['cannot']:.0%} "
        f"| at least {MIN_HINTED:.0%} |"
    )


if __name__ == "__main__":
    main()
