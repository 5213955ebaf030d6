"""Describe a motion in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._flags import flag
from motionrt.cli._reading import Reading, reading_options_beside
from motionrt.cli._standard_input import MotionFile


@click.command("caption")
@click.argument("motions", nargs=-1, type=MotionFile())
@bundle_options
@flag(
    "question",
    help="Ask this instead, with <Motion_Placeholder> where the motion belongs, for example "
    "'What is <Motion_Placeholder>?'.",
)
@flag("max-tokens", type=int, help="Longest answer.  [default: the model's, 40 or 128]")
@flag("sample", is_flag=True, help="Draw the words instead of taking the likeliest.")
@flag(
    "temperature",
    type=float,
    help="Draw the words: 1 as the model was trained, lower varies less.  [default: the model's]",
)
@flag(
    "top-p",
    type=float,
    help="Draw the words from the likeliest that have this share together.  [default: the model's]",
)
@flag("seed", type=int, help="Where words are drawn: the same seed gives the same ones.")
@reading_options_beside("--sample")
@backend_options
@flag("json", "as_json", is_flag=True, help="Print a machine-readable list.")
def command(
    motions: tuple[Path, ...],
    bundle: Path | None,
    model: str | None,
    question: str | None,
    max_tokens: int | None,
    sample: bool,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    backend: str,
    threads: int,
    as_json: bool,
    reading: Reading,
) -> None:
    """Describe MOTIONS: files of any motion format, or .npy with features or joint positions.

    Joints are recognised by their names; .npy holds HumanML3D's 263 features a frame, or positions
    of its 22 joints at 20 frames a second. Without MOTIONS, a --question that names none is
    answered in words alone (MotionGPT3).
    """
    if seed is not None and not sample and temperature is None and top_p is None:
        raise click.UsageError("--seed goes with --sample, --temperature or --top-p")
    if not motions and question is None:
        raise click.UsageError("name motions to describe, or ask a --question without one")
    if not motions and "<Motion_Placeholder>" in (question or ""):
        raise click.UsageError("the question is about a motion: name its file")
    from motionrt.runtime.formats.readers.npy import read_npy_array
    from motionrt.runtime.pipeline import load

    pipeline = load(find_bundle(bundle, model), backend, threads)
    words: dict[str, Any] = {
        "max_tokens": max_tokens,
        "sample": sample,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
    }
    if not motions:
        (answer,) = pipeline.write_many([question or ""], **words)
        click.echo(json.dumps([{"question": question, "text": answer}]) if as_json else answer)
        return
    clips: list[Any] = []
    of_arrays = {k: v for k, v in reading.options.items() if k in ("sample", "scale", "z_up")}
    for path in motions:
        npy = path.suffix.lower() == ".npy" and path.is_file()
        clips.append(read_npy_array(path, **of_arrays) if npy else reading.read(path))
    texts = pipeline.caption_many(clips, question, **words)
    if as_json:
        rows = [{"file": str(p), "text": t} for p, t in zip(motions, texts, strict=True)]
        click.echo(json.dumps(rows))
        return
    for path, text in zip(motions, texts, strict=True):
        click.echo(f"{path}: {text}" if len(motions) > 1 else text)
