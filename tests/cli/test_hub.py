"""The hub wherever a path is taken, by processes of their own against a hub on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import GATED, TOKEN, Hub, served_hub

GENERATE = ("gen", "a person walks", "--duration", "1", "--diffusion-steps", "4", "--seed", "1")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    from motionrt.runtime.bundle.embedded import embedded_bundle

    return {file.name: file.read_bytes() for file in embedded_bundle().iterdir()}


def run(hub: Hub, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run motionrt in a folder, with a home of its own for the hub's cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), **more}
    environment["HF_HUB_DISABLE_XET"] = "1"  # a storage of the hub's own that the server lacks
    return subprocess.run(
        [sys.executable, "-m", "motionrt", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
    )


def motion(folder: Path, name: str = "motion.npz") -> bytes:
    return (folder / name).read_bytes()


def test_a_bundle_of_the_hub_is_fetched_once_and_gives_the_embedded_motion(
    hub: Hub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    hub.add("us/walks", files)
    assert run(hub, tmp_path, *GENERATE, "-o", "plain").returncode == 0
    assert run(hub, tmp_path, *GENERATE, "--bundle", "us/walks", "-o", "hub").returncode == 0
    assert motion(tmp_path, "hub.npz") == motion(tmp_path, "plain.npz")
    downloads = sum(command == "GET" and "/resolve/" in path for command, path in hub.asked)
    assert downloads == len(files)
    hub.asked.clear()
    code = "import motionrt; motionrt.load('us/walks').generate('a person walks', 1.0)"
    again = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert not [path for _, path in hub.asked if "/resolve/" in path]
    offline = run(hub, tmp_path, *GENERATE, "--bundle", "us/walks", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr


def test_a_revision_and_a_folder_are_pinned(
    hub: Hub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    inside = {f"small/{name}": content for name, content in files.items()}
    commit = hub.add("us/walks", {**inside, "large/weights": b"w" * 1000}, "v1")
    hub.add("us/walks", {"README.md": b"moved"})
    for revision in ("v1", commit):
        found = run(hub, tmp_path, "inspect", f"us/walks@{revision}:small")
        assert found.stdout.startswith("motionrt-default"), found.stderr
    assert not [path for _, path in hub.asked if "large" in path]
    missing = run(hub, tmp_path, "inspect", "us/walks@v1:tiny")
    assert missing.returncode == 1
    assert missing.stderr == "Error: us/walks@v1:tiny: the repository has no tiny\n"


def test_a_download_that_broke_goes_on_where_it_stopped(
    hub: Hub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    # The library keeps what came in pieces of 10 MB.
    hub.add("us/walks", {**files, "more.weights": bytes(30_000_000)})
    hub.cut_off["more.weights"] = 1
    broken = run(hub, tmp_path, "inspect", "us/walks")
    if broken.returncode:  # some versions try again by themselves
        assert broken.stderr.startswith("Error: us/walks: ")
        assert broken.stderr.count("\n") == 1
        assert run(hub, tmp_path, "inspect", "us/walks").returncode == 0
    (asked,) = hub.ranges
    assert int(asked.removeprefix("bytes=").removesuffix("-")) >= 10_000_000


@pytest.mark.parametrize(
    ("place", "status", "environment", "said"),
    [
        (GATED, 0, {}, "its owner asks for consent: accept the terms on"),
        ("us/nothing", 0, {}, "neither a path here nor a repository on the hub"),
        ("us/walks@v9", 0, {}, "the repository has no revision v9"),
        ("us/later", 0, {}, "has no branch main; name one, as us/later@REVISION"),
        ("us/walks", 503, {}, "answers 503"),
        ("us/walks", 0, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids fetching it"),
        ("us/walks", 0, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    hub: Hub, tmp_path: Path, place: str, status: int, environment: dict[str, str], said: str
) -> None:
    hub.add("us/walks", {"README.md": b"nothing yet"})
    hub.add("us/later", {"README.md": b"nothing yet"}, "v1")
    hub.add(GATED, {"README.md": b"for friends"})
    hub.status = status
    found = run(hub, tmp_path, "inspect", place, **environment)
    assert found.returncode == 1
    assert found.stderr.startswith(f"Error: {place}: ")
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
    assert not found.stdout


def test_a_token_opens_what_its_owner_agreed_to(
    hub: Hub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    hub.add(GATED, files)
    assert run(hub, tmp_path, "inspect", GATED, HF_TOKEN=TOKEN).returncode == 0


def test_a_path_below_a_folder_that_is_here_is_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    found = run(hub, tmp_path, "inspect", "bundles/walk")
    assert found.returncode == 1
    assert "bundles/walk: no such bundle" in found.stderr
    assert not hub.asked


def test_a_pushed_bundle_comes_back_and_gives_the_same_motion(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path, *GENERATE, "-o", "plain").returncode == 0
    refused = run(hub, tmp_path, "push", "default", "us/walks")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "set HF_TOKEN to a token that may" in refused.stderr
    assert "us/walks" not in hub.repositories
    sent = run(hub, tmp_path, "push", "default", "us/walks", HF_TOKEN=TOKEN)
    assert sent.returncode == 0, sent.stderr
    stored = hub.repositories["us/walks"]["main"]
    assert {"manifest.json", "README.md", "onnx/text_encoder_int8.onnx"} <= stored.keys()
    card = stored["README.md"].decode()
    assert card.startswith('---\nlibrary_name: "motionrt"\nlicense: "apache-2.0"\n')
    assert "--bundle us/walks" in card
    assert run(hub, tmp_path, *GENERATE, "--bundle", "us/walks", "-o", "hub").returncode == 0
    assert motion(tmp_path, "hub.npz") == motion(tmp_path, "plain.npz")
    verified = run(hub, tmp_path, "verify", "us/walks")
    assert verified.returncode == 0, verified.stdout
    again = run(hub, tmp_path, "push", "us/walks", "us/more:int8", HF_TOKEN=TOKEN)
    assert again.returncode == 0, again.stderr
    assert "int8/onnx/step_int8.onnx" in hub.repositories["us/more"]["main"]
