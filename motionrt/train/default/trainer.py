"""Train the denoiser: resumable at any step, deterministic by seed."""

from __future__ import annotations

import csv
import math
import os
import signal as signals
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.schedule import alphas_cumprod, cosine_betas
from motionrt.train.default.batches import Batch, BatchSource
from motionrt.train.default.checkpoint import NUM_BASE_STEPS, STATS_PARTS, write_kimodo_checkpoint
from motionrt.train.default.losses import LossWeights, MotionLoss, normalize

STATE_FILE = "training.pt"
LOSSES_FILE = "losses.csv"
PLOT_FILE = "losses.png"
DENOISER_FOLDER = "denoiser"


@dataclass(frozen=True)
class TrainConfig:
    """What is trained and how; a run is resumed with the same values, but for num_steps."""

    num_steps: int = 60_000
    latent_dim: int = 256
    ff_size: int = 768
    num_layers: int = 4
    num_heads: int = 4
    learning_rate: float = 1e-3
    optimizer: str = "adamw"
    """``adamw``, or ``muon`` for the matrices of the transformer layers."""
    weight_decay: float = 0.01
    warmup_steps: int = 300
    decay_share: float = 0.35
    """Last part of the steps, over which the rate falls to nearly nothing."""
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    uniform_timesteps: float = 0.3
    """Share of timesteps drawn evenly; the others are logit-normal."""
    timestep_center: float = 1.2
    """Logit of their median: 1.2 is step 770 of 1000. What a motion does and when is settled where
    noise is strong, since all of a moment's features tell of it together; around the middle (0)
    blows and turns were learnt as their mean."""
    timestep_spread: float = 1.2
    bfloat16: bool = True
    seed: int = 0
    losses: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    num_steps: int
    losses: dict[str, float]
    """Means since the last report."""
    seconds_per_step: float


