"""Fit a projector on pairs: choose its kind, solve or train it, judge it, store it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_safetensors

import motionrt
from motionrt.models.projector import AttentionProjector, Projector
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.train.closed_form import (
    Fit,
    LinearFit,
    fit_kernel,
    fit_moments,
    fit_pca_ridge,
    fit_procrustes,
    fit_ridge,
    matching_gain,
    weighted_error,
)
from motionrt.train.gradient import GradientSettings, fit_gradient
from motionrt.train.gradient import Progress as GradientProgress
from motionrt.train.metrics import ProjectorMetrics, projector_metrics
from motionrt.train.pairs import Pairs, Split, split_pairs
from motionrt.train.state_file import save_state

KINDS = ("auto", "moments", "linear", "kernel", "mlp", "attention")
LINEAR_SOLVERS = ("ridge", "pca-ridge", "procrustes", "gradient")
NUM_FOLDS = 5
MAX_KERNEL_ROWS = 8000
"""Rows that a kernel regression is fitted on at most: it stores them all."""
AUTO_ROWS = 1200
"""Rows on which auto compares kinds at most, five times: less than half a minute on two cores. The
number is fixed, not the time, so that one data set gives one kind on every machine."""
ENOUGH_PAIRS = {
    "moments": (100, "200 or more"),
    "linear": (500, "1,000 to 2,000"),
    "kernel": (500, "1,000 to 2,000"),
    "mlp": (2000, "5,000 to 10,000"),
    "attention": (5000, "10,000 to 20,000"),
}
"""Training pairs that a kind needs, and what is better."""
CHUNK_ROWS = 512
MINIMAL_PAIRS = (
    ("A person raises the left hand.", "A person raises the right hand."),
    ("A person turns to the left.", "A person turns to the right."),
    ("A person walks forward.", "A person walks backward."),
    ("A person walks slowly.", "A person walks quickly."),
    ("A person walks forward.", "A person runs forward."),
    ("A person jumps once.", "A person jumps twice."),
    ("A person raises one arm.", "A person raises both arms."),
    ("A person kicks with the left leg.", "A person kicks with the right leg."),
    ("A person sits down.", "A person stands up."),
    ("A person is moving.", "A person is not moving."),
)
"""Prompts that differ in one word which matters."""


@dataclass(frozen=True)
class ProjectorOptions:
    """What to fit and how."""

    kind: str = "auto"
    """One of ``KINDS``; auto takes linear unless kernel is better by more than chance. moments
    brings mean and covariance to the targets', which takes no pairs, and is stored as linear."""
    solver: str = "ridge"
    """linear: one of ``LINEAR_SOLVERS``."""
    components: int = 400
    """pca-ridge and procrustes: principal components."""
    gain: bool = False
    """Undo the shrinking of closed forms: match the mean norm of the targets."""
    refit: bool = True
    """Solve again on training and validation rows once the penalty is chosen."""
    hidden_dim: int = 4096
    """mlp."""
    num_heads: int = 8
    """attention."""
    num_queries: int = 1
    """attention, for targets that are one vector."""
    weights: str | tuple[float, ...] | None = None
    """Weight of each target feature's error: given, "outliers" (from the targets' spread) or none.
    Every kind and solver heeds them but moments, which lowers no error."""
    shares: tuple[float, float] = (0.1, 0.1)
    """Of validation and test."""
    seed: int = 0
    gradient: GradientSettings = field(default_factory=GradientSettings)

    def __post_init__(self) -> None:
        """Check the choices; InputError if one is none."""
        if self.kind not in KINDS:
            raise InputError(f"kind {self.kind!r}: none of {', '.join(KINDS)}")
        if self.solver not in LINEAR_SOLVERS:
            raise InputError(f"solver {self.solver!r}: none of {', '.join(LINEAR_SOLVERS)}")
        if not all(0 <= share < 0.5 for share in self.shares) or self.shares[0] == 0:
            raise InputError(f"shares {self.shares}: expected validation and test below one half")
        if self.kind == "moments" and self.weights is not None:
            raise InputError(
                "moments match statistics, they lower no error that weights could weigh; take the "
                "linear kind, or leave the weights out"
            )


@dataclass(frozen=True)
class TrainedProjector:
    """A projector with what is known of it."""

    module: Projector
    metadata: dict[str, str]
    metrics: ProjectorMetrics
    """On test rows; on validation rows where there are none."""
    notes: list[str]
    """What was decided on the way, a sentence each."""


