"""Kimodo's model: text and noise to features, features to motions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Arrays, Seen, Watched
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.manifest import Bundle, Count
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline, Progress
from motionrt.runtime.sampling.guidance import (
    DEFAULT_WEIGHT,
    NUM_WEIGHTS,
    Guidance,
    guidance_branches,
    guided_spans,
    resolve_guidance,
    resolve_interval,
)
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.runtime.text.familiarity import KnownInfo, KnownPrompts, is_finite
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.runtime.text.sources import GRAPH as TEXT_GRAPH
from motionrt.runtime.text.sources import TextSources

BENCHMARK_SEED = 0
_STATISTICS = "statistics.safetensors"
Floats = NDArray[np.float32]
_MOTION_ARRAYS = (
    "local_rot_mats",
    "global_rot_mats",
    "posed_joints",
    "root_positions",
    "smooth_root_pos",
    "foot_contacts",
    "global_root_heading",
)


class KimodoSampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sampler section of a Kimodo bundle's manifest."""

    num_base_steps: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    """Of the noise schedule that the model was trained with."""
    num_steps: Count
    """Taken if nobody says otherwise, with the solver, guidance and weights below."""
    solver: str
    guidance_type: Literal["nocfg", "regular", "separated"]
    num_text_tokens: Count
    """The most embeddings of a text that the model takes."""
    text_width: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    guidance_weights: tuple[float, ...] | None = None
    """None: the usual ones."""
    hidden_width: Count | None = None
    """Of the denoiser, with its attention heads: what memory is estimated by. None: not stated."""
    num_heads: Count | None = None


class KimodoText(msgspec.Struct, frozen=True):
    """What the text section says of what the model knows; further keys are its encoder's."""

    known_prompts: KnownInfo | None = None


