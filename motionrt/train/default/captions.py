"""Captions that are true: actions found by measuring, worded in many ways.

A verb phrase marks its verbs with ``^``: "^walk forward and ^turn left" becomes "a person walks
forward and turns left", "someone is walking forward and turning left", "walk forward and turn
left".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from motionrt.train.default.clips import Clip
from motionrt.train.default.measures import SEATED_PELVIS_M, STANDING_PELVIS_M, Measures

SUBJECTS = (
    ("a person", 10),
    ("someone", 4),
    ("a man", 3),
    ("a woman", 2),
    ("the person", 3),
    ("a figure", 2),
    ("a human", 1),
    ("somebody", 1),
    ("a character", 2),
    ("the man", 1),
    ("he", 1),
    ("she", 1),
    ("a guy", 1),
    ("an adult", 1),
    ("the character", 1),
    ("a human figure", 1),
)
"""Who does it, and how often."""

FORMS = (
    ("{subject} {third}", 14),
    ("{subject} is {ing}", 3),
    ("{base}", 2),
    ("{ing}", 2),
    ("{subject} {ing}", 1),
    ("person {ing}", 1),
)

_DOUBLED = {
    "run", "jog", "step", "sit", "hop", "hit", "swim", "stop", "spin", "nod", "clap", "put", "get",
    "skip", "squat", "strut", "jab", "bob", "plod", "trot", "strip", "dip", "grab",
    "begin", "sidestep", "cut", "slip", "stab", "chop", "drop", "wag", "dab", "trip",
}  # fmt: skip
_THIRD = {"be": "is", "have": "has"}
_VERB = re.compile(r"\^([a-z]+)")


def third_person(verb: str) -> str:
    """Conjugate: walk gives walks, push pushes, carry carries."""
    if verb in _THIRD:
        return _THIRD[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def present_participle(verb: str) -> str:
    """Conjugate: walk gives walking, run running, dance dancing, lie lying."""
    if verb == "be":
        return "being"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    return verb + "ing"


def word(phrase: str, random: np.random.Generator) -> str:
    """Make a sentence of a verb phrase, with a subject and a form drawn at random."""
    form = _draw(FORMS, random)
    return form.format(
        subject=_draw(SUBJECTS, random),
        third=_VERB.sub(lambda verb: third_person(verb[1]), phrase),
        ing=_VERB.sub(lambda verb: present_participle(verb[1]), phrase),
        base=phrase.replace("^", ""),
    )


def _draw(table: Sequence[tuple[str, int]], random: np.random.Generator) -> str:
    weights = np.array([weight for _, weight in table], np.float64)
    return table[int(random.choice(len(table), p=weights / weights.sum()))][0]


# --- actions -------------------------------------------------------------------------------------

EXCLUDED_TAGS = frozenset({"climb", "swim", "tread", "drive"})
"""They rest on things that are not there."""
_STYLED = frozenset(
    {"dance", "crouch", "zombie", "dribble", "look", "kick", "jump", "sit", "balance", "throw"}
)
_STYLE_WORDS = ("zombie", "stylish", "exaggerated")
_GROUND_WORDS = ("uneven", "rope")
_STAGE_WORDS = ("ballet", "modern dance", "pose", *_STYLE_WORDS)
KICK_M = 0.15
"""A kick's foot comes this far above the other knee."""
PUNCH_MPS = 3.5
"""A punch's hand is this fast."""
BOTH_FISTS_MPS = 2.5
"""Whoever boxes strikes with both hands; one hand this fast alone is a punch."""
DANCE_MPS = 0.45
"""Hands and feet of who dances move so fast on average; a held pose is no dance."""
LIVELY_DANCE_MPS = 0.6
"""Whoever dances without saying more moves so fast."""
LIFTED_HAND_M = 0.12
"""Whoever stands without saying more has hands no higher above the pelvis."""
RAISED_HAND_M = 0.45
"""Hands so high are raised, lower ones lifted."""
SPOT_M = 1.9
"""Whoever dances without saying more stays this near to where the dance began."""


