"""A bundle, loaded: what every family's pipeline shares, and ``load`` that finds the family's."""

from __future__ import annotations

import importlib
import math
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.onnx_session import Session, open_session
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.sampling.noise import MAX_SEED

FAMILIES = {
    "kimodo": "motionrt.runtime.kimodo.pipeline:KimodoPipeline",
    "motiongpt3": "motionrt.runtime.motiongpt3.pipeline:MotionGpt3Pipeline",
}
"""Family -> its pipeline, imported when a bundle of the family is loaded."""

Progress = Callable[[str, int, int], None]
"""Called as (stage, steps done, steps in all) between steps; an exception it raises cancels."""


class Pipeline(ABC):
    """A loaded bundle. Safe to use from several threads; results depend on its arguments only."""

    takes_sequences: ClassVar[bool] = False
    """Several prompts can be one motion (option multi_prompt)."""

    takes_text_embeddings: ClassVar[bool] = False
    """Its text encoder can be a server (``use_text_encoder``)."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle; graphs are loaded when first needed."""
        self.bundle = bundle
        self.backend = backend
        self.manifest = bundle.manifest
        self.fps = bundle.manifest.fps
        self.skeleton = Skeleton.from_dict(bundle.manifest.output_skeleton)
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def session(self, name: str) -> Session:
        """Return a graph of the bundle, loaded at first use and kept."""
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = open_session(self.bundle, name, self.backend)
            return self._sessions[name]

    def use_text_encoder(self, url: str) -> None:
        """Take all text embeddings from a server (``text_client``) from now on.

        InputError if the family's model takes none.
        """
        raise InputError(f"family {self.manifest.family}: takes no embeddings from a server")

    def hints(self, prompts: Sequence[str]) -> list[str]:
        """Give one line for each prompt that is far from what the model knows, if it can tell."""
        return []

    @property
    def loaded_sessions(self) -> dict[str, Session]:
        """The graphs that were used so far, by name."""
        with self._lock:
            return dict(self._sessions)

    @abstractmethod
    def generate(
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = 5.0,
        *,
        seed: int | None = None,
        num_samples: int = 1,
        progress: Progress | None = None,
        **options: Any,
    ) -> Motion | list[Motion]:
        """Generate: one Motion for one prompt and sample, else a list, prompt by prompt.

        Args:
            prompt: one text or several; empty means unconditional.
            seconds: of all, or of each prompt.
            seed: 0 to 2^32 - 1; None draws one and notes it in ``Motion.info``.
            num_samples: motions a prompt.
            progress: told of every stage and step.
            options: the family's own; InputError names one that it does not have.
        """

    def num_frames(self, seconds: float) -> int:
        """Return the frames of a duration, cut to a whole number as upstream does.

        InputError if it is not finite, not positive, or more than the bundle allows.
        """
        if isinstance(seconds, bool) or not math.isfinite(seconds) or seconds <= 0:
            raise InputError(f"duration {seconds} s: must be a finite number above 0")
        frames = int(seconds * self.fps)
        most = int(self.manifest.limits["max_frames"])
        if frames < 1:
            raise InputError(f"duration {seconds} s: less than one frame at {self.fps:g} fps")
        if frames > most:
            raise InputError(
                f"duration {seconds:g} s: {frames} frames at {self.fps:g} fps, "
                f"this model allows {most} ({most / self.fps:.1f} s)"
            )
        return frames


def load(path: str | Path | None = None, backend: str = "auto", threads: int = 0) -> Pipeline:
    """Load a bundle.

    Args:
        path: the bundle's directory; None takes the embedded default.
        backend: auto, or a name of ``backends.BACKENDS``, which is used or refused.
        threads: CPU threads; 0 lets onnxruntime choose.

    Raises:
        BundleError: no bundle, damaged, or of a family or schema this version does not know.
        BackendError: the backend cannot run here.
    """
    bundle = Bundle(embedded_bundle() if path is None else path)
    family = bundle.manifest.family
    if family not in FAMILIES:
        raise BundleError(
            f"{bundle.folder}: family {family!r} is unknown to this version "
            f"(it knows {', '.join(FAMILIES)}); update motionrt"
        )
    module, _, name = FAMILIES[family].partition(":")
    pipeline: Pipeline = getattr(importlib.import_module(module), name)(
        bundle, choose_backend(backend, threads)
    )
    return pipeline


def settle_seed(seed: int | None) -> int:
    """Return the seed, or a fresh one for None; InputError if it is out of range."""
    if seed is None:
        return secrets.randbelow(MAX_SEED + 1)
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed {seed}: must be from 0 to {MAX_SEED}")
    return seed
