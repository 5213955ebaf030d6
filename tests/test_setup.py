from __future__ import annotations

import subprocess
import sys

from places import ROOT


def test_an_older_python_is_refused_before_anything_is_fetched() -> None:
    code = "import sys; sys.version_info = (3, 10, 13, 'final', 0); exec(open('setup.py').read())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "motionrt needs Python 3.11 or newer" in done.stderr
