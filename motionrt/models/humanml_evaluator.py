"""The networks that judge motions of HumanML3D: texts and motions into one space of embeddings.

As of Guo et al. 2022, "Generating Diverse and Natural 3D Human Motions from Text": a matching text
and motion lie near each other. Parameters are named as their checkpoint names them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

FRAMES_A_MOVEMENT = 4
"""Two strided convolutions: so many frames are one token of the motion's encoder."""
NUM_CONTACTS = 4
"""Features at a motion's end, foot contacts, which the networks do not see."""


@dataclass(frozen=True)
class EvaluatorConfig:
    """Sizes of the three networks."""

    num_features: int = 263
    word_width: int = 300
    num_parts: int = 15
    """Parts of speech that words are told apart by."""
    text_hidden: int = 512
    movement_hidden: int = 512
    movement_width: int = 512
    motion_hidden: int = 1024
    width: int = 512
    """Of the space that both are embedded in."""


class MovementEncoder(nn.Module):
    """Motion features to a token for every four frames."""

    def __init__(self, config: EvaluatorConfig) -> None:
        """Make the convolutions (stride 2, kernel 4) and the map behind them."""
        super().__init__()
        width, hidden = config.num_features - NUM_CONTACTS, config.movement_hidden
        self.main = nn.Sequential(
            nn.Conv1d(width, hidden, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, config.movement_width, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(config.movement_width, config.movement_width)

    def forward(self, motion: Tensor) -> Tensor:
        """Map (B, T, num_features - 4), normalised, to (B, T // 4, movement_width)."""
        out: Tensor = self.out_net(self.main(motion.transpose(1, 2)).transpose(1, 2))
        return out


class SequenceEncoder(nn.Module):
    """A bidirectional GRU over tokens; the last states of both directions become one vector."""

    def __init__(self, in_width: int, hidden: int, out_width: int) -> None:
        """Make the map of tokens, the GRU with its learned first state, and the map of its end."""
        super().__init__()
        self.input_emb = nn.Linear(in_width, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden),
            nn.LayerNorm(hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, out_width),
        )

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Map tokens (B, S, in_width), of which the first lengths (B,) count, to (B, out_width)."""
        embedded = self.input_emb(tokens)
        first = self.hidden.expand(-1, tokens.shape[0], -1).contiguous()
        out: Tensor = self.output_net(self.last_states(embedded, first, lengths))
        return out

    def last_states(self, embedded: Tensor, first: Tensor, lengths: Tensor) -> Tensor:
        """Run the GRU and return both directions' last states (B, 2 · hidden)."""
        packed = pack_padded_sequence(
            embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, last = self.gru(packed, first)
        return torch.cat((last[0], last[1]), dim=-1)


class TextEncoder(SequenceEncoder):
    """Words, as vectors and parts of speech, to an embedding."""

    def __init__(self, config: EvaluatorConfig) -> None:
        """Make the map of parts of speech and the encoder behind it."""
        super().__init__(config.word_width, config.text_hidden, config.width)
        self.pos_emb = nn.Linear(config.num_parts, config.word_width)

    def encode(self, words: Tensor, parts: Tensor, lengths: Tensor) -> Tensor:
        """Map words (B, S, word_width) and parts (B, S, num_parts), one-hot, to (B, width)."""
        return self(words + self.pos_emb(parts), lengths)  # type: ignore[no-any-return]


def motion_encoder(config: EvaluatorConfig) -> SequenceEncoder:
    """Make the encoder of movements to an embedding."""
    return SequenceEncoder(config.movement_width, config.motion_hidden, config.width)
