"""Write the C library's tables: Unicode's properties, and skeletons that expand to larger ones.

    python make_tables.py [FOLDER]

The files are committed, so that a C compiler alone builds the library; a test compares them with
what this script writes. Properties are asked of those whose results the library has to give: of
Python, by whose strings prompts are cleaned, and of the tokenizers package, whose tables are of
several versions of Unicode.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import Regex, normalizers, pre_tokenizers

HERE = Path(__file__).parent
Value = TypeVar("Value")
SKELETONS = HERE.parents[2] / "assets" / "skeletons"
EXPANDED = (("soma77", "soma30"),)
LAST, PLANE = 0x110000, 0x10000
NFD = normalizers.NFD()
FLAGS = (
    "space",  # of Python's strings, by which prompts are cleaned
    "alnum",
    "cased",
    "ignorable",
    "letter",  # of the tokenizers' patterns
    "number",
    "white",
    "sign",  # of BERT's tokenizers
    "control",
    "nonspacing",
)
"""Bits of the table of runs, the first the lowest."""
EVERYTHING = "".join(chr(code) for code in range(1, LAST) if not 0xD800 <= code < 0xE000)


def of_pattern(pattern: str) -> set[str]:
    """Characters that a pattern of the tokenizers takes."""
    cut = pre_tokenizers.Split(Regex(f"[^{pattern}]"), "removed")
    return {char for piece, _ in cut.pre_tokenize_str(EVERYTHING) for char in piece}


def of_bert() -> tuple[set[str], set[str], set[str]]:
    """Signs, characters that are cleaned away, and accents, as BERT's tokenizers see them."""
    signs, controls, accents = set(), set(), set()
    cut = pre_tokenizers.BertPreTokenizer()
    off = {"handle_chinese_chars": False, "lowercase": False}
    clean = normalizers.BertNormalizer(clean_text=True, strip_accents=False, **off)
    strip = normalizers.BertNormalizer(clean_text=False, strip_accents=True, **off)
    for char in EVERYTHING:
        if len(cut.pre_tokenize_str(f"a{char}b")) == 3:
            signs.add(char)
        if clean.normalize_str(char) == "":
            controls.add(char)
        if unicodedata.normalize("NFD", char) == char and strip.normalize_str(char) == "":
            accents.add(char)
    return signs, controls, accents


def properties() -> list[int]:
    """Flags of every character."""
    letters, numbers, white = (of_pattern(name) for name in (r"\p{L}", r"\p{N}", r"\s"))
    signs, controls, accents = of_bert()
    found = [0] * LAST
    for char in EVERYTHING:
        # A final sigma is one that a cased character comes before, what is ignorable left out.
        cased = (char + "Σ").lower().endswith("ς")
        ignorable = not cased and ("a" + char + "Σ").lower().endswith("ς")
        flags = (
            char.isspace(),
            char.isalnum(),
            cased,
            ignorable,
            char in letters,
            char in numbers,
            char in white,
            char in signs,
            char in controls,
            char in accents,
        )
        found[ord(char)] = sum(flag << bit for bit, flag in enumerate(flags))
    return found


def combining_class(code: int) -> int:
    """A mark's class, 0 where the tokenizers' tables are too old to know it."""
    own = unicodedata.combining(chr(code))
    if not own:
        return 0
    # Behind a mark of class 240, the highest, every other one moves in front of it.
    if own < 240:
        return own if NFD.normalize_str(f"a\u0345{chr(code)}") != f"a\u0345{chr(code)}" else 0
    return own


def runs(values: Iterable[Value]) -> list[tuple[int, Value]]:
    """(first index, value) of each run of equal values."""
    found: list[tuple[int, Value]] = []
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


def property_tables() -> list[str]:
    """What characters are: each plane's runs of one kind, as their low 16 bits and the kind."""
    kinds = list(zip(properties(), map(combining_class, range(LAST)), strict=True))
    distinct = sorted(set(kinds))
    starts, indices, planes = [], [], [0]
    for plane in range(0, LAST, PLANE):
        for start, kind in runs(kinds[plane : plane + PLANE]):
            starts.append(f"{start:#x}")
            indices.append(distinct.index(kind))
        planes.append(len(starts))
    assert max(indices) < 256
    return [
        table("kinds", "character_kind", [f"{{{flags:#x}, {mark}}}" for flags, mark in distinct]),
        table("kind_planes", "uint16_t", planes, 18),
        table("kind_starts", "uint16_t", starts, 12),
        table("kind_indices", "uint8_t", indices, 20),
    ]


