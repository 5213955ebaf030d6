"""ARDY's networks as functions of arrays: tokens from features and back, one window of tokens.

What is done by graphs and what on the host is hidden here. Features are normalised; tokens are
hybrid: the root of their frames, then the body's latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.ardy.quantizer import Quantizer
from motionrt.runtime.body.upright_features import NUM_ROOT_FEATURES
from motionrt.runtime.bundle.manifest import Count
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Run = Callable[[str, Mapping[str, ArrayLike]], dict[str, NDArray[Any]]]
"""Runs the graph of a name."""
OnStep = Callable[[int, Floats, Floats], None]
"""Told of every step: steps done, tokens, guided prediction."""


GuidanceType = Literal["nocfg", "regular", "separated"]


class ArdySizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sampler section of an ARDY bundle's manifest."""

    frames_per_token: Annotated[int, msgspec.Meta(ge=1, le=1 << 10)]
    horizon: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    """Frames that a window generates, a multiple of those of a token."""
    latent_width: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    num_base_steps: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    """Of the noise schedule that the model was trained with."""
    num_steps: Count
    """Taken if nobody says otherwise."""
    guidance_type: GuidanceType
    num_text_tokens: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    text_width: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    """Of text embeddings; twice hidden_width if they are embedded already."""
    hidden_width: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    num_heads: Count
    takes_constraints: bool
    quantises: bool
    normalises: bool
    window_seconds: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    """What a window sees at most: history, what it generates, and goals."""

    def to_dict(self) -> dict[str, Any]:
        """Give the section as a manifest has it."""
        return dict(msgspec.structs.asdict(self))

    @property
    def token_root_width(self) -> int:
        """Numbers of a token that are its root."""
        return NUM_ROOT_FEATURES * self.frames_per_token

    @property
    def token_width(self) -> int:
        """Numbers of a token."""
        return self.token_root_width + self.latent_width

    def window_frames(self, fps: float) -> int:
        """Return the most frames that a window sees, whole tokens."""
        return self.whole_tokens(int(self.window_seconds * fps))

    def longest_history(self, fps: float) -> int:
        """Return the most frames of history that fit a window, whole tokens."""
        return self.whole_tokens(self.window_frames(fps) - self.horizon)

    def whole_tokens(self, frames: int) -> int:
        """Round frames down to whole tokens."""
        return frames // self.frames_per_token * self.frames_per_token


@dataclass(frozen=True)
class Text:
    """Texts as the denoiser takes them."""

    tokens: Floats
    """(B, K, 2 * width): embedded for both stages, zero for no text."""
    mask: Bools
    """(B, K)."""

    def rows(self, rows: Sequence[int]) -> Text:
        """Choose some of the texts."""
        return Text(self.tokens[list(rows)], self.mask[list(rows)])


