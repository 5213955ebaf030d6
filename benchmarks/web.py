"""The page in Chromium against onnxruntime: 12 steps of the embedded default, on one thread each.

python benchmarks/web.py [--seconds 5] [--rounds 5] [--write]

Both denoise in turn, warm, a motion without constraints; what is told is the median of the rounds
and their ratio, which is of one run on one machine. The rest is how large the page is: as a server
sends it that compresses, and what it takes to start. Needs Chromium, and npm install --prefix
tests/node.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from results import write_section

import motionrt
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.web import write_site

HEADING = "The page of motionrt web"
STEPS, PROMPT = 12, "a person walks forward"
ROOT = Path(__file__).parents[1]
DRIVER = r"""
import puppeteer from "puppeteer-core";
import { createInterface } from "node:readline";
const [url, chromium] = process.argv.slice(1);
const args = ["--no-sandbox", "--disable-dev-shm-usage"];
const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args });
const page = await browser.newPage();
await page.goto(`${url}THIRD_PARTY_LICENSES.txt`); // the module alone: no picture takes time
await page.evaluate((url) => import(`${url}motionrt-web/index.js`).then(async (module) => {
  globalThis.generator = new module.BrowserGenerator({ bundle: `${url}bundle/` });
  const start = performance.now();
  await generator.load();
  globalThis.loaded = performance.now() - start;
}), url);
console.log(JSON.stringify({ loaded: await page.evaluate(() => loaded / 1000) }));
for await (const line of createInterface({ input: process.stdin })) {
  const seconds = await page.evaluate(async (request) => {
    let first, last;
    const onProgress = ({ stage }) => {
      if (stage !== "denoising") return;
      last = performance.now();
      first ??= last;
    };
    const begin = performance.now();
    await generator.generate(request, { onProgress });
    return { denoising: (last - first) / 1000, whole: (performance.now() - begin) / 1000 };
  }, JSON.parse(line));
  console.log(JSON.stringify(seconds));
}
await browser.close();
"""


class Plain(SimpleHTTPRequestHandler):
    """A static server without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def sizes(site: Path) -> tuple[float, float]:
    """Return the megabytes that are fetched until there is a model: as files, and compressed."""
    raw = small = 0
    main = re.findall(r'from"\./(part-\w+\.js)"', (site / "page.js").read_text("utf-8"))
    later = ("parts.js", "known_prompts.safetensors", "part-")
    for file in sorted(site.rglob("*")):
        if file.name.startswith(later) and file.name not in main:
            continue
        shown = file.suffix in (".html", ".js", ".css", ".svg", ".wasm")
        if file.is_file() and (shown or file.parent.name == "bundle"):
            raw += file.stat().st_size
            small += len(gzip.compress(file.read_bytes(), 6))
    return raw / 1e6, small / 1e6


def native(pipeline: motionrt.KimodoPipeline, seconds: float) -> dict[str, float]:
    """Generate on one thread; returns the seconds of denoising and of all."""
    marks: list[float] = []

    def note(stage: str, done: int, total: int) -> None:
        if stage == "denoising":
            marks.append(time.perf_counter())

    start = time.perf_counter()
    pipeline.generate(PROMPT, seconds, seed=1, num_steps=STEPS, solver="dpmpp-2m", progress=note)
    return {"denoising": marks[-1] - marks[0], "whole": time.perf_counter() - start}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("needs Chromium")
    pipeline = motionrt.KimodoPipeline.load(embedded_bundle(), backend="cpu", threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        write_site(embedded_bundle(), site)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Plain, directory=str(site)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        command = ["node", "--input-type=module", "-e", DRIVER, "--", url, chromium]
        with subprocess.Popen(
            command,
            cwd=ROOT / "tests" / "node",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as driver:
            assert driver.stdin is not None and driver.stdout is not None
            loaded = json.loads(driver.stdout.readline())["loaded"]
            ask = {
                "prompts": [PROMPT],
                "seconds": arguments.seconds,
                "seed": 1,
                "num_steps": STEPS,
                "solver": "dpmpp-2m",
            }

            def browser() -> dict[str, float]:
                assert driver.stdin is not None and driver.stdout is not None
                driver.stdin.write(json.dumps(ask) + "\n")
                driver.stdin.flush()
                told: dict[str, float] = json.loads(driver.stdout.readline())
                return told

            first = browser()
            native(pipeline, arguments.seconds)
            rounds = [
                (browser(), native(pipeline, arguments.seconds)) for _ in range(arguments.rounds)
            ]
            driver.stdin.close()
        server.shutdown()
        raw, small = sizes(site)
    machine = describe_machine()
    table = [
        "| 12 steps, one thread, warm | page | Python | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in ("denoising", "whole"):
        page, python = (statistics.median(r[side][name] for r in rounds) for side in (0, 1))
        table.append(f"| {name}, s | {page:.2f} | {python:.2f} | {page / python:.2f}x |")
    text = "\n".join(
        [
            f"{date.today()}, {machine['processor']}, {machine['cores']} cores, load average "
            f"{machine['load_average']:.1f}; embedded default, {arguments.seconds:g} s of "
            f"motion, {arguments.rounds} rounds in turn; `python benchmarks/web.py`",
            "",
            *table,
            "",
            f"First load: {small:.1f} MB compressed (gzip), {raw:.1f} MB as it lies there; from "
            f"there to a model that can be asked {loaded:.1f} s, its first motion "
            f"{first['whole']:.1f} s.",
        ]
    )
    print(text)
    if arguments.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
