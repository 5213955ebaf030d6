"""Texts as the evaluator reads them: words with parts of speech, as vectors.

HumanML3D's files of texts state both (``walk/VERB``); words of a few classes that matter to motion
count as parts of speech of their own, whatever else they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError, one_line

PARTS = (
    "VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV",
    "Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP", "OTHER",
)  # fmt: skip
"""In the order of the network's one-hot inputs."""
CLASSES = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down "
    "straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop "
    "sit lift lower raise wash stand kneel stroll rub bend balance flap jog shuffle lean rotate "
    "spin spread climb",
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
"""Part -> the words that are of it, as the published networks were trained."""
_CLASS_OF = {word: part for part, words in CLASSES.items() for word in words.split()}
MAX_WORDS = 20
"""Longer texts are cut, as in training."""
START, END, UNKNOWN = "sos", "eos", "unk"
Tokens = tuple[str, ...]


@dataclass(frozen=True)
class WordTable:
    """Words and their vectors."""

    words: dict[str, int]
    vectors: NDArray[np.float32]
    """(words, width)."""

    def encode(
        self, texts: Sequence[Tokens]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Return word vectors (B, 22, W), one-hot parts (B, 22, 15) and lengths (B,).

        A text is tokens, ``word/PART`` each. Unknown words have the vector of ``unk``.
        """
        length = MAX_WORDS + 2
        words = np.zeros((len(texts), length, self.vectors.shape[1]), np.float32)
        parts = np.zeros((len(texts), length, len(PARTS)), np.float32)
        lengths = np.zeros(len(texts), np.int64)
        for row, tokens in enumerate(texts):
            padded = [f"{START}/OTHER", *tokens[:MAX_WORDS], f"{END}/OTHER"]
            lengths[row] = len(padded)
            padded += [f"{UNKNOWN}/OTHER"] * (length - len(padded))
            for column, token in enumerate(padded):
                word, _, part = token.rpartition("/")
                if word not in self.words:
                    word, part = UNKNOWN, "OTHER"
                part = _CLASS_OF.get(word, part)
                words[row, column] = self.vectors[self.words[word]]
                parts[row, column, PARTS.index(part if part in PARTS else "OTHER")] = 1
        return words, parts, lengths


def read_tokens(text: str, where: str) -> Tokens:
    """Read the tokens of a line of HumanML3D's texts; InputError if one has no part of speech."""
    tokens = tuple(text.split(" ")) if text else ()
    for token in tokens:
        if "/" not in token:
            raise InputError(f"{where}: {one_line(token, 80)} has no part of speech (walk/VERB)")
    return tokens
