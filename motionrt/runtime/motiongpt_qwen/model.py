"""A MotionGPT with Qwen3 in parts: words to tokens, tokens to more of them, codes to motions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Arrays
from motionrt.runtime.bundle.manifest import Bundle, Count
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.language.decoding import Grammar, Heard, continue_tokens
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.language.token_cache import ShortHead, TokenCache
from motionrt.runtime.motiongpt_qwen.answer import Codes, read_codes
from motionrt.runtime.motiongpt_qwen.chat import split_thought
from motionrt.runtime.motiongpt_qwen.grammar import MotionGrammar, Vocabulary
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens
from motionrt.runtime.motiongpt_qwen.templates import TEMPLATES
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

Floats = NDArray[np.float32]
Id = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Width = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
BENCHMARK_PROMPT = "A person walks forward."
_LONGEST_TEXT = 1 << 20
"""Tokens of a text, before the model's own bound is asked."""
_FEWEST_FRAMES = {"humanml3d": 4, "myoskeleton": 1}
"""Of which the encoder makes a code."""


class MotionCode(msgspec.Struct, frozen=True):
    """What the text section says of the motion codes; of a bundle without a language model, all."""

    representation: Literal["humanml3d", "myoskeleton"]
    codebook_size: Width
    num_features: Width
    num_joints: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    frames_per_token: Annotated[int, msgspec.Meta(ge=1, le=1 << 10)]
    has_statistics: bool = True
    """False: nobody gave the mean and deviation of the features, so that joints mean nothing."""


class LanguageText(MotionCode, frozen=True, kw_only=True):
    """What the text section says of a language model; further keys describe it."""

    tokenizer: str
    vocab_size: Width
    max_positions: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    end_of_turn_id: Id
    end_of_text_id: Id
    turn_start_id: Id
    think_start_id: Id
    think_end_id: Id
    first_motion_id: Id
    end_ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=16)]
    enable_thinking: bool = True
    predict_ratio: Share = 0.2
    inbetween_ratio: Share = 0.25
    templates: Mapping[str, str] = msgspec.field(default_factory=dict)