def train_projector(
    pairs: Pairs,
    options: ProjectorOptions,
    *,
    checkpoint: Path | None = None,
    progress: GradientProgress | None = None,
    provenance: Mapping[str, str] | None = None,
) -> TrainedProjector:
    """Fit a projector on pairs; provenance (encoders, framing …) goes into its metadata."""
    split = split_pairs(pairs, options.seed, options.shares)
    notes = [
        f"{len(split.train)} pairs to train on, {len(split.validation)} to validate, "
        f"{len(split.test)} to test"
    ]
    rank_note = _rank_note(pairs.rows(split.train))
    if rank_note:
        notes.append(rank_note)
    start = time.monotonic()
    kind = options.kind
    weights = _weights(pairs.rows(split.train), options)
    if kind == "auto":
        kind, told = _choose_kind(pairs.rows(split.train), options, weights)
        notes.append(told)
    advice = _advice(kind, len(split.train))
    if advice:
        notes.append(advice)
    if kind in ("mlp", "attention") or (kind == "linear" and options.solver == "gradient"):
        module, details = _train(kind, pairs, split, options, weights, checkpoint, progress)
    else:
        module, details = _solve(kind, pairs, split, options, weights)
    if weights is not None:
        details["weights"] = options.weights if isinstance(options.weights, str) else "given"
    seconds = time.monotonic() - start
    judged = "test" if len(split.test) >= 2 else "validation"
    held = pairs.rows(split.test if judged == "test" else split.validation)
    if judged == "validation":
        notes.append("no test pairs: the metrics are of validation pairs, which chose the model")
        if details.get("refit") == "true":
            raise InputError("refit needs test pairs to be judged by; give a share of them")
    metrics = projector_metrics(*flat_prediction(module, held), seed=options.seed)
    config = {k: str(v) for k, v in asdict(module.config).items() if v}
    metadata = {
        **config,
        **details,
        **({"activation": "gelu_erf"} if kind == "mlp" else {}),
        **(provenance or {}),
        "n_train": str(len(split.train)),
        "n_val": str(len(split.validation)),
        "n_test": str(len(split.test)),
        "dataset_sha256": pairs.content_hash,
        "seed": str(options.seed),
        "metrics_of": judged,
        "metrics": json.dumps(metrics.to_dict()),
        "motionrt": motionrt.__version__,
    }
    notes.append(f"{kind} in {seconds:.1f} s")
    return TrainedProjector(module, metadata, metrics, notes)


def project(module: Projector, pairs: Pairs) -> NDArray[np.float32]:
    """Return the projections of pairs, shaped as their targets."""
    outputs = []
    mask = pairs.mask
    with torch.no_grad():
        for start in range(0, len(pairs), CHUNK_ROWS):
            stop = start + CHUNK_ROWS
            x = torch.from_numpy(pairs.x[start:stop])
            if isinstance(module, AttentionProjector):
                tokens = x if x.dim() == 3 else x.unsqueeze(1)
                seen = None if mask is None else torch.from_numpy(mask[start:stop])
                out = module(tokens, seen)
                outputs.append(out.mean(1) if pairs.y.ndim == 2 else out)
            else:
                outputs.append(module(x))
    return torch.cat(outputs).numpy()


