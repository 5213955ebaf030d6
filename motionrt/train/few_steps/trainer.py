"""Teach the student: first each jump from where the teacher is, then all jumps in a row."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionrt.models.kimodo import Kimodo
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.train.default.checkpoint import NUM_BASE_STEPS
from motionrt.train.default.losses import LossWeights, MotionLoss, unnormalize
from motionrt.train.default.optimizers import make_optimizers
from motionrt.train.default.precision import Float32Linear, attention_backend
from motionrt.train.default.resumable import ResumableTrainer
from motionrt.train.few_steps.buffer import Buffer
from motionrt.train.few_steps.conditions import ConditionSource
from motionrt.train.few_steps.probes import Probes
from motionrt.train.few_steps.start import Start
from motionrt.train.few_steps.student import STUDENT_FILE, Student
from motionrt.train.few_steps.teacher import (
    Conditions,
    Teacher,
    predict,
    student_schedule,
    teacher_schedule,
)

STATE_FILE = "distilling.pt"
PROBES_FILE = "probes.pt"
MAX_ROUNDING_CM = 1.5
"""How far float16 may move the teacher's motions; beyond, it computes in float32."""
MAX_FEATURE = 100.0
"""In standard deviations; a motion beyond it is broken."""
_PARTS = ("root", "positions", "rotations", "velocities", "contacts")


