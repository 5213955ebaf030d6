"""MotionGPT3's pipeline: text to motion, motion to text, and motion carried on or filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.given_motion import GivenMotion, features_of
from motionrt.runtime.humanml.joints import join, joints_of_motion, motion_from_joints
from motionrt.runtime.memory import transformer_bytes
from motionrt.runtime.motiongpt3.model import MAX_NEW_TOKENS, MotionGpt3Model, draw_noise
from motionrt.runtime.motiongpt3.options import MotionGpt3Options
from motionrt.runtime.motiongpt3.prompt import (
    BETWEEN,
    CAPTION,
    GIVEN_MOTION,
    MASKED,
    PREDICTION,
    caption_prompt,
    check_text,
)
from motionrt.runtime.motiongpt3.schedule import latent_schedule
from motionrt.runtime.motiongpt3.templates import find_template
from motionrt.runtime.options import either
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request
from motionrt.runtime.text.prompt import split_prompt

Floats = NDArray[np.float32]
MAX_HEAD_FRAMES = 40
"""Motion that is carried on is seen for this long: a fifth of the longest clip of training."""
MAX_END_FRAMES = 50
"""Of the motions at either end of a gap so much is seen: a quarter of the longest clip."""


_DECODER_HEADS = 4
_Value = TypeVar("_Value")
_Read: TypeAlias = Motion | ArrayLike
"""A given motion when it comes here: files are read by then."""


@dataclass(frozen=True)
class _Task:
    """What the model is asked, in its own words."""

    prompts: list[str]
    given: list[Floats] = field(default_factory=list)
    """Features (T, 263) of the motions that the prompts name."""
    assemble: Callable[[Floats], Floats] | None = None
    """Puts the generated joints (T, 22, 3) together with the motions that were given."""
    extra_frames: int = 0
    """Frames of given motions that the generated clip covers."""


class _Generate(MotionGpt3Options, GenerateKeywords, total=False):
    pass


class _GenerateMany(MotionGpt3Options, GenerateManyKeywords, total=False):
    pass


class MotionGpt3Pipeline(MotionGpt3Model):
    """A MotionGPT3 bundle, loaded.

    ``generate`` and ``caption`` are the whole ways; ``holder_hidden``, ``sample``, ``decode``,
    ``encode_motion`` and ``generate_tokens`` are their parts.
    """

    def generate(  # type: ignore[override]  # narrower on purpose: it names its options
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_Generate],
    ) -> Motion:
        """Generate one motion as `Pipeline.generate` says; options are `MotionGpt3Options`."""
        return super().generate(prompt, seconds, **options)

    def generate_many(  # type: ignore[override]  # as above
        self,
        prompts: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_GenerateMany],
    ) -> list[Motion]:
        """Generate motions as `Pipeline.generate_many` says; options are `MotionGpt3Options`."""
        return super().generate_many(prompts, seconds, **options)

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
        """Describe motions, a text for each.

        A motion is a Motion of a skeleton whose joints are recognised, features (T, 263) in their
        units, or joints (T, 22, 3) at 20 frames a second. prompt names it by ``GIVEN_MOTION``; None
        asks as in training. The likeliest token is taken, or with sample, temperature (1 is as
        trained, lower varies less) or top_p (the share of the likeliest that is drawn from) one is
        drawn, by the seed.
        """
        clips = list(motions)
        if not clips:
            raise InputError("no motion given")
        question = CAPTION if prompt is None else prompt
        if question.count(GIVEN_MOTION) != 1:
            raise InputError(f"the question must name the motion once, as {GIVEN_MOTION}")
        latents = self.encode_motion([features_of(clip) for clip in clips])
        text = self.holders.text_request(check_text(question, (MASKED,)))
        ids = self.generate_tokens(
            [text] * len(clips),
            latents[:, None],
            max_tokens=MAX_NEW_TOKENS if max_tokens is None else max_tokens,
            rules=self.rules(sample, temperature, top_p),
            seed=seed,
        )
        return [self.readable(row) for row in ids]

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
        """Go on from texts that name no motion, a text for each, as the language model does.

        Words are chosen as ``caption_many`` chooses them. InputError if a text names a motion.
        """
        if not prompts:
            raise InputError("no text given")
        asked = [
            self.holders.text_request(check_text(text, (GIVEN_MOTION, MASKED))) for text in prompts
        ]
        ids = self.generate_tokens(
            asked,
            np.zeros((len(asked), 0, self.latent_dim), np.float32),
            max_tokens=MAX_NEW_TOKENS if max_tokens is None else max_tokens,
            rules=self.rules(sample, temperature, top_p),
            seed=seed,
        )
        return [self.readable(row) for row in ids]

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        samples = 1 if request.sample_seeds else request.num_samples
        rows = len(request.prompts) * samples
        if request.options.get("sentences"):
            rows = samples * sum(len(split_prompt(text, 1.0)[0]) for text in request.prompts)
        num_words = self.language.max_tokens
        inputs = self.manifest.graphs["backbone"].inputs
        past = next(tensor.axes for tensor in inputs if tensor.name == "past")
        heads, head_width = int(past[-3]), int(past[-1])
        words = transformer_bytes(rows, num_words, heads * head_width, heads)
        # The decoder is as wide as the latents that it takes.
        poses = transformer_bytes(rows, max(frames), self.latent_dim, _DECODER_HEADS)
        return max(words, poses)

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        if request.options.get("sentences"):
            _given(request)  # refuses what is no motion
            request, frames = self._parts(request, frames, _sentences(request))
        task, _ = self._settled(request, frames)
        self.tokenize(task.prompts)  # refuses one that is too long

    def _settled(self, request: Request, frames: Sequence[int]) -> tuple[_Task, dict[str, Any]]:
        """Say what to ask the model and how to sample; InputError for what does not fit."""
        options, samples = cast(MotionGpt3Options, request.options), request.num_samples
        texts = [text for text in request.prompts for _ in range(samples)]
        task = self._task(texts, [count for count in frames for _ in range(samples)], options)
        longest, most = max(frames) + task.extra_frames, self.manifest.limits.max_frames
        if longest > most:
            raise InputError(
                f"{longest} frames with the motions at both ends, this model allows {most}"
            )
        return task, self._sampling(options)

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        if request.options.get("sentences"):
            return self._of_sentences(request, seed, frames, progress)
        samples = request.num_samples
        texts = [text for text in request.prompts for _ in range(samples)]
        task, sampling = self._settled(request, frames)
        if progress is not None:
            progress("encoding text", 0, 1)
        latents_given = None
        if task.given:
            latents_given = np.repeat(self.encode_motion(task.given)[None], len(texts), axis=0)
        hidden = self.holder_hidden(task.prompts, latents_given)
        guided = self.is_guided(sampling["guidance_scale"])
        noise, step_noise = draw_noise(
            seed, len(texts), self.latent_dim, sampling["num_steps"], guided, sampling["solver"]
        )
        latents = self.sample(hidden, noise, step_noise, progress=progress, **sampling)
        lengths = [count + task.extra_frames for count in frames for _ in range(samples)]
        decoded = self.decode(latents, lengths)
        motions = []
        for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            info = {
                "prompt": text,
                "seed": seed,
                "sample": row % samples,
                "model": self.manifest.name,
                "family": self.manifest.family,
                "backend": self.backend.name,
                **sampling,
            }
            joints = decoded["joints"][row, :length]
            features: Floats | None = decoded["features"][row, :length]
            if task.assemble is not None:
                joints, features = task.assemble(joints), None
            motion = motion_from_joints(joints, self.skeleton, features, self.fps, info)
            motion.warnings += self.length_warnings(length)
            motions.append(motion)
        return motions

    def _of_sentences(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        """Make every sentence a clip, all in one batch, and put those of a prompt in a row.

        A motion to carry on goes before the first.
        """
        sentences = _sentences(request)
        parts, counts = self._parts(request, frames, sentences)
        given = _given(request)
        clips = iter(self._generate(parts, seed, counts, progress))
        motions: list[Motion] = []
        for text, own in zip(request.prompts, sentences, strict=True):
            # The samples of a sentence follow one another.
            made = [[next(clips) for _ in range(request.num_samples)] for _ in own]
            for sample in range(request.num_samples):
                rows = [part[sample] for part in made]
                motions.append(self._joined(rows, {**rows[0].info, "prompt": text}, given))
        return motions

    def _parts(
        self, request: Request, frames: Sequence[int], sentences: Sequence[Sequence[str]]
    ) -> tuple[Request, list[int]]:
        """Return a request for every sentence as a motion of its own, and the frames of each."""
        options = dict(request.options)
        if options.pop("between", None) is not None:
            raise InputError("sentences and between do not go together: a gap has no text")
        options.pop("sentences")
        options.pop("continue_from", None)
        parts = replace(
            request,
            prompts=tuple(part for parts in sentences for part in parts),
            seconds=_for_each(request.seconds, sentences),
            num_frames=request.num_frames and _for_each(request.num_frames, sentences),
            options=options,
        )
        return parts, list(_for_each(frames, sentences))

    def _joined(
        self, parts: list[Motion], info: dict[str, Any], given: GivenMotion | None
    ) -> Motion:
        if len(parts) == 1 and given is None:
            return parts[0]
        joints, *others = (joints_of_motion(part) for part in parts)
        for clip in others:
            joints = join(joints, clip)
        if given is not None:
            joints = given.carried_on(joints)
        info.pop("ik_error_m", None)
        motion = motion_from_joints(joints, self.skeleton, None, self.fps, info)
        motion.warnings += list(dict.fromkeys(told for part in parts for told in part.warnings))
        return motion

    def _task(self, texts: list[str], frames: list[int], options: MotionGpt3Options) -> _Task:
        """Say what to ask the model: text alone, or about the motions in the options."""
        given, ends = options.get("continue_from"), options.get("between")
        if given is not None and ends is not None:
            raise InputError("give continue_from or between, not both")
        template = find_template(options.get("template"))
        captions = [
            caption_prompt(text.strip(), template, count, self.fps)
            for text, count in zip(texts, frames, strict=True)
        ]
        wordless = not any(text.strip() for text in texts)
        if ends is not None:
            if len(ends) != 2:
                raise InputError(f"between takes two motions, {len(ends)} given")
            if not wordless:
                raise InputError("between takes no prompt: the model fills a gap without a text")
            first, last = (GivenMotion.of(cast(_Read, motion)) for motion in ends)
            head, tail = first.last_features(MAX_END_FRAMES), last.first_features(MAX_END_FRAMES)
            return _Task(
                [self.holders.motion_request(BETWEEN)] * len(texts),
                [head, tail],
                lambda clip: first.led_to(last, clip, len(head), len(tail)),
                len(head) + len(tail),
            )
        asked = [self.holders.motion_request(text) for text in captions]
        if given is None:
            return _Task(asked)
        before = GivenMotion.of(cast(_Read, given))
        if not wordless:
            # The model carries motions on without a text; a text makes a clip that is appended.
            return _Task(asked, assemble=before.carried_on)
        return _Task(
            [self.holders.motion_request(PREDICTION)] * len(texts),
            [before.last_features(MAX_HEAD_FRAMES)],
            before.carried_on,
        )

    def _sampling(self, options: MotionGpt3Options) -> dict[str, Any]:
        """Return the arguments of ``sample`` that options and bundle settle."""
        weights = options.get("guidance_weights")
        kind = options.get("guidance_type") or ("regular" if weights is not None else None)
        if kind not in (None, "nocfg", "regular"):
            raise InputError(f"guidance {kind}: motiongpt3 has nocfg and regular")
        if weights is not None and (kind == "nocfg" or len(weights) != 1):
            raise InputError(f"guidance {kind} with {len(weights)} weights: regular takes one")
        scale: float | None = 1.0 if kind == "nocfg" else None
        if weights is not None:
            scale = float(weights[0])
        num_steps = either(options.get("num_steps"), self.defaults.num_steps)
        solver = either(options.get("solver"), self.defaults.solver)
        temperature = either(options.get("temperature"), 1.0)
        latent_schedule(num_steps, solver, temperature)  # refuses what there is not
        return {
            "num_steps": num_steps,
            "solver": solver,
            "guidance_scale": self._guidance_scale(scale),
            "temperature": temperature,
        }


def _sentences(request: Request) -> list[list[str]]:
    """Return the sentences of each prompt."""
    return [split_prompt(text, 1.0)[0] for text in request.prompts]


def _given(request: Request) -> GivenMotion | None:
    """Return the motion that is carried on; InputError if it is none."""
    given = request.options.get("continue_from")
    return None if given is None else GivenMotion.of(cast(_Read, given))


def _for_each(values: Sequence[_Value], parts: Sequence[Sequence[str]]) -> tuple[_Value, ...]:
    """Repeat each prompt's value for every sentence of it."""
    return tuple(value for value, own in zip(values, parts, strict=True) for _ in own)
