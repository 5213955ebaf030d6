"""Write the C library's tables: Unicode's properties, and skeletons that expand to larger ones.

    python make_tables.py [FOLDER]

The files are committed, so that a C compiler alone builds the library; a test compares them with
what this script writes. Unicode's are those of the running Python.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
SKELETONS = HERE.parents[2] / "assets" / "skeletons"
EXPANDED = (("soma77", "soma30"),)
LAST = 0x110000
SPACE, WHITE, ALNUM, CASED, IGNORABLE, NONSPACING = 32, 64, 128, 256, 512, 1024
"""Flags beside a character's group (0 to 7) in the table of runs."""
GROUPS = {"L": 1, "N": 2, "M": 3, "P": 4, "C": 5, "S": 6, "Z": 7}
WHITE_SPACE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029}
WHITE_SPACE |= {0x202F, 0x205F, 0x3000}


def properties(code: int) -> int:
    """Group and flags of a character."""
    char = chr(code)
    group = GROUPS[unicodedata.category(char)[0]]
    flags = SPACE * char.isspace() | ALNUM * char.isalnum()
    flags |= WHITE * (code in WHITE_SPACE) | NONSPACING * (unicodedata.category(char) == "Mn")
    # A final sigma is one that a cased character comes before, what is ignorable left out.
    if not 0xD800 <= code < 0xE000:
        cased = ("a" + char + "Σ").lower().endswith("ς"), (char + "Σ").lower().endswith("ς")
        if cased[1]:
            flags |= CASED
        elif cased[0]:
            flags |= IGNORABLE
    return group | flags


def runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """(first index, value) of each run of equal values."""
    found: list[tuple[int, int]] = []
    for index, value in enumerate(values):
        if not found or found[-1][1] != value:
            found.append((index, value))
    return found


def table(name: str, kind: str, rows: Sequence[object], per_line: int = 10) -> str:
    """A C array."""
    lines = [
        "    " + ", ".join(str(row) for row in rows[start : start + per_line]) + ","
        for start in range(0, len(rows), per_line)
    ]
    return f"static const {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def mapping(name: str, change: str) -> str:
    """Tables of a case mapping: single characters, and those that become several."""
    single, several = [], []
    for code in range(LAST):
        if 0xD800 <= code < 0xE000:
            continue
        new = getattr(chr(code), change)()
        if len(new) == 1 and ord(new) != code:
            single.append(f"{{{code:#x}, {ord(new):#x}}}")
        elif len(new) > 1:
            three = [*map(ord, new), 0][:3]
            several.append("{%#x, {%#x, %#x, %#x}}" % (code, *three))
    text = table(f"{name}_single", "case_pair", single, 5)
    return text + table(f"{name}_several", "case_several", several, 2) if several else text


def unicode_tables() -> str:
    """unicode_tables.h."""
    found = runs(properties(code) for code in range(LAST))
    classes = runs(unicodedata.combining(chr(code)) for code in range(LAST))
    decompositions, pairs = [], []
    for code in range(LAST):
        parts = unicodedata.decomposition(chr(code))
        if not parts or parts.startswith("<") or 0xAC00 <= code < 0xD7A4:
            continue
        codes = [int(part, 16) for part in parts.split()]
        decompositions.append("{%#x, {%#x, %#x}}" % (code, codes[0], codes[1] if codes[1:] else 0))
        if unicodedata.normalize("NFC", parts and "".join(map(chr, codes))) == chr(code):
            pairs.append((codes[0], codes[1], code))
    composed = ["{%#x, %#x, %#x}" % row for row in sorted(pairs)]
    return "\n".join(
        [
            f"/* Unicode {unicodedata.unidata_version}, written by make_tables.py. */",
            table("property_starts", "uint32_t", [f"{start:#x}" for start, _ in found]),
            table("property_values", "uint16_t", [value for _, value in found], 16),
            table("combining_starts", "uint32_t", [f"{start:#x}" for start, _ in classes]),
            table("combining_values", "uint8_t", [value for _, value in classes], 16),
            mapping("lower", "lower"),
            mapping("upper", "upper"),
            mapping("title", "title"),
            table("decompositions", "decomposition", decompositions, 3),
            table("compositions", "composition", composed, 3),
        ]
    )


def numbers(rows: object) -> list[str]:
    """The numbers of nested lists, as C's float32 constants."""
    if isinstance(rows, list):
        return [text for row in rows for text in numbers(row)]
    text = f"{rows!r}" if isinstance(rows, float) else f"{rows}.0"
    return [f"{text}f"]


def skeleton_tables() -> str:
    """expansion_tables.h."""
    text = "/* Written by make_tables.py from the package's skeletons. */\n"
    entries = []
    for larger, smaller in EXPANDED:
        large = json.loads((SKELETONS / f"{larger}.json").read_text("utf-8"))
        small = json.loads((SKELETONS / f"{smaller}.json").read_text("utf-8"))
        text += table(f"{larger}_indices", "int32_t", small["indices_in_expanded"], 16)
        for name in (
            "relaxed_hands_local_rot_mats",
            "bvh_rest_positions",
            "bvh_rotation_offsets",
        ):
            text += table(f"{larger}_{name}", "float", numbers(large[name]), 6)
        entries.append(
            f'    {{"{larger}", {len(large["joint_names"])}, {len(small["joint_names"])},\n'
            f"     {larger}_indices, {larger}_relaxed_hands_local_rot_mats,\n"
            f"     {larger}_bvh_rest_positions, {larger}_bvh_rotation_offsets}},"
        )
    rows = "\n".join(entries)
    return f"{text}static const expansion expansions[] = {{\n{rows}\n}};\n"


def main(folder: Path = HERE) -> None:
    """Write both files."""
    (folder / "unicode_tables.h").write_text(unicode_tables(), "utf-8")
    (folder / "expansion_tables.h").write_text(skeleton_tables(), "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
