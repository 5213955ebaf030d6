"""Pages that draw motions: a player in one HTML file, without network, and that of a stream."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.files import atomic_file
from motionrt.viewer.camera import VIEWS
from motionrt.viewer.figure import Figure, make_figure
from motionrt.viewer.scene import Clip, make_clips, on_ground


def write_html(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    view: str = "three-quarter",
) -> None:
    """Write a self-contained player that opens in any browser.

    Joint positions are embedded as int16, 1/65534 of the motion's extent along each axis a step.

    Args:
        motions: at least one; several stand side by side and can be overlaid.
        path: the file to write.
        names: stand in for prompts where a motion has none.
        view: where the camera starts, "front", "side" or "three-quarter".
    """
    clips = make_clips(list(motions), list(names) if names is not None else None)
    tables = [
        _clip_table(clip, motion.skeleton.joint_names)
        for clip, motion in zip(clips, motions, strict=True)
    ]
    page = fill_page("player.html", {"azimuth": VIEWS[view], "clips": tables})
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def live_page(skeleton: Skeleton, fps: float, title: str) -> str:
    """Return the page of a stream: it draws the frames that its server sends, and steers.

    It asks for ``frames`` (server-sent events: JSON with ``first``, the number of the first frame,
    and ``joints``, a list of 3 J numbers a frame) and posts wishes to ``ask``.
    """
    figure = figure_table(make_figure(skeleton), skeleton.joint_names)
    data = {"azimuth": VIEWS["three-quarter"], "title": title, "fps": fps, **figure}
    return fill_page("live.html", data)


def fill_page(name: str, data: Mapping[str, Any]) -> str:
    """Return a page of the assets with what draws figures, and its data."""
    folder = resources.files("motionrt").joinpath("assets/viewer")
    page = folder.joinpath(name).read_text(encoding="utf-8")
    page = page.replace("/*FIGURE*/", folder.joinpath("figure.js").read_text(encoding="utf-8"), 1)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # A prompt may hold "</script>" or "<!--": in JSON every "<" can be written as an escape.
    return page.replace("/*DATA*/", text.replace("<", "\\u003c"), 1)


def figure_table(figure: Figure, joint_names: Sequence[str]) -> dict[str, Any]:
    """Say how a figure is drawn from its joints."""
    head = figure.head
    return {
        "names": list(joint_names),
        "height": round(figure.height, 4),
        "parts": [{"side": p.side, "bones": [list(b) for b in p.bones]} for p in figure.parts],
        "radii": [round(float(radius), 4) for radius in figure.radii],
        "head": head
        and {"neck": head.neck, "top": head.top, "beyond": head.beyond, "radius": head.radius},
    }


def _clip_table(clip: Clip, joint_names: Sequence[str]) -> dict[str, Any]:
    offset, step, values = _quantise(clip.joints)
    return {
        "title": clip.title,
        "details": clip.details,
        "fps": clip.fps,
        **figure_table(clip.figure, joint_names),
        "heading": [round(float(clip.heading[axis]), 5) for axis in (0, 2)],
        "offset": offset,
        "step": step,
        "joints": _base64(values),
        "contacts": None if clip.contacts is None else _base64(_feet(clip.contacts)),
    }


def _quantise(
    joints: NDArray[np.float64],
) -> tuple[list[float], list[float], NDArray[np.int16]]:
    """Return offset (3), step (3) and values with joints = offset + step * values."""
    low, high = joints.min(axis=(0, 1)), joints.max(axis=(0, 1))
    offset = (low + high) / 2
    step = np.maximum(high - low, 1e-6) / 65534
    values = np.clip(np.rint((joints - offset) / step), -32767, 32767)
    return offset.tolist(), step.tolist(), values.astype("<i2")


def _feet(contacts: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return one byte a frame: bit 0, some left joint is on the ground; bit 1, a right one."""
    left, right = on_ground(contacts)
    return left.astype(np.uint8) + np.uint8(2) * right.astype(np.uint8)


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
