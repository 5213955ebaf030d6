"""A list of requests on a Ray cluster: what it costs and gains, and whether kills lose anything.

    python benchmarks/ray_batch.py [--requests 64] [--frames 60] [--write]

The embedded default makes a list by `gen --batch`, then on local clusters (`ray start`) of one core
and of all of them. Then a run is killed: an actor twice, the driver twice, with single files and
with shards; each time the run that ends well must leave every request once in the results file, and
every motion once on disk, as `gen --batch` made it. It takes minutes, so no test does it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from results import write_section

from motionrt.runtime.benchmark import describe_machine

HEADING = "A list on a Ray cluster"
PROMPTS = ("a person walks forward", "a person runs", "a person jumps", "a person turns left")


def main() -> None:
    """Measure and kill; print a table, with --write into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--no-kills", action="store_true", help="measure alone")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    lines = ["| | seconds, all | seconds at work | clips an hour at work |"]
    lines.append("| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requests = folder / "list.jsonl"
        with requests.open("w") as file:
            for number in range(options.requests):
                prompt = PROMPTS[number % len(PROMPTS)]
                frames = options.frames + number % 7
                line = {"prompt": prompt, "num_frames": frames, "preset": "fast"}
                file.write(json.dumps(line) + "\n")
        plain = folder / "plain"
        seconds = run(requests, plain)
        lines.append(row("gen --batch, all cores", seconds, seconds, options.requests))
        cores = os.cpu_count() or 1
        for count in sorted({1, cores}):
            with cluster(count) as address:
                place = folder / f"ray{count}"
                start = time.time()
                run(requests, place, "--ray", address)
                total = time.time() - start
                share = options.requests - 16 * count  # the first batch of each begins before
                busy = seconds_of_last(place, share)
                lines.append(row(f"--ray, actors of a core: {count}", total, busy, share))
                compare(plain, place)
        print("\n".join(lines), flush=True)
        killed = 0
        for shards in () if options.no_kills else ((), ("--shards", "webdataset")):
            for victim in ("actor", "driver"):
                for after in (0.25, 0.6):
                    place = folder / f"killed{killed}"
                    with cluster(cores) as address:
                        kill(
                            requests, place, address, shards, victim, int(after * options.requests)
                        )
                        run(requests, place, "--ray", address, *shards)
                    check_once(place, options.requests)
                    compare(plain, place)
                    killed += 1
                    print(f"killed {victim} after {after:.0%} {shards}: whole", flush=True)
    machine = describe_machine()
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {os.getloadavg()[0]:.1f}; the embedded default, {options.requests} requests of "
        f"{options.frames} to {options.frames + 6} frames, preset fast; `python "
        f"benchmarks/ray_batch.py --requests {options.requests} --frames {options.frames}`.\n\n"
        + "\n".join(lines)
        + f"\n\n{killed} runs were killed, actors and drivers, after a quarter and 60 % of "
        "the list, with files and with shards: each that was taken up again had every request "
        "once, with the motions of `gen --batch`."
    )
    print(text)
    if options.write:
        write_section(HEADING, text)


def row(what: str, seconds: float, busy: float, clips: int) -> str:
    """Return a row of the table."""
    return f"| {what} | {seconds:.1f} | {busy:.1f} | {clips / busy * 3600:,.0f} |"


def command(requests: Path, folder: Path, *words: str) -> list[str]:
    """Return the command that makes the list."""
    return [
        *(sys.executable, "-m", "motionrt", "gen", "--quiet"),
        *("--batch", str(requests), "-o", str(folder), *words),
    ]


def run(requests: Path, folder: Path, *words: str) -> float:
    """Make the list; return the seconds that it took."""
    start = time.perf_counter()
    done = subprocess.run(command(requests, folder, *words), stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


@contextmanager
def cluster(cores: int) -> Iterator[str]:
    """Start a cluster of so many cores on this machine; yield its address."""
    ray = str(Path(sys.executable).with_name("ray"))
    port = "6399"
    words = ["--head", "--port", port, "--num-cpus", str(cores), "--include-dashboard=false"]
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    memory = ["--object-store-memory", str(200_000_000), "--disable-usage-stats"]
    subprocess.run([ray, "start", *words, *memory], env=env, check=True, capture_output=True)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([ray, "stop", "--grace-period", "10"], check=True, capture_output=True)


def seconds_of_last(folder: Path, count: int) -> float:
    """Return in what time the last files were written: without starting and stopping."""
    times = sorted(path.stat().st_mtime for path in folder.glob("*.npz"))
    return times[-1] - times[-count - 1]


def listed(folder: Path) -> list[dict[str, object]]:
    """Return the lines of a results file; one that is not whole does not count."""
    file = folder / "results.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.is_file() else []
    return [json.loads(line) for line in lines if line]


def kill(
    requests: Path, folder: Path, address: str, shards: tuple[str, ...], victim: str, after: int
) -> None:
    """Begin the list, and kill an actor or the driver once so many requests are done."""
    driver = subprocess.Popen(command(requests, folder, "--ray", address, *shards))
    while len(listed(folder)) < after and driver.poll() is None:
        time.sleep(0.02)
    if victim == "driver":
        driver.kill()
        driver.wait()
        return
    actors = [pid for pid, name in processes() if "MapWorker" in name]
    if not actors:
        raise SystemExit("no actor was found")
    os.kill(actors[0], signal.SIGKILL)
    if driver.wait():
        raise SystemExit("the run did not survive its actor")


def processes() -> Iterator[tuple[int, str]]:
    """Yield all processes with their command lines (Linux)."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            yield int(place.name), (place / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue


def check_once(folder: Path, count: int) -> None:
    """Stop unless every request stands once in the results file, and no file is left over."""
    names = [str(line["name"]) for line in listed(folder)]
    if len(set(names)) != count:
        raise SystemExit(f"{folder}: {len(set(names))} of {count} are listed")
    if (folder / "shards").is_dir():
        keys = [key for path in (folder / "shards").iterdir() for key in joints_in(path)]
        names = keys
    elif len(names) != count:
        raise SystemExit(f"{folder}: {len(names)} lines for {count} requests")
    if len(names) != count or len(set(names)) != count:
        raise SystemExit(f"{folder}: {len(names)} motions, {len(set(names))} of them different")
    left = [path for path in folder.rglob("*") if path.name.startswith(".")]
    print(f"  {len(left)} temporary folders left by what was killed")


def joints_in(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the joints of each motion of a shard."""
    found = {}
    with tarfile.open(path) as archive:
        for name in archive.getnames():
            member = archive.extractfile(name)
            if name.endswith(".npz") and member is not None:
                with np.load(io.BytesIO(member.read())) as arrays:
                    found[Path(name).stem] = arrays["posed_joints"]
    return found


def compare(plain: Path, folder: Path) -> None:
    """Stop unless every motion is the one that `gen --batch` made."""
    found = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            found[path.stem] = arrays["posed_joints"]
    for path in (folder / "shards").glob("*"):
        found |= joints_in(path)
    for path in plain.glob("*.npz"):
        with np.load(path) as arrays:
            np.testing.assert_allclose(found[path.stem], arrays["posed_joints"], rtol=0, atol=2e-4)


if __name__ == "__main__":
    main()
