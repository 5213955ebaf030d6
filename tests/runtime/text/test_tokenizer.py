import json

import numpy as np
import pytest
from byte_tokenizer import tokenizer_json
from hypothesis import given
from hypothesis import strategies as st

from motionrt.runtime.errors import BundleError
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

LLAMA, QWEN = tokenizer_json("llama").encode(), tokenizer_json("qwen3").encode()
CHAT = TextRules(
    prefix="<|start_header_id|>user<|end_header_id|>\n\n",
    suffix="<|eot_id|>",
    trim_end=True,
    special_tokens=True,
    max_tokens=60,
    text_tokens=20,
    separator="!@#$%^&*()",
    pool="text",
)


def test_rows_are_padded_at_their_end() -> None:
    ids, mask, pooled = TextTokenizer(QWEN, TextRules(pad_id=7)).encode(["ab", "abcd"])
    assert ids.shape == (2, 4)
    assert ids.dtype == mask.dtype == pooled.dtype == np.int64
    np.testing.assert_array_equal(mask, [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(pooled, mask)
    assert list(ids[0, 2:]) == [7, 7]


def test_empty_texts_give_one_masked_column() -> None:
    ids, mask, pooled = TextTokenizer(QWEN, TextRules()).encode([""])
    assert ids.shape == (1, 1)
    assert not mask.any()
    assert not pooled.any()
    assert TextTokenizer(QWEN, TextRules()).encode([])[0].shape == (0, 1)


def test_chat_frame_is_seen_and_text_with_its_end_is_pooled() -> None:
    tokenizer = TextTokenizer(LLAMA, CHAT)
    ids, mask, pooled = tokenizer.encode(["Run.  "])
    begin, end = tokenizer.token_id("<|begin_of_text|>"), tokenizer.token_id("<|eot_id|>")
    assert ids[0, 0] == begin
    assert ids[0, -1] == end
    assert mask.all()
    assert pooled.sum() == len("Run.") + 1


def test_nothing_to_pool_pools_everything() -> None:
    plain = TextRules(special_tokens=True, pool="text")
    _, _, pooled = TextTokenizer(LLAMA, plain).encode([""])
    np.testing.assert_array_equal(pooled, [[1]])


def test_long_texts_lose_words() -> None:
    tokenizer = TextTokenizer(LLAMA, CHAT)
    _, _, pooled = tokenizer.encode(["one two three four five six"])
    # 27 tokens: of six words a share of 20 / 27 stays.
    assert pooled.sum() == len("one two three four") + 1
    _, _, pooled = tokenizer.encode(["x" * 100])
    assert pooled.sum() == 1, "one long word: nothing stays but the end of the frame"


def test_rows_beyond_the_limit_are_cut() -> None:
    ids, _, _ = TextTokenizer(QWEN, TextRules(max_tokens=5)).encode(["abcdefgh"])
    assert ids.shape == (1, 5)


def test_a_text_that_holds_the_separator_is_split_there() -> None:
    tokenizer = TextTokenizer(LLAMA, CHAT)
    with_marker = tokenizer.encode(["walk!@#$%^&*()run"])
    without = tokenizer.encode(["walkrun"])
    np.testing.assert_array_equal(with_marker[0], without[0])
    assert with_marker[2].sum() == len("walk")


def test_repeat_pools_the_second_copy() -> None:
    rules = TextRules(repeat=True, pool="text")
    ids, _, pooled = TextTokenizer(QWEN, rules).encode(["abc"])
    assert ids.shape == (1, 7)
    np.testing.assert_array_equal(pooled, [[0, 0, 0, 0, 1, 1, 1]])


def test_first_tokens_can_be_left_out_unless_they_are_all() -> None:
    tokenizer = TextTokenizer(QWEN, TextRules(pool_skip=2))
    np.testing.assert_array_equal(tokenizer.encode(["abcd"])[2], [[0, 0, 1, 1]])
    np.testing.assert_array_equal(tokenizer.encode(["ab"])[2], [[1, 1]])


def test_a_stored_truncation_or_padding_is_not_obeyed() -> None:
    stored = json.loads(QWEN)
    stored["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    data = json.dumps(stored).encode()
    assert TextTokenizer(data, TextRules()).encode(["abcdef"])[0].shape == (1, 6)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_a_batch_holds_what_single_texts_give(texts: list[str]) -> None:
    tokenizer = TextTokenizer(LLAMA, CHAT)
    batch = tokenizer.encode(texts)
    for row, text in enumerate(texts):
        alone = tokenizer.encode([text])
        real = batch[1][row] > 0
        for together, single in zip(batch, alone, strict=True):
            np.testing.assert_array_equal(together[row][real], single[0])
        assert batch[0].shape[1] <= CHAT.max_tokens
        assert batch[2][row].any()


def test_rules_survive_a_manifest() -> None:
    stored = json.loads(json.dumps(CHAT.to_dict()))
    assert TextRules.from_dict(stored) == CHAT


@pytest.mark.parametrize(
    "rules",
    [
        {"poetry": True},
        {"max_tokens": "512"},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"special_tokens": 1},
        {"pool": "some"},
        {"text_tokens": 0},
        {"prefix": None},
        {"repeat": True, "pool": "all"},
    ],
)
def test_bad_rules_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=r"^text rule"):
        TextRules.from_dict(rules)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b'{"version": "1.0"}'])
def test_files_that_are_no_tokenizer_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="no tokenizer"):
        TextTokenizer(data, TextRules())


def test_a_tokenizer_without_its_token_for_what_is_unknown_says_so() -> None:
    document = json.loads(LLAMA)
    document["model"] = {"type": "WordLevel", "vocab": {"walk": 0}, "unk_token": "<none>"}
    document["added_tokens"] = []
    tokenizer = TextTokenizer(json.dumps(document).encode(), TextRules())
    with pytest.raises(BundleError, match=r"^tokenizer\.json: encodes no text \(WordLevel error"):
        tokenizer.encode(["run"])


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        TextTokenizer("/nowhere/tokenizer.json", TextRules())
