"""Manifests of schema 1, brought into the form of schema 2.

Schema 1 did not say how a compiled loop is made of its step, how large axes may be, or how a
skeleton is treated: what it left to be guessed is guessed here, once, by its readers' rules.
"""

from __future__ import annotations

from typing import Any

from motionrt.runtime.body.skeleton import RULE_NAMES, SKELETON_NAMES, skeleton_asset

_STEP, _LOOP = "step", "sampler"
_STATE = ("x", "x0_previous")
_AXES: dict[str, dict[str, int]] = {
    "frames": {"typical": 150},
    "branches": {"typical": 2, "largest": 3},
    "steps": {"typical": 20, "largest": 1000},
}


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of schema 1 as schema 2 has it.

    What is malformed stays as it is: the reader of schema 2 says what is wrong with it.
    """
    try:
        return _upgraded(document)
    except (AttributeError, IndexError, KeyError, TypeError):
        return document


def _upgraded(document: dict[str, Any]) -> dict[str, Any]:
    sampler, limits = document["sampler"], document["limits"]
    known = {name: dict(sizes) for name, sizes in _AXES.items()}
    known["frames"]["largest"] = limits["max_frames"]
    if "num_text_tokens" in sampler:
        known["tokens"] = {"largest": sampler["num_text_tokens"]}
    graphs = {}
    for name, graph in document["graphs"].items():
        named = {axis for tensor in graph["inputs"] for axis in tensor["axes"]}
        # The tokens of a text encoder are words, not the denoiser's.
        own = known if name != "text_encoder" else {}
        graphs[name] = {**graph, "axes": {key: own[key] for key in sorted(named & set(own))}}
    if _STEP in graphs and _LOOP in graphs:
        graphs[_LOOP]["loop"] = _loop(graphs[_STEP], graphs[_LOOP])
    skeletons = {key: _with_rules(document[key]) for key in ("skeleton", "output_skeleton")}
    return {**document, **skeletons, "graphs": graphs}


def _with_rules(skeleton: dict[str, Any]) -> dict[str, Any]:
    """Add how a skeleton is treated, which was asked by its name."""
    if skeleton["name"] not in SKELETON_NAMES:
        return skeleton
    asset = skeleton_asset(skeleton["name"])
    return {**{name: asset[name] for name in RULE_NAMES if name in asset}, **skeleton}


def _loop(step: dict[str, Any], loop: dict[str, Any]) -> dict[str, Any]:
    """Pair the tensors of step and loop: they stand in one order, and rows have other names."""
    pairs = zip(step["inputs"], loop["inputs"], strict=True)
    scanned = {inner["name"]: outer["name"] for inner, outer in pairs if inner != outer}
    returned = [tensor["name"] for tensor in step["outputs"]]
    axes = {axis for tensor in step["inputs"] for axis in tensor["axes"]}
    return {
        "step": _STEP,
        "carried": dict(zip(_STATE, returned, strict=True)),
        "scanned": scanned,
        "padded_axis": "frames" if "frames" in axes else None,
    }
