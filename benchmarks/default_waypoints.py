"""Lead the embedded default through places that lie far apart, round corners and back.

python benchmarks/default_waypoints.py                 # the embedded default
python benchmarks/default_waypoints.py --bundle DIR
python benchmarks/default_waypoints.py --guidance 2.5 --guidance 1   # of text, of constraints
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click
import numpy as np

import motionrt
from motionrt.constraints import Root2D
from motionrt.runtime.body.motion import Motion
from motionrt.train.default.quality import foot_drift, mean_jerk

SECONDS = 5.0
LAST = 99
CASES: dict[str, list[tuple[float, float]]] = {
    "straight, 2 x 3 m": [(0, 0), (0, 3), (0, 6)],
    "corner, 2 x 3 m": [(0, 0), (0, 3), (3, 3)],
    "corner, 2 x 4 m": [(0, 0), (0, 4), (4, 4)],
    "corner, 2 x 6 m": [(0, 0), (0, 6), (6, 6)],
    "there and back, 2 x 4 m": [(0, 0), (0, 4), (0, 0)],
    "sharp corner, 5 and 5 m": [(0, 0), (0, 5), (3, 1)],
    "zigzag, 1.6 to 2.1 m": [(0, 0), (0.8, 1.4), (-0.8, 1.4), (0.8, 2.8), (-0.8, 2.8)],
    "square, 4 x 2 m": [(0, 0), (0, 2), (2, 2), (2, 0), (0, 0)],
    "dense curve, 6 m": [
        (2.5 * (1 - np.cos(angle)), 2.5 * np.sin(angle)) for angle in np.linspace(0, 2.4, LAST + 1)
    ],
}
"""x and z in metres, evenly over the time."""


def figures(motion: Motion, frames: list[int], places: list[tuple[float, float]]) -> list[float]:
    """Give the hips' highest speed, how far off they are, their highest, drift, jerk, warned."""
    hips = motion.posed_joints[:, 0].astype(np.float64)
    speed = np.linalg.norm(np.diff(hips, axis=0), axis=-1).max() * motion.fps
    off = np.linalg.norm(hips[frames][:, [0, 2]] - np.array(places), axis=-1).mean()
    outside = bool(motion.info["quality"]["outside"])
    return [speed, off, hips[:, 1].max(), foot_drift(motion), mean_jerk(motion), outside]


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle; else the embedded one.")
@click.option("--seeds", default=8, show_default=True, help="Motions for each path.")
@click.option("--guidance", multiple=True, type=float, help="Guidance weights; else the bundle's.")
def main(bundle: Path | None, seeds: int, guidance: tuple[float, ...]) -> None:
    """Walk along every path and print a table."""
    warnings.simplefilter("ignore", motionrt.MotionWarning)
    pipeline: Any = motionrt.load(bundle) if bundle else motionrt.load()
    options = {"guidance_weights": list(guidance)} if guidance else {}
    click.echo(
        "| waypoints in 5 s | asked, m/s | hips, fastest | off, m | hips, highest, m | drift, m/s "
        "| jerk, m/s³ | outside limits |"
    )
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, places in CASES.items():
        frames = [round(LAST * number / (len(places) - 1)) for number in range(len(places))]
        constraint = Root2D(frames, [list(place) for place in places])
        legs = np.linalg.norm(np.diff(places, axis=0), axis=-1)
        asked = (legs / np.diff(frames)).max() * pipeline.fps
        found = np.array(
            [
                figures(
                    pipeline.generate(
                        "a person walks", SECONDS, seed=seed, constraints=[constraint], **options
                    ),
                    frames,
                    places,
                )
                for seed in range(seeds)
            ]
        )
        off, drift, jerk = found[:, [1, 3, 4]].mean(0)
        click.echo(
            f"| {name} | {asked:.1f} | {found[:, 0].max():.1f} | {off:.3f} "
            f"| {found[:, 2].max():.2f} | {drift:.2f} | {jerk:.0f} "
            f"| {found[:, 5].sum():.0f} of {seeds} |"
        )


if __name__ == "__main__":
    main()
