from __future__ import annotations

import sys
from pathlib import Path

import pytest
from places import ROOT

from motionrt.runtime.bundle.manifest import Bundle

pytestmark = pytest.mark.slow


def test_says_nothing_of_the_machine_that_made_it(tiny_bundle: Path) -> None:
    for path in tiny_bundle.iterdir():
        content = path.read_bytes()
        for place in (ROOT, Path(sys.prefix), Path.home() / ""):
            assert f"{place}/".encode() not in content, f"{path.name} names {place}"
        assert b'.py"' not in content, f"{path.name} names a source file"


def test_lists_every_file_that_it_writes(tiny_bundle: Path) -> None:
    listed = set(Bundle(tiny_bundle).manifest.files)
    found = {p.relative_to(tiny_bundle).as_posix() for p in tiny_bundle.rglob("*") if p.is_file()}
    assert found == listed | {"manifest.json"}