class LanguageSampler(msgspec.Struct, frozen=True):
    """How tokens are drawn if nobody says otherwise."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    repetition_penalty: float = 1.0
    max_new_tokens: Count = 512
    caption_max_new_tokens: Count = 128


class MotionGptQwenModel(Pipeline):
    """The parts of a bundle.

    ``tokenize``, ``generate_ids``, ``read_answer``, ``decode`` and ``encode_motion``;
    `MotionGptQwenPipeline` is the whole.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the motiongpt-qwen family."""
        super().__init__(bundle, backend)
        self._language: LanguageText | None = None
        self.defaults = LanguageSampler()
        self.code: MotionCode = bundle.section("text", MotionCode)
        if "language_model" in self.manifest.graphs:
            self.code = self._language = bundle.section("text", LanguageText)
            self.defaults = bundle.section("sampler", LanguageSampler)
        self.tokens = MotionTokens(self.code.codebook_size)
        self._tokenizer: TextTokenizer | None = None
        self._check_parts()

    @property
    def language(self) -> LanguageText:
        """Its language model's tokens; BundleError if the bundle holds motion codes alone."""
        if self._language is None:
            raise BundleError(
                f"{self.bundle.folder}: holds a motion encoder and decoder, no language model"
            )
        return self._language

    @property
    def templates(self) -> Mapping[str, str]:
        """How the tasks are worded: the bundle's wordings, else upstream's."""
        return {**TEMPLATES, **(self._language.templates if self._language else {})}

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids that a grammar tells apart."""
        text, words = self.language, self._words()
        blanks = {*words.ids("\n"), *words.ids("\n\n")}
        special = {text.turn_start_id, text.end_of_text_id, text.end_of_turn_id}
        return Vocabulary(
            text.first_motion_id,
            self.tokens,
            text.think_start_id,
            text.think_end_id,
            text.end_ids,
            tuple(special - set(text.end_ids)),
            tuple(sorted(blanks)),
        )

    # Words

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of a whole text; InputError if the model takes fewer."""
        ids = self._words().ids(text)
        if len(ids) >= self.language.max_positions:
            raise InputError(
                f"{len(ids)} tokens of conversation: this model takes fewer than "
                f"{self.language.max_positions}; ask shorter, or begin anew"
            )
        return ids

    def text_of(self, ids: Sequence[int]) -> str:
        """Return the text of ids as upstream reads it: special tokens left out, stripped."""
        return self._words().decode(ids, skip_special=True).strip()

    def words_of(self, ids: Sequence[int]) -> str:
        """Return the text of a few ids as it is, special tokens left out: for showing them."""
        return self._words().decode(ids, skip_special=True)

    def read_answer(self, ids: Sequence[int]) -> tuple[str, Codes]:
        """Return the thoughts in an answer, and the motion in it."""
        text = self.language
        thought, _ = split_thought(self._words().decode(ids))
        codes = read_codes(ids, text.first_motion_id, text.think_end_id, self.tokens)
        return thought, codes

    def new_cache(self, batch: int = 1) -> TokenCache:
        """Return an empty memory for rows of tokens."""
        text = self.language
        short = ShortHead(
            "motion_rows", "motion_logits", text.first_motion_id, self.tokens.num_codes + 3
        )
        return TokenCache(self.graph("language_model"), batch, text.max_positions, short)

    def generate_ids(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_tokens: int | None = None,
        rules: SamplingRules | None = None,
        seeds: Sequence[Sequence[int]] = (),
        grammars: Sequence[Grammar] = (),
        heard: Heard | None = None,
        cache: TokenCache | None = None,
        logits: list[NDArray[np.float32]] | None = None,
    ) -> list[list[int]]:
        """Continue rows of token ids; return the new ids of each, its end included.

        Args:
            prompts: of any lengths.
            max_tokens: new ones of a row; None takes the bundle's.
            rules: how they are chosen; None takes the bundle's.
            seeds: of each row, numbers from 0, where rules draw.
            grammars: one a row, or none: then anything may follow, as upstream.
            heard: told of every token.
            cache: what was read before; of a single prompt only what is new is read.
            logits: if given, gets each step's (B, V).

        Raises:
            InputError: more tokens than the model takes.
        """
        memory = self.new_cache(len(prompts)) if cache is None else cache
        most = self.room_for(prompts, max_tokens)
        chosen_by = self.rules() if rules is None else rules
        ruled = [grammar for grammar in grammars if isinstance(grammar, MotionGrammar)]

        def advance(chosen: NDArray[np.int64], step: int) -> Floats:
            short = bool(ruled) and len(ruled) == len(prompts) and all(g.inside for g in ruled)
            return memory.read(chosen[:, None].tolist(), short=short)

        return continue_tokens(
            memory.read_anew(prompts),
            advance,
            chosen_by,
            self.language.end_ids,
            most,
            generators=[np.random.Generator(np.random.PCG64(list(seed))) for seed in seeds],
            grammars=grammars,
            heard=heard,
            logits=logits,
        )

    def room_for(self, prompts: Sequence[Sequence[int]], max_tokens: int | None = None) -> int:
        """Return how many new tokens there may be; InputError if there is room for none."""
        wanted = self.defaults.max_new_tokens if max_tokens is None else max_tokens
        if wanted < 1:
            raise InputError(f"{wanted} new tokens: must be 1 or more")
        longest = max(len(ids) for ids in prompts)
        left = self.language.max_positions - longest
        if left < 1:
            raise InputError(
                f"{longest} tokens of conversation: this model takes fewer than "
                f"{self.language.max_positions}; ask shorter, or begin anew"
            )
        return min(wanted, left)

    def rules(
        self,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        repetition_penalty: float | None = None,
    ) -> SamplingRules:
        """Return how tokens are chosen; None takes the bundle's."""
        own = self.defaults
        return SamplingRules(
            own.temperature if temperature is None else temperature,
            own.top_k if top_k is None else top_k,
            own.top_p if top_p is None else top_p,
            own.repetition_penalty if repetition_penalty is None else repetition_penalty,
        )

    # Codes

    def decode(self, codes: Sequence[Sequence[int]] | NDArray[np.int64]) -> Arrays:
        """Turn codes (B, N) into motions of N times ``frames_per_token`` frames.

        Returns normalized_features and features (B, T, F), joints (B, T, J, 3). InputError for a
        code that there is not.
        """
        ids = np.asarray(codes, np.int64)
        if ids.ndim != 2 or not ids.size:
            raise InputError(f"codes are {ids.shape}, should be (motions, codes of each)")
        if not 0 <= ids.min() <= ids.max() < self.tokens.num_codes:
            raise InputError(f"codes: must be from 0 to {self.tokens.num_codes - 1}")
        return self.graph("motion_decoder").run({"ids": ids})

    def encode_motion(self, clip: ArrayLike) -> list[int]:
        """Return the codes of a clip of features (T, F), de-normalised, at its true length."""
        features = np.asarray(clip, np.float32)
        if features.ndim != 2 or features.shape[1] != self.code.num_features:
            raise InputError(
                f"features are {features.shape}, should be (frames, {self.code.num_features})"
            )
        if not np.isfinite(features).all():
            raise InputError("features: not all numbers are finite")
        fewest = _FEWEST_FRAMES[self.code.representation]
        if len(features) < fewest:
            raise InputError(f"a motion of {len(features)} frames: must be {fewest} or more")
        found = self.graph("motion_encoder").run({"features": features[None]}, ["ids"])
        codes: list[int] = found["ids"][0].tolist()
        return codes

    def codes_for(self, num_frames: int) -> int:
        """Return how many codes a motion of so many frames takes."""
        return -(-num_frames // self.code.frames_per_token)

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Prepare a motion: a step is a token, the prompt is read before."""
        if solver is not None:
            raise InputError(f"{self.family.name} has no solvers: a step is a token")
        from motionrt.runtime.motiongpt_qwen.chat import Message, render

        asked = self.templates["t2m"].replace("<Caption_Placeholder>", BENCHMARK_PROMPT)
        prompt = self.tokenize(render([Message("user", asked)], False))
        count = self.codes_for(num_frames)
        for name in self.family.motion_graphs:
            self.graph(name)

        def sample(steps: int) -> list[int]:
            codes = max(1, steps - 2)
            grammar = MotionGrammar(self.vocabulary, codes + 2, least=codes, most=codes)
            (ids,) = self.generate_ids([prompt], max_tokens=steps, seeds=[[0]], grammars=[grammar])
            return ids

        def decode(ids: object) -> Arrays:
            assert isinstance(ids, list)
            found = [i - self.language.first_motion_id for i in ids]
            real = [code for code in found if 0 <= code < self.tokens.num_codes]
            return self.decode([(real + [0] * count)[:count]])

        return BenchmarkCase(sample, decode, steps=count + 2)

    # Parts

    def _words(self) -> TextTokenizer:
        if self._tokenizer is None:
            name = self.language.tokenizer
            self.bundle.check_hashes([name])
            path = self.bundle.path(name)
            self._tokenizer = TextTokenizer(path, TextRules(max_tokens=_LONGEST_TEXT))
        return self._tokenizer

    def _check_parts(self) -> None:
        """Raise BundleError where the manifest's sections do not fit one another."""
        bundle, code = self.bundle, self.code
        bundle.require("motion_encoder", {"features": (code.num_features,)}, ("ids",))
        outputs = ("normalized_features", "features", "joints")
        bundle.require("motion_decoder", {"ids": ()}, outputs)
        if self.skeleton.num_joints != code.num_joints:
            raise bundle.unfit(
                f"text: {code.num_joints} joints, its skeleton has {self.skeleton.num_joints}"
            )
        if self._language is None:
            return
        text = self._language
        rows = {name: () for name in ("input_ids", "lengths", "logit_rows", "motion_rows")}
        bundle.require("language_model", rows, ("logits", "motion_logits"))
        graph = self.manifest.graphs["language_model"]
        past = [tensor for tensor in graph.inputs if tensor.name.startswith("past_")]
        given = {tensor.name: tensor.axes for tensor in graph.outputs}
        sizes = [axis for tensor in past for axis in tensor.axes if isinstance(axis, int)]
        named = {axis for tensor in past for axis in tensor.axes if isinstance(axis, str)}
        presents = {tensor.name.replace("past_", "present_", 1) for tensor in past}
        if (
            not past
            or named != {"batch", "past_tokens"}
            or max(sizes, default=1) > 1 << 16
            or not presents <= set(given)
            or given["logits"][-1:] != (text.vocab_size,)
            or given["motion_logits"][-1:] != (code.codebook_size + 3,)
        ):
            raise bundle.unfit("graph language_model: its tensors have other axes than it needs")
        if text.first_motion_id + code.codebook_size + 3 > text.vocab_size:
            raise bundle.unfit("text: the motion tokens do not fit into the vocabulary")
        ids = (text.end_of_turn_id, text.end_of_text_id, text.turn_start_id, *text.end_ids)
        if max(*ids, text.think_start_id, text.think_end_id) >= text.vocab_size:
            raise bundle.unfit("text: a token lies beyond the vocabulary")
        try:
            self.rules()
        except InputError as error:
            raise bundle.unfit(f"sampler: {error}") from error
