import pytest

from motionrt.runtime.motiongpt_qwen.answer import read_codes_of_text
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens, holds_motion_token

TOKENS = MotionTokens(8)


def named(*numbers: int) -> str:
    return "".join(f"<motion_id_{number}>" for number in numbers)


def test_a_motion_is_written_between_its_start_and_end() -> None:
    assert TOKENS.text([1, 2]) == named(8, 1, 2, 9)
    assert TOKENS.text([1, 2, 3], 1) == named(8, 1, 9)
    assert TOKENS.text([]) == named(8, 9)
    assert TOKENS.names() == [f"<motion_id_{number}>" for number in range(11)]


@pytest.mark.parametrize(
    ("text", "codes", "notes"),
    [
        (named(8, 1, 2, 9), (1, 2), 0),
        (f"Here: {named(8, 1, 9)} and {named(8, 2, 9)}", (1,), 0),
        (named(8, 1, 2), (1, 2), 1),
        (named(8, 1) + " hm " + named(2, 9), (1, 2), 1),
        (named(8, 1) + "\n" + named(2, 9), (1, 2), 0),
        (named(8, 1, 10, 2, 9), (1, 2), 1),
        (f"{named(8)}<motion_id_{'9' * 5000}>{named(3, 9)}", (3,), 1),
        (f"{named(8)}<motion_id_\u0663>{named(3, 9)}", (3,), 1),
        ("<motion_id_8", (), 0),
        ("no motion", (), 0),
        ("", (), 0),
    ],
)
def test_codes_are_read_from_what_a_server_wrote(
    text: str, codes: tuple[int, ...], notes: int
) -> None:
    found = read_codes_of_text(text, TOKENS)
    assert (found.codes, len(found.notes)) == (codes, notes)


def test_a_motion_gives_way_to_a_placeholder() -> None:
    assert TOKENS.with_placeholder(f"So: {named(8, 1, 9)}!", "[m]") == "So: [m]!"
    assert TOKENS.with_placeholder(f"{named(8, 1)} off", "[m]") == "[m] off"
    assert TOKENS.with_placeholder("none", "[m]") == "none"


def test_a_token_in_a_prompt_is_found() -> None:
    assert holds_motion_token(f"walk {named(3, 4)}") == "<motion_id_3>"
    assert holds_motion_token("walk <motion_id>") is None
