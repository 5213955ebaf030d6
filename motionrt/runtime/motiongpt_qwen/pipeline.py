"""MotionGPT with Qwen3: text to motion, motion to text, conversations about motions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import InputError, MotionError, one_line
from motionrt.runtime.language.decoding import Always
from motionrt.runtime.language.sampling import Choice, SamplingRules
from motionrt.runtime.language.token_cache import TokenCache
from motionrt.runtime.memory import FLOAT
from motionrt.runtime.motiongpt_qwen.answer import Codes, read_codes_of_text
from motionrt.runtime.motiongpt_qwen.chat import Message, render, split_thought, thought_block
from motionrt.runtime.motiongpt_qwen.grammar import MotionGrammar
from motionrt.runtime.motiongpt_qwen.model import MotionGptQwenModel
from motionrt.runtime.motiongpt_qwen.options import ENDINGS, MotionGptQwenOptions
from motionrt.runtime.motiongpt_qwen.representation import representation_of
from motionrt.runtime.motiongpt_qwen.server import LanguageServer
from motionrt.runtime.motiongpt_qwen.templates import (
    HEAD,
    MASKED,
    MOTION,
    Filling,
    check_text,
    find_template,
)
from motionrt.runtime.options import either
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request

Floats = NDArray[np.float32]
MAX_HEAD_FRAMES = 40
"""Motion that is carried on is seen for this long: a fifth of the longest clip of training."""
MAX_END_FRAMES = 48
"""Of the motions at either end of a gap so much is seen: a quarter of the longest clip."""
_ROWS_AT_ONCE = 16
"""Answers that are written side by side; each has keys and values of its own."""
_TYPICAL_PROMPT = 128
_QUOTED = 120
_Read: TypeAlias = Motion | ArrayLike
"""A given motion when it comes here: files are read by then."""


@dataclass(frozen=True)
class Answer:
    """What a language model wrote."""

    content: str
    """All of it, thoughts included, as a conversation keeps it."""
    thought: str
    words: str
    """Without thoughts, a motion written as a placeholder."""
    motion: Codes
    num_tokens: int = 0
    """0 if a server wrote it."""


@dataclass(frozen=True)
class _Task:
    """What the model is asked, in its own words."""

    questions: Callable[[Sequence[Sequence[int]]], list[str]]
    """Words them, given the codes of the motions that they name."""
    given: list[Floats] = field(default_factory=list)
    """Features (T, F) of these motions."""
    goes_on: bool = False
    """The answer's codes follow those of the first of them."""
    clip_frames: int = 0
    """Frames of given motions that the answer has to cover as well."""
    assemble: Callable[[Floats, int], Floats] | None = None
    """Puts the generated joints (T, J, 3) together with the motions that were given; the number is
    that of the frames that were asked for."""


class _Generate(MotionGptQwenOptions, GenerateKeywords, total=False):
    pass


class _GenerateMany(MotionGptQwenOptions, GenerateManyKeywords, total=False):
    pass


