"""MotionGPT3: a GPT-2 with two sets of weights, and a diffusion head that makes motion latents.

Architecture only; parameter names are those of the released checkpoints. Text and motion tokens run
through weights of their own and meet in attention alone. The hidden states at the motion holders of
a prompt condition the diffusion head, whose sample a ``MotionVae`` decodes. Source: Zhu 2025,
"MotionGPT3: human motion as a second modality", arXiv:2506.24086.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionrt.models.layers import EncoderLayer
from motionrt.models.motion_vae import LearnedPositions, MotionVae, MotionVaeConfig

NUM_MOTION_TOKENS = 6
"""Rows of the motion token table; ``motionrt.runtime.motiongpt3.prompt`` says which."""
TIME_FREQUENCIES = 128
"""Angular frequencies of the diffusion head's timestep embedding."""


@dataclass(frozen=True)
class MotionGpt3Config:
    """The sizes that a checkpoint, its config and its language model's config state."""

    vocab_size: int
    """Text tokens, those that start and end a motion included."""
    num_positions: int
    width: int
    num_layers: int
    num_heads: int
    ff_size: int
    layer_norm_epsilon: float
    num_output_holders: int
    """Placeholders in a prompt whose hidden states condition the diffusion head."""
    num_input_holders: int
    """Tokens that one given motion becomes."""
    head_width: int
    head_depth: int
    has_null_condition: bool
    """Whether there is a condition that means none, which guidance needs."""
    latent_scale: float
    """The language model's latents are the VAE's times this."""
    vae: MotionVaeConfig