CIRCLE_DEG, MAX_CIRCLE_GAP_M = (325.0, 395.0), 0.6
"""Whoever walks in a circle turns so far and ends so near to where it began."""
FALLEN_PELVIS_M = 0.35
WAVE_M, WAVE_MPS = 0.0, 0.6
"""A waving hand comes so high against the head, and moves so fast."""


def action_of(clip: Clip, m: Measures) -> str | None:
    """Name the action that a window shows; None if it is of no use."""
    tags = set(clip.tags)
    if tags & EXCLUDED_TAGS or _says(clip, _GROUND_WORDS):
        return None
    if clip.folder == "animations" and (found := _rare(tags, m)) is not None:
        return found or None
    round_deg = abs(m.turn_deg)
    comes_round = CIRCLE_DEG[0] < round_deg < CIRCLE_DEG[1] and m.closing < MAX_CIRCLE_GAP_M
    if comes_round and m.forward > 0.8 and tags & {"walk", "run"} and not tags & _STYLED:
        return "walk_circle" if m.speed < 2.0 else "run_circle" if m.speed < MAX_RUN_MPS else None
    calm = m.speed < 0.12 and m.limb_speed < 0.22 and m.pelvis_min > STANDING_PELVIS_M
    level = abs(m.pelvis_end - m.pelvis_start) < 0.12
    if calm and abs(m.turn_deg) < 20 and m.turn_range_deg < 40 and level and "balance" not in tags:
        return _stand(m)
    if "sit" in tags or "stand_up" in tags:
        if m.pelvis_start > 0.8 and m.pelvis_end < SEATED_PELVIS_M:
            return "sit_down"
        if m.pelvis_start < SEATED_PELVIS_M and m.pelvis_end > 0.8:
            return "stand_up"
        if m.pelvis_max < SEATED_PELVIS_M and "sit" in tags:
            return "seated"
    jumped = m.num_jumps > 0 and m.rise > 0.12 and m.jump_seconds >= 0.15
    if "jump" in tags and not tags & {"sword", "dance", "climb"}:
        if jumped and m.speed < 1.6:
            return "jump"
        if not tags & {"run"}:
            return None
    kick, punch = max(m.left_kick, m.right_kick), max(m.left_hand_speed, m.right_hand_speed)
    if "kick" in tags and kick > KICK_M:
        return "kick"
    if "kick" in tags and "punch" in tags:
        return "other"  # karate: poses held long between strikes, no boxing
    if "punch" in tags and punch > PUNCH_MPS:
        return "punch"
    if "kick" in tags or "punch" in tags:
        # What is neither one nor the other teaches nothing but half a kick.
        return "fight_idle" if m.speed < 0.5 and kick < 0 and punch < 2.5 else None
    if "run" in tags and not tags & _STYLED:
        if 2.0 < m.speed < MAX_RUN_MPS and m.forward > 0.8:
            return "run"
        return None
    if tags & {"walk", "walk_back", "turn"} and not tags & _STYLED:
        if _says(clip, _STYLE_WORDS):
            return "other"
        if m.speed < 0.2:
            if abs(m.turn_deg) >= 45:
                return "turn"
            return _stand(m) if m.limb_speed < 0.3 else None
        if m.speed > 2.1:
            return None
        if abs(m.turn_deg) >= 45:
            return "walk_turn" if m.speed > 0.35 else "turn"
        if m.forward < -0.6:
            return "walk_back"
        if abs(m.sideways) > 0.7:
            return "sidestep"
        if m.start_speed < 0.25 and m.end_speed > 0.5:
            return "walk_start"
        if m.end_speed < 0.25 and m.start_speed > 0.5:
            return "walk_stop"
        if m.forward > 0.7 and m.slowest > 0.5 * m.speed and m.speed > 0.3:
            return "walk"
        return "walk_other"
    if "dance" in tags:
        if m.limb_speed < DANCE_MPS:
            return None
        # Stage dance is known by its own words; "dances" alone means a rhythm on the spot.
        return "other" if _says(clip, _STAGE_WORDS) else "dance"
    return "other"


