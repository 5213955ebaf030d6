import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt3.prompt import (
    ADDED_TOKENS,
    BETWEEN,
    CAPTION_PLACE,
    FRAMES_PLACE,
    GIVEN_MOTION,
    MASKED,
    NUM_MOTION_TOKENS,
    SECONDS_PLACE,
    TEMPLATES,
    HolderRules,
    PromptTokens,
    caption_prompt,
    check_text,
)

RULES = HolderRules(num_output=2, num_input=3, wrapped=True)
IN, OUT = ADDED_TOKENS[5], ADDED_TOKENS[4]


def test_prompts_are_composed_as_in_training() -> None:
    text = caption_prompt("a person walks")
    assert RULES.motion_request(text) == (
        f"a person walks \n <start_of_motion>{OUT * 2}<end_of_motion><|endoftext|>"
    )
    assert RULES.text_request(f"What is {GIVEN_MOTION}?") == (
        f"What is <start_of_motion>{IN * 3}<end_of_motion>? \n"
    )
    bare = HolderRules(num_output=2, num_input=3, wrapped=False)
    assert bare.motion_request("x") == f"x{OUT * 2}<|endoftext|>"
    assert RULES.motion_request(BETWEEN).count(ADDED_TOKENS[2]) == 2
    assert RULES.motion_request(BETWEEN).count(IN) == 6
    assert caption_prompt("x", TEMPLATES["evaluation"]) == "Generate motion: x \n \n "
    timed = f"{SECONDS_PLACE} s, {FRAMES_PLACE} frames: {CAPTION_PLACE}"
    assert caption_prompt("x", timed, 30, 20.0) == "1.5 s, 30 frames: x"


@pytest.mark.parametrize("token", [*ADDED_TOKENS, "<|endoftext|>", GIVEN_MOTION, MASKED])
def test_reserved_tokens_are_refused(token: str) -> None:
    with pytest.raises(InputError, match="reserves"):
        check_text(f"walk {token} on")
    with pytest.raises(InputError, match="reserves"):
        caption_prompt(token)


def test_tokens_are_sorted_by_modality() -> None:
    vocab_size, end = 10, 9
    masked, out, given = 10, 12, 13
    rows = [[4, 5, given, given, masked, 6, out, out, 8, end], [4, given, given, masked, out, out]]
    tokens = PromptTokens.split(rows, vocab_size, 99, asks_for_motion=True)
    np.testing.assert_array_equal(tokens.text_ids, [[4, 5, 6], [4, 0, 0]])
    np.testing.assert_array_equal(tokens.text_positions, [[0, 1, 5], [0, 99, 99]])
    want = [NUM_MOTION_TOKENS, NUM_MOTION_TOKENS + 1, 0, 2, 2]
    np.testing.assert_array_equal(tokens.motion_ids, [want, want])
    np.testing.assert_array_equal(tokens.motion_positions, [[2, 3, 4, 6, 7], [1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(tokens.last_text_rows(99), [[2], [0]])


def test_what_follows_the_holders_stays_where_a_text_is_asked_for() -> None:
    tokens = PromptTokens.split([[4, 13, 5]], 10, 99, asks_for_motion=False)
    np.testing.assert_array_equal(tokens.text_ids, [[4, 5]])


def test_rows_with_other_motion_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="same motion tokens"):
        PromptTokens.split([[4, 12], [4, 13, 12]], 10, 99, asks_for_motion=True)
