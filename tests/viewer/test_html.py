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
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.viewer import write_html
from motionrt.viewer.html import live_page


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


BROWSER = """
const asked = [], nothing = () => {};
const element = () => new Proxy({
  clientWidth: 800, clientHeight: 600, style: {}, textContent: "", setPointerCapture: nothing,
  getBoundingClientRect: () => ({ left: 0, top: 0, width: 116, height: 116 }),
  addEventListener: nothing,
  hasPointerCapture: () => true, blur: nothing,
  getContext: () => new Proxy({}, { get: (_, name) => name === "drawn" ? undefined : nothing }),
}, {});
const elements = {};
globalThis.document = {
  getElementById: (id) => (elements[id] ??= element()), createElement: element, title: "",
};
globalThis.window = { devicePixelRatio: 1 };
let opened = 0;
globalThis.EventSource = class { static CLOSED = 2; constructor() { opened++; } };
globalThis.fetch = async (place, what) => {
  asked.push(JSON.parse(what.body)); return { ok: true };
};
let drawing = nothing;
globalThis.requestAnimationFrame = (next) => { drawing = next; };
globalThis.setInterval = nothing;
globalThis.setTimeout = (act) => act();
"""
"""As much of a browser as the page needs."""

PLAYED = """
const figure = (x) => DATA.names.flatMap((_, j) => [x, 1 + j / 100, 2]);
const chunk = { prompt: "walk", factor: 3, window_ms: 5, reaction_ms: 200, waited_s: 0 };
const come = (first, xs) => events.onmessage({
  data: JSON.stringify({ ...chunk, first, joints: xs.map(figure) }),
});
come(7, [0, 1, 2, 3]); come(11, [4, 5]);
drawing(0);
for (let now = 50; now <= 150; now += 50) drawing(now);
const seen = { first: state.first, held: state.frames.length, x: pose()[0][0] };
tell();
const place = [1.5, -0.75], [x, y] = camera().project([place[0], 0, place[1]]);
const touch = { pointerId: 1, clientX: x, clientY: y };
canvas.onpointerdown(touch); canvas.onpointerup(touch);
canvas.onpointerdown(touch); canvas.onpointermove({ ...touch, clientX: x + 30 });
canvas.onpointerup({ ...touch, clientX: x + 30 });  // a drag is no goal
const key = (key) => ({ key, target: {}, preventDefault: nothing });
window.onkeydown(key("ArrowUp")); window.onkeydown(key("ArrowUp")); window.onkeyup(key("ArrowUp"));
$("text").value = "wave"; $("form").onsubmit({ preventDefault: nothing });
come(100, [9]);
drawing(200);
const other = pose()[0][0];
stick.onpointerdown({ pointerId: 2, clientX: 58, clientY: 8 });  // to its rim: run
stick.onpointerup({ pointerId: 2 });
come(101, Array(1000).fill(9));  // nobody looks: nothing is drawn
const hidden = state.frames.length;
events.onerror({}); // the browser tries again by itself
events.readyState = 2; events.onerror({});  // it was refused, so the page does
console.log(JSON.stringify({ seen, asked, told: $("stats").textContent, other, hidden, opened }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_streams_page_shows_what_comes_and_asks_for_what_is_clicked(tmp_path: Path) -> None:
    page = Page(live_page(load_skeleton("core27"), 20, "stream"))
    (tmp_path / "live.js").write_text(
        BROWSER
        + f"document.getElementById('data').textContent = {json.dumps(page.scripts[0])};\n"
        + page.scripts[1]
        + PLAYED,
        encoding="utf-8",
    )
    done = subprocess.run(
        ["node", tmp_path / "live.js"], check=True, timeout=60, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout)
    # Three frames of 20 a second in 0.15 s, a little faster, as more is there than need be.
    assert 3 <= found["seen"]["x"] <= 3.4
    assert found["seen"]["first"] == 10 and found["seen"]["held"] == 3
    assert found["other"] == 9  # another stream begins anew
    goal, go, stop, said, run, let_go = found["asked"]
    assert goal["goal"] == pytest.approx([1.5, -0.75], abs=1e-3) and goal["seconds"] >= 1.5
    assert np.hypot(*go["velocity"]) == pytest.approx(1.2, abs=0.02)
    assert stop == let_go == {"velocity": None} and said == {"prompt": "wave"}
    assert np.hypot(*run["velocity"]) == pytest.approx(2.8, abs=0.02)
    assert np.dot(run["velocity"], go["velocity"]) > 0.99 * 2.8 * 1.2  # both away from who looks
    assert found["hidden"] <= 2 * 5 * 20 and found["opened"] == 2
    assert "3.0\u00d7 real time" in found["told"] and "after 200 ms" in found["told"]


def test_a_streams_page_asks_nobody_but_its_server() -> None:
    text = live_page(load_skeleton("g1"), 25, "</script> /*FIGURE*/ /*DATA*/")
    page = Page(text)
    assert len(page.scripts) == 2
    assert json.loads(page.scripts[0])["title"] == "</script> /*FIGURE*/ /*DATA*/"
    assert not re.search(r"https?:|//[a-z]|@import|url\(|XMLHttp|WebSocket", text)
    assert "connect-src 'self'" in text
