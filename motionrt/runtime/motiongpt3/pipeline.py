"""MotionGPT3's pipeline: text to motion, motion to text, and motion carried on or filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.humanml.features import NUM_FEATURES
from motionrt.runtime.humanml.given_motion import GivenMotion, features_of
from motionrt.runtime.humanml.joints import motion_from_joints
from motionrt.runtime.motiongpt3.prompt import (
    BETWEEN,
    CAPTION,
    END_OF_TEXT,
    GIVEN_MOTION,
    MASKED,
    PREDICTION,
    HolderRules,
    PromptTokens,
    caption_prompt,
    check_text,
)
from motionrt.runtime.motiongpt3.schedule import latent_schedule
from motionrt.runtime.pipeline import Pipeline, Progress, settle_seed
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.token_sampling import GenerationRules, choose_tokens
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

Floats = NDArray[np.float32]
MAX_NEW_TOKENS = 40
"""Upstream's longest caption."""
MAX_HEAD_FRAMES = 40
"""Motion that is carried on is seen for this long: a fifth of the longest clip of training."""
MAX_END_FRAMES = 50
"""Of the motions at either end of a gap so much is seen: a quarter of the longest clip."""
_LONGEST_TEXT = 1 << 14
_MODULATION_FLOATS = 1 << 24
"""Conditions are prepared for so many numbers at a time: a large batch stays within memory."""


@dataclass(frozen=True)
class _Request:
    """What the model is asked."""

    prompts: list[str]
    motion_latents: Floats | None = None
    """(B, N, D) of the motions that the prompts name."""
    assemble: Callable[[Floats], Floats] | None = None
    """Puts the generated joints (T, 22, 3) together with the motions that were given."""
    extra_frames: int = 0
    """Frames of given motions that the generated clip covers."""


