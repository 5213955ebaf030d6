from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from motionrt.runtime import memory
from motionrt.runtime.memory import machine_memory, room, transformer_bytes, used_memory


def test_a_machine_has_memory_and_this_process_some_of_it() -> None:
    whole, used, free = machine_memory(), used_memory(), room()
    assert whole is not None and whole > 100e6
    assert 0 <= used < whole
    assert free is not None and 0 < free <= whole


def test_the_limits_of_control_groups_count(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    inner = tmp_path / "v2" / "jobs" / "one"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text("5000000\n")
    membership.write_text("0::/jobs/one\n")
    assert memory._control_groups(tmp_path / "v2", membership) == [5000000]
    # The first version, in a container that does not see the path that the host gives it.
    (tmp_path / "v1" / "memory").mkdir(parents=True)
    (tmp_path / "v1" / "memory" / "memory.limit_in_bytes").write_text("7000000\n")
    membership.write_text("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\nnothing\n")
    assert memory._control_groups(tmp_path / "v1", membership) == [7000000]
    assert memory._control_groups(tmp_path, tmp_path / "none") == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
def test_a_limit_of_the_process_counts() -> None:
    code = "from motionrt.runtime.memory import machine_memory; print(machine_memory())"
    command = f"ulimit -v 4000000; {sys.executable} -c '{code}'"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 4000000 * 1024


def test_an_unknown_machine_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_physical", "_limit"):
        monkeypatch.setattr(memory, name, lambda: None)
    monkeypatch.setattr(memory, "_control_groups", lambda root, membership: [])
    assert machine_memory() is None and room() is None


def test_attention_grows_with_the_square_of_the_tokens() -> None:
    short, long = (transformer_bytes(2, tokens, 256, 4) for tokens in (1000, 2000))
    assert 2 * short < long < 4 * short
    assert transformer_bytes(4, 1000, 256, 4) == 2 * short
