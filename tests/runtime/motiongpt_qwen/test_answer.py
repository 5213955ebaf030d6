import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt_qwen.answer import parse_as_upstream, read_codes
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens

TOKENS = MotionTokens(8)
FIRST, CLOSE, WORD = 100, 90, 5
START, END, MASK = FIRST + 8, FIRST + 9, FIRST + 10


@pytest.mark.parametrize(
    ("ids", "codes", "told"),
    [
        ([START, FIRST + 3, FIRST + 7, END, WORD], (3, 7), ""),
        ([WORD, START, FIRST, END, START, FIRST + 1, END], (0,), ""),
        ([START, FIRST + 1, END, CLOSE, START, FIRST + 2, END], (2,), ""),
        ([START, FIRST + 1, FIRST + 2], (1, 2), "not ended"),
        ([START, FIRST + 1, WORD, MASK, FIRST + 2, END], (1, 2), "2 tokens"),
        ([END, START, FIRST + 4, END], (4,), ""),
        ([START, END], (), ""),
        ([WORD, FIRST + 1, END], (), ""),
        ([START, FIRST + 1, END, CLOSE], (), ""),
        ([], (), ""),
    ],
)
def test_codes_are_read_from_ids(ids: list[int], codes: tuple[int, ...], told: str) -> None:
    found = read_codes(ids, FIRST, CLOSE, TOKENS)
    assert found.codes == codes
    assert (told in " ".join(found.notes)) if told else not found.notes


def test_upstreams_parser_is_kept_with_its_faults() -> None:
    def token(*numbers: int) -> str:
        return "".join(f"<motion_id_{number}>" for number in numbers)

    assert parse_as_upstream(f"a {token(8, 1, 2, 9)} b", TOKENS) == (
        [1, 2],
        "a <Motion_Placeholder> b",
    )
    unended = token(8, 1, 2)
    assert parse_as_upstream(unended, TOKENS) == ([0], unended)
    assert parse_as_upstream(token(8, 1) + "x" + token(2, 9), TOKENS)[0] == [2]
    assert parse_as_upstream(token(8, 9999, 10, 9), TOKENS)[0] == [9999, 10]
    with pytest.raises(InputError, match="no number"):
        parse_as_upstream("<motion_id_8><motion_id_x><motion_id_9>", TOKENS)
