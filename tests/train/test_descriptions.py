import json

from motionrt.train.descriptions import (
    NUM_DESCRIPTIONS,
    TOPICS,
    corpus_file,
    corpus_text,
    descriptions,
)
from motionrt.train.pairs import read_texts


def test_what_is_shipped_is_what_the_grammar_makes() -> None:
    assert corpus_file().read_text(encoding="utf-8") == corpus_text()


def test_a_thousand_different_texts_under_a_licence() -> None:
    first, *lines = corpus_file().read_text(encoding="utf-8").splitlines()
    assert first.startswith("# 1,000 descriptions") and "CC0" in first
    texts = read_texts(corpus_file())
    assert len(lines) == len(texts) == NUM_DESCRIPTIONS
    assert all(set(json.loads(line)) == {"text", "group"} for line in lines)


def test_every_topic_takes_its_share() -> None:
    groups = [group for _, group in descriptions()]
    for topic in TOPICS:
        share = sum(group.startswith(f"{topic}: ") for group in groups)
        assert share > NUM_DESCRIPTIONS / len(TOPICS) * 0.6, topic
    assert len(set(groups)) > 180


def test_no_slot_and_no_mark_is_left() -> None:
    for text, _ in descriptions():
        assert not set("{}^") & set(text), text
        assert text[0].isupper() or not text[0].isalpha()
