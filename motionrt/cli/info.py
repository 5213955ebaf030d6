"""Measure motion files: length, path, speed, foot-skate, jitter, and what no body does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile, shown
from motionrt.runtime.errors import one_line

if TYPE_CHECKING:
    from motionrt.runtime.body.quality import Quality

EXAMPLES = """\b
motionrt info walk.npz
motionrt info --json *.bvh
"""


@click.command(epilog=EXAMPLES)
@click.argument("motions", metavar="MOTION...", nargs=-1, required=True, type=MotionFile())
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file.")
def command(motions: tuple[Path, ...], as_json: bool, reading: Reading) -> None:
    """Measure MOTION files (.npz, .bvh, .glb, .csv).

    Foot-skate is the mean speed of feet that stand (0: they do not slide), jitter the mean jerk of
    the joints (lower: steadier). The last lines are the figures by which gen judges motions; what
    passes a limit is doubtful.
    """
    from motionrt.runtime.body.metrics import measure
    from motionrt.runtime.body.quality import judge

    for number, (path, motion) in enumerate(zip(motions, reading.read_all(motions), strict=True)):
        measures, quality = measure(motion), judge(motion)
        if as_json:
            keys = [key for key in ("model", "licence") if key in motion.info]
            made: dict[str, Any] = {key: motion.info[key] for key in keys}
            document: dict[str, Any] = {"file": shown(path), **measures, **made}
            document["quality"] = quality.to_json()
            click.echo(json.dumps(document))
            continue
        if number:
            click.echo()
        click.echo(shown(path))
        for label, text in [*_rows(measures), *_judged(quality), *_made_by(motion.info)]:
            click.echo(f"  {label:<14}{text}")


def _judged(quality: Quality) -> list[tuple[str, str]]:
    figures = {figure.name: figure for figure in quality.figures}

    def told(**labels: str) -> str:
        found = [
            label.format(joint=figures[name].joint, value=figures[name].value)
            for name, label in labels.items()
            if name in figures
        ]
        return ", ".join(found) or "not known"

    return [
        (
            "fastest",
            told(
                root_speed_mps="{joint} {value:.2f} m/s",
                joint_speed_mps="{joint} {value:.2f} m/s",
            ),
        ),
        ("off the floor", told(height_m="{value:.2f} m above", depth_m="{value:.2f} m under")),
        ("sliding", told(body_slide_m="body {value:.2f} m", foot_slide_m="{joint} {value:.2f} m")),
        ("worst second", told(jitter_mps3="jitter of {value:.1f} m/s³")),
        *(("doubtful", quality.told(figure)) for figure in quality.outside),
    ]


def _made_by(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what model made a motion, where its file keeps that, and under which licence that is."""
    if "model" not in info:
        return []
    told = [("made by", one_line(info["model"]))]
    if info.get("licence"):
        told.append(("its licence", one_line(info["licence"])))
    return told


def _rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    def number(name: str, unit: str, decimals: int = 2) -> str:
        value = values[name]
        return "not known" if value is None else f"{value:.{decimals}f} {unit}"

    def span(name: str) -> str:
        low, high = values[name]
        return f"{low:.2f} to {high:.2f} m"

    skate = number("foot_skate_mps", "m/s", 3)
    if values["foot_contacts"] == "guessed" and values["foot_skate_mps"] is not None:
        skate += " (contacts guessed from heights)"
    return [
        ("skeleton", f"{values['skeleton']}, {values['joints']} joints"),
        ("length", f"{values['seconds']:.2f} s, {values['frames']} frames, {values['fps']:g} fps"),
        ("path", number("path_length_m", "m")),
        ("displacement", number("displacement_m", "m")),
        ("mean speed", number("mean_speed_mps", "m/s")),
        ("turn", number("turn_deg", "degrees", 0)),
        ("root height", span("root_height_m")),
        ("joint heights", span("joint_height_m")),
        ("foot-skate", skate),
        ("jitter", number("jitter_mps3", "m/s³", 1)),
    ]
