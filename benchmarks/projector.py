"""Projectors in closed form against the published recipe: quality on held-out pairs, and seconds.

Pairs are made: prompts from templates become features that two random networks turn into student
and teacher embeddings, the student's with wildly different scales and a few outlier features, the
teacher's with 5 % of noise that nothing can predict. Real encoders are taken with --student and
--teacher.

    python benchmarks/projector.py                     the whole experiment, 4096 features
    python benchmarks/projector.py --width 512 --epochs 50      a quick look
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from motionrt.models.projector import Projector
from motionrt.train.closed_form import fit_kernel, fit_ridge
from motionrt.train.gradient import SEED_RECIPE, fit_gradient
from motionrt.train.metrics import projector_metrics

WHO = ("A person", "A man", "A woman", "Someone", "A child", "An old man", "A dancer", "A soldier")
WHAT = (
    "walks forward",
    "walks backward",
    "runs",
    "jumps",
    "turns around",
    "sits down",
    "stands up",
    "kicks",
    "punches",
    "waves",
    "bows",
    "crawls",
    "throws a ball",
    "picks up a box",
    "climbs a ladder",
    "dances",
)
HOW = (
    "",
    "slowly",
    "quickly",
    "twice",
    "with the left hand",
    "with the right hand",
    "to the left",
    "to the right",
    "in a circle",
    "and then stops",
    "while looking back",
    "angrily",
    "happily",
)
OUTLIERS = (300.0, 40.0, 20.0, 10.0)
HASHED = 2048
NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 1000, 200, 400
Rows = NDArray[np.float32]


def main() -> None:
    """Run every method on one split and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=4096, help="Features on both sides.")
    parser.add_argument("--epochs", type=int, default=SEED_RECIPE.epochs, help="Of the recipe.")
    parser.add_argument("--student", nargs="+", help="Directory of a real encoder.")
    parser.add_argument("--teacher", nargs="+", help="Directory of the encoder to imitate.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="Write the figures into a file.")
    arguments = parser.parse_args()

    x, y = _pairs(arguments)
    order = np.random.default_rng(arguments.seed).permutation(len(x))
    x, y = x[order], y[order]
    cuts = np.cumsum([NUM_TRAIN, NUM_VALIDATION])
    xs, ys = np.split(x, cuts), np.split(y, cuts)
    xs[2], ys[2] = xs[2][:NUM_TEST], ys[2][:NUM_TEST]
    data = xs[0], ys[0], xs[1], ys[1]
    of_mean = float(np.square(ys[2] - ys[0].mean(0)).mean())
    print(
        f"{len(xs[0])} pairs of {x.shape[1]} and {y.shape[1]} features, {len(xs[2])} held out; "
        f"predicting the mean costs {of_mean:.4f}; {torch.get_num_threads()} threads"
    )

    def recipe() -> Projector:
        settings = SEED_RECIPE.replaced(seed=arguments.seed, epochs=arguments.epochs)
        x, y, xv, yv = (torch.from_numpy(part) for part in data)
        module = fit_gradient("linear", x, y, xv, yv, settings).module
        assert isinstance(module, Projector)
        return module

    methods: dict[str, Callable[[], Projector]] = {
        "ridge": lambda: fit_ridge(*data).module(),
        "ridge, refit": lambda: fit_ridge(*data, refit=True).module(),
        "kernel ridge": lambda: fit_kernel(*data).module(),
        f"Adam 1e-3, {arguments.epochs} epochs": recipe,
    }
    results = {}
    print(
        f"{'method':<24}{'mse':>8}{'r2':>7}{'cosine':>8}{'R@1':>7}{'norm':>6}{'s':>8}{'CPU s':>8}"
    )
    for name, solve in methods.items():
        wall, cpu = time.perf_counter(), time.process_time()
        module = solve()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        with torch.no_grad():
            projected = module(torch.from_numpy(xs[2])).numpy()
        figures = projector_metrics(projected, ys[2])
        results[name] = {**figures.to_dict(), "seconds": wall, "cpu_seconds": cpu}
        print(
            f"{name:<24}{figures.mse:8.4f}{figures.r2:7.3f}{figures.centred_cosine:8.3f}"
            f"{figures.recall_at_1:7.3f}{figures.norm_ratio:6.2f}{wall:8.1f}{cpu:8.1f}",
            flush=True,
        )
    ridge, published = results["ridge"], results[list(results)[-1]]
    print(
        f"ridge: {1 - ridge['mse'] / published['mse']:.0%} less error than the recipe in "
        f"1/{published['cpu_seconds'] / ridge['cpu_seconds']:.0f} of its CPU time"
    )
    if arguments.json:
        machine = {"processor": platform.processor(), "cores": os.cpu_count()}
        document = {"machine": machine, "predicting_the_mean": of_mean, "methods": results}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


def _pairs(arguments: argparse.Namespace) -> tuple[Rows, Rows]:
    prompts = [" ".join(filter(None, parts)) + "." for parts in itertools.product(WHO, WHAT, HOW)]
    if arguments.student and arguments.teacher:
        from motionrt.export.text_encoder import read_text_encoder
        from motionrt.train.embedding import CachedEncoder

        encoders = (read_text_encoder(place) for place in (arguments.student, arguments.teacher))
        student, teacher = (CachedEncoder(source, None)(prompts) for source in encoders)
        return student, teacher
    return _made_pairs(prompts, arguments.width, arguments.seed)


def _made_pairs(prompts: list[str], width: int, seed: int) -> tuple[Rows, Rows]:
    generator = np.random.default_rng(seed)
    words = sorted({word for prompt in prompts for word in _grams(prompt)})
    place = {word: i % HASHED for i, word in enumerate(words)}
    counts = np.zeros((len(prompts), HASHED))
    for row, prompt in enumerate(prompts):
        for word in _grams(prompt):
            counts[row, place[word]] += 1
    counts = (counts - counts.mean(0)) / np.maximum(counts.std(0), 0.05)
    meaning = counts @ generator.normal(size=(HASHED, 384)) / np.sqrt(HASHED)
    meaning /= meaning.std()

    def network(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        inner = inputs @ generator.normal(size=(inputs.shape[1], 1024)) / np.sqrt(inputs.shape[1])
        inner = torch.nn.functional.gelu(torch.from_numpy(1.5 * inner)).numpy()
        outer = generator.normal(size=(1024, width)) / np.sqrt(1024)
        return np.asarray(inner @ outer, np.float64)

    student = network(meaning) * generator.lognormal(0, 1, width) + generator.normal(size=width)
    for feature, size in zip(generator.choice(width, len(OUTLIERS)), OUTLIERS, strict=True):
        student[:, feature] *= size
    teacher = network(np.tanh(meaning))
    teacher /= teacher.std()
    teacher += generator.normal(size=teacher.shape) * np.sqrt(0.05)
    teacher = 0.65 * teacher + 0.4 * generator.normal(size=width)
    return student.astype(np.float32), teacher.astype(np.float32)


def _grams(prompt: str) -> list[str]:
    words = prompt.lower().rstrip(".").split()
    return words + [" ".join(pair) for pair in itertools.pairwise(words)]


if __name__ == "__main__":
    main()