def flat_prediction(
    module: Projector, pairs: Pairs
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return projections and targets as rows (M, O), padding left out."""
    projected = project(module, pairs)
    if projected.shape != pairs.y.shape:
        raise InputError(
            f"{pairs.source}: the projector gives {list(projected.shape[1:])} a pair, "
            f"the targets are {list(pairs.y.shape[1:])}"
        )
    if pairs.y.ndim == 2:
        return projected, pairs.y
    kept = pairs.y_mask
    assert kept is not None
    if pairs.x_mask is not None and not isinstance(module, AttentionProjector):
        kept = kept & pairs.x_mask  # token by token: what has no input is no prediction
    return projected[kept], pairs.y[kept]


def save_projector(path: Path, module: Projector, metadata: Mapping[str, str]) -> None:
    """Write a projector: ``.pt`` as a plain state dict, else safetensors with metadata."""
    state = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    if path.suffix == ".pt":
        save_state(path, state)
        return
    with atomic_file(path) as temporary:
        temporary.write_bytes(save_safetensors(state, dict(metadata)))


def outlier_weights(targets: NDArray[np.float32], threshold: float = 10.0) -> NDArray[np.float32]:
    """Return loss weights (O,): 1, and up to 10 for features that spread far more than most.

    A feature whose standard deviation is above threshold times the median gets the square root of
    that ratio.
    """
    std = targets.reshape(-1, targets.shape[-1]).astype(np.float64).std(0)
    ratio = std / max(float(np.median(std)), 1e-12)
    weights = np.where(ratio > threshold, np.minimum(np.sqrt(ratio), 10.0), 1.0)
    return weights.astype(np.float32)


def minimal_pair_score(
    student: Callable[[list[str]], NDArray[np.float32]],
    teacher: Callable[[list[str]], NDArray[np.float32]],
    module: Projector,
    mean: NDArray[np.float32],
) -> dict[str, bool]:
    """Say for each minimal pair whether both projections are nearer to their own target."""
    results = {}
    for pair in MINIMAL_PAIRS:
        with torch.no_grad():
            x = torch.from_numpy(student(list(pair)))
            projected = module(x.unsqueeze(1)).mean(1) if _tokens(module) else module(x)
        p, t = projected.numpy() - mean, teacher(list(pair)) - mean
        p /= np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-12)
        t /= np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-12)
        near = p @ t.T
        right = bool(near[0, 0] > near[0, 1] and near[1, 1] > near[1, 0])
        results[f"{pair[0]} / {pair[1]}"] = right
    return results


def _weights(train: Pairs, options: ProjectorOptions) -> NDArray[np.float32] | None:
    """Return the weights (O,) of the target features' errors; None where all count the same."""
    if options.weights is None:
        return None
    width = train.y.shape[-1]
    if options.weights == "outliers":
        return outlier_weights(train.y if train.y_mask is None else train.y[train.y_mask])
    if isinstance(options.weights, str):
        raise InputError(f'weights {options.weights!r}: expected "outliers" or numbers')
    weights = np.asarray(options.weights, np.float32)
    if weights.shape != (width,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(f"weights: expected {width} positive numbers")
    return weights


def _advice(kind: str, count: int) -> str | None:
    """Say that pairs are few for a kind, and which would need fewer."""
    least, better = ENOUGH_PAIRS[kind]
    if count >= least:
        return None
    told = f"{count:,} pairs are few for {kind}: at least {least:,}, better {better}"
    if kind in ("mlp", "attention"):
        told += f"; linear needs {ENOUGH_PAIRS['linear'][0]:,}"
    return told


def _choose_kind(
    train: Pairs, options: ProjectorOptions, weights: NDArray[np.float32] | None
) -> tuple[str, str]:
    """Choose linear or kernel by cross-validation on training pairs, on ``AUTO_ROWS`` at most."""
    if train.sequences and train.x.shape[1] != (train.y.shape[1] if train.y.ndim == 3 else 1):
        return "attention", "attention: inputs and targets differ in their number of rows"
    x, y = train.flat()
    if len(x) > MAX_KERNEL_ROWS:
        return "linear", f"linear: {len(x)} rows are too many for a kernel"
    names = sorted(set(train.groups))
    folds = {name: i % NUM_FOLDS for i, name in enumerate(_shuffled(names, options.seed))}
    if len(names) < 2 * NUM_FOLDS:
        return "linear", f"linear: {len(names)} groups are too few to compare kinds on"
    fold_of = np.array([folds[train.groups[pair]] for pair in train.flat_groups()])
    of = ""
    if len(x) > AUTO_ROWS:
        drawn = np.random.default_rng(options.seed).permutation(len(x))[:AUTO_ROWS]
        of = f", compared on {AUTO_ROWS} of {len(x)} rows"
        x, y, fold_of = x[drawn], y[drawn], fold_of[drawn]
    errors: dict[str, list[float]] = {"linear": [], "kernel": []}
    for fold in range(NUM_FOLDS):
        held = fold_of == fold
        # The next fold chooses the penalty, so that the held one judges only.
        tuning = fold_of == (fold + 1) % NUM_FOLDS
        inner = ~held & ~tuning
        for kind, solve in (("linear", fit_ridge), ("kernel", fit_kernel)):
            fit: Fit = solve(x[inner], y[inner], x[tuning], y[tuning], weights=weights)
            errors[kind].append(weighted_error(fit.predict(x[held]), y[held], weights))
    gain = np.subtract(errors["linear"], errors["kernel"])
    deviation = float(gain.std(ddof=1) / np.sqrt(NUM_FOLDS))
    told = (
        f"cross-validated error {np.mean(errors['linear']):.4g} linear, "
        f"{np.mean(errors['kernel']):.4g} kernel{of}"
    )
    if gain.mean() > deviation:
        return "kernel", f"kernel: {told}, better by more than one standard error"
    return "linear", f"linear: {told}, no clear gain from a kernel"


def _solve(
    kind: str,
    pairs: Pairs,
    split: Split,
    options: ProjectorOptions,
    weights: NDArray[np.float32] | None,
) -> tuple[Projector, dict[str, str]]:
    x, y = pairs.rows(split.train).flat()
    xv, yv = pairs.rows(split.validation).flat()
    # A gain is measured on validation rows, which therefore must stay unseen.
    refit = options.refit and len(split.test) >= 2 and not options.gain
    details = {"solver": options.solver if kind == "linear" else "ridge"}
    fit: Fit
    if kind == "moments":
        refit = False
        fit = fit_moments(x, y, xv, yv)
        details = {"solver": "moments", "shrinkage": repr(fit.penalty)}
    elif kind == "kernel":
        if len(x) > MAX_KERNEL_ROWS:
            raise InputError(
                f"{len(x)} rows are too many for a kernel (at most {MAX_KERNEL_ROWS}); take linear"
            )
        fit = fit_kernel(x, y, xv, yv, refit=refit, weights=weights)
        details["gamma"] = repr(fit.gamma)
    elif options.solver == "ridge":
        fit = fit_ridge(x, y, xv, yv, refit=refit, weights=weights)
    else:
        refit = False
        solve = fit_pca_ridge if options.solver == "pca-ridge" else fit_procrustes
        fit = solve(x, y, xv, yv, options.components, weights)
    if kind != "moments":
        details["lambda"] = repr(fit.penalty)
    details["refit"] = str(refit).lower()
    if options.gain:
        gain = matching_gain(fit.predict(xv), yv, y.mean(0))
        fit = _with_gain(fit, gain, y.mean(0))
        details["gain"] = repr(gain)
    return fit.module(), details


def _with_gain(fit: Fit, gain: float, mean: NDArray[np.floating]) -> Fit:
    """Scale what a fit predicts about the targets' mean."""
    bias = mean + gain * (fit.bias - mean)
    if isinstance(fit, LinearFit):
        return replace(fit, weight=fit.weight * gain, bias=bias)
    return replace(fit, weight=fit.weight * gain, bias=bias)


def _train(
    kind: str,
    pairs: Pairs,
    split: Split,
    options: ProjectorOptions,
    weights: NDArray[np.float32] | None,
    checkpoint: Path | None,
    progress: GradientProgress | None,
) -> tuple[Projector, dict[str, str]]:
    train, validation = pairs.rows(split.train), pairs.rows(split.validation)
    masks: list[torch.Tensor | None] = [None] * 4
    if kind == "attention":
        sides = (train.x, train.y, validation.x, validation.y)
        masks = [
            None if mask is None else torch.from_numpy(mask)
            for mask in (train.x_mask, validation.x_mask, train.y_mask, validation.y_mask)
        ]
    else:
        sides = (*train.flat(), *validation.flat())
    settings = options.gradient.replaced(seed=options.seed)
    x, y, xv, yv = (torch.from_numpy(side) for side in sides)
    fit = fit_gradient(
        kind,
        x,
        y,
        xv,
        yv,
        settings,
        hidden_dim=options.hidden_dim,
        num_heads=options.num_heads,
        num_queries=options.num_queries,
        mask=masks[0],
        mask_validation=masks[1],
        target_mask=masks[2],
        target_mask_validation=masks[3],
        weights=None if weights is None else torch.from_numpy(weights),
        checkpoint=checkpoint,
        progress=progress,
    )
    details = {
        "solver": settings.optimiser,
        "learning_rate": repr(settings.learning_rate),
        "batch_size": str(settings.batch_size),
        "epochs": str(len(fit.train_loss)),
        "best_epoch": str(fit.best_epoch + 1),
        "loss": settings.loss,
    }
    module = fit.module
    assert isinstance(module, Projector)
    return module, details


def _rank_note(train: Pairs) -> str | None:
    """Warn where the inputs span far fewer directions than they have features."""
    x = train.x if train.x_mask is None else train.x[train.x_mask]
    rows = x[:2000].astype(np.float64)
    rows = rows - rows.mean(0)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    values = np.maximum(np.linalg.eigvalsh(gram), 0)
    effective = float(values.sum() ** 2 / max(float(np.square(values).sum()), 1e-300))
    if effective < 3 < min(len(rows), x.shape[1]):
        return (
            f"the inputs vary along {effective:.1f} directions only: a few features outweigh all "
            "others (they are standardised, but look at the encoder)"
        )
    return None


def _shuffled(names: list[str], seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [names[i] for i in generator.permutation(len(names))]


def _tokens(module: Projector) -> bool:
    return isinstance(module, AttentionProjector)
