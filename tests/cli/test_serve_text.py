from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import run

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.runtime.text.sources import BundleTextEncoder


@pytest.fixture
def serving(bundle: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-u", "-m", "motionrt", "serve-text", str(bundle), "--port", "0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRADIO_")}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_serves_a_bundles_encoder_until_it_is_interrupted(
    serving: subprocess.Popen[str], bundle: Path
) -> None:
    assert serving.stdout is not None and serving.stderr is not None
    first = serving.stdout.readline()
    assert first.startswith("serving text_encoder on http://127.0.0.1:")
    client = TextEncoderClient(first.split()[-1], width=128)
    encoder = BundleTextEncoder(Bundle(bundle), choose_backend("cpu"))
    found = client.encode(["A person walks."])
    np.testing.assert_allclose(found, encoder.encode(["A person walks."]), rtol=0, atol=1e-6)
    assert serving.stdout.readline() == "encoded 'A person walks.'\n"
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 0
    assert serving.stderr.read() == "Stopped.\n"


def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "serve-text", tmp_path)
    assert code == 1 and err.startswith("Error: ") and err.count("\n") == 1
    code, _, err = run(capsys, "serve-text", bundle, "--port", "99999")
    assert code == 2 and "--port" in err
