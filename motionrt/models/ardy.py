"""ARDY's networks: a tokenizer for bodies, and a denoiser of tokens that sees history and goals.

Architecture only. A motion is a row of features a frame, normalised: the root (x, y, z, cos
heading, sin heading), then the body. A *hybrid token* stands for ``frames_per_token`` frames: their
root features, frame after frame, then the body's latent. Source: the ARDY release, sections
"motion representation", "tokenizer" and "denoiser".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionrt.models.layers import (
    EncoderLayer,
    Normalizer,
    TimestepEmbedding,
    local_root_rates,
    sinusoid,
    sinusoid_frequencies,
)

ROOT_WIDTH = 5
"""Features of the global root: x, y, z (metres), cos and sin of the heading."""
LOCAL_ROOT_WIDTH = 4
"""Features of the local root: yaw rate (rad/s), x and z velocity (m/s), height (m)."""


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and switches that the tokenizer and the denoiser each state."""

    latent_dim: int
    ff_size: int
    num_layers: int
    num_heads: int
    activation: str = "gelu"
    norm_first: bool = False


@dataclass(frozen=True)
class ArdyConfig:
    """The sizes and switches that a checkpoint's config states."""

    num_joints: int
    fps: float
    frames_per_token: int
    latent_width: int
    """Numbers of a token that describe its bodies, each quantised by itself."""
    denoiser: TransformerConfig
    tokenizer: TransformerConfig
    text_width: int
    num_text_tokens: int
    use_text_mask: bool = False
    input_first_heading_angle: bool = True
    learned_prefix: bool = True
    """Conditions get learned positions and motion tokens count from the first that is generated;
    otherwise the whole sequence is counted through."""
    takes_constraints: bool = True
    causal_encoder: bool = False
    causal_decoder: bool = True

    @property
    def num_features(self) -> int:
        """Features of one frame: 12 a joint, root and contacts, no position of the root joint."""
        return 12 * self.num_joints + 6

    @property
    def body_width(self) -> int:
        """Features of a frame's body."""
        return self.num_features - ROOT_WIDTH

    @property
    def token_root_width(self) -> int:
        """Numbers of a token that are its root."""
        return ROOT_WIDTH * self.frames_per_token

    @property
    def token_width(self) -> int:
        """Numbers of a token."""
        return self.token_root_width + self.latent_width


@dataclass(frozen=True)
class RootStats:
    """Mean and standard deviation of the global root (5,) and the local root (4,), float32."""

    global_root: tuple[Tensor, Tensor]
    local_root: tuple[Tensor, Tensor]

    @staticmethod
    def identity() -> RootStats:
        """Return statistics that leave roots (nearly) as they are: for random weights."""
        return RootStats(
            (torch.zeros(ROOT_WIDTH), torch.ones(ROOT_WIDTH)),
            (torch.zeros(LOCAL_ROOT_WIDTH), torch.ones(LOCAL_ROOT_WIDTH)),
        )


def _layers(config: TransformerConfig) -> nn.Module:
    """Make the layers under the name that they have in checkpoints."""
    stack = nn.Module()
    stack.layers = nn.ModuleList(
        EncoderLayer(
            config.latent_dim,
            config.num_heads,
            config.ff_size,
            config.activation,
            config.norm_first,
        )
        for _ in range(config.num_layers)
    )
    return stack


def _run(stack: nn.Module, tokens: Tensor, attention_bias: Tensor) -> Tensor:
    for layer in stack.get_submodule("layers").children():
        tokens = layer(tokens, attention_bias)
    return tokens


def attention_bias(key_mask: Tensor, causal: bool = False) -> Tensor:
    """Return what is added to scores so that only the keys of a mask (B, S) are attended to.

    causal: by the rows after them alone. The result is (B, 1, 1, S), or (B, 1, S, S).
    """
    allowed = key_mask[:, None, None, :]
    if causal:
        places = torch.arange(key_mask.shape[1], device=key_mask.device)
        allowed = allowed & (places[None, :] <= places[:, None])
    bias = torch.zeros_like(allowed, dtype=torch.float32)
    return bias.masked_fill(~allowed, -torch.inf)


