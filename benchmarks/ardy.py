"""ARDY at the released sizes, window by window: torch eager against bundles, fp32 and int8.

    python benchmarks/ardy.py [--model core40] [--rounds 3] [--threads 1] [--folder DIR]

Random weights (Core: 155.8 M parameters and a tokenizer of 35.4 M), ten steps, a text, no
constraints. torch runs what upstream runs: three guidance branches in one batch, and in every step
the embeddings of text, step and constraints over again. Everything around the networks is the same
code for all. Each contender has a process of its own, for its peak memory; rounds of them
alternate, so that a machine that is busy for a while does not favour one. Processor time is over
all threads: with one thread it is what a machine with nothing else to do would take, or nearly. The
fastest of three windows counts. A window is what has to be made until the first frames after a
change: encoding of its history, all steps, decoding. It is measured by the clock as well, of
bundles: from ``session.prompt`` (its text's embedding is at hand, as from a prompt book) until the
first frame that follows it is there as joints, with a token of history.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from motionrt.runtime.ardy.network import Text
    from motionrt.runtime.ardy.pipeline import ArdyPipeline

CONTENDERS = {
    "torch": "torch eager, as upstream",
    "torch-lean": "torch eager, two branches, embedded once",
    "fp32": "bundle, fp32",
    "int8": "bundle, int8",
}
MODELS = {
    # name: skeleton, joints, frames a second, horizon
    "core40": ("core27", 27, 20.0, 40),
    "core8": ("core27", 27, 20.0, 8),
    "g152": ("g1", 34, 25.0, 52),
    "g18": ("g1", 34, 25.0, 8),
}
HISTORIES = (4, 40)
WINDOWS = 3


def main() -> None:
    """Build the bundles, run every contender, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="core40")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the bundles here (1.2 GB)")
    parser.add_argument("--write", action="store_true", help="put the figures into RESULTS.md")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(run(options.contender, options.model, options.folder, options.threads)))
        return
    if options.prepare:
        prepare(options.model, options.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        # Elsewhere, because a process counts the memory of the one that it was forked from.
        itself = [sys.executable, __file__, "--folder", str(folder), "--model", options.model]
        itself += ["--threads", str(options.threads)]
        subprocess.run([*itself, "--prepare"], check=True)
        results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        for _ in range(options.rounds):
            for name in CONTENDERS:
                process = subprocess.run(
                    [*itself, "--contender", name],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
                results[name].append(json.loads(process.stdout.splitlines()[-1]))
        text = report(results, options.model, folder, options.threads)
    print(text)
    if options.write:
        from results import write_section

        write_section(f"ARDY, {options.model}: a window of a stream", text)


def make_checkpoint(model: str) -> Any:
    """Make a checkpoint of a released size, with the same random weights every time."""
    import torch

    from motionrt.export.readers.ardy import ArdyCheckpoint
    from motionrt.models.ardy import (
        ArdyConfig,
        Denoiser,
        RootStats,
        Tokenizer,
        TransformerConfig,
    )

    skeleton, joints, fps, horizon = MODELS[model]
    config = ArdyConfig(
        num_joints=joints,
        fps=fps,
        frames_per_token=4,
        latent_width=128,
        denoiser=TransformerConfig(1024, 2048, 8, 8),
        tokenizer=TransformerConfig(512, 1024, 8, 4),
        text_width=4096,
        num_text_tokens=1,
    )
    torch.manual_seed(0)
    features, latent = config.num_features, config.latent_width
    root_stats = RootStats.identity()
    return ArdyCheckpoint(
        name=f"ardy-{model}-random",
        config=config,
        denoiser=Denoiser(config, root_stats).eval(),
        tokenizer=Tokenizer(config).eval(),
        feature_stats=(torch.zeros(features), torch.ones(features)),
        root_stats=root_stats,
        latent_stats=(torch.zeros(latent), torch.full((latent,), 0.5)),
        levels=(64,) * latent,
        quantises=True,
        normalises=True,
        skeleton=skeleton,
        horizon=horizon,
        num_base_steps=10,
        guidance_type="separated",
        files=(),
    )


def prepare(model: str, folder: Path) -> None:
    """Write the bundles unless they are there."""
    from motionrt.cli._progress import StageProgress
    from motionrt.export.ardy import export_ardy
    from motionrt.export.bundle import BundleWriter

    for precision in ("fp32", "int8"):
        target = folder / model / precision
        if (target / "manifest.json").is_file():
            continue
        target.mkdir(parents=True, exist_ok=True)
        writer = BundleWriter(target, StageProgress(False))
        export_ardy(writer, make_checkpoint(model), None, precision=precision)


def run(name: str, model: str, folder: Path, threads: int) -> dict[str, float]:
    """Run one contender: load, one window to warm up, then timed ones; seconds and megabytes."""
    from motionrt.runtime.ardy.pipeline import ArdyPipeline
    from motionrt.runtime.ardy.rollout import extend
    from motionrt.runtime.sampling.guidance import Guidance
    from motionrt.runtime.sampling.noise import TorchGenerator

    precision = name if name in ("fp32", "int8") else "fp32"
    pipeline = ArdyPipeline.load(folder / model / precision, backend="cpu", threads=threads)
    network = pipeline.network
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
        network._run = Torch(model, as_upstream=name == "torch").run
    generator = TorchGenerator(0)
    text = network.text(generator.randn((1, 1, 4096)), np.ones((1, 1)))
    options: dict[str, Any] = {"guidance": Guidance("separated", (2.0, 2.0)), "num_steps": 10}
    made = extend(network, text, pipeline.noise(generator, 1), **options)
    while made.shape[1] < max(HISTORIES):
        made = np.concatenate([made, made], axis=1)
    figures: dict[str, float] = {}
    for history in HISTORIES:
        took, used = [], []
        for _ in range(WINDOWS):
            noise = pipeline.noise(generator, 1)
            start, cpu = time.perf_counter(), time.process_time()
            extend(network, text, noise, history=made[:, -history:], **options)
            took.append(time.perf_counter() - start)
            used.append(time.process_time() - cpu)
        figures[f"history {history}"] = min(took)
        figures[f"cpu {history}"] = min(used)
    if not name.startswith("torch"):
        figures["prompt_ms"] = 1000 * min(until_new_frames(pipeline, text))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["peak_mb"] = peak
    return figures


def until_new_frames(pipeline: ArdyPipeline, text: Text) -> list[float]:
    """Say how long it takes from a new prompt until its first frame, in seconds by the clock."""
    pipeline.embed = lambda texts: text  # type: ignore[method-assign]
    session = pipeline.stream("a person stands", seed=0)
    session.take(10)
    waits = []
    for index in range(WINDOWS):
        start = time.perf_counter()
        session.prompt(f"prompt {index}")
        session.take(session.next_change - session.position + 1)
        waits.append(time.perf_counter() - start)
        session.take(3)
    return waits


class Torch:
    """Runs torch's modules in place of a bundle's graphs."""

    def __init__(self, model: str, as_upstream: bool) -> None:
        """Make the modules; as_upstream computes as upstream does, every step anew."""
        import torch

        from motionrt.export.ardy import GuidedStep

        checkpoint = make_checkpoint(model)
        self.torch, self.as_upstream = torch, as_upstream
        self.denoiser, self.tokenizer = checkpoint.denoiser, checkpoint.tokenizer
        self.step = GuidedStep(self.denoiser)
        self.text = torch.zeros(1, 1, 4096)
        self.features = checkpoint.config.num_features * checkpoint.config.frames_per_token

    def run(self, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the module that stands for a graph."""
        torch = self.torch
        given = {key: torch.from_numpy(np.array(value)) for key, value in inputs.items()}
        with torch.inference_mode():
            if name == "embed_text":
                self.text = given["text_features"]
                return {"text_tokens": self.denoiser.embed_text(self.text).numpy()}
            if name == "encoder":
                encoded = self.tokenizer.encoder(given["bodies"], given["token_mask"])
                return {"latents": encoded.numpy()}
            if name == "decoder":
                decoded = self.tokenizer.decoder(*given.values())
                return {"frames": decoded.numpy()}
            return self._sample(given)

    def _sample(self, given: dict[str, Any]) -> dict[str, Any]:
        torch = self.torch
        tokens, rows = given.pop("schedule_tokens"), given.pop("schedule")
        if self.as_upstream:
            given["branch_text"] = torch.tensor([1.0, 0.0, 0.0])
            given["branch_constraints"] = torch.tensor([0.0, 1.0, 0.0])
            given["branch_weights"] = torch.tensor([2.0, 2.0, 0.0])
        known = torch.zeros(3, given["x"].shape[1], self.features)
        for index, (time_tokens, row) in enumerate(zip(tokens, rows, strict=True)):
            if self.as_upstream:
                self.denoiser.embed_text(self.text.expand(3, -1, -1))
                self.denoiser.embed_constraints(known, known)
                self.denoiser.embed_timesteps(torch.full((3,), index))
            given["x"], given["x0_previous"] = self.step(
                **given, time_tokens=time_tokens, coefficients=row
            )
        return {"x_next": given["x"].numpy(), "x0": given["x0_previous"].numpy()}


def report(
    results: Mapping[str, list[dict[str, float]]], model: str, folder: Path, threads: int
) -> str:
    """Say what was measured: medians over rounds."""
    _, _, fps, horizon = MODELS[model]
    seconds = horizon / fps
    median = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in results.items()
    }
    load = os.getloadavg()[0]
    lines = [
        f"{datetime.date.today()}, {processor()}, {threads} thread{'s' * (threads > 1)}, load "
        f"average {load:.1f}; windows of {horizon} frames ({seconds:g} s), ten steps, no "
        f"constraints; medians of {len(results['fp32'])} rounds; "
        f"`python benchmarks/ardy.py --model {model} --threads {threads}`.",
        "",
        "| | history | processor seconds a window | seconds of motion in one | torch's / its "
        "| on the clock | from a prompt to its first frame, ms on the clock | peak, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in results:
        for history in HISTORIES:
            used, peak = median[name][f"cpu {history}"], median[name]["peak_mb"]
            ratio = median["torch"][f"cpu {history}"] / used
            wait = ""
            if history == min(HISTORIES) and "prompt_ms" in median[name]:
                wait = f"{median[name]['prompt_ms']:.0f}"
            lines.append(
                f"| {CONTENDERS[name]} | {history} | {used:.2f} | {seconds / used:.1f} "
                f"| {ratio:.1f} | {median[name][f'history {history}']:.2f} | {wait} | {peak:.0f} |"
            )
    size = {
        precision: sum(f.stat().st_size for f in (folder / model / precision).iterdir()) / 1e6
        for precision in ("fp32", "int8")
    }
    manifest = json.loads((folder / model / "int8" / "manifest.json").read_text("utf-8"))
    deviation, of_tokenizer = (
        manifest["graphs"][name]["deviation"]["motion_joints_cm"] for name in ("sampler", "decoder")
    )
    lines += [
        "",
        f"On disk {size['fp32']:.0f} MB in fp32 and {size['int8']:.0f} MB in int8, whose joints "
        f"are {deviation:.1f} cm from fp32's over a rollout of three windows of random weights "
        f"with the denoiser rounded, {of_tokenizer:.1f} cm with the tokenizer rounded. A window is "
        "made whole, so the first new frame after a change takes as long as a window.",
    ]
    return "\n".join(lines)


def processor() -> str:
    """Name the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(line.partition(": ")[2] for line in text.splitlines() if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
