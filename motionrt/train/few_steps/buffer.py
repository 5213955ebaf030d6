"""The teacher's ways, kept on the device in half precision until newer ones take their place."""

from __future__ import annotations

import torch
from torch import Tensor

from motionrt.train.few_steps.teacher import Conditions


class Buffer:
    """A ring of ways of one length, padding included, with what was asked for."""

    def __init__(self, capacity: int) -> None:
        """Hold at most capacity ways."""
        self.capacity = capacity
        self.size = 0
        self._next = 0
        self._held: dict[str, Tensor] = {}

    def add(self, asked: Conditions, states: Tensor) -> None:
        """Put in ways (B, K + 1, T, D); the oldest ones make room."""
        rows = {name: getattr(asked, name) for name in Conditions.__dataclass_fields__}
        rows["motion_mask"] = asked.motion_mask > 0
        rows["states"] = states
        count = min(len(states), self.capacity)
        if count == 0:
            return
        places = (self._next + torch.arange(count, device=states.device)) % self.capacity
        for name, values in rows.items():
            kept = values[-count:].to(_stored(values))
            if name not in self._held:
                shape = (self.capacity, *values.shape[1:])
                self._held[name] = torch.zeros(shape, dtype=kept.dtype, device=kept.device)
            self._held[name][places] = kept
        self._next = (self._next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Conditions, Tensor]:
        """Draw count of them with repetition, in float32."""
        rows = torch.randint(0, self.size, (count,), generator=generator, device=generator.device)
        found = {}
        for name, values in self._held.items():
            drawn = values[rows]
            found[name] = drawn.float() if drawn.dtype == torch.float16 else drawn
        found["motion_mask"] = found["motion_mask"].float()
        states = found.pop("states")
        return Conditions(**found), states


def _stored(values: Tensor) -> torch.dtype:
    if values.dtype == torch.bool or not values.is_floating_point():
        return values.dtype
    return torch.float16
