"""Projectors trained by gradient descent: linear, MLP and attention.

Deterministic by seed on one machine, resumable, with the best epoch kept.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionrt.models.projector import (
    AttentionProjector,
    LinearProjector,
    MLPProjector,
    ProjectorConfig,
    make_projector,
)
from motionrt.runtime.errors import InputError
from motionrt.train.state_file import save_state

SCHEDULES = ("cosine-epoch", "cosine-step", "constant")
LOSSES = ("mse", "cosine", "infonce")
STD_FLOOR = 1e-6
INFONCE_TEMPERATURE = 0.07


@dataclass(frozen=True)
class GradientSettings:
    """How a projector is trained."""

    optimiser: str = "adamw"
    """adam (decay is added to gradients) or adamw (decay is apart from them)."""
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 50
    schedule: str = "cosine-step"
    """cosine-epoch sets the rate once an epoch, cosine-step at every batch; constant does not."""
    warmup_steps: int = 0
    """Batches over which the rate rises to learning_rate (not with cosine-epoch)."""
    loss: str = "mse"
    """mse, cosine (1 - centred cosine, plus the mse) or infonce (retrieval, plus the mse)."""
    standardise: bool = True
    """Train on standardised inputs and targets; the scaling is folded in afterwards."""
    shuffle: bool = True
    clip_norm: float | None = 1.0
    """Longest gradient; None does not clip."""
    ema: float = 0.0
    """Share of the old in a running mean of the parameters, which then is the result; 0 is off."""
    patience: int | None = 10
    """Epochs without a better validation loss after which training stops; None never."""
    keep: str = "best"
    """best or last epoch."""
    seed: int = 0
    device: str = "cpu"

    def replaced(self, **changes: Any) -> GradientSettings:
        """Return them with changes; InputError if one does not fit."""
        made = replace(self, **changes)
        for name, allowed in (
            ("optimiser", ("adam", "adamw")),
            ("schedule", SCHEDULES),
            ("loss", LOSSES),
            ("keep", ("best", "last")),
        ):
            if getattr(made, name) not in allowed:
                raise InputError(f"{name} {getattr(made, name)!r}: none of {', '.join(allowed)}")
        for name in ("learning_rate", "batch_size", "epochs"):
            if not getattr(made, name) > 0:
                raise InputError(f"{name} must be positive, it is {getattr(made, name)}")
        return made


SEED_RECIPE = GradientSettings(
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    batch_size=128,
    epochs=200,
    schedule="cosine-epoch",
    standardise=False,
    clip_norm=None,
    patience=None,
    keep="last",
)
"""The published recipe for a linear projection of Qwen3, kept to compare with."""


@dataclass(frozen=True)
class GradientFit:
    """A trained projector and how it went."""

    module: nn.Module
    train_loss: list[float]
    """Mean of the batches' losses, per epoch."""
    validation_loss: list[float]
    learning_rates: list[float]
    """Of every batch."""
    best_epoch: int


Progress = Callable[[int, int, float], None]
"""Told epochs done, epochs in all and the validation loss."""


def weighted_mse(
    projected: Tensor, target: Tensor, weights: Tensor | None = None, normalised: bool = False
) -> Tensor:
    """Return the mean of weight · error² over all elements; weights (D,).

    normalised divides by the mean weight, so that weights do not change the rate of learning.
    """
    errors = (projected - target).square()
    if weights is None:
        return errors.mean()
    loss = (errors * weights).mean()
    return loss / weights.mean() if normalised else loss


