"""Changes of .glb and .gltf: their JSON, and the numbers behind it, lengths put right."""

from __future__ import annotations

import base64
import json
import struct
from functools import lru_cache
from random import Random
from typing import Any

from fuzz.mutators.havoc import LARGEST, few, havoc, havoc_numbers
from fuzz.mutators.trees import changed, json_mutator, parsed, written

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_DATA = "data:application/octet-stream;base64,"
_FIELDS = "nodes animations accessors bufferViews skins scenes buffers extensions".split()


def mutate_glb(rng: Random, data: bytes) -> bytes:
    """Change a .glb."""
    split = _split(data)
    if split is None or rng.random() < 0.05:
        return havoc(rng, data)
    text, chunk = split
    if rng.random() < 0.25:
        chunk = havoc_numbers(rng, chunk) if rng.random() < 0.8 else havoc(rng, chunk)
    if rng.random() < 0.85:
        try:
            text = written(_other_document(rng, parsed(text)))
        except (ValueError, RecursionError):
            text = havoc(rng, text)
    elif rng.random() < 0.2:
        text = json_mutator()(rng, text)
    return glb(text, chunk)


def mutate_gltf(rng: Random, data: bytes) -> bytes:
    """Change a .gltf whose data lies in data: URIs."""
    if rng.random() < 0.1:
        return json_mutator()(rng, data)
    try:
        document = _other_document(rng, parsed(data))
        for buffer in document.get("buffers", ()):
            uri = buffer.get("uri", "")
            if uri.startswith(_DATA) and rng.random() < 0.25:
                raw = havoc_numbers(rng, base64.b64decode(uri[len(_DATA) :]))
                buffer["uri"] = _DATA + base64.b64encode(raw).decode()
        return written(document)
    except (ValueError, RecursionError, AttributeError, TypeError):
        return json_mutator()(rng, data)


def glb(text: bytes, chunk: bytes) -> bytes:
    """Put a .glb together."""
    text += b" " * (-len(text) % 4)
    chunk += b"\0" * (-len(chunk) % 4)
    total = 28 + len(text) + len(chunk)
    head = struct.pack("<IIIII", 0x46546C67, 2, total, len(text), _JSON)
    return head + text + struct.pack("<II", len(chunk), _BIN) + chunk


def _other_document(rng: Random, document: Any) -> Any:
    """Change one of its main lists, so that none is left out for being short."""
    if not isinstance(document, dict):
        return changed(rng, document)
    for _ in range(few(rng)):
        kind = rng.random()
        named = [name for name in _FIELDS if document.get(name)]
        if kind < 0.03:
            _grow(rng, document)
        elif kind < 0.1 or not named:
            document = changed(rng, document)
            if not isinstance(document, dict):
                break
        else:
            name = rng.choice(named)
            document[name] = changed(rng, document[name])
    return document


def _grow(rng: Random, document: dict[str, Any]) -> None:
    """Add many nodes, channels, or numbers that no data stand for."""
    nodes, accessors = document.get("nodes"), document.get("accessors")
    count = 1 << rng.randrange(12)
    kind = rng.randrange(4)
    if kind == 0 and isinstance(nodes, list):
        start = len(nodes)
        nodes.extend({"name": "n"} for _ in range(count))
        nodes[start - 1 :] = [
            {**(node if isinstance(node, dict) else {}), "children": [index + 1]}
            for index, node in enumerate(nodes[start - 1 : -1], start - 1)
        ] + nodes[-1:]
    elif kind == 1 and isinstance(nodes, list) and nodes and isinstance(nodes[0], dict):
        start = len(nodes)
        nodes.extend({"name": f"n{index}"} for index in range(count))
        children = nodes[0].get("children")
        before = children if isinstance(children, list) else []
        nodes[0]["children"] = [*before, *range(start, start + count)]

    elif kind == 2 and isinstance(accessors, list) and accessors:
        accessor = rng.choice(accessors)
        if isinstance(accessor, dict):
            accessor["count"] = count * 300
            accessor.pop("bufferView", None)
    elif isinstance(document.get("animations"), list):
        for animation in document["animations"]:
            channels = animation.get("channels") if isinstance(animation, dict) else None
            if isinstance(channels, list) and channels:
                most = 1 + LARGEST // (1 + len(json.dumps(channels)))
                animation["channels"] = channels * min(count, most)


@lru_cache(64)
def _split(data: bytes) -> tuple[bytes, bytes] | None:
    if len(data) < 20 or data[:4] != b"glTF":
        return None
    length = struct.unpack_from("<I", data, 12)[0]
    return data[20 : 20 + length], data[28 + length :]
