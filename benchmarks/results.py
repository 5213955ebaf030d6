"""RESULTS.md: each benchmark owns a section."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_section(heading: str, text: str) -> None:
    """Put a section, its heading not in text, into RESULTS.md in place of an older one."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else "# Results\n"
    section = f"## {heading}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if pattern.search(old):
        new = pattern.sub(lambda _: section + "\n", old)
    else:
        new = f"{old.rstrip()}\n\n{section}"
    RESULTS.write_text(new.rstrip("\n") + "\n", encoding="utf-8")