def _rare(tags: set[str], m: Measures) -> str | None:
    """Name what few clips show: a wave, a fall, a walk in a crouch; "" for a piece that does not.

    None if the clip is of something else.
    """
    if "fall" in tags:
        return "fall" if m.pelvis_start > 0.7 and m.pelvis_end < FALLEN_PELVIS_M else ""
    if tags & {"wave", "greet"}:
        raised = max(m.left_hand_height, m.right_hand_height) > WAVE_M
        moved = max(m.left_hand_speed, m.right_hand_speed) > WAVE_MPS
        return "wave" if raised and moved else ""
    if {"crouch", "walk"} <= tags:
        return "crouch_walk"
    return None


def _stand(m: Measures) -> str:
    return "stand_posed" if m.hand_level > LIFTED_HAND_M else "stand"


def _says(clip: Clip, words: Sequence[str]) -> bool:
    return any(word in text for word in words for text in clip.captions)


def phrases_of(action: str, clip: Clip, m: Measures) -> list[str]:
    """Give the verb phrases that are true of a window showing this action."""
    side = "left" if m.turn_deg > 0 else "right"
    straight = abs(m.turn_deg) < 20 and m.turn_range_deg < 40
    if action == "stand":
        return _STAND
    if action == "stand_posed":
        return _STAND_RAISED if m.hand_level > RAISED_HAND_M else _STAND_LIFTED
    if action == "walk":
        return _walk(m, straight)
    if action == "walk_turn":
        return _walk_turn(m, side)
    if action in ("walk_circle", "run_circle"):
        return _circle("walk" if action == "walk_circle" else "run", m, side)
    if action == "wave":
        return _wave(m)
    if action == "fall":
        return _FALL
    if action == "crouch_walk":
        return _CROUCH_WALK
    if action == "turn":
        return _turn(m, side)
    if action == "walk_back":
        return [
            "^walk backward", "^walk backwards", "^step backward", "^move backwards",
            "^back up", "^go backward", "^retreat slowly", "^back away",
        ]  # fmt: skip
    if action == "sidestep":
        to = "left" if m.sideways > 0 else "right"
        return [
            f"^step sideways to the {to}", f"^sidestep to the {to}", f"^walk sideways to the {to}",
            f"^move to the {to} sideways", f"^side step {to}", f"^shuffle to the {to}",
        ]  # fmt: skip
    if action == "walk_start":
        return [
            "^start walking", "^begin to walk", "^stand and then ^walk forward",
            "^start to walk forward", "^wait and then ^walk", "^set off walking",
        ]  # fmt: skip
    if action == "walk_stop":
        return [
            "^walk and then ^stop", "^walk forward and ^stop", "^walk forward and ^come to a stop",
            "^walk a few steps and ^stand still", "^stop walking", "^walk and ^come to a halt",
        ]  # fmt: skip
    if action == "walk_other":
        return ["^walk around", "^walk", "^move around", "^take a few steps", "^wander about"]
    if action == "run":
        return _run(m, straight)
    if action == "jump":
        return _jump(m)
    if action == "kick":
        return _kick(clip, m)
    if action == "punch":
        return _punch(clip, m)
    if action == "fight_idle":
        return [
            "^stand in a fighting stance", "^hold up the fists", "^be ready to fight",
            "^move in a fighting stance", "^guard with raised hands", "^get ready to fight",
        ]  # fmt: skip
    if action == "sit_down":
        low = m.pelvis_end < 0.3
        seats = (
            ["on the floor", "on the ground"] if low else ["on a chair", "on a seat", "on a stool"]
        )
        return (
            ["^sit down"] * 6
            + [f"^sit down {seat}" for seat in seats]
            + [f"^sit {seat}" for seat in seats]
            + ["^take a seat", "^sit", "^lower down to sit", "^have a seat", "^go to sit down"]
            + ([] if low else _SEATINGS)
        )
    if action == "stand_up":
        return [
            "^stand up", "^get up", "^rise from a seat", "^stand up from sitting", "^rise",
            "^get to the feet", "^rise to the feet", "^get up from a seat",
        ]  # fmt: skip
    if action == "seated":
        low = m.pelvis_max < 0.3
        seats = (
            ["on the floor", "on the ground"] if low else ["on a chair", "on a seat", "on a stool"]
        )
        # "Sits on a chair" is said of whoever sits down; these say that it has happened already.
        return [
            "^stay seated",
            "^keep sitting",
            "^remain seated",
            "^sit still",
            "^sit and ^wait",
        ] + [f"^{verb} {seat}" for verb in ("stay seated", "remain seated") for seat in seats]
    if action == "dance" and m.roaming < SPOT_M and m.limb_speed > LIVELY_DANCE_MPS:
        return ["^dance", "^dance around", "^perform a dance", "^do a dance", "^move to the music"]
    return []


