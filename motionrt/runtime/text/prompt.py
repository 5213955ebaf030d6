"""A prompt before it meets a tokenizer: cleaned as in training, and split into segments."""

from __future__ import annotations

import math

from motionrt.runtime.errors import InputError

CLOSING_MARKS = ".!?\"])'"
"""What may end a prompt besides a letter or digit."""
SENTENCE_MARKS = ".!?"
"""Each closes a sentence; a prompt always ends in one."""


def clean_prompt(text: str) -> str:
    """Bring a prompt into the form that Kimodo was trained on; a blank one becomes empty.

    Whitespace collapses; what leads before the first letter or digit goes, likewise most
    punctuation at the end; the prompt is capitalised, ALL else becomes lower case; it ends in a
    sentence mark, and every sentence mark is followed by one space and a capital. The side effects
    ("3.5 m" becomes "3. 5 m.") are those of training and so kept.
    """
    text = " ".join(text.split())
    if not text:
        return ""
    first = next((i for i, char in enumerate(text) if char.isalnum()), len(text) - 1)
    text = text[first:].capitalize()
    kept = (
        i for i in range(len(text), 0, -1) if text[i - 1].isalnum() or text[i - 1] in CLOSING_MARKS
    )
    text = text[: next(kept, 1)]
    if text[-1] not in SENTENCE_MARKS:
        text += "."
    for mark in SENTENCE_MARKS:
        pieces = (piece.strip() for piece in text.split(mark))
        text = f"{mark} ".join(piece[:1].upper() + piece[1:] for piece in pieces).strip()
    return text


def split_prompt(prompt: str, duration: str | float) -> tuple[list[str], list[float]]:
    """Split a prompt at every period into segments, with the seconds of each.

    duration is in seconds: one number for all segments, or one for each, separated by single
    spaces. Segments are not cleaned yet and end in a period. A prompt of nothing but blanks and
    periods is one empty segment. InputError if the durations are no positive numbers or not as
    many as the segments.
    """
    texts = [f"{piece.strip()}." for piece in prompt.split(".") if piece.strip()] or [""]
    words = duration.strip().split(" ") if isinstance(duration, str) else [str(duration)]
    try:
        seconds = [float(word) for word in words]
    except ValueError:
        raise InputError(
            f"duration {duration!r}: expected seconds, separated by single spaces"
        ) from None
    if not all(math.isfinite(value) and value > 0 for value in seconds):
        raise InputError(f"duration {duration!r}: expected positive, finite seconds")
    if len(seconds) == 1:
        seconds *= len(texts)
    if len(seconds) != len(texts):
        raise InputError(
            f"{len(seconds)} durations for {len(texts)} sentences; give one, or one for each"
        )
    return texts, seconds