class KimodoModel(Pipeline):
    """The parts of a Kimodo bundle: ``encode_text``, ``sample`` and ``decode``.

    `KimodoPipeline` is the whole.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the kimodo family."""
        super().__init__(bundle, backend)
        self.defaults = bundle.section("sampler", KimodoSampler)
        self.native_skeleton = bundle.skeleton
        self.features = self._read_features()
        self._check_parts()
        bundle.section("text", KimodoText)  # or refuse now
        self.text = TextSources(bundle, lambda: self.graph(TEXT_GRAPH))

    def _read_features(self) -> MotionFeatures:
        """Read the statistics; BundleError unless they are those of the skeleton."""
        tables = self.bundle.read_tensors(_STATISTICS)
        features = MotionFeatures(self.native_skeleton, self.fps)
        for name in ("mean", "std"):
            table = tables.get(name)
            if table is None or table.shape != (features.width,) or not is_finite(table):
                raise BundleError(
                    f"{self.bundle.folder / _STATISTICS}: {name} is not {features.width} finite "
                    "numbers; export the bundle again"
                )
        return MotionFeatures(self.native_skeleton, self.fps, tables["mean"], tables["std"])

    def _check_parts(self) -> None:
        """Raise BundleError where the manifest's sections do not fit one another."""
        bundle, defaults, skeleton = self.bundle, self.defaults, self.native_skeleton
        feet = len(skeleton.left_foot_joints), len(skeleton.right_foot_joints)
        if len(skeleton.hip_joints) != 2 or min(feet) < 2:
            raise bundle.unfit("skeleton: it needs two hip_joints, and an ankle and toe a foot")
        width = self.features.width
        inputs = {"x": (width,), "text_features": (defaults.text_width,)}
        bundle.require("sampler", inputs, ("x_next", "x0"))
        bundle.require("decoder", {"features": (width,)}, _MOTION_ARRAYS)
        try:
            cosine_schedule(defaults.num_base_steps, defaults.num_steps, defaults.solver)
            weights = defaults.guidance_weights or self.default_guidance.weights
            resolve_guidance(defaults.guidance_type, weights or None)  # nocfg has none
        except InputError as error:
            raise bundle.unfit(f"sampler: {error}") from error

    def use_text_encoder(self, url: str, token: str | None = None) -> None:
        """Take all text embeddings from a server (see ``text.client``) from now on."""
        self.text.server = TextEncoderClient(url, self.defaults.text_width, token=token)

    def hints(self, prompts: Sequence[str]) -> list[str]:
        """Give one line for each prompt that is far from what the model was trained on.

        Only bundles that say what they know can tell; the others give none.
        """
        known = self._known_prompts
        if known is None:
            return []
        features, mask = self.encode_text(prompts)
        found = (
            known.hint(row, prompt)
            for row, told, prompt in zip(features, mask, prompts, strict=True)
            if told.any() and len(told) == 1
        )
        return [hint for hint in found if hint is not None]

    @cached_property
    def _known_prompts(self) -> KnownPrompts | None:
        known = self.bundle.section("text", KimodoText).known_prompts
        if known is None:
            return None
        centres = self.bundle.read_tensors(known.file)
        return KnownPrompts.from_manifest(known, centres, self.defaults.text_width)

    def check_prompts(self, texts: Sequence[str]) -> None:
        """Raise InputError for a prompt that cannot be encoded, without encoding it."""
        self.text.check(texts, clean_prompt)

    def encode_text(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Clean and encode prompts.

        Returns text_features (B, L, W) and text_mask (B, L), L 1 unless the bundle's embeddings are
        of several tokens; a blank prompt is all zero and False. InputError if a prompt is too long
        or the bundle holds no text encoder.
        """
        sizes = self.defaults
        return self.text.encode_all(texts, sizes.text_width, clean_prompt, sizes.num_text_tokens)

    def sample(
        self,
        text_features: ArrayLike,
        noise: ArrayLike,
        *,
        text_mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        first_heading_rad: ArrayLike = 0.0,
        motion_mask: ArrayLike | None = None,
        observed_motion: ArrayLike | None = None,
        guidance: Guidance | None = None,
        num_steps: int | None = None,
        solver: str | None = None,
        progress: Progress | None = None,
        on_step: Callable[[int, Floats, Floats], None] | None = None,
    ) -> Floats:
        """Denoise: the normalised features (B, T, D) of B motions.

        Args:
            text_features: (B, L, W) as ``encode_text`` gives, L at most the bundle's token count.
            noise: (B, T, D) standard normal; T is the longest motion's frames.
            text_mask: (B, L) bool; None takes a row that is all zero for no text.
            lengths: (B,) frames of each motion; None means T.
            first_heading_rad: of all, or (B,).
            motion_mask: (B, T, D), 1 where observed_motion holds; None: nothing is constrained.
            observed_motion: (B, T, D) normalised.
            guidance: None takes the bundle's.
            num_steps: None takes the bundle's (100).
            solver: a name of ``schedule.SOLVERS``; None takes the bundle's (ddim).
            progress: told of every step.
            on_step: called with (steps done, x, guided prediction x0) after every step.
        """
        defaults = self.defaults
        x = np.ascontiguousarray(noise, np.float32)
        text = np.asarray(text_features, np.float32)
        if x.ndim != 3 or x.shape[2] != self.features.width or not x.shape[0] * x.shape[1]:
            raise InputError(f"noise is {x.shape}, should be (B, T, {self.features.width})")
        most_tokens = defaults.num_text_tokens
        if text.ndim != 3 or len(text) != len(x) or not 1 <= text.shape[1] <= most_tokens:
            raise InputError(
                f"text features are {text.shape}, should be "
                f"({len(x)}, 1 to {most_tokens}, {defaults.text_width})"
            )
        batch, frames, _ = x.shape
        mask = np.any(text != 0, -1) if text_mask is None else np.asarray(text_mask, np.bool_)
        counts = np.full(batch, frames) if lengths is None else np.asarray(lengths, np.int64)
        if counts.shape != (batch,) or np.any(counts < 1) or np.any(counts > frames):
            raise InputError(f"lengths {counts.tolist()}: {batch} numbers from 1 to {frames}")
        # A row without text is zero and masked, whatever the encoder said of a blank prompt.
        text = text * np.any(mask, -1, keepdims=True)[..., None].astype(np.float32)
        if motion_mask is None or not np.any(motion_mask):
            constraint_mask = observed = np.zeros_like(x)
            constrained = False
        else:
            constraint_mask = np.asarray(motion_mask, np.float32)
            observed = np.asarray(observed_motion, np.float32)
            constrained = True
        schedule = cosine_schedule(
            defaults.num_base_steps,
            defaults.num_steps if num_steps is None else num_steps,
            defaults.solver if solver is None else solver,
        )
        spans = guided_spans(
            guidance or self.default_guidance, schedule.timesteps, defaults.num_base_steps
        )
        fixed = {
            "text_features": text,
            "text_mask": mask,
            "frame_mask": np.arange(frames) < counts[:, None],
            "first_heading_rad": np.broadcast_to(
                np.asarray(first_heading_rad, np.float32), (batch,)
            ),
            "motion_mask": constraint_mask,
            "observed_motion": observed,
        }
        graph = self.graph("sampler")
        total = len(schedule.timesteps)
        # One call makes the whole motion; who wants to see or stop it gets it in parts.
        size = total if progress is None else max(1, total // 50)
        size = size if on_step is None else 1
        every = 0 if progress is None and on_step is None else size

        def seen(done: int, state: Callable[[], Arrays]) -> None:
            if progress is not None:
                progress("denoising", done, total)
            if on_step is not None:
                now = state()
                on_step(done, now["x_next"], now["x0"])

        if progress is not None:
            progress("denoising", 0, total)
        x0 = np.zeros_like(x)
        # Each span of the schedule has branches of its own; most runs are of one span.
        for span, guides in spans:
            branches = guidance_branches(guides, bool(np.any(mask)), constrained)
            run = {
                **fixed,
                "branch_text": branches[0],
                "branch_constraints": branches[1],
                "branch_weights": branches[2],
            }
            for rows in [span] if isinstance(graph, Watched) else _slices(span, size):
                run |= {
                    "x": x,
                    "x0_previous": x0,
                    "timesteps": schedule.timesteps[rows, None],
                    "schedule": schedule.coefficients[rows],
                }
                if isinstance(graph, Watched):
                    state = graph.run_watched(run, every, _from(rows.start, seen))
                else:
                    state = graph.run(run)
                    seen(rows.stop, lambda state=state: state)  # type: ignore[misc]
                x, x0 = state["x_next"], state["x0"]
        return x

    def decode(self, features: ArrayLike, outputs: Sequence[str] | None = None) -> Arrays:
        """Turn normalised features (B, T, D) into the decoder's arrays, or the named ones.

        Their names and axes are in the manifest, under ``graphs``; upstream's names.
        """
        return self.graph("decoder").run({"features": np.asarray(features)}, outputs)

    def to_motion(self, arrays: Arrays, row: int, length: int, info: dict[str, Any]) -> Motion:
        """Cut one motion out of a decoded batch."""
        clip: dict[str, Any] = {name: arrays[name][row, :length] for name in _MOTION_ARRAYS}
        return Motion(fps=self.fps, skeleton=self.skeleton, info=info, **clip)

    @property
    def default_guidance(self) -> Guidance:
        """The bundle's own guidance, with the usual weights if it states none."""
        mode, weights = self.defaults.guidance_type, self.defaults.guidance_weights
        return Guidance(mode, weights or (DEFAULT_WEIGHT,) * NUM_WEIGHTS[mode])

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Prepare a motion that follows a text, of random embedding, with both graphs loaded."""
        cosine_schedule(
            self.defaults.num_base_steps, 1, solver or self.defaults.solver
        )  # or refuse
        for name in self.family.motion_graphs:
            self.graph(name)
        generator = TorchGenerator(BENCHMARK_SEED)
        noise = generator.randn((1, num_frames, self.features.width))
        text = generator.randn((1, 1, self.defaults.text_width))

        def sample(steps: int) -> Floats:
            return self.sample(text, noise, num_steps=steps, solver=solver)

        def sample_preset(preset: Mapping[str, Any]) -> Floats:
            guidance = self.settle_guidance(None, None, preset.get("guidance_interval"))
            chosen = solver or preset["solver"]
            steps = preset["num_steps"]
            return self.sample(text, noise, num_steps=steps, solver=chosen, guidance=guidance)

        return BenchmarkCase(
            sample,
            lambda features: self.decode(np.asarray(features)),
            sample_preset=sample_preset,
        )

    def settle_guidance(
        self,
        mode: str | None,
        weights: Sequence[float] | None,
        interval: Sequence[float] | None = None,
    ) -> Guidance:
        """Return the guidance that is asked for, the bundle's if none is."""
        settled = resolve_guidance(mode, weights) or self.default_guidance
        return replace(settled, interval=resolve_interval(interval))


def _slices(span: slice, size: int) -> list[slice]:
    """Cut a span of the schedule into parts of size steps."""
    return [
        slice(start, min(start + size, span.stop)) for start in range(span.start, span.stop, size)
    ]


def _from(start: int, seen: Seen) -> Seen:
    """Return a listener to a run that begins at step start."""
    return lambda done, state: seen(start + done, state)