_SEATINGS = [
    "^sit down on a bench",
    "^sink into a chair",
    "^settle into a seat",
    "^plop down on a chair",
    "^get seated",
    "^drop into a chair",
    "^settle down on a stool",
    "^sit on a bench",
    "^take place on a chair",
    "^sit down slowly",
    "^lower the body onto a seat",
    "^sit on a sofa",
]

_STAND = [
    "^stand still", "^stand still", "^stand still", "^stand", "^stand in place",
    "^stand on the spot", "^stay still", "^remain still", "^stand motionless", "^wait",
    "^stand and ^wait", "^stand idle", "^idle", "^stand without moving",
    "^hold still", "^stand upright", "^stand quietly", "^stay in place",
    "^pause", "^rest while standing", "^stand around", "^keep still",
]  # fmt: skip

_STAND_LIFTED = [
    "^stand with the hands lifted", "^stand with lifted hands", "^stand with bent arms",
    "^hold the hands in front of the body", "^stand and ^hold up the hands", "^lift the hands",
    "^stand still with the arms bent", "^pose with lifted hands",
]  # fmt: skip
_STAND_RAISED = [
    "^stand with raised arms", "^stand with the arms up", "^hold the arms up", "^raise the arms",
    "^stand still with raised hands", "^hold the hands up high", "^stand with raised hands",
    "^pose with raised arms",
]  # fmt: skip

_SLOW = [
    "slowly", "slowly", "slowly", "at a slow pace", "very slowly", "leisurely", "unhurriedly",
    "in no hurry", "with slow steps", "at a leisurely pace", "gently", "at low speed",
]  # fmt: skip
_FAST = [
    "quickly", "quickly", "quickly", "fast", "briskly", "at a brisk pace", "at a fast pace",
    "hurriedly", "in a hurry", "rapidly", "with quick steps", "at high speed", "swiftly",
    "very fast",
]  # fmt: skip
_MEDIUM = [
    "at a normal pace", "at a moderate pace", "casually", "normally", "at a steady pace",
    "at a relaxed pace", "steadily", "calmly", "at an even pace", "naturally",
]  # fmt: skip
_AHEAD = ["forward", "forward", "forward", "forwards", "ahead", "straight ahead", "straight",
          "in a straight line", "straight forward", "onward", "along a straight path"]  # fmt: skip
_SLOW_VERBS = ["^stroll", "^amble", "^saunter", "^plod", "^wander slowly", "^stroll slowly",
               "^stroll at a leisurely pace", "^stroll leisurely", "^creep along"]  # fmt: skip
_FAST_VERBS = ["^stride", "^hurry", "^march quickly", "^rush", "power ^walk", "speed ^walk",
               "^hurry along", "^hurry on foot", "^stride briskly", "^rush along on foot",
               "briskly ^walk", "^walk with brisk steps"]  # fmt: skip
_WALK_VERBS = ["^walk", "^walk", "^walk", "^walk", "^step", "^go", "^move", "^take a walk",
               "^go for a walk", "^march", "^pace", "^stroll", "^take steps"]  # fmt: skip

MAX_RUN_MPS = 4.8
"""Game characters run faster, with legs that spin."""
SLOW_WALK_MPS = 0.85
FAST_WALK_MPS = 1.5


