"""What a model wrote: thoughts, words, and the codes of a motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens, motion_token
from motionrt.runtime.motiongpt_qwen.templates import MOTION

NO_MOTION = (0,)
"""What upstream's parser gives where it finds none."""


@dataclass(frozen=True)
class Codes:
    """A motion among generated ids."""

    codes: tuple[int, ...]
    """From 0, below the codebook's size; empty if there is no motion."""
    notes: tuple[str, ...] = ()
    """What was mended."""


def read_codes(
    ids: Sequence[int], first_id: int, think_close: int | None, tokens: MotionTokens
) -> Codes:
    """Collect the codes of the first motion in generated token ids, thoughts left out.

    first_id: the id of motion token 0; think_close: the id that ends thoughts, if there is one.
    What stands between two codes does not disturb them; a motion that does not end is taken as far
    as it goes, and start, mask or anything else inside it is left out, both with a note.
    """
    rest = list(ids)
    if think_close is not None and think_close in rest:
        rest = rest[len(rest) - rest[::-1].index(think_close) :]
    start, end = first_id + tokens.start, first_id + tokens.end
    if start not in rest:
        return Codes(())
    inside = rest[rest.index(start) + 1 :]
    notes = []
    if end in inside:
        inside = inside[: inside.index(end)]
    else:
        notes.append("the motion was not ended; it is taken as far as it goes")
    numbers = [i - first_id for i in inside if 0 <= i - first_id < tokens.num_codes]
    if len(numbers) != len(inside):
        notes.append(f"{len(inside) - len(numbers)} tokens inside the motion are none of its codes")
    return Codes(tuple(numbers), tuple(notes))


def read_codes_of_text(text: str, tokens: MotionTokens) -> Codes:
    """Collect the codes of the first motion in a text without thoughts, as `read_codes` does."""
    numbers = [tokens.mask + 1 if number is None else number for number in tokens.numbers(text)]
    return read_codes(numbers, 0, None, tokens)


def parse_as_upstream(text: str, tokens: MotionTokens) -> tuple[list[int], str]:
    """Return the ids of the first motion in a text, and the text with a placeholder for it.

    As upstream's parser does, faults included: a motion without its end is none, what stands
    between two codes swallows the one before it, codes of any size come out, and no motion is the
    single id 0. InputError where upstream raises ValueError: for a code that is no number.
    """
    start, end = motion_token(tokens.start), motion_token(tokens.end)
    first, last = text.find(start), text.find(end)
    if first < 0 or last < 0:
        return list(NO_MOTION), text
    span = start + text[first + len(start) : last] + end
    ids = []
    for piece in span.split("><")[1:-1]:
        if not piece.startswith("motion_id_"):
            continue
        number = piece.rpartition("_")[2].replace(">", "")
        try:
            ids.append(int(number))
        except ValueError:
            raise InputError(f"motion token {piece!r}: no number in it") from None
    return ids or list(NO_MOTION), text.replace(span, MOTION)
