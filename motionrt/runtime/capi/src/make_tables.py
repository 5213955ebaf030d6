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

from tokenizers import Regex, normalizers, pre_tokenizers

HERE = Path(__file__).parent
SKELETONS = HERE.parents[2] / "assets" / "skeletons"
EXPANDED = (("soma77", "soma30"),)
LAST = 0x110000
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
            several.append("{{{:#x}, {{{:#x}, {:#x}, {:#x}}}}}".format(code, *three))
    text = table(f"{name}_single", "case_pair", single, 5)
    return text + table(f"{name}_several", "case_several", several, 2) if several else text


def unicode_tables() -> str:
    """unicode_tables.h."""
    found = runs(properties())
    classes = runs(combining_class(code) for code in range(LAST))
    decompositions, pairs = [], []
    for code in range(LAST):
        parts = unicodedata.decomposition(chr(code))
        if not parts or parts.startswith("<") or 0xAC00 <= code < 0xD7A4:
            continue
        codes = [int(part, 16) for part in parts.split()]
        if NFD.normalize_str(chr(code)) == chr(code):
            continue  # newer than the tokenizers' tables
        second = codes[1] if codes[1:] else 0
        decompositions.append(f"{{{code:#x}, {{{codes[0]:#x}, {second:#x}}}}}")
        if unicodedata.normalize("NFC", parts and "".join(map(chr, codes))) == chr(code):
            pairs.append((codes[0], codes[1], code))
    composed = ["{{{:#x}, {:#x}, {:#x}}}".format(*row) for row in sorted(pairs)]
    return "\n".join(
        [
            "/* Written by make_tables.py. */",
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
