import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.chat import NO_THOUGHT, Message, render, split_thought

ASKED = Message("user", "walk")


def test_a_question_opens_the_answer() -> None:
    opened = "<|im_start|>user\nwalk<|im_end|>\n<|im_start|>assistant\n"
    assert render([ASKED], True) == render([ASKED]) == opened
    assert render([ASKED], False) == opened + NO_THOUGHT


def test_thoughts_of_earlier_turns_are_left_out() -> None:
    answered = Message("assistant", "<think>\nslow\nfirst\n</think>\n\ndone")
    text = render([ASKED, answered, Message("user", "faster")])
    assert "slow" not in text
    assert "<|im_start|>assistant\ndone<|im_end|>\n" in text
    last = render([ASKED, answered], asks=False)
    assert last.endswith("assistant\n<think>\nslow\nfirst\n</think>\n\ndone<|im_end|>\n")


def test_the_last_answer_has_a_block_even_if_nothing_was_thought() -> None:
    assert render([ASKED, Message("assistant", "done")], asks=False).endswith(
        f"assistant\n{NO_THOUGHT}done<|im_end|>\n"
    )


def test_reasoning_of_its_own_wins_over_markers() -> None:
    text = render([ASKED, Message("assistant", "\ndone", "\nso\n")], asks=False)
    assert text.endswith("assistant\n<think>\nso\n</think>\n\ndone<|im_end|>\n")


def test_thoughts_and_answer_come_apart() -> None:
    assert split_thought("<think>\na\n</think>\n\nb") == ("a", "b")
    assert split_thought("no end <think>") == ("", "no end <think>")
    assert split_thought("one</think>two</think>\nthree") == ("one", "three")


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(InputError, match="role 'tool'"):
        Message("tool", "x")
