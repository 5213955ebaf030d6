"""MotionGPT3 at the released size, text to motion: torch eager against bundles, fp32 and int8.

    python benchmarks/motiongpt3.py [--seconds 5] [--repeats 3] [--threads 2]

Random weights (256 M parameters), a prompt of twelve words, guidance on, 100 steps. torch runs what
upstream runs: both sets of weights over every position of the padded prompt, and in every step the
whole diffusion head, its condition included, for both branches. Each contender has a process of its
own, for its peak memory; rounds of them alternate, so that a machine that is busy for a while does
not favour one. The figures are seconds for one motion of the given length, load not included; cpu
is processor time over all threads, which a busy machine changes least with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CONTENDERS = {
    "torch": "torch eager, as upstream",
    "torch-lean": "torch eager, our modules",
    "fp32": "bundle, fp32",
    "int8": "bundle, int8",
}
PROMPT = "a person walks in a circle and then sits down on a chair"
PADDED_TOKENS = 160
"""Positions that upstream computes: 54 GFLOP for both sets of weights, as counted for it."""
GUIDANCE = 7.5
Timed = dict[str, float]
Generate = Callable[[], tuple[Timed, Any]]


def main() -> None:
    """Build the bundles, run every contender, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, help="keep the bundles here (2 GB)")
    parser.add_argument("--json", type=Path, help="figures to store")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs="+", metavar="PRECISION", help=argparse.SUPPRESS)
    options = parser.parse_args()
    frames = int(options.seconds * 20)
    if options.contender:
        print(json.dumps(run(options.contender, options.folder, frames)))
        return
    if options.prepare:
        prepare(options.folder, options.prepare)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        # Elsewhere, because a process counts the memory of the one that it was forked from.
        itself = [sys.executable, __file__, "--folder", str(folder)]
        subprocess.run([*itself, "--prepare", "fp32", "int8"], check=True)
        results: dict[str, list[Timed]] = {name: [] for name in CONTENDERS}
        threads = str(options.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MOTIONRT_THREADS": threads}
        for _ in range(options.repeats):
            for name in CONTENDERS:
                command = [*itself, "--contender", name, "--seconds", str(options.seconds)]
                process = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True, env=environment
                )
                results[name].append(json.loads(process.stdout.splitlines()[-1]))
        figures = {**report(results, folder, frames), "threads": options.threads}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), "utf-8")


def make_model() -> Any:
    """Build the released size with the same random weights every time."""
    import torch

    from motionrt.models.motion_vae import MotionVaeConfig
    from motionrt.models.motiongpt3 import MotionGpt3, MotionGpt3Config

    torch.manual_seed(0)
    config = MotionGpt3Config(
        vocab_size=50259,
        num_positions=1024,
        width=768,
        num_layers=12,
        num_heads=12,
        ff_size=3072,
        layer_norm_epsilon=1e-5,
        num_output_holders=4,
        num_input_holders=4,
        head_width=1024,
        head_depth=3,
        has_null_condition=True,
        latent_scale=0.8457,
        vae=MotionVaeConfig(
            num_features=263, latent_dim=256, ff_size=1024, num_layers=9, num_heads=4
        ),
    )
    model: Any = MotionGpt3(config)
    with torch.no_grad():
        # Random maps would make the predicted noise explode under guidance; trained ones do not.
        model.lm.diffloss.net.final_layer.linear.weight.mul_(0.1)
        model.lm.language_model.transformer.wte.weight.mul_(0.02)
        model.lm.language_model.transformer.wpe.weight.mul_(0.02)
    return model.eval()


def prepare(folder: Path, precisions: list[str]) -> None:
    """Write the bundles unless they are there."""
    from motionrt.cli._progress import StageProgress
    from motionrt.export.bundle import BundleWriter
    from motionrt.export.motiongpt3 import export_motiongpt3
    from motionrt.export.readers.motiongpt3 import MotionGpt3Checkpoint
    from motionrt.export.readers.weights import Weights

    for precision in precisions:
        target = folder / precision
        if (target / "manifest.json").is_file():
            continue
        target.mkdir(parents=True, exist_ok=True)
        model = make_model()
        state = model.state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        checkpoint = MotionGpt3Checkpoint(
            name="motiongpt3-random",
            config=model.config,
            vae_config=model.config.vae,
            weights=Weights(folder, shapes, state.__getitem__),
            mean=np.zeros(263, np.float32),
            std=np.ones(263, np.float32),
            tokenizer=write_tokenizer(folder / "tokenizer.json"),
            end_of_text_id=50256,
            fps=20.0,
            wraps_holders=True,
            guidance_scale=GUIDANCE,
            num_steps=100,
            paths=(),
        )
        export_motiongpt3(BundleWriter(target, StageProgress(False)), checkpoint, precision)