class Float32Linear(nn.Linear):
    """A linear map that keeps full precision under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class Trainer:
    """Holds everything that a resumed run needs, and nothing else."""

    def __init__(
        self,
        source: BatchSource,
        text_width: int,
        config: TrainConfig,
        folder: Path,
        compiled: bool = False,
    ) -> None:
        """Start afresh, or from the state in the folder; CheckpointError if it does not fit."""
        self.source, self.config, self.folder = source, config, folder
        self.device = source.device
        torch.manual_seed(config.seed)
        self.generator = torch.Generator(self.device).manual_seed(config.seed + 1)
        skeleton = source.layout.skeleton
        self.model_config = KimodoConfig(
            num_joints=skeleton.num_joints,
            fps=source.layout.fps,
            text_width=text_width,
            num_text_tokens=1,
            latent_dim=config.latent_dim,
            ff_size=config.ff_size,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            norm_first=True,
        )
        state = self._stored_state()
        self.stats = MotionStats(**state["stats"]) if state else measure_stats(source, config.seed)
        self.model = Kimodo(self.model_config, self.stats).to(self.device)
        for stage in (self.model.root_model, self.model.body_model):
            # The root's path is differenced at the frame rate: bfloat16 would be noise there.
            stage.output_linear.__class__ = Float32Linear
        self.ema = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimizers = make_optimizers(self.model, config)
        self.loss = MotionLoss(source.layout, config.losses).to(self.device)
        alphas = alphas_cumprod(cosine_betas(NUM_BASE_STEPS))
        self.alphas = torch.from_numpy(np.asarray(alphas)).float().to(self.device)
        self.step = 0
        if state:
            self._continue_from(state)
        self.compare: Callable[..., dict[str, Tensor]] = self._compare
        if compiled:
            # One graph for each window length: there are few, and fixed shapes fuse best.
            self.compare = torch.compile(self._compare, dynamic=False)

    def train(
        self,
        report: Callable[[Progress], None],
        report_every: int = 50,
        save_seconds: float = 240.0,
    ) -> bool:
        """Run to the last step, saving on the way; False if a signal asked to stop before."""
        sums: dict[str, Tensor] = {}
        count = 0
        since, saved = time.monotonic(), time.monotonic()
        with stop_flag() as stop:
            while self.step < self.config.num_steps:
                for name, value in self.train_step().items():
                    sums[name] = sums[name] + value if name in sums else value
                count += 1
                stopping = stop.is_set
                last = self.step == self.config.num_steps
                if self.step % report_every == 0 or last:
                    losses = {name: float(value) / count for name, value in sums.items()}
                    pace = (time.monotonic() - since) / count
                    self._log(losses)
                    report(Progress(self.step, self.config.num_steps, losses, pace))
                    sums, count, since = {}, 0, time.monotonic()
                if stopping or last or time.monotonic() - saved > save_seconds:
                    self.save()
                    saved = time.monotonic()
                if stopping and not last:
                    return False
        return True

    def train_step(self) -> dict[str, Tensor]:
        """Take one optimiser step; returns the parts of the loss."""
        rate = self._rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        losses = self.losses()
        torch.autograd.backward(losses["total"])
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            averages = list(self.ema.values())
            torch._foreach_lerp_(averages, list(self.model.parameters()), 1 - decay)
        return {name: value.detach() for name, value in losses.items()}

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and compare the prediction with the truth."""
        batch = self.source.draw(self.generator)
        target = normalize(self.model, batch.motion)
        timesteps = self._timesteps(len(target))
        noise = torch.randn(target.shape, generator=self.generator, device=self.device)
        alpha = self.alphas[timesteps][:, None, None]
        noisy = alpha.sqrt() * target + (1 - alpha).sqrt() * noise
        with attention_backend(self.device):
            return self.compare(noisy, target, batch, timesteps, alpha[:, 0, 0])

    def _compare(
        self, noisy: Tensor, target: Tensor, batch: Batch, timesteps: Tensor, signal: Tensor
    ) -> dict[str, Tensor]:
        text_mask = torch.ones(batch.text.shape[:2], dtype=torch.bool, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            predicted = self.model(
                noisy,
                batch.frame_mask,
                batch.text,
                text_mask,
                timesteps,
                batch.first_heading_rad,
                batch.motion_mask,
                target * batch.motion_mask,
            )
        losses: dict[str, Tensor] = self.loss(
            self.model, predicted.float(), target, batch.frame_mask, signal
        )
        return losses

    def save(self) -> None:
        """Write the state, the averaged weights as a checkpoint directory and the plot."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "config": asdict(self.config),
            "model_config": asdict(self.model_config),
            "stats": {name: getattr(self.stats, name) for name in STATS_PARTS},
        }
        with atomic_file(self.folder / STATE_FILE) as temporary:
            torch.save(state, temporary)
        place = self.folder / DENOISER_FOLDER
        write_kimodo_checkpoint(place, self.model_config, self.stats, self.ema)
        plot_losses(self.folder)

    def _stored_state(self) -> dict[str, Any] | None:
        """Read the folder's state, if there is one and it is of this configuration."""
        path = self.folder / STATE_FILE
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        ours, stored = asdict(self.config), state["config"]
        changed = [name for name in ours if name != "num_steps" and stored.get(name) != ours[name]]
        if changed:
            raise CheckpointError(
                f"{path}: was trained with another {', '.join(changed)}; give the same values "
                "or another --work folder"
            )
        return state

    def _continue_from(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        for name, value in state["ema"].items():
            self.ema[name].copy_(value)
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.generator.set_state(state["generator"].cpu())

    def _rate(self) -> float:
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        decay_steps = max(1, int(config.num_steps * config.decay_share))
        left = min(1.0, (config.num_steps - self.step) / decay_steps)
        return config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 - math.cos(math.pi * left)))

    def _timesteps(self, count: int) -> Tensor:
        config, device = self.config, self.device
        normal = torch.randn(count, generator=self.generator, device=device)
        uniform = torch.rand(2, count, generator=self.generator, device=device)
        middle = torch.sigmoid(config.timestep_center + config.timestep_spread * normal)
        share = torch.where(uniform[0] < config.uniform_timesteps, uniform[1], middle)
        return (share * NUM_BASE_STEPS).long().clamp(0, NUM_BASE_STEPS - 1)

    def _log(self, losses: dict[str, float]) -> None:
        path = self.folder / LOSSES_FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_losses(self.folder) if row["step"] < self.step]
        # A resumed run repeats the steps after its last save: their old rows go.
        if not path.is_file() or _num_rows(path) != len(rows):
            with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["step", *losses])
                writer.writeheader()
                writer.writerows(rows)
        with path.open("a", newline="") as file:
            values = {name: f"{value:.6g}" for name, value in losses.items()}
            csv.DictWriter(file, ["step", *losses]).writerow({"step": self.step, **values})


