import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.language.sampling import (
    Choice,
    SamplingRules,
    choose_token,
    likeliest,
)

LOGITS = np.array([1.0, 2.0, 1.9, -5.0], np.float32)
GREEDY = SamplingRules(temperature=0)


def drawn(logits: list[float], rules: SamplingRules, choice: Choice | None = None) -> list[float]:
    """Return how often each token is drawn, over a thousand shares."""
    shares = (np.arange(1000) + 0.5) / 1000
    row = np.array(logits, np.float32)
    ids = [choose_token(row, [], rules, share, choice or Choice()) for share in shares]
    counts: list[float] = (np.bincount(ids, minlength=len(logits)) / 1000).tolist()
    return counts


def test_the_likeliest_is_taken_at_temperature_0() -> None:
    assert choose_token(LOGITS, [], GREEDY) == 1
    assert choose_token(LOGITS, [], GREEDY, 0.999) == 1


def test_what_was_generated_before_loses() -> None:
    rules = SamplingRules(temperature=0, repetition_penalty=1.1)
    assert choose_token(LOGITS, [1, 1], rules) == 2
    assert choose_token(np.array([-1.0, -1.05], np.float32), [0], rules) == 1
    assert choose_token(LOGITS, [1, 1], GREEDY) == 1


def test_only_what_may_follow_follows() -> None:
    assert choose_token(LOGITS, [], GREEDY, choice=Choice(banned=np.array([0, 1]))) == 2
    assert choose_token(LOGITS, [], GREEDY, choice=Choice(allowed=np.array([0, 3]))) == 0
    hot = SamplingRules(temperature=50)
    assert drawn(LOGITS.tolist(), hot, Choice(allowed=np.array([0, 3])))[1:3] == [0, 0]
    assert drawn(LOGITS.tolist(), hot, Choice(banned=np.array([0, 3])))[::3] == [0, 0]


def test_draws_follow_the_shares() -> None:
    logits = np.log([0.6, 0.3, 0.1]).tolist()
    assert drawn(logits, SamplingRules()) == pytest.approx([0.6, 0.3, 0.1], abs=2e-3)
    top_k = SamplingRules(top_k=2)
    assert drawn(logits, top_k) == pytest.approx([2 / 3, 1 / 3, 0], abs=2e-3)
    cold = SamplingRules(temperature=0.5)
    assert drawn(logits, cold) == pytest.approx(np.array([36, 9, 1]) / 46, abs=2e-3)


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    logits = np.log([0.1, 0.6, 0.3]).tolist()
    assert drawn(logits, SamplingRules(top_p=0.59)) == [0, 1, 0]
    assert drawn(logits, SamplingRules(top_p=0.61)) == pytest.approx([0, 2 / 3, 1 / 3], abs=2e-3)
    assert drawn(logits, SamplingRules(top_p=1e-9)) == [0, 1, 0]
    # After top-k: of the two likeliest the first alone has two thirds.
    assert drawn(logits, SamplingRules(top_k=2, top_p=0.65)) == [0, 1, 0]


def test_of_equal_scores_the_first_are_the_likeliest() -> None:
    scores = np.array([1, 3, 2, 3, 2, 2], np.float32)
    assert likeliest(scores, 4).tolist() == [1, 3, 2, 4]
    assert likeliest(scores, 0).tolist() == likeliest(scores, 6).tolist() == [1, 3, 2, 4, 5, 0]
    rng = np.random.default_rng(0)
    for _ in range(20):
        row = rng.integers(0, 9, 50).astype(np.float32)
        np.testing.assert_array_equal(likeliest(row, 7), np.argsort(-row, kind="stable")[:7])


def test_the_logits_stay_as_they_were() -> None:
    before = LOGITS.copy()
    rules = SamplingRules(temperature=0, repetition_penalty=2)
    choose_token(LOGITS, [1], rules, choice=Choice(banned=np.array([2])))
    np.testing.assert_array_equal(LOGITS, before)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top-k"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_p": 1.5}, "top-p"),
        ({"repetition_penalty": 0.0}, "repetition"),
        ({"repetition_penalty": float("inf")}, "repetition"),
    ],
)
def test_what_makes_no_sense_is_refused(rules: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SamplingRules(**rules)  # type: ignore[arg-type]
