"""Sentences to teach a text encoder on: motion in wide wording, and plain English around it.

They need not be true of anything: a teacher says where each lies in the text space.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from motionrt.train.default.captions import present_participle, third_person

SUBJECTS = """a person|someone|somebody|a man|a woman|a human|a figure|a character|a guy|a girl
a boy|the person|the man|the woman|the character|the figure|he|she|they|a child|an adult
a teenager|an old man|an old woman|a young man|a young woman|a tall man|a small woman
a tired man|a happy person|an angry man|a sad woman|a drunk man|an elderly person|a soldier
a dancer|a boxer|an athlete|a runner|a fighter|a player|a hero|a robot|a zombie|a warrior
a worker|a nurse|a policeman|a hiker|a jogger|a pedestrian|a tourist|a student|a teacher
a doctor|a farmer|a thief|a knight|a monk|a king|a queen|a skeleton|an actor|a performer
the subject|the avatar|our hero|the player|the npc|the human|people|a pirate|a ninja|a samurai
a guard|a wizard|an archer|a fencer|a gymnast|a skater|a toddler|a giant|the boxer|the dancer
the runner|the soldier|the old man|the woman in red|a stick figure|one person|the performer
a lady|a gentleman|a kid|a shopper|a commuter|a waiter|a clown|an actress|a coach"""

TRAVEL = """walk|run|jog|stroll|march|stride|sprint|dash|rush|hurry|wander|amble|saunter|plod
trudge|tiptoe|sneak|creep|shuffle|limp|hobble|stagger|stumble|skip|trot|pace|strut|swagger|step
go|move|advance|proceed|travel|race|charge|gallop|hike|power walk|speed walk|crawl|slide|glide
roam|parade|lumber|scurry|scamper|bolt|flee|hasten|dart|shamble|traipse|toddle|waddle|wade|drift
tramp|stomp|sashay|prance|mosey|meander|ramble|lope|tear|zoom|head|press|come|approach|retreat
back up|return|walk on tiptoes|walk normally|take a walk|take steps|take a stroll|go for a run
go for a walk"""

ACTIONS = """jump|jump up|hop|leap|bounce|jump into the air|jump up and down|jump in place
do a jump|kick|kick a ball|kick something|do a high kick|kick with the left leg
kick with the right foot|punch|box|shadow box|throw punches|throw a left hook|throw a right jab
fight|spar|hit something|dance|dance salsa|dance ballet|dance the charleston|dance on the spot
waltz|do a pirouette|spin|sit|sit down|take a seat|sit on a chair|sit on the floor|stand up
get up|rise|stand|stand still|wait|idle|stay still|do nothing|remain motionless|freeze
hold still|stand upright|lean forward|lean back|turn|turn left|turn right|turn around|rotate
pivot|spin around|look around|look back|look left|wave|wave with the left hand
wave with the right hand|wave hello|say goodbye|greet someone|salute|clap|clap the hands|applaud
cheer|celebrate|raise both arms|raise the left arm|raise the right arm|point|point forward
point at something|nod|nod the head|shake the head|shrug|bow|kneel|kneel down|crouch|crouch down
squat|do squats|bend over|bend down|pick something up|pick up a box|lift a box
put something down|carry something|push something|pull something|drag something|throw a ball
throw|catch a ball|dribble a ball|shoot a basketball|swing a sword|slash with a sword|stab|block
parry|aim a gun|shoot a gun|reload a gun|draw a bow|shoot an arrow|cast a spell|duck|dodge
dodge left|dodge right|roll|roll forward|do a cartwheel|do push-ups|do jumping jacks
do exercises|stretch|yawn|fall|fall down|fall over|collapse|die|get hit|get up from the floor
lie down|lie on the ground|sleep|meditate|pray|drink|drink from a bottle|eat|laugh|cry|talk
talk on the phone|gesture|argue|shout|sing|wash|wash the windows|sweep the floor|open a door
close a door|climb a ladder|climb stairs|swim|fly|balance on one leg|stand on one leg
stand on the left leg|tie the shoes|read a book|write|type|sew|play the guitar|play the piano
play tennis|play golf|play football|bowl|row a boat|ride a bike|drive|shiver|tremble|stumble
scratch the head|rub the hands|hug someone|kiss someone|shake hands|high five|direct traffic
conduct an orchestra|flap the arms|act like a bird|act like a chicken|act like an ape
sit cross-legged|swing the arms|swing the legs|stomp|stamp the foot|march on the spot
run in place"""

MANNERS = """slowly|quickly|fast|very slowly|very quickly|briskly|calmly|casually|carefully
happily|sadly|angrily|nervously|proudly|tiredly|drunkenly|lazily|leisurely|hurriedly|rapidly
swiftly|gently|quietly|softly|loudly|wildly|gracefully|clumsily|stiffly|smoothly|steadily
normally|naturally|boldly|cautiously|confidently|energetically|enthusiastically|excitedly
hastily|heavily|lightly|playfully|sluggishly|unhurriedly|speedily|at a slow pace|at a fast pace
at a normal pace|at a brisk pace|at a steady pace|at full speed|at high speed|at low speed
in a hurry|in a rush|without hurry|with big steps|with small steps|with long strides|with a limp
like a robot|like a zombie|like a model|like an old man|like a child|as fast as possible
with both arms raised|with the hands on the hips|with energy|with effort|in slow motion|once
twice|three times|again and again|several times|repeatedly|for a while|for a moment|a little
a bit|a lot|on the spot|in place"""

WAYS = """forward|forwards|ahead|straight ahead|straight|in a straight line|backward|backwards
back|to the left|to the right|left|right|sideways|sideways to the left|sideways to the right
in a circle|around|in circles|in a curve to the left|in a curve to the right|in a half circle
away|along|onward|on the spot|up|down|diagonally|to the front|to the side|from left to right
from right to left|across the room|down the street|through the park|along the road
over the field|towards the door|around the corner|up the hill|down the hall|across the street
into the room|out of the house|towards the camera|away from the camera|in a zigzag|in an s shape
counterclockwise|clockwise"""

JOINERS = """and|and then|then|, then|before they|and suddenly|and slowly|and quickly
and finally|and after that|while|and also|, stop and|and stop to|and turn around to"""

QUALITIES = """slow|quick|fast|brisk|normal|calm|casual|careful|happy|sad|angry|tired|drunk|lazy
hurried|rapid|gentle|quiet|wild|graceful|clumsy|stiff|smooth|steady|natural|energetic|plain"""

STAYS = """does not move|does not move at all|doesn't move|is not moving|isn't moving
is not moving at all|never moves|does not take a step|does not walk|does not stir
does not do anything|stays put|stays in one spot|keeps to the spot|stands there without a move
remains where they are|makes no move|does not leave the spot"""

SETTLES = """lowers themselves onto a chair|lowers the body onto a seat|sinks into a chair
settles into a seat|settles down on a bench|plops down on a stool|drops into a chair
gets seated|lets themselves down on a chair|moves down onto a seat"""

TOPICS = """the weather|the old house|a red car|the river|breakfast|this book|the meeting
my brother|a small dog|the big city|the train|a cup of coffee|the garden|music|the computer
the sea|an apple|the moon|winter|the price of bread|a letter|the king of spain|football
the kitchen|a long story|mathematics|the mountain|a blue shirt|the news|science|the forest
a bottle of wine|the doctor"""

STATEMENTS = """{0} is very beautiful today|i like {0} more than {1}|{0} was built near {1}
nobody knows why {0} is so important|we talked about {0} and {1}|{0} reminds me of {1}
please tell me about {0}|she bought {0} yesterday|can you see {0} behind {1}|{0} costs too much
there is {0} in front of {1}|he never forgot {0}|{0} and {1} are different|what is {0}
they sold {0} last year|a picture of {0} next to {1}|{0} makes everybody happy
the history of {0} is long|my favourite thing is {0}|without {0} there would be no {1}"""


def entries(text: str) -> list[str]:
    """Split a list of this module."""
    return [entry for line in text.split("\n") for entry in line.split("|") if entry]


_SUBJECTS, _TRAVEL, _ACTIONS = entries(SUBJECTS), entries(TRAVEL), entries(ACTIONS)
_MANNERS, _WAYS, _JOINERS = entries(MANNERS), entries(WAYS), entries(JOINERS)
_TOPICS, _STATEMENTS = entries(TOPICS), entries(STATEMENTS)
_QUALITIES = entries(QUALITIES)
_FIXED = entries(STAYS) + entries(SETTLES)
_PLURAL = {"they", "people"}
_SINGULAR = [subject for subject in _SUBJECTS if subject not in _PLURAL]
FIXED_SHARE = 0.03


def sentences(count: int, seed: int) -> list[str]:
    """Make count different sentences, the same for the same seed."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    # What the grammar cannot say, above all that nobody moves.
    num_fixed = min(int(FIXED_SHARE * count), len(_SINGULAR) * len(_FIXED) // 2)
    while len(found) < count - num_fixed:
        found[_sentence(random)] = None
    while len(found) < count:
        found[f"{_pick(_SINGULAR, random)} {_pick(_FIXED, random)}"] = None
    return list(found)


def _sentence(random: np.random.Generator) -> str:
    if random.random() < 0.08:
        topics = [_pick(_TOPICS, random) for _ in range(2)]
        return _pick(_STATEMENTS, random).format(*topics)
    subject = _pick(_SUBJECTS, random)
    parts = [_deed(random)]
    while random.random() < 0.22 and len(parts) < 3:
        parts += [_pick(_JOINERS, random), _deed(random)]
    form = random.random()
    if form < 0.05:
        return _noun_phrase(random)
    if form < 0.6:
        verb = (lambda v: v) if subject in _PLURAL else third_person
        return f"{subject} {_inflected(parts, verb)}"
    if form < 0.8:
        be = "are" if subject in _PLURAL else "is"
        return f"{subject} {be} {_inflected(parts, present_participle)}"
    if form < 0.9:
        return _inflected(parts, lambda verb: verb)
    return _inflected(parts, present_participle)


def _noun_phrase(random: np.random.Generator) -> str:
    """Make a phrase without a verb, "slow walking to the left", and now and then a place for it."""
    deed = _pick(_TRAVEL if random.random() < 0.6 else _ACTIONS, random)
    verb, _, rest = deed.partition(" ")
    words = [_pick(_QUALITIES, random), present_participle(verb), rest]
    if not rest and random.random() < 0.4:
        words.append(_pick(_WAYS, random))
    return " ".join(word for word in words if word)


def _deed(random: np.random.Generator) -> str:
    """Make a verb phrase whose first word is its verb."""
    if random.random() < 0.55:
        words = [_pick(_TRAVEL, random)]
        if random.random() < 0.75:
            words.append(_pick(_WAYS, random))
    else:
        words = [_pick(_ACTIONS, random)]
    if random.random() < 0.4:
        words.append(_pick(_MANNERS, random))
    return " ".join(words)


def _inflected(parts: list[str], inflect: Callable[[str], str]) -> str:
    """Join verb phrases and joiners, with the first word of every phrase in its form."""
    words = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            verb, _, rest = part.partition(" ")
            part = f"{inflect(verb)} {rest}".strip()
        words.append(part)
    return re.sub(r"\s+,", ",", " ".join(words))


def _pick(entries: list[str], random: np.random.Generator) -> str:
    return entries[int(random.integers(len(entries)))]