def read_averaged(folder: Path, device: torch.device | str = "cpu") -> Kimodo:
    """Read the averaged weights of a training, finished or not; CheckpointError if there is none.

    Unlike the checkpoint directory's reader this needs no more than torch.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no training here")
    state = torch.load(path, map_location=device, weights_only=True)
    model = Kimodo(KimodoConfig(**state["model_config"]), MotionStats(**state["stats"]))
    model.load_state_dict(state["ema"])
    return model.to(device).eval()


def attention_backend(device: torch.device) -> AbstractContextManager[None]:
    """Choose how attention is computed while training.

    On CPUs plain products: torch's fused kernel takes three times as long backwards.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def measure_stats(source: BatchSource, seed: int, num_samples: int = 4096) -> MotionStats:
    """Measure mean and standard deviation on random crops.

    A feature that hardly varies within its block (positions, rotations …) is given a larger
    deviation, half way (in the logarithm) to that of the block: noise would drown it last.
    """
    generator = torch.Generator(source.device).manual_seed(seed + 2)
    frames: list[Tensor] = []
    local: list[Tensor] = []
    fps = source.layout.fps
    for _ in range(num_samples // 256):
        batch = source.draw(generator, 256)
        frames.append(batch.motion[batch.frame_mask][::3])
        motion, valid = batch.motion, batch.frame_mask[:, 1:]
        heading = torch.atan2(motion[..., 4], motion[..., 3])
        turn = heading[:, 1:] - heading[:, :-1]
        turn = torch.atan2(turn.sin(), turn.cos())
        shift = motion[:, 1:, :3] - motion[:, :-1, :3]
        rates = torch.stack((turn * fps, shift[..., 0] * fps, shift[..., 2] * fps), dim=-1)
        local.append(torch.cat((rates, motion[:, 1:, 1:2]), dim=-1)[valid])
    values = torch.cat(frames).double()
    mean, std = values.mean(0), values.std(0)
    slices = source.layout.slices
    for name in ("local_joints_positions", "global_rot_data", "velocities"):
        block = std[slices[name]]
        std[slices[name]] = (block * block.square().mean().sqrt()).sqrt()
    root = slices["smooth_root_pos"]
    std[root.start] = std[root.stop - 1] = std[[root.start, root.stop - 1]].square().mean().sqrt()
    std = std.clamp(min=0.02)
    rates_all = torch.cat(local).double()
    local_stats = (rates_all.mean(0).float().cpu(), rates_all.std(0).clamp(min=0.02).float().cpu())
    mean, std = mean.float().cpu(), std.float().cpu()
    return MotionStats((mean[:5], std[:5]), local_stats, (mean[5:], std[5:]))


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Make AdamW for everything, or Muon for the layers' matrices and AdamW for the rest."""
    parameters = dict(model.named_parameters())
    matrices = [p for name, p in parameters.items() if ".layers." in name and p.ndim == 2]
    chosen = {id(p) for p in matrices} if config.optimizer == "muon" else set()
    rest = [p for p in parameters.values() if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim == 2]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim != 2], "weight_decay": 0.0},
    ]
    result: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
    ]
    if config.optimizer == "muon":
        result.append(
            torch.optim.Muon(
                matrices,
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    elif config.optimizer != "adamw":
        raise CheckpointError(f"optimizer {config.optimizer!r}: there are adamw and muon")
    return result


def read_losses(folder: Path) -> list[dict[str, float]]:
    """Read the logged losses, oldest first; none if there is no log."""
    path = folder / LOSSES_FILE
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def plot_losses(folder: Path) -> None:
    """Draw the logged losses; without matplotlib, or without a log, nothing is drawn."""
    rows = read_losses(folder)
    if len(rows) < 2:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 5))
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    for name in rows[0]:
        if name != "step":
            axes.plot(steps, [row[name] for row in rows], label=name, linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    with atomic_file(folder / PLOT_FILE) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def lower_priority() -> None:
    """Let everything else on the machine go first, where the system allows it."""
    if hasattr(os, "nice"):
        os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:
            pass


def _num_rows(path: Path) -> int:
    with path.open() as file:
        return sum(1 for _ in file) - 1


class Flag:
    """Says whether a signal asked to stop."""

    is_set = False


@contextmanager
def stop_flag() -> Iterator[Flag]:
    """Yield a flag that SIGTERM and SIGINT set; their handlers return afterwards."""
    flag = Flag()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        flag.is_set = True

    numbers = (signals.SIGTERM, signals.SIGINT)
    before: Iterable[Any] = [signals.signal(number, handle) for number in numbers]
    try:
        yield flag
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signals.signal(number, handler)