def masked_mse(
    projected: Tensor,
    target: Tensor,
    mask: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the weighted mean square over the tokens (B, S) whose mask is not 0."""
    errors = (projected - target).square()
    if weights is not None:
        errors = errors * weights / weights.mean()
    kept = (mask > 0).to(errors.dtype)
    return (errors.mean(-1) * kept).sum() / kept.sum().clamp(min=1)


def fit_gradient(
    kind: str,
    x: Tensor,
    y: Tensor,
    x_validation: Tensor,
    y_validation: Tensor,
    settings: GradientSettings,
    *,
    hidden_dim: int = 4096,
    num_heads: int = 8,
    num_queries: int = 1,
    mask: Tensor | None = None,
    mask_validation: Tensor | None = None,
    target_mask: Tensor | None = None,
    target_mask_validation: Tensor | None = None,
    weights: Tensor | None = None,
    initial: Mapping[str, Tensor] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> GradientFit:
    """Train a projector of a kind on pairs x (N, I) or (N, S, I), y (N, O) or (N, T, O).

    mask (N, S) says which input tokens are real, for attention, target_mask (N, T) which rows of
    the targets are: no others are learned or counted. weights (O,) weigh the loss of each feature.
    initial replaces the random start, of raw inputs. checkpoint is written after every epoch and
    resumed from if it was written with the same settings; it stays, so that nothing is lost before
    the caller has stored the result.
    """
    settings = settings.replaced()
    device = torch.device(settings.device)
    torch.manual_seed(settings.seed)
    config = _config(kind, x, y, hidden_dim, num_heads, num_queries)
    module = make_projector(config)
    if initial is not None:
        module.load_state_dict(dict(initial))
    scaling = _Scaling(x, y, mask, target_mask) if settings.standardise else None
    if scaling is not None and initial is not None:
        raise InputError("a given start applies to raw inputs: train it with standardise off")
    data = _Data(
        x,
        y,
        mask,
        target_mask,
        x_validation,
        y_validation,
        mask_validation,
        target_mask_validation,
        weights,
        scaling,
    )
    run = _Run(module.to(device), data.to(device), settings, checkpoint, config)
    run.train(progress)
    result = run.result()
    if scaling is not None:
        scaling.fold_into(result)
    fit = GradientFit(
        result.cpu().eval(), run.train_loss, run.validation_loss, run.rates, run.best_epoch
    )
    return fit


@dataclass(frozen=True)
class _Data:
    x: Tensor
    y: Tensor
    mask: Tensor | None
    target_mask: Tensor | None
    x_validation: Tensor
    y_validation: Tensor
    mask_validation: Tensor | None
    target_mask_validation: Tensor | None
    weights: Tensor | None
    scaling: _Scaling | None

    def to(self, device: torch.device) -> _Data:
        """Return it standardised on a device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.scaling is not None:
            for name in ("x", "x_validation"):
                values[name] = (values[name] - self.scaling.x_mean) * self.scaling.x_scale
            for name in ("y", "y_validation"):
                values[name] = (values[name] - self.scaling.y_mean) / self.scaling.y_std
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device)
        return _Data(**values)


class _Scaling:
    """Standardisation of inputs and targets, and how it disappears into a projector."""

    def __init__(
        self, x: Tensor, y: Tensor, mask: Tensor | None, target_mask: Tensor | None
    ) -> None:
        rows = x.reshape(-1, x.shape[-1])
        if mask is not None:
            rows = rows[mask.reshape(-1) > 0]
        self.x_mean, x_std = _moments(rows)
        self.x_scale = 1 / x_std
        targets = y.reshape(-1, y.shape[-1])
        if target_mask is not None:
            targets = targets[target_mask.reshape(-1) > 0]
        self.y_mean, self.y_std = _moments(targets)

    @torch.no_grad()
    def fold_into(self, module: nn.Module) -> None:
        module.cpu()
        first: tuple[Tensor, Tensor]
        last: tuple[Tensor, Tensor]
        if isinstance(module, LinearProjector):
            first = last = (module.weight, module.bias)
        elif isinstance(module, MLPProjector):
            a, b = module.proj[0], module.proj[2]
            assert isinstance(a, nn.Linear) and isinstance(b, nn.Linear)
            first, last = (a.weight, a.bias), (b.weight, b.bias)
        else:
            assert isinstance(module, AttentionProjector)
            width = module.config.in_dim
            # Keys and values are maps of the tokens; queries are not.
            packed, shift = module.attn.in_proj_weight, module.attn.in_proj_bias
            first = (packed[width:], shift[width:])
            last = (module.out.weight, module.out.bias)
        weight, bias = first
        weight.mul_(self.x_scale)
        bias.sub_(weight @ self.x_mean)
        weight, bias = last
        weight.mul_(self.y_std.unsqueeze(1))
        bias.mul_(self.y_std).add_(self.y_mean)


