"""Whole clips of everything that ARDY can be asked for, from prompts to finished motions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.ardy.constraints import conditions_of, correction_targets
from motionrt.runtime.ardy.model import ArdyModel
from motionrt.runtime.ardy.network import OnStep
from motionrt.runtime.ardy.options import ArdyOptions
from motionrt.runtime.ardy.rollout import roll_out
from motionrt.runtime.ardy.streaming import Settings, Stream, corrected
from motionrt.runtime.body.heading import checked_headings
from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import (
    ROOT_MARGIN_M,
    checked_margin,
    correct_motion,
)
from motionrt.runtime.constraints.files import (
    constraints_from,
    find_doubts,
    in_one_line,
)
from motionrt.runtime.constraints.kinds import Constraint, check_frames, crop_constraints
from motionrt.runtime.errors import InputError
from motionrt.runtime.options import either
from motionrt.runtime.pipeline import Progress
from motionrt.runtime.request import Request
from motionrt.runtime.sampling.noise import TorchGenerator

Floats = NDArray[np.float32]


class Generation:
    """One request, its options settled."""

    def __init__(
        self,
        model: ArdyModel,
        request: Request,
        lengths: Sequence[int],
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Settle what is asked for; InputError for a value that does not fit.

        lengths are the frames of each prompt; motion files in the options are read by now.
        """
        options = cast(ArdyOptions, request.options)
        self.model, self.skeleton = model, model.skeleton
        self.prompts, self.num_samples = list(request.prompts), request.num_samples
        self.progress, self.seed = progress, seed
        self.generator = TorchGenerator(seed)
        self.num_steps = check_steps(
            either(options.get("num_steps"), model.sizes.num_steps), model.sizes.num_base_steps
        )
        self.guidance = model.settle_guidance(
            options.get("guidance_type"), options.get("guidance_weights")
        )
        self.heading = checked_headings(either(options.get("first_heading_rad"), 0.0))
        self.constraints = self._constraints(options.get("constraints"))
        self.history = either(options.get("history_frames"), model.default_history)
        self.correct = either(options.get("postprocess"), self.skeleton.corrected)
        self.root_margin = checked_margin(either(options.get("root_margin"), ROOT_MARGIN_M))
        size = model.sizes.frames_per_token
        if self.history < size or self.history % size:
            raise InputError(
                f"{self.history} frames of history: must be a positive multiple of {size}"
            )
        self.notes: list[str] = []
        self.clip = self._clip(options.get("continue_from"))
        self.lengths = list(lengths)
        before = 0 if self.clip is None else self.clip.num_frames
        for count in self.lengths:
            check_frames(self.constraints, before + count)

    def _constraints(self, given: Any) -> list[Constraint]:
        if given is None:
            return []
        if not self.model.sizes.takes_constraints:
            raise InputError(f"{self.model.manifest.name} takes no constraints")
        return constraints_from(given, self.skeleton)

    def _clip(self, given: Any) -> Motion | None:
        """Return the clip that is continued, at the model's frame rate."""
        if given is None:
            return None
        if not isinstance(given, Motion):  # files are read by now
            raise InputError(f"continue_from is {type(given).__name__}, no motion or its file")
        if np.any(self.heading):
            raise InputError("a clip that is continued has a heading already; give no first one")
        clip, note = self.model.fitted_clip(given)
        self.notes += note
        return clip

    def run(self) -> list[Motion]:
        """Generate a motion for each prompt and sample, in one go."""
        rows = [(i, sample) for i in range(len(self.prompts)) for sample in range(self.num_samples)]
        counts = [self.lengths[i] for i, _ in rows]
        start = (0, np.zeros(2, np.float32))
        if self.clip is not None:
            start = (self.clip.num_frames - 1, self.clip.root_positions[-1, ::2])
        doubts = in_one_line(find_doubts(self.constraints, self.skeleton, self.model.fps, start))
        if self.progress is not None:
            self.progress("encoding text", 0, 1)
        text = self.model.embed([self.prompts[i] for i, _ in rows])
        infos = [self._info(self.prompts[i], sample) for i, sample in rows]
        if self.clip is not None:
            motions = [
                self._continued(text.rows([row]), count, info)
                for row, (count, info) in enumerate(zip(counts, infos, strict=True))
            ]
        else:
            heading = np.broadcast_to(self.heading, (len(rows),))
            features = roll_out(
                self.model.network,
                text,
                lambda _: self.model.noise(self.generator, len(rows)),
                num_frames=max(counts),
                lengths=counts,
                guidance=self.guidance,
                num_steps=self.num_steps,
                first_heading_rad=heading,
                conditions=conditions_of(
                    [self.constraints] * len(rows), self.model.features, max(counts)
                ),
                crop_history=self.history,
                on_step=self._told,
            )
            motions = [
                self._finished(clip[:count], info)
                for clip, count, info in zip(features, counts, infos, strict=True)
            ]
        for motion in motions:
            motion.warnings += doubts
            motion.notes += self.notes
        return motions

    def _told(self, window: int, windows: int) -> OnStep | None:
        """Return what tells of a window's steps."""
        if self.progress is None:
            return None
        progress, steps = self.progress, self.num_steps

        def tell(done: int, x: Floats, x0: Floats) -> None:
            progress("denoising", window * steps + done, windows * steps)

        return tell

    def _finished(self, features: Floats, info: dict[str, Any]) -> Motion:
        """Turn normalised features (T, D) into a motion and clean it up."""
        motion = self.model.to_motion(features, info)
        if not self.correct:
            return motion
        assert motion.foot_contacts is not None
        local, root = correct_motion(
            self.skeleton,
            motion.local_rot_mats,
            motion.root_positions,
            motion.foot_contacts,
            correction_targets(self.constraints, self.skeleton, motion.num_frames),
            self.root_margin,
        )
        return Motion.from_local(
            local,
            root,
            self.skeleton,
            self.model.fps,
            foot_contacts=motion.foot_contacts,
            smooth_root_pos=motion.smooth_root_pos,
            global_root_heading=motion.global_root_heading,
            info=info,
        )

    def _continued(self, text: Any, count: int, info: dict[str, Any]) -> Motion:
        """Go on from a clip as a stream does: window by window behind its frames."""
        clip, model = self.clip, self.model
        assert clip is not None
        before = clip.num_frames
        stream = Stream(model.network, model.fps)
        stream.buffer.features = model.features.normalize(
            model.features.encode(clip.local_rot_mats, clip.root_positions)
        )
        sizes = model.sizes
        settings = Settings(
            guidance=self.guidance,
            num_steps=self.num_steps,
            replan_frames=0,
            history_frames=min(self.history, max(sizes.longest_history(model.fps), 1)),
            future_frames=sizes.window_frames(model.fps),
        )
        windows = -(-count // sizes.horizon)
        for index in range(windows):
            stream.step(
                stream.buffer.end - 1,
                text,
                model.noise(self.generator, 1),
                self.constraints,
                settings,
                self._told(index, windows),
            )
        new = stream.buffer.features[before : before + count]
        if self.correct:
            inside = crop_constraints(self.constraints, before, before + count)
            new = corrected(model.features, new, inside, self.root_margin)
        info["continued_frames"] = before
        return joined(clip, model.to_motion(new, info))

    def _info(self, prompt: str, sample: int) -> dict[str, Any]:
        manifest = self.model.manifest
        return {
            "prompt": prompt,
            "seed": self.seed,
            "sample": sample,
            "model": manifest.name,
            "family": manifest.family,
            "backend": self.model.backend.name,
            "num_steps": self.num_steps,
            "history_frames": self.history,
            "guidance_type": self.guidance.mode,
            "guidance_weights": list(self.guidance.weights),
            "num_constraints": len(self.constraints),
            "postprocess": bool(self.correct),
        }


def check_steps(steps: int, most: int) -> int:
    """Return a number of denoising steps; InputError if the model has not so many."""
    if not 1 <= steps <= most:
        raise InputError(f"{steps} diffusion steps: must be from 1 to {most}")
    return steps