class MotionGptQwenPipeline(MotionGptQwenModel):
    """A bundle of MotionGPT with Qwen3, loaded.

    ``generate``, ``caption`` and ``answer`` are the whole ways; ``tokenize``, ``generate_ids``,
    ``decode`` and ``encode_motion`` are their parts.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the motiongpt-qwen family."""
        super().__init__(bundle, backend)
        self.representation = representation_of(self.code.representation, self.skeleton)
        self._server: LanguageServer | None = None

    def generate(  # type: ignore[override]  # narrower on purpose: it names its options
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_Generate],
    ) -> Motion:
        """Generate one motion as `Pipeline.generate` says; options are `MotionGptQwenOptions`."""
        return super().generate(prompt, seconds, **options)

    def generate_many(  # type: ignore[override]  # as above
        self,
        prompts: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_GenerateMany],
    ) -> list[Motion]:
        """Generate motions as `Pipeline.generate_many` says; options: `MotionGptQwenOptions`."""
        return super().generate_many(prompts, seconds, **options)

    def use_language_server(
        self, url: str, token: str | None = None, model: str | None = None
    ) -> None:
        """Let a server (vLLM, SGLang or another with OpenAI's interface) write from now on.

        model: its name there; None takes the first that the server lists. token is sent as
        ``Authorization: Bearer``. Codes are decoded here. InputError if url or token is none.
        """
        self._server = LanguageServer(url, token, model)

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

        A motion is a Motion of a skeleton whose joints are recognised, features (T, F) in their
        units, or joints (T, J, 3) at 20 frames a second. prompt names it by
        ``<Motion_Placeholder>``; None asks as in training. The likeliest token is taken, or with
        sample, temperature or top_p (None: the bundle's) one is drawn, by the seed.
        """
        clips = list(motions)
        if not clips:
            raise InputError("no motion given")
        template = find_template(prompt, "m2t", self.templates)
        if template.count(MOTION) != 1:
            raise InputError(f"the question must name the motion once, as {MOTION}")
        check_text(template.replace(MOTION, ""))
        if seed is not None and seed < 0:
            raise InputError(f"seed {seed}: must be from 0")
        most = self.defaults.caption_max_new_tokens if max_tokens is None else max_tokens
        first = self.language.first_motion_id
        wordless = np.array(
            [
                *range(first, first + self.tokens.num_codes + 3),
                self.language.think_start_id,
                self.language.think_end_id,
            ]
        )
        prompts = []
        for clip in clips:
            features = self.representation.features(clip)
            filling = self._filling(
                motion=self.tokens.text(self.encode_motion(features)), length=len(features)
            )
            prompts.append(self.tokenize(render([Message("user", filling.into(template))], False)))
        draws = sample or temperature is not None or top_p is not None
        entropy = np.random.SeedSequence(seed).entropy
        rows = []
        for start in range(0, len(prompts), _ROWS_AT_ONCE):
            some = prompts[start : start + _ROWS_AT_ONCE]
            rows += self.generate_ids(
                some,
                max_tokens=most,
                rules=self.rules(temperature if draws else 0, top_p),
                seeds=[[cast(int, entropy), start + row] for row in range(len(some))],
                grammars=[Always(Choice(banned=wordless))] * len(some),
            )
        return [" ".join(self.text_of(row).split()) for row in rows]

    def answer(
        self,
        messages: Sequence[Message],
        *,
        thinking: bool | None = None,
        wants_motion: bool = True,
        grammar: bool = True,
        num_frames: int | None = None,
        seed: int = 0,
        max_new_tokens: int | None = None,
        rules: SamplingRules | None = None,
        cache: TokenCache | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> Answer:
        """Answer the last message of a conversation.

        Args:
            messages: the last is the user's.
            thinking: whether the model may think first; None takes the bundle's.
            wants_motion: the answer is a motion; otherwise a text that may hold one.
            grammar: False lets anything follow, as upstream.
            num_frames: of the motion; None lets the model end it.
            seed: of the draws.
            max_new_tokens: longest answer; None takes the bundle's.
            rules: how tokens are drawn; None takes the bundle's.
            cache: of the same conversation: only what is new is read. From ``new_cache``.
            heard: told of the text as it is written, by pieces; an exception it raises cancels.
        """
        think = either(thinking, self.thinks)
        if self._server is not None:
            return self._ask_server(messages, think, seed, max_new_tokens, rules, heard)
        prompt = self.tokenize(render(messages, think))
        most = self.room_for([prompt], max_new_tokens)
        codes = None if num_frames is None else self.codes_for(num_frames)
        grammars = []
        if grammar:
            grammars = [self._grammar(most, codes, codes or 1, wants_motion, think)]
        listener = None if heard is None else _Listener(self.words_of, heard)
        (ids,) = self.generate_ids(
            [prompt],
            max_tokens=most,
            rules=rules,
            seeds=[[seed]],
            grammars=grammars,
            heard=listener,
            cache=cache,
        )
        return self._answer(ids)

    def motion_of(self, codes: Sequence[int], info: Mapping[str, Any] | None = None) -> Motion:
        """Return the motion that codes stand for, all its frames; info is kept with it.

        InputError for more codes than the longest motion has.
        """
        most = self.codes_for(self.manifest.limits.max_frames)
        if len(codes) > most:
            raise InputError(f"{len(codes)} codes: a motion has {most} at most")
        decoded = self.decode([list(codes)])
        return self._motion(decoded["joints"][0], decoded["features"][0], dict(info or {}))

    @property
    def asks_server(self) -> bool:
        """Whether a server writes (`use_language_server`)."""
        return self._server is not None

    @property
    def thinks(self) -> bool:
        """Whether the model may think first if nobody says otherwise."""
        return self._language is None or self._language.enable_thinking

    # Generation

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        options = cast(MotionGptQwenOptions, request.options)
        task, _ = self._settled(request, frames)
        if self._server is not None or task.given:
            return  # what a motion takes of the model's room is known when it is encoded
        budget = self.room_for(
            self._prompts(task.questions([]), options), options.get("max_new_tokens")
        )
        if self._has_grammar(options):
            self._grammar(budget, self.codes_for(max(frames)), 1, True, False)

    def _settled(self, request: Request, frames: Sequence[int]) -> tuple[_Task, SamplingRules]:
        """Say what to ask the model and how to draw; InputError for what does not fit."""
        options, samples = cast(MotionGptQwenOptions, request.options), request.num_samples
        rules = self._rules(options)
        self._is_exact(options)
        self._thinking(options)
        thought = options.get("thought")
        if thought is not None:
            check_text(thought)
            if self._server is not None:
                raise InputError("a server takes no thought of yours; leave --thought away")
        texts = [text for text in request.prompts for _ in range(samples)]
        lengths = [count for count in frames for _ in range(samples)]
        return self._task(texts, lengths, options), rules

    def _prompts(self, questions: Sequence[str], options: MotionGptQwenOptions) -> list[list[int]]:
        """Return the ids of each question, rendered as a conversation that begins with it."""
        thinking, thought = self._thinking(options), options.get("thought")
        behind = "" if thought is None else thought_block(thought)
        return [
            self.tokenize(render([Message("user", question)], thinking) + behind)
            for question in questions
        ]

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        options = cast(MotionGptQwenOptions, request.options)
        samples = request.num_samples
        texts = [text for text in request.prompts for _ in range(samples)]
        lengths = [count for count in frames for _ in range(samples)]
        task, rules = self._settled(request, frames)
        given = [self.encode_motion(features) for features in task.given]
        head = given[0] if task.goes_on else []
        questions = task.questions(given)
        answers = self._answers(questions, task, lengths, options, seed, samples, progress)
        motions = []
        for row, (text, length, answer) in enumerate(zip(texts, lengths, answers, strict=True)):
            which = f"sample {row % samples}: " if samples > 1 else ""
            if not answer.motion.codes:
                raise MotionError(
                    f"{which}the model wrote no motion, but {one_line(answer.words, _QUOTED)!r}; "
                    "leave the grammar on, allow more tokens, or take another seed"
                )
            info = {
                "prompt": text,
                "seed": seed,
                "sample": row % samples,
                "model": self.manifest.name,
                "family": self.manifest.family,
                "backend": self.backend.name if self._server is None else self._server.url,
                "thinking": self._thinking(options),
                "reasoning": answer.thought or options.get("thought") or "",
                "codes": list(answer.motion.codes),
                "num_tokens": answer.num_tokens,
                "temperature": rules.temperature,
                "top_p": rules.top_p,
                "top_k": rules.top_k,
                "grammar": self._has_grammar(options),
            }
            codes = [*head, *answer.motion.codes]
            motion = self._decoded(task, codes, len(head), length, options, info)
            motion.warnings += [f"{which}{note}" for note in answer.motion.notes]
            motion.warnings += self.length_warnings(motion.num_frames)
            motions.append(motion)
        return motions

    def _decoded(
        self,
        task: _Task,
        codes: Sequence[int],
        skipped_codes: int,
        length: int,
        options: MotionGptQwenOptions,
        info: dict[str, Any],
    ) -> Motion:
        decoded = self.decode([codes])
        skipped = skipped_codes * self.code.frames_per_token
        joints: Floats = decoded["joints"][0, skipped:]
        features: Floats | None = decoded["features"][0, skipped:]
        most = self.manifest.limits.max_frames
        if self._is_exact(options):
            most = length + task.clip_frames
        if task.assemble is None:
            joints, features = joints[:most], None if features is None else features[:most]
        else:
            joints, features = task.assemble(joints, length), None
        return self._motion(joints, features, info)

    def _motion(self, joints: Floats, features: Floats | None, info: dict[str, Any]) -> Motion:
        motion = self.representation.motion(joints, features, self.skeleton, info)
        if self.code.representation == "humanml3d" and not self.code.has_statistics:
            motion.warnings.append(
                "the bundle was exported without the features' mean and deviation, so joints mean "
                "nothing; export again with --mean and --std"
            )
        return motion

    def _answers(
        self,
        questions: Sequence[str],
        task: _Task,
        lengths: list[int],
        options: MotionGptQwenOptions,
        seed: int,
        samples: int,
        progress: Progress | None,
    ) -> list[Answer]:
        thinking, thought = self._thinking(options), options.get("thought")
        conversations = [[Message("user", question)] for question in questions]
        if self._server is not None:
            return [
                self._ask_server(
                    messages,
                    thinking,
                    seed + row % samples,
                    options.get("max_new_tokens"),
                    self._rules(options),
                )
                for row, messages in enumerate(conversations)
            ]
        prompts = self._prompts(questions, options)
        budget = self.room_for(prompts, options.get("max_new_tokens"))
        answers = []
        for start in range(0, len(prompts), _ROWS_AT_ONCE):
            rows = range(start, min(start + _ROWS_AT_ONCE, len(prompts)))
            grammars = []
            if self._has_grammar(options):
                for row in rows:
                    most = self.codes_for(lengths[row] + task.clip_frames)
                    least = most if self._is_exact(options) else 1
                    may_think = thinking and thought is None
                    grammars.append(self._grammar(budget, most, least, True, may_think))
            counted = 0

            def heard(row: int, token: int, first: int = start) -> None:
                nonlocal counted
                if progress is not None and row == 0:
                    counted += 1
                    progress("writing", first * budget + counted, len(prompts) * budget)

            made = self.generate_ids(
                [prompts[row] for row in rows],
                max_tokens=budget,
                rules=self._rules(options),
                seeds=[[seed, row % samples] for row in rows],
                grammars=grammars,
                heard=heard,
            )
            answers += [self._answer(ids) for ids in made]
        if progress is not None:
            progress("writing", len(prompts) * budget, len(prompts) * budget)
        return answers

    def _grammar(
        self, budget: int, most: int | None, least: int, wants_motion: bool, may_think: bool
    ) -> MotionGrammar:
        if most is None:
            most = min(self.codes_for(self.advised_frames), max(1, budget - 2))
        if wants_motion and most + 2 > budget:
            raise InputError(
                f"a motion of {most} codes takes {most + 2} tokens, {budget} are allowed; ask for "
                "a shorter one, or for more with max_new_tokens"
            )
        return MotionGrammar(
            self.vocabulary,
            budget,
            least=least,
            most=most,
            wants_motion=wants_motion,
            may_think=may_think,
        )

    def _answer(self, ids: Sequence[int]) -> Answer:
        ended = [i for i in ids if i not in self.language.end_ids]
        thought, codes = self.read_answer(ids)
        content = self.words_of(ended).strip()
        return Answer(content, thought, self._words_alone(content), codes, len(ids))

    def _words_alone(self, content: str) -> str:
        _, rest = split_thought(content)
        return self.tokens.with_placeholder(rest, MOTION).strip()

    def _ask_server(
        self,
        messages: Sequence[Message],
        thinking: bool,
        seed: int,
        max_new_tokens: int | None,
        rules: SamplingRules | None,
        heard: Callable[[str], None] | None = None,
    ) -> Answer:
        assert self._server is not None
        most = self.defaults.max_new_tokens if max_new_tokens is None else max_new_tokens
        content, reasoning = self._server.ask(
            messages, thinking, seed, most, self.rules() if rules is None else rules, heard
        )
        thought, rest = split_thought(content)
        codes = self._cut(read_codes_of_text(rest, self.tokens))
        if reasoning and not thought:
            thought, content = reasoning.strip("\n"), thought_block(reasoning) + content
        return Answer(content, thought, self._words_alone(content), codes)

    def _cut(self, found: Codes) -> Codes:
        """Leave out codes beyond the longest motion: no grammar holds a server to it."""
        most = self.codes_for(self.manifest.limits.max_frames)
        if len(found.codes) <= most:
            return found
        told = f"the server wrote {len(found.codes)} codes; {most} are the most of a motion"
        return Codes(found.codes[:most], (*found.notes, told))

    def _task(self, texts: list[str], lengths: list[int], options: MotionGptQwenOptions) -> _Task:
        """Say what to ask the model: text alone, or about the motions in the options."""
        given, ends = options.get("continue_from"), options.get("between")
        if given is not None and ends is not None:
            raise InputError("give continue_from or between, not both")
        wordless = not any(text.strip() for text in texts)
        if ends is not None:
            if len(ends) != 2:
                raise InputError(f"between takes two motions, {len(ends)} given")
            if not wordless:
                raise InputError("between takes no prompt: the model fills a gap without a text")
            return self._gap(cast(Sequence[_Read], ends), lengths, options)
        if given is not None and wordless:
            return self._prediction(cast(_Read, given), len(texts), options)
        template = find_template(options.get("template"), "t2m", self.templates)
        quoted = bool(options.get("quote"))
        questions = [
            self._filling(caption=check_text(text.strip()), length=length, quoted=quoted).into(
                template
            )
            for text, length in zip(texts, lengths, strict=True)
        ]
        if given is None:
            return _Task(lambda codes: questions)
        # The model carries motions on without a text; a text makes a clip that is appended.
        before = self.representation.given(cast(_Read, given))
        exact = self._is_exact(options)
        return _Task(
            lambda codes: questions,
            assemble=lambda clip, length: before.carried_on(clip[:length] if exact else clip),
        )

    def _prediction(self, motion: _Read, times: int, options: MotionGptQwenOptions) -> _Task:
        before = self.representation.given(motion)
        frames = self._seen(before.num_frames, MAX_HEAD_FRAMES)
        template = find_template(None, "prediction", self.templates)
        exact = self._is_exact(options)
        return _Task(
            lambda codes: [template.replace(HEAD, self.tokens.text(codes[0]))] * times,
            [before.last_features(frames)],
            goes_on=True,
            assemble=lambda clip, length: before.carried_on(clip[:length] if exact else clip),
        )

    def _gap(
        self, ends: Sequence[_Read], lengths: list[int], options: MotionGptQwenOptions
    ) -> _Task:
        if not self._is_exact(options):
            raise InputError("between needs a motion of the length of the gap: length exact")
        first, last = (self.representation.given(motion) for motion in ends)
        factor = self.code.frames_per_token
        head = self._seen(first.num_frames, MAX_END_FRAMES)
        tail = self._seen(last.num_frames, MAX_END_FRAMES)
        template = find_template(None, "in_between", self.templates)

        def questions(codes: Sequence[Sequence[int]]) -> list[str]:
            hidden = [[self.tokens.mask] * self.codes_for(length) for length in lengths]
            masked = [[*codes[0], *gap, *codes[1]] for gap in hidden]
            return [template.replace(MASKED, self.tokens.text(each)) for each in masked]

        def assemble(clip: Floats, length: int) -> Floats:
            gap = clip[head : head + length]
            rest = clip[head + self.codes_for(length) * factor :]
            return first.led_to(last, np.concatenate((clip[:head], gap, rest)), head, tail)

        ends_seen = [first.last_features(head), last.first_features(tail)]
        return _Task(questions, ends_seen, clip_frames=head + tail, assemble=assemble)

    def _seen(self, frames: int, most: int) -> int:
        """Return how many frames of a given motion make whole codes."""
        factor = self.code.frames_per_token
        count = min(frames, most) // factor * factor
        if count == 0:
            raise InputError(f"the given motion has {frames} frames, a code is of {factor}")
        return count

    def _filling(self, **values: Any) -> Filling:
        if self._language is not None:
            values["predict_ratio"] = self._language.predict_ratio
            values["between_ratio"] = self._language.inbetween_ratio
        return Filling(
            frames_per_token=self.code.frames_per_token,
            fps=self.fps,
            tokens=self.tokens,
            **values,
        )

    def _thinking(self, options: MotionGptQwenOptions) -> bool:
        thinking = options.get("thinking")
        if options.get("thought") is not None and thinking is False:
            raise InputError("a thought was given, and thinking is off: leave one of them away")
        return either(thinking, self.thinks)

    def _has_grammar(self, options: MotionGptQwenOptions) -> bool:
        return self._server is None and either(options.get("grammar"), True)

    def _is_exact(self, options: MotionGptQwenOptions) -> bool:
        """Whether the motion is as long as is asked for: a grammar must see to it."""
        asked = options.get("length")
        if asked is not None and asked not in ENDINGS:
            raise InputError(f"length {asked!r}: choose {' or '.join(ENDINGS)}")
        if asked == "exact" and not self._has_grammar(options):
            raise InputError("an exact length needs the grammar; use length model")
        return self._has_grammar(options) and asked in (None, "exact")

    def _rules(self, options: MotionGptQwenOptions) -> SamplingRules:
        names = ("temperature", "top_p", "top_k", "repetition_penalty")
        return self.rules(**{name: options.get(name) for name in names})  # type: ignore[arg-type]

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        options = cast(MotionGptQwenOptions, request.options)
        if self._language is None or self._server is not None:
            return 0
        samples = 1 if request.sample_seeds else request.num_samples
        rows = min(len(request.prompts) * samples, _ROWS_AT_ONCE)
        tokens = self.codes_for(max(frames)) + 2
        if self._thinking(options) or not self._has_grammar(options):
            asked = options.get("max_new_tokens")
            tokens = max(tokens, either(asked, self.defaults.max_new_tokens))
        past = [
            tensor
            for tensor in self.manifest.graphs["language_model"].inputs
            if tensor.name.startswith("past_")
        ]
        width = sum(
            int(np.prod([axis for axis in tensor.axes if isinstance(axis, int)])) for tensor in past
        )
        # What is read at once has activations, and logits are there a few times over.
        cache = rows * (_TYPICAL_PROMPT + tokens) * width * FLOAT
        return cache + rows * (_TYPICAL_PROMPT * width + 4 * self.language.vocab_size) * FLOAT


class _Listener:
    """Turns tokens into pieces of text that hold whole letters."""

    def __init__(self, words_of: Callable[[Sequence[int]], str], heard: Callable[[str], None]):
        self._words_of = words_of
        self._heard = heard
        self._pending: list[int] = []

    def __call__(self, row: int, token: int) -> None:
        self._pending.append(token)
        text = self._words_of(self._pending)
        # A letter of several bytes may be several tokens.
        if text.endswith("\N{REPLACEMENT CHARACTER}") and len(self._pending) < 4:
            return
        self._pending.clear()
        if text:
            self._heard(text)
