"""What the C library computes below its public functions, against Python."""

import ctypes
import hashlib
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_builds import build_library
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from motionrt.runtime.body.root_smoother import smooth_root
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.constraints.kinds import Root2D
from motionrt.runtime.kimodo.chaining import ends_of_parts, part_lengths, waypoints_between
from motionrt.runtime.kimodo.compat import COMPATS
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import SOLVERS, cosine_schedule
from motionrt.runtime.text.prompt import clean_prompt

MODERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = (
    "a person walks forward then turns left slowly she's don't I'LL we've They're 'S it's K'\u017f "
    "Running jumps 3 12 345 6789 <|endoftext|> [CLS] ## un##able naïve Straße "
    "\u039f\u0394\u039f\u03a3 \ufb01ne"
).split()
RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x300, 0x370),
    (0x370, 0x530),
    (0x590, 0x700),
    (0x900, 0xA00),
    (0x1100, 0x1200),
    (0x1E00, 0x2000),
    (0x2000, 0x2070),
    (0x3000, 0x3100),
    (0x4E00, 0x4F00),
    (0xAC00, 0xAD00),
    (0x1F300, 0x1F650),
    (1, 32),
)
"""Scripts, combining marks, blanks and controls that random texts are made of."""


@lru_cache(maxsize=1)
def library() -> Any:
    loaded = ctypes.CDLL(str(build_library(internals=True)))
    size, text = ctypes.c_size_t, ctypes.c_char_p
    loaded.test_tokenizer_load.argtypes = [text, size]
    loaded.test_tokenizer_encode.restype = ctypes.c_long
    loaded.test_tokenizer_encode.argtypes = [
        text,
        size,
        ctypes.c_int,
        size,
        ctypes.c_void_p,
        size,
    ]
    loaded.test_clean_prompt.argtypes = [text, text, size]
    loaded.test_sha256.argtypes = [text, size, size, ctypes.c_int, text]
    return loaded


def random_text(generator: random.Random) -> str:
    if generator.random() < 0.3:
        blank = generator.choice([" ", "  ", " \n", "", "\t"])
        return blank.join(generator.choice(WORDS) for _ in range(generator.randint(0, 15)))
    ranges = generator.sample(RANGES, generator.randint(1, 3))
    characters = []
    for _ in range(generator.randint(0, 30)):
        start, stop = generator.choice(ranges)
        if generator.random() < 0.02:
            start, stop = generator.choice([(1, 0xD800), (0xE000, 0x110000)])
        characters.append(chr(generator.randrange(start, stop)))
    return "".join(characters)


def training_texts() -> list[str]:
    return ["a person walks forward and turns", "jumping, running 1234 times", *WORDS] * 4