class MotionGpt3Pipeline(Pipeline):
    """A MotionGPT3 bundle, loaded.

    ``generate`` and ``caption`` are the whole ways; ``holder_hidden``, ``sample``, ``decode``,
    ``encode_motion`` and ``generate_tokens`` are their parts.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the motiongpt3 family."""
        super().__init__(bundle, backend)
        self.latent_dim = int(self.manifest.sampler["latent_dim"])
        self._tokenizer: TextTokenizer | None = None

    @property
    def holders(self) -> HolderRules:
        """How motions stand in prompts; BundleError if the bundle has no language model."""
        text = self._language_model("text")
        return HolderRules(
            int(text["num_output_holders"]),
            int(text["num_input_holders"]),
            bool(text["wraps_holders"]),
        )

    # Text to motion

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
        """Generate motions as ``Pipeline.generate`` says.

        Options: num_steps and solver (see ``latent_schedule``), guidance_type (nocfg or regular)
        and guidance_weights (one; higher follows the text more and varies less), temperature (of
        the ancestral solver; lower varies less), template (see ``motion_prompt.TEMPLATES``),
        continue_from (a Motion or its file; the result begins with it) and between (two of them;
        the result leads from the first to the second, and seconds is the gap's length).
        """
        known = {
            "num_steps",
            "solver",
            "guidance_type",
            "guidance_weights",
            "temperature",
            "template",
            "continue_from",
            "between",
        }
        if unknown := sorted(set(options) - known):
            raise InputError(
                f"motiongpt3 has no option {unknown[0]} (it has {', '.join(sorted(known))})"
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts:
            raise InputError("no prompt given")
        if num_samples < 1:
            raise InputError(f"{num_samples} samples: must be 1 or more")
        durations = (
            [float(seconds)] * len(prompts)
            if isinstance(seconds, (int, float))
            else [float(value) for value in seconds]
        )
        if len(durations) != len(prompts):
            raise InputError(f"{len(durations)} durations for {len(prompts)} prompts")
        texts = [text for text in prompts for _ in range(num_samples)]
        frames = [self.num_frames(value) for value in durations for _ in range(num_samples)]
        request = self._request(texts, options)
        settled = settle_seed(seed)
        sampling = self._sampling(options)
        if progress is not None:
            progress("encoding text", 0, 1)
        hidden = self.holder_hidden(request.prompts, request.motion_latents)
        guided = self.is_guided(sampling["guidance_scale"])
        noise, step_noise = draw_noise(
            settled, len(texts), self.latent_dim, sampling["num_steps"], guided, sampling["solver"]
        )
        latents = self.sample(hidden, noise, step_noise, progress=progress, **sampling)
        lengths = [count + request.extra_frames for count in frames]
        most = int(self.manifest.limits["max_frames"])
        if max(lengths) > most:
            raise InputError(
                f"{max(lengths)} frames with the motions at both ends, this model allows {most}"
            )
        decoded = self.decode(latents, lengths)
        motions = []
        for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            info = {
                "prompt": text,
                "seed": settled,
                "sample": row % num_samples,
                "model": self.manifest.name,
                "family": self.manifest.family,
                "backend": self.backend.name,
                **sampling,
            }
            joints = decoded["joints"][row, :length]
            features: Floats | None = decoded["features"][row, :length]
            if request.assemble is not None:
                joints, features = request.assemble(joints), None
            motions.append(motion_from_joints(joints, self.skeleton, features, self.fps, info))
        return motions[0] if isinstance(prompt, str) and num_samples == 1 else motions

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
        defaults = self._language_model("sampler")
        scale = self._guidance_scale(guidance_scale)
        states, x = np.asarray(hidden, np.float32), np.asarray(noise, np.float32)
        batch = len(states)
        if x.shape != (batch, self.latent_dim):
            raise InputError(f"noise is {x.shape}, should be ({batch}, {self.latent_dim})")
        schedule = latent_schedule(
            int(defaults["num_steps"]) if num_steps is None else num_steps,
            str(defaults["solver"]) if solver is None else solver,
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
        conditions, loop = self.session("conditions"), self.session("sampler")
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

    def decode(self, latents: ArrayLike, lengths: Sequence[int]) -> dict[str, NDArray[Any]]:
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
        return self.session("decoder").run({"latents": values, "frame_mask": mask})

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
        result = self.session("encoder").run(
            {"features": batch, "frame_mask": mask, "noise": drawn.astype(np.float32)}, ["latents"]
        )
        encoded: Floats = result["latents"]
        return encoded

    def caption(
        self,
        motions: Motion | NDArray[Any] | Sequence[Motion | NDArray[Any]],
        prompt: str = CAPTION,
        *,
        max_tokens: int = MAX_NEW_TOKENS,
        sample: bool = False,
        seed: int | None = None,
    ) -> str | list[str]:
        """Describe motions: a text for one, else a list.

        A motion is a Motion of a skeleton whose joints are recognised, features (T, 263) in their
        units, or joints (T, 22, 3) at 20 frames a second. prompt names it by ``GIVEN_MOTION``. The
        likeliest token is taken, or with sample one is drawn, by the seed.
        """
        single = isinstance(motions, (Motion, np.ndarray))
        clips = [motions] if isinstance(motions, (Motion, np.ndarray)) else list(motions)
        if not clips:
            raise InputError("no motion given")
        if prompt.count(GIVEN_MOTION) != 1:
            raise InputError(f"the question must name the motion once, as {GIVEN_MOTION}")
        latents = self.encode_motion([features_of(clip) for clip in clips])
        text = self.holders.text_request(check_text(prompt, (MASKED,)))
        ids = self.generate_tokens(
            [text] * len(clips), latents[:, None], max_tokens=max_tokens, sample=sample, seed=seed
        )
        texts = [self.readable(row) for row in ids]
        return texts[0] if single else texts

    def generate_tokens(
        self,
        prompts: Sequence[str],
        motion_latents: ArrayLike,
        *,
        max_tokens: int = MAX_NEW_TOKENS,
        sample: bool = False,
        seed: int | None = None,
        logits: list[NDArray[np.float32]] | None = None,
    ) -> NDArray[np.int64]:
        """Continue whole prompts about motions; return token ids (B, N), N at most max_tokens.

        A row that has ended is filled with the end-of-text id. logits, if given, gets each step's
        raw (B, vocab_size).
        """
        text = self._language_model("text")
        end, vocab_size = int(text["end_of_text_id"]), int(text["vocab_size"])
        num_positions = int(text["num_positions"])
        if max_tokens < 1:
            raise InputError(f"{max_tokens} tokens: must be 1 or more")
        # The tokens that start and end a motion are the last two: a caption holds none.
        rules = GenerationRules(banned=(vocab_size - 2, vocab_size - 1), draws=sample)
        generator = np.random.default_rng(settle_seed(seed)) if sample else None
        rows = self.tokenize(prompts)
        counts = np.array([len(row) for row in rows])
        if counts.max() + max_tokens > num_positions:
            raise InputError(
                f"{counts.max()} tokens of prompt and {max_tokens} new: at most {num_positions}"
            )
        tokens = self._split(rows, asks_for_motion=False)
        result = self._run_backbone(
            tokens,
            self._latents(motion_latents, len(rows)),
            logit_rows=tokens.last_text_rows(num_positions),
        )
        past_positions = np.concatenate((tokens.text_positions, tokens.motion_positions), axis=1)
        made = np.full((len(rows), 0), end, np.int64)
        ended = np.zeros(len(rows), np.bool_)
        nothing = np.zeros((len(rows), 0), np.int64)
        for step in range(max_tokens):
            raw = result["logits"][:, 0]
            if logits is not None:
                logits.append(raw)
            chosen = np.where(ended, end, choose_tokens(raw, made, rules, generator))
            made = np.concatenate((made, chosen[:, None]), axis=1)
            ended |= chosen == end
            if ended.all() or step == max_tokens - 1:
                break
            positions = (counts + step)[:, None]
            result = self._run_backbone(
                PromptTokens(chosen[:, None], positions, nothing, nothing),
                np.zeros((len(rows), 0, self.latent_dim), np.float32),
                past=result["present"],
                past_positions=past_positions,
                logit_rows=np.zeros((len(rows), 1), np.int64),
            )
            past_positions = np.concatenate((past_positions, positions), axis=1)
        return made

    def readable(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """Return the text of generated ids as upstream prints it, up to the end of the text."""
        text = self._load_tokenizer().decode([int(i) for i in ids]).split(END_OF_TEXT)[0]
        text = text.replace(self.holders.given(), GIVEN_MOTION)
        text = text.replace(self.holders.output(), GIVEN_MOTION)
        return text.replace("\n", " ").strip()

    def tokenize(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return each whole prompt's token ids; InputError for one of more than the model takes."""
        most = int(self._language_model("text")["max_tokens"])
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

    # Parts

    def _request(self, texts: list[str], options: dict[str, Any]) -> _Request:
        """Say what to ask the model: text alone, or about the motions in the options."""
        self._language_model("text")
        given, ends = options.get("continue_from"), options.get("between")
        if given is not None and ends is not None:
            raise InputError("give continue_from or between, not both")
        template = str(options.get("template", "caption"))
        captions = [caption_prompt(text.strip(), template) for text in texts]
        wordless = not any(text.strip() for text in texts)
        if ends is not None:
            if len(ends) != 2:
                raise InputError(f"between takes two motions, {len(ends)} given")
            if not wordless:
                raise InputError("between takes no prompt: the model fills a gap without a text")
            first, last = (GivenMotion.of(motion) for motion in ends)
            head, tail = first.last_features(MAX_END_FRAMES), last.first_features(MAX_END_FRAMES)
            return _Request(
                [self.holders.motion_request(BETWEEN)] * len(texts),
                self._repeated([head, tail], len(texts)),
                lambda clip: first.led_to(last, clip, len(head), len(tail)),
                len(head) + len(tail),
            )
        asked = [self.holders.motion_request(text) for text in captions]
        if given is None:
            return _Request(asked)
        before = GivenMotion.of(given)
        if not wordless:
            # The model carries motions on without a text; a text makes a clip that is appended.
            return _Request(asked, assemble=before.carried_on)
        return _Request(
            [self.holders.motion_request(PREDICTION)] * len(texts),
            self._repeated([before.last_features(MAX_HEAD_FRAMES)], len(texts)),
            before.carried_on,
        )

    def _repeated(self, clips: list[Floats], times: int) -> Floats:
        """Encode clips of features and return (times, clips, D)."""
        return np.repeat(self.encode_motion(clips)[None], times, axis=0)

    def _sampling(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``sample`` that options and bundle settle."""
        defaults = self._language_model("sampler")
        weights = options.get("guidance_weights")
        kind = options.get("guidance_type") or ("regular" if weights is not None else None)
        if kind not in (None, "nocfg", "regular"):
            raise InputError(f"guidance {kind}: motiongpt3 has nocfg and regular")
        if weights is not None and (kind == "nocfg" or len(weights) != 1):
            raise InputError(f"guidance {kind} with {len(weights)} weights: regular takes one")
        scale: float | None = 1.0 if kind == "nocfg" else None
        if weights is not None:
            scale = float(weights[0])
        num_steps = int(options.get("num_steps", defaults["num_steps"]))
        solver = str(options.get("solver", defaults["solver"]))
        temperature = float(options.get("temperature", 1.0))
        latent_schedule(num_steps, solver, temperature)  # refuses what there is not
        return {
            "num_steps": num_steps,
            "solver": solver,
            "guidance_scale": self._guidance_scale(scale),
            "temperature": temperature,
        }

    def _guidance_scale(self, scale: float | None) -> float:
        defaults = self._language_model("sampler")
        value = float(defaults["guidance_scale"]) if scale is None else float(scale)
        if not math.isfinite(value) or value < 1:
            raise InputError(f"guidance {value}: must be 1 (off) or more")
        if self.is_guided(value) and not defaults["has_null_condition"]:
            raise InputError(
                f"guidance {value}: {self.manifest.name} was trained without; use 1 (off)"
            )
        return value

    def _language_model(self, section: str) -> dict[str, Any]:
        """Return a section of the manifest; BundleError if the bundle is a motion VAE alone."""
        if not self.manifest.text:
            raise BundleError(
                f"{self.bundle.folder}: holds a motion encoder and decoder, no language model"
            )
        return dict(getattr(self.manifest, section))

    def _load_tokenizer(self) -> TextTokenizer:
        if self._tokenizer is None:
            name = str(self._language_model("text")["tokenizer"])
            self.bundle.check_hashes([name])
            self._tokenizer = TextTokenizer(
                self.bundle.path(name), TextRules(max_tokens=_LONGEST_TEXT)
            )
        return self._tokenizer

    def _split(self, rows: Sequence[Sequence[int]], asks_for_motion: bool) -> PromptTokens:
        text = self._language_model("text")
        return PromptTokens.split(
            rows, int(text["vocab_size"]), int(text["num_positions"]), asks_for_motion
        )

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

    def _run_backbone(
        self,
        tokens: PromptTokens,
        latents: Floats,
        *,
        past: NDArray[Any] | None = None,
        past_positions: NDArray[Any] | None = None,
        logit_rows: NDArray[Any] | None = None,
    ) -> dict[str, NDArray[Any]]:
        session = self.session("backbone")
        batch = len(tokens.text_ids)
        if past is None:
            axes = next(t.axes for t in session.info.inputs if t.name == "past")
            sizes = {"batch": batch, "past_tokens": 0}
            past = np.zeros([sizes[a] if isinstance(a, str) else a for a in axes], np.float32)
            past_positions = np.zeros((batch, 0), np.int64)
        assert past_positions is not None
        return session.run(
            {
                **tokens.to_inputs(),
                "motion_latents": latents,
                "past": past,
                "past_positions": past_positions,
                "logit_rows": np.zeros((batch, 0), np.int64) if logit_rows is None else logit_rows,
            },
            ["motion_hidden"] if logit_rows is None else ["logits", "present"],
        )

    def _frame_mask(self, lengths: Sequence[int]) -> NDArray[np.bool_]:
        most = int(self.manifest.limits["max_frames"])
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