def _walk(m: Measures, straight: bool) -> list[str]:
    ahead = _AHEAD if straight else _AHEAD[:5]
    plain = [f"^walk {way}" for way in ahead] + ["^walk"] * 2
    if m.speed < SLOW_WALK_MPS:
        result = [f"^walk {how}" for how in _SLOW] + [f"^walk forward {how}" for how in _SLOW]
        result += [f"^walk {how} {way}" for how in ("slowly", "slowly") for way in ahead]
        result += [f"slowly {verb} forward" for verb in _WALK_VERBS[3:7]]
        result += _SLOW_VERBS + [f"{verb} forward" for verb in _SLOW_VERBS]
        return result
    if m.speed > FAST_WALK_MPS:
        result = [f"^walk {how}" for how in _FAST] + [f"^walk forward {how}" for how in _FAST]
        result += [f"^walk {how} {way}" for how in ("quickly", "fast", "briskly") for way in ahead]
        result += [f"quickly {verb} forward" for verb in _WALK_VERBS[3:7]]
        result += _FAST_VERBS + [f"{verb} forward" for verb in _FAST_VERBS]
        return result
    result = [f"{verb} {way}" for verb in _WALK_VERBS for way in ahead[:6]] + plain * 4
    result += [f"^walk {how}" for how in _MEDIUM] + [f"^walk forward {how}" for how in _MEDIUM]
    return result


def _walk_turn(m: Measures, side: str) -> list[str]:
    result = [
        f"^walk and ^turn {side}", f"^walk and ^turn {side}", f"^walk and ^turn to the {side}",
        f"^walk forward and ^turn {side}", f"^walk forward and then ^turn to the {side}",
        f"^walk in a curve to the {side}", f"^turn {side} while walking",
        f"^walk and ^curve {side}",
        f"^walk {side}", f"^walk to the {side}", f"^make a {side} turn while walking",
        f"^walk and ^make a {side} turn", f"^take a {side} turn", f"^veer {side} while walking",
        f"^walk along a curve to the {side}", f"^turn {side} and ^walk on",
        f"^walk ahead and ^turn {side}", f"^keep walking and ^turn {side}",
        f"^go around a corner to the {side}", f"^take a {side}", f"^bear {side} while walking",
        f"^head {side}", f"^curve to the {side}", f"^walk around a bend to the {side}",
        f"^swerve to the {side} while walking", f"^walk forward and ^curve to the {side}",
    ]  # fmt: skip
    amount = abs(m.turn_deg)
    if 65 <= amount <= 115:
        result += [
            f"^walk and ^turn 90 degrees to the {side}",
            f"^make a quarter turn to the {side}",
        ]
    if 150 <= amount <= 215:
        result += [
            f"^walk, ^turn around to the {side} and ^walk back", "^walk forward and ^turn around",
            f"^walk in a half circle to the {side}", "^walk and ^turn around",
            "^walk and ^turn back",
            f"^turn around over the {side} side and ^walk back",
        ]  # fmt: skip
    if m.speed < 0.65:
        result += [f"^walk slowly and ^turn {side}", f"slowly ^walk in a curve to the {side}"]
    if m.speed > 1.3:
        result += [f"^walk quickly and ^turn {side}", f"^walk fast in a curve to the {side}"]
    return result


def _circle(verb: str, m: Measures, side: str) -> list[str]:
    """Word a circle. To the right it is always said: half of each would make an S of a circle."""
    clockwise = "counterclockwise" if side == "left" else "clockwise"
    slow, fast = m.speed < SLOW_WALK_MPS, m.speed > FAST_WALK_MPS
    result = [
        f"^{verb} in a circle to the {side}", f"^{verb} in a {clockwise} circle",
        f"^{verb} {clockwise} in a circle", f"^{verb} in a circle {clockwise}",
    ] * 2  # fmt: skip
    if side == "right":
        return result
    result += [f"^{verb} in a circle"] * 6 + [
        f"^{verb} around in a circle", f"^{verb} in circles", f"^{verb} around in circles",
        f"^{verb} a full circle", f"^{verb} once around in a circle", f"^{verb} a circle",
        f"^make a circle while {present_participle(verb)}", f"^{verb} round in a circle",
        f"^{verb} in a big circle", f"^{verb} in a small circle", f"^{verb} a lap",
        f"^{verb} in a complete circle", f"^circle around while {present_participle(verb)}",
        f"^{verb} in a loop", f"^{verb} around something in a circle",
    ]  # fmt: skip
    if verb == "run":
        return [*result, "^jog in a circle", "^run laps", "^jog in circles"]
    result += ["^move in a circle", "^go around in a circle", "^pace in a circle",
               "^stroll in a circle", "^go in circles", "^wander in a circle"]  # fmt: skip
    if slow:
        result += ["^walk slowly in a circle"] * 3
    if fast:
        result += ["^walk quickly in a circle"] * 3
    return result


