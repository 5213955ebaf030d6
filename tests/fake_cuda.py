"""CUDA without a GPU: sessions that call themselves CUDA's, and run on the CPU.

What they cannot show is what a GPU computes and how fast; where nodes go and whether CUDA records a
graph is shown by ``cuda_placement``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from motionrt.runtime.backend import onnx_session, prepared_loop, recording
from motionrt.runtime.backend.backends import PROVIDERS, Backend, choose_backend

CUDA = Backend("cuda", ((PROVIDERS["cuda"], {"use_tf32": "0"}), (PROVIDERS["cpu"], {})), 1)


class Session:
    """An ``onnxruntime.InferenceSession`` of the CPU that says it is CUDA's."""

    def __init__(self, session: Any, fake: FakeCuda, recorded: bool) -> None:
        self._session, self._fake, self._recorded = session, fake, recorded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [PROVIDERS["cuda"], PROVIDERS["cpu"]]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return []

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self._fake.threads.add(threading.current_thread().name)
        if self._recorded:
            self._fake.ids.append(int(options.get_run_config_entry("gpu_graph_id")))
            if self._fake.fails:
                raise RuntimeError("capture failed\nand more")
        self._session.run_with_iobinding(binding, options)

    def release_captured_graph(self, number: int) -> None:
        self._fake.released.append(number)


class FakeCuda:
    """What happened, and what is to go wrong."""

    def __init__(self) -> None:
        self.refuses = False
        """To load a graph that is to be recorded."""
        self.fails = False
        """When it is recorded."""
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.ids: list[int] = []
        self.released: list[int] = []
        self.threads: set[str] = set()

    def load(
        self,
        path: str,
        backend: Backend,
        provider_options: Mapping[str, str] | None = None,
        data: Iterable[Path] = (),
    ) -> Session:
        settings = dict(provider_options or {})
        self.threads.add(threading.current_thread().name)
        self.opened.append((Path(path).name, settings))
        recorded = settings.get("enable_cuda_graph") == "1"
        if recorded and self.refuses:
            raise RuntimeError("This session cannot use the graph capture feature\nand more")
        session = onnx_session.onnxruntime_session(path, choose_backend("cpu", 1), data=data)
        return Session(session, self, recorded)


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setattr(recording, "onnxruntime_session", fake.load)
    monkeypatch.setattr(prepared_loop, "onnxruntime_session", fake.load)
    return fake
