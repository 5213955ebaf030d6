from __future__ import annotations

import pytest
from command_line import run
from places import ROOT

from motionrt.runtime.formats.table import FORMATS


def test_every_format_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "formats")
    assert code == 0
    (heading, *lines) = out.splitlines()
    assert heading.split()[:3] == ["name", "file", "holds"]
    assert [line.split()[:2] for line in lines] == [[r.name, r.ending] for r in FORMATS.values()]
    (bvh,) = (line for line in lines if line.startswith("bvh "))
    assert "centimetres" in bvh and "--input-scale" in bvh


def test_the_page_has_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    code, table, _ = run(capsys, "formats", "--markdown")
    assert code == 0 and table.count("\n") == 2 + len(FORMATS)
    assert table in page, "put what `motionrt formats --markdown` prints into docs/formats.md"
