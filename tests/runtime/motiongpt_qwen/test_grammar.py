from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.language.sampling import Choice
from motionrt.runtime.motiongpt_qwen.answer import read_codes
from motionrt.runtime.motiongpt_qwen.grammar import MotionGrammar, Vocabulary
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens

TOKENS = MotionTokens(4)
FIRST = 20
START, END, MASK = FIRST + 4, FIRST + 5, FIRST + 6
THINK, UNTHINK, STOP, TURN, BLANK = 10, 11, 12, 13, 14
WORDS = Vocabulary(FIRST, TOKENS, THINK, UNTHINK, (STOP,), (TURN,), (BLANK,))
SIZE = FIRST + 7


def may_follow(choice: Choice) -> set[int]:
    if choice.allowed is not None:
        assert (np.diff(choice.allowed) > 0).all()
        return set(choice.allowed.tolist())
    banned = set() if choice.banned is None else set(choice.banned.tolist())
    return set(range(SIZE)) - banned


def write(grammar: MotionGrammar, most: int, rng: np.random.Generator) -> list[int]:
    """Answer with whatever may follow, as a model that knows nothing would."""
    ids: list[int] = []
    while len(ids) < most:
        token = int(rng.choice(sorted(may_follow(grammar.choice()))))
        ids.append(token)
        if grammar.accept(token) or token == STOP:
            break
    return ids


def obey(grammar: MotionGrammar, *ids: int) -> set[int]:
    """Take tokens, each of which must be allowed; return what may follow."""
    for token in ids:
        assert token in may_follow(grammar.choice()), token
        grammar.accept(token)
    return may_follow(grammar.choice())


@pytest.mark.parametrize("may_think", [True, False])
@pytest.mark.parametrize(("least", "most"), [(1, None), (3, 3), (2, 5)])
@pytest.mark.parametrize("room", [7, 8, 12, 40])
def test_whatever_a_model_likes_a_whole_motion_comes_out(
    may_think: bool, least: int, most: int | None, room: int
) -> None:
    rng = np.random.default_rng(1)
    thoughts = 0
    for _ in range(200):
        grammar = MotionGrammar(WORDS, room, least=least, most=most, may_think=may_think)
        ids = write(grammar, room, rng)
        found = read_codes(ids, FIRST, UNTHINK, TOKENS)
        assert not found.notes and ids[-1] == END
        assert least <= len(found.codes) <= (room if most is None else most)
        before = ids[: ids.index(START)]
        assert ids.count(START) == ids.count(END) == 1
        assert before.count(THINK) == before.count(UNTHINK) <= may_think
        thoughts += THINK in before
    # Thoughts are opened where there is room for them beside the motion.
    spare = room - (max(least, room - 2) if most is None else most) - 2
    assert bool(thoughts) == (may_think and spare > 2)


@pytest.mark.parametrize("room", [8, 40])
def test_a_free_text_holds_at_most_one_motion_that_ends(room: int) -> None:
    rng = np.random.default_rng(2)
    with_motion = 0
    for _ in range(400):
        grammar = MotionGrammar(WORDS, room, least=2, most=4, wants_motion=False)
        ids = write(grammar, room, rng)
        found = read_codes(ids, FIRST, UNTHINK, TOKENS)
        assert not found.notes and ids.count(START) == ids.count(END) <= 1
        assert MASK not in ids and TURN not in ids
        if START in ids:
            assert 2 <= len(found.codes) <= 4
            with_motion += 1
        assert ids[-1] == STOP or len(ids) == room
    assert with_motion


def test_inside_a_motion_codes_alone_follow_and_its_end_when_it_may() -> None:
    codes = set(range(FIRST, FIRST + 4))
    grammar = MotionGrammar(WORDS, 30, least=2, most=3)
    assert obey(grammar) == {START, THINK}
    assert not grammar.inside
    assert obey(grammar, START) == codes
    assert grammar.inside
    assert obey(grammar, FIRST) == codes
    assert obey(grammar, FIRST + 1) == codes | {END}
    assert obey(grammar, FIRST + 1) == {END}
    assert grammar.accept(END)


def test_thoughts_are_words_and_a_motion_follows_them() -> None:
    grammar = MotionGrammar(WORDS, 30, most=4)
    thinking = obey(grammar, THINK)
    assert {UNTHINK, BLANK, 0, 5} <= thinking
    assert not thinking & {THINK, STOP, TURN, START, END, MASK, FIRST}
    assert obey(grammar, 3, 4, UNTHINK) == {START, BLANK}
    assert obey(grammar, BLANK, BLANK) == {START}


def test_thoughts_are_closed_while_a_motion_has_room() -> None:
    grammar = MotionGrammar(WORDS, 12, least=4, most=4)  # six tokens are the motion's
    assert UNTHINK in obey(grammar, THINK, 1, 2, 3)
    assert obey(grammar, 4) == {UNTHINK}
    assert obey(grammar, UNTHINK) == {START}
    assert read_codes([START, *[FIRST] * 4, END], FIRST, None, TOKENS).codes == (0, 0, 0, 0)
    obey(grammar, START, FIRST, FIRST, FIRST, FIRST)
    assert grammar.accept(END)
