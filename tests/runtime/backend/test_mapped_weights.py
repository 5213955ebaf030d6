from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.backend import mapped_weights
from motionrt.runtime.backend.mapped_weights import let_go

SIZE = 1 << 20


def resident_kb(path: Path) -> int:
    """Say how much of a mapped file lies in this process's memory."""
    text = Path("/proc/self/smaps").read_text()
    found = re.search(rf"{re.escape(str(path))}\n(?:[A-Z].*\n)*?Rss: +(\d+) kB", text)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells of mappings")
def test_pages_are_given_back_and_come_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    kept, read, written = (tmp_path / name for name in ("kept", "read", "written with blanks"))
    held = {}
    for path in (kept, read, written):
        path.write_bytes(values.tobytes())
        with path.open("rb") as file:
            held[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        assert held[path][:] == values.tobytes()
    held[written][:3] = b"new"
    let_go([read, written, tmp_path / "none"])
    assert resident_kb(kept) == SIZE >> 10
    assert resident_kb(read) < 128
    assert held[written][:3] == b"new"  # what was written to would be lost
    assert held[read][:] == values.tobytes()
    for mapping in held.values():
        mapping.close()


def test_where_nothing_is_told_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_weights, "_MAPS", tmp_path / "none")
    let_go([tmp_path])
    monkeypatch.setattr(sys, "platform", "win32")
    let_go([tmp_path])
