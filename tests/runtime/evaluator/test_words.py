import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.evaluator.words import PARTS, WordTable, read_tokens

TABLE = WordTable(
    {"sos": 0, "eos": 1, "unk": 2, "a": 3, "walk": 4}, np.arange(10, dtype=np.float32).reshape(5, 2)
)


def test_words_have_vectors_and_parts() -> None:
    words, parts, lengths = TABLE.encode([("a/DET", "walk/NOUN", "zzz/VERB"), ()])
    assert list(lengths) == [5, 2]
    np.testing.assert_array_equal(words[0, :5, 0], [0, 6, 8, 4, 2])
    named = [PARTS[row.argmax()] for row in parts[0, :5]]
    # Walking matters to motion, whatever part of speech it is; what is unknown is nothing.
    assert named == ["OTHER", "DET", "Act_VIP", "OTHER", "OTHER"]
    assert (parts.sum(-1) == 1).all()


def test_long_texts_are_cut() -> None:
    words, _, lengths = TABLE.encode([("a/DET",) * 50])
    assert words.shape == (1, 22, 2) and list(lengths) == [22]
    assert words[0, -1, 0] == 2  # the end is there still


def test_a_word_without_its_part_is_named() -> None:
    assert read_tokens("a/DET and/or/CCONJ", "here") == ("a/DET", "and/or/CCONJ")
    assert read_tokens("", "here") == ()
    with pytest.raises(InputError, match="here: walk has no part"):
        read_tokens("a/DET walk", "here")
