"""Read YAML configs whose values refer to each other as ``${section.key}``, as OmegaConf has it.

``${oc.select:section.key,default}`` is the same reference with a value for when it leads nowhere.
A reference is followed when a value is asked for. One that asks any other resolver
(``${oc.env:NAME}``, or one of the training framework's own) is never followed: a stranger's config
learns nothing of this machine, and harms only who asks for that value. What a value may grow to is
bounded, however often references name the same text.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import refuse_lfs_pointer

_MISSING: Any = object()
_LARGEST_FILE = 1 << 18
"""Bytes; configs have a few thousand, and YAML is slow to read."""
_MOST_REFERENCES = 1000
"""In a file: OmegaConf takes long to look at each."""
_LARGEST_VALUE = 1 << 16
"""Items and characters that one value may have, its references followed."""
_DEEPEST = 64
"""References that lead to references, and containers in containers."""
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_NODE_PATH = re.compile(r"(\.*)([^\s.\[\]:]+(?:\.[^\s.\[\]:]+|\[[^\s.\[\]:]+\])*)")
_SELECTION = re.compile(r"\s*oc\.select\s*:\s*([^,]*?)\s*(?:,(.*))?", re.DOTALL)
"""OmegaConf's resolver for a key that may be missing, and what stands for it then."""
_SCALARS: dict[str, Any] = {"null": None, "true": True, "false": False}
_Place = tuple[Any, ...]
"""The keys that lead from the top to a value."""


class InterpolatedYaml:
    """A config file, asked by dotted path, or for a key wherever it stands."""

    def __init__(
        self, path: str | os.PathLike[str], given: Mapping[str, Any] | None = None
    ) -> None:
        """Read the file; given are keys at its top that replace its own, if it has them.

        CheckpointError if it is missing, too large for a config or no YAML mapping.
        """
        from omegaconf import DictConfig, OmegaConf

        self.path = Path(path)
        refuse_lfs_pointer(path, CheckpointError)
        try:
            size = self.path.stat().st_size
            if size > _LARGEST_FILE:
                raise CheckpointError(
                    f"{path}: has {size} bytes; a config has {_LARGEST_FILE} at most"
                )
            text = self.path.read_bytes().decode("utf-8")
            if text.count("${") > _MOST_REFERENCES:
                raise CheckpointError(
                    f"{path}: no config (more than {_MOST_REFERENCES} references)"
                )
            values = OmegaConf.load(io.StringIO(text))
            tree = OmegaConf.to_container(values, resolve=False)
        except CheckpointError:
            raise
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        except Exception as error:  # YAML's errors, OmegaConf's and a decoder's have no common base
            raise CheckpointError(f"{path}: no YAML config ({_reason(error)})") from error
        if not isinstance(values, DictConfig) or not isinstance(tree, dict):
            raise CheckpointError(f"{path}: no YAML mapping")
        self._tree: dict[Any, Any] = {**tree, **(given or {})}

    def get(self, dotted: str, default: Any = _MISSING) -> Any:
        """Return the value at a dotted path as plain Python, its own references followed.

        CheckpointError if there is none and no default is given, or a reference leads nowhere.
        """
        value = _Following(self, dotted).at(tuple(dotted.split(".")))
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise CheckpointError(f"{self.path}: {dotted} is missing")
        return default

    def find(self, dotted: str, default: Any = _MISSING) -> Any:
        """Return the value at a path that begins anywhere in the config, as `get` does.

        Of several the least nested. A path that breaks off is looked for further down.
        """
        first, *rest = dotted.split(".")
        for place in self._places(first):
            value = _Following(self, dotted).at((*place, *rest))
            if value is not _MISSING:
                return value
        if default is _MISSING:
            raise CheckpointError(f"{self.path}: no key {dotted}")
        return default

    def find_in(self, section: str, key: str, default: Any = _MISSING) -> Any:
        """Return the value of a key wherever it stands below a section, as `find` does.

        section is the name of a mapping, at any depth.
        """
        for place in self._places(key):
            if section in place[:-1]:
                value = _Following(self, key).at(place)
                if value is not _MISSING:
                    return value
        if default is _MISSING:
            raise CheckpointError(f"{self.path}: no key {key} below {section}")
        return default

    def _places(self, key: str) -> Iterator[_Place]:
        """Yield where mappings have a key, the least nested first."""
        level: list[tuple[_Place, Any]] = [((), self._tree)]
        seen: set[int] = set()
        while level:
            below: list[tuple[_Place, Any]] = []
            for place, node in level:
                if isinstance(node, str) and "${" in node:
                    # A section may be a reference to another; one that leads nowhere holds no key.
                    try:
                        place, node = _Following(self, key).target(place, node)
                    except CheckpointError:
                        continue
                if not isinstance(node, dict) or id(node) in seen:
                    continue
                seen.add(id(node))
                if key in node:
                    yield (*place, key)
                below += [((*place, name), value) for name, value in node.items()]
            level = below