class _Run:
    """The loop over epochs, with all that a checkpoint must hold."""

    def __init__(
        self,
        module: nn.Module,
        data: _Data,
        settings: GradientSettings,
        checkpoint: Path | None,
        config: ProjectorConfig,
    ) -> None:
        self.module, self.data, self.settings = module, data, settings
        self.checkpoint = checkpoint
        self.identity = {
            **asdict(settings),
            **asdict(config),
            "rows": len(data.x),
            "sums": [float(t.double().sum()) for t in (data.x, data.y)],
        }
        kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
        self.optimiser = kind(
            module.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.train_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.rates: list[float] = []
        self.best_epoch = -1
        self.best: dict[str, Tensor] = {}
        self.average: dict[str, Tensor] = {}
        self.num_batches = math.ceil(len(data.x) / settings.batch_size)

    def train(self, progress: Progress | None) -> None:
        settings = self.settings
        self._resume()
        for epoch in range(len(self.train_loss), settings.epochs):
            if self._out_of_patience(epoch):
                break
            self.train_loss.append(self._epoch(epoch))
            self.validation_loss.append(self._validate())
            if not math.isfinite(self.validation_loss[-1]):
                raise InputError(
                    f"training diverged in epoch {epoch + 1}: the loss is "
                    f"{self.validation_loss[-1]}; lower the learning rate"
                )
            if min(self.validation_loss) == self.validation_loss[-1]:
                self.best_epoch = epoch
                self.best = {k: v.clone() for k, v in self._current().items()}
            self._save()
            if progress is not None:
                progress(epoch + 1, settings.epochs, self.validation_loss[-1])

    def result(self) -> nn.Module:
        state = self.best if self.settings.keep == "best" and self.best else self._current()
        self.module.load_state_dict(state)
        return self.module

    def _epoch(self, epoch: int) -> float:
        data, settings = self.data, self.settings
        count = len(data.x)
        order = torch.randperm(count, generator=self.generator) if settings.shuffle else None
        losses = []
        self.module.train()
        for batch, start in enumerate(range(0, count, settings.batch_size)):
            rate = self._rate(epoch, epoch * self.num_batches + batch)
            self.rates.append(rate)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            stop = min(start + settings.batch_size, count)
            rows: slice | Tensor = slice(start, stop) if order is None else order[start:stop]
            mask = None if data.mask is None else data.mask[rows]
            shown = None if data.target_mask is None else data.target_mask[rows]
            loss = self._loss(data.x[rows], data.y[rows], mask, shown)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.module.parameters(), settings.clip_norm)
            self.optimiser.step()
            self._follow()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    def _rate(self, epoch: int, step: int) -> float:
        settings = self.settings
        total, warmup = settings.epochs * self.num_batches, settings.warmup_steps
        if settings.schedule == "cosine-epoch":
            return settings.learning_rate * _cosine(epoch, settings.epochs)
        if step < warmup:
            return settings.learning_rate * (step + 1) / warmup
        if settings.schedule == "constant":
            return settings.learning_rate
        return settings.learning_rate * _cosine(step - warmup, max(total - warmup, 1))

    def _loss(self, x: Tensor, y: Tensor, mask: Tensor | None, shown: Tensor | None) -> Tensor:
        settings = self.settings
        projected = _apply(self.module, x, y, mask)
        loss = _error(projected, y, shown, self.data.weights)
        if settings.loss == "mse":
            return loss
        a, b = projected.reshape(-1, y.shape[-1]), y.reshape(-1, y.shape[-1])
        if shown is not None:
            a, b = a[shown.reshape(-1) > 0], b[shown.reshape(-1) > 0]
        a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        if settings.loss == "cosine":
            return loss + (1 - (a * b).sum(-1)).mean()
        own = torch.arange(len(a), device=a.device)
        return loss + F.cross_entropy(a @ b.T / INFONCE_TEMPERATURE, own)

    @torch.no_grad()
    def _validate(self) -> float:
        """Return the mean squared error of all validation elements, whatever the batches."""
        data = self.data
        self.module.eval()
        kept = self.module.state_dict()
        kept = {name: value.clone() for name, value in kept.items()} if self.average else {}
        if self.average:
            self.module.load_state_dict(self.average)
        total, count = 0.0, 0.0
        for start in range(0, len(data.x_validation), 512):
            rows = slice(start, start + 512)
            mask = None if data.mask_validation is None else data.mask_validation[rows]
            y = data.y_validation[rows]
            projected = _apply(self.module, data.x_validation[rows], y, mask)
            shown = None
            if data.target_mask_validation is not None:
                shown = data.target_mask_validation[rows]
            size = y.numel() if shown is None else float((shown > 0).sum()) * y.shape[-1]
            total += float(_error(projected, y, shown, data.weights)) * size
            count += size
        if kept:
            self.module.load_state_dict(kept)
        return total / count

    def _follow(self) -> None:
        if not self.settings.ema:
            return
        state = self.module.state_dict()
        if not self.average:
            self.average = {name: value.clone() for name, value in state.items()}
        for name, value in state.items():
            self.average[name].lerp_(value, 1 - self.settings.ema)

    def _current(self) -> dict[str, Tensor]:
        return dict(self.average or self.module.state_dict())

    def _out_of_patience(self, epoch: int) -> bool:
        patience = self.settings.patience
        return patience is not None and epoch - 1 - self.best_epoch >= patience > 0

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        save_state(
            self.checkpoint,
            {
                "identity": self.identity,
                "module": self.module.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "train_loss": self.train_loss,
                "validation_loss": self.validation_loss,
                "rates": self.rates,
                "best_epoch": self.best_epoch,
                "best": self.best,
                "average": self.average,
            },
        )

    def _resume(self) -> None:
        if self.checkpoint is None or not os.path.exists(self.checkpoint):
            return
        try:
            stored = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            same = stored["identity"] == self.identity
        except Exception as error:  # torch.load raises many kinds for a damaged file
            raise InputError(
                f"{self.checkpoint}: is no training checkpoint; remove it to start anew"
            ) from error
        if not same:
            raise InputError(
                f"{self.checkpoint}: belongs to a training with other data or settings; "
                "remove it to start anew"
            )
        self.module.load_state_dict(stored["module"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.generator.set_state(stored["generator"])
        self.train_loss, self.validation_loss = stored["train_loss"], stored["validation_loss"]
        self.rates, self.best_epoch = stored["rates"], stored["best_epoch"]
        device = torch.device(self.settings.device)
        self.best = {name: value.to(device) for name, value in stored["best"].items()}
        self.average = {name: value.to(device) for name, value in stored["average"].items()}


def _error(
    projected: Tensor, target: Tensor, mask: Tensor | None, weights: Tensor | None
) -> Tensor:
    if mask is None:
        return weighted_mse(projected, target, weights, normalised=True)
    return masked_mse(projected, target, mask, weights)


def _apply(module: nn.Module, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Project x to the shape of y: an attention's rows are averaged where y has one."""
    if isinstance(module, AttentionProjector):
        tokens = x.unsqueeze(1) if x.dim() == 2 else x
        rows: Tensor = module(tokens, mask)
        return rows.mean(1) if y.dim() == 2 else rows
    out: Tensor = module(x)
    return out


def _config(
    kind: str, x: Tensor, y: Tensor, hidden_dim: int, num_heads: int, num_queries: int
) -> ProjectorConfig:
    in_dim, out_dim = x.shape[-1], y.shape[-1]
    if kind == "linear":
        return ProjectorConfig(kind, in_dim, out_dim)
    if kind == "mlp":
        return ProjectorConfig(kind, in_dim, out_dim, hidden_dim=hidden_dim)
    if kind == "attention":
        if in_dim % num_heads:
            raise InputError(f"{in_dim} features do not split in {num_heads} heads")
        queries = y.shape[1] if y.dim() == 3 else num_queries
        return ProjectorConfig(kind, in_dim, out_dim, num_queries=queries, num_heads=num_heads)
    raise InputError(f"kind {kind!r} is not trained by gradients (linear, mlp, attention are)")


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    wide = rows.double()
    std = wide.std(0, correction=1) if len(wide) > 1 else torch.ones_like(wide[0])
    return wide.mean(0).float(), std.clamp(min=STD_FLOOR).float()


def _cosine(done: int, total: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * done / total))


__all__ = [
    "SEED_RECIPE",
    "GradientFit",
    "GradientSettings",
    "fit_gradient",
    "masked_mse",
    "weighted_mse",
]
