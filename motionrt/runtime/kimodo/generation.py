"""Everything that Kimodo can be asked for, from prompts to finished motions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import checked_headings
from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import (
    ROOT_MARGIN_M,
    checked_margin,
    correct_motion,
)
from motionrt.runtime.body.resample import resample
from motionrt.runtime.constraints.files import (
    constraints_from,
    find_doubts,
    in_one_line,
)
from motionrt.runtime.constraints.kinds import (
    Constraint,
    FullBody,
    check_frames,
    crop_constraints,
)
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.chaining import ends_of_parts, part_lengths, waypoints_between
from motionrt.runtime.kimodo.compat import resolve_compat
from motionrt.runtime.kimodo.constraints import conditioning, correction_targets
from motionrt.runtime.kimodo.model import KimodoModel
from motionrt.runtime.kimodo.options import KimodoOptions
from motionrt.runtime.kimodo.segments import (
    NUM_TRANSITION_FRAMES,
    SegmentRequest,
    encode_previous,
    generate_segments,
    segment_lengths,
    with_toe_ends,
    without_toe_ends,
)
from motionrt.runtime.options import either
from motionrt.runtime.pipeline import Progress
from motionrt.runtime.request import Request
from motionrt.runtime.sampling.guidance import WHOLE_SCHEDULE, Guidance
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule

Floats = NDArray[np.float32]


class Generation:
    """One request, its options settled."""

    def __init__(
        self,
        model: KimodoModel,
        request: Request,
        lengths: Sequence[int],
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Settle what is asked for; InputError for a value that does not fit.

        lengths are the frames of each prompt; motion files in the options are read by now.
        """
        options = cast(KimodoOptions, request.options)
        self.model, self.features = model, model.features
        self.skeleton = model.native_skeleton
        self.prompts, self.num_samples = list(request.prompts), request.num_samples
        self.lengths = list(lengths)
        self.progress = progress
        self.seed = seed
        self.generator = TorchGenerator(seed)
        self.num_steps = either(options.get("num_steps"), model.defaults.num_steps)
        self.solver = either(options.get("solver"), model.defaults.solver)
        # It refuses what there is not.
        cosine_schedule(model.defaults.num_base_steps, self.num_steps, self.solver)
        self.guidance: Guidance = model.settle_guidance(
            options.get("guidance_type"),
            options.get("guidance_weights"),
            options.get("guidance_interval"),
        )
        self.first_heading = checked_headings(either(options.get("first_heading_rad"), 0.0))
        self.num_transition_frames = either(
            options.get("num_transition_frames"), NUM_TRANSITION_FRAMES
        )
        self.notes: list[str] = []
        self.continue_from = self._clip(options.get("continue_from"))
        self.previous: Floats | None = None
        if self.continue_from is not None:
            self.previous = encode_previous(self.continue_from, self.features)
        self.compat = resolve_compat(options.get("compat"))
        self.chain = either(options.get("chain"), True)
        self.correct = either(options.get("postprocess"), self.skeleton.corrected)
        self.root_margin = checked_margin(either(options.get("root_margin"), ROOT_MARGIN_M))
        self.in_sequence = request.multi_prompt or self.continue_from is not None
        self.constraints = self._constraints(options.get("constraints"))
        """Of each motion: each prompt's samples, or the samples of all prompts in sequence."""
        self.headings = self._headings(len(self.constraints))
        self._check_lengths()

    def run(self) -> list[Motion]:
        """Generate a motion for each prompt and sample, or for each sample one of all prompts."""
        if self.in_sequence:
            motions = self._sequence(
                self.prompts, self.lengths, self.constraints, self.headings, self.previous
            )
            for motion in motions:
                motion.notes.extend(self.notes)
            return motions
        if self._is_chained:
            return self._one_by_one()
        return self._batch()

    def _batch(self) -> list[Motion]:
        """Generate a motion for each prompt and sample, in one go."""
        rows = [(i, sample) for i in range(len(self.prompts)) for sample in range(self.num_samples)]
        counts = [self.lengths[i] for i, _ in rows]
        constraints = self.constraints
        doubts = self._doubts(constraints)
        if self.progress is not None:
            self.progress("encoding text", 0, 1)
        text_features, text_mask = self.model.encode_text([self.prompts[i] for i, _ in rows])
        noise = self.generator.randn((len(rows), max(counts), self.features.width))
        observed, mask = _stacked(
            conditioning(row, self.features, max(counts), self.compat) for row in constraints
        )
        features = self.model.sample(
            text_features,
            noise,
            text_mask=text_mask,
            lengths=counts,
            first_heading_rad=self.headings,
            motion_mask=mask,
            observed_motion=self.features.normalize(observed),
            guidance=self.guidance,
            num_steps=self.num_steps,
            solver=self.solver,
            progress=self.progress,
        )
        infos = [
            {**self._info(sample, constraints[row]), "prompt": self.prompts[i]}
            for row, (i, sample) in enumerate(rows)
        ]
        motions = self._finish(features, counts, constraints, infos)
        return self._with_warnings(motions, doubts, counts)

    def _one_by_one(self) -> list[Motion]:
        """Generate the motions of each prompt in turn, of a long one as a chain of parts."""
        motions = []
        for index, (prompt, count) in enumerate(zip(self.prompts, self.lengths, strict=True)):
            rows = slice(index * self.num_samples, (index + 1) * self.num_samples)
            motions += self._sequence(
                [prompt], [count], self.constraints[rows], self.headings[rows]
            )
        return motions

    def _sequence(
        self,
        prompts: Sequence[str],
        lengths: Sequence[int],
        constraints: Sequence[Sequence[Constraint]],
        first_heading_rad: Floats,
        previous: Floats | None = None,
    ) -> list[Motion]:
        """Generate one motion of prompts, each in as many parts as it needs, for each sample.

        constraints and first_heading_rad are of each sample; previous are the features of a clip
        that is continued.
        """
        before = 0 if previous is None else len(previous)
        parts, sampled = self._parts(lengths, before)
        prompt_of_part = [index for index, own in enumerate(parts) for _ in own]
        lengths = [frames for own in parts for frames in own]
        start = (0, np.zeros(2, np.float32))
        if previous is not None:
            start = (before - 1, previous[-1, 0:3:2])
        ends = ends_of_parts(parts, before)
        doubts = self._doubts(constraints, start)
        with_waypoints = {  # samples share their constraints
            id(row): [*row, *waypoints_between(row, ends, start, self.compat)] if row else []
            for row in constraints
        }
        held = [with_waypoints[id(row)] for row in constraints]
        if self.progress is not None:
            self.progress("encoding text", 0, 1)
        text_features, text_mask = self.model.encode_text(prompts)

        def sample(request: SegmentRequest) -> Floats:
            row = [prompt_of_part[request.index]] * self.num_samples
            shape = (self.num_samples, request.num_frames, self.features.width)
            return self.model.sample(
                text_features[row],
                self.generator.randn(shape),
                text_mask=text_mask[row],
                first_heading_rad=request.first_heading_rad,
                motion_mask=request.motion_mask,
                observed_motion=request.observed_motion,
                guidance=self.guidance,
                num_steps=self.num_steps,
                solver=self.solver,
                progress=self.progress,
            )

        each = self.correct and self.compat.correct_segments
        features = generate_segments(
            sample,
            self.features,
            lengths,
            self.num_samples,
            constraints=held,
            first_heading_rad=first_heading_rad,
            num_transition_frames=self.num_transition_frames,
            compat=self.compat,
            previous=previous,
            correct=self._corrected_features if each else None,
        )
        total = before + sum(lengths)
        infos = []
        for number, row in enumerate(constraints):
            info = {**self._info(number, row), "prompt": " ".join(prompts)}
            info["segments"] = [
                {"prompt": prompts[index], "num_frames": frames}
                for index, frames in zip(prompt_of_part, lengths, strict=True)
            ]
            info["num_transition_frames"] = self.num_transition_frames
            if previous is not None:
                info["continued_frames"] = before
            if beyond := sum(int((item.frame_indices >= total).sum()) for item in row):
                info["num_dropped_constraint_frames"] = beyond
            infos.append(info)
        # A clip that is continued stays as it is up to where the new part is blended in.
        kept = before + lengths[0] - sampled[0]
        part = self.features.normalize(features[:, kept:])
        rows = [crop_constraints(row, kept, kept + part.shape[1]) for row in held]
        if kept:
            arrays = self.features.decode(features[:, kept : kept + 1])
            rows = [
                [
                    FullBody(np.array([0]), local, root)
                    for local, root in zip(
                        arrays["local_rot_mats"][number : number + 1],
                        arrays["root_positions"][number : number + 1],
                        strict=True,
                    )
                ]
                + inside
                for number, inside in enumerate(rows)
            ]
        counts = [part.shape[1]] * self.num_samples
        motions = self._finish(part, counts, rows, infos, corrected=bool(each))
        if self.continue_from is not None and kept:
            clip = self.continue_from.crop(0, kept)
            motions = [_joined(clip, motion) for motion in motions]
        return self._with_warnings(motions, doubts, [max(lengths)] * len(motions))

    def _doubts(
        self,
        constraints: Sequence[Sequence[Constraint]],
        start: tuple[int, Floats] = (0, np.zeros(2, np.float32)),
    ) -> list[list[str]]:
        """Say what looks wrong with the constraints of each sample, which begins at start."""
        told: dict[int, list[str]] = {}
        for row in constraints:
            if id(row) not in told:
                takes_height = self.compat.root_takes_height
                found = find_doubts(row, self.skeleton, self.model.fps, start, takes_height)
                told[id(row)] = in_one_line(found)
        return [told[id(row)] for row in constraints]

    def _with_warnings(
        self, motions: list[Motion], doubts: Sequence[Sequence[str]], longest: Sequence[int]
    ) -> list[Motion]:
        """Warn of doubts, of constraints beyond the end, and of what is in too long a piece."""
        for motion, told, frames in zip(motions, doubts, longest, strict=True):
            motion.warnings += [*self.model.length_warnings(frames), *told]
            if dropped := motion.info.get("num_dropped_constraint_frames"):
                motion.warnings.append(f"{dropped} constrained frames lie beyond the clip's end")
        return motions

    def _finish(
        self,
        features: Floats,
        lengths: Sequence[int],
        constraints: Sequence[Sequence[Constraint]],
        infos: Sequence[dict[str, Any]],
        corrected: bool = False,
    ) -> list[Motion]:
        """Decode normalised features (B, T, D) into motions and clean these up."""
        arrays = self.model.decode(features)
        motions = []
        for row, (count, info) in enumerate(zip(lengths, infos, strict=True)):
            motion = self.model.to_motion(arrays, row, count, info)
            if self.correct and not corrected:
                if self.progress is not None:
                    self.progress("cleaning up", row, len(infos))
                motion = self._corrected_motion(arrays, row, motion, constraints[row])
            if self.compat.toe_end_contacts and self.skeleton.expands_to:
                assert motion.foot_contacts is not None
                motion.foot_contacts = with_toe_ends(motion.foot_contacts)
            motions.append(motion)
        return motions

    def _corrected_motion(
        self,
        arrays: Mapping[str, NDArray[Any]],
        row: int,
        motion: Motion,
        constraints: Sequence[Constraint],
    ) -> Motion:
        count = motion.num_frames
        prefix = "native_" if "native_local_rot_mats" in arrays else ""
        local, root = correct_motion(
            self.skeleton,
            arrays[f"{prefix}local_rot_mats"][row, :count],
            motion.root_positions,
            arrays["foot_contacts"][row, :count],
            correction_targets(constraints, self.skeleton, count, self.compat),
            self.root_margin,
        )
        result = Motion.from_local(
            local,
            root,
            self.skeleton,
            motion.fps,
            foot_contacts=motion.foot_contacts,
            smooth_root_pos=motion.smooth_root_pos,
            global_root_heading=motion.global_root_heading,
            info=motion.info,
        )
        return result.expanded()

    def _corrected_features(self, clip: Floats, constraints: Sequence[Constraint]) -> Floats:
        """Clean up one sample's features (T, D), unnormalised; its contacts stay."""
        arrays = self.features.decode(clip)
        local, root = correct_motion(
            self.skeleton,
            arrays["local_rot_mats"],
            arrays["root_positions"],
            arrays["foot_contacts"],
            correction_targets(constraints, self.skeleton, len(clip), self.compat),
            self.root_margin,
        )
        if len(clip) < 5:
            return clip  # the root smoother cannot work on less
        result = self.features.encode(local, root)
        contacts = self.features.slices["foot_contacts"]
        result[:, contacts] = clip[:, contacts]
        return result

    # What is asked for, settled

    @property
    def _is_chained(self) -> bool:
        """Whether a prompt is longer than one piece may be, and is made as a chain of parts."""
        return self.chain and max(self.lengths) > self.model.advised_frames

    def _clip(self, given: Any) -> Motion | None:
        """Return the clip that is continued, at the model's frame rate."""
        if given is None:
            return None
        if not isinstance(given, Motion):  # files are read by now
            raise InputError(f"continue_from is {type(given).__name__}, no motion or its file")
        if abs(given.fps - self.model.fps) > 1e-3:
            told = f"the clip that is continued has {given.fps:g} fps, the model {self.model.fps:g}"
            self.notes.append(f"{told}: it was resampled")
            return resample(given, self.model.fps)
        return given

    def _headings(self, rows: int) -> Floats:
        heading = self.first_heading
        if self.continue_from is not None and np.any(heading):
            raise InputError("a clip that is continued has a heading already; give no first one")
        if heading.ndim > 1 or (heading.ndim == 1 and len(heading) != rows):
            raise InputError(f"{heading.size} first headings for {rows} motions; give one or each")
        return np.broadcast_to(heading, (rows,))

    def _constraints(self, given: Any) -> list[list[Constraint]]:
        if self.in_sequence:
            return [self._shared(given)] * self.num_samples
        counts = [frames for frames in self.lengths for _ in range(self.num_samples)]
        constraints = self._of_each(given, len(counts))
        for row, count in zip(constraints, counts, strict=True):
            check_frames(row, count)
        return constraints

    def _shared(self, given: Any) -> list[Constraint]:
        if given is None:
            return []
        if isinstance(given, (list, tuple)) and any(
            isinstance(item, (list, tuple)) for item in given
        ):
            raise InputError("several prompts in one motion take one list of constraints for all")
        return constraints_from(given, self.skeleton)

    def _of_each(self, given: Any, rows: int) -> list[list[Constraint]]:
        nested = isinstance(given, (list, tuple)) and any(
            isinstance(item, (list, tuple)) for item in given
        )
        if not nested:
            return [self._shared(given)] * rows
        if not all(isinstance(item, (list, tuple)) for item in given):
            raise InputError("constraints are a list, or a list of lists, not both at once")
        if len(given) * self.num_samples == rows:
            given = [item for item in given for _ in range(self.num_samples)]
        if len(given) != rows:
            raise InputError(f"{len(given)} lists of constraints for {rows} motions")
        return [constraints_from(item, self.skeleton) for item in given]

    def _check_lengths(self) -> None:
        """Raise InputError for parts of sequences that are too short or too long."""
        if self.in_sequence:
            self._parts(self.lengths, 0 if self.previous is None else len(self.previous))
        elif self._is_chained:
            for frames in self.lengths:
                self._parts([frames], 0)

    def _parts(self, lengths: Sequence[int], before: int) -> tuple[list[list[int]], list[int]]:
        """Split prompts into parts that the model can make, behind a clip of so many frames.

        Returns the frames of each prompt's parts, and those that each part is sampled with.
        """
        parts = [[frames] for frames in lengths]
        if self.chain:
            parts = part_lengths(
                lengths,
                self.model.advised_frames,
                self.num_transition_frames,
                self.compat,
                before,
                self.model.manifest.limits.transitions_included,
            )
        sampled = segment_lengths(
            [frames for own in parts for frames in own],
            self.num_transition_frames,
            self.compat,
            before,
        )
        for frames in sampled:
            self.model.check_num_frames(frames)
        return parts, sampled

    def _info(self, sample: int, constraints: Sequence[Constraint]) -> dict[str, Any]:
        manifest, interval = self.model.manifest, self.guidance.interval
        part = {} if interval == WHOLE_SCHEDULE else {"guidance_interval": list(interval)}
        return {
            "prompt": "",
            "seed": self.seed,
            "sample": sample,
            "model": manifest.name,
            "family": manifest.family,
            "backend": self.model.backend.name,
            "num_steps": self.num_steps,
            "solver": self.solver,
            "guidance_type": self.guidance.mode,
            "guidance_weights": list(self.guidance.weights),
            **part,
            "num_constraints": len(constraints),
            "postprocess": bool(self.correct),
            "compat": self.compat.name,
        }


def _stacked(
    pairs: Iterable[tuple[Floats, NDArray[np.bool_]]],
) -> tuple[Floats, NDArray[np.bool_]]:
    observed, mask = (np.stack(parts) for parts in zip(*pairs, strict=True))
    return observed, mask


def _joined(first: Motion, second: Motion) -> Motion:
    """Put two clips one after the other, the first on the joints and contacts of the second."""
    if first.skeleton.expands_to == second.skeleton.name:
        first = first.expanded()
    if first.foot_contacts is not None and second.foot_contacts is not None:
        change = with_toe_ends if second.foot_contacts.shape[1] == 6 else without_toe_ends
        first = replace(first, foot_contacts=change(first.foot_contacts))
    return joined(first, second)
