"""What is asked for, validated once.

`motionrt gen`, the lines of `--batch`, folders with a meta.json, and callers from Python all make
a `Request`; the rules that turn it into a run stand here, or in the family. Its JSON form is
described in docs/request.md, and its schema comes from `request_schema`.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import msgspec

from motionrt.runtime.errors import InputError
from motionrt.runtime.families import Family
from motionrt.runtime.options import (
    FILE_KINDS,
    MOTION_KINDS,
    Kind,
    Option,
    check_options,
    did_you_mean,
)
from motionrt.runtime.sampling.noise import MAX_SEED
from motionrt.runtime.text.prompt import split_prompt

DEFAULT_SECONDS = 5.0
MAX_PROMPT_LETTERS = 100_000
"""Of each part of a prompt; text encoders see a few hundred words at most."""

_JSON_TYPES: dict[Kind, Any] = {
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.NUMBERS: list[float],
    Kind.TEXT: str,
    Kind.SWITCH: bool,
    Kind.FILE: str,
    Kind.TWO_FILES: tuple[str, str],
    Kind.CONSTRAINTS: str | list[dict[str, Any]],
}
_COMMON: dict[str, tuple[Any, str]] = {
    "prompt": (str | None, "A text; where the family takes sequences, each sentence is a part."),
    "prompts": (
        list[str] | None,
        "Texts that are taken as they are, instead of prompt: the parts of one motion where the "
        "family takes sequences, else one.",
    ),
    "seconds": (
        float | list[float] | str | None,
        "Length; one number, or one for each part, as a list or separated by blanks. Default 5.",
    ),
    "num_frames": (int | list[int] | None, "Length in frames, instead of seconds."),
    "seed": (
        Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)] | None,
        "The same seed, bundle and backend give the same motion; null draws one.",
    ),
    "num_samples": (
        Annotated[int, msgspec.Meta(ge=1, le=MAX_SEED)],
        "Motions to generate. Default 1.",
    ),
    "sample_seeds": (bool, "Sample i is that of a run of its own with seed + i."),
    "multi_prompt": (bool | None, "false: the prompts are a motion each, not parts of one."),
}
KEYWORDS = (*_COMMON, "progress")
"""What every request has, beside its family's options."""


