"""What a Triton server runs of Kimodo beside the graphs: texts and noise before, clean-up behind.

``motionrt.export.triton`` writes the repository; its two Python backends call `HostParts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import correct_motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.runtime.text.tokenizer import TextTokenizer

FILE, TOKENIZER = "host.json", "tokenizer.json"
FRAMES_STEP, TOKENS_STEP = 20, 16
"""Rows are padded to multiples of these: Triton batches what has one shape."""
Arrays = dict[str, NDArray[Any]]


class HostInfo(msgspec.Struct, frozen=True):
    """What is kept beside the backends."""

    width: int
    """D, numbers a frame."""
    max_frames: int
    fps: float
    skeleton: dict[str, Any]
    rules: dict[str, Any]
    """The tokenizer's, as ``TextRules.to_dict`` gives them."""
    decoded: tuple[str, ...]
    """The decoder's outputs."""


class HostParts:
    """What is not in graphs, for requests of one text each."""

    PREPARE_INPUTS = ("TEXT", "SEED", "NUM_FRAMES")

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Read what the repository holds for it."""
        place = Path(folder)
        self.info = msgspec.json.decode((place / FILE).read_bytes(), type=HostInfo)
        self.skeleton = Skeleton.from_dict(self.info.skeleton)
        self.tokenizer = TextTokenizer(place / TOKENIZER, self.info.rules)

    @property
    def finish_inputs(self) -> tuple[str, ...]:
        """What `finish` takes: the decoder's outputs, and the length."""
        return (*self.info.decoded, "NUM_FRAMES")

    def prepare(self, TEXT: NDArray[Any], SEED: NDArray[Any], NUM_FRAMES: NDArray[Any]) -> Arrays:
        """Turn texts (B, 1), seeds (B, 1) and lengths (B, 1) into what the graphs take.

        InputError for a seed or a length that the model does not take.
        """
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in TEXT[:, 0]]
        cleaned = [clean_prompt(text) for text in texts]
        ids, attention, pooled = self.tokenizer.encode(cleaned)
        missing = -ids.shape[1] % TOKENS_STEP
        widths = ((0, 0), (0, missing))
        counts = [int(count) for count in NUM_FRAMES[:, 0]]
        for count in counts:
            if not 1 <= count <= self.info.max_frames:
                raise InputError(f"{count} frames: this model takes 1 to {self.info.max_frames}")
        length = max(counts) + -max(counts) % FRAMES_STEP
        noise = np.zeros((len(texts), length, self.info.width), np.float32)
        for row, (count, seed) in enumerate(zip(counts, SEED[:, 0], strict=True)):
            noise[row, :count] = TorchGenerator(int(seed)).randn((1, count, self.info.width))[0]
        return {
            "input_ids": np.pad(ids, widths, constant_values=self.tokenizer.rules.pad_id),
            "attention_mask": np.pad(attention, widths),
            "pool_mask": np.pad(pooled, widths),
            "text_mask": np.array([[bool(text)] for text in cleaned]),
            "x": noise,
            "frame_mask": np.arange(length) < np.array(counts)[:, None],
        }

    def finish(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """Clean up decoded clips; frames behind a clip's length repeat its last one."""
        counts = [int(count) for count in arrays["NUM_FRAMES"][:, 0]]
        prefix = "native_" if "native_local_rot_mats" in arrays else ""
        motions = []
        for row, count in enumerate(counts):
            local, root = arrays[f"{prefix}local_rot_mats"][row, :count], arrays["root_positions"]
            contacts = arrays["foot_contacts"][row, :count]
            root = root[row, :count]
            if self.skeleton.corrected:
                local, root = correct_motion(self.skeleton, local, root, contacts)
            motions.append(Motion.from_local(local, root, self.skeleton, self.info.fps).expanded())
        length = arrays["root_positions"].shape[1]

        def padded(values: Iterable[NDArray[Any]]) -> NDArray[Any]:
            rows = []
            for value in values:
                last = np.repeat(value[-1:], length - len(value), axis=0)
                rows.append(np.concatenate([value, last]))
            return np.stack(rows)

        return {
            "LOCAL_ROTATIONS": padded(motion.local_rotations for motion in motions),
            "ROOT_POSITIONS": padded(motion.root_positions for motion in motions),
            "POSED_JOINTS": padded(motion.posed_joints for motion in motions),
            "FOOT_CONTACTS": padded(
                arrays["foot_contacts"][row, :count].astype(np.bool_)
                for row, count in enumerate(counts)
            ),
        }


def as_arrays(pb_utils: Any, request: Any, names: Iterable[str]) -> Arrays:
    """Return the inputs of a request to a Python backend."""
    return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in names}


def as_tensors(pb_utils: Any, arrays: Arrays) -> list[Any]:
    """Return arrays as what a Python backend answers with."""
    return [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in arrays.items()]
