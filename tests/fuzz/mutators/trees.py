"""Changes of what JSON and YAML hold: values, lists, objects."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

from fuzz.mutators.havoc import LARGEST, TEXTS, few, havoc, havoc_text
from fuzz.target import Mutator

_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    255,
    65536,
    1 << 31,
    (1 << 53) + 1,
    1 << 63,
    10**30,
    0.0,
    -0.0,
    0.5,
    -1.5,
    1e9,
    1e38,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    float("-inf"),
    [],
    {},
    [[]],
    [{}],
    {"": None},
    [0] * 3,
    [None] * 4,
    *TEXTS,
)


LARGEST_EXACT = 1 << 53
"""Larger whole numbers are no floats without loss, or none at all."""


def changed(rng: Random, document: Any) -> Any:
    """Return a document with a few nodes changed; the one that is given may be changed too."""
    holder = [document]
    for _ in range(few(rng)):
        above, key = _place(rng, holder)
        _change(rng, holder, above, key)
    return holder[0]


def _place(rng: Random, holder: list[Any]) -> tuple[Any, Any]:
    """Go down from the top at random: a node is the container above it and its key there."""
    above: Any = holder
    key: Any = 0
    while True:
        node = above[key]
        if not isinstance(node, (dict, list)) or not node or rng.random() < 0.08:
            return above, key
        above = node
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))


def _change(rng: Random, holder: list[Any], above: Any, key: Any) -> None:
    node = above[key]
    kind = rng.randrange(12)
    if kind <= 2:
        above[key] = copy.deepcopy(rng.choice(_VALUES))
    elif kind <= 5:
        above[key] = _near(rng, node)
    elif kind == 6 and above is not holder:
        del above[key]
    elif kind == 7:  # what stands elsewhere
        other, name = _place(rng, holder)
        above[key] = copy.deepcopy(other[name])
    elif kind == 8 and isinstance(above, dict):
        name = rng.choice([*above, *TEXTS])
        above[name] = above.pop(key)
    elif kind == 9 and isinstance(above, list) and above is not holder:
        times = rng.randrange(2, 1000) if rng.random() < 0.05 else 1
        if _size(node) * times < LARGEST:
            above[key:key] = [copy.deepcopy(node) for _ in range(times)]
    elif kind == 10:
        above[key] = [node] if rng.random() < 0.7 else {"": node}
    elif kind == 11 and isinstance(node, list) and node:
        above[key] = rng.choice((node[0], node[:-1], node[::-1], [*node, node[-1]]))


def _near(rng: Random, node: Any) -> Any:
    """A value that is almost what it was."""
    if isinstance(node, bool):
        return rng.choice((not node, int(node), str(node)))
    if isinstance(node, int):
        half = node + 0.5 if abs(node) < LARGEST_EXACT else node // 2
        return rng.choice((node + 1, node - 1, -node, node * 2, node * 1000, half, str(node)))
    if isinstance(node, float):
        return rng.choice((-node, node * 1e3, node * 1e30, node * 1e-30, str(node)))
    if isinstance(node, str):
        return havoc_text(rng, node.encode("utf-8", "replace")).decode("utf-8", "replace")
    return node


def _size(node: Any) -> int:
    if isinstance(node, dict):
        return 2 + sum(len(str(key)) + _size(value) for key, value in node.items())
    if isinstance(node, list):
        return 2 + sum(map(_size, node))
    return len(str(node)) + 2


@lru_cache(64)
def _parsed(data: bytes) -> Any:
    return json.loads(data)


def parsed(data: bytes) -> Any:
    """Parse JSON; ValueError or RecursionError if it is none. The document is the caller's own."""
    return copy.deepcopy(_parsed(data))


def written(document: Any) -> bytes:
    """Write JSON, whatever the numbers and texts are."""
    return json.dumps(document).encode()


def json_mutator(change: Callable[[Random, Any], Any] = changed) -> Mutator:
    """Make a mutator of JSON: mostly of its values, sometimes of its text."""

    def mutate(rng: Random, data: bytes) -> bytes:
        kind = rng.random()
        try:
            if kind < 0.85:
                data = written(change(rng, parsed(data)))
            elif kind < 0.86:
                return rng.choice((b"[", b'{"a":')) * rng.randrange(1, 100_000)
        except (ValueError, RecursionError):
            return havoc_text(rng, data)
        if kind > 0.97:
            return havoc(rng, data)
        return havoc_text(rng, data) if kind > 0.8 else data

    return mutate


def json_lines_mutator(rng: Random, data: bytes) -> bytes:
    """Change a text of JSON lines: one of them, or their order and number."""
    lines = data.splitlines()
    if not lines or rng.random() < 0.2:
        return havoc_text(rng, data)
    place = rng.randrange(len(lines))
    lines[place] = json_mutator()(rng, lines[place])
    return b"\n".join(lines)


_YAML = ("&a [*a, *a]", "*a", "${oc.env:HOME}", "${a}", "!!python/name:os.system", "- ", ": ", "~")


def yaml_mutator(rng: Random, data: bytes) -> bytes:
    """Change the values of a YAML file, or its text."""
    import yaml

    kind = rng.random()
    if kind < 0.7:
        try:
            document = changed(rng, copy.deepcopy(_parsed_yaml(data)))
            return yaml.dump(document, Dumper=_dumper(), allow_unicode=True).encode(
                "utf-8", "surrogatepass"
            )
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            pass
    if kind < 0.8:
        place = rng.randrange(len(data) + 1)
        return data[:place] + rng.choice(_YAML).encode() + data[place:]
    return havoc_text(rng, data)


def _dumper() -> Any:
    import yaml

    return getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@lru_cache(64)
def _parsed_yaml(data: bytes) -> Any:
    import yaml

    return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
