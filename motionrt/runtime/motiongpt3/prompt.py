"""MotionGPT3's prompts: texts with placeholders for motions, and the tokens they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

START, END = "<start_of_motion>", "<end_of_motion>"
ADDED_TOKENS = (
    START,
    END,
    "<masked_motion>",
    "<pad_motion>",
    "<motion_latent_holder_output>",
    "<motion_latent_holder>",
)
"""In the order of their ids, behind the language model's own; the first two count as text."""
OUTPUT_HOLDER, INPUT_HOLDER = 2, 3
"""Ids of motion tokens, relative to the text vocabulary."""
NUM_MOTION_TOKENS = 6
"""Ids from here on stand for the embeddings of given motions, in the order of their holders."""
END_OF_TEXT = "<|endoftext|>"
GIVEN_MOTION = "<Motion_Placeholder>"
"""Where a text names the motion that it is about."""
MASKED = "<Motion_Placeholder_Masked>"
"""Where a text leaves out the motion that is asked for."""
MAX_PROMPT_TOKENS = 192
"""Prompts were cut and filled to this length in training."""

CAPTION_PLACE = "<Caption_Placeholder>"
FRAMES_PLACE, SECONDS_PLACE = "<Frame_Placeholder>", "<Second_Placeholder>"
"""Where a template has the caption, the frames and the seconds of the motion."""
TEMPLATES = {
    "caption": f"{CAPTION_PLACE} \n ",
    "evaluation": f"Generate motion: {CAPTION_PLACE} \n \n ",
}
"""What precedes the output holders; ``caption`` is what the released model was trained on."""
PLACES = (CAPTION_PLACE, FRAMES_PLACE, SECONDS_PLACE)
PREDICTION = f"Predict motion: {GIVEN_MOTION} \n \n "
BETWEEN = f"Complete the masked motion: {GIVEN_MOTION}{MASKED}{GIVEN_MOTION} \n \n "
CAPTION = GIVEN_MOTION
"""Asks for a caption, as in training: the motion alone."""


@dataclass(frozen=True)
class HolderRules:
    """How many holders a motion has in a prompt, and whether tokens enclose them."""

    num_output: int
    num_input: int
    wrapped: bool

    def output(self) -> str:
        """Return the text that asks for a motion."""
        return self._enclose(ADDED_TOKENS[4] * self.num_output)

    def given(self) -> str:
        """Return the text that stands for a given motion."""
        return self._enclose(ADDED_TOKENS[5] * self.num_input)

    def motion_request(self, text: str) -> str:
        """Return the prompt that asks for a motion after a text with ``GIVEN_MOTION`` in it."""
        return self._filled(text) + self.output() + END_OF_TEXT

    def text_request(self, text: str) -> str:
        """Return the prompt that asks for a text, after a text with ``GIVEN_MOTION`` in it."""
        return self._filled(text) + " \n"

    def _filled(self, text: str) -> str:
        masked = ADDED_TOKENS[2] * self.num_output
        return text.replace(MASKED, masked).replace(GIVEN_MOTION, self.given())

    def _enclose(self, holders: str) -> str:
        return f"{START}{holders}{END}" if self.wrapped else holders


def check_text(text: str, reserved: Sequence[str] = (GIVEN_MOTION, MASKED)) -> str:
    """Return a user's text; InputError if it holds what means something to the model."""
    for token in (*ADDED_TOKENS, END_OF_TEXT, *reserved):
        if token in text:
            raise InputError(f"prompt holds {token}, which the model reserves; leave it out")
    return text


def caption_prompt(
    caption: str, template: str = TEMPLATES["caption"], frames: int = 0, fps: float = 20.0
) -> str:
    """Return what precedes the output holders: a template, filled.

    Frames are those of the motion. InputError if the caption holds what the model reserves.
    """
    return (
        template.replace(FRAMES_PLACE, str(frames))
        .replace(SECONDS_PLACE, f"{frames / fps:.1f}")
        .replace(CAPTION_PLACE, check_text(caption, (GIVEN_MOTION, MASKED, *PLACES)))
    )


@dataclass(frozen=True)
class PromptTokens:
    """Prompts as the backbone takes them: text and motion tokens apart, each with its position.

    All are (B, ·) int64. Rows are padded at their end with a position past the table.
    """

    text_ids: NDArray[np.int64]
    text_positions: NDArray[np.int64]
    motion_ids: NDArray[np.int64]
    motion_positions: NDArray[np.int64]

    @staticmethod
    def split(
        rows: Sequence[Sequence[int]], vocab_size: int, num_positions: int, asks_for_motion: bool
    ) -> PromptTokens:
        """Sort token ids by modality; what follows the last output holder has no effect and goes.

        The holders of given motions are numbered in order. InputError if two rows have different
        motion tokens: their last ones must stand at one place.
        """
        texts, motions = [], []
        for row in rows:
            ids = np.asarray(row, np.int64)
            if asks_for_motion:
                ids = ids[: int(np.flatnonzero(ids == vocab_size + OUTPUT_HOLDER)[-1]) + 1]
            positions = np.arange(len(ids))
            is_motion = ids >= vocab_size
            relative = ids[is_motion] - vocab_size
            given = relative == INPUT_HOLDER
            relative[given] = NUM_MOTION_TOKENS + np.arange(given.sum())
            texts.append((ids[~is_motion], positions[~is_motion]))
            motions.append((relative, positions[is_motion]))
        if len({ids.tobytes() for ids, _ in motions}) > 1:
            raise InputError("prompts of one batch must hold the same motion tokens")
        text_ids, text_positions = _padded(texts, num_positions)
        return PromptTokens(
            text_ids,
            text_positions,
            np.stack([ids for ids, _ in motions]),
            np.stack([positions for _, positions in motions]),
        )

    def last_text_rows(self, num_positions: int) -> NDArray[np.int64]:
        """Return (B, 1): which text token is each prompt's last."""
        counts = (self.text_positions < num_positions).sum(axis=1, keepdims=True)
        return np.asarray(counts - 1, np.int64)

    def to_inputs(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by the names of the backbone's inputs."""
        return {
            "text_ids": self.text_ids,
            "text_positions": self.text_positions,
            "motion_ids": self.motion_ids,
            "motion_positions": self.motion_positions,
        }


def _padded(
    rows: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], num_positions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    length = max(len(ids) for ids, _ in rows)
    all_ids = np.zeros((len(rows), length), np.int64)
    all_positions = np.full((len(rows), length), num_positions, np.int64)
    for i, (ids, positions) in enumerate(rows):
        all_ids[i, : len(ids)], all_positions[i, : len(ids)] = ids, positions
    return all_ids, all_positions
