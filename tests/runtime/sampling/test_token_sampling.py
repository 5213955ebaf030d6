import numpy as np
import pytest

from motionrt.runtime.sampling.token_sampling import GenerationRules, choose_tokens

LOGITS = np.array([[1.0, 2.0, 1.9, -5.0], [-1.0, -1.05, -3.0, -9.0]], np.float32)
NOTHING = np.zeros((2, 0), np.int64)


def test_the_best_is_taken() -> None:
    assert choose_tokens(LOGITS, NOTHING, GenerationRules()).tolist() == [1, 0]


def test_what_was_generated_before_loses() -> None:
    generated = np.array([[1, 1], [0, 0]])
    assert choose_tokens(LOGITS, generated, GenerationRules()).tolist() == [2, 1]
    off = GenerationRules(repetition_penalty=1)
    assert choose_tokens(LOGITS, generated, off).tolist() == [1, 0]


def test_banned_tokens_are_never_chosen() -> None:
    rules = GenerationRules(banned=(0, 1))
    assert choose_tokens(LOGITS, NOTHING, rules).tolist() == [2, 2]
    draws = GenerationRules(banned=(0, 1), draws=True, temperature=100.0)
    generator = np.random.default_rng(0)
    for _ in range(30):
        assert set(choose_tokens(LOGITS, NOTHING, draws, generator).tolist()) <= {2, 3}


def test_draws_follow_the_shares_of_the_likeliest() -> None:
    logits = np.log(np.array([[0.6, 0.3, 0.1]], np.float32)).repeat(4000, axis=0)
    nothing = np.zeros((4000, 0), np.int64)
    rules = GenerationRules(draws=True, top_k=2)
    drawn = choose_tokens(logits, nothing, rules, np.random.default_rng(1))
    assert np.mean(drawn == 0) == pytest.approx(2 / 3, abs=0.03)
    assert not (drawn == 2).any()


def test_the_logits_stay_as_they_were() -> None:
    before = LOGITS.copy()
    choose_tokens(LOGITS, np.array([[1], [0]]), GenerationRules(banned=(2,)))
    np.testing.assert_array_equal(LOGITS, before)


def test_draws_need_a_generator() -> None:
    with pytest.raises(ValueError, match="generator"):
        choose_tokens(LOGITS, NOTHING, GenerationRules(draws=True))
