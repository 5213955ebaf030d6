from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import motionrt

CODE = "import motionrt; motionrt.load().generate('walk', 0.5, seed=1); "
CODE += "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


def test_onnxruntime_leaves_nothing_in_the_users_home(tmp_path: Path) -> None:
    settings = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    settings |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
    assert not list(tmp_path.rglob("*"))
    settings["ORT_DISABLE_TELEMETRY"] = "0"  # who wants it says so
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]


def test_whatever_imports_onnxruntime_has_turned_it_off_before() -> None:
    # The package of backends sets the variable when it is imported.
    package = Path(motionrt.__file__).parent
    files = [path for path in package.rglob("*.py") if "import onnxruntime" in path.read_text()]
    assert len(files) >= 3
    rooms = ("from motionrt.runtime.backend", "from motionrt.runtime.pipeline")
    for path in files:
        inside = path.parent == package / "runtime" / "backend"
        lines = path.read_text().splitlines()
        assert inside or any(line.startswith(rooms) for line in lines), path
