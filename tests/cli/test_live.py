from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from command_line import run
from parity import exported
from places import GOLDEN

G1 = GOLDEN / "ardy" / "checkpoints" / "ARDY-G1-RP-25FPS-Horizon8"


def test_a_bundle_of_clips_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "live", "--bundle", bundle)
    assert code == 1
    assert "kimodo makes clips, no streams; use a bundle of ardy" in err


@pytest.mark.slow
def test_a_stream_is_served_until_it_is_told_to_stop() -> None:
    made = exported.export("ardy", str(G1), "--no-text-encoder")
    command = [sys.executable, "-m", "motionrt", "live", "--bundle", str(made)]
    command += ["--port", "0", "--seed", "5", "--diffusion-steps", "2", "--reaction", "0.2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"plays on (http://\S+/) \(seed 5\)", line)
        assert found, line
        url = found[1]
        assert '"title":"ARDY-G1-RP-25FPS-Horizon8"' in httpx2.get(url, timeout=30).text
        with httpx2.stream("GET", f"{url}frames", timeout=60) as answer:
            events = answer.iter_lines()
            assert next(events).startswith('data: {"first":0,')
            answer_to = httpx2.post(f"{url}ask", json={"goal": [1, 1], "seconds": 2}, timeout=30)
            assert answer_to.json()["from_frame"] >= 5
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.strip().endswith("Stopped.")
