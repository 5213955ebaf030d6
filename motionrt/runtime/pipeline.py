"""A bundle, loaded: what every family's pipeline shares, and ``load`` that finds the family's."""

from __future__ import annotations

import importlib
import secrets
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypedDict

from numpy.typing import ArrayLike

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.graph import Graph
from motionrt.runtime.backend.meeting import Outcome, can_meet, meet, met
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.backend.paying import gpu_pays
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.embedded import bundle_folder
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError, InputError, MotionWarning, one_line
from motionrt.runtime.families import Family, all_families, find_family
from motionrt.runtime.memory import FLOAT, room
from motionrt.runtime.request import DEFAULT_SECONDS, Request, num_frames
from motionrt.runtime.sampling.noise import MAX_SEED

Progress = Callable[[str, int, int], None]
"""Called as (stage, steps done, steps in all) between steps; an exception it raises cancels."""


class GenerateKeywords(TypedDict, total=False):
    """Keywords of every family's ``generate``, beside its options."""

    num_frames: int | Sequence[int] | None
    seed: int | None
    progress: Progress | None


class GenerateManyKeywords(GenerateKeywords, total=False):
    """Keywords of every family's ``generate_many``, beside its options."""

    num_samples: int
    sample_seeds: bool
    multi_prompt: bool


_FLOATS_A_JOINT = 21
"""A motion's local and global rotations and its positions."""
_COPIES = 5
"""Of a motion's arrays that are alive while it is decoded and cleaned up, as measured."""
_OF_SEVERAL = GenerateManyKeywords.__annotations__.keys() - GenerateKeywords.__annotations__.keys()


@dataclass(frozen=True)
class BenchmarkCase:
    """One motion in the parts that are timed apart, its graphs loaded and its text encoded."""

    sample: Callable[[int], object]
    """Denoises in so many steps; what it returns is decoded."""
    decode: Callable[[object], object]
    steps: int | None = None
    """How many steps the motion takes, where nobody can choose that."""
    most_steps: int | None = None
    """So many the model takes at most, where it does not take any number."""
    sample_preset: Callable[[Mapping[str, Any]], object] | None = None
    """Denoises by a preset's options, where its steps may differ from those of ``sample``."""


MOST_ROWS = 32
"""Motions that one call of a sampler makes at most, where several requests share it."""
_LONGEST_SECONDS = 1e9
"""No model allows more; frames of it are a number still."""


