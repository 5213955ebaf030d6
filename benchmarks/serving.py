"""How does a server of motions bear many clients? Requests of 32, batched and one by one.

    python benchmarks/serving.py [--requests 1000] [--clients 32] [--frames 20] [--write]

`motionrt serve` runs the embedded default in a process of its own, once with batches and once
without (``--together 1``); clients ask over HTTP, each for its next motion once it has the last.
Every answer is opened, and its seed compared with the one that was asked for; some are compared
with motions that this process makes by itself.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
from results import write_section

import motionrt
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.request import Request

HEADING = "A server of motions, many clients"
PROMPTS = ("a person walks forward", "a person runs", "a person jumps", "a person turns left")
COMPARED = 50
"""Every so many requests an answer is compared with a motion made here."""


def main() -> None:
    """Measure both ways and print a table, with --write into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    lines = [
        "| requests that share calls | answered | a second | latency p50, s | p95 | p99 "
        "| in a batch, mean | server's peak, MB (after the first 100) |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for together in (16, 1):
        lines.append(measured(options, together))
        print(lines[-1], flush=True)
    machine = describe_machine()
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {os.getloadavg()[0]:.1f}; the embedded default, {options.frames} frames, preset "
        f"{options.preset}, {options.requests} requests of {options.clients} clients, which run "
        f"on the same cores; `python benchmarks/serving.py --requests {options.requests} "
        f"--clients {options.clients} --frames {options.frames}`.\n\n" + "\n".join(lines)
    )
    print(text)
    if options.write:
        write_section(HEADING, text)


def measured(options: argparse.Namespace, together: int) -> str:
    """Ask a server for everything; return a row of the table."""
    pipeline = motionrt.load()
    latencies = [0.0] * options.requests
    early: list[int] = []

    def ask(client: httpx2.Client, number: int) -> None:
        request = {
            "prompt": PROMPTS[number % len(PROMPTS)],
            "num_frames": options.frames,
            "preset": options.preset,
            "seed": number,
        }
        start = time.perf_counter()
        answer = client.post("/v1/motions.npz", json=request)
        latencies[number] = time.perf_counter() - start
        if answer.status_code != 200:
            raise SystemExit(f"request {number}: {answer.status_code} {answer.text}")
        with np.load(io.BytesIO(answer.content)) as file:
            joints = file["posed_joints"]
            info = json.loads(str(file["info"]))
        if info["seed"] != number or len(joints) != options.frames:
            raise SystemExit(f"request {number} got another's motion")
        if number % COMPARED == 0:
            (alone,) = pipeline.run(Request.from_json(request, pipeline.family))
            np.testing.assert_allclose(joints, alone.posed_joints, rtol=0, atol=2e-4)

    with serving(together) as (url, process):
        numbers = iter(range(options.requests))
        lock = threading.Lock()

        def work(_: int) -> None:
            with httpx2.Client(base_url=url, timeout=600) as client:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    ask(client, number)
                    if number == 100:
                        early.append(peak_mb(process.pid))

        work_started = time.perf_counter()
        with ThreadPoolExecutor(options.clients) as pool:
            list(pool.map(work, range(options.clients)))
        seconds = time.perf_counter() - work_started
        figures = httpx2.get(f"{url}metrics").text
        peak = peak_mb(process.pid)
    done = figure(figures, 'motionrt_jobs_total{bundle="motionrt-default",outcome="done"}')
    motions = figure(figures, 'motionrt_batch_motions_sum{bundle="motionrt-default"}')
    batches = figure(figures, 'motionrt_batch_motions_count{bundle="motionrt-default"}')
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99])
    return (
        f"| {together} | {done:.0f} of {options.requests} | {options.requests / seconds:.1f} "
        f"| {p50:.2f} | {p95:.2f} | {p99:.2f} | {motions / batches:.1f} "
        f"| {peak} ({', '.join(map(str, early))}) |"
    )


@contextmanager
def serving(together: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `motionrt serve`; yield its address and process."""
    command = [sys.executable, "-u", "-m", "motionrt", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--together", str(together)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        if found is None:
            raise SystemExit(f"the server did not start: {first}")
        yield found[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def peak_mb(pid: int) -> int:
    """Return the most memory that a process had, in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) // 1024


def figure(text: str, name: str) -> float:
    """Return one of Prometheus's figures."""
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


if __name__ == "__main__":
    main()
