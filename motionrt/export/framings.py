"""What is written around a text before an encoder reads it.

Loads nothing: the command line takes its choices from here.
"""

from __future__ import annotations

FRAMINGS = ("auto", "plain", "llama3-user", "chatml-user")
"""What may be written around a text; auto is what the encoder's kind is used with."""
FRAMES = {
    "plain": ("", ""),
    "llama3-user": ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    "chatml-user": ("<|im_start|>user\n", "<|im_end|>\n"),
}
"""What stands before and behind a text."""
FRAME_TOKENS = {
    "llama3-user": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "chatml-user": ("<|im_start|>", "<|im_end|>"),
}
"""Tokens that a tokenizer must have for it."""
