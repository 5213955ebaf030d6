"""The page in Chromium against onnxruntime on one thread: 12 steps of the embedded default.

python benchmarks/web.py [--seconds 5] [--rounds 5] [--write]

Both denoise in turn, warm, a motion without constraints; what is told is the median of the rounds
and their ratio, which is of one run on one machine: of the page with one thread, and with several.
Beside it stands what no WebAssembly goes below on one thread: the arithmetic of the matrix products
at the most that a loop of nothing else does. A further page has a step in which all that depends
on neither the state nor the timestep is a constant: what it gains is the most that a graph which is
run once a motion could. The rest is how large the page is: as a server sends it that compresses,
and what it takes to start. Needs Chromium, onnx, and npm install --prefix tests/node.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
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
from typing import Any

import numpy as np
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
const [url, chromium, threads] = process.argv.slice(1);
const args = ["--no-sandbox", "--disable-dev-shm-usage"];
const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args });
const page = await browser.newPage();
await page.goto(`${url}THIRD_PARTY_LICENSES.txt`); // the module alone: no picture takes time
const answer = (told) => console.log(JSON.stringify(told));
answer(await page.evaluate(async (url, threads) => {
  const module = await import(`${url}motionrt-web/index.js`);
  const load = async ({ bundle = "bundle/", ...options }) => {
    const generator = new module.BrowserGenerator({ bundle: url + bundle, ...options });
    const start = performance.now();
    await generator.load();
    return { generator, loaded: (performance.now() - start) / 1000 };
  };
  globalThis.one = await load({ threads: 1 });
  globalThis.several = await load({ threads });
  globalThis.settled = await load({ threads: 1, bundle: "settled/" });
  return { loaded: one.loaded };
}, url, Number(threads)));
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  if (question.peak) answer(await page.evaluate(async (bytes) => {
    const { instance } = await WebAssembly.instantiate(Uint8Array.from(bytes));
    let best = Infinity;
    for (let i = 0; i < 50; i++) {
      const start = performance.now();
      instance.exports.run(1e6);
      best = Math.min(best, performance.now() - start);
    }
    return best / 1000 / 1e6;
  }, question.peak));
  else answer(await page.evaluate(async ({ who, request }) => {
    let first, last;
    const onProgress = ({ stage }) => {
      if (stage !== "denoising") return;
      last = performance.now();
      first ??= last;
    };
    const begin = performance.now();
    await globalThis[who].generator.generate(request, { onProgress });
    return { denoising: (last - first) / 1000, whole: (performance.now() - begin) / 1000 };
  }, question));
}
await browser.close();
"""
ACCUMULATORS = 8
"""Of the loop that does nothing but multiply and add: enough to hide how long one takes."""


def peak_module() -> bytes:
    """Return a WebAssembly module whose run(n) does n times `ACCUMULATORS` fused multiply-adds.

    Of four float32 each (f32x4.relaxed_madd): what a loop of matrix products does at best.
    """
    a, b = ACCUMULATORS + 1, ACCUMULATORS + 2  # local variables; 0 is n, then the accumulators
    body = [1, b, 0x7B]
    for local in (a, b):
        body += [0x41, 0, 0xFD, 0, 4, 0, 0x21, local]
    body += [0x03, 0x40]
    for own in range(1, ACCUMULATORS + 1):
        body += [0x20, a, 0x20, b, 0x20, own, 0xFD, 0x85, 0x02, 0x21, own]
    body += [0x20, 0, 0x41, 1, 0x6B, 0x22, 0, 0x0D, 0, 0x0B]
    for own in range(1, ACCUMULATORS + 1):  # so that none of it is for nothing
        body += [0x41, 0, 0x20, own, 0xFD, 0x0B, 4, 0]
    body += [0x0B]

    def section(kind: int, content: list[int]) -> list[int]:
        size = len(content)
        return [kind, size & 0x7F | 0x80, size >> 7, *content]

    function = [len(body) & 0x7F | 0x80, len(body) >> 7, *body]
    sections = [
        section(1, [1, 0x60, 1, 0x7F, 0]),
        section(3, [1, 0]),
        section(5, [1, 0, 1]),
        section(7, [1, 3, *b"run", 0, 0]),
        section(10, [1, *function]),
    ]
    return b"\0asm\1\0\0\0" + b"".join(bytes(own) for own in sections)


