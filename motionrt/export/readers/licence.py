"""What a checkpoint's folder says of the licence of its weights."""

from __future__ import annotations

import re
from pathlib import Path

_LARGEST = 1 << 20
"""Bytes of a licence's text; what is larger is something else."""
_NAMES = re.compile(r"(licen[cs]e|notice|copying)([-_.].*)?", re.IGNORECASE)
_FRONT = re.compile(r"---\s*\n(.*?)\n---\s*(\n|$)", re.DOTALL)


def licence_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are a licence or a notice by their names."""
    return sorted(
        path
        for path in folder.iterdir()
        if _NAMES.fullmatch(path.name) and path.is_file() and path.stat().st_size <= _LARGEST
    )


def stated_licence(folder: Path) -> str:
    """Return the licence that a model card's front matter states, empty if there is none.

    ``license: other`` is told by its ``license_name``, as the Hugging Face Hub has it.
    """
    card = folder / "README.md"
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as file:
        front = _FRONT.match(file.read(_LARGEST))
    if front is None:
        return ""
    said: dict[str, str] = {
        key: value.strip().strip("\"'")
        for key, value in re.findall(r"^(license|license_name):[ \t]*(\S.*)$", front[1], re.M)
    }
    licence = said.get("license", "")
    return said.get("license_name", licence) if licence in ("", "other") else licence
