"""A decoder language model that speaks motion tokens: token ids to logits, with a cache.

Parameter names are those of Hugging Face checkpoints (``model.…`` and ``lm_head.…``), and
``motion_head.weight``: the rows of the head that belong to motion tokens, which are enough where
nothing else can follow.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionrt.models.decoder_lm import DecoderConfig, DecoderLM


class LayerCache:
    """Keys and values of one layer, rows at positions of their own: a ``decoder_lm.Cache``."""

    def __init__(self, past_key: Tensor, past_value: Tensor, positions: Tensor, size: int) -> None:
        """Take what is cached (B, H, P, head_dim), and where (B, S) new ones go, below size."""
        room = max(size - past_key.shape[2], 0)
        self.key, self.value = (
            nn.functional.pad(past.float(), (0, 0, 0, room)) for past in (past_key, past_value)
        )
        self._rows = torch.arange(len(positions))[:, None], positions

    def write(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put new ones in their places; return all."""
        rows, places = self._rows
        self.key[rows, :, places] = key.transpose(1, 2)
        self.value[rows, :, places] = value.transpose(1, 2)
        return self.key, self.value


class MotionLM(nn.Module):
    """Prompts and their continuation through a language model.

    One signature for a prompt, a further piece of one and a single token. What a row has cached is
    ``lengths - S`` tokens and new ones are written behind them, except in the first call, where S
    is the largest of lengths: every row begins at 0 and may be padded on its right.
    """

    def __init__(self, config: DecoderConfig, num_motion_tokens: int) -> None:
        """Make the model and both heads, which hold weights of their own here even if tied."""
        super().__init__()
        self.config = config
        self.model = DecoderLM(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.motion_head = nn.Linear(config.hidden_size, num_motion_tokens, bias=False)

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        logit_rows: Tensor,
        motion_rows: Tensor,
        **past: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return logits (B, R, vocabulary), motion logits (B, M, motion tokens), and the cache.

        input_ids is (B, S); lengths (B,) counts a row's real tokens, these included; logit_rows
        (B, R) and motion_rows (B, M) say after which columns of input_ids the next token is wanted.
        past has ``past_key_<i>`` and ``past_value_<i>`` (B, H, P, head_dim) of every layer, and the
        result ends with the same tensors, new tokens written, as long as the longer of P and
        lengths.
        """
        columns = torch.arange(input_ids.shape[1])
        longest = int(lengths.max())
        is_first = input_ids.shape[1] == longest
        cached = torch.zeros_like(lengths) if is_first else lengths - input_ids.shape[1]
        positions = cached[:, None] + columns
        caches = [
            LayerCache(past[f"past_key_{i}"], past[f"past_value_{i}"], positions, longest)
            for i in range(self.config.num_layers)
        ]
        model = self.model
        x = model.embed_tokens(input_ids).float()
        angles = positions.unsqueeze(-1).float() * model.frequencies
        angles = torch.cat((angles, angles), dim=-1).unsqueeze(1)
        # A query sees its own position and those before it.
        visible = torch.arange(caches[0].key.shape[2]) <= positions[:, None, :, None]
        bias = torch.where(visible, 0.0, torch.finfo(torch.float32).min)
        for layer, cache in zip(model.layers, caches, strict=True):
            x = layer(x, angles.cos(), angles.sin(), bias, cache)
        cache_type = past["past_key_0"].dtype
        return (
            self.lm_head(model.norm(take_columns(x, logit_rows))),
            self.motion_head(model.norm(take_columns(x, motion_rows))),
            *(t.to(cache_type) for cache in caches for t in (cache.key, cache.value)),
        )


def take_columns(x: Tensor, columns: Tensor) -> Tensor:
    """Return x (B, S, width) at columns (B, R) of its second axis, (B, R, width)."""
    return x.gather(1, columns.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