class Pipeline(ABC):
    """A loaded bundle. Safe to use from several threads; results depend on its arguments only.

    ``load`` of a family's own class (`KimodoPipeline.load`) gives a pipeline whose options are
    typed; `motionrt.load` takes any bundle.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle; graphs are loaded when first needed."""
        self.bundle = bundle
        self.backend = backend
        self.manifest = bundle.manifest
        self.family: Family = find_family(bundle.manifest.family, str(bundle.folder))
        self.fps = bundle.manifest.fps
        self.skeleton = bundle.output_skeleton
        self._graphs: dict[str, Graph] = {}
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str] | None = None,
        backend: str = "auto",
        threads: int = 0,
    ) -> Self:
        """Load a bundle as `load` does; BundleError if it is of another family than this class."""
        pipeline = load(path, backend, threads)
        if not isinstance(pipeline, cls):
            raise BundleError(
                f"{pipeline.bundle.folder}: a bundle of {pipeline.family.name}, not for "
                f"{cls.__name__}; use motionrt.load"
            )
        return pipeline

    def __repr__(self) -> str:
        manifest = self.manifest
        return one_line(
            f"<{type(self).__name__} {manifest.name}: {self.family.name}, "
            f"{self.skeleton.name} at {self.fps:g} fps, on {self.backend.name}>"
        )

    # Motions

    def generate(
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        *,
        num_frames: int | Sequence[int] | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> Motion:
        """Generate one motion; a `MotionWarning` says what is doubtful with it (``warnings``).

        Args:
            prompt: a text, empty for an unconditional motion; or several, which follow one another
                in the motion, where the family takes sequences.
            seconds: of all, or of each prompt.
            num_frames: the same in frames, instead of seconds.
            seed: 0 to 2^32 - 1; None draws one and notes it in ``Motion.info``.
            progress: told of every stage and step.
            options: the family's own (``pipeline.family.options``).

        Raises:
            InputError: an option that the family does not have, or a value that does not fit.
        """
        if several := sorted(set(options) & set(_OF_SEVERAL)):
            raise InputError(f"generate makes one motion: {several[0]} is for generate_many")
        request = Request.make(
            self.family,
            prompt,
            seconds,
            num_frames=num_frames,
            seed=seed,
            multi_prompt=not isinstance(prompt, str),
            options=options,
        )
        (motion,) = self.run(request, progress)
        _warn([motion])
        return motion

    def generate_many(
        self,
        prompts: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        *,
        num_frames: int | Sequence[int] | None = None,
        seed: int | None = None,
        num_samples: int = 1,
        sample_seeds: bool = False,
        multi_prompt: bool = False,
        progress: Progress | None = None,
        **options: object,
    ) -> list[Motion]:
        """Generate a motion for each prompt and sample, prompt by prompt, in one call.

        A `MotionWarning` says what is doubtful with one (its ``warnings``).

        Args:
            prompts: one text, or several.
            seconds: of all, or of each prompt.
            num_frames: the same in frames, instead of seconds.
            seed: 0 to 2^32 - 1; None draws one and notes it in ``Motion.info``.
            num_samples: motions a prompt. They share one stream of noise, as upstream draws it, so
                that the first differs a little from the motion of a single run.
            sample_seeds: sample i is the motion of a single run with seed + i instead.
            multi_prompt: the prompts are one motion, one after another (of as many samples).
            progress: told of every stage and step.
            options: the family's own.

        Raises:
            InputError: as `generate`.
        """
        request = Request.make(
            self.family,
            prompts,
            seconds,
            num_frames=num_frames,
            seed=seed,
            num_samples=num_samples,
            sample_seeds=sample_seeds,
            multi_prompt=multi_prompt,
            options=options,
        )
        motions = self.run(request, progress)
        _warn(motions)
        return motions

    def run(self, request: Request, progress: Progress | None = None) -> list[Motion]:
        """Generate what a request asks for, prompt by prompt and sample by sample.

        Each motion is judged: the figures are in its info (``quality``, see `body.quality`), what
        is doubtful in its warnings. What reading its motion files noted, and what was made of them,
        is in its notes.
        """
        from motionrt.runtime.body.quality import judge  # not needed to start

        frames = self.frames_of(request)
        notes: list[str] = []

        def read(path: Path) -> Motion:
            motion = Motion.load(path)
            notes.extend(f"{path}: {note}" for note in motion.notes)
            return motion

        motions = self._run(request.with_motions(self.family, read), frames, progress)
        for motion in motions:
            motion.notes.extend(notes)
            quality = judge(motion)
            motion.info["quality"] = quality.to_json()
            if licence := self.manifest.provenance.get("licence"):
                motion.info["licence"] = str(licence)
            if told := quality.warning():
                motion.warnings.append(told)
        return motions

    def run_together(
        self,
        requests: Sequence[Request],
        progress: Sequence[Progress | None] | None = None,
        most_rows: int = MOST_ROWS,
    ) -> list[Outcome[list[Motion]]]:
        """Run requests side by side: what they ask of the sampler at one time is one call.

        Each gets the motions that `run` gives it, to the rounding of float32, and ends or fails by
        itself. Calls are one where steps, solver and guidance are the same and lengths are near
        each other. Memory is checked for each alone: who asks for many at once adds up `memory_of`.

        Args:
            requests: to run; each takes a thread.
            progress: of each request, told in its thread; an exception that one raises cancels it.
            most_rows: motions that a call of the sampler makes at most.
        """
        told = progress or [None] * len(requests)
        works = [
            partial(self.run, request, each) for request, each in zip(requests, told, strict=True)
        ]
        return meet(works, most_rows)

    def _run(self, request: Request, frames: list[int], progress: Progress | None) -> list[Motion]:
        seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
        if not request.sample_seeds:
            return self._generate(replace(request, seed=seed), seed, frames, progress)
        if request.seed is None:
            seed %= MAX_SEED + 2 - request.num_samples
        each = []
        for sample in range(request.num_samples):
            alone = replace(request, seed=seed + sample, num_samples=1, sample_seeds=False)
            motions = self._generate(alone, seed + sample, frames, progress)
            for motion in motions:
                motion.info["sample"] = sample
            each.append(motions)
        return [motion for of_prompt in zip(*each, strict=True) for motion in of_prompt]

    @abstractmethod
    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        """Generate a request from one seed; frames are those of each prompt."""

    def check(self, request: Request, frames: Sequence[int]) -> None:
        """Raise InputError for what no motion can be made of, before anything runs.

        For who lets a request wait. frames are what `frames_of` gives, and the motion files of the
        request are read by now (`Request.with_motions`).
        """
        alone = replace(request, num_samples=1, sample_seeds=False)
        self._check(alone if request.sample_seeds else request, frames)

    @abstractmethod
    def _check(self, request: Request, frames: Sequence[int]) -> None:
        """Raise InputError for what `_generate` would refuse; no graph runs."""

    def frames_of(self, request: Request) -> list[int]:
        """Return the frames of each prompt.

        InputError if the model does not allow them, or if this machine's memory cannot hold what
        the request takes (`memory_of`).
        """
        frames = self._allowed_frames(request)
        self._check_memory(request, frames)
        return frames

    def memory_of(self, request: Request, frames: Sequence[int]) -> int:
        """Estimate the bytes that a request takes at its peak, beside the loaded model.

        frames are those of each prompt. What graphs on a GPU take is left out. For the embedded
        default it was 6 % below to 18 % above what was measured, where that was above 80 MB.
        """
        joints = self.skeleton.num_joints
        frames_in_all = sum(frames) * request.num_samples
        motions = frames_in_all * joints * _FLOATS_A_JOINT * FLOAT * _COPIES
        working = self._working_memory(request, frames) if self.backend.name == "cpu" else 0
        return motions + working

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        """Estimate the bytes that the family's graphs take at their peak on the CPU."""
        return 0

    def _check_memory(self, request: Request, frames: Sequence[int]) -> None:
        free = room()
        needed = self.memory_of(request, frames)
        if free is None or needed <= free:
            return
        samples = request.num_samples
        seconds = sum(frames) / self.fps
        one = self.memory_of(replace(request, num_samples=1), frames)
        most = int(samples * free / needed)
        advice = "ask for shorter motions, or for fewer at once"
        if samples > 1 and one <= free:
            advice = f"at most {max(most, 1)} samples fit at once"
        several = f"{samples} samples of " if samples > 1 else ""
        raise InputError(
            f"{several}{seconds:.1f} s would take about {needed / 1e9:.1f} GB of "
            f"memory, {free / 1e9:.1f} GB can be had here: {advice}"
        )

    def _allowed_frames(self, request: Request) -> list[int]:
        most = self.max_frames(request)
        if request.num_frames is not None:
            for count in request.num_frames:
                _check_count(count, most)
            return list(request.num_frames)
        frames = []
        for seconds in request.seconds:
            if seconds > _LONGEST_SECONDS:
                raise InputError(
                    f"duration {seconds:g} s: this model allows {most / self.fps:.1f} s"
                )
            count = num_frames(seconds, self.fps)
            if count < 1:
                raise InputError(f"duration {seconds:g} s: no whole frame at {self.fps:g} fps")
            if count > most:
                raise InputError(
                    f"duration {seconds:g} s: {count} frames at {self.fps:g} fps, "
                    f"this model allows {most} ({most / self.fps:.1f} s)"
                )
            frames.append(count)
        return frames

    def check_num_frames(self, count: int) -> None:
        """Raise InputError if the model does not take so many frames."""
        _check_count(count, self.manifest.limits.max_frames)

    def max_frames(self, request: Request) -> int:
        """Say how many frames each prompt of a request may have."""
        return self.manifest.limits.max_frames

    @property
    def shares_calls(self) -> bool:
        """Whether requests that run together (`run_together`) share calls of a graph."""
        return any(can_meet(info) for info in self.manifest.graphs.values())

    @property
    def advised_frames(self) -> int:
        """How long a motion in one piece may be to be as the model was trained."""
        return max(1, int(self.manifest.limits.advised_seconds * self.fps))

    def length_warnings(self, num_frames: int) -> list[str]:
        """Say, as a list of one line, if a motion is longer in one piece than is advised."""
        if num_frames <= self.advised_frames:
            return []
        return [
            f"{num_frames / self.fps:g} s in one piece: {self.manifest.name} was trained on up to "
            f"{self.manifest.limits.advised_seconds:g} s, what is longer stands still or breaks"
        ]

    # What some families can and others cannot

    def use_text_encoder(self, url: str, token: str | None = None) -> None:
        """Take all text embeddings from a server (``text.client``) from now on.

        token is what the server asks for, if it asks for one.
        InputError if the family's model takes none.
        """
        raise InputError(f"family {self.family.name}: takes no embeddings from a server")

    def hints(self, prompts: Sequence[str]) -> list[str]:
        """Give one line for each prompt that is far from what the model knows, if it can tell."""
        return []

    def stream(self, prompt: str = "", **options: Any) -> Any:
        """Begin a motion without an end, steered while it plays; InputError if the family cannot.

        What there is to ask for, and what is returned, the family's own method says.
        """
        able = ", ".join(family.name for family in all_families() if family.streams)
        raise InputError(
            f"{self.manifest.name}: {self.family.name} makes clips, no streams; "
            f"use a bundle of {able or 'a family that can'}"
        )

    def caption(
        self,
        motion: Motion | ArrayLike,
        prompt: str | None = None,
        *,
        max_tokens: int | None = None,
        sample: bool = False,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """Describe one motion in words, as `caption_many` describes several."""
        (text,) = self.caption_many(
            [motion],
            prompt,
            max_tokens=max_tokens,
            sample=sample,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
        return text

    def caption_many(
        self,
        motions: Sequence[Motion | ArrayLike],
        prompt: str | None = None,
        *,
        max_tokens: int | None = None,
        sample: bool = False,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Describe motions in words; InputError if the family cannot."""
        able = ", ".join(family.name for family in all_families() if family.captions)
        raise InputError(
            f"{self.manifest.name}: {self.family.name} cannot describe motions; "
            f"use a bundle of {able or 'a family that can'}"
        )

    def write_many(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int | None = None,
        sample: bool = False,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Go on from texts, no motion in sight; InputError if the family cannot."""
        raise InputError(
            f"{self.manifest.name}: {self.family.name} writes no text without a motion"
            + ("; talk with it by chat" if self.family.converses else "")
        )

    # Graphs

    def graph(self, name: str) -> Graph:
        """Return a graph of the bundle, loaded at first use and kept."""
        with self._lock:
            if name not in self._graphs:
                backend = self._backends.get(name, self.backend)
                self._graphs[name] = open_graph(self.bundle, name, backend)
            return met(self._graphs[name])

    def run_on(self, name: str, backend: str) -> None:
        """Run one graph on another backend than the rest; BackendError if that cannot run here."""
        chosen = choose_backend(backend, self.backend.threads)
        with self._lock:
            self._backends[name] = chosen
            self._graphs.pop(name, None)

    @property
    def loaded_graphs(self) -> dict[str, Graph]:
        """The graphs that were used so far, by name."""
        with self._lock:
            return dict(self._graphs)

    @abstractmethod
    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Prepare the motion that `benchmark` times: graphs loaded, text encoded.

        solver: None takes the bundle's. InputError if the family does not have it.
        """


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise InputError(f"{count} frames: this model takes 1 to {most}, transitions included")


def _warn(motions: Sequence[Motion]) -> None:
    """Warn of what is doubtful with motions, at the line that called a family's ``generate``."""
    for number, motion in enumerate(motions):
        which = f"motion {number} of {len(motions)}: " if len(motions) > 1 else ""
        for told in motion.warnings:
            warnings.warn(f"{which}{told}", MotionWarning, stacklevel=4)


def load(
    path: str | PathLike[str] | None = None, backend: str = "auto", threads: int = 0
) -> Pipeline:
    """Load a bundle.

    Args:
        path: the bundle's directory; None, or "default", takes the embedded default.
        backend: a name that ``motionrt devices`` lists, which is used or refused; ``cuda:1`` is the
            second GPU, ``cuda:tf32`` lets it round products. auto takes the best that works here,
            and the CPU for bundles that are too small for a GPU to pay (``gpu_pays``).
        threads: CPU threads; 0 lets onnxruntime choose.

    Raises:
        BundleError: no bundle, damaged, or of a family or schema this version does not know.
        BackendError: the backend cannot run here.
    """
    bundle = Bundle(bundle_folder(path))
    family = find_family(bundle.manifest.family, str(bundle.folder))
    pays = gpu_pays(bundle.manifest, family.motion_graphs)
    return pipeline_class(family)(bundle, choose_backend(backend, threads, gpu_pays=pays))


def pipeline_class(family: Family) -> type[Pipeline]:
    """Import a family's pipeline."""
    module, _, name = family.pipeline.partition(":")
    found: type[Pipeline] = getattr(importlib.import_module(module), name)
    return found
