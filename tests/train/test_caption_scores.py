import json
from pathlib import Path

import pytest

from motionrt.runtime.errors import InputError
from motionrt.train.caption_scores import caption_scores

REFERENCES = [
    ["a person walks forward slowly", "someone is walking ahead"],
    ["the man jumps twice on the spot"],
    ["a woman dances in a circle"],
]


def test_the_same_words_score_best() -> None:
    best = caption_scores([texts[0].upper() + "." for texts in REFERENCES], REFERENCES)
    assert best["bleu_1"] == best["bleu_4"] == pytest.approx(100)
    assert best["rouge_l"] == pytest.approx(100)
    near = caption_scores(["a person walks", "the man hops twice", "a woman sits"], REFERENCES)
    none = caption_scores(["x y z"] * 3, REFERENCES)
    for name in best:
        assert best[name] > near[name] > none[name] == pytest.approx(0, abs=1e-6), name


def test_bert_scores_with_a_model_of_ones_own(tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 64}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    same = caption_scores([texts[0] for texts in REFERENCES], REFERENCES, tmp_path)
    other = caption_scores(["x y z"] * 3, REFERENCES, tmp_path)
    assert same["bert_f1"] == pytest.approx(100, abs=1e-2)
    assert other["bert_f1"] < same["bert_f1"]


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 captions"):
        caption_scores([], [])
    with pytest.raises(InputError, match="no folder of a BERT"):
        caption_scores(["a"], [["a"]], tmp_path)