def product_flop(frames: int) -> float:
    """Count the operations of the matrix products of a step: two branches, three rows before."""
    import onnx

    graph = onnx.load(embedded_bundle() / "step.onnx", load_external_data=False).graph
    shapes = {own.name: list(own.dims) for own in graph.initializer}
    makes = {name: node for node in graph.node for name in node.output}

    def weights(name: str) -> int:
        if name in shapes:
            return int(np.prod(shapes[name]))
        node = makes.get(name)
        rewritten = node is not None and node.op_type in ("Mul", "Cast", "Reshape", "Transpose")
        return weights(node.input[0]) if node is not None and rewritten else 0

    products = [node for node in graph.node if node.op_type == "MatMul"]
    sizes = [weights(node.input[1]) for node in products]
    rows = 2 * (frames + 3)
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    attention = 2 * 2 * rows * (frames + 3) * 256  # queries with keys, and what they weigh
    return float(2 * rows * sum(sizes) + len(softmaxes) * attention)


def settled_step(pipeline: motionrt.KimodoPipeline, frames: int) -> tuple[bytes, list[int]]:
    """Make constants of what a step without constraints computes anew each time, and need not.

    Returns the graph, and how many nodes became constants, of how many.
    """
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    source = embedded_bundle() / "step.onnx"
    model = onnx.load(source)
    graph = model.graph
    changes = {"x", "x0_previous", "timestep", "coefficients"}
    given = {own.name for own in graph.input}
    for node in graph.node:
        for names in (changes, given):
            if names.intersection(node.input):
                names.update(node.output)
    # What depends on no input is the runtime's to fold, which it does.
    same = [node for node in graph.node if given.difference(changes).intersection(node.output)]
    rest = [node for node in graph.node if node not in same]
    made = {name for node in same for name in node.output}
    wanted = sorted({name for node in rest for name in node.input} & made)
    before = helper.make_graph(
        [node for node in graph.node if not changes.intersection(node.output)],
        "settled",
        [own for own in graph.input if own.name not in changes],
        [onnx.ValueInfoProto(name=name) for name in wanted],
        list(graph.initializer),
    )
    asked = helper.make_model(before, opset_imports=model.opset_import, ir_version=10)
    text, _ = pipeline.encode_text([PROMPT])
    width = (
        next(own for own in graph.input if own.name == "x").type.tensor_type.shape.dim[2].dim_value
    )
    shown: dict[str, Any] = {
        "text_features": text.reshape(1, 1, -1),
        "text_mask": np.ones((1, 1)),
        "frame_mask": np.ones((1, frames)),
        "first_heading_rad": np.zeros(1),
        "motion_mask": np.zeros((1, frames, width)),
        "observed_motion": np.zeros((1, frames, width)),
        "branch_text": np.array([1, 0]),
        "branch_constraints": np.array([0, 0]),
        "branch_weights": np.array([2, -1]),
    }
    kinds = {
        own.name: helper.tensor_dtype_to_np_dtype(own.type.tensor_type.elem_type)
        for own in before.input
    }
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # most weights are of what is left out
    session = onnxruntime.InferenceSession(asked.SerializeToString(), options)
    feeds = {name: np.asarray(shown[name]).astype(kind) for name, kind in kinds.items()}
    values = session.run(wanted, feeds)
    del graph.node[:]
    graph.node.extend(rest)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in zip(wanted, values, strict=True)
    )
    return model.SerializeToString(), [len(same), len(same) + len(rest)]


def write_settled(site: Path, step: bytes) -> None:
    """Put a bundle beside that of a site, with another step, whose weights lie in it."""
    shutil.copytree(site / "bundle", site / "settled")
    manifest = site / "settled" / "manifest.json"
    document = json.loads(manifest.read_text("utf-8"))
    name = document["graphs"]["step"]["files"]["onnx"]
    (site / "settled" / name).write_bytes(step)
    document["graphs"]["step"]["data"] = []
    document["files"][name] = {"size": len(step), "sha256": hashlib.sha256(step).hexdigest()}
    manifest.write_text(json.dumps(document), "utf-8")


