"""The addon for Godot 4: compiled against stand-ins of godot-cpp. Godot 4 was not at hand."""

from __future__ import annotations

import re
from pathlib import Path

from documented import need, run
from places import ROOT, TESTS

EXAMPLE = ROOT / "examples" / "godot4"
ADDON = EXAMPLE / "addons" / "motionrt"
HEADER = ROOT / "motionrt" / "runtime" / "capi"


def test_its_source_compiles_without_a_warning(tmp_path: Path) -> None:
    need("c++")
    flags = "-std=c++17 -Wall -Wextra -Wshadow -Werror -fsyntax-only"
    folders = f"-I {TESTS}/examples/godot4 -I {HEADER}"
    sources = sorted((ADDON / "src").glob("*.cpp"))
    assert len(sources) == 2
    run("\n".join(f"c++ {flags} {folders} {path}" for path in sources), tmp_path)


def test_the_script_calls_what_is_bound() -> None:
    source = (ADDON / "src" / "motionrt_godot.cpp").read_text()
    bound = set(re.findall(r'D_METHOD\("(\w+)"', source))
    script = (ADDON / "motionrt_player.gd").read_text()
    called = set(re.findall(r"(?:motion|made|_pipeline)\.(\w+)\(", script))
    assert called and called <= bound
    assert set(re.findall(r"MotionrtMotion\.([A-Z_]+)", script)) == {"LOOP", "IN_PLACE"}
    assert all(f'"{name}", {name})' in source for name in ("LOOP", "IN_PLACE"))


def test_it_says_that_it_was_not_tried() -> None:
    assert "Not tested in Godot 4" in (EXAMPLE / "README.md").read_text()
    described = (ADDON / "motionrt.gdextension").read_text()
    entry = re.search(r'entry_symbol = "(\w+)"', described)
    assert entry and f"{entry[1]}(" in (ADDON / "src" / "register_types.cpp").read_text()