@dataclass(frozen=True)
class Embedding:
    """A prompt's text features that a caller gives, where no encoder reads the prompt."""

    features: Floats
    """(L, W)."""
    mask: Bools
    """(L,) which are tokens."""

    @staticmethod
    def of(features: ArrayLike, mask: ArrayLike | None = None) -> Embedding:
        """Take features (W,) or (L, W); without a mask (L,) those of zeros are no tokens.

        InputError for another shape, or numbers that are not finite.
        """
        values = np.atleast_2d(np.asarray(features, np.float32))
        known = np.any(values != 0, axis=-1) if mask is None else np.asarray(mask, np.bool_)
        if values.ndim != 2 or known.shape != values.shape[:1]:
            raise InputError(
                f"an embedding is (W,) or (L, W) with a mask (L,), not {np.shape(features)} with "
                f"{known.shape}"
            )
        if not np.isfinite(values).all():
            raise InputError("embedding: a number is not finite")
        return Embedding(values.copy(), known.copy())

    def __eq__(self, other: object) -> bool:
        """Whether both have the same numbers."""
        return (
            isinstance(other, Embedding)
            and np.array_equal(self.features, other.features)
            and np.array_equal(self.mask, other.mask)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none


@dataclass(frozen=True)
class Conditions:
    """What is known of the frames of a window, (B, T, D) both: normalised, zero where unknown."""

    observed: Floats
    mask: Floats
    """1 where observed holds, else 0."""

    def from_frame(self, start: int) -> Conditions:
        """Leave the first frames out."""
        return Conditions(self.observed[:, start:], self.mask[:, start:])


@dataclass
class Trace:
    """What a window was given and gave on the way, for who wants to see."""

    future_mask: Bools | None = None
    observed: Floats | None = None
    steps: list[tuple[Floats, Floats]] = field(default_factory=list)
    """Tokens and guided prediction, history included, after each step."""


class Network:
    """A bundle's networks. Safe to use from several threads if its graphs are."""

    def __init__(
        self,
        sizes: ArdySizes,
        features: ArdyFeatures,
        quantizer: Quantizer,
        time_tokens: Floats,
        run: Run,
    ) -> None:
        """Take the tables that stand in a bundle, and what runs its graphs."""
        self.sizes, self.features, self.quantizer = sizes, features, quantizer
        self._time_tokens = time_tokens
        self._run = run

    # Text

    def text(self, features: ArrayLike, mask: ArrayLike) -> Text:
        """Embed text features (B, L, W), L at most the model's tokens; mask (B, L) says which are.

        A text whose mask is False everywhere is none. W is the model's text width, or twice the
        hidden width for what is embedded already. InputError for another.
        """
        sizes = self.sizes
        given, known = np.asarray(features, np.float32), np.asarray(mask, np.bool_)
        widths = (sizes.text_width, 2 * sizes.hidden_width)
        most = sizes.num_text_tokens
        if (
            given.ndim != 3
            or known.shape != given.shape[:2]
            or not 1 <= given.shape[1] <= most
            or given.shape[2] not in widths
        ):
            raise InputError(
                f"text features are {given.shape} with a mask {known.shape}, should be "
                f"(B, 1 to {most}, {sizes.text_width})"
            )
        given = given * np.any(known, axis=1)[:, None, None].astype(np.float32)
        if given.shape[2] == 2 * sizes.hidden_width:
            tokens = given
        elif np.any(given):
            tokens = self._run("embed_text", {"text_features": given})["text_tokens"]
        else:
            tokens = np.zeros((*given.shape[:2], 2 * sizes.hidden_width), np.float32)
        missing = ((0, 0), (0, most - given.shape[1]))
        return Text(np.pad(tokens, (*missing, (0, 0))), np.pad(known, missing))

    # Tokens

    def encode(self, features: ArrayLike, frame_mask: ArrayLike | None = None) -> Floats:
        """Turn features (B, T, D), T whole tokens, into tokens (B, N, W).

        frame_mask (B, T) says which frames are a sample's; a token that is not wholly so is zero.
        """
        values = np.asarray(features, np.float32)
        batch, frames, _ = values.shape
        size = self.sizes.frames_per_token
        if frames % size:
            raise InputError(f"{frames} frames of history: must be a multiple of {size}")
        count = frames // size
        valid = np.ones((batch, count), np.bool_)
        if frame_mask is not None:
            whole = np.asarray(frame_mask, np.bool_).reshape(batch, count, size)
            valid = np.logical_and.reduce(whole, axis=2)
        bodies = values[..., NUM_ROOT_FEATURES:].reshape(batch, count, -1)
        encoded = self._run("encoder", {"bodies": bodies, "token_mask": valid})["latents"]
        root = values[..., :NUM_ROOT_FEATURES].reshape(batch, count, -1)
        tokens = np.concatenate([root, self.quantizer.latents(encoded)], axis=-1)
        return tokens * valid[..., None].astype(np.float32)

    def decode(self, tokens: Floats, lengths: ArrayLike | None = None) -> Floats:
        """Turn tokens (B, N, W) into features (B, T, D); lengths (B,) are frames, all if None."""
        batch, count, _ = tokens.shape
        size = self.sizes.frames_per_token
        frames = count * size
        valid = np.full(batch, frames) if lengths is None else np.asarray(lengths)
        token_mask = (np.arange(1, count + 1) * size) <= valid[:, None]
        root = self.roots(tokens)
        local = self.features.normalized_local_root(root, valid)
        body = self.decode_bodies(tokens[..., self.sizes.token_root_width :], local, token_mask)
        result: Floats = np.concatenate([root, body[1]], axis=-1)
        return result

    def decode_bodies(
        self, latents: Floats, local_root: Floats, token_mask: Bools
    ) -> tuple[Floats, Floats]:
        """Turn latents (B, N, C) and local roots (B, T, 4) into what the decoder says of both.

        Returns a local root (B, T, 4), which is not used, and bodies (B, T, D - 5).
        """
        batch, count, _ = latents.shape
        decoded = self._run(
            "decoder",
            {
                "codes": self.quantizer.codes(latents),
                "local_root": local_root.reshape(batch, count, -1),
                "token_mask": token_mask,
            },
        )["frames"]
        frames = decoded.reshape(batch, count * self.sizes.frames_per_token, -1)
        width = local_root.shape[-1]
        return frames[..., :width], frames[..., width:]

    def roots(self, tokens: Floats) -> Floats:
        """Return the root features (B, T, 5) of tokens."""
        root = tokens[..., : self.sizes.token_root_width]
        return root.reshape(len(tokens), -1, NUM_ROOT_FEATURES)

    def with_roots(self, tokens: Floats, root: Floats) -> Floats:
        """Give tokens other roots (B, T, 5)."""
        result = tokens.copy()
        shape = (*tokens.shape[:2], self.sizes.token_root_width)
        result[..., : self.sizes.token_root_width] = root.reshape(shape)
        return result

    def requantized(self, tokens: Floats) -> Floats:
        """Bring the latents of tokens onto the grid of levels."""
        result = tokens.copy()
        latents = result[..., self.sizes.token_root_width :]
        latents[...] = self.quantizer.requantized(latents)
        return result

    # A window

    def denoise(
        self,
        history: Floats | None,
        noise: Floats,
        text: Text,
        *,
        first_heading_rad: ArrayLike,
        translation: ArrayLike,
        conditions: Conditions | None = None,
        guidance: Guidance,
        num_steps: int,
        on_step: OnStep | None = None,
        trace: Trace | None = None,
    ) -> Floats:
        """Generate the tokens of one window, behind its history: (B, K + H, W).

        Args:
            history: tokens (B, K, W) that went before, around the window's origin; or none.
            noise: (B, H, W) standard normal.
            text: of each sample.
            first_heading_rad: (B,), of the first frame of history, or of the first generated.
            translation: (B, 3), where the window's origin lies in the world, metres; height 0.
            conditions: what is known of the window's frames in the world, from the first of
                history on; frames beyond the generated ones are goals.
            guidance: mode and weights.
            num_steps: of denoising, at most the base schedule's.
            on_step: told of every step.
            trace: filled with what the window saw.
        """
        sizes = self.sizes
        batch, generated, width = noise.shape
        before = 0 if history is None else history.shape[1]
        count = before + generated
        is_constrained = conditions is not None and bool(np.any(conditions.mask))
        known = None
        if is_constrained:
            assert conditions is not None
            known = self._known(conditions, before, generated, translation)
            if trace is not None:
                trace.future_mask = known.future
                trace.observed = known.observed.reshape(conditions.observed.shape)
            # A token beyond that nothing is known of changes nothing: what is behind the last goal
            # is left away.
            goals = np.flatnonzero(known.future.any(axis=0))
            count = max(count, int(goals[-1]) + 1) if len(goals) else count
        x = np.zeros((batch, count, width), np.float32)
        if history is not None:
            x[:, :before] = history
        x[:, before : before + generated] = noise
        places = np.arange(count)
        masks = {
            "history_mask": places < before,
            "generation_mask": (places >= before) & (places < before + generated),
        }
        fixed: dict[str, Any] = {
            name: np.broadcast_to(mask, (batch, count)) for name, mask in masks.items()
        }
        fixed |= self._constraint_inputs(known, batch, count)
        has_text = bool(np.any(text.mask))
        branch = guidance_branches(guidance, has_text, is_constrained)
        fixed |= {
            "text_tokens": text.tokens,
            "text_mask": text.mask,
            "first_heading_rad": np.broadcast_to(
                np.asarray(first_heading_rad, np.float32), (batch,)
            ),
            "branch_text": branch[0],
            "branch_constraints": branch[1],
            "branch_weights": branch[2],
        }
        schedule = cosine_schedule(sizes.num_base_steps, num_steps)
        time_tokens = self._time_tokens[schedule.timesteps]
        x0 = np.zeros_like(x)
        watched = on_step is not None or trace is not None
        size = 1 if watched else num_steps
        for start in range(0, num_steps, size):
            rows = slice(start, start + size)
            state = self._run(
                "sampler",
                {
                    "x": x,
                    "x0_previous": x0,
                    "schedule_tokens": time_tokens[rows],
                    "schedule": schedule.coefficients[rows],
                    **fixed,
                },
            )
            x, x0 = state["x_next"], state["x0"]
            if on_step is not None:
                on_step(start + 1, x, x0)
            if trace is not None:
                trace.steps.append((x, x0))
        return x[:, : before + generated]

    def _known(
        self, conditions: Conditions, before: int, generated: int, translation: ArrayLike
    ) -> _Known:
        """Bring what is known to the window's origin, history left away, in whole tokens."""
        size = self.sizes.frames_per_token
        batch, frames, width = conditions.mask.shape
        if frames % size:
            raise InputError(f"{frames} frames of conditions: must be a multiple of {size}")
        mask = conditions.mask.copy()
        mask[:, : before * size] = 0
        observed = conditions.observed.copy()
        away = -np.asarray(translation, np.float32)
        away = np.broadcast_to(away, (batch, 3))
        root = observed[..., :NUM_ROOT_FEATURES]
        observed[..., :NUM_ROOT_FEATURES] = self.features.translated(root, away)
        observed *= mask
        shape = (batch, frames // size, size * width)
        mask, observed = mask.reshape(shape), observed.reshape(shape)
        beyond = np.arange(frames // size) >= before + generated
        return _Known(mask, observed, mask.any(axis=-1) & beyond)

    def _constraint_inputs(self, known: _Known | None, batch: int, count: int) -> dict[str, Any]:
        """Return the denoiser's inputs for what is known of count tokens."""
        sizes = self.sizes
        width = sizes.hidden_width
        shape = (batch, count)
        root_width = sizes.token_root_width
        if known is None:
            return {
                "future_mask": np.zeros(shape, np.bool_),
                "root_mask": np.zeros((*shape, root_width), np.float32),
                "observed_root": np.zeros((*shape, root_width), np.float32),
                "constraint_tokens": np.zeros((*shape, 2 * width), np.float32),
                "future_tokens": np.zeros((*shape, width), np.float32),
            }
        if not sizes.takes_constraints:
            raise InputError("this model takes no constraints")
        mask, observed = known.mask[:, :count], known.observed[:, :count]
        embedded = self._run(
            "embed_constraints", {"motion_mask": mask, "observed_motion": observed}
        )
        size = sizes.frames_per_token

        def root(values: Floats) -> Floats:
            frames = values.reshape(*shape, size, -1)[..., :NUM_ROOT_FEATURES]
            return frames.reshape(*shape, root_width)

        return {
            "future_mask": known.future[:, :count],
            "root_mask": root(mask),
            "observed_root": root(observed),
            **embedded,
        }


@dataclass(frozen=True)
class _Known:
    mask: Floats
    """(B, N, frames * D), as is the next."""
    observed: Floats
    future: Bools
    """(B, N): something is known of a token that lies beyond what is generated."""