def mapping(change: str) -> dict[int, tuple[int, ...]]:
    """What becomes of every character that a case mapping changes."""
    codes = (code for code in range(LAST) if not 0xD800 <= code < 0xE000)
    new = {code: tuple(map(ord, getattr(chr(code), change)())) for code in codes}
    return {code: to for code, to in new.items() if to != (code,)}


def mapping_tables(name: str, changed: dict[int, tuple[int, ...]]) -> list[str]:
    """Tables of a case mapping: of runs that are moved alike, and of what becomes several."""
    moved: list[list[int]] = []  # first, count, step, change
    several = []
    for code, to in changed.items():
        if len(to) > 1:
            three = [*to, 0][:3]
            several.append("{{{:#x}, {{{:#x}, {:#x}, {:#x}}}}}".format(code, *three))
            assert max(code, *to) < PLANE
            continue
        change = to[0] - code
        if moved and moved[-1][3] == change:
            first, count, step, _ = moved[-1]
            if count == 1 and code - first < 3:
                step = code - first
            if code == first + count * step:
                moved[-1][1:3] = count + 1, step
                continue
        moved.append([code, 1, 1, change])
    rows = ["{{{:#x}, {}, {}, {}}}".format(*run) for run in moved]
    return [
        table(f"{name}_moved", "case_run", rows, 4),
        table(f"{name}_several", "case_several", several, 3),
    ]


def runs_of_wholes(codes: Sequence[int]) -> list[str]:
    """Runs of characters that follow each other, with the index of each run's first."""
    starts = [
        index for index, code in enumerate(codes) if index == 0 or codes[index - 1] != code - 1
    ]
    rows = [f"{{{codes[index]:#x}, {index}}}" for index in starts]
    return [*rows, f"{{{LAST:#x}, {len(codes)}}}"]


def decomposition_tables() -> list[str]:
    """What characters are put together of, two or another one alone, and what two become."""
    pairs, singles, composed = {}, {}, []
    for code in range(LAST):
        parts = unicodedata.decomposition(chr(code))
        if not parts or parts.startswith("<") or 0xAC00 <= code < 0xD7A4:
            continue
        codes = [int(part, 16) for part in parts.split()]
        if NFD.normalize_str(chr(code)) == chr(code):
            continue  # newer than the tokenizers' tables
        if len(codes) == 1:
            singles[code] = codes[0]
            assert codes[0] >> 16 in (0, 2)
            continue
        pairs[code] = codes
        assert code >> 16 == codes[0] >> 16 == codes[1] >> 16
        if unicodedata.normalize("NFC", "".join(map(chr, codes))) == chr(code):
            composed.append((codes[1], codes[0], len(pairs) - 1))
    seconds = sorted({second for _, second in pairs.values()})
    high = [code >> 16 != 0 for code in singles.values()]
    bits = [
        sum(bit << place for place, bit in enumerate(high[start : start + 8]))
        for start in range(0, len(high), 8)
    ]
    firsts = [f"{first % PLANE:#x}" for first, _ in pairs.values()]
    indices = [seconds.index(second) for _, second in pairs.values()]
    parts_of_singles = [f"{part % PLANE:#x}" for part in singles.values()]
    return [
        table("pair_runs", "whole_run", runs_of_wholes(list(pairs)), 6),
        table("pair_firsts", "uint16_t", firsts, 12),
        table("pair_seconds", "uint8_t", indices, 20),
        table("seconds", "uint32_t", [f"{second:#x}" for second in seconds]),
        table("composed", "uint16_t", [index for _, _, index in sorted(composed)], 16),
        table("single_runs", "whole_run", runs_of_wholes(list(singles)), 6),
        table("single_parts", "uint16_t", parts_of_singles, 12),
        table("single_in_plane_2", "uint8_t", bits, 20),
    ]


def unicode_tables() -> str:
    """unicode_tables.h."""
    lower, upper, title = (mapping(change) for change in ("lower", "upper", "title"))
    differing = {
        code: title.get(code, (code,))
        for code in sorted(title.keys() | upper.keys())
        if title.get(code) != upper.get(code)
    }
    return "\n".join(
        [
            "/* Written by make_tables.py. */",
            *property_tables(),
            *mapping_tables("lower", lower),
            *mapping_tables("upper", upper),
            "/* Where it is not the upper case. */",
            *mapping_tables("title", differing),
            *decomposition_tables(),
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