@dataclass(frozen=True)
class DistillConfig:
    """What is distilled and how; a run is resumed with the same values, but for num_steps."""

    num_steps: int = 20_000
    student_steps: int = 4
    teacher_steps: int = 24
    """Of dpmpp-2m: 2.4 cm from all 1000 steps, where ddim's 50 are 9 cm."""
    batch_size: int = 32
    teacher_batch: int = 64
    reuse: float = 6.0
    """How often a way of the teacher is learnt from, on average."""
    buffer_size: int = 2048
    """Ways that are kept of each length."""
    constrained: float = 0.25
    """Share of ways that have constraints."""
    windows: tuple[float, ...] = (0.5, 0.75, 1.0)
    """Lengths to which motions are padded, of the longest; each is as likely, and holds motions
    from the length before on."""
    apart: float = 0.2
    """First part of the training, in which each jump begins where the teacher is; after it the
    student goes its own way, and is corrected at each stop."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 100
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    stops_weight: float = 0.3
    """What the stops on the way count, against the end."""
    distance_weight: float = 2.0
    """What the mean distance of joints counts, metres: what is measured in the end."""
    num_probes: int = 96
    """Held-out motions by which the student is measured."""
    probe_steps: int = 1000
    """Steps of ddim that they are measured against."""
    bfloat16: bool = True
    half_teacher: bool = True
    """Whether the teacher multiplies in float16."""
    seed: int = 0
    losses: LossWeights = field(default_factory=LossWeights)


class FewStepsTrainer(ResumableTrainer):
    """Teaches a copy of the teacher to take few steps in one branch."""

    model: Kimodo

    def __init__(
        self,
        start: Start,
        config: DistillConfig,
        folder: Path,
        device: torch.device,
        seconds: float | None = None,
        student: Student | None = None,
    ) -> None:
        """Go on from the state in the folder, else from a student, else from the teacher.

        CheckpointError if the state or the student does not fit.
        seconds limit the whole training, setting up and stops included; the learning rate then
        falls with the time.
        """
        self.began, self.seconds = time.monotonic(), seconds
        settings = {**asdict(config), "start": start.name}
        super().__init__(folder / STATE_FILE, settings, device, config.gradient_clip)
        self.spent = float((self.stored or {}).get("spent", 0.0))
        self.config, self.folder, self.start = config, folder, start
        self.layout = MotionFeatures(load_skeleton(start.skeleton), start.config.fps)
        self.jumps = student_schedule(config.student_steps)
        self.steps = teacher_schedule(config.teacher_steps, self.jumps)
        half = torch.float16 if config.half_teacher else torch.float32
        self.teacher = Teacher(self._network(), start.guidance, half)
        self.teacher.model.requires_grad_(False)
        model = self._network()
        if student is not None and self.stored is None:
            model.load_state_dict(student.model().state_dict())
        self.begin(model, make_optimizers(model, "muon", 0.0, config.weight_decay, bfloat16=False))
        self.loss = MotionLoss(self.layout, config.losses).to(device)
        num_held_out = max(1, len(start.prompts) // 50)
        self.held_out, taught = start.prompts[:num_held_out], start.prompts[num_held_out:]
        self.source = ConditionSource(taught, self.layout, self.generator)
        lengths = sorted({max(8, round(share * start.max_frames)) for share in config.windows})
        self.windows = list(zip([max(4, lengths[0] // 2), *lengths], lengths, strict=False))
        self.buffers = [Buffer(config.buffer_size) for _ in self.windows]
        self.credit = 0.0
        self.probes: Probes | None = None

    def is_done(self) -> bool:
        """Say whether all steps are taken, or the time is up."""
        return super().is_done() or (self.seconds is not None and self.elapsed() >= self.seconds)

    def elapsed(self) -> float:
        """Return the seconds since the training began, those of earlier runs included."""
        return self.spent + time.monotonic() - self.began

    def share_done(self) -> float:
        """Return how far the training is, 0 to 1."""
        done = self.step / self.config.num_steps
        if self.seconds is not None:
            done = max(done, self.elapsed() / self.seconds)
        return min(1.0, done)

    def rate(self) -> float:
        """Return the learning rate: a rise, then half a cosine down to nearly nothing."""
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * self.share_done()))
        return config.learning_rate * warm * (0.005 + 0.995 * cosine)

    def extra_state(self) -> dict[str, Any]:
        """Return the time that was spent."""
        return {"spent": self.elapsed()}

    def losses(self) -> dict[str, Tensor]:
        """Draw ways of the teacher and compare the student's jumps with them."""
        config = self.config
        while self.credit <= 0 or not all(buffer.size for buffer in self.buffers):
            made = self.make_ways()
            if made == 0:
                raise CheckpointError("the teacher's motions are broken: nothing to learn from")
            self.credit += config.reuse * made / config.batch_size
        self.credit -= 1
        chosen = torch.randint(len(self.buffers), (1,), generator=_host(self.step, config.seed))
        asked, states = self.buffers[int(chosen)].draw(config.batch_size, self.generator)
        together = self.share_done() >= config.apart
        with attention_backend(self.device):
            return self.row_losses(asked, states) if together else self.jump_losses(asked, states)

    @torch.no_grad()
    def make_ways(self) -> int:
        """Let the teacher make motions of one length, with and without constraints; count them."""
        config, source = self.config, self.source
        sizes = [buffer.size for buffer in self.buffers]
        chosen = int(torch.randint(len(sizes), (1,), generator=_host(self.step, config.seed + 7)))
        chosen = sizes.index(0) if 0 in sizes else chosen
        shortest, longest = self.windows[chosen]
        num_held = round(config.teacher_batch * config.constrained)
        asked = source.draw(config.teacher_batch - num_held, shortest, longest)
        asked, states = self.way(asked)
        self.buffers[chosen].add(asked, states)
        count = len(states)
        if num_held:
            part = _chosen(asked, slice(num_held))
            held, states = self.way(source.constrain(part, states[:num_held, -1]))
            self.buffers[chosen].add(held, states)
            count += len(states)
        return count

    def way(self, asked: Conditions) -> tuple[Conditions, Tensor]:
        """Let the teacher go from new noise to the end, (B, K + 1, T, D); what breaks is left out.

        One motion that is not finite would be the end of a training.
        """
        noise = self.source.noise(*asked.observed.shape)
        states = self.teacher.run(noise, asked, self.steps, self.jumps)
        whole = states.abs().flatten(1).amax(1) < MAX_FEATURE
        return _chosen(asked, whole), states[whole]

    def jump_losses(self, asked: Conditions, states: Tensor) -> dict[str, Tensor]:
        """Take every jump from where the teacher is."""
        count, num_jumps = len(states), len(self.jumps.timesteps)
        x, after = (part.transpose(0, 1).flatten(0, 1) for part in (states[:, :-1], states[:, 1:]))
        a, b = (self._column(index, count) for index in (0, 1))
        target = (after - a * x) / b
        timesteps = torch.from_numpy(self.jumps.timesteps).to(self.device)
        x0 = self._predict(x, timesteps.repeat_interleave(count), _repeated(asked, num_jumps))
        parts, wanted = x0.chunk(num_jumps), target.chunk(num_jumps)
        # The last jump is short: the one before it ends where a motion is nearly whole.
        last = max(0, num_jumps - 2)
        stops = [self.feature_loss(p, w, asked) for p, w in zip(parts, wanted, strict=True)]
        return self._total(stops, parts[last], wanted[last], asked)

    def row_losses(self, asked: Conditions, states: Tensor) -> dict[str, Tensor]:
        """Take all jumps in a row from the noise; each is asked to come back to the teacher."""
        x = states[:, 0]
        stops = []
        x0 = x
        for number, (timestep, (a, b, _)) in enumerate(
            zip(self.jumps.timesteps, self.jumps.coefficients, strict=True)
        ):
            a, b = float(a), float(b)
            wanted = (states[:, number + 1] - a * x.detach()) / b
            timesteps = torch.full((len(x),), int(timestep), device=self.device)
            x0 = self._predict(x, timesteps, asked)
            if number + 1 < len(self.jumps.timesteps):
                stops.append(self.feature_loss(x0, wanted, asked))
            x = a * x + b * x0
        return self._total(stops, x, states[:, -1], asked)

    def feature_loss(self, x0: Tensor, wanted: Tensor, asked: Conditions) -> Tensor:
        """Return the weighted mean square of (B, T, D) over the blocks of features."""
        mask = asked.frame_mask.unsqueeze(-1)
        squared = (x0 - wanted).square() * mask
        names = dict(zip(_PARTS[1:], ("local_joints_positions", "global_rot_data", "velocities",
                                      "foot_contacts"), strict=True))  # fmt: skip
        weights, frames = self.config.losses, mask.sum()
        total = squared[..., :5].sum() / (5 * frames) * weights.root
        for part, block in names.items():
            values = squared[..., self.layout.slices[block]]
            total = total + values.sum() / (values.shape[-1] * frames) * getattr(weights, part)
        return total

    def _total(
        self, stops: list[Tensor], motion: Tensor, wanted: Tensor, asked: Conditions
    ) -> dict[str, Tensor]:
        signal = torch.ones(len(motion), device=self.device)
        end = self.loss(self.model, motion, wanted, asked.frame_mask, signal, asked.motion_mask)
        off = self.joints(motion) - self.joints(wanted)
        mask = asked.frame_mask.unsqueeze(-1)
        length = (off.square().sum(-1) + 1e-6).sqrt() * mask
        distance = length.sum() / (mask.sum() * length.shape[-1])
        way = torch.stack(stops).mean() if stops else torch.zeros_like(distance)
        weights = self.config
        total = end["total"] + weights.stops_weight * way + weights.distance_weight * distance
        return {
            "total": total,
            "stops": way,
            "end": end["total"],
            "cm": 100 * distance,
            **{name: end[name] for name in ("root", "positions", "standing_feet", "held_joints")},
        }

    def joints(self, motion: Tensor) -> Tensor:
        """Pose the skeleton: normalised (B, T, D) to joints (B, T, J, 3), metres."""
        return self.loss.joints(unnormalize(self.model, motion))

    @torch.no_grad()
    def sample(self, model: Kimodo, noise: Tensor, asked: Conditions) -> Tensor:
        """Take the jumps with a student, (B, T, D) normalised, in full precision."""
        x = noise
        for timestep, (a, b, _) in zip(self.jumps.timesteps, self.jumps.coefficients, strict=True):
            timesteps = torch.full((len(x),), int(timestep), device=self.device)
            x = float(a) * x + float(b) * predict(model, x, timesteps, asked)
        return x

    def averaged(self) -> Kimodo:
        """Return a network with the averaged weights."""
        model = self._network()
        model.load_state_dict(self.ema)
        return model

    @torch.no_grad()
    def make_probes(self) -> Probes:
        """Let the teacher take all steps of held-out motions, once for all runs in the folder."""
        config = self.config
        drawn = (config.num_probes, config.probe_steps, config.constrained, config.teacher_steps)
        name = f"{self.start.name} {drawn} {config.seed} {config.student_steps}"
        path = self.folder / PROBES_FILE
        probes = Probes.load(path, self.device)
        if probes is None or probes.name != name:
            asked, noise = self._held_out()
            probes = self._measured(name, asked, noise)
            self.folder.mkdir(parents=True, exist_ok=True)
            probes.save(path)
        if not probes.distances["rounded"] < MAX_ROUNDING_CM:  # not a number is no less
            self.teacher.precision = torch.float32
        return probes

    def _held_out(self) -> tuple[Conditions, Tensor]:
        """Draw conditions of held-out prompts, the first ones with constraints; and noise."""
        config = self.config
        generator = torch.Generator(self.device).manual_seed(config.seed + 1234)
        source = ConditionSource(self.held_out, self.layout, generator)
        teacher = Teacher(self.teacher.model, self.start.guidance)
        frames = max(8, round(5 / 6 * self.start.max_frames))
        asked = source.draw(config.num_probes, frames, frames)
        num_held = round(config.num_probes * config.constrained)
        noise = source.noise(*asked.observed.shape)
        quick = cosine_schedule(NUM_BASE_STEPS, min(20, config.probe_steps), "dpmpp-2m")
        held = source.constrain(asked, teacher.run(noise, asked, quick, self.jumps)[:, -1])
        first = torch.arange(config.num_probes, device=self.device) < num_held
        asked = Conditions(
            torch.where(first[:, None, None], held.text, asked.text),
            asked.first_heading_rad,
            asked.frame_mask,
            held.motion_mask * first[:, None, None],
            held.observed * first[:, None, None],
        )
        return asked, source.noise(*asked.observed.shape)

    def _measured(self, name: str, asked: Conditions, noise: Tensor) -> Probes:
        """Sample the teacher in full precision with all steps, and in the other ways."""
        config = self.config
        teacher = Teacher(self.teacher.model, self.start.guidance)

        def ends(solver: str, steps: int) -> Tensor:
            table = cosine_schedule(NUM_BASE_STEPS, min(steps, config.probe_steps), solver)
            return self.joints(teacher.run(noise, asked, table, self.jumps)[:, -1])

        joints = ends("ddim", config.probe_steps)
        whole = self.joints(teacher.run(noise, asked, self.steps, self.jumps)[:, -1])
        made = self.joints(self.teacher.run(noise, asked, self.steps, self.jumps)[:, -1])
        distances = {
            "ddim 50": _mean_cm(ends("ddim", 50), joints),
            "dpmpp-2m 12": _mean_cm(ends("dpmpp-2m", 12), joints),
            "taught": _mean_cm(made, joints),
            "rounded": _mean_cm(made, whole),
        }
        return Probes(name, asked, noise, joints, distances)

    @torch.no_grad()
    def probe(self) -> dict[str, float]:
        """Measure the averaged student on the held-out motions, cm."""
        if self.probes is None:
            self.probes = self.make_probes()
        probes = self.probes
        joints = self.joints(self.sample(self.averaged(), probes.noise, probes.asked))
        held = probes.asked.motion_mask.flatten(1).any(1)
        found = {"student": _mean_cm(joints, probes.joints)}
        for name, rows in (("free", ~held), ("held", held)):
            if bool(rows.any()):
                found[name] = _mean_cm(joints[rows], probes.joints[rows])
        return found

    def save(self) -> None:
        """Write the averaged student, small enough to be passed on, and last the state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        Student(self.start, self.config.student_steps, self.ema).save(self.folder / STUDENT_FILE)
        super().save()

    def _predict(self, x: Tensor, timesteps: Tensor, asked: Conditions) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            return predict(self.model, x, timesteps, asked)

    def _column(self, index: int, count: int) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(self.jumps.coefficients[:, index]))
        return values.to(self.device).repeat_interleave(count)[:, None, None]

    def _network(self) -> Kimodo:
        model = self.start.model().to(self.device)
        for stage in (model.root_model, model.body_model):
            # The root's path is differenced at the frame rate: bfloat16 would be noise there.
            stage.output_linear.__class__ = Float32Linear
        return model


def _chosen(asked: Conditions, rows: slice | Tensor) -> Conditions:
    return Conditions(*(getattr(asked, name)[rows] for name in Conditions.__dataclass_fields__))


def _repeated(asked: Conditions, times: int) -> Conditions:
    rows: Mapping[str, Tensor] = {
        name: getattr(asked, name) for name in Conditions.__dataclass_fields__
    }
    return Conditions(*(rows[name].repeat(times, *(1,) * (rows[name].ndim - 1)) for name in rows))


def _mean_cm(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm(dim=-1).mean()) * 100


def _host(step: int, seed: int) -> torch.Generator:
    """Draw on the host what chooses shapes, so that the device is not waited for."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)