class Conv1D(nn.Module):
    """A linear map stored as (in, out): y = x W + b, as GPT-2 has it."""

    def __init__(self, in_width: int, out_width: int) -> None:
        """Make a map from in_width to out_width features."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_width, out_width))
        self.bias = nn.Parameter(torch.zeros(out_width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return x @ self.weight + self.bias


class FeedForward(nn.Module):
    """GPT-2's two-layer network with the tanh form of GELU."""

    def __init__(self, width: int, ff_size: int) -> None:
        """Make a network from width to ff_size and back."""
        super().__init__()
        self.c_fc = Conv1D(width, ff_size)
        self.c_proj = Conv1D(ff_size, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        projected: Tensor = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return projected


class PerModality(nn.Module):
    """One module for text and one for motion."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        """Make both."""
        super().__init__()
        self.fn = nn.ModuleList(make() for _ in range(2))

    def forward(self, text: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Apply each to its own tokens."""
        return self.fn[0](text), self.fn[1](motion)


class Block(nn.Module):
    """One pre-norm transformer layer: weights a modality, one attention over both."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a layer."""
        super().__init__()
        width, epsilon = config.width, config.layer_norm_epsilon
        self.num_heads = config.num_heads
        self.ln_1 = PerModality(lambda: nn.LayerNorm(width, eps=epsilon))
        self.c_attn = PerModality(lambda: Conv1D(width, 3 * width))
        self.c_proj = PerModality(lambda: Conv1D(width, width))
        self.ln_2 = PerModality(lambda: nn.LayerNorm(width, eps=epsilon))
        self.mlp = PerModality(lambda: FeedForward(width, config.ff_size))

    def forward(
        self, text: Tensor, motion: Tensor, attention_bias: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map text (B, S, width) and motion (B, M, width); see ``Transformer``.

        past is (2, B, heads, P, width / heads), keys then values, of tokens that went before; the
        third result is the same with those of text, then motion, appended.
        """
        batch, num_text, width = text.shape
        packed = torch.cat(self.c_attn(*self.ln_1(text, motion)), dim=1)
        heads = packed.view(batch, -1, 3, self.num_heads, width // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_bias)
        attended = attended.transpose(1, 2).reshape(batch, -1, width)
        from_text, from_motion = self.c_proj(attended[:, :num_text], attended[:, num_text:])
        text, motion = text + from_text, motion + from_motion
        from_text, from_motion = self.mlp(*self.ln_2(text, motion))
        return text + from_text, motion + from_motion, torch.stack((key, value))


class Transformer(nn.Module):
    """The layers, with GPT-2's tables of tokens and positions."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a transformer."""
        super().__init__()
        width = config.width
        self.wte = nn.Embedding(config.vocab_size, width)
        self.wpe = nn.Embedding(config.num_positions, width)
        self.h = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = PerModality(lambda: nn.LayerNorm(width, eps=config.layer_norm_epsilon))

    def forward(
        self,
        text: Tensor,
        text_positions: Tensor,
        motion: Tensor,
        motion_positions: Tensor,
        past: Tensor,
        past_positions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run embeddings through all layers.

        Text and motion tokens stand apart, each with its place in the common sequence; a token
        attends to those whose position is not beyond its own. A position past the table marks
        padding, to which no token of the sequence attends.

        Args:
            text: embeddings of text tokens (B, S, width), without positions.
            text_positions: (B, S) int64.
            motion: embeddings of motion tokens (B, M, width), without positions.
            motion_positions: (B, M) int64.
            past: keys and values of earlier tokens (layers, 2, B, heads, P, width / heads).
            past_positions: (B, P) int64.

        Returns:
            Final hidden states of the text tokens and of the motion tokens, and past with the
            keys and values of text, then motion, appended.
        """
        last = self.wpe.num_embeddings - 1
        text = text + self.wpe(text_positions.clamp(max=last))
        motion = motion + self.wpe(motion_positions.clamp(max=last))
        positions = torch.cat((text_positions, motion_positions), dim=1)
        key_positions = torch.cat((past_positions, positions), dim=1)
        hidden = key_positions[:, None] > positions[:, :, None]
        bias = torch.zeros_like(hidden, dtype=text.dtype).masked_fill(hidden, -torch.inf)
        present = []
        for i, block in enumerate(self.h):
            text, motion, keys_values = block(text, motion, bias[:, None], past[i])
            present.append(keys_values)
        return *self.ln_f(text, motion), torch.stack(present)


class LanguageModel(nn.Module):
    """The transformer with its token tables; text logits share the text table."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a language model."""
        super().__init__()
        self.transformer = Transformer(config)
        # Named by modality, as in the checkpoints; the text entries there are the same table.
        self.pre_processors = nn.ModuleDict({"1": nn.Embedding(NUM_MOTION_TOKENS, config.width)})
        heads = {"1": nn.Linear(config.width, NUM_MOTION_TOKENS, bias=False)}
        self.post_processors = nn.ModuleDict(heads)

    def motion_table(self) -> Tensor:
        """Return the (NUM_MOTION_TOKENS, width) embeddings of motion tokens."""
        table: Tensor = self.pre_processors["1"].get_parameter("weight")
        return table

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Map final hidden states (..., width) of text tokens to (..., vocab_size)."""
        logits: Tensor = F.linear(hidden, self.transformer.wte.weight)
        return logits

    def motion_logits(self, hidden: Tensor) -> Tensor:
        """Map final hidden states (..., width) of motion tokens to (..., NUM_MOTION_TOKENS)."""
        logits: Tensor = self.post_processors["1"](hidden)
        return logits


class MotionEmbedding(nn.Module):
    """Latents of given motions become the embeddings of the motion-in holders."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make the map."""
        super().__init__()
        self.chunks = (config.num_input_holders, config.width)
        self.layers = nn.Linear(config.vae.latent_dim, config.num_input_holders * config.width)

    def forward(self, latents: Tensor) -> Tensor:
        """Map (B, N, latent_dim) to (B, holders * N, width).

        The first chunk of every motion comes first, then the second of every motion, and so on: the
        order in which a prompt's holders take them.
        """
        batch, num_motions, _ = latents.shape
        projected: Tensor = self.layers(latents)
        chunks = projected.view(batch, num_motions, *self.chunks).transpose(1, 2)
        return chunks.flatten(1, 2)


class TimeEmbedding(nn.Module):
    """A timestep's sinusoid (cosines, then sines) through two linear maps."""

    def __init__(self, width: int) -> None:
        """Make an embedding of the given width."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def frequency_embedding(self, timesteps: Tensor) -> Tensor:
        """Return the (N, 256) sinusoids of timesteps (N,)."""
        exponents = torch.arange(TIME_FREQUENCIES, dtype=torch.float32, device=timesteps.device)
        frequencies = torch.exp(exponents * (-math.log(10000.0) / TIME_FREQUENCIES))
        angles = timesteps.float()[:, None] * frequencies
        return torch.cat((angles.cos(), angles.sin()), dim=-1)

    def forward(self, timesteps: Tensor) -> Tensor:
        """Map (N,) to (N, width)."""
        embedded: Tensor = self.mlp(self.frequency_embedding(timesteps))
        return embedded


class ConditionEmbedding(nn.Module):
    """The holders' hidden states pooled into one vector by a transformer layer."""

    def __init__(self, width: int, out_width: int) -> None:
        """Make an embedding from width to out_width features."""
        super().__init__()
        self.hidden_embedding = nn.Parameter(torch.randn(1, width))
        self.hid_pos = LearnedPositions(width)
        self.hid_encoder_layer = EncoderLayer(width, 4, 4 * width)
        self.cond_proj = nn.Linear(width, out_width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, K, width) to (B, out_width)."""
        tokens = torch.cat((self.hidden_embedding.expand(hidden.shape[0], 1, -1), hidden), dim=1)
        encoded = self.hid_encoder_layer(tokens + self.hid_pos(tokens.shape[1]), None)
        embedded: Tensor = self.cond_proj(encoded[:, 0])
        return embedded


class ResidualBlock(nn.Module):
    """A two-layer network, its input normalised and shifted, its output gated by the condition."""

    def __init__(self, width: int) -> None:
        """Make a block."""
        super().__init__()
        self.in_ln = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Map (..., width); modulation (..., 3 * width) is shift, scale and gate."""
        shift, scale, gate = modulation.chunk(3, dim=-1)
        update: Tensor = self.mlp(self.in_ln(x) * (1 + scale) + shift)
        return x + gate * update


class FinalLayer(nn.Module):
    """The map back to latents, its input normalised, scaled and shifted by the condition."""

    def __init__(self, width: int, out_width: int) -> None:
        """Make a layer."""
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, out_width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Map (..., width) to (..., out_width); modulation (..., 2 * width): shift and scale."""
        shift, scale = modulation.chunk(2, dim=-1)
        mapped: Tensor = self.linear(self.norm(x) * (1 + scale) + shift)
        return mapped


class DiffusionHead(nn.Module):
    """Predicts the noise in a latent, given the hidden states of the motion-out holders."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a head."""
        super().__init__()
        width, latent_dim = config.head_width, config.vae.latent_dim
        self.time_embed = TimeEmbedding(width)
        self.cond_embed = ConditionEmbedding(config.width, width)
        self.input_proj = nn.Linear(latent_dim, width)
        self.res_blocks = nn.ModuleList(ResidualBlock(width) for _ in range(config.head_depth))
        self.final_layer = FinalLayer(width, latent_dim)

    def forward(self, x: Tensor, timesteps: Tensor, hidden: Tensor) -> Tensor:
        """Predict the noise in x (B, latent_dim).

        timesteps is (B,), steps of the base schedule; hidden is (B, K, width of the transformer).
        """
        modulations = self.modulations(self.time_embed(timesteps) + self.cond_embed(hidden))
        return self.denoise(x, modulations)

    def modulations(self, condition: Tensor) -> Tensor:
        """Return all that timestep and condition do to the trunk, side by side.

        condition (..., head_width) is the sum of both embeddings. The result does not depend on x:
        it can be had for all steps of a sampling loop at once.
        """
        layers = [*self.res_blocks, self.final_layer]
        return torch.cat([layer.adaLN_modulation(condition) for layer in layers], dim=-1)

    def denoise(self, x: Tensor, modulations: Tensor) -> Tensor:
        """Predict the noise in x (..., latent_dim), with the result of ``modulations``."""
        x = self.input_proj(x)
        width = x.shape[-1]
        for i, block in enumerate(self.res_blocks):
            x = block(x, modulations[..., 3 * width * i : 3 * width * (i + 1)])
        predicted: Tensor = self.final_layer(x, modulations[..., -2 * width :])
        return predicted


class LanguageMotionModel(nn.Module):
    """Everything between prompt and latent."""

    fake_latent: Tensor

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a model."""
        super().__init__()
        self.language_model = LanguageModel(config)
        self.motion_und_head = MotionEmbedding(config)
        self.diffloss = nn.Module()
        self.diffloss.net = DiffusionHead(config)
        if config.has_null_condition:
            null = torch.zeros(config.num_output_holders, config.width)
            self.fake_latent = nn.Parameter(null)

    def forward(
        self,
        text_ids: Tensor,
        text_positions: Tensor,
        motion_ids: Tensor,
        motion_positions: Tensor,
        motion_latents: Tensor,
        past: Tensor,
        past_positions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run a prompt, or its continuation; arguments not named here as in ``Transformer``.

        Args:
            text_ids: (B, S) int64.
            text_positions: (B, S) int64.
            motion_ids: (B, M) int64, relative to the text vocabulary. From ``NUM_MOTION_TOKENS`` on
                they are rows of the given motions' embeddings, as ``MotionEmbedding`` orders them.
            motion_positions: (B, M) int64.
            motion_latents: latents of given motions, scaled (B, N, latent_dim).
            past: as in ``Transformer``.
            past_positions: as in ``Transformer``.
        """
        text = self.language_model.transformer.wte(text_ids)
        motion = self.embed_motion(motion_ids, motion_latents)
        hidden: tuple[Tensor, Tensor, Tensor] = self.language_model.transformer(
            text, text_positions, motion, motion_positions, past, past_positions
        )
        return hidden

    def embed_motion(self, motion_ids: Tensor, motion_latents: Tensor) -> Tensor:
        """Return the embeddings (B, M, width) of motion tokens, without positions."""
        given = self.motion_und_head(motion_latents)
        tokens = self.language_model.motion_table()
        table = torch.cat((tokens.expand(given.shape[0], -1, -1), given), dim=1)
        rows = motion_ids.unsqueeze(-1).expand(-1, -1, table.shape[-1])
        return table.gather(1, rows)


class MotionGpt3(nn.Module):
    """The whole system: language model with diffusion head, and motion VAE."""

    def __init__(self, config: MotionGpt3Config) -> None:
        """Make a system with fresh weights."""
        super().__init__()
        self.config = config
        self.lm = LanguageMotionModel(config)
        self.vae = MotionVae(config.vae)
