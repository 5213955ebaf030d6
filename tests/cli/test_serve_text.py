from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import pytest
from command_line import run

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError
from motionrt.runtime.extras import pip_command
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.runtime.text.sources import BundleTextEncoder

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(bundle: Path) -> Iterator[Start]:
    """Start the command with further words and variables; end it with the test."""
    with ExitStack() as stack:

        def begin(*words: str, **variables: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-u", "-m", "motionrt", "serve-text", str(bundle)]
            kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRADIO_", "TEXT_"))}
            process = subprocess.Popen(
                [*command, "--port", "0", *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**kept, **variables},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("serving text_encoder on http://")
    return first.split()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals for one process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_a_bundles_encoder_until_it_is_told_to_stop(
    start: Start, bundle: Path, number: int
) -> None:
    process = start()
    client = TextEncoderClient(address(process), width=128)
    encoder = BundleTextEncoder(Bundle(bundle), choose_backend("cpu"))
    found = client.encode(["A person walks."])
    np.testing.assert_allclose(found, encoder.encode(["A person walks."]), rtol=0, atol=1e-6)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "encoded 'A person walks.'\n"
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.stderr.read() == "Stopped.\n"


def test_a_token_is_asked_for_by_flag_or_variable(
    start: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    by_variable = start(TEXT_ENCODER_TOKEN="s3cret")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("A person walks.\n")
    embed = ("embed", prompts, "-o", tmp_path / "book.safetensors", "--text-encoder-url")
    url = address(by_variable)
    code, _, err = run(capsys, *embed, url)
    assert code == 1 and "asks for a token (answered 401); give --text-encoder-token" in err
    code, _, err = run(capsys, *embed, url, "--text-encoder-token", "s3cret")
    assert (code, err) == (0, "")
    by_flag = start("--token", "other", "--quiet")
    with pytest.raises(BackendError, match="asks for a token"):
        TextEncoderClient(address(by_flag), token="s3cret").encode(["A person walks."])


def test_gen_gives_the_token(
    start: Start,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = address(start(TEXT_ENCODER_TOKEN="s3cret"))
    gen: list[object] = ["gen", "walk", "--bundle", bundle, "--duration", "1", "--quiet"]
    gen += ["--diffusion-steps", "2", "-o", tmp_path / "walk", "--text-encoder-url", url]
    monkeypatch.delenv("TEXT_ENCODER_TOKEN", raising=False)
    code, _, err = run(capsys, *gen)
    assert code == 1 and err.startswith("Error: ") and "asks for a token" in err
    code, _, err = run(capsys, *gen, "--text-encoder-token", "s3cret")
    assert code == 0, err
    monkeypatch.setenv("TEXT_ENCODER_TOKEN", "s3cret")
    assert run(capsys, *gen)[0] == 0


def test_who_lets_others_in_is_told(start: Start) -> None:
    process = start("--host", "0.0.0.0", "--allow-host", "encoder.example")
    port = address(process).rstrip("/").rpartition(":")[2]
    assert process.stderr is not None
    assert process.stderr.readline() == (
        "Whoever reaches this address may use it; --token asks for one.\n"
    )
    answers = [
        httpx2.get(f"http://127.0.0.1:{port}/", headers={"Host": host}).status_code
        for host in ("encoder.example", "rebound.example")
    ]
    assert answers == [200, 421]


def test_what_to_install_is_told(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no clone is: neither process imports another package
    code = (
        "import sys\nsys.modules['uvicorn'] = None\nfrom motionrt.cli.main import main\n"
        f"main(['serve-text', {str(bundle)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"Error: serve-text needs uvicorn; {pip_command('serve')}\n"


def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "serve-text", tmp_path)
    assert code == 1 and err.startswith("Error: ") and err.count("\n") == 1
    code, _, err = run(capsys, "serve-text", bundle, "--port", "99999")
    assert code == 2 and "--port" in err
    code, _, err = run(capsys, "serve-text", bundle, "--token", "a b")
    assert code == 1 and err == (
        "Error: the token must be visible ASCII characters, without spaces\n"
    )