def _wave(m: Measures) -> list[str]:
    """Word a wave. With the left hand it is always said: half of each would raise neither."""
    side = "left" if m.left_hand_height > m.right_hand_height else "right"
    result = [
        f"^wave with the {side} hand", f"^wave the {side} hand", f"^wave the {side} arm",
        f"^raise the {side} hand and ^wave", f"^wave with the {side} arm",
    ] * 2  # fmt: skip
    if side == "left":
        return result
    return result + ["^wave"] * 4 + [
        "^wave hello", "^wave hello", "^wave goodbye", "^wave a hand", "^wave at someone",
        "^greet someone", "^greet someone with a wave", "^raise a hand and ^wave",
        "^wave to a friend", "^wave to someone", "^say hello with a wave", "^give a wave",
        "^stand and ^wave", "^wave with one hand", "^wave an arm", "^wave to the crowd",
        "^lift an arm and ^wave", "^wave in greeting", "^say goodbye with a wave",
        "^raise an arm to wave", "^wave hi", "^wave bye", "^hold up a hand and ^wave",
        "^keep waving", "^wave happily", "^say hello", "^say goodbye",
    ]  # fmt: skip


_FALL = [
    *["^fall"] * 3, *["^fall down"] * 4, "^fall over", "^fall over", "^fall to the ground",
    "^fall to the floor", "^collapse", "^collapse", "^collapse to the ground", "^fall backwards",
    "^fall on the back", "^drop to the floor", "^tumble to the ground", "^die", "^drop dead",
    "^fall down dead", "^faint", "^pass out", "^lose balance and ^fall", "^keel over",
    "^fall down backwards", "^collapse and ^lie on the floor", "^topple over",
    "^fall and ^stay down", "^crash to the ground", "^slump to the ground",
]  # fmt: skip

_CROUCH_WALK = [
    "^walk in a crouch", "^walk in a crouch", "^walk crouched", "^walk crouched", "^walk crouching",
    "^walk while crouching", "^crouch and ^walk", "^crouch and ^walk forward", "^sneak",
    "^sneak", "^sneak forward", "^sneak ahead", "^sneak around", "^sneak along",
    "^walk with deeply bent knees", "^walk low to the ground", "^walk hunched down",
    "^creep forward in a crouch", "^duck and ^walk", "^move forward in a crouch",
    "^walk forward crouched", "^crouch down and ^walk", "^stay low and ^walk",
    "^move stealthily", "^walk stealthily", "^sneak quietly", "^walk ducked",
]  # fmt: skip


def _turn(m: Measures, side: str) -> list[str]:
    result = [
        f"^turn {side}", f"^turn to the {side}", f"^turn {side} on the spot",
        f"^rotate to the {side}", f"^turn the body to the {side}", f"^turn in place to the {side}",
        f"^pivot to the {side}", f"^face to the {side}", f"^spin {side} slowly",
    ]  # fmt: skip
    if abs(m.turn_deg) > 140:
        result += [f"^turn around to the {side}", "^turn around", "^turn around on the spot"]
    return result


def _run(m: Measures, straight: bool) -> list[str]:
    ahead = _AHEAD if straight else _AHEAD[:5]
    verbs = ["^run", "^run", "^run"] + (
        ["^jog", "^jog"] if m.speed < 3.0 else ["^jog"] if m.speed < 3.4 else []
    )
    result = [f"{verb} {way}" for verb in verbs for way in ahead] + ["^run"] * 4 + verbs
    if m.speed < 2.9:
        result += ["^run slowly", "^jog slowly", "^jog at an easy pace", "^go for a jog",
                   "^run at a slow pace", "^trot forward", "^jog along"]  # fmt: skip
    if m.speed > 3.2:
        result += ["^run fast", "^run quickly", "^sprint", "^sprint forward", "^dash forward",
                   "^run at high speed", "^run as fast as possible", "^race ahead", "^run rapidly",
                   "^rush forward running", "^run in a hurry", "^dash"]  # fmt: skip
    return result


