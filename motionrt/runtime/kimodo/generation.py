"""Everything that Kimodo can be asked for, from prompts to finished motions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import ARRAY_NAMES, Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import Compat, resolve_compat
from motionrt.runtime.kimodo.constraint_files import parse_constraints, read_constraints
from motionrt.runtime.kimodo.constraints import (
    CONSTRAINT_TYPES,
    Constraint,
    FullBody,
    check_frames,
    conditioning,
    correction_targets,
    crop_constraints,
)
from motionrt.runtime.kimodo.guidance import Guidance
from motionrt.runtime.kimodo.motion_correction import ROOT_MARGIN_M, correct_motion
from motionrt.runtime.kimodo.segments import (
    NUM_TRANSITION_FRAMES,
    SegmentRequest,
    encode_previous,
    generate_segments,
    segment_lengths,
    with_toe_ends,
    without_toe_ends,
)
from motionrt.runtime.pipeline import Progress, settle_seed
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import find_preset

if TYPE_CHECKING:
    from motionrt.runtime.kimodo.pipeline import KimodoPipeline

Floats = NDArray[np.float32]
ConstraintList: TypeAlias = Sequence[Constraint | Mapping[str, Any]]


@dataclass(frozen=True)
class KimodoOptions:
    """What ``generate`` takes for Kimodo beside prompt, seconds, seed and samples."""

    num_frames: int | Sequence[int] | None = None
    """Of all, or of each prompt; instead of seconds."""
    num_steps: int | None = None
    """Denoising steps; more follow the model more closely and take longer. None: the bundle's."""
    solver: str | None = None
    """A name of ``schedule.SOLVERS``. None: the bundle's."""
    preset: str | None = None
    """A name of ``schedule.PRESETS``: solver and steps where these are not given."""
    guidance_type: str | None = None
    """A mode of ``guidance.NUM_WEIGHTS``. None: the bundle's, or what the weights imply."""
    guidance_weights: Sequence[float] | None = None
    """Unitless; higher follows text (and constraints) more and varies less."""
    first_heading_rad: ArrayLike = 0.0
    """Where the body faces at first, of all or of each motion; 0 is +z, pi/2 is +x."""
    constraints: str | os.PathLike[str] | ConstraintList | Sequence[ConstraintList] | None = None
    """A file, or constraints (as objects or as in a file), or a list of those for each motion."""
    multi_prompt: bool = False
    """The prompts are one motion, one after another, and not a motion each."""
    num_transition_frames: int = NUM_TRANSITION_FRAMES
    """Frames over which one segment is blended into the next; more are smoother."""
    continue_from: Motion | str | os.PathLike[str] | None = None
    """A clip (or its file) that the result begins with and goes on from; implies multi_prompt."""
    postprocess: bool | None = None
    """Meet constraints exactly and keep standing feet still. None: yes, except for G1."""
    root_margin: float = ROOT_MARGIN_M
    """Metres that postprocessing may leave between the root and where a constraint has it."""
    compat: str | Compat | None = None
    """Which upstream revision to follow (``compat.COMPATS``); noted in ``Motion.info``."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> KimodoOptions:
        """Take options by name; InputError for one that there is not."""
        known = [spec.name for spec in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise InputError(
                f"kimodo has no option {unknown[0]} (it has {', '.join(sorted(known))})"
            )
        options = cls(**values)
        if options.preset is not None:
            preset = find_preset(options.preset)
            options = replace(
                options,
                solver=options.solver or preset.solver,
                num_steps=preset.num_steps if options.num_steps is None else options.num_steps,
            )
        if not np.isfinite(np.asarray(options.first_heading_rad, np.float64)).all():
            raise InputError(f"first heading {options.first_heading_rad}: must be finite")
        margin = options.root_margin
        if not (np.isfinite(margin) and margin >= 0):
            raise InputError(f"root margin {margin}: must be 0 or more metres")
        return options


def generate(
    pipeline: KimodoPipeline,
    prompt: str | Sequence[str],
    seconds: float | Sequence[float],
    *,
    seed: int | None,
    num_samples: int,
    progress: Progress | None,
    options: KimodoOptions,
) -> Motion | list[Motion]:
    """Generate as ``Pipeline.generate`` says; with multi_prompt all prompts are one motion."""
    if num_samples < 1:
        raise InputError(f"{num_samples} samples: must be 1 or more")
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise InputError("no prompt given")
    generation = _Generation(pipeline, prompts, seed, num_samples, progress, options)
    lengths = _frames_of(pipeline, prompts, seconds, options.num_frames)
    if options.multi_prompt or options.continue_from is not None:
        motions = generation.sequence(lengths)
        alone = num_samples == 1
    else:
        motions = generation.batch(lengths)
        alone = num_samples == 1 and isinstance(prompt, str)
    return motions[0] if alone else motions


class _Generation:
    """One call of ``generate``, its arguments settled."""

    def __init__(
        self,
        pipeline: KimodoPipeline,
        prompts: list[str],
        seed: int | None,
        num_samples: int,
        progress: Progress | None,
        options: KimodoOptions,
    ) -> None:
        self.pipeline, self.features = pipeline, pipeline.features
        self.skeleton = pipeline.native_skeleton
        self.prompts, self.num_samples = prompts, num_samples
        self.progress, self.options = progress, options
        self.seed = settle_seed(seed)
        self.generator = TorchGenerator(self.seed)
        self.guidance: Guidance = pipeline.settle_guidance(
            options.guidance_type, options.guidance_weights
        )
        self.compat = resolve_compat(options.compat)
        self.correct = options.postprocess
        if self.correct is None:
            self.correct = self.skeleton.name != "g1"

    def batch(self, lengths: list[int]) -> list[Motion]:
        """Generate a motion for each prompt and sample, in one go."""
        rows = [(i, sample) for i in range(len(self.prompts)) for sample in range(self.num_samples)]
        counts = [lengths[i] for i, _ in rows]
        constraints = self._constraints_of(len(rows))
        for row, count in zip(constraints, counts, strict=True):
            check_frames(row, count)
        if self.progress is not None:
            self.progress("encoding text", 0, 1)
        text_features, text_mask = self.pipeline.encode_text([self.prompts[i] for i, _ in rows])
        noise = self.generator.randn((len(rows), max(counts), self.features.width))
        observed, mask = _stacked(
            conditioning(row, self.features, max(counts), self.compat) for row in constraints
        )
        features = self.pipeline.sample(
            text_features,
            noise,
            text_mask=text_mask,
            lengths=counts,
            first_heading_rad=self._headings(len(rows)),
            motion_mask=mask,
            observed_motion=self.features.normalize(observed),
            guidance=self.guidance,
            num_steps=self.options.num_steps,
            solver=self.options.solver,
            progress=self.progress,
        )
        infos = [
            {**self._info(sample, constraints[row]), "prompt": self.prompts[i]}
            for row, (i, sample) in enumerate(rows)
        ]
        return self._finish(features, counts, constraints, infos)

    def sequence(self, lengths: list[int]) -> list[Motion]:
        """Generate one motion of all prompts for each sample."""
        options = self.options
        previous: Floats | None = None
        clip: Motion | None = None
        if options.continue_from is not None:
            if np.any(np.asarray(options.first_heading_rad)):
                raise InputError(
                    "a clip that is continued has a heading already; give no first one"
                )
            given = options.continue_from
            clip = given if isinstance(given, Motion) else Motion.load(given)
            previous = encode_previous(clip, self.features)
        before = 0 if previous is None else len(previous)
        sampled = segment_lengths(lengths, options.num_transition_frames, self.compat, before)
        for frames in sampled:
            _check_num_frames(self.pipeline, frames)
        constraints = self._shared_constraints()
        if self.progress is not None:
            self.progress("encoding text", 0, 1)
        text_features, text_mask = self.pipeline.encode_text(self.prompts)

        def sample(request: SegmentRequest) -> Floats:
            row = [request.index] * self.num_samples
            shape = (self.num_samples, request.num_frames, self.features.width)
            return self.pipeline.sample(
                text_features[row],
                self.generator.randn(shape),
                text_mask=text_mask[row],
                first_heading_rad=request.first_heading_rad,
                motion_mask=request.motion_mask,
                observed_motion=request.observed_motion,
                guidance=self.guidance,
                num_steps=options.num_steps,
                solver=options.solver,
                progress=self.progress,
            )

        each = self.correct and self.compat.correct_segments
        features = generate_segments(
            sample,
            self.features,
            lengths,
            self.num_samples,
            constraints=constraints,
            first_heading_rad=self._headings(self.num_samples),
            num_transition_frames=options.num_transition_frames,
            compat=self.compat,
            previous=previous,
            correct=self._corrected_features if each else None,
        )
        infos = []
        for number in range(self.num_samples):
            info = {**self._info(number, constraints), "prompt": " ".join(self.prompts)}
            info["segments"] = [
                {"prompt": text, "num_frames": frames}
                for text, frames in zip(self.prompts, lengths, strict=True)
            ]
            info["num_transition_frames"] = options.num_transition_frames
            if clip is not None:
                info["continued_frames"] = before
            total = before + sum(lengths)
            beyond = sum(int((item.frame_indices >= total).sum()) for item in constraints)
            if beyond:
                info["num_dropped_constraint_frames"] = beyond
            infos.append(info)
        # A clip that is continued stays as it is up to where the new part is blended in.
        kept = before + lengths[0] - sampled[0]
        part = self.features.normalize(features[:, kept:])
        inside = crop_constraints(constraints, kept, kept + part.shape[1])
        rows = [inside] * self.num_samples
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
                for number in range(self.num_samples)
            ]
        lengths = [part.shape[1]] * self.num_samples
        motions = self._finish(part, lengths, rows, infos, corrected=bool(each))
        if clip is not None and kept:
            motions = [_joined(clip.crop(0, kept), motion) for motion in motions]
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
        arrays = self.pipeline.decode(features)
        motions = []
        for row, (count, info) in enumerate(zip(lengths, infos, strict=True)):
            motion = self.pipeline.to_motion(arrays, row, count, info)
            if self.correct and not corrected:
                if self.progress is not None:
                    self.progress("cleaning up", row, len(infos))
                motion = self._corrected_motion(arrays, row, motion, constraints[row])
            if self.compat.toe_end_contacts and motion.skeleton.name == "soma77":
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
            self.options.root_margin,
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
        return result.to_soma77() if motion.skeleton.name == "soma77" else result

    def _corrected_features(self, clip: Floats, constraints: Sequence[Constraint]) -> Floats:
        """Clean up one sample's features (T, D), unnormalised; its contacts stay."""
        arrays = self.features.decode(clip)
        local, root = correct_motion(
            self.skeleton,
            arrays["local_rot_mats"],
            arrays["root_positions"],
            arrays["foot_contacts"],
            correction_targets(constraints, self.skeleton, len(clip), self.compat),
            self.options.root_margin,
        )
        if len(clip) < 5:
            return clip  # the root smoother cannot work on less
        result = self.features.encode(local, root)
        contacts = self.features.slices["foot_contacts"]
        result[:, contacts] = clip[:, contacts]
        return result

    def _headings(self, rows: int) -> Floats:
        heading = np.asarray(self.options.first_heading_rad, np.float32)
        if heading.ndim > 1 or (heading.ndim == 1 and len(heading) != rows):
            raise InputError(f"{heading.size} first headings for {rows} motions; give one or each")
        return np.broadcast_to(heading, (rows,))

    def _shared_constraints(self) -> list[Constraint]:
        given = self.options.constraints
        if given is None:
            return []
        if isinstance(given, (str, os.PathLike)):
            return read_constraints(given, self.skeleton)
        if any(isinstance(item, (list, tuple)) for item in given):
            raise InputError("several prompts in one motion take one list of constraints for all")
        return _made(given, self.skeleton)  # type: ignore[arg-type]  # no lists in it

    def _constraints_of(self, rows: int) -> list[list[Constraint]]:
        given = self.options.constraints
        nested = isinstance(given, (list, tuple)) and any(
            isinstance(item, (list, tuple)) for item in given
        )
        if not nested:
            return [self._shared_constraints()] * rows
        assert isinstance(given, (list, tuple))
        if not all(isinstance(item, (list, tuple)) for item in given):
            raise InputError("constraints are a list, or a list of lists, not both at once")
        if len(given) * self.num_samples == rows:
            given = [item for item in given for _ in range(self.num_samples)]
        if len(given) != rows:
            raise InputError(f"{len(given)} lists of constraints for {rows} motions")
        return [_made(item, self.skeleton) for item in given]

    def _info(self, sample: int, constraints: Sequence[Constraint]) -> dict[str, Any]:
        manifest, options = self.pipeline.manifest, self.options
        return {
            "prompt": "",
            "seed": self.seed,
            "sample": sample,
            "model": manifest.name,
            "family": manifest.family,
            "backend": self.pipeline.backend.name,
            "num_steps": int(options.num_steps or manifest.sampler["num_steps"]),
            "solver": options.solver or manifest.sampler["solver"],
            "guidance_type": self.guidance.mode,
            "guidance_weights": list(self.guidance.weights),
            "num_constraints": len(constraints),
            "postprocess": bool(self.correct),
            "compat": self.compat.name,
        }


