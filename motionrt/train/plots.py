"""Pictures of a projector's quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import ExportError, InputError
from motionrt.runtime.extras import pip_command
from motionrt.runtime.files import atomic_file
from motionrt.train.metrics import ProjectorMetrics

MAX_POINTS = 5000


def plot_metrics(
    path: Path, metrics: ProjectorMetrics, projected: NDArray[Any], target: NDArray[Any]
) -> None:
    """Draw spread ratios, correlations, values against targets and row errors into a file."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise ExportError(f"a plot needs matplotlib; {pip_command('train')}") from None
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{path}: a plot is .png, .svg or .pdf")
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    ratio = np.sort(metrics.std_ratio)
    axes[0, 0].semilogy(np.maximum(ratio, 1e-3))
    axes[0, 0].axhline(1, color="grey", linewidth=0.8)
    axes[0, 0].set(title="spread of each feature, projected / target", xlabel="feature, sorted")
    axes[0, 1].hist(metrics.per_dim_corr, bins=40)
    axes[0, 1].set(title="correlation of each feature", xlabel="Pearson's r", ylabel="features")
    generator = np.random.default_rng(0)
    points = generator.choice(target.size, min(MAX_POINTS, target.size), replace=False)
    axes[1, 0].plot(target.reshape(-1)[points], projected.reshape(-1)[points], ".", markersize=2)
    limits = np.percentile(target, (0.1, 99.9))
    axes[1, 0].plot(limits, limits, color="grey", linewidth=0.8)
    axes[1, 0].set(title="values", xlabel="target", ylabel="projected", xlim=limits, ylim=limits)
    axes[1, 1].hist(np.square(projected.astype(np.float64) - target).mean(1), bins=40)
    axes[1, 1].axvline(metrics.mse_of_mean, color="grey", linewidth=0.8)
    axes[1, 1].set(
        title="squared error of each row (grey: predicting the mean)", ylabel="rows", xlabel="mse"
    )
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=120)
    pyplot.close(figure)