@dataclass(frozen=True)
class Request:
    """One request. Make it with `make` or `from_json`, which check it; equal ones ask the same."""

    prompts: tuple[str, ...]
    seconds: tuple[float, ...]
    """Of each prompt."""
    num_frames: tuple[int, ...] | None = None
    """Of each prompt, instead of seconds."""
    seed: int | None = None
    """None draws one."""
    num_samples: int = 1
    sample_seeds: bool = False
    """Sample i is that of a run of its own with seed + i; otherwise all are drawn from one seed."""
    multi_prompt: bool = False
    """The prompts are one motion, one after another, and not a motion each."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The family's, presets resolved."""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise InputError("no prompt given")
        for text in self.prompts:
            _check_prompt(text)
        lengths = self.seconds if self.num_frames is None else self.num_frames
        if len(lengths) != len(self.prompts):
            raise InputError(f"{len(lengths)} durations for {len(self.prompts)} prompts")
        if not 1 <= self.num_samples <= MAX_SEED:
            raise InputError(f"{self.num_samples} samples: must be from 1 to {MAX_SEED}")
        if self.seed is not None:
            most = MAX_SEED - (self.num_samples - 1 if self.sample_seeds else 0)
            if not 0 <= self.seed <= most:
                raise InputError(f"seed {self.seed}: must be from 0 to {most}")

    @classmethod
    def make(
        cls,
        family: Family,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        *,
        num_frames: int | Sequence[int] | None = None,
        seed: int | None = None,
        num_samples: int = 1,
        sample_seeds: bool = False,
        multi_prompt: bool = False,
        options: Mapping[str, object] | None = None,
    ) -> Request:
        """Make a request of a family; one length serves all prompts.

        InputError names what does not fit: an option or a preset that the family does not have, a
        length that is no number, prompts in sequence where the family takes none.
        """
        if not isinstance(prompt, Iterable) or isinstance(prompt, (Mapping, bytes)):
            raise InputError(
                f"prompt is {type(prompt).__name__}, must be a text or a list of texts"
            )
        prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
        checked = check_options(family.name, family.options, options or {}, KEYWORDS)
        for name, value in checked.items():
            if family.options[name].kind in FILE_KINDS:
                _check_place(name, value)
        frames = None
        if num_frames is not None:
            counts = _of_each(num_frames, len(prompts))
            frames = tuple(whole_number(count, "num_frames") for count in counts)
        if multi_prompt and not family.takes_sequences and len(prompts) > 1:
            raise InputError(
                f"{family.name} makes a motion of one prompt, {len(prompts)} are given as parts of "
                "one; ask for a motion each (generate_many)"
            )
        return cls(
            prompts,
            _seconds(seconds, len(prompts)),
            frames,
            None if seed is None else whole_number(seed, "seed"),
            whole_number(num_samples, "num_samples"),
            sample_seeds,
            multi_prompt and family.takes_sequences,
            _resolved(family, checked),
        )

    @classmethod
    def from_json(
        cls,
        document: object,
        family: Family,
        folder: str | Path | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> Request:
        """Read a request's JSON form, parsed; files in it are relative to folder.

        defaults are keys and options for what the document leaves open. InputError names the key
        that is missing, unknown (with the nearest that is known) or of another type.
        """
        if not isinstance(document, Mapping):
            raise InputError("a request is an object with prompt, or prompts")
        known = request_fields(family)
        for key in document:
            if key not in known:
                near = did_you_mean(str(key), known)
                raise InputError(f"unknown key {key}{near} (known: {', '.join(sorted(known))})")
        try:
            given = msgspec.to_builtins(msgspec.convert(document, _document_type(family)))
        except msgspec.ValidationError as error:
            raise InputError(_reason(error)) from None
        except UnicodeEncodeError as error:
            raise InputError(f"a text holds half a character ({error.reason})") from None
        values = {key: value for key, value in given.items() if value is not None}
        if ("prompt" in values) == ("prompts" in values):
            raise InputError("give prompt, or prompts")
        values = {
            name: _placed(family.options.get(name), value, folder) for name, value in values.items()
        }
        values = {**(defaults or {}), **values}
        common = {key: values.pop(key) for key in _COMMON if key in values}
        prompts, seconds = common.pop("prompts", None), common.pop("seconds", DEFAULT_SECONDS)
        if prompts is None:
            prompts, seconds = split_request(common.pop("prompt"), seconds, family)
        elif isinstance(seconds, str):
            seconds = _numbers(seconds)
        common.setdefault("multi_prompt", family.takes_sequences)
        return cls.make(family, prompts, seconds, options=values, **common)

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form; InputError if an option is an object that JSON cannot hold."""
        options = {}
        for name, value in self.options.items():
            try:
                options[name] = json.loads(json.dumps(value, default=_plain, allow_nan=False))
            except (TypeError, ValueError):
                raise InputError(f"{name} is {type(value).__name__}: give a file") from None
        document: dict[str, Any] = {"prompts": list(self.prompts)}
        if self.num_frames is None:
            document["seconds"] = list(self.seconds)
        else:
            document["num_frames"] = list(self.num_frames)
        return {
            **document,
            "seed": self.seed,
            "num_samples": self.num_samples,
            "sample_seeds": self.sample_seeds,
            "multi_prompt": self.multi_prompt,
            **options,
        }

    def motion_files(self, family: Family) -> list[Path]:
        """Return the motion files that options name."""
        files: list[Path] = []

        def note(path: Path) -> Path:
            files.append(path)
            return path

        self.with_motions(family, note)
        return files

    def with_motions(self, family: Family, read: Callable[[Path], object]) -> Request:
        """Return the request with every motion file in its options replaced by what read gives."""

        def filled(value: Any) -> Any:
            return read(Path(value)) if isinstance(value, (str, PathLike)) else value

        options = dict(self.options)
        for name, value in self.options.items():
            kind = family.options[name].kind
            if kind is Kind.TWO_FILES and isinstance(value, (list, tuple)):
                options[name] = tuple(filled(each) for each in value)
            elif kind in MOTION_KINDS:
                options[name] = filled(value)
        return replace(self, options=options)

    def digest(self, family: Family) -> str:
        """Give a hash of all that is asked for, the content of files included."""
        document = self.to_json()
        for name, value in self.options.items():
            if family.options[name].kind in FILE_KINDS:
                places = value if isinstance(value, (list, tuple)) else [value]
                document[name] = [_content(place) for place in places]
        text = json.dumps(document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def num_frames(seconds: float, fps: float) -> int:
    """Return the frames of a duration, cut to a whole number as upstream does."""
    return int(min(seconds * fps, sys.maxsize))


def split_request(
    prompt: str, seconds: float | Sequence[float] | str, family: Family
) -> tuple[list[str], list[float]]:
    """Read a text and its length as the command line does: parts with the seconds of each.

    A family that takes sequences gets a part for every sentence; seconds are one number, or one for
    each part, as numbers or as a text with blanks between. InputError if they do not fit.
    """
    if isinstance(seconds, Sequence) and not isinstance(seconds, str):
        seconds = " ".join(str(value) for value in seconds)
    if family.takes_sequences:
        return split_prompt(prompt, seconds)
    found = _numbers(seconds) if isinstance(seconds, str) else [seconds]
    if len(found) != 1:
        raise InputError(f"duration {seconds!r}: {family.name} takes one number of seconds")
    return [prompt], found


def _check_prompt(text: object) -> None:
    if not isinstance(text, str):
        raise InputError("a prompt must be a text")
    if len(text) > MAX_PROMPT_LETTERS:
        raise InputError(
            f"prompt of {len(text)} letters: at most {MAX_PROMPT_LETTERS}; "
            "describe one short motion"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start].encode("unicode_escape").decode("ascii")
        raise InputError(
            f"prompt holds {found}, which is no letter: give it in UTF-8, or whole UTF-16 pairs"
        ) from None


def _check_place(name: str, value: Any) -> None:
    """Raise InputError for a path that no system can hold."""
    for place in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(place, (str, os.PathLike)):
            continue
        try:
            if b"\0" in os.fsencode(place):
                raise InputError(f"{name}: {os.fspath(place)!r} is no path, it holds a zero byte")
        except UnicodeEncodeError as error:
            raise InputError(f"{name}: {os.fspath(place)!r} is no path ({error.reason})") from None


def request_fields(family: Family) -> dict[str, str]:
    """Return the keys of a request's JSON form with what each means."""
    return {
        **{name: text for name, (_, text) in _COMMON.items()},
        **{name: option.help.partition("  [")[0] for name, option in family.options.items()},
    }


def request_schema(families: Sequence[Family]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a request: one of the families'."""
    types = [_document_type(family) for family in families]
    _, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for family in families:
        properties = definitions[family.name]["properties"]
        for name, text in request_fields(family).items():
            properties[name] = {**properties[name], "description": text}
        # A key whose value is null counts as left out.
        definitions[family.name]["oneOf"] = [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
            for name in ("prompt", "prompts")
        ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A request for motions",
        "anyOf": [{"$ref": f"#/$defs/{family.name}"} for family in families],
        "$defs": definitions,
    }


def _document_type(family: Family) -> type[msgspec.Struct]:
    defaults: dict[str, Any] = {"num_samples": 1, "sample_seeds": False}
    fields: list[tuple[str, Any, Any]] = [
        (name, kind, defaults.get(name)) for name, (kind, _) in _COMMON.items()
    ]
    fields += [
        (name, _JSON_TYPES[option.kind] | None, None) for name, option in family.options.items()
    ]
    return msgspec.defstruct(family.name, fields, forbid_unknown_fields=True, kw_only=True)


def _resolved(family: Family, options: dict[str, Any]) -> dict[str, Any]:
    """Put what a preset stands for in its place, where it is not given itself."""
    preset = options.pop("preset", None)
    if preset is None:
        return options
    if preset not in family.presets:
        raise InputError(f"preset {preset!r}: {family.name} has {', '.join(family.presets)}")
    return {**family.presets[preset], **options}


def _seconds(seconds: float | Sequence[float], count: int) -> tuple[float, ...]:
    values = _of_each(seconds, count)
    for value in values:
        if isinstance(value, (bool, str)) or not (math.isfinite(value) and value > 0):
            raise InputError(f"duration {value} s: must be a finite number above 0")
    return tuple(float(value) for value in values)


def _numbers(words: str) -> list[float]:
    try:
        return [float(word) for word in words.split()]
    except ValueError:
        raise InputError(f"duration {words!r}: expected seconds") from None


def _of_each(values: Any, count: int) -> list[Any]:
    """Return a list as it is, and one number as often as there are prompts."""
    listed = hasattr(values, "__iter__") and not isinstance(values, str)
    return list(values) if listed else [values] * count


def whole_number(value: Any, name: str) -> int:
    """Return a value as an int; InputError, by its name, if it is no whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}, must be a whole number") from None


def _placed(option: Option | None, value: Any, folder: str | Path | None) -> Any:
    """Make the paths of an option relative to a folder."""
    if folder is None or option is None or option.kind not in FILE_KINDS:
        return value
    if isinstance(value, str):
        return str(Path(folder) / value)
    if option.kind is Kind.TWO_FILES:
        return tuple(str(Path(folder) / place) for place in value)
    return value


def _content(value: object) -> Any:
    """Return the hash of a file, or a value that is none as it is."""
    if not isinstance(value, (str, Path)):
        return value
    try:
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{value}: cannot be read ({error.strerror or error})") from error


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return tolist()
    raise TypeError


def _reason(error: msgspec.ValidationError) -> str:
    text, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if place else text
