from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES
from motionrt.viewer import write_html


class Page(HTMLParser):
    """Collects a page's tags with their attributes and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data

    @property
    def clips(self) -> list[dict[str, Any]]:
        clips: list[dict[str, Any]] = json.loads(self.scripts[0])["clips"]
        return clips


def joints_of(clip: dict[str, Any]) -> NDArray[np.float64]:
    values = np.frombuffer(base64.b64decode(clip["joints"]), "<i2").reshape(-1, 3)
    metres = np.asarray(np.array(clip["offset"]) + np.array(clip["step"]) * values)
    return metres.reshape(-1, len(clip["names"]), 3)


def write(path: Path, motions: list[Motion], **options: Any) -> tuple[str, Page]:
    write_html(motions, path, **options)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_embedded_joints_are_the_motions(
    name: str, wave: Callable[[str], Motion], tmp_path: Path
) -> None:
    motion = wave(name)
    _, page = write(tmp_path / "wave.html", [motion])
    (clip,) = page.clips
    np.testing.assert_allclose(joints_of(clip), motion.posed_joints, rtol=0, atol=5e-5)
    assert clip["names"] == list(motion.skeleton.joint_names)
    assert clip["fps"] == 30 and clip["contacts"] is None
    assert {part["side"] for part in clip["parts"]} == {"left", "right", "centre"}


def test_contacts_prompt_and_several_motions_are_embedded(walk: Motion, tmp_path: Path) -> None:
    _, page = write(tmp_path / "two.html", [walk, walk.crop(0, 10)], view="side")
    assert [clip["title"] for clip in page.clips] == ["a person walks forward"] * 2
    assert [len(joints_of(clip)) for clip in page.clips] == [60, 10]
    feet = np.frombuffer(base64.b64decode(page.clips[0]["contacts"]), np.uint8)
    assert walk.foot_contacts is not None
    np.testing.assert_array_equal(feet & 1, walk.foot_contacts[:, 0])
    np.testing.assert_array_equal(feet >> 1, walk.foot_contacts[:, 2])
    assert json.loads(page.scripts[0])["azimuth"] == 90


def test_page_needs_no_network(walk: Motion, tmp_path: Path) -> None:
    text, page = write(tmp_path / "walk.html", [walk])
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "data:").startswith("data:"), tag
    code = text.replace(page.scripts[0], "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|WebSocket", code)
    policy = [
        a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policy) == 1 and policy[0] and policy[0].startswith("default-src 'none'")


def test_a_prompt_cannot_become_code(walk: Motion, tmp_path: Path) -> None:
    walk.info["prompt"] = "</script><script>alert(1)</script><!-- /*DATA*/ 你好"
    _, page = write(tmp_path / "walk.html", [walk])
    assert len(page.scripts) == 2
    assert page.clips[0]["title"] == walk.info["prompt"]


def test_page_is_small_and_the_same_each_time(walk: Motion, tmp_path: Path) -> None:
    first, _ = write(tmp_path / "a.html", [walk])
    second, _ = write(tmp_path / "b.html", [walk])
    assert first == second
    embedded = walk.posed_joints.size * 2 * 4 / 3
    assert len(first) < embedded + 35_000


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_script_parses(walk: Motion, tmp_path: Path) -> None:
    _, page = write(tmp_path / "walk.html", [walk])
    (tmp_path / "player.js").write_text(page.scripts[1], encoding="utf-8")
    subprocess.run(["node", "--check", tmp_path / "player.js"], check=True, timeout=60)
