import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.text.prompt import CLOSING_MARKS, clean_prompt, split_prompt


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        (" A person is    walking.", "A person is walking."),
        ("THE MAN RUNS", "The man runs."),
        ("- jump;", "Jump."),
        ("he walks.then he runs!now stops", "He walks. Then he runs! Now stops."),
        ("wait...", "Wait. . ."),
        ("walk 3.5 m", "Walk 3. 5 m."),
        ("I am U.S. soldier", "I am u. S. Soldier."),
        ("***", "*."),
        ("\t \n", ""),
        ("", ""),
    ],
)
def test_prompts_are_cleaned_as_in_training(prompt: str, cleaned: str) -> None:
    assert clean_prompt(prompt) == cleaned


@given(st.text(max_size=60))
def test_a_cleaned_prompt_ends_in_a_sentence_mark(text: str) -> None:
    cleaned = clean_prompt(text)
    if not text.split():
        assert cleaned == ""
    else:
        assert cleaned[-1] in CLOSING_MARKS[:3]
        assert cleaned == " ".join(cleaned.split())


def test_each_sentence_is_a_segment() -> None:
    assert split_prompt("walk.. run.", "3") == (["walk.", "run."], [3, 3])
    assert split_prompt("walk. run", "5.0 4.1") == (["walk.", "run."], [5.0, 4.1])
    assert split_prompt("Someone jumps!", 2.5) == (["Someone jumps!."], [2.5])


@pytest.mark.parametrize("blank", ["", "  ", "...", " . ."])
def test_a_blank_prompt_is_one_empty_segment(blank: str) -> None:
    assert split_prompt(blank, "1") == ([""], [1])


@pytest.mark.parametrize("duration", ["", "x", "1  2", "nan", "inf", "-1", "0", "1 2 3", "1,2"])
def test_durations_that_do_not_fit_are_refused(duration: str) -> None:
    with pytest.raises(InputError, match="duration"):
        split_prompt("a. b.", duration)
