"""What a visitor with a phone sees: while the page comes, when parts are missing, of samples."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LEFT, RIGHT = (230, 120, 40), (50, 110, 220)
"""Colours of a figure's limbs."""


def test_the_first_picture_waits_for_nothing(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    head, body = page.split("<body")
    assert "stylesheet" not in page and "<script" not in head
    assert "@keyframes turn" in head
    assert re.search(r'<div id="loading">', body)
    preloaded = re.findall(r'<link rel="modulepreload" href="([^"]+)">', head)
    assert "motionrt-web/index.js" in preloaded and len(preloaded) >= 2
    assert all((site / name).is_file() for name in preloaded)


def test_what_is_missing_is_told_and_samples_stay_in_the_picture(
    address: str, visit: Callable[..., Any], tmp_path: Path
) -> None:
    seen = visit(address, tmp_path, script="states.mjs")
    assert seen["problems"] == []
    assert "could not be fetched" in seen["lacks"]["motionrt-web/index.js"]
    for name, file in (("bundle/manifest.json", "manifest.json: "), (".wasm", "ort-wasm")):
        assert seen["lacks"][name].startswith(file) and "answered 404" in seen["lacks"][name]

    for moment, labels in zip((0.05, 0.5, 0.95), seen["labels"], strict=True):
        edges = [edge for label in labels for edge in (label["left"], label["right"])]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 390
        pixels = np.asarray(Image.open(tmp_path / f"{moment}.png").convert("RGB"), np.int32)
        for part in np.array_split(pixels, 3, axis=1):
            tall = [_rows_of(part, colour) / len(pixels) for colour in (LEFT, RIGHT)]
            assert min(tall) > 0.2, (moment, tall)


def _rows_of(pixels: np.ndarray[Any, np.dtype[np.int32]], colour: tuple[int, int, int]) -> int:
    """Count the rows in which a colour is seen, as light leaves it."""
    hue = np.array(colour) / np.linalg.norm(colour)
    length = np.maximum(np.linalg.norm(pixels, axis=-1), 1)
    return int(((pixels @ hue / length > 0.985).sum(axis=1) > 1).sum())