class BodyEncoder(nn.Module):
    """Bodies of a token's frames to its latent, before it is quantised."""

    frequencies: Tensor

    def __init__(self, config: ArdyConfig) -> None:
        """Make an encoder with fresh weights."""
        super().__init__()
        sizes = config.tokenizer
        self.causal = config.causal_encoder
        self.input_proj = nn.Linear(config.frames_per_token * config.body_width, sizes.latent_dim)
        self.seqTransEncoder = _layers(sizes)
        self.output_proj = nn.Linear(sizes.latent_dim, config.latent_width)
        frequencies = sinusoid_frequencies(sizes.latent_dim)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, bodies: Tensor, token_mask: Tensor) -> Tensor:
        """Map bodies (B, N, frames * body_width), normalised, to latents (B, N, latent_width).

        token_mask is (B, N) bool, True where all frames of a token are the sample's.
        """
        tokens = self.embed(bodies)
        tokens = _run(self.seqTransEncoder, tokens, attention_bias(token_mask, self.causal))
        latents: Tensor = self.output_proj(tokens)
        return latents

    def embed(self, bodies: Tensor) -> Tensor:
        """Return the tokens (B, N, latent_dim) with their positions."""
        positions = torch.arange(bodies.shape[1], device=bodies.device)
        tokens: Tensor = self.input_proj(bodies) + sinusoid(positions, self.frequencies)
        return tokens


class BodyDecoder(nn.Module):
    """Quantised latents and the local root back to bodies."""

    frequencies: Tensor

    def __init__(self, config: ArdyConfig) -> None:
        """Make a decoder with fresh weights."""
        super().__init__()
        sizes, frames = config.tokenizer, config.frames_per_token
        self.causal = config.causal_decoder
        self.input_proj = nn.Linear(config.latent_width, sizes.latent_dim)
        condition = nn.Linear(sizes.latent_dim + LOCAL_ROOT_WIDTH * frames, sizes.latent_dim)
        self.external_cond_blocks = nn.ModuleList([condition])
        # Trained with the target as a condition, too, which is never given in use.
        target = nn.Linear(config.body_width, sizes.latent_dim // frames)
        self.target_cond_blocks = nn.ModuleList([target])
        self.seqTransEncoder = _layers(sizes)
        out_width = frames * (LOCAL_ROOT_WIDTH + config.body_width)
        self.output_proj = nn.Linear(sizes.latent_dim, out_width)
        frequencies = sinusoid_frequencies(sizes.latent_dim)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, codes: Tensor, local_root: Tensor, token_mask: Tensor) -> Tensor:
        """Map codes (B, N, latent_width) to frames (B, N, frames * (4 + body_width)), normalised.

        codes are on the quantiser's grid; local_root is (B, N, frames * 4), normalised. A frame of
        the result is a local root, then a body.
        """
        tokens = self.embed(codes, local_root)
        tokens = _run(self.seqTransEncoder, tokens, attention_bias(token_mask, self.causal))
        frames: Tensor = self.output_proj(tokens)
        return frames

    def embed(self, codes: Tensor, local_root: Tensor) -> Tensor:
        """Return the conditioned tokens (B, N, latent_dim) with their positions."""
        hidden = torch.cat((self.input_proj(codes), local_root), dim=-1)
        hidden = torch.relu(self.external_cond_blocks[0](hidden))
        positions = torch.arange(codes.shape[1], device=codes.device)
        return hidden + sinusoid(positions, self.frequencies)


class Tokenizer(nn.Module):
    """The autoencoder of bodies; parameter names are those of checkpoints behind ``pose_net.``."""

    def __init__(self, config: ArdyConfig) -> None:
        """Make a tokenizer with fresh weights."""
        super().__init__()
        self.config = config
        self.encoder = BodyEncoder(config)
        self.decoder = BodyDecoder(config)


class _LearnedPrefix(nn.Module):
    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, width)


@dataclass(frozen=True)
class Places:
    """What is known of each motion token: (B, N) bool masks, of which at most one is True."""

    history: Tensor
    generation: Tensor
    future: Tensor
    """Beyond what is generated, and something of it is known."""

    @property
    def attended(self) -> Tensor:
        """Tokens that others look at."""
        return self.history | self.generation | self.future


