"""Changes of .safetensors: the header's JSON with its length put right, and the numbers."""

from __future__ import annotations

import struct
from random import Random

from fuzz.mutators.havoc import havoc, havoc_numbers
from fuzz.mutators.trees import changed, json_mutator, parsed, written


def mutate_safetensors(rng: Random, data: bytes) -> bytes:
    """Change a .safetensors file."""
    kind = rng.random()
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else len(data)
    if length > len(data) or kind < 0.08:
        return havoc(rng, data)
    text, body = data[8 : 8 + length], data[8 + length :]
    if kind < 0.4:
        body = havoc_numbers(rng, body) if rng.random() < 0.8 else havoc(rng, body)
    if kind > 0.3:
        try:
            text = written(changed(rng, parsed(text)))
        except (ValueError, RecursionError):
            text = json_mutator()(rng, text)
    return struct.pack("<Q", len(text)) + text + body