def write_tokenizer(path: Path) -> Path:
    """Write a tokenizer of GPT-2's size in which each word of the prompt is one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [word for word, _ in pieces.pre_tokenize_str(PROMPT)]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*words, "Ġ", "Ċ", "?"]))}
    vocabulary |= {f"unused{i}": i for i in range(len(vocabulary), 50256)}
    vocabulary["<|endoftext|>"] = 50256
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pieces
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(path))
    return path


def run(name: str, folder: Path, frames: int) -> Timed:
    """Run one contender: load, one warm-up, then one timed motion; seconds and megabytes."""
    start = time.perf_counter()
    generate = (torch_contender if name.startswith("torch") else bundle_contender)(
        name, folder, frames
    )
    loaded = time.perf_counter() - start
    generate()
    rounds = []
    for _ in range(3):
        before = time.process_time()
        laps, features = generate()
        total, cpu = sum(laps.values()), time.process_time() - before
        rounds.append({**laps, "total": total, "cpu": cpu})
    np.save(folder / f"{name}.npy", features)
    best = min(rounds, key=lambda row: row["total"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**best, "load": loaded, "peak_mb": peak}


def bundle_contender(name: str, folder: Path, frames: int, backend: str = "cpu") -> Generate:
    """Return what generates through the runtime."""
    from motionrt.runtime.motiongpt3.model import draw_noise
    from motionrt.runtime.pipeline import load

    pipeline: Any = load(folder / name, backend=backend)
    prompt = pipeline.holders.motion_request(f"{PROMPT} \n ")

    def generate() -> tuple[Timed, Any]:
        clock = Clock()
        hidden = pipeline.holder_hidden([prompt])
        clock.lap("backbone")
        noise, steps = draw_noise(0, 1, pipeline.latent_dim, 100, True, "ancestral")
        clock.lap("noise")
        latents = pipeline.sample(hidden, noise, steps)
        clock.lap("head")
        features = pipeline.decode(latents, [frames])["normalized_features"]
        clock.lap("decoder")
        return clock.laps, features

    return generate


def torch_contender(name: str, folder: Path, frames: int) -> Generate:
    """Return what generates in torch."""
    import torch

    from motionrt.export.motiongpt3 import MotionDecoder
    from motionrt.runtime.motiongpt3.model import draw_noise
    from motionrt.runtime.motiongpt3.prompt import HolderRules, PromptTokens
    from motionrt.runtime.motiongpt3.schedule import latent_schedule
    from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

    model = make_model()
    lm, config = model.lm, model.config
    head: Any = lm.diffloss.net
    statistics_ = (np.zeros(263), np.ones(263))
    decoder = MotionDecoder(model.vae, *statistics_, config.latent_scale)
    tokenizer = TextTokenizer(folder / "fp32" / "tokenizer.json", TextRules(max_tokens=4096))
    prompt = HolderRules(4, 4, True).motion_request(f"{PROMPT} \n ")
    mask = torch.ones(1, frames, dtype=torch.bool)
    schedule = latent_schedule(100)
    keys = (config.num_layers, 2, 1, config.num_heads, 0, config.width // config.num_heads)
    backbone = padded_backbone if name == "torch" else lean_backbone

    def generate() -> tuple[Timed, Any]:
        with torch.inference_mode():
            clock = Clock()
            ids = tokenizer.encode([prompt])[0]
            tokens = PromptTokens.split(ids.tolist(), config.vocab_size, config.num_positions, True)
            arrays = {key: torch.from_numpy(array) for key, array in tokens.to_inputs().items()}
            hidden = backbone(lm, arrays, torch.zeros(keys))[:, -4:]
            clock.lap("backbone")
            noise, steps = draw_noise(0, 1, config.vae.latent_dim, 100, True, "ancestral")
            clock.lap("noise")
            assert steps is not None
            conditions = torch.cat((hidden, lm.fake_latent[None]))
            x = torch.from_numpy(noise)
            for timestep, row, step_noise in zip(
                schedule.timesteps.tolist(), schedule.coefficients.tolist(), steps, strict=True
            ):
                times = torch.full((2,), timestep)
                of_text, of_none = head(x.expand(2, -1), times, conditions).chunk(2)
                predicted = of_none + GUIDANCE * (of_text - of_none)
                x0 = row[0] * x + row[1] * predicted
                x = row[2] * x + row[3] * x0 + row[5] * torch.from_numpy(step_noise)
            clock.lap("head")
            features = decoder(x, mask)[0].numpy()
            clock.lap("decoder")
        return clock.laps, features

    return generate


def lean_backbone(lm: Any, arrays: dict[str, Any], past: Any) -> Any:
    """Run our module: each token through its own weights, nothing padded."""
    import torch

    latents = torch.zeros(1, 0, 256)
    positions = torch.zeros(1, 0, dtype=torch.int64)
    return lm(**arrays, motion_latents=latents, past=past, past_positions=positions)[1]


def padded_backbone(lm: Any, arrays: dict[str, Any], past: Any) -> Any:
    """Run both sets of weights over all positions of the padded prompt, as upstream does."""
    import torch
    import torch.nn.functional as F

    transformer = lm.language_model.transformer
    text_at, motion_at = arrays["text_positions"][0], arrays["motion_positions"][0]
    states = [torch.zeros(1, PADDED_TOKENS, transformer.wte.embedding_dim) for _ in range(2)]
    states[0][:, text_at] = transformer.wte(arrays["text_ids"])
    states[1][:, motion_at] = lm.language_model.pre_processors["1"](arrays["motion_ids"])
    places = transformer.wpe(torch.arange(PADDED_TOKENS))
    states = [state + places for state in states]
    is_motion = torch.zeros(PADDED_TOKENS, 1, dtype=torch.bool)
    is_motion[motion_at] = True
    bias = torch.full((PADDED_TOKENS, PADDED_TOKENS), -torch.inf).triu(1)
    for block in transformer.h:
        packed = block.c_attn(*block.ln_1(*states))
        mixed = torch.where(is_motion, packed[1], packed[0])
        heads = mixed.view(1, PADDED_TOKENS, 3, block.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended = attended.transpose(1, 2).reshape(1, PADDED_TOKENS, -1)
        projected = block.c_proj(attended, attended)
        states = [state + change for state, change in zip(states, projected, strict=True)]
        changes = block.mlp(*block.ln_2(*states))
        states = [state + change for state, change in zip(states, changes, strict=True)]
    return transformer.ln_f(*states)[1][:, motion_at]


class Clock:
    """Seconds of the parts of a run."""

    def __init__(self) -> None:
        """Start."""
        self.laps: Timed = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def report(results: dict[str, list[Timed]], folder: Path, frames: int) -> dict[str, Any]:
    """Print medians, ratios and deviations; return them."""
    columns = ("backbone", "noise", "head", "decoder", "total", "cpu", "load", "peak_mb")
    medians = {
        name: {key: statistics.median(row[key] for row in rows) for key in columns}
        for name, rows in results.items()
    }
    peak = matmul_peak()
    print(f"\n{frames} frames; this machine multiplies at {peak:.0f} GFLOP/s now")
    print(f"{'':<28}" + "".join(f"{column:>10}" for column in columns) + f"{'speed':>8}")
    for name, row in medians.items():
        cells = "".join(f"{row[key]:10.3f}" for key in columns[:-1]) + f"{row['peak_mb']:10.0f}"
        speed = medians["torch"]["total"] / row["total"]
        print(f"{CONTENDERS[name]:<28}{cells}{speed:7.2f}x")
    reference = np.load(folder / "torch.npy")
    deviations = {}
    for name in CONTENDERS:
        found = np.load(folder / f"{name}.npy")
        deviations[name] = float(np.linalg.norm(found - reference) / np.linalg.norm(reference))
        print(f"{CONTENDERS[name]:<28}features differ from torch by {deviations[name]:.2e}")
    return {"frames": frames, "gflops": peak, "medians": medians, "deviations": deviations}


def matmul_peak() -> float:
    """Measure float32 matrix products, in GFLOP/s."""
    import torch

    a = torch.randn(1536, 1536)
    best = 1e9
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1536**3 / best / 1e9


if __name__ == "__main__":
    main()
