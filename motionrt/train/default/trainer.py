"""Train the denoiser: resumable at any step, deterministic by seed."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.sampling.schedule import alphas_cumprod, cosine_betas
from motionrt.train.default.batches import Batch, BatchSource
from motionrt.train.default.checkpoint import NUM_BASE_STEPS, STATS_PARTS, write_kimodo_checkpoint
from motionrt.train.default.initialization import separate_held_features
from motionrt.train.default.losses import LossWeights, MotionLoss, normalize
from motionrt.train.default.optimizers import make_optimizers
from motionrt.train.default.precision import Float32Linear, attention_backend
from motionrt.train.default.resumable import Progress, ResumableTrainer, read_state

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
    constrained_timestep_center: float = 3.0
    """The same for samples with a constraint, 3 is step 950: only where noise hides the motion is a
    constraint needed, and with the others' steps a model learns to do without it."""
    bfloat16: bool = True
    """Compute in bfloat16 what bears it: far slower where the processor has none."""
    seed: int = 0
    losses: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class Start:
    """Weights to go on from, of a model of the same sizes."""

    name: str
    """Tells whether a state in the folder began from the same."""
    weights: Mapping[str, Tensor]
    stats: MotionStats


class Trainer(ResumableTrainer):
    """Fits a denoiser to windows of motion and their captions."""

    model: Kimodo

    def __init__(
        self,
        source: BatchSource,
        text_width: int,
        config: TrainConfig,
        folder: Path,
        compiled: bool = False,
        start: Start | None = None,
    ) -> None:
        """Start afresh, from given weights, or from the state in the folder.

        CheckpointError if the state does not fit.
        """
        settings = {**asdict(config), **({"start": start.name} if start else {})}
        super().__init__(folder / STATE_FILE, settings, source.device, config.gradient_clip)
        self.source, self.config, self.folder = source, config, folder
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
            keep_held_root=True,
        )
        if self.stored:
            self.stats = MotionStats(**self.stored["stats"])
        elif start:
            self.stats = start.stats
        else:
            self.stats = measure_stats(source, config.seed)
        model = Kimodo(self.model_config, self.stats).to(self.device)
        if start:
            model.load_state_dict(start.weights)
        else:
            separate_held_features(model)
        for stage in (model.root_model, model.body_model):
            # The root's path is differenced at the frame rate: bfloat16 would be noise there.
            stage.output_linear.__class__ = Float32Linear
        optimizers = make_optimizers(
            model, config.optimizer, config.learning_rate, config.weight_decay, config.bfloat16
        )
        self.begin(model, optimizers)
        self.loss = MotionLoss(source.layout, config.losses).to(self.device)
        alphas = alphas_cumprod(cosine_betas(NUM_BASE_STEPS))
        self.alphas = torch.from_numpy(np.asarray(alphas)).float().to(self.device)
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
        """Run to the last step; every report is also a row of the table of losses."""

        def log_and_report(progress: Progress) -> None:
            self._log(progress.losses)
            report(progress)

        return super().train(log_and_report, report_every, save_seconds)

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and compare the prediction with the truth."""
        batch = self.source.draw(self.generator)
        target = normalize(self.model, batch.motion)
        timesteps = self._timesteps(batch.motion_mask.any(2).any(1))
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
            self.model, predicted.float(), target, batch.frame_mask, signal, batch.motion_mask
        )
        return losses

    def save(self) -> None:
        """Write the averaged weights as a checkpoint directory, the plot and, last, the state.

        A run that is killed between them then goes on from the older state and writes all again.
        """
        place = self.folder / DENOISER_FOLDER
        write_kimodo_checkpoint(place, self.model_config, self.stats, self.ema)
        plot_losses(self.folder)
        super().save()

    def extra_state(self) -> dict[str, Any]:
        """Return the sizes and the statistics, without which the weights mean nothing."""
        return {
            "model_config": asdict(self.model_config),
            "stats": {name: getattr(self.stats, name) for name in STATS_PARTS},
        }

    def rate(self) -> float:
        """Return the learning rate: a rise, a long plateau, half a cosine down."""
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        decay_steps = max(1, int(config.num_steps * config.decay_share))
        left = min(1.0, (config.num_steps - self.step) / decay_steps)
        return config.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 - math.cos(math.pi * left)))

    def _timesteps(self, constrained: Tensor) -> Tensor:
        config, device, count = self.config, self.device, len(constrained)
        normal = torch.randn(count, generator=self.generator, device=device)
        uniform = torch.rand(2, count, generator=self.generator, device=device)
        center = torch.where(
            constrained, config.constrained_timestep_center, config.timestep_center
        )
        middle = torch.sigmoid(center + config.timestep_spread * normal)
        share = torch.where(uniform[0] < config.uniform_timesteps, uniform[1], middle)
        return (share * NUM_BASE_STEPS).long().clamp(0, NUM_BASE_STEPS - 1)

    def _log(self, losses: Mapping[str, float]) -> None:
        path = self.folder / LOSSES_FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_losses(self.folder) if row["step"] < self.step]
        # A resumed run repeats the steps after its last save: their old rows go.
        if not path.is_file() or _num_lines(path) != len(rows) + 1:
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
    state = read_state(folder / STATE_FILE, device)
    if state is None:
        raise CheckpointError(f"{folder / STATE_FILE}: no training here")
    model = Kimodo(KimodoConfig(**state["model_config"]), MotionStats(**state["stats"]))
    model.load_state_dict(state["ema"])
    return model.to(device).eval()


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


def read_losses(folder: Path) -> list[dict[str, float]]:
    """Read the logged losses, oldest first; none if there is no log.

    What follows a line that was cut off, as a killed run leaves it, is not read.
    """
    path = folder / LOSSES_FILE
    if not path.is_file():
        return []
    content = path.read_text("utf-8", errors="replace")
    rows = []
    for row in csv.DictReader(content[: content.rfind("\n") + 1].splitlines()):
        try:
            rows.append({name: float(value) for name, value in row.items()})
        except (TypeError, ValueError):
            break
    return rows


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


def _num_lines(path: Path) -> int:
    """Count lines; one that was cut off makes the count wrong, so that the file is written anew."""
    content = path.read_bytes()
    return content.count(b"\n") + (0 if content.endswith(b"\n") else 1)
