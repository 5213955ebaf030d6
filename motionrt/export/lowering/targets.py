"""What the runtimes that are no recent ONNX Runtime can do, as data with its source and date.

Loads neither torch nor onnx: the command line takes its choices from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import motionrt

FILE = Path("assets", "targets.json")


@dataclass(frozen=True)
class Target:
    """A runtime that graphs are lowered for."""

    name: str
    runtime: str
    """What it is, with the versions that the rest is true of."""
    opset: int
    ir_version: int
    operators: frozenset[str] | None
    """Operators of ONNX that it has; None for all of the opset."""
    contrib: Mapping[str, tuple[int, ...]]
    """Operators of ``com.microsoft`` that it has, and with weights of how many bits."""
    loops: bool
    """Whether compiled loops are kept. Otherwise the host iterates the step."""
    external_data: bool
    """Whether weights may lie beside their graph. Otherwise a graph is one file."""
    types: frozenset[str]
    """Element types of weights and casts."""
    copies: Mapping[str, str]
    """Files of a bundle that its host takes by another name: they are written under both."""
    notes: tuple[str, ...]
    source: str
    date: str
    """When source was looked at."""


@cache
def targets() -> Mapping[str, Target]:
    """Return all targets by name."""
    text = (Path(motionrt.__file__).parent / FILE).read_text("utf-8")
    return {name: _target(name, entry) for name, entry in json.loads(text).items()}


def _target(name: str, entry: Mapping[str, Any]) -> Target:
    operators = entry["operators"]
    return Target(
        name=name,
        runtime=entry["runtime"],
        opset=entry["opset"],
        ir_version=entry["ir_version"],
        operators=None if operators is None else frozenset(operators.split()),
        contrib={key: tuple(bits) for key, bits in entry["contrib"].items()},
        loops=entry["loops"],
        external_data=entry["external_data"],
        types=frozenset(entry["types"].split()),
        copies=entry.get("copies", {}),
        notes=tuple(entry["notes"]),
        source=entry["source"],
        date=entry["date"],
    )