class Stage(nn.Module):
    """One transformer over [text, timestep, heading, motion] tokens; predicts per motion token."""

    frequencies: Tensor

    def __init__(self, config: ArdyConfig, out_width: int) -> None:
        """Make a stage that predicts out_width numbers a token."""
        super().__init__()
        width = config.denoiser.latent_dim
        self.config = config
        self.embed_text = nn.Linear(config.text_width, width)
        self.embed_timestep = TimestepEmbedding(width)
        if config.input_first_heading_angle:
            self.linear_first_heading_angle = nn.Linear(2, width)
        if config.learned_prefix:
            rows = config.num_text_tokens + 1 + config.input_first_heading_angle
            self.learned_prefix_embedding = _LearnedPrefix(rows, width)
        self.seqTransEncoder = _layers(config.denoiser)
        self.output_linear = nn.Linear(width, out_width)
        self.register_buffer("frequencies", sinusoid_frequencies(width), persistent=False)

    def forward(
        self,
        motion: Tensor,
        places: Places,
        text_tokens: Tensor,
        text_mask: Tensor,
        time_token: Tensor,
        first_heading_rad: Tensor,
    ) -> Tensor:
        """Predict (B, N, out_width) of motion tokens (B, N, width).

        text_tokens is (B, num_text_tokens, width), embedded without the bias; time_token is
        (B, width), embedded; the rest as in ``Denoiser``.
        """
        tokens, bias = self.embed(
            motion, places, text_tokens, text_mask, time_token, first_heading_rad
        )
        tokens = _run(self.seqTransEncoder, tokens, bias)
        predicted: Tensor = self.output_linear(tokens[:, -motion.shape[1] :])
        return predicted

    def embed(
        self,
        motion: Tensor,
        places: Places,
        text_tokens: Tensor,
        text_mask: Tensor,
        time_token: Tensor,
        first_heading_rad: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the token sequence (B, S, width) with positions, and its attention bias."""
        batch = motion.shape[0]
        prefix = [text_tokens + self.embed_text.bias, time_token.unsqueeze(1)]
        if self.config.input_first_heading_angle:
            heading = torch.stack((first_heading_rad.cos(), first_heading_rad.sin()), dim=-1)
            prefix.append(self.linear_first_heading_angle(heading).unsqueeze(1))
        conditions = torch.cat(prefix, dim=1)
        num_conditions = conditions.shape[1]
        places_of_motion = torch.arange(motion.shape[1], device=motion.device)
        if self.config.learned_prefix:
            conditions = conditions + self.learned_prefix_embedding.embedding.weight
            first = places.history.sum(dim=1, keepdim=True)
            motion = motion + sinusoid(places_of_motion - first, self.frequencies)
        else:
            counted = torch.arange(num_conditions, device=motion.device)
            conditions = conditions + sinusoid(counted, self.frequencies)
            motion = motion + sinusoid(places_of_motion + num_conditions, self.frequencies)
        attended_text = text_mask
        if not self.config.use_text_mask:
            attended_text = torch.ones_like(text_mask)
        others = num_conditions - text_tokens.shape[1]
        seen = torch.ones(batch, others, dtype=torch.bool, device=motion.device)
        mask = torch.cat((attended_text, seen, places.attended), dim=1)
        return torch.cat((conditions, motion), dim=1), attention_bias(mask)


class ConstrainedProjection(nn.Linear):
    """A map of what a token is and of what is known of its frames, in parts."""

    def __init__(self, token_width: int, observed_width: int, out_width: int) -> None:
        """Make a map with fresh weights."""
        super().__init__(token_width + observed_width, out_width)
        self.token_width = token_width

    def of_token(self, token: Tensor) -> Tensor:
        """Map the token's part, with the bias."""
        return nn.functional.linear(token, self.weight[:, : self.token_width], self.bias)

    def of_observed(self, observed: Tensor) -> Tensor:
        """Map the part that constraints fill; zero for none."""
        return nn.functional.linear(observed, self.weight[:, self.token_width :])

    def split(self) -> SplitProjection:
        """Return the same map with each part's weights by themselves."""
        return SplitProjection(self)


class SplitProjection(nn.Module):
    """A ``ConstrainedProjection`` whose parts are maps of their own, as an exporter wants them."""

    def __init__(self, whole: ConstrainedProjection) -> None:
        """Copy the weights of a map."""
        super().__init__()
        width = whole.token_width
        self.token = nn.Linear(width, whole.out_features)
        self.observed = nn.Linear(whole.in_features - width, whole.out_features, bias=False)
        with torch.no_grad():
            self.token.weight.copy_(whole.weight[:, :width])
            self.token.bias.copy_(whole.bias)
            self.observed.weight.copy_(whole.weight[:, width:])

    def of_token(self, token: Tensor) -> Tensor:
        """Map the token's part, with the bias."""
        mapped: Tensor = self.token(token)
        return mapped

    def of_observed(self, observed: Tensor) -> Tensor:
        """Map the part that constraints fill; zero for none."""
        mapped: Tensor = self.observed(observed)
        return mapped


class Denoiser(nn.Module):
    """The two-stage denoiser: predicts clean tokens from noisy ones, root first.

    Parameter names are those of released checkpoints without ``denoiser.`` and ``backbone.``.
    What stays the same over the steps of a window (text, timesteps, constraints) is embedded apart:
    ``embed_text``, ``embed_timesteps``, ``embed_constraints``.
    """

    frequencies: Tensor

    def __init__(self, config: ArdyConfig, stats: RootStats) -> None:
        """Make a denoiser with fresh weights."""
        super().__init__()
        self.config = config
        width, latent = config.denoiser.latent_dim, config.latent_width
        frames, features = config.frames_per_token, config.num_features
        observed = frames * (config.body_width + features)
        local = LOCAL_ROOT_WIDTH * frames + latent
        self.global_root_hybrid_proj = nn.Linear(config.token_width, width)
        self.local_root_hybrid_proj = nn.Linear(local, width)
        if config.takes_constraints:
            self.global_root_hybrid_constraints_proj = ConstrainedProjection(
                config.token_width, observed, width
            )
            self.local_root_hybrid_constraints_proj = ConstrainedProjection(local, observed, width)
            self.future_constraints_proj = nn.Linear(config.token_root_width + observed, width)
        self.root_model = Stage(config, config.token_root_width)
        self.body_model = Stage(config, latent)
        self.global_root = Normalizer(*stats.global_root)
        self.local_root = Normalizer(*stats.local_root)
        self.register_buffer("frequencies", sinusoid_frequencies(width), persistent=False)

    def embed_text(self, text_features: Tensor) -> Tensor:
        """Embed text (B, L, text_width) for both stages (B, L, 2 * width), without the bias."""
        stages = (self.root_model, self.body_model)
        embedded = [nn.functional.linear(text_features, s.embed_text.weight) for s in stages]
        return torch.cat(embedded, dim=-1)

    def embed_timesteps(self, timesteps: Tensor) -> Tensor:
        """Embed steps of the base schedule (S,), int64, for both stages: (S, 2 * width)."""
        rows = sinusoid(timesteps, self.frequencies)
        stages = (self.root_model, self.body_model)
        return torch.cat([stage.embed_timestep(rows) for stage in stages], dim=-1)

    def embed_constraints(
        self, motion_mask: Tensor, observed_motion: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed what is known of frames, all (B, N, frames * num_features), as tokens hold it.

        motion_mask is 1 where observed_motion (normalised, else zero) is known. Returns what the
        knowledge adds to each generated token for both stages (B, N, 2 * width), without the bias,
        and the tokens (B, N, width) of what lies beyond.
        """
        frames, features = self.config.frames_per_token, self.config.num_features
        batch, tokens, _ = motion_mask.shape
        observed = observed_motion.view(batch, tokens, frames, features)
        mask = motion_mask.view(batch, tokens, frames, features)
        root = (observed * mask)[..., :ROOT_WIDTH].flatten(2)
        known = torch.cat((observed[..., ROOT_WIDTH:].flatten(2), mask.flatten(2)), dim=-1)
        added = [
            projection.of_observed(known)
            for projection in (
                self.global_root_hybrid_constraints_proj,
                self.local_root_hybrid_constraints_proj,
            )
        ]
        future = self.future_constraints_proj(torch.cat((root, known), dim=-1))
        return torch.cat(added, dim=-1), future

    def forward(
        self,
        x: Tensor,
        places: Places,
        text_tokens: Tensor,
        text_mask: Tensor,
        time_tokens: Tensor,
        first_heading_rad: Tensor,
        root_mask: Tensor,
        observed_root: Tensor,
        constraint_tokens: Tensor,
        future_tokens: Tensor,
    ) -> Tensor:
        """Predict the clean tokens (B, N, token_width); those of no place are zero.

        Args:
            x: (B, N, token_width): clean where history is, noisy where motion is generated.
            places: what each token is.
            text_tokens: (B, num_text_tokens, 2 * width) of ``embed_text``, zero for no text.
            text_mask: (B, num_text_tokens) bool; read only with ``use_text_mask``.
            time_tokens: (B, 2 * width), of ``embed_timesteps``.
            first_heading_rad: (B,), of the first frame.
            root_mask: (B, N, token_root_width), 1 where observed_root replaces x at the input.
            observed_root: (B, N, token_root_width), normalised.
            constraint_tokens: of ``embed_constraints``, as is the next; zero for no constraints.
            future_tokens: (B, N, width).
        """
        width = self.config.denoiser.latent_dim
        root_width = self.config.token_root_width
        text = torch.split(text_tokens, width, dim=-1)
        times = torch.split(time_tokens, width, dim=-1)
        added = torch.split(constraint_tokens, width, dim=-1)
        given_root, latent = x[..., :root_width], x[..., root_width:]
        given_root = given_root * (1 - root_mask) + observed_root * root_mask

        motion = self.place(
            places,
            self._project("global", torch.cat((latent, given_root), dim=-1), added[0], x),
            self.global_root_hybrid_proj(x),
            future_tokens,
        )
        root = self.root_model(motion, places, text[0], text_mask, times[0], first_heading_rad)
        history, generated = places.history.unsqueeze(-1), places.generation.unsqueeze(-1)
        root = torch.where(generated, root, 0.0) + torch.where(history, given_root, 0.0)

        local = torch.cat((self.to_local_root(root, places), latent), dim=-1)
        motion = self.place(
            places,
            self._project("local", local, added[1], local),
            self.local_root_hybrid_proj(local),
            future_tokens,
        )
        body = self.body_model(motion, places, text[1], text_mask, times[1], first_heading_rad)
        body = torch.where(generated, body, 0.0) + torch.where(history, latent, 0.0)
        return torch.cat((root, body), dim=-1)

    def _project(self, root: str, known: Tensor, added: Tensor, plain: Tensor) -> Tensor:
        """Project generated tokens: what is known of them in the order of the map's columns."""
        if not self.config.takes_constraints:
            projected: Tensor = self.get_submodule(f"{root}_root_hybrid_proj")(plain)
            return projected
        projection = self.get_submodule(f"{root}_root_hybrid_constraints_proj")
        assert isinstance(projection, (ConstrainedProjection, SplitProjection))
        return projection.of_token(known) + added

    @staticmethod
    def place(places: Places, generated: Tensor, history: Tensor, future: Tensor) -> Tensor:
        """Choose for each motion token by its place; others are zero."""
        tokens = torch.where(places.generation.unsqueeze(-1), generated, 0.0)
        tokens = torch.where(places.history.unsqueeze(-1), history, tokens)
        return torch.where(places.future.unsqueeze(-1), future, tokens)

    def to_local_root(self, root: Tensor, places: Places) -> Tensor:
        """Turn normalised roots of tokens (B, N, frames * 5) into local ones (B, N, frames * 4)."""
        batch, tokens, _ = root.shape
        frames = self.config.frames_per_token
        flat = self.global_root.unnormalize(root.reshape(batch, tokens * frames, ROOT_WIDTH))
        lengths = frames * (places.history | places.generation).sum(dim=1, keepdim=True)
        local = self.local_root.normalize(local_root_rates(flat, lengths, self.config.fps))
        return local.reshape(batch, tokens, frames * LOCAL_ROOT_WIDTH)
