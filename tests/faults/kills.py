"""Kill commands with SIGKILL at many moments and look at what is left; see docs/reliability.md.

    python tests/faults/kills.py --moments 100 export gen convert batch train

Each command runs in a process forked from this one, which has its libraries loaded, so that the
moments fall into its work and not into the start of Python; exports find their graphs traced, which
is most of their time and writes nothing. Half of them are spread over the whole
run, the other half over the times in which it writes. A run finds what an earlier run with other
settings left, or, every second time, nothing. After each kill every output must be absent (where it
was before), or be byte for byte what the earlier or the new run makes; then the same command must
run to its end, make what an undisturbed one makes, and leave nothing else in the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from places import GOLDEN

import motionrt
from motionrt.cli.main import main
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.staging import CONTENT, PREFIX

ABSENT = "absent"


@dataclass
class Case:
    """A command to be killed."""

    arguments: Callable[[Path, int], list[str]]
    """Of a folder to work in and of the variant: 0 the earlier run, 1 the one that is killed."""
    outputs: tuple[str, ...]
    """In the folder: files, and folders that are whole or absent as one."""
    private: tuple[str, ...] = ()
    """In the folder: what a run keeps for the next one, judged by that one's result."""
    check: Callable[[Path], None] = lambda folder: None
    """Look at the folder after a kill; raises what is wrong."""
    sign: str = f"{PREFIX}*"
    """What there is in the folder while a run writes, or is about to end its writing."""


@dataclass
class Result:
    """What was found at the moments of one command."""

    seconds: float
    """Of a run that nobody disturbs."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often all outputs were the earlier ones, the new ones, some of each."""
    finished: int = 0
    """Runs that had ended before their moment."""
    left: int = 0
    """Moments that left a temporary folder behind."""
    faults: list[str] = field(default_factory=list)


def run_case(case: Case, moments: int, log: Callable[[str], None] = lambda line: None) -> Result:
    """Kill a command at so many moments."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        contents, starts = [], [base / "nothing"]
        starts[0].mkdir()
        for variant in (0, 1):
            folder = base / f"variant{variant}"
            folder.mkdir()
            writes, seconds = _watched(case.arguments(folder, variant), folder, case.sign)
            contents.append(_contents(case, folder))
        starts.append(base / "variant0")
        result = Result(seconds)
        for moment in range(moments):
            folder = base / "work"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(starts[moment // 2 % 2], folder)
            before = _contents(case, folder)
            command = case.arguments(folder, 1)
            if moment % 2:
                write = chance.randrange(len(writes))
                delay = chance.uniform(0, writes[write])
                finished = _killed(command, folder, case.sign, write, delay)
            else:
                delay = seconds * (moment + 0.5) / moments
                finished = _killed(command, folder, case.sign, None, delay)
            fault = _judge(case, folder, before, contents[1], result)
            result.finished += finished
            left = _left(folder)
            result.left += bool(left)
            child = _start(command)
            _, status = os.waitpid(child, 0)
            if not fault and status != 0:
                fault = f"the next run ended with {status}"
            if not fault and _contents(case, folder) != contents[1]:
                fault = "the next run made something else"
            if not fault and _left(folder):
                fault = f"the next run left {_left(folder)}"
            known = {*case.outputs, *case.private}
            more = {path.name for path in folder.iterdir()} - known
            if not fault and more:
                fault = f"beside the outputs there is {more}"
            if fault:
                result.faults.append(f"moment {moment}: {fault}")
            log(f"{moment + 1}/{moments} {dict(result.outcomes)} {fault or ''}")
    return result


def _judge(
    case: Case, folder: Path, before: dict[str, str], after: dict[str, str], result: Result
) -> str | None:
    now = _contents(case, folder)
    kinds = set()
    for name, digest in now.items():
        if digest == after[name]:
            kinds.add("new")
        elif digest == before[name]:
            kinds.add("earlier")
        else:
            return f"{name} is neither what it was nor what it becomes"
    result.outcomes["some of each" if len(kinds) == 2 else kinds.pop()] += 1
    try:
        case.check(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _contents(case: Case, folder: Path) -> dict[str, str]:
    return {name: digest_of(folder / name) for name in case.outputs}


def digest_of(path: Path) -> str:
    """Hash a file, or the names and contents of a folder, or say that there is none."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.exists():
        return ABSENT
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")):
        if part.is_file():
            content = hashlib.sha256(part.read_bytes()).hexdigest()
            digest.update(f"{part.relative_to(path)} {content}\n".encode())
    return digest.hexdigest()


