"""A visitor works with what was generated before, on the static page and on a server's."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_server import serving

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.serving.motions import MotionServer

WALK, JUMP = "a person walks forward", "someone jumps forward"


def test_takes_are_kept_on_the_static_page(
    address: str, visit: Callable[..., Any], tmp_path: Path
) -> None:
    seen = visit(address, tmp_path, script="takes.mjs")
    check(seen, tmp_path)
    assert seen["neighbour"] == WALK
    assert seen["deleted"] == f"Deleted “{JUMP} twice”"
    assert seen["reused"] == [WALK, "1", "7"]
    assert not seen["mobile"]["form"]
    assert seen["mobile"]["wide"] == 390 and min(seen["mobile"]["sizes"]) >= 40

    assert seen["bounded"] == ["a person turns", "a person sits down"]
    assert seen["dropped"] == "The oldest made room: “a person waves” was dropped"
    assert "of 0.1 MB" in seen["foot"]


def test_takes_are_kept_on_a_servers_page(
    built: Path, visit: Callable[..., Any], tmp_path: Path
) -> None:
    pipeline = motionrt.load(backend="cpu")
    server = MotionServer({"walks": pipeline}, port=0, page=built / "page", token="s3cret")
    with serving(server):
        check(visit(server.url, tmp_path, "s3cret", script="takes.mjs"), tmp_path)


def check(seen: Any, downloads: Path) -> None:
    """Check what a visitor of either page saw."""
    assert seen["problems"] == []
    assert "Nothing yet" in seen["empty"]
    assert [(take["name"], take["shown"]) for take in seen["made"]] == [(JUMP, True), (WALK, False)]
    assert seen["made"][0]["told"].startswith("1.0 s · seed 7 · \u00d72 · ")
    assert all(take["picture"] > 0 for take in seen["made"])

    assert seen["second"] == WALK and seen["same"]
    assert [label.split(" · ")[1] for label in seen["labels"]] == ["seed 7", "seed 7", "seed 8"]
    assert seen["labels"][0].startswith("a person walks") and seen["labels"][2].startswith(
        "someone"
    )
    assert seen["back"] == f"{JUMP} twice"
    (file,) = downloads.glob("someone-jumps-forward-twice.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(downloads)
    for sample, seed in ((1, 7), (2, 8)):
        motion = Motion.load(downloads / f"someone-jumps-forward-twice-{sample}.npz")
        assert (motion.info["prompt"], motion.info["seed"]) == (JUMP, seed)

    # A held pose goes beyond the end of what is shown, as far as what is asked for next.
    assert "at 1.9 s" in seen["moved"]
    assert seen["key"]["at"] == 38 and 95 < seen["key"]["left"] < 100
    assert seen["removed"] == [0, "slider"]

    assert [take["name"] for take in seen["kept"]] == [f"{JUMP} twice", WALK]
    assert seen["kept"][1]["shown"] and seen["again"]
