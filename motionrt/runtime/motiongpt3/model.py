"""MotionGPT3's model: prompts to hidden states, these to latents, latents to motions, and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Arrays
from motionrt.runtime.bundle.manifest import Bundle, Count
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.humanml.features import NUM_FEATURES
from motionrt.runtime.language.cached_graph import CachedGraph
from motionrt.runtime.language.decoding import Always, continue_tokens
from motionrt.runtime.language.sampling import Choice, SamplingRules
from motionrt.runtime.motiongpt3.prompt import (
    END_OF_TEXT,
    GIVEN_MOTION,
    HolderRules,
    PromptTokens,
)
from motionrt.runtime.motiongpt3.schedule import latent_schedule
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline, Progress
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

Floats = NDArray[np.float32]
MAX_NEW_TOKENS = 40
"""Upstream's longest caption."""
BENCHMARK_SEED = 0
BENCHMARK_PROMPT = "A person walks forward."
_REPETITION_PENALTY = 1.1
_DRAWN_FROM = 50
"""Of the likeliest words, where one is drawn."""
_LONGEST_TEXT = 1 << 14
_PAST_AXES = ("batch", "past_tokens")
"""The free axes of what the backbone remembers."""
_MODULATION_FLOATS = 1 << 24
"""Conditions are prepared for so many numbers at a time: a large batch stays within memory."""


Holders = Annotated[int, msgspec.Meta(ge=1, le=1 << 12)]
"""Tokens of a prompt that stand for a motion."""


class VaeSampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sampler section of a bundle with a motion encoder and decoder alone."""

    latent_dim: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class LanguageSampler(VaeSampler, frozen=True):
    """The sampler section of a bundle with a language model."""

    num_base_steps: Count
    num_steps: Count
    """Taken if nobody says otherwise, with the solver and guidance below."""
    solver: str
    guidance_scale: Annotated[float, msgspec.Meta(ge=1)]
    """Unitless; 1 is off."""
    has_null_condition: bool
    """It was trained with a condition that means none: guidance needs it."""


class LanguageText(msgspec.Struct, frozen=True):
    """What the text section of a bundle says of its language model; further keys describe it."""

    tokenizer: str
    max_tokens: Count
    """Longest prompt."""
    vocab_size: Annotated[int, msgspec.Meta(ge=3, le=1 << 31)]
    """Tokens of text, the two that start and end a motion last."""
    end_of_text_id: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
    num_output_holders: Holders
    num_input_holders: Holders
    wraps_holders: bool
    num_positions: Count


class MotionGpt3Model(Pipeline):
    """The parts of a MotionGPT3 bundle.

    ``holder_hidden``, ``sample``, ``decode``, ``encode_motion`` and ``generate_tokens``;
    `MotionGpt3Pipeline` is the whole.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the motiongpt3 family."""
        super().__init__(bundle, backend)
        self._defaults: LanguageSampler | None = None
        self._language: LanguageText | None = None
        if self.manifest.text:
            self._language = bundle.section("text", LanguageText)
            self._defaults = bundle.section("sampler", LanguageSampler)
            self.latent_dim = self._defaults.latent_dim
        else:
            self.latent_dim = bundle.section("sampler", VaeSampler).latent_dim
        self._tokenizer: TextTokenizer | None = None
        self._check_parts()

    def _check_parts(self) -> None:
        """Raise BundleError where the manifest's sections do not fit one another."""
        bundle, latents = self.bundle, (self.latent_dim,)
        inputs = {"latents": latents, "frame_mask": ()}
        bundle.require("decoder", inputs, ("normalized_features", "features", "joints"))
        inputs = {"features": (NUM_FEATURES,), "frame_mask": (), "noise": latents}
        bundle.require("encoder", inputs, ("latents",))
        if self._defaults is None:
            return
        bundle.require("sampler", {"x": latents, "noise": latents}, ("x_next", "x0"))
        bundle.require("conditions", {"hidden": ()}, ("modulations",))
        inputs = {"motion_latents": latents, "past": ()}
        bundle.require("backbone", inputs, ("motion_hidden", "logits", "present"))
        graphs = self.manifest.graphs
        if "backbone" in graphs:
            past = next(t.axes for t in graphs["backbone"].inputs if t.name == "past")
            sizes = [axis for axis in past if isinstance(axis, int)]
            if {a for a in past if isinstance(a, str)} != set(_PAST_AXES) or max(sizes) > 1 << 20:
                raise bundle.unfit("graph backbone: past has other axes than it needs")
        if "conditions" in graphs:
            axes = graphs["conditions"].outputs[0].axes
            if not axes or not isinstance(axes[-1], int) or not axes[-1]:
                raise bundle.unfit("graph conditions: modulations have no fixed width")
        try:
            latent_schedule(self._defaults.num_steps, self._defaults.solver)
        except InputError as error:
            raise bundle.unfit(f"sampler: {error}") from error

    @property
    def language(self) -> LanguageText:
        """Its language model's tokens; BundleError if the bundle is a motion VAE alone."""
        if self._language is None:
            raise BundleError(
                f"{self.bundle.folder}: holds a motion encoder and decoder, no language model"
            )
        return self._language

    @property
    def defaults(self) -> LanguageSampler:
        """Its sampling defaults; BundleError if the bundle is a motion VAE alone."""
        assert self.language is not None and self._defaults is not None
        return self._defaults

    @property
    def holders(self) -> HolderRules:
        """How motions stand in prompts; BundleError if the bundle has no language model."""
        text = self.language
        return HolderRules(text.num_output_holders, text.num_input_holders, text.wraps_holders)

    # Text to motion

    def holder_hidden(
        self, prompts: Sequence[str], motion_latents: ArrayLike | None = None
    ) -> Floats:
        """Run whole prompts that ask for a motion; return their holders' states (B, K, width).

        prompts end in ``HolderRules.output``; motion_latents (B, N, D) are those of the motions
        that are named in them, in order. InputError if a prompt has too many tokens.
        """
        tokens = self._split(self.tokenize(prompts), asks_for_motion=True)
        result = self._run_backbone(tokens, self._latents(motion_latents, len(prompts)))
        return np.ascontiguousarray(result["motion_hidden"][:, -self.holders.num_output :])

    def sample(
        self,
        hidden: ArrayLike,
        noise: ArrayLike,
        step_noise: ArrayLike | None = None,
        *,
        num_steps: int | None = None,
        solver: str | None = None,
        guidance_scale: float | None = None,
        temperature: float = 1.0,
        progress: Progress | None = None,
    ) -> Floats:
        """Denoise: the latents (B, D) of B motions, as ``decode`` takes them.

        Args:
            hidden: (B, K, width) as ``holder_hidden`` gives.
            noise: (B, D) standard normal, where sampling starts.
            step_noise: (steps, B, D) standard normal, in the order of the steps; None for a solver
                that adds none.
            num_steps: None takes the bundle's (100).
            solver: a name of ``latent_schedule.SOLVER_NAMES``; None takes the bundle's (ancestral).
            guidance_scale: 1 is off, more follows the text more and varies less; None takes the
                bundle's.
            temperature: of the ancestral solver's noise; 1 is as trained, less varies less.
            progress: told of every step.
        """
        defaults = self.defaults
        scale = self._guidance_scale(guidance_scale)
        states, x = np.asarray(hidden, np.float32), np.asarray(noise, np.float32)
        batch = len(states)
        if x.shape != (batch, self.latent_dim):
            raise InputError(f"noise is {x.shape}, should be ({batch}, {self.latent_dim})")
        schedule = latent_schedule(
            defaults.num_steps if num_steps is None else num_steps,
            defaults.solver if solver is None else solver,
            temperature,
        )
        total = len(schedule.timesteps)
        shape = (total, batch, self.latent_dim)
        if step_noise is None:
            if schedule.coefficients[:, 5].any():
                raise InputError("the ancestral solver needs step_noise")
            step_noise = np.zeros(shape, np.float32)
        steps = np.asarray(step_noise, np.float32)
        if steps.shape != shape:
            raise InputError(f"step noise is {steps.shape}, should be {shape}")
        # Without guidance the branch without a condition would have no weight: it is not run.
        guided = self.is_guided(scale)
        branches = np.arange(2 if guided else 1)
        weights = np.array([scale, 1 - scale] if guided else [1.0], np.float32)
        conditions, loop = self.graph("conditions"), self.graph("sampler")
        width = int(conditions.info.outputs[0].axes[-1])
        size = max(1, _MODULATION_FLOATS // (width * batch * len(branches)))
        if progress is not None:
            size = min(size, max(1, total // 50))
        x0 = np.zeros_like(x)
        for start in range(0, total, size):
            if progress is not None:
                progress("denoising", start, total)
            rows = slice(start, start + size)
            prepared = conditions.run(
                {"hidden": states, "branches": branches, "timesteps": schedule.timesteps[rows]}
            )
            state = loop.run(
                {
                    "x": x,
                    "x0_previous": x0,
                    "modulations": prepared["modulations"],
                    "schedule": schedule.coefficients[rows],
                    "noise": steps[rows],
                    "guidance_weights": weights,
                }
            )
            x, x0 = state["x_next"], state["x0"]
        if progress is not None:
            progress("denoising", total, total)
        return x

    def decode(self, latents: ArrayLike, lengths: Sequence[int]) -> Arrays:
        """Turn latents (B, D) into motions of the given numbers of frames.

        Returns normalized_features and features (B, T, 263), joints (B, T, 22, 3); frames past a
        motion's length mean nothing. InputError for a length that the model does not allow.
        """
        values = np.asarray(latents, np.float32)
        if values.ndim != 2 or values.shape[1] != self.latent_dim or len(values) != len(lengths):
            raise InputError(
                f"latents are {values.shape}, should be ({len(lengths)}, {self.latent_dim})"
            )
        mask = self._frame_mask(lengths)
        return self.graph("decoder").run({"latents": values, "frame_mask": mask})

    # Motion to text

    def encode_motion(self, clips: Sequence[ArrayLike], noise: ArrayLike | None = None) -> Floats:
        """Return the latents (B, D) of clips of features (T, 263), each of its own length.

        noise (B, D) is standard normal, for a sample of what the encoder takes for possible; None
        takes the middle of it.
        """
        features = [np.asarray(clip, np.float32) for clip in clips]
        for clip in features:
            if clip.ndim != 2 or clip.shape[1] != NUM_FEATURES:
                raise InputError(f"features are {clip.shape}, should be (frames, {NUM_FEATURES})")
            if not np.isfinite(clip).all():
                raise InputError("features: not all numbers are finite")
        lengths = [len(clip) for clip in features]
        mask = self._frame_mask(lengths)
        batch = np.zeros((*mask.shape, NUM_FEATURES), np.float32)
        for row, clip in enumerate(features):
            batch[row, : len(clip)] = clip
        drawn = (
            np.zeros((len(clips), self.latent_dim)) if noise is None else np.asarray(noise, float)
        )
        result = self.graph("encoder").run(
            {"features": batch, "frame_mask": mask, "noise": drawn.astype(np.float32)}, ["latents"]
        )
        encoded: Floats = result["latents"]
        return encoded

    def generate_tokens(
        self,
        prompts: Sequence[str],
        motion_latents: ArrayLike,
        *,
        max_tokens: int = MAX_NEW_TOKENS,
        rules: SamplingRules | None = None,
        seed: int | None = None,
        logits: list[NDArray[np.float32]] | None = None,
    ) -> NDArray[np.int64]:
        """Continue whole prompts about motions; return token ids (B, N), N at most max_tokens.

        rules say how tokens are chosen, None takes the likeliest; drawing follows the seed. A row
        that has ended is filled with the end-of-text id. logits, if given, gets each step's raw
        (B, vocab_size).
        """
        text = self.language
        end, vocab_size, num_positions = text.end_of_text_id, text.vocab_size, text.num_positions
        if max_tokens < 1:
            raise InputError(f"{max_tokens} tokens: must be 1 or more")
        rules = rules or self.rules()
        if seed is not None and not 0 <= seed:
            raise InputError(f"seed {seed}: must be from 0")
        rows = self.tokenize(prompts)
        counts = np.array([len(row) for row in rows])
        if counts.max() + max_tokens > num_positions:
            raise InputError(
                f"{counts.max()} tokens of prompt and {max_tokens} new: at most {num_positions}"
            )
        tokens = self._split(rows, asks_for_motion=False)
        backbone = CachedGraph(
            self.graph("backbone"),
            {"past": "present"},
            dict(zip(_PAST_AXES, (len(rows), 0), strict=True)),
        )
        past_positions = np.zeros((len(rows), 0), np.int64)
        nothing = np.zeros((len(rows), 0), np.int64)

        def read(read_on: PromptTokens, latents: Floats, logit_rows: NDArray[np.int64]) -> Floats:
            nonlocal past_positions
            inputs = {
                **read_on.to_inputs(),
                "motion_latents": latents,
                "past_positions": past_positions,
                "logit_rows": logit_rows,
            }
            last: Floats = backbone.run(inputs, ["logits"])["logits"][:, 0]
            past_positions = np.concatenate(
                (past_positions, read_on.text_positions, read_on.motion_positions), axis=1
            )
            return last

        def advance(chosen: NDArray[np.int64], step: int) -> Floats:
            return read(
                PromptTokens(chosen[:, None], (counts + step)[:, None], nothing, nothing),
                np.zeros((len(rows), 0, self.latent_dim), np.float32),
                np.zeros((len(rows), 1), np.int64),
            )

        # The tokens that start and end a motion are the last two: a caption holds none.
        banned = Always(Choice(banned=np.array([vocab_size - 2, vocab_size - 1])))
        latents = self._latents(motion_latents, len(rows))
        made = continue_tokens(
            read(tokens, latents, tokens.last_text_rows(num_positions)),
            advance,
            rules,
            [end],
            max_tokens,
            # One for all rows: they draw in turn.
            generators=[np.random.default_rng(seed)] * len(rows) if rules.draws else [],
            grammars=[banned] * len(rows),
            logits=logits,
        )
        ids = np.full((len(rows), max(map(len, made))), end, np.int64)
        for row, chosen in enumerate(made):
            ids[row, : len(chosen)] = chosen
        return ids

    def rules(
        self, sample: bool = False, temperature: float | None = None, top_p: float | None = None
    ) -> SamplingRules:
        """Return how words are chosen: the likeliest, or drawn as soon as anything asks for it."""
        if not sample and temperature is None and top_p is None:
            temperature = 0.0
        return SamplingRules(
            temperature=1.0 if temperature is None else temperature,
            top_k=_DRAWN_FROM,
            top_p=1.0 if top_p is None else top_p,
            repetition_penalty=_REPETITION_PENALTY,
        )

    def readable(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """Return the text of generated ids as upstream prints it, up to the end of the text."""
        text = self._load_tokenizer().decode([int(i) for i in ids]).split(END_OF_TEXT)[0]
        text = text.replace(self.holders.given(), GIVEN_MOTION)
        text = text.replace(self.holders.output(), GIVEN_MOTION)
        return text.replace("\n", " ").strip()

    def tokenize(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return each whole prompt's token ids; InputError for one of more than the model takes."""
        most = self.language.max_tokens
        ids, mask, _ = self._load_tokenizer().encode(list(prompts))
        rows = [row[: int(real.sum())].tolist() for row, real in zip(ids, mask, strict=True)]
        for row in rows:
            if len(row) > most:
                raise InputError(
                    f"prompt of {len(row)} tokens: at most {most}; describe one short motion"
                )
        return rows

    def is_guided(self, guidance_scale: float) -> bool:
        """Say whether a guidance scale needs the branch without a condition."""
        return guidance_scale > 1

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Prepare a motion that follows a text, its prompt run through the language model."""
        scale = self._guidance_scale(None)
        solver = self.defaults.solver if solver is None else solver
        latent_schedule(1, solver)  # refuses what there is not
        hidden = self.holder_hidden([self.holders.motion_request(BENCHMARK_PROMPT)])
        for name in self.family.motion_graphs:
            self.graph(name)

        def sample(steps: int) -> Floats:
            guided = self.is_guided(scale)
            noise, rows = draw_noise(BENCHMARK_SEED, 1, self.latent_dim, steps, guided, solver)
            return self.sample(hidden, noise, rows, num_steps=steps, solver=solver)

        return BenchmarkCase(sample, lambda x: self.decode(np.asarray(x), [num_frames]))

    # Parts

    def _guidance_scale(self, scale: float | None) -> float:
        value = self.defaults.guidance_scale if scale is None else float(scale)
        if not math.isfinite(value) or value < 1:
            raise InputError(f"guidance {value}: must be 1 (off) or more")
        if self.is_guided(value) and not self.defaults.has_null_condition:
            raise InputError(
                f"guidance {value}: {self.manifest.name} was trained without; use 1 (off)"
            )
        return value

    def _load_tokenizer(self) -> TextTokenizer:
        if self._tokenizer is None:
            name = self.language.tokenizer
            self.bundle.check_hashes([name])
            self._tokenizer = TextTokenizer(
                self.bundle.path(name), TextRules(max_tokens=_LONGEST_TEXT)
            )
        return self._tokenizer

    def _split(self, rows: Sequence[Sequence[int]], asks_for_motion: bool) -> PromptTokens:
        text = self.language
        return PromptTokens.split(rows, text.vocab_size, text.num_positions, asks_for_motion)

    def _latents(self, latents: ArrayLike | None, batch: int) -> Floats:
        if latents is None:
            return np.zeros((batch, 0, self.latent_dim), np.float32)
        values = np.asarray(latents, np.float32)
        if values.ndim != 3 or len(values) != batch or values.shape[2] != self.latent_dim:
            raise InputError(
                f"motion latents are {values.shape}, "
                f"should be ({batch}, motions, {self.latent_dim})"
            )
        return values

    def _run_backbone(self, tokens: PromptTokens, latents: Floats) -> Arrays:
        backbone = self.graph("backbone")
        batch = len(tokens.text_ids)
        axes = next(t.axes for t in backbone.info.inputs if t.name == "past")
        sizes = dict(zip(_PAST_AXES, (batch, 0), strict=True))
        return backbone.run(
            {
                **tokens.to_inputs(),
                "motion_latents": latents,
                "past": np.zeros([sizes[a] if isinstance(a, str) else a for a in axes], np.float32),
                "past_positions": np.zeros((batch, 0), np.int64),
                "logit_rows": np.zeros((batch, 0), np.int64),
            },
            ["motion_hidden"],
        )

    def _frame_mask(self, lengths: Sequence[int]) -> NDArray[np.bool_]:
        most = self.manifest.limits.max_frames
        for length in lengths:
            if not 1 <= length <= most:
                raise InputError(f"{length} frames: this model takes 1 to {most}")
        return np.arange(max(lengths)) < np.asarray(lengths)[:, None]


def draw_noise(
    seed: int, batch: int, latent_dim: int, num_steps: int, guided: bool, solver: str
) -> tuple[Floats, Floats | None]:
    """Draw what ``sample`` takes, (B, D) and (steps, B, D): the numbers of upstream's CPU run.

    Upstream draws for both branches of guidance and uses the first half. A solver that adds no
    noise draws none.
    """
    generator = TorchGenerator(seed)
    noise = generator.randn((batch, 1, latent_dim))[:, 0]
    if solver != "ancestral":
        return noise, None
    rows = 2 * batch if guided else batch
    steps = [generator.randn((rows, 1, latent_dim))[:batch, 0] for _ in range(num_steps)]
    return noise, np.stack(steps)
