import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.language.decoding import Always, Grammar, continue_tokens
from motionrt.runtime.language.sampling import Choice, SamplingRules

END = 4
GREEDY = SamplingRules(temperature=0)
Floats = NDArray[np.float32]


def favour(*ids: int) -> Floats:
    """Return logits (B, 5) in which one token of each row is the likeliest."""
    return np.eye(5, dtype=np.float32)[list(ids)]


class Script:
    """A model that says in each row one token after another, whatever it hears."""

    def __init__(self, *rows: list[int]) -> None:
        self.rows = rows
        self.fed: list[list[int]] = []

    def first(self) -> Floats:
        return favour(*(row[0] for row in self.rows))

    def advance(self, chosen: NDArray[np.int64], step: int) -> Floats:
        assert step == len(self.fed)
        self.fed.append(chosen.tolist())
        return favour(*((row + [END] * 9)[step + 1] for row in self.rows))


def test_rows_end_on_their_own() -> None:
    script = Script([1, END], [2, 3, 1, END])
    made = continue_tokens(script.first(), script.advance, GREEDY, [END], 9)
    assert made == [[1, END], [2, 3, 1, END]]
    assert script.fed == [[1, 2], [END, 3], [END, 1]]


def test_no_more_tokens_than_allowed() -> None:
    script = Script([1, 2, 3, 1])
    assert continue_tokens(script.first(), script.advance, GREEDY, [END], 2) == [[1, 2]]
    assert script.fed == [[1]]


def test_a_grammar_rules_a_row_and_may_end_it() -> None:
    class Two:
        """Only the tokens 0 and 2 may follow, two of them."""

        def __init__(self) -> None:
            self.count = 0

        def choice(self) -> Choice:
            return Choice(allowed=np.array([0, 2]))

        def accept(self, token: int) -> bool:
            self.count += 1
            return self.count == 2

    script = Script([1, 2, 3], [1, 1, 1, END])
    grammars: list[Grammar] = [Two(), Always()]
    made = continue_tokens(script.first(), script.advance, GREEDY, [END], 9, grammars=grammars)
    assert made == [[0, 2], [1, 1, 1, END]]


def test_every_token_is_heard_and_an_exception_cancels() -> None:
    heard: list[tuple[int, int]] = []
    script = Script([1, END], [2, 3, END])

    def hear(row: int, token: int) -> None:
        heard.append((row, token))
        if token == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        continue_tokens(script.first(), script.advance, GREEDY, [END], 9, heard=hear)
    assert heard == [(0, 1), (1, 2), (0, END), (1, 3)]


def test_a_row_draws_the_same_beside_others() -> None:
    rules = SamplingRules(temperature=1.0)

    def run(seeds: list[int]) -> list[list[int]]:
        def advance(chosen: NDArray[np.int64], step: int) -> Floats:
            return np.eye(5, dtype=np.float32)[chosen] * 0.5

        generators = [np.random.default_rng(seed) for seed in seeds]
        first = np.zeros((len(seeds), 5), np.float32)
        return continue_tokens(first, advance, rules, [END], 12, generators=generators)

    together, alone = run([1, 2, 3]), [run([seed])[0] for seed in (1, 2, 3)]
    assert together == alone
    assert run([1]) == run([1]) != run([2])


def test_draws_need_generators() -> None:
    script = Script([1, END])
    with pytest.raises(ValueError, match="generator"):
        continue_tokens(script.first(), script.advance, SamplingRules(), [END], 9)