def _start(arguments: Sequence[str]) -> int:
    """Run a command in a process of its own; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        main(list(arguments))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def _left(folder: Path, sign: str = f"{PREFIX}*") -> list[str]:
    return [str(path) for path in folder.glob(sign)]


def _watched(arguments: Sequence[str], folder: Path, sign: str) -> tuple[list[float], float]:
    """Run a command to its end; return how long each of its writes took, and the whole."""
    start = time.perf_counter()
    child = _start(arguments)
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    while not os.waitpid(child, os.WNOHANG)[0]:
        now = time.perf_counter()
        there = _left(folder, sign)
        for name in there:
            began.setdefault(name, now)
        for name in began:
            if name not in there:
                ended.setdefault(name, now)
        time.sleep(0.0005)
    whole = time.perf_counter() - start
    return [ended.get(name, start + whole) - began[name] for name in began], whole


def _killed(
    arguments: Sequence[str], folder: Path, sign: str, write: int | None, delay: float
) -> bool:
    """Kill a command a time after its start, or after a write began; True if it had ended before.

    write counts from 0; a run that makes fewer is not killed.
    """
    child = _start(arguments)
    seen: set[str] = set()
    while write is not None and len(seen) <= write:
        seen.update(_left(folder, sign))
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.0002)
    end = time.perf_counter() + delay
    while (rest := end - time.perf_counter()) > 0:
        time.sleep(min(rest, 0.001))
    os.kill(child, signal.SIGKILL)  # nobody has asked for its end yet, so the number is still its
    return os.waitpid(child, 0)[1] != signal.SIGKILL


CHECKPOINT = GOLDEN / "kimodo" / "checkpoints" / "Kimodo-SMPLX-RP-v1"


def _export(folder: Path, variant: int) -> list[str]:
    words = ["export", "kimodo", str(CHECKPOINT), "--no-text-encoder", "--force", "--quiet"]
    return [*words, "--licence", f"variant {variant}", "-o", str(folder / "bundle")]


def _check_export(folder: Path) -> None:
    if (folder / "bundle").exists():
        bundle = Bundle(folder / "bundle")
        bundle.check_hashes(bundle.manifest.files)


def _gen(folder: Path, variant: int) -> list[str]:
    words = ["gen", "a man walks", "--duration", "1", "--diffusion-steps", "2", "--quiet", "--bvh"]
    return [*words, "--seed", str(variant), "-o", str(folder / "walk")]


def _check_gen(folder: Path) -> None:
    for name in ("walk.npz", "walk.bvh"):
        if (folder / name).exists():
            motionrt.Motion.load(folder / name)


def _batch(folder: Path, variant: int) -> list[str]:
    prompts = folder.parent / "prompts.jsonl"
    prompts.write_text("".join(f'"a man walks {way}"\n' for way in ("on", "back", "home")))
    words = ["gen", "--batch", str(prompts), "--diffusion-steps", "2", "--quiet"]
    return [*words, "--seed", str(variant), "--duration", "1", "-o", str(folder)]


def _check_batch(folder: Path) -> None:
    results = folder / "results.jsonl"
    for line in results.read_text().splitlines(keepends=True) if results.exists() else []:
        if line.endswith("\n") and line.strip():
            for name in json.loads(line)["files"]:
                motionrt.Motion.load(folder / name)


def _convert(folder: Path, variant: int) -> list[str]:
    source = folder.parent / f"{variant}.npz"
    if not source.exists():
        command = [*_gen(folder.parent, variant)[:-1], str(folder.parent / str(variant))]
        os.waitpid(_start(command), 0)  # here, it would start threads that a fork lacks
    return ["convert", str(source), str(folder / "walk.glb"), "--quiet"]


def _check_convert(folder: Path) -> None:
    if (folder / "walk.glb").exists():
        motionrt.Motion.load(folder / "walk.glb")


def _train(folder: Path, variant: int) -> list[str]:
    pairs = folder.parent / "pairs.npz"
    if not pairs.exists():
        draw = np.random.default_rng(0)
        x = draw.normal(size=(200, 24)).astype(np.float32)
        y = np.tanh(x @ draw.normal(size=(24, 8))).astype(np.float32)
        np.savez(pairs, x=x, y=y)
    words = ["train-projector", "--pairs", str(pairs), "--kind", "mlp", "--hidden", "64"]
    words += ["--epochs", "12", "--patience", "0", "--seed", str(variant), "--quiet"]
    words += ["--checkpoint", str(folder / "training.pt")]
    return [*words, "-o", str(folder / "projector.safetensors")]


CASES = {
    "export": Case(
        _export, ("bundle",), check=_check_export, sign=f"{PREFIX}*/{CONTENT}/manifest.json"
    ),
    "gen": Case(_gen, ("walk.npz", "walk.bvh"), check=_check_gen),
    "convert": Case(_convert, ("walk.glb",), check=_check_convert),
    "batch": Case(
        _batch, ("0000.npz", "0001.npz", "0002.npz"), ("results.jsonl",), check=_check_batch
    ),
    "train": Case(_train, ("projector.safetensors",), ("training.pt",)),
}


def _load_libraries(names: Sequence[str]) -> None:
    """Import what the commands use, so that the processes forked from this one have it."""
    import onnxruntime  # noqa: F401

    import motionrt.cli._batch
    import motionrt.cli.convert
    import motionrt.cli.gen
    import motionrt.runtime.formats.writers.bvh
    import motionrt.runtime.formats.writers.gltf
    import motionrt.runtime.kimodo.pipeline

    if "export" in names:
        import motionrt.cli.export.kimodo
        import motionrt.export.kimodo
    if "train" in names:
        import motionrt.cli.train_projector
        import motionrt.train.projector  # noqa: F401


def _trace_once(folder: Path) -> None:
    """Let exports take their traced graphs from a folder: it is most of their time, all alike."""
    import onnx_ir as ir

    from motionrt.export import bundle
    from motionrt.export.graphs import Graph
    from motionrt.export.to_onnx import to_onnx

    def kept(graph: Graph) -> ir.Model:
        path = folder / f"{graph.spec.name}.onnx"
        if not path.exists():
            ir.save(to_onnx(graph), path)
        return ir.load(path)

    vars(bundle)["to_onnx"] = kept


def run(names: Sequence[str], moments: int) -> bool:
    """Print a table of what was found; False if anything is wrong."""
    _load_libraries(names)
    with tempfile.TemporaryDirectory() as folder:
        if "export" in names:
            _trace_once(Path(folder))
        return _table(names, moments)


def _table(names: Sequence[str], moments: int) -> bool:
    print(
        "| command | moments | seconds a run | left as before | new | some of each | ended before "
        "| temporaries left, then swept | damaged or lost |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    whole = True
    for name in names:
        found = run_case(CASES[name], moments, lambda line: print(line, file=sys.stderr))
        counts = [found.outcomes[kind] for kind in ("earlier", "new", "some of each")]
        columns = [name, moments, f"{found.seconds:.2f}", *counts, found.finished, found.left]
        print("| " + " | ".join(map(str, [*columns, len(found.faults)])) + " |", flush=True)
        for fault in found.faults:
            print(f"{name}: {fault}", file=sys.stderr)
        whole = whole and not found.faults
    return whole


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="COMMAND")
    parser.add_argument("--moments", type=int, default=100)
    given = parser.parse_args()
    sys.exit(0 if run(given.names, given.moments) else 1)