def _frames_of(
    pipeline: KimodoPipeline,
    prompts: Sequence[str],
    seconds: float | Sequence[float],
    num_frames: int | Sequence[int] | None,
) -> list[int]:
    """Give the frames of each prompt."""
    if num_frames is not None:
        counts = [num_frames] * len(prompts) if isinstance(num_frames, int) else list(num_frames)
        for count in counts:
            _check_num_frames(pipeline, count)
    elif isinstance(seconds, (int, float)):
        counts = [pipeline.num_frames(seconds)] * len(prompts)
    else:
        counts = [pipeline.num_frames(value) for value in seconds]
    if len(counts) != len(prompts):
        raise InputError(f"{len(counts)} durations for {len(prompts)} prompts")
    return counts


def _check_num_frames(pipeline: KimodoPipeline, num_frames: int) -> None:
    most = int(pipeline.manifest.limits["max_frames"])
    if isinstance(num_frames, bool) or not 1 <= num_frames <= most:
        raise InputError(f"{num_frames} frames: this model takes 1 to {most}, transitions included")


def _made(given: ConstraintList, skeleton: Any) -> list[Constraint]:
    """Turn dictionaries among constraints into objects."""
    kinds = tuple(CONSTRAINT_TYPES.values())
    made: list[Constraint] = []
    for item in given:
        if isinstance(item, kinds):
            made.append(item)
        elif isinstance(item, Mapping):
            made += parse_constraints([dict(item)], skeleton)
        else:
            raise InputError(f"a constraint is {type(item).__name__}, not one of motionrt's")
    return made


def _stacked(pairs: Any) -> tuple[Floats, NDArray[np.bool_]]:
    observed, mask = (np.stack(parts) for parts in zip(*pairs, strict=True))
    return observed, mask


def _joined(first: Motion, second: Motion) -> Motion:
    """Put two clips one after the other; what only one has is left out."""
    if first.skeleton.name == "soma30" and second.skeleton.name == "soma77":
        first = first.to_soma77()
    before, after = first.to_arrays(), second.to_arrays()
    if "foot_contacts" in before and "foot_contacts" in after:
        count = after["foot_contacts"].shape[1]
        change = with_toe_ends if count == 6 else without_toe_ends
        before["foot_contacts"] = change(before["foot_contacts"])
    arrays = {
        name: np.concatenate([before[name], after[name]])
        for name in ARRAY_NAMES
        if name in before and name in after and before[name].shape[1:] == after[name].shape[1:]
    }
    return Motion.from_arrays(arrays, second.skeleton, second.fps, second.info)
