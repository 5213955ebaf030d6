"""Draw what motions are asked for: words, lengths, first headings, and constraints on motions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.held import CONSTRAINT_KINDS, constraint_columns, held_frames
from motionrt.train.few_steps.teacher import Conditions


@dataclass(frozen=True)
class ConditionShares:
    """How often what is asked for."""

    silent: float = 0.06
    """Motions without words and constraints."""
    turned: float = 0.15
    """Motions that start with a random heading; the others face +z."""
    text_noise: float = 0.1
    """Standard deviation of noise on the text vector, whose own entries are about 1."""
    own_words: float = 0.55
    """Constraints taken from a motion of the same words."""
    no_words: float = 0.25
    """Constraints without words; the remaining ones are of a motion of other words."""


class ConditionSource:
    """Draws conditions on a device."""

    def __init__(
        self,
        prompts: Tensor,
        layout: MotionFeatures,
        generator: torch.Generator,
        shares: ConditionShares | None = None,
    ) -> None:
        """Take embedded prompts (N, text_width); every random number comes from the generator."""
        self.device, self.generator = generator.device, generator
        self.shares = shares or ConditionShares()
        self.prompts = prompts.float().to(self.device)
        self.width = layout.width
        self.columns = constraint_columns(layout).to(self.device)
        kinds = torch.tensor([share for _, share in CONSTRAINT_KINDS], device=self.device)
        self.kind_shares = kinds / kinds.sum()

    def draw(self, count: int, shortest: int, longest: int) -> Conditions:
        """Draw count motions of shortest to longest frames, without constraints."""
        shares = self.shares
        rows = self._integers(0, len(self.prompts), count)
        text = self.prompts[rows]
        text = text + shares.text_noise * self.noise(*text.shape)
        uniform = self._uniform(3, count)
        text = text * (uniform[0] >= shares.silent).unsqueeze(-1)
        heading = torch.where(uniform[1] < shares.turned, (2 * uniform[2] - 1) * math.pi, 0.0)
        lengths = self._integers(shortest, longest + 1, count)
        frame_mask = torch.arange(longest, device=self.device) < lengths[:, None]
        nothing = torch.zeros(count, longest, self.width, device=self.device)
        return Conditions(text.unsqueeze(1), heading, frame_mask, nothing, nothing)

    def constrain(self, asked: Conditions, motions: Tensor) -> Conditions:
        """Hold parts of motions (B, T, D) that were made as asked, with these or other words."""
        count = len(motions)
        uniform = self._uniform(1, count)[0]
        others = asked.text.roll(1, 0)
        own = uniform < self.shares.own_words
        silent = uniform >= 1 - self.shares.no_words
        text = torch.where(own[:, None, None], asked.text, others) * ~silent[:, None, None]
        kind = torch.multinomial(
            self.kind_shares, count, replacement=True, generator=self.generator
        )
        held = held_frames(self.generator, asked.frame_mask)
        mask = held.unsqueeze(-1) * self.columns[kind].unsqueeze(1)
        return replace(asked, text=text, motion_mask=mask, observed=motions * mask)

    def noise(self, *shape: int) -> Tensor:
        """Draw normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def _integers(self, start: int, stop: int, count: int) -> Tensor:
        return torch.randint(start, stop, (count,), generator=self.generator, device=self.device)
