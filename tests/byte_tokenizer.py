"""Tokenizers of bytes, which small checkpoints and tests have in place of real ones."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

SPECIAL = {
    "llama": (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    "qwen3": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "bert": ("[PAD]", "[CLS]", "[SEP]"),
    "gpt2": ("<|endoftext|>",),
}
"""Kind of model -> the special tokens of its tokenizer, behind the 256 bytes."""


def make_tokenizer(kind: str) -> Tokenizer:
    """Make a byte-level tokenizer with the special tokens of a kind of model."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL[kind]))
    if kind == "llama":
        begin = SPECIAL[kind][0]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
    if kind == "bert":
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
        )
    return tokenizer


def tokenizer_json(kind: str) -> str:
    """Return the file of such a tokenizer."""
    text: str = make_tokenizer(kind).to_str()
    return text
