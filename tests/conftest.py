"""Options and fixtures for all tests.

The runtime's tests run without torch, on the embedded default. Only the fixtures that export a
checkpoint import it, when a slow test asks for them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
from places import GOLDEN

from motionrt.runtime.bundle.embedded import embedded_bundle


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        action="append",
        type=Path,
        help="Directory of golden cases to run, instead of the ones that come with the tests.",
    )
    parser.addoption(
        "--backend",
        default="cpu",
        help="What golden cases of whole networks run on (cuda, with a GPU).",
    )
    parser.addoption(
        "--runtime",
        choices=("python", "c"),
        default="python",
        help="What runs golden cases: the package itself, or the C library as far as it goes.",
    )
    parser.addoption(
        "--traced",
        metavar="DIR",
        help="Where traced graphs are kept for further runs of the same code, instead of this one.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hear signals whatever started the tests: `nohup` and background jobs ignore some.

    The commands that tests start would inherit it, and leave such a signal alone, as they should.
    """
    if hasattr(config, "workerinput"):  # threads of torch that wait for a core keep it busy
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if config.option.traced is None:  # processes of this one are given its option
        config.option.traced = tempfile.mkdtemp(prefix="motionrt-traced-")
        config.add_cleanup(partial(shutil.rmtree, config.option.traced, ignore_errors=True))
    sys.meta_path.insert(0, BeforeTracing(Path(config.option.traced)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Let a command that ran in a test listen to signals for no test after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


class BeforeTracing(MetaPathFinder):
    """Finds no module, but has traced graphs kept as soon as somebody imports what traces them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, name: str, *_: object) -> None:
        if name == "motionrt.export.to_onnx":
            sys.meta_path.remove(self)
            import traced

            traced.keep_in(self.folder)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The embedded default, which every installation has: tests must leave it as it is."""
    return embedded_bundle()


@pytest.fixture
def own_copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the embedded default that a test may damage."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def smplx_checkpoint() -> Path:
    """A Kimodo checkpoint with small random weights, in the released layout."""
    return GOLDEN / "kimodo" / "checkpoints" / "Kimodo-SMPLX-RP-v1"


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen3 directory and a projection of it to the SMPL-X checkpoint's text width."""
    import torch

    model = GOLDEN / "text-encoders" / "qwen3-meanpool" / "model"
    projection = tmp_path_factory.mktemp("projection") / "projection.pt"
    generator = torch.Generator().manual_seed(0)
    width = 64
    weight = torch.randn(32, width, generator=generator) / width**0.5
    torch.save({"weight": weight, "bias": torch.zeros(32)}, projection)
    return model, projection


@pytest.fixture(scope="session")
def tiny_bundle(smplx_checkpoint: Path, tiny_encoder: tuple[Path, Path]) -> Path:
    """A whole SMPL-X bundle with small random weights, exported here: for slow tests."""
    from parity import exported

    model, projection = tiny_encoder
    return exported.export(
        "kimodo",
        str(smplx_checkpoint),
        "--text-encoder",
        str(model),
        "--projector",
        str(projection),
        "--licence",
        "none: random weights",
    )


@pytest.fixture(scope="session")
def motiongpt3_bundle() -> Path:
    """A MotionGPT3 bundle with small random weights, exported here: for slow tests."""
    from motiongpt3_checkpoint import tiny_bundle

    return tiny_bundle()


@pytest.fixture(scope="session", params=["humanml3d", "myoskeleton"])
def qwen_bundle(request: pytest.FixtureRequest) -> Path:
    """Bundles of MotionGPT with a Qwen3 of small random weights: for slow tests."""
    from motiongpt_qwen_checkpoint import tiny_bundle

    return tiny_bundle(request.param)


@pytest.fixture(scope="session")
def myo_bundle() -> Path:
    """That of the musculoskeleton alone."""
    from motiongpt_qwen_checkpoint import tiny_bundle

    return tiny_bundle("myoskeleton")
