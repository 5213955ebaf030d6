"""How a task is worded: templates with placeholders, and what fills them.

Templates are data. A bundle states its own, and whoever asks may bring one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.chat import MARKERS
from motionrt.runtime.motiongpt_qwen.motion_tokens import (
    MotionTokens,
    holds_motion_token,
    motion_token,
)

CAPTION = "<Caption_Placeholder>"
MOTION = "<Motion_Placeholder>"
FRAMES = "<Frame_Placeholder>"
SECONDS = "<Second_Placeholder>"
HEAD = "<Motion_Placeholder_s1>"
TAIL = "<Motion_Placeholder_s2>"
MASKED = "<Motion_Placeholder_Masked>"
PLACEHOLDERS = (CAPTION, MOTION, FRAMES, SECONDS, HEAD, TAIL, MASKED)
"""In the order in which they are filled."""

TEMPLATES: Mapping[str, str] = {
    "t2m": f"Generate motion: {CAPTION}",
    "t2m_length": f"Generate motion with {FRAMES} frames: {CAPTION}",
    "m2t": f"Generate text: {MOTION}",
    "m2t_length": f"Generate text with {FRAMES} frames: {MOTION}",
    "prediction": f"Predict motion: {HEAD}",
    "in_between": f"Complete the masked motion: {MASKED}",
}
"""Task -> the wording that upstream asks with."""

LONGEST_TEMPLATE = 10_000
"""Letters: each placeholder in it may become a whole motion."""
PREDICT_RATIO = 0.2
"""Of a motion that is carried on so much is shown."""
BETWEEN_RATIO = 0.25
"""Of a motion with a gap so much is shown at either end."""


@dataclass(frozen=True)
class Filling:
    """What goes into a template."""

    caption: str = ""
    motion: str = ""
    """As ``MotionTokens.text`` gives it."""
    length: int = 0
    """Frames."""
    frames_per_token: int = 4
    fps: float = 20.0
    quoted: bool = False
    """Put the caption in double quotes, as half of upstream's prompts have it."""
    predict_ratio: float = PREDICT_RATIO
    between_ratio: float = BETWEEN_RATIO
    tokens: MotionTokens = field(default_factory=MotionTokens)

    def into(self, template: str) -> str:
        """Replace a template's placeholders, one kind after another."""
        pieces = self.motion.split(">")
        count = self.length / self.frames_per_token
        head = int(count * self.predict_ratio + 1)
        first = int(count * self.between_ratio + 1)
        last = int(count * (1 - self.between_ratio) + 1)
        start, end, mask = map(motion_token, (self.tokens.start, self.tokens.end, self.tokens.mask))
        hidden = mask * (last - first)
        values = {
            CAPTION: f'"{self.caption}"' if self.quoted else self.caption,
            MOTION: self.motion,
            FRAMES: str(self.length),
            SECONDS: f"{math.floor(self.length / self.fps):.1f}",
            HEAD: ">".join(pieces[:head]) + ">" + end,
            TAIL: start + ">".join(pieces[head:]),
            MASKED: ">".join(pieces[:first]) + ">" + hidden + ">".join(pieces[last:]),
        }
        text = template
        for placeholder in PLACEHOLDERS:
            text = text.replace(placeholder, values[placeholder])
        return text


def find_template(asked: str | None, task: str, templates: Mapping[str, str]) -> str:
    """Return the template that is asked for: by its name, or itself; None takes the task's.

    InputError if it is neither a name nor holds the placeholder that the task needs.
    """
    needed = {"t2m": CAPTION, "m2t": MOTION, "prediction": HEAD, "in_between": MASKED}[task]
    text = templates[task] if asked is None else templates.get(asked, asked)
    if len(text) > LONGEST_TEMPLATE:
        raise InputError(f"template of {len(text)} letters: {LONGEST_TEMPLATE} are the most")
    if needed not in text:
        names = [name for name, wording in templates.items() if needed in wording]
        raise InputError(
            f"template {asked!r} has no {needed}; write one with it, or choose {', '.join(names)}"
        )
    return text


def check_text(text: str) -> str:
    """Return a user's text; InputError if it holds what means something to the model."""
    reserved = next((mark for mark in (*MARKERS, *PLACEHOLDERS) if mark in text), None)
    found = reserved or holds_motion_token(text)
    if found is not None:
        raise InputError(f"prompt holds {found}, which the model reserves; leave it out")
    return text