def _jump(m: Measures) -> list[str]:
    result: list[str] = []
    if m.num_jumps > 1:
        result += ["^jump up and down", "^jump several times", "^jump repeatedly", "^keep jumping",
                   "^jump again and again", "^hop up and down", "^jump",
                   "^bounce up and down"]  # fmt: skip
    else:
        result += ["^jump", "^jump", "^jump", "^jump up", "^jump into the air", "^leap up",
                   "^jump once", "^leap", "^do a jump", "^jump up high", "^make a jump",
                   "^crouch and ^jump", "^jump and ^land", "^take a leap", "^jump with both feet",
                   "^spring up", "^hop up"]  # fmt: skip
    if m.speed > 0.3 and m.forward > 0.6:
        result += ["^jump forward", "^leap forward", "^jump ahead", "^jump forward"]
    elif m.speed < 0.15:
        result += ["^jump on the spot", "^jump in place", "^jump straight up", "^jump vertically"]
    return result


def _kick(clip: Clip, m: Measures) -> list[str]:
    side = "left" if m.left_kick > m.right_kick else "right"
    other = min(m.left_kick, m.right_kick) > 0
    result = ["^kick", "^kick", "^kick", "^kick something", "^give a kick", "^do a kick",
              "^perform a kick", "^throw a kick", "^kick into the air",
              "^swing a leg to kick"]  # fmt: skip
    if not other:
        result += [
            f"^kick with the {side} foot", f"^kick with the {side} leg", f"^do a {side} kick",
            f"^kick with the {side} leg", f"^raise the {side} leg and ^kick",
        ]  # fmt: skip
    if max(m.left_kick, m.right_kick) > 0.5:
        result += ["^kick high", "^do a high kick", "^make a high kick"]
    if "run" in clip.tags:
        result += [
            "^kick a ball",
            "^kick a soccer ball",
            "^step up and ^kick a ball",
            "^shoot a football",
        ]
    elif "punch" in clip.tags:
        result += [
            "^do a karate kick",
            "^practice karate kicks",
            "^do martial arts",
            "^kick and ^punch",
        ]
    return result


def _punch(clip: Clip, m: Measures) -> list[str]:
    left, right = m.left_hand_speed > BOTH_FISTS_MPS, m.right_hand_speed > BOTH_FISTS_MPS
    result = ["^punch", "^punch", "^throw punches", "^throw a punch", "^punch the air",
              "^strike with the fists", "^fight with the fists"]  # fmt: skip
    if left != right:
        side = "left" if left else "right"
        result += [
            f"^punch with the {side} hand",
            f"^throw a {side} punch",
            f"^hit with the {side} fist",
        ]
    if "kick" in clip.tags:
        result += ["^do karate", "^practice karate", "^do martial arts", "^perform karate moves"]
    elif left and right:
        result += ["^box"] * 5 + ["^do boxing", "^practice boxing", "^box against the air",
                   "shadow ^box", "^fight", "^fight like a boxer", "^train boxing",
                   "^throw jabs", "^fight with the fists", "^throw punches",
                   "^throw many punches"]  # fmt: skip
    return result


_SUBJECT = re.compile(
    r"^(a|the) (person|man|woman|figure|human|character)\b|^(someone|somebody|a human figure)\b"
)


def clip_sentences(clip: Clip, random: np.random.Generator) -> list[str]:
    """Give the clip's own captions, each also with another subject."""
    result = list(clip.captions)
    for text in clip.captions:
        subject = _draw(SUBJECTS, random)
        result.append(_SUBJECT.sub(subject, text))
    return result


def captions_of(
    action: str, clip: Clip, m: Measures, random: np.random.Generator, count: int
) -> list[str]:
    """Word count captions for a window, true by its measures and by its clip's words."""
    phrases = phrases_of(action, clip, m)
    own_share = {
        "dance": 0.6,
        "other": 1.0,
        "punch": 0.25,
        "kick": 0.15,
        "seated": 0.0,
        "wave": 0.0,
    }
    share = own_share.get(action, 0.1 if clip.folder == "animations" else 0.0)
    if not phrases:
        share = 1.0
    own = clip_sentences(clip, random)
    result = []
    for _ in range(count):
        if random.random() < share:
            result.append(own[int(random.integers(len(own)))])
        else:
            result.append(word(phrases[int(random.integers(len(phrases)))], random))
    return result
