"""What a command line, a folder with a meta.json, or a list asks for, as requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import InputError
from motionrt.runtime.families import Family
from motionrt.runtime.input_folder import read_input_folder, with_guidance
from motionrt.runtime.request import Request, split_request


def request_of_prompt(
    prompt: str, duration: str, family: Family, options: Mapping[str, Any], common: dict[str, Any]
) -> Request:
    """Make the request of a prompt: one motion, of as many parts as the family sees in it."""
    prompts, seconds = split_request(prompt, duration, family)
    return Request.make(
        family,
        prompts,
        seconds,
        multi_prompt=family.takes_sequences,
        options=options,
        **common,
    )


def request_of_folder(
    folder: Path, family: Family, options: Mapping[str, Any], common: dict[str, Any]
) -> Request:
    """Make the request of a folder with meta.json; what it states wins over flags.

    But for constraints and guidance, where flags win. InputError names what is wrong in it.
    """
    read = read_input_folder(folder)
    if len(read.texts) > 1 and not family.takes_sequences:
        raise InputError(f"{folder}: {len(read.texts)} texts, {family.name} takes one")
    asked = dict(options)
    if read.constraints is not None:
        asked.setdefault("constraints", read.constraints)
    if read.diffusion_steps is not None:
        asked["num_steps"] = read.diffusion_steps
    asked = with_guidance(asked, read.guidance)
    settled = dict(common)
    if read.num_samples is not None:
        settled["num_samples"] = read.num_samples
    if read.has_seed:
        settled["seed"] = read.seed
    return Request.make(
        family,
        read.texts,
        read.seconds,
        multi_prompt=family.takes_sequences,
        options=asked,
        **settled,
    )
