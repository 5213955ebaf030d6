"""How well projected embeddings meet their targets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STD_FLOOR = 1e-6
"""Smallest standard deviation that a ratio is taken over."""
CONSTANT = 1e-12
"""A column that varies by less than this share of its size is constant."""
CHUNK_ROWS = 1024
BOOTSTRAP_ROUNDS = 200


@dataclass(frozen=True)
class ProjectorMetrics:
    """Figures of merit of rows (N, D) against their targets, and vectors over the D features.

    Centred figures subtract the targets' mean from both sides: without that, predicting the mean
    scores well. In retrieval a row asks for its target among all; a tie counts against it.
    """

    num_rows: int
    mse: float
    r2: float
    cosine: float
    cosine_p5: float
    centred_cosine: float
    centred_cosine_p5: float
    norm_ratio: float
    std_ratio_min: float
    std_ratio_median: float
    std_ratio_max: float
    outlier_dims_gt2: int
    collapsed_dims_lt0_5: int
    outlier_index_list: list[int]
    per_dim_corr_mean: float
    per_dim_corr_min: float
    std_profile_corr: float | None
    recall_at_1: float
    recall_at_10: float
    mrr: float
    recall_at_1_uncentred: float
    recall_at_10_uncentred: float
    recall_at_1_reverse: float
    recall_at_10_reverse: float
    mrr_reverse: float
    mse_of_mean: float
    """What predicting the targets' mean costs."""
    mse_interval: tuple[float, float]
    """90 % of bootstrap samples of the rows."""
    centred_cosine_interval: tuple[float, float]
    per_dim_corr: Floats = field(repr=False)
    std_ratio: Floats = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, without the vectors, as JSON takes them."""
        vectors = ("per_dim_corr", "std_ratio")
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in vectors}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in named.items()}


def projector_metrics(
    projected: NDArray[Any], target: NDArray[Any], seed: int = 0
) -> ProjectorMetrics:
    """Compare rows (N, D) with their targets, in float64; seed draws the bootstrap.

    ValueError unless both have one shape and at least two rows.
    """
    p, t = np.asarray(projected, np.float64), np.asarray(target, np.float64)
    if p.shape != t.shape or p.ndim != 2 or len(p) < 2:
        raise ValueError(f"rows {p.shape} and targets {t.shape}: expected two equal (N > 1, D)")
    mean = t.mean(0)
    row_errors = np.square(p - t).mean(1)
    spread = float(np.square(t - mean).sum())
    p_std, t_std = _std(p), _std(t)
    ratio = p_std / np.maximum(t_std, STD_FLOOR)
    correlation = _column_correlation(p, t, p_std, t_std)
    raw, centred = _cosines(p, t), _cosines(p - mean, t - mean)
    ranks, reverse = _ranks(p - mean, t - mean), _ranks(t - mean, p - mean)
    ranks_raw = _ranks(p, t)
    lengths = np.maximum(np.linalg.norm(t, axis=1), 1e-30)
    draws = np.random.default_rng(seed).integers(0, len(p), (BOOTSTRAP_ROUNDS, len(p)))
    return ProjectorMetrics(
        num_rows=len(p),
        mse=float(row_errors.mean()),
        r2=1 - float(row_errors.sum()) * p.shape[1] / spread if spread else 0.0,
        cosine=float(raw.mean()),
        cosine_p5=float(np.percentile(raw, 5)),
        centred_cosine=float(centred.mean()),
        centred_cosine_p5=float(np.percentile(centred, 5)),
        norm_ratio=float((np.linalg.norm(p, axis=1) / lengths).mean()),
        std_ratio_min=float(ratio.min()),
        std_ratio_median=float(np.median(ratio)),
        std_ratio_max=float(ratio.max()),
        outlier_dims_gt2=int((ratio > 2).sum()),
        collapsed_dims_lt0_5=int((ratio < 0.5).sum()),
        outlier_index_list=[int(i) for i in np.flatnonzero(ratio > 2)],
        per_dim_corr_mean=float(correlation.mean()),
        per_dim_corr_min=float(correlation.min()),
        std_profile_corr=_profile_correlation(p_std, t_std),
        recall_at_1=float((ranks <= 1).mean()),
        recall_at_10=float((ranks <= 10).mean()),
        mrr=float((1 / ranks).mean()),
        recall_at_1_uncentred=float((ranks_raw <= 1).mean()),
        recall_at_10_uncentred=float((ranks_raw <= 10).mean()),
        recall_at_1_reverse=float((reverse <= 1).mean()),
        recall_at_10_reverse=float((reverse <= 10).mean()),
        mrr_reverse=float((1 / reverse).mean()),
        mse_of_mean=float(np.square(t - mean).mean()),
        mse_interval=_interval(row_errors[draws].mean(1)),
        centred_cosine_interval=_interval(centred[draws].mean(1)),
        per_dim_corr=correlation,
        std_ratio=ratio,
    )


def _std(rows: Floats) -> Floats:
    """Return the sample standard deviation of each column, exactly 0 for a constant one."""
    std: Floats = rows.std(0, ddof=1)
    size = np.abs(rows).max(0)
    return np.where(std <= CONSTANT * size, 0.0, std)


def _column_correlation(p: Floats, t: Floats, p_std: Floats, t_std: Floats) -> Floats:
    covariance = ((p - p.mean(0)) * (t - t.mean(0))).sum(0) / (len(p) - 1)
    scale = p_std * t_std
    return np.where(scale > 0, covariance / np.where(scale > 0, scale, 1.0), 0.0)


def _profile_correlation(p_std: Floats, t_std: Floats) -> float | None:
    if p_std.std() == 0 or t_std.std() == 0:
        return None
    return float(np.corrcoef(p_std, t_std)[0, 1])


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > 0, rows / np.where(lengths > 0, lengths, 1.0), 0.0)


def _cosines(a: Floats, b: Floats) -> Floats:
    cosines: Floats = (_unit(a) * _unit(b)).sum(1)
    return cosines


def _ranks(queries: Floats, gallery: Floats) -> NDArray[np.int64]:
    """Return the 1-based rank of each query's own gallery row; ties count against it."""
    q, g = _unit(queries), _unit(gallery)
    ranks = []
    for start in range(0, len(q), CHUNK_ROWS):
        similar = q[start : start + CHUNK_ROWS] @ g.T
        own = similar[np.arange(len(similar)), np.arange(start, start + len(similar))]
        # Equal rows may differ in the last digit by the order of their sums: that is a tie.
        ranks.append((similar >= own[:, None] - 1e-12).sum(1))
    return np.concatenate(ranks)


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, (5, 95))
    return float(low), float(high)
