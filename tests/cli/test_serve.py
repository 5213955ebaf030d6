from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from command_line import run

ASKED = {"prompt": "a person walks", "num_frames": 10, "num_steps": 2, "seed": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="no signals for one process there")
def test_serves_bundles_until_it_is_told_to_stop(bundle: Path, own_copy: Path) -> None:
    other = own_copy.rename(own_copy.with_name("other"))
    command = [sys.executable, "-u", "-m", "motionrt", "serve", str(bundle), str(other)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--max-samples", "2", "--allow-host", "motions.example"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MOTIONRT_TOKEN": "s3cret"},
    )
    with process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            assert line.startswith(f"serving {bundle.name}, other on http://127.0.0.1:")
            url = line.split()[-1]
            assert httpx2.get(f"{url}v1/bundles").status_code == 401
            headers = {"Authorization": "Bearer s3cret", "Host": "motions.example"}
            with httpx2.Client(base_url=url, headers=headers, timeout=60) as client:
                answer = client.post("/v1/motions?bundle=other", json=ASKED)
                assert answer.status_code == 200 and answer.json()["bundle"] == "other"
                answer = client.post("/v1/motions", json={**ASKED, "num_samples": 3})
                assert answer.status_code == 422 and "this server makes 2" in answer.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stderr.read() == "Stopped.\n"
        finally:
            process.kill()


def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "serve", tmp_path)
    assert code == 1 and err.startswith("Error: ") and err.count("\n") == 1
    code, _, err = run(capsys, "serve", bundle, "--port", "99999")
    assert code == 2 and "--port" in err
    code, _, err = run(capsys, "serve", bundle, "--token", "a b")
    assert code == 1 and "visible ASCII" in err
    same = shutil.copytree(bundle, tmp_path / bundle.name)
    code, _, err = run(capsys, "serve", bundle, same)
    assert code == 1 and "two bundles are called" in err