class _Following:
    """One value, put together: how far its references went so far."""

    def __init__(self, config: InterpolatedYaml, asked: str) -> None:
        self._tree = config._tree
        self._what = f"{config.path}: {asked}"
        self._left = _LARGEST_VALUE

    def at(self, place: _Place) -> Any:
        """Return the value at a place, whole; ``_MISSING`` if there is none."""
        node_place, node = self._node(place, 0)
        return node if node is _MISSING else self._whole(node_place, node, 0)

    def target(self, place: _Place, text: str) -> tuple[_Place, Any]:
        """Return the node that a text refers to, or the text itself."""
        return self._followed(place, text, 0)

    def _node(self, place: _Place, depth: int) -> tuple[_Place, Any]:
        """Walk to a node; references on the way are followed, one at the end is not."""
        here: _Place = ()
        node: Any = self._tree
        for key in place:
            if isinstance(node, str):
                here, node = self._followed(here, node, depth)
            if isinstance(node, dict):
                if key not in node and isinstance(key, str) and key.isdecimal():
                    key = int(key[:9])
                node = node.get(key, _MISSING)
            elif isinstance(node, list) and str(key).isdecimal() and int(str(key)[:9]) < len(node):
                node = node[int(str(key)[:9])]
            else:
                node = _MISSING
            if node is _MISSING or (isinstance(node, str) and node == "???"):
                return place, _MISSING
            here = (*here, key)
        return here, node

    def _followed(self, place: _Place, node: Any, depth: int) -> tuple[_Place, Any]:
        """Follow a text that is one reference and nothing else, as far as that leads."""
        while isinstance(node, str) and (found := _REFERENCE.fullmatch(node)):
            depth += 1
            place, node = self._refer(place, found[1], depth)
        return place, node

    def _refer(self, place: _Place, inner: str, depth: int) -> tuple[_Place, Any]:
        selection = _SELECTION.fullmatch(inner)
        path = _NODE_PATH.fullmatch(selection[1] if selection else inner.strip())
        if path is None:
            raise self._error(f"${{{inner}}} is no reference to a key; write its value instead")
        self._spend(1)
        if depth > _DEEPEST:
            raise self._error(f"${{{inner}}} leads in a circle")
        keys = tuple(key for key in re.split(r"[.\[\]]+", path[2]) if key)
        up = len(path[1])
        base = place[: len(place) - up] if up else ()
        if up > len(place):
            raise self._error(f"${{{inner}}} leads out of the config")
        found_place, found = self._node((*base, *keys), depth)
        if found is _MISSING and selection:
            return place, _default(selection[2])
        if found is _MISSING:
            raise self._error(f"${{{inner}}} leads nowhere")
        return found_place, found

    def _whole(self, place: _Place, node: Any, depth: int) -> Any:
        """Return a node as plain Python, everything in it followed."""
        if depth > _DEEPEST:
            raise self._error("is nested too deep, or refers to itself")
        place, node = self._followed(place, node, depth)
        self._spend(1)
        if isinstance(node, dict):
            return {
                key: self._whole((*place, key), value, depth + 1) for key, value in node.items()
            }
        if isinstance(node, list):
            return [self._whole((*place, i), value, depth + 1) for i, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        if "${" in node:
            node = self._filled(place, node, depth)
        self._spend(len(node))
        return node

    def _filled(self, place: _Place, text: str, depth: int) -> str:
        """Put the values of the references in a text in their places."""

        def value(found: re.Match[str]) -> str:
            target_place, target = self._refer(place, found[1], depth + 1)
            part = self._whole(target_place, target, depth + 1)
            if isinstance(part, (dict, list)):
                raise self._error(f"${{{found[1]}}} is no text")
            return str(part)

        filled = _REFERENCE.sub(value, text)
        if "${" in _REFERENCE.sub("", text):
            raise self._error(f"{text[:80]} is no reference that is understood; write its value")
        return filled

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise self._error("its references make it too large")

    def _error(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{self._what}: {' '.join(reason.split())}")


def _default(text: str | None) -> Any:
    """Return what a selection gives for a key that is missing: None if it states nothing."""
    if text is None:
        return None
    text = text.strip()
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return _SCALARS.get(text.lower(), text)


def _reason(error: Exception) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    reason = str(problem or error)
    if "expan" in reason:  # the package's advice is for files that are trusted
        reason = "too many values, or aliases that expand to too many"
    where = f", line {mark.line + 1}" if mark is not None else ""
    return (" ".join(reason.split())[:160] or type(error).__name__) + where
