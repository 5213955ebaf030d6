"""A thousand descriptions of motions, to train projectors on.

Made of our own phrases by the grammar of captions: topics that people prompt for, each phrase with
manners, ways, sides and counts. What is shipped (``CORPUS``) is what ``descriptions`` gives; the
phrase is the group, so that near copies stay on one side of a split.
"""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

import numpy as np

from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.captions import word

CORPUS = "motions"
"""What the shipped texts are called in place of a file."""
NUM_DESCRIPTIONS = 1000
LICENCE = (
    "# 1,000 descriptions of motions, made by the grammar in motionrt.train.descriptions. "
    "CC0 1.0: no rights reserved."
)
SLOW = ("slowly", "very slowly", "at a slow pace", "leisurely", "in slow motion")
FAST = ("quickly", "very fast", "at full speed", "in a hurry", "as fast as possible")
MOODS = (
    "happily", "sadly", "angrily", "nervously", "proudly", "tiredly", "casually", "carefully",
    "confidently", "like an old man", "like a child", "with heavy steps", "on tiptoes",
)  # fmt: skip
DEEDS = (
    "with effort", "calmly", "hastily", "again and again", "twice", "three times", "once",
    "gracefully", "clumsily", "without a pause", "energetically", "lazily", "on the spot",
)  # fmt: skip
WAYS = (
    "forward", "backward", "to the left", "to the right", "sideways", "in a circle",
    "in a straight line", "in a zigzag", "in a curve to the left", "in a curve to the right",
    "up a hill", "down some stairs", "across the room", "around an obstacle", "diagonally",
)  # fmt: skip
SIDES = ("left", "right")
COUNTS = ("once", "twice", "three times", "four times", "several times")
"""Slots of phrases: {side}, {count}, {way}, {pace}."""

TOPICS: dict[str, tuple[str, ...]] = {
    "locomotion": (
        "^walk {way} {pace}", "^run {way} {pace}", "^jog {way} {pace}", "^march {way}",
        "^stroll {way}", "^limp {way} on the {side} leg", "^sneak {way}", "^crawl {way} {pace}",
        "^tiptoe {way}", "^stagger {way}", "^skip {way} {pace}", "^sprint {way}",
        "^walk {way} and then ^stop", "^start walking {way} and ^speed up", "^shuffle {way}",
        "^walk {way}, ^turn around and ^come back", "^hop {way} on the {side} foot",
        "^run {way} and ^slow down to a walk", "^step over something with the {side} foot first",
        "^walk with the hands behind the back {pace}", "^stride {way} {pace}",
        "^wade through deep water {pace}", "^walk against a strong wind", "^back away {pace}",
    ),
    "jumps and turns": (
        "^jump {count}", "^jump {way}", "^leap {way}", "^hop on the {side} leg {count}",
        "^jump up and ^turn to the {side}", "^jump over a puddle", "^jump down from a box",
        "^turn to the {side} {pace}", "^turn around over the {side} shoulder", "^spin {count}",
        "^pivot on the {side} foot", "^jump with both arms raised", "^do a star jump {count}",
        "^crouch down and ^jump as high as possible", "^land on both feet and ^roll {way}",
        "^do a cartwheel to the {side}", "^do a handstand", "^do a somersault {way}",
        "^look over the {side} shoulder", "^turn a quarter to the {side}",
    ),
    "dance": (
        "^dance {pace}", "^dance a waltz", "^dance salsa {count}", "^do a pirouette to the {side}",
        "^sway to the music {pace}", "^step to the {side} in rhythm", "^do a ballet leap {way}",
        "^move the hips in circles {pace}", "^do a moonwalk", "^do a breakdance on the floor",
        "^tap the {side} foot to the beat", "^dance like a robot", "^clap and ^dance in a circle",
        "^raise the {side} arm and ^spin", "^bow after a dance", "^dance tango with long steps",
        "^swing the arms and ^step {way}", "^kick the {side} leg high in a dance", "^dance hip hop",
        "^dance with the arms in waves {pace}", "^jump to the beat {count}",
    ),
    "sport": (
        "^throw a ball with the {side} hand", "^catch a ball with both hands {count}",
        "^kick a ball with the {side} foot {pace}", "^dribble a basketball {way}",
        "^shoot a basketball {count}", "^swing a tennis racket with the {side} hand",
        "^serve in tennis", "^swing a golf club {pace}", "^swing a baseball bat",
        "^do push-ups {pace}", "^do squats {pace}", "^do jumping jacks {count}", "^do a plank",
        "^lift a heavy barbell {count}", "^stretch the {side} leg", "^row a boat {pace}",
        "^ski down a slope {pace}", "^skate {way}", "^bowl with the {side} arm",
        "^do sit-ups {pace}", "^head a football", "^dive into a pool", "^swim the crawl {pace}",
        "^balance on the {side} leg", "^do a yoga pose with the arms raised", "^jump rope {pace}",
        "^climb a wall {pace}",
    ),
    "combat": (
        "^punch with the {side} fist {count}", "^kick with the {side} leg {count}",
        "^throw a {side} hook", "^block with the {side} arm", "^duck under a punch",
        "^dodge to the {side}", "^swing a sword from the {side}", "^stab with a spear {way}",
        "^parry with a sword and ^strike back", "^shoot an arrow {count}",
        "^aim a rifle to the {side}", "^do a roundhouse kick with the {side} leg",
        "^stand in a fighting stance {pace}", "^get hit in the stomach and ^fall",
        "^fall down after a blow to the {side}", "^throw a knife with the {side} hand",
        "^roll {way} to take cover", "^raise a shield", "^lunge {way} with a sword",
        "^wrestle someone to the ground", "^get up after a knockdown",
        "^strike with an axe {count}", "^knee an opponent with the {side} leg", "^box {pace}",
    ),
    "daily life": (
        "^sit down on a chair {pace}", "^stand up from a chair {pace}", "^lie down on a bed",
        "^pick up a box from the floor {pace}", "^put a box on a shelf",
        "^open a door with the {side} hand", "^wave with the {side} hand {count}",
        "^drink from a cup with the {side} hand", "^eat with a spoon", "^brush the teeth {pace}",
        "^sweep the floor {pace}", "^wash the dishes", "^talk on the phone with the {side} hand",
        "^type on a keyboard {pace}", "^tie a shoe", "^carry a heavy bag with the {side} arm",
        "^push a trolley {way}", "^pull a suitcase {way}", "^shake hands", "^point to the {side}",
        "^nod {count}", "^shake the head {count}", "^scratch the head with the {side} hand",
        "^yawn and ^stretch", "^read a book while standing", "^look around for something",
        "^climb a ladder {pace}", "^knock at a door {count}", "^wipe a table with the {side} hand",
        "^put on a jacket", "^clap the hands {count}",
    ),
    "science fiction": (
        "^float {way} without gravity", "^walk in a space suit {pace}", "^move like a robot {way}",
        "^fire a laser gun with the {side} hand", "^push buttons on a console {pace}",
        "^take cover from a blast", "^raise the {side} hand to stop a force", "^fly {way} {pace}",
        "^swing a light sword {count}", "^lift an object by thought alone", "^pilot a ship {pace}",
        "^shut down like a machine {pace}", "^power up and ^raise both arms",
        "^climb out of a capsule", "^scan the room to the {side}", "^jump high on the moon {count}",
        "^wake from cold sleep {pace}", "^repair a panel with the {side} hand",
        "^hover on the spot", "^glitch and ^jerk to the {side}", "^salute with the {side} hand",
        "^walk on a wall {pace}", "^throw an energy ball with the {side} hand",
        "^land after a long flight",
    ),
    "horror": (
        "^walk like a zombie {way}", "^crawl over the floor with broken legs {pace}",
        "^reach out with the {side} arm", "^stumble {way} in fear",
        "^run away from a monster {way}", "^look behind in terror over the {side} shoulder",
        "^twitch {count}", "^rise from a grave {pace}", "^creep along a wall {pace}",
        "^cower in a corner", "^shield the face with the {side} arm", "^bend over backward {pace}",
        "^stalk someone {pace}", "^lurch to the {side}", "^collapse and ^lie still",
        "^turn the head to the {side} {pace}", "^claw at the air {count}",
        "^shiver with cold and fear", "^hide behind a door", "^scream with both hands at the head",
        "^attack with bare hands {pace}", "^follow someone with heavy steps", "^fall to the knees",
        "^hold a lantern in the {side} hand and ^look around",
        "^walk backward out of a room {pace}",
    ),
}  # fmt: skip
"""Topic -> verb phrases; ``^`` marks the verbs, as in captions."""