def native_flops(rows: int, seconds: float = 1.0) -> float:
    """Measure operations a second of onnxruntime on one thread, in a product as the step has it."""
    import onnxruntime
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    depth, width = 256, 768
    weights = numpy_helper.from_array(rng.standard_normal((depth, width), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", 1, [rows, depth])],
        [helper.make_tensor_value_info("y", 1, [rows, width])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feeds = {"x": rng.standard_normal((rows, depth), np.float32)}
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        session.run(None, feeds)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * depth * width / best


class Isolated(SimpleHTTPRequestHandler):
    """A static server without a word, with the headers that the page's service worker adds."""

    def end_headers(self) -> None:
        """Isolate the page, so that it may use threads."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

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
    parser.add_argument("--threads", type=int, default=2, help="of the second page")
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
        raw, small = sizes(site)
        step, nodes = settled_step(pipeline, int(arguments.seconds * 20))
        write_settled(site, step)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Isolated, directory=str(site)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        command = ["node", "--input-type=module", "-e", DRIVER, "--", url, chromium]
        command.append(str(arguments.threads))
        with subprocess.Popen(
            command,
            cwd=ROOT / "tests" / "node",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as driver:
            assert driver.stdin is not None and driver.stdout is not None
            told = json.loads(driver.stdout.readline())
            request = {
                "prompts": [PROMPT],
                "seconds": arguments.seconds,
                "seed": 1,
                "num_steps": STEPS,
                "solver": "dpmpp-2m",
            }

            def ask(question: dict[str, Any]) -> Any:
                assert driver.stdin is not None and driver.stdout is not None
                driver.stdin.write(json.dumps(question) + "\n")
                driver.stdin.flush()
                return json.loads(driver.stdout.readline())

            def browser(who: str) -> dict[str, float]:
                times: dict[str, float] = ask({"who": who, "request": request})
                return times

            first = browser("one")
            browser("several")
            browser("settled")
            native(pipeline, arguments.seconds)
            rounds = [
                (
                    browser("one"),
                    browser("several"),
                    native(pipeline, arguments.seconds),
                    browser("settled"),
                )
                for _ in range(arguments.rounds)
            ]
            each = ask({"peak": list(peak_module())})
            driver.stdin.close()
        server.shutdown()
    frames = int(arguments.seconds * 20)
    flop = STEPS * product_flop(frames)
    peak, product = ACCUMULATORS * 8 / each, native_flops(2 * (frames + 3))
    machine = describe_machine()
    table = [
        f"| 12 steps, warm | page, 1 thread | page, {arguments.threads} threads | Python, 1 thread "
        f"| ratio, 1 thread | ratio, {arguments.threads} threads |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    medians: dict[str, list[float]] = {}
    for name in ("denoising", "whole"):
        one, several, python, _ = medians[name] = [
            statistics.median(r[side][name] for r in rounds) for side in range(4)
        ]
        table.append(
            f"| {name}, s | {one:.2f} | {several:.2f} | {python:.2f} | {one / python:.2f}x "
            f"| {several / python:.2f}x |"
        )
    one, _, python, settled = medians["denoising"]
    ratios = [r[3]["denoising"] / r[0]["denoising"] for r in rounds]
    text = "\n".join(
        [
            f"{date.today()}, {machine['processor']}, {machine['cores']} cores, load average "
            f"{machine['load_average']:.1f}; embedded default, {arguments.seconds:g} s of "
            f"motion, {arguments.rounds} rounds in turn; `python benchmarks/web.py`",
            "",
            *table,
            "",
            f"The floor of one thread: the matrix products of 12 steps are {flop / 1e9:.1f} GFLOP. "
            f"Onnxruntime does {product / 1e9:.0f} GFLOP/s in one of them on one thread of this "
            f"processor; a WebAssembly loop of nothing but multiply-adds, four float32 at a time, "
            f"{peak / 1e9:.0f}. So the products alone take WebAssembly {flop / peak:.2f} s or "
            f"more, {flop / peak / python:.2f} times what all of denoising takes Python; the "
            f"page does {flop / one / 1e9:.0f} GFLOP/s in all.",
            "",
            f"With {nodes[0]} of the step's {nodes[1]} nodes made constants, those that depend on "
            f"neither state nor timestep, denoising takes {settled:.2f} s on one thread, "
            f"{statistics.median(ratios):.2f} of the time (median of the rounds' ratios): what a "
            "graph run once a motion could save.",
            "",
            f"First load: {small:.1f} MB compressed (gzip), {raw:.1f} MB as it lies there; from "
            f"there to a model that can be asked {told['loaded']:.1f} s, its first motion "
            f"{first['whole']:.1f} s.",
        ]
    )
    print(text)
    if arguments.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