def byte_level(pattern: str, composed: bool, ignore_merges: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if composed:
        tokenizer.normalizer = normalizers.NFC()
    cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, level])
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(training_texts(), trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    tokenizer.train_from_iterator(training_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def gpt2_with_added_tokens() -> Tokenizer:
    tokenizer = byte_level(MODERN % "", False, False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.add_tokens(["<start_of_motion>", "walks"])
    tokenizer.add_special_tokens(["<end_of_motion>"])
    return tokenizer


TOKENIZERS = {
    "default": lambda: Tokenizer.from_file(str(Path(embedded_bundle()) / "tokenizer.json")),
    "gpt2": gpt2_with_added_tokens,
    "llama": lambda: byte_level(MODERN % "{1,3}", False, True),
    "qwen": lambda: byte_level(MODERN % "", True, False),
    "bert": word_piece,
}


def compare(tokenizer: Tokenizer, count: int, seed: int) -> None:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    content = tokenizer.to_str().encode()
    assert library().test_tokenizer_load(content, len(content)) == 0
    generator = random.Random(seed)
    ids = (ctypes.c_int32 * 4096)()
    for _ in range(count):
        text = random_text(generator)
        special = generator.random() < 0.5
        raw = text.encode()
        found = library().test_tokenizer_encode(raw, len(raw), special, 0, ids, len(ids))
        expected = tokenizer.encode(text, add_special_tokens=special).ids
        assert list(ids[:found]) == expected, repr(text)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokenizers_equal_the_package(kind: str) -> None:
    compare(TOKENIZERS[kind](), 1500, seed=hash(kind) % 1000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokenizers_equal_the_package_on_many_texts(kind: str) -> None:
    compare(TOKENIZERS[kind](), 100_000 // len(TOKENIZERS), seed=1)


def test_tokens_are_cut_as_the_package_cuts_them() -> None:
    tokenizer = word_piece()
    content = tokenizer.to_str().encode()
    tokenizer.enable_truncation(5)
    assert library().test_tokenizer_load(content, len(content)) == 0
    ids = (ctypes.c_int32 * 64)()
    text = b"a person walks forward and turns"
    for special in (True, False):
        found = library().test_tokenizer_encode(text, len(text), special, 5, ids, 64)
        expected = tokenizer.encode(text.decode(), add_special_tokens=special).ids
        assert list(ids[:found]) == expected


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    tokenizer = TOKENIZERS["qwen"]()
    content = tokenizer.to_str().encode()
    assert library().test_tokenizer_load(content, len(content)) == 0
    raw = b"walk\xff\xc3(\xe2\x82 \xf0\x9f\x92"
    ids = (ctypes.c_int32 * 64)()
    found = library().test_tokenizer_encode(raw, len(raw), 0, 0, ids, 64)
    assert found > 0
    text = "walk\ufffd\ufffd(\ufffd\ufffd \ufffd\ufffd\ufffd"
    assert list(ids[:found]) == tokenizer.encode(text).ids


def test_a_long_text_takes_no_time_beyond_its_length() -> None:
    tokenizer = TOKENIZERS["gpt2"]()
    content = tokenizer.to_str().encode()
    assert library().test_tokenizer_load(content, len(content)) == 0
    text = ("a" * 200_000) + (" walks" * 100_000)
    raw = text.encode()
    ids = (ctypes.c_int32 * 1_000_000)()
    found = library().test_tokenizer_encode(raw, len(raw), 0, 0, ids, len(ids))
    assert list(ids[:found]) == tokenizer.encode(text).ids


def test_prompts_are_cleaned_as_in_python() -> None:
    generator = random.Random(3)
    out = ctypes.create_string_buffer(4096)
    for _ in range(3000):
        text = random_text(generator)
        assert library().test_clean_prompt(text.encode(), out, len(out)) == 0
        assert out.value.decode() == clean_prompt(text), repr(text)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_noise_is_that_of_python(seed: int) -> None:
    counts = [5, 1, 16, 40, 3, 1000, 17]
    values = np.empty(sum(counts), np.float32)
    sizes = (ctypes.c_size_t * len(counts))(*counts)
    pointer = values.ctypes.data_as(ctypes.c_void_p)
    library().test_noise(ctypes.c_uint32(seed), sizes, ctypes.c_size_t(len(counts)), pointer)
    generator = TorchGenerator(seed)
    expected = np.concatenate([generator.randn((count,)) for count in counts])
    np.testing.assert_allclose(values, expected, atol=2e-6)
    of_blocks = np.repeat([count >= 16 for count in counts], counts)
    np.testing.assert_array_equal(values[of_blocks], expected[of_blocks])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 12, 20, 100, 999, 1000])
def test_schedules_are_those_of_python(solver: str, steps: int) -> None:
    expected = cosine_schedule(1000, steps, solver)
    timesteps = np.empty(steps, np.int64)
    coefficients = np.empty((steps, 3), np.float32)
    status = library().test_schedule(
        solver.encode(),
        1000,
        steps,
        timesteps.ctypes.data_as(ctypes.c_void_p),
        coefficients.ctypes.data_as(ctypes.c_void_p),
    )
    assert status == 0
    np.testing.assert_array_equal(timesteps, expected.timesteps)
    np.testing.assert_allclose(coefficients, expected.coefficients, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("frames", [1, 4, 5, 7, 31, 32, 100, 500])
def test_the_root_is_smoothed_as_in_python(frames: int) -> None:
    generator = np.random.default_rng(frames)
    root = np.cumsum(generator.normal(size=(frames, 3)) * 0.02, axis=0).astype(np.float32)
    result = np.empty_like(root)
    status = library().test_smooth_root(
        root.ctypes.data_as(ctypes.c_void_p), frames, result.ctypes.data_as(ctypes.c_void_p)
    )
    assert status == 0
    np.testing.assert_allclose(result, smooth_root(root), atol=1e-5)


@pytest.mark.parametrize("plain", [False, True], ids=["own instructions", "plain"])
@pytest.mark.parametrize("count", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000])
def test_hashes_are_those_of_python(count: int, plain: bool) -> None:
    content = bytes(i % 251 for i in range(count))
    for part in (count + 1, 64, 63, 1):
        out = ctypes.create_string_buffer(65)
        library().test_sha256(content, count, part, plain, out)
        assert out.value.decode() == hashlib.sha256(content).hexdigest(), part


def pointer(values: Any) -> Any:
    return values.ctypes.data_as(ctypes.c_void_p)


def chained(
    lengths: list[int], longest: int, transition: int, included: bool, compat: str, before: int
) -> list[list[int]]:
    room = sum(lengths) + 1
    given = np.array(lengths, np.int32)
    frames, prompts = np.zeros(room, np.int32), np.zeros(room, np.int32)
    count = library().test_chain(
        *(pointer(given), len(lengths), longest, transition, int(included), compat.encode()),
        *(before, pointer(frames), pointer(prompts), room),
    )
    assert count >= 0
    return [frames[:count][prompts[:count] == index].tolist() for index in range(len(lengths))]


@pytest.mark.parametrize("compat", list(COMPATS))
def test_long_prompts_are_split_as_in_python(compat: str) -> None:
    generator = random.Random(5)
    split = 0
    for _ in range(2000):
        lengths = [generator.randint(1, 700) for _ in range(generator.randint(1, 4))]
        longest = generator.choice([1, 3, 5, 6, 8, 20, 120, 300, 1000])
        transition = generator.choice([1, 5, 12])
        before = generator.choice([0, 0, 1, 9, 40, 400])
        included = generator.random() < 0.5
        expected = part_lengths(
            lengths, longest, transition, COMPATS[compat], before, transitions_included=included
        )
        assert chained(lengths, longest, transition, included, compat, before) == expected
        split += len(expected[0]) > 1
    assert split > 500


def test_parts_share_the_way_as_in_python() -> None:
    generator = np.random.default_rng(6)
    added = 0
    for _ in range(2000):
        parts = [generator.integers(2, 40, generator.integers(1, 5)).tolist() for _ in range(3)]
        before = int(generator.choice([0, 7]))
        place = generator.normal(size=2).astype(np.float32)
        start = (max(before - 1, 0), place)
        count = int(generator.integers(1, 6))
        # Some frames are given twice, some are the ends of parts, some lie beyond the end.
        frames = generator.choice([*range(0, 300, 3), *ends_of_parts(parts, before)], count)
        path = Root2D(frames, generator.normal(size=(count, 2)) * 5)
        expected = waypoints_between([path], ends_of_parts(parts, before), start)
        lengths = np.array([frames for own in parts for frames in own], np.int32)
        prompts = np.array([i for i, own in enumerate(parts) for _ in own], np.int32)
        held, at = np.zeros(len(lengths), np.int32), np.zeros((len(lengths), 2), np.float32)
        given, places = frames.astype(np.int32), np.ascontiguousarray(path.smooth_root_2d)
        found = library().test_waypoints(
            *(pointer(lengths), pointer(prompts), len(lengths), before, pointer(given)),
            *(pointer(places), count, start[0], pointer(place), pointer(held), pointer(at)),
        )
        if not expected:
            assert found == 0
            continue
        (wanted,) = expected
        assert isinstance(wanted, Root2D)
        assert held[:found].tolist() == wanted.frame_indices.tolist()
        np.testing.assert_allclose(at[:found], wanted.smooth_root_2d, rtol=0, atol=1e-6)
        added += found
    assert added > 1000
