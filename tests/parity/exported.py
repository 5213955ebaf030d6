"""Bundles made from golden checkpoints, each once a test run."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from click.testing import CliRunner

import motionrt.cli.main
from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.pipeline import load

BACKENDS = {"networks": "cpu"}
"""What pipelines of exported checkpoints run on; ``--backend`` of pytest sets it."""


@lru_cache(maxsize=1)
def scratch() -> Path:
    """Return a folder that is removed when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix="motionrt-golden-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache(maxsize=32)
def export(*arguments: str) -> Path:
    """Run ``motionrt export`` with these arguments; return the bundle."""
    bundle = scratch() / f"bundle{len(list(scratch().iterdir()))}"
    result = CliRunner().invoke(
        motionrt.cli.main.cli, ["export", *arguments, "-o", str(bundle)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return bundle


@lru_cache(maxsize=32)
def kimodo(checkpoint: Path, *text_encoder: Path) -> KimodoPipeline:
    """Export a Kimodo checkpoint and load the bundle."""
    arguments = [word for part in text_encoder for word in ("--text-encoder", str(part))]
    bundle = export("kimodo", str(checkpoint), *(arguments or ["--no-text-encoder"]))
    pipeline = load(bundle, backend=BACKENDS["networks"])
    assert isinstance(pipeline, KimodoPipeline)
    return pipeline


@lru_cache(maxsize=32)
def ardy(checkpoint: Path) -> ArdyPipeline:
    """Export an ARDY checkpoint and load the bundle."""
    bundle = export("ardy", str(checkpoint), "--no-text-encoder")
    pipeline = load(bundle, backend=BACKENDS["networks"])
    assert isinstance(pipeline, ArdyPipeline)
    return pipeline
