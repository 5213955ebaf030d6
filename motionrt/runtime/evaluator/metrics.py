"""The field's figures of text-to-motion models, over embeddings of texts and motions.

As of Guo et al. 2022, float64. Texts and motions (N, W) are matched by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.errors import InputError

Floats = NDArray[np.float64]
GROUP = 32
"""A text is looked for among so many."""
TOP = 3
DIVERSITY_PAIRS = 300
MODALITY_PAIRS = 10


def r_precision(texts: ArrayLike, motions: ArrayLike, group: int = GROUP) -> Floats:
    """Return (3,): shares of texts whose motion is the nearest, of the nearest two, and three.

    Of each group of rows, in order; the rest is left out. InputError if there is no whole group.
    """
    distances = _groups(texts, motions, group)
    own = np.einsum("gii->gi", distances)
    # A tie counts against the model.
    ranks = (distances <= own[..., None]).sum(-1)
    return np.array([(ranks <= k).mean() for k in range(1, TOP + 1)])


def matching_distance(texts: ArrayLike, motions: ArrayLike, group: int = GROUP) -> float:
    """Return MM-Dist: the mean distance of a text to its motion, over whole groups."""
    return float(np.einsum("gii->gi", _groups(texts, motions, group)).mean())


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Return FID: the Fréchet distance of the Gaussians of two sets (N, W) and (M, W).

    |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½), Heusel et al. 2017. The root's trace is the sum of the
    roots of C₁^½ C₂ C₁^½'s eigenvalues, which is symmetric: no complex numbers come up.
    """
    first, second = _rows(a, 2), _rows(b, 2)
    difference = first.mean(0) - second.mean(0)
    covariances = [np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (first, second)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ covariances[1] @ root)
    trace = sum(float(np.trace(covariance)) for covariance in covariances)
    return float(difference @ difference) + trace - 2 * float(np.sqrt(np.maximum(product, 0)).sum())


def diversity(
    motions: ArrayLike, random: np.random.Generator, pairs: int = DIVERSITY_PAIRS
) -> float:
    """Return the mean distance of motions (N, W) that are drawn without regard to their texts.

    Two draws without repetition, of pairs motions each, or half as many as there are.
    """
    rows = _rows(motions, 2)
    count = min(pairs, len(rows) // 2)
    chosen = random.permutation(len(rows))[: 2 * count]
    return float(np.linalg.norm(rows[chosen[:count]] - rows[chosen[count:]], axis=1).mean())


def multimodality(
    motions: ArrayLike, random: np.random.Generator, pairs: int = MODALITY_PAIRS
) -> float:
    """Return the mean distance of motions (texts, samples, W) of one text, over pairs of each."""
    sets = np.asarray(motions, np.float64)
    if sets.ndim != 3 or sets.shape[1] < 2:
        raise InputError(f"motions are {sets.shape}, expected (texts, 2 or more samples, width)")
    count = min(pairs, sets.shape[1] // 2)
    total = 0.0
    for rows in sets:
        chosen = random.permutation(len(rows))[: 2 * count]
        total += float(np.linalg.norm(rows[chosen[:count]] - rows[chosen[count:]], axis=1).mean())
    return total / len(sets)


def _rows(values: ArrayLike, least: int) -> Floats:
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2 or len(rows) < least:
        raise InputError(f"embeddings are {rows.shape}, expected ({least} or more, width)")
    return rows


def _groups(texts: ArrayLike, motions: ArrayLike, group: int) -> Floats:
    """Return distances (groups, text, motion) within groups of rows."""
    a, b = _rows(texts, group), _rows(motions, group)
    if a.shape != b.shape:
        raise InputError(f"texts {a.shape} and motions {b.shape} are not matched")
    count = len(a) // group
    a, b = (rows[: count * group].reshape(count, group, -1) for rows in (a, b))
    squared = (
        np.square(a).sum(-1)[:, :, None]
        + np.square(b).sum(-1)[:, None, :]
        - 2 * a @ b.transpose(0, 2, 1)
    )
    distances: Floats = np.sqrt(np.maximum(squared, 0))
    return distances