def descriptions(count: int = NUM_DESCRIPTIONS, seed: int = 0) -> list[tuple[str, str]]:
    """Return so many different descriptions, cleaned, with their groups; the topics take turns."""
    random = np.random.default_rng(seed)
    found: dict[str, str] = {}
    tries = 0
    while len(found) < count:
        topic = list(TOPICS)[tries % len(TOPICS)]
        tries += 1
        phrases = TOPICS[topic]
        phrase = phrases[int(random.integers(len(phrases)))]
        text = clean_prompt(word(_filled(topic, phrase, random), random))
        found.setdefault(text, f"{topic}: {phrase.replace('^', '')}")
    return list(found.items())


def corpus_file() -> Path:
    """Return the shipped descriptions: a text and its group a line, in JSON, under a licence."""
    return Path(str(importlib.resources.files("motionrt") / "assets" / "texts" / "motions.jsonl"))


def corpus_text() -> str:
    """Return what the shipped file holds."""
    lines = [
        json.dumps({"text": text, "group": group}, ensure_ascii=False)
        for text, group in descriptions()
    ]
    return "\n".join((LICENCE, *lines)) + "\n"


def _filled(topic: str, phrase: str, random: np.random.Generator) -> str:
    """Fill a phrase's slots; one without a pace or a count gets a manner now and then."""
    paces = ("", *SLOW, *FAST, *(MOODS if topic in ("locomotion", "horror") else DEEDS))
    open_ended = not any(slot in phrase for slot in ("{pace}", "{count}", "{way}"))
    if open_ended and random.random() < 0.4:
        phrase += " {pace}"
    slots = {"side": SIDES, "count": COUNTS, "way": WAYS, "pace": paces}
    chosen = {name: values[int(random.integers(len(values)))] for name, values in slots.items()}
    return " ".join(phrase.format(**chosen).split())
