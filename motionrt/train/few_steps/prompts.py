"""Sentences to distil on, made up: what captions say, what people ask for, and plain English."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default import asked, corpus
from motionrt.train.default.captions import phrases_of, word
from motionrt.train.default.clips import Clip
from motionrt.train.default.deeds import DEEDS
from motionrt.train.default.measures import Measures

ACTIONS = {
    "walk": 5, "walk_turn": 5, "run": 4, "jump": 3, "kick": 3, "punch": 3, "dance": 3,
    "sit_down": 3, "stand": 3, "stand_up": 2, "turn": 2, "walk_circle": 2, "run_circle": 1,
    "walk_back": 2, "sidestep": 1, "walk_start": 1, "walk_stop": 1, "walk_other": 1,
    "fight_idle": 1, "seated": 1, "stand_posed": 1, "wave": 1, "fall": 2, "crouch_walk": 2,
}  # fmt: skip
"""How often each action of the captions is worded."""
CAPTION_SHARE, DEED_SHARE = 0.6, 0.25
"""Of the sentences; the others come from the wide corpus."""
RANGES: dict[str, tuple[float, float]] = {
    "speed": (0.0, 4.5),
    "turn_deg": (-200.0, 200.0),
    "turn_range_deg": (0.0, 100.0),
    "forward": (0.0, 1.0),
    "sideways": (-1.0, 1.0),
    "pelvis_end": (0.1, 0.6),
    "pelvis_max": (0.2, 0.9),
    "roaming": (0.0, 1.0),
    "limb_speed": (0.7, 1.5),
    "left_kick": (-0.5, 0.9),
    "right_kick": (-0.5, 0.9),
    "left_hand_speed": (0.0, 8.0),
    "right_hand_speed": (0.0, 8.0),
    "left_hand_height": (0.0, 0.4),
    "right_hand_height": (0.0, 0.4),
    "hand_level": (0.1, 0.9),
}
"""What a caption depends on, as far as it may be drawn."""


def draw_prompts(count: int, seed: int) -> list[str]:
    """Draw count different prompts, cleaned as the runtime does; the same for the same seed."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    wordings = [wording for deed in DEEDS for wording in deed.wordings]
    num_wide = max(1, round(count * (1 - CAPTION_SHARE - DEED_SHARE)))
    for text in corpus.sentences(num_wide, seed):
        found[clean_prompt(text)] = None
    while len(found) < count:
        if random.random() * (CAPTION_SHARE + DEED_SHARE) < CAPTION_SHARE:
            text = _caption(random)
        else:
            phrase = wordings[int(random.integers(len(wordings)))]
            text = asked.said(phrase, 2, random)[-1]
        found[clean_prompt(text)] = None
    return list(found)[:count]


def _caption(random: np.random.Generator) -> str:
    shares = np.array(list(ACTIONS.values()), np.float64)
    action = list(ACTIONS)[int(random.choice(len(ACTIONS), p=shares / shares.sum()))]
    values = {field.name: 0.0 for field in fields(Measures)}
    values |= {name: float(random.uniform(*limits)) for name, limits in RANGES.items()}
    values["num_jumps"] = int(random.integers(1, 3))
    nothing = np.zeros((0, 1, 4), np.float32)
    clip = Clip("", "", 20.0, nothing, nothing[:, 0, :3], (), (), "")
    phrases = phrases_of(action, clip, Measures(**values))  # type: ignore[arg-type]
    return word(phrases[int(random.integers(len(phrases)))], random)
