"""How prompts are worded: templates by name, of whoever asks, or out of a file.

A file is JSON: names and texts, or instructions as models are tuned on them, groups of tasks with
their ``input`` texts, of which those count that ask for a motion by a caption.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.motiongpt3.prompt import (
    CAPTION_PLACE,
    GIVEN_MOTION,
    MASKED,
    TEMPLATES,
    check_text,
)

LONGEST_FILE = 4 << 20
LONGEST_TEMPLATE = 4096
"""Letters."""
_ENDING = ".json"


def find_template(asked: str | None) -> str:
    """Return a template: by its name, itself, or from a file; None is the one of training.

    InputError if it is none of these, or does not say where the caption goes.
    """
    if asked is None:
        return TEMPLATES["caption"]
    if asked in TEMPLATES:
        return TEMPLATES[asked]
    place, ending, name = asked.partition(_ENDING)
    if ending and (not name or name.startswith(":")) and CAPTION_PLACE not in asked:
        templates = read_templates(Path(place + ending))
        if not name:
            return next(iter(templates.values()))
        if name[1:] not in templates:
            raise InputError(
                f"{place + ending}: has no template {one_line(name[1:], 100)!r}; it has "
                f"{one_line(', '.join(templates), 300)}"
            )
        return templates[name[1:]]
    if CAPTION_PLACE not in asked:
        raise InputError(
            f"template {one_line(asked, 100)!r} is unknown; choose {' or '.join(TEMPLATES)}, write "
            f"one with {CAPTION_PLACE}, or name a {_ENDING} file of templates"
        )
    return _checked(asked, "template")


def read_templates(path: Path) -> dict[str, str]:
    """Read the templates of a file that ask for a motion by a caption, by name.

    Of nested instructions the name is the task, numbered from the second text of a task on
    (``caption``, ``caption#2``). InputError if the file has none.
    """
    try:
        size = path.stat().st_size
        if size > LONGEST_FILE:
            raise InputError(f"{path}: {size} bytes of templates; {LONGEST_FILE} are the most")
        refuse_lfs_pointer(path)
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no JSON ({error})") from None
    found: dict[str, str] = {}
    for name, text in _texts(document):
        if CAPTION_PLACE not in text or GIVEN_MOTION in text or MASKED in text:
            continue
        number, unique = 1, name
        while unique in found:
            number += 1
            unique = f"{name}#{number}"
        found[unique] = _checked(text, f"{path}: template {one_line(unique, 100)!r}")
    if not found:
        raise InputError(f"{path}: has no template with {CAPTION_PLACE}")
    return found


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """Give names and texts: of a plain table, or the inputs of groups of tasks."""
    if not isinstance(document, Mapping):
        return
    for name, value in document.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping) and isinstance(value.get("input"), list):
            yield from ((name, text) for text in value["input"] if isinstance(text, str))
        elif isinstance(value, Mapping):
            for task, inner in value.items():
                inputs = inner.get("input") if isinstance(inner, Mapping) else None
                if isinstance(inputs, list):
                    yield from ((task, text) for text in inputs if isinstance(text, str))


def _checked(text: str, what: str) -> str:
    if len(text) > LONGEST_TEMPLATE:
        raise InputError(f"{what} of {len(text)} letters: {LONGEST_TEMPLATE} are the most")
    try:
        return check_text(text, (GIVEN_MOTION, MASKED))
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
