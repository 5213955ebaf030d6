"""What people ask for that no model of this data can show, and how what it can show is asked for.

Lists to calibrate the hint on: with `deeds`, whose motions are measured, they say of a few hundred
phrases whether a model should say that it does not know them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from motionrt.train.default import corpus
from motionrt.train.default.captions import present_participle, third_person
from motionrt.train.default.corpus import entries

BEYOND = """cook dinner|cook a meal|fry an egg|bake a cake|stir the soup|chop vegetables|cut bread
eat an apple|eat|eat with a spoon|eat a sandwich|pour a glass of water|set the table
read a book|read the newspaper|write a letter|write on a blackboard|type on a keyboard|draw
draw a picture|paint a wall|paint|sew|knit|iron a shirt|fold the laundry|wash the dishes
brush the teeth|comb the hair|shave|take a shower|put on a coat|take off a hat|tie a tie
tie the shoes|zip up a jacket|put on glasses|look at a watch|check the phone|use a phone
talk on the phone|take a selfie|take a photo|film something|watch television|play video games
play chess|play cards|roll the dice|play the guitar|play the piano|play the violin|play drums
play the trumpet|conduct an orchestra|sing|sing a song|whistle|shout|whisper|talk|speak
give a speech|tell a story|laugh|smile|frown|cry|weep|be sad|be angry|be happy|be tired|be afraid
wink|blink|yawn|sneeze|cough|sigh|breathe|think|dream|remember something|love someone|hate someone
hug someone|kiss someone|shake hands|high five someone|fist bump a friend|hold hands|carry a child
lead a horse|ride a horse|ride a bike|ride a bicycle|ride a motorcycle|drive a car|drive
drive a truck|fly a plane|fly|fly a kite|sail a boat|row a boat|paddle a canoe|swim|swim a lap
dive into the water|dive|float in the water|surf|ski|ski down a hill|snowboard|skate|ice skate
ride a skateboard|roller skate|sled down a hill|play tennis|hit a tennis ball|play golf
swing a golf club|play baseball|swing a bat|play football|play soccer|play basketball
shoot a basketball|dunk a basketball|play volleyball|play table tennis|bowl|play hockey|fence
wrestle|do judo|lift weights|lift a barbell|bench press|do a pull-up|do push-ups|do sit-ups
do a plank|do yoga|do a yoga pose|do the splits|stretch|stretch the legs|touch the toes|do lunges
skip rope|jump rope|hula hoop|juggle|juggle balls|spin a plate|walk on a tightrope|walk on stilts
swing on a rope|swing from a branch|hang from a bar|climb a mountain|climb a rope
climb over a wall
climb through a window|squeeze through a gap|jump over a fence|jump out of a window
jump into a pool|jump on a trampoline|bungee jump|skydive|parachute|vault over a table
step over a log|cross a bridge|balance on a beam|stand on one leg|stand on tiptoes|hop on one leg
hop on the left foot|walk on tiptoes|tiptoe|limp|hobble|stagger|stumble|trip over a stone
walk with a cane|walk with crutches|walk like a robot|walk like a penguin|walk like a crab
moonwalk
skip|gallop|slide|slither|crawl through a tunnel|roll down a hill|do a barrel roll|spin like a top
do a pirouette|twirl|carry a box|carry a heavy box|lift a box|pick up a box|pick up a coin
put down a bag|push a cart|push a car|push against a wall|pull a rope|drag a sack|move a table
open a door|close a door|open a window|unlock a door|knock on the door|ring a bell|press a button
flip a switch|turn a wheel|change a tire|repair a bike|hammer a nail|saw wood|chop wood
dig a hole|shovel snow|rake leaves|water the plants|plant a tree|pick flowers|mow the lawn
sweep the floor|mop the floor|vacuum the carpet|clean the windows|make the bed|milk a cow
feed a dog
pet a cat|walk the dog|catch a fish|fish|hunt|catch a ball|catch something|dribble a ball
bounce a ball|shoot a gun|fire a rifle|aim a gun|reload a gun|shoot an arrow|draw a bow
cast a spell|swing a sword|slash with a sword|fight with a sword|attack with a sword
strike with a sword|swing a weapon|throw a spear|throw a grenade|stab someone
block with a shield|point|point at something
point to the left|snap the fingers|give a thumbs up|make a peace sign|count on the fingers
nod|nod the head|shake the head|shrug|scratch the head|rub the eyes|cover the ears|salute
pray|meditate|sleep|wake up|snore|sleep in a bed|lie in bed|sit cross-legged on a cloud
look up|look down|look around|look over the shoulder|turn the head|tilt the head|roll the eyes
stick out the tongue|pull a face|play dead|hide behind a tree|hide|peek around the corner
search for something|chase a dog|escape from a bear|give birth|vote|pay the bill|buy groceries
sell a car|order a pizza|build a house|lay bricks|weld|operate a crane|milk the cow
perform surgery|examine a patient|teach a class|study|solve an equation|program a computer
transform into a bird|turn into a wolf|disappear|teleport|explode|melt|grow|shrink|fly like a bird
breathe fire|walk through a wall|walk on the ceiling|walk on water|float in the air|hover|levitate
orbit the earth|land on the moon|shake a bottle|open a bottle|light a candle|blow out a candle
light a cigarette|smoke|blow a balloon|wrap a present|unpack a suitcase|load a truck
push a stroller|rock a baby|change a diaper|dance with a partner|waltz with someone
dance on a table|do a breakdance|do the robot|do the worm|flap the arms like a bird|bark like a dog
act like a chicken
curtsy|beckon someone|applaud with the feet|wave a flag|wave with the foot|wiggle the toes
wiggle the fingers|flex the biceps|crack the knuckles|roll the shoulders|hold a baby|rappel
parkour over a wall|run up a wall|run up the stairs|run down the stairs|walk up a hill|walk uphill
walk down a ramp|walk up a ramp|get on a bus|get into a car|get out of a car|board a train
sit at a table and eat|sit and type|sit in a car and drive|sit on a horse|sit on a swing
lean against a wall|lean on a table|squat and lift a weight|kneel and pray|kneel before the king
propose marriage|crawl under a table|do a moonwalk|do a cannonball|play hopscotch|play leapfrog
do the dishes|wring a towel|peel a potato|grate cheese|stroke a beard|adjust the glasses"""
"""Verb phrases."""

AMOUNTS = """walk three steps|take two steps forward|take five steps|walk exactly four steps
walk two metres|walk 3 meters|walk ten feet|run twenty meters|run 100 meters|jump twice
jump 3 times
jump exactly five times|turn 30 degrees|turn 45 degrees to the left|turn exactly 270 degrees
kick three times|punch four times|walk for ten seconds|stand for three seconds|spin five times
clap seven times|squat ten times|walk at 2 km per hour|jump two meters high|take 7 steps backwards
wave three times|walk one step|walk half a step|jump once and then twice"""

FOREIGN = """il marche|un homme marche|une personne court|elle danse|il saute
la femme marche lentement
un hombre camina|una persona corre|ella baila|el hombre salta|la mujer camina despacio
alguien camina
ein mann geht|eine person läuft|sie tanzt|er springt hoch|jemand geht langsam|der mann setzt sich
un uomo cammina|una persona corre veloce|lei balla|qualcuno salta|l'uomo si siede
um homem anda|uma pessoa corre|ela dança|alguém pula|een man loopt|iemand rent|zij danst
en man går|någon springer|en person hoppar|mies kävelee|joku juoksee|mand går langsomt
człowiek idzie|ktoś biegnie|kobieta tańczy|muž jde|někdo běží|egy ember sétál|valaki fut
un bărbat merge|cineva aleargă|bir adam yürüyor|birisi koşuyor
мужчина идёт|человек бежит|женщина танцует|кто-то прыгает|чоловік йде|мъж върви
人が歩く|男の人が走る|女性が踊っている|ジャンプする|一个人在走路|一个男人跑步|女人在跳舞|有人跳起来
사람이 걷는다|남자가 달린다|여자가 춤을 춘다|رجل يمشي|شخص يركض|امرأة ترقص|גבר הולך|אישה רוקדת
एक आदमी चलता है|कोई दौड़ रहा है|ένας άντρας περπατάει|κάποιος τρέχει|ชายคนหนึ่งเดิน
một người đi bộ
seorang pria berjalan|seseorang berlari|mtu anatembea|isang lalaking naglalakad|homo ambulat"""

NONSENSE = """asdf|asdfgh jkl|qwerty|lorem ipsum dolor sit amet|foo bar baz|xyzzy
blah blah blah|hello
test|hello world|what is this|42|3.14159|...|!!!|a|the|colourless green ideas sleep furiously
the quick brown fox|select * from users|http://example.com|print(1)|walkwalkwalk|zzzzzz|hmm|ok|yes
why|who are you|make me a sandwich|tell me a joke|nothing matters|good morning|thank you|help
a cat|a dog runs|a bird flies|a horse gallops|a car drives by|a tree|a house|the sun rises
a fish swims|a table|water|fire|stone|love|music|money|the stock market falls|it is raining
the river runs to the sea|time flies|the clock stands still|prices jump|a ball rolls down the hill
a leaf falls from the tree|a spider crawls|a snake slithers|an elephant walks|a plane takes off
a rocket launches|a ship sails|the train leaves the station|a robot arm welds|a door opens"""

SUBJECTS = """a person|a person|a person|someone|a man|a woman|the person|a figure|a human|he|she
the character|a guy|a girl|a boy|a child|an old man|a young woman|a soldier|a robot|the man
the woman|somebody|a dancer|a player|the hero|a teenager|the actor|a kid|our character
an athlete"""

STRANGERS = """a businessman|an astronaut|a knight|a ninja|a wizard|a pirate|a cowboy|a nun|a viking
a postman|a plumber|a grandmother|my brother|our teacher|the mayor|a sailor|an elf|a troll
the princess
a firefighter|a stranger|a visitor|the patient|a villain|a scientist|a monk|the guard|a vampire
a mermaid|the goalkeeper|a librarian|peter|anna|the barber|a lumberjack|a detective|two people
a group of people|a caveman|a dwarf|an alien|an orc|the bride|a beggar|a hunter|the tall man
a man in a suit|a woman in a dress|a person with a hat|a guy in jeans|the lady"""
"""Subjects that captions hardly have: who does it says nothing of whether it can be done."""

JOINERS = (", then ^", " and then ^", " and ^", " before ^", ", and after that ^", ", stop and ^")
STRANGE_SHARE = 0.25
FORMS: tuple[tuple[str, Callable[[str], str], float], ...] = (
    ("{subject} {deed}", third_person, 0.47),
    ("{subject} is {deed}", present_participle, 0.2),
    ("{deed}", third_person, 0.08),
    ("{deed}", lambda verb: verb, 0.15),
    ("{deed}", present_participle, 0.1),
)


def said(phrase: str, count: int, random: np.random.Generator) -> list[str]:
    """Say a verb phrase, verbs marked with ``^``, in count different ways, the plainest first."""
    usual, strange = entries(SUBJECTS) + entries(corpus.SUBJECTS), entries(STRANGERS)
    shares = np.array([share for _, _, share in FORMS])
    result: dict[str, None] = {}
    for number in range(4 * count):
        form, inflect, _ = FORMS[0 if number == 0 else int(random.choice(len(FORMS), p=shares))]
        subjects = strange if random.random() < STRANGE_SHARE else usual
        subject = usual[0] if number == 0 else str(random.choice(subjects))
        pieces = re.split(r"\^([a-z]+)", phrase)
        deed = "".join(inflect(part) if at % 2 else part for at, part in enumerate(pieces))
        result[form.format(subject=subject, deed=deed)] = None
        if len(result) == count:
            break
    return list(result)


def beyond() -> list[str]:
    """List verb phrases that nothing in the data shows, verbs marked."""
    return [f"^{phrase}" for phrase in entries(BEYOND) + entries(AMOUNTS)]


def other_texts(random: np.random.Generator, count: int) -> list[str]:
    """List texts that ask for no motion of a person in English."""
    topics = entries(corpus.TOPICS)
    statements = entries(corpus.STATEMENTS)
    made = [
        statements[int(random.integers(len(statements)))].format(
            *(topics[int(i)] for i in random.integers(len(topics), size=2))
        )
        for _ in range(count)
    ]
    letters = [
        " ".join(
            "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), int(random.integers(2, 9))))
            for _ in range(int(random.integers(1, 5)))
        )
        for _ in range(count)
    ]
    return [*entries(FOREIGN), *entries(NONSENSE), *made, *letters]


def joined(first: Sequence[str], then: Sequence[str], random: np.random.Generator) -> str:
    """Join one phrase of each list into one sentence that asks for both."""
    joiner = JOINERS[int(random.integers(len(JOINERS)))]
    begin, end = (str(random.choice(list(part))) for part in (first, then))
    return begin + joiner + end.removeprefix("^")
