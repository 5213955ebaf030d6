import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens
from motionrt.runtime.motiongpt_qwen.templates import (
    TEMPLATES,
    Filling,
    check_text,
    find_template,
)

TOKENS = MotionTokens(8)


def named(*numbers: int) -> str:
    return "".join(f"<motion_id_{number}>" for number in numbers)


def test_all_placeholders_are_filled() -> None:
    filling = Filling("jump", TOKENS.text([1, 2]), 57, 4, 20.0, tokens=TOKENS)
    template = "<Caption_Placeholder>|<Frame_Placeholder>|<Second_Placeholder>|<Motion_Placeholder>"
    assert filling.into(template) == f"jump|57|2.0|{named(8, 1, 2, 9)}"
    quoted = Filling("jump", quoted=True)
    assert quoted.into(TEMPLATES["t2m"]) == 'Generate motion: "jump"'


def test_heads_tails_and_masks_are_cut_by_tokens() -> None:
    filling = Filling(motion=TOKENS.text(range(8)), length=32, frames_per_token=4, tokens=TOKENS)
    # 8 tokens: the start and one code are the head, a quarter at either end is seen.
    assert filling.into("<Motion_Placeholder_s1>") == named(8, 0, 9)
    assert filling.into("<Motion_Placeholder_s2>") == named(8, 1, 2, 3, 4, 5, 6, 7, 9)
    masked = named(8, 0, 1, 10, 10, 10, 10, 6, 7, 9)
    assert filling.into("<Motion_Placeholder_Masked>") == masked


def test_templates_are_found_by_name_or_are_their_own() -> None:
    assert find_template(None, "t2m", TEMPLATES) == TEMPLATES["t2m"]
    assert find_template("t2m_length", "t2m", TEMPLATES) == TEMPLATES["t2m_length"]
    own = "Bewege dich: <Caption_Placeholder>"
    assert find_template(own, "t2m", TEMPLATES) == own
    with pytest.raises(InputError, match="choose t2m, t2m_length"):
        find_template("haiku", "t2m", TEMPLATES)
    with pytest.raises(InputError, match="no <Motion_Placeholder>"):
        find_template("t2m", "m2t", TEMPLATES)
    with pytest.raises(InputError, match="template of 20021 letters: 10000 are the most"):
        find_template("x" * 20_000 + "<Caption_Placeholder>", "t2m", TEMPLATES)


@pytest.mark.parametrize(
    "found", ["<|im_end|>", "<think>", "<motion_id_7>", "<Motion_Placeholder>"]
)
def test_a_text_that_means_something_to_the_model_is_refused(found: str) -> None:
    with pytest.raises(InputError, match="reserves"):
        check_text(f"walk {found} on")
    assert check_text("walk <b>on</b>") == "walk <b>on</b>"
