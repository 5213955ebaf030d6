"""Read a motion tokenizer: HumanML3D's or the MyoSkeleton's, told apart by their tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch

from motionrt.export.readers.config_values import LARGEST_SIZE, told, whole_number
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.weights import Weights
from motionrt.models.motion_vq import ACTIVATIONS, MotionVq, MotionVqConfig, MyoSkeletonVq
from motionrt.runtime.errors import CheckpointError

HUMANML_FEATURES = 263
MYO_FEATURES = (78, 84)
"""Widths of the MyoSkeleton's frames: 26 joints as its published list has them, and 28 as its
configs do."""
CLASSES = {"humanml3d": "VQVae", "myoskeleton": "MyoSkeletonVQVAE"}
"""Representation -> class that a config names."""
_PARAMS = "model.params.motion_vae"
_STATED = {
    "humanml3d": {
        "width": "width",
        "code_dim": "code_dim",
        "output_emb_width": "code_dim",
        "code_num": "num_codes",
        "down_t": "num_halvings",
        "stride_t": "stride",
        "depth": "depth",
        "nfeats": "num_features",
    },
    # Of nfeats every published config states another number than the list of joints has, and down_t
    # is not used.
    "myoskeleton": {
        "width": "width",
        "code_dim": "code_dim",
        "nb_code": "num_codes",
        "stride_t": "stride",
        "depth": "depth",
    },
}
"""A config's key -> the size, read off the tensors, that it must be."""


@dataclass(frozen=True)
class MotionVqCheckpoint:
    """A tokenizer that was read."""

    representation: str
    """humanml3d or myoskeleton."""
    config: MotionVqConfig
    weights: Weights

    def module(self) -> MotionVq:
        """Build the tokenizer and fill it."""
        kind = MotionVq if self.representation == "humanml3d" else MyoSkeletonVq
        return self.weights.build(lambda: kind(self.config))


def read_motion_vq(weights: Weights, settings: InterpolatedYaml | None) -> MotionVqCheckpoint:
    """Read tensors named as ``MotionVq``'s; sizes are theirs, and a config must not contradict.

    Without a config the released settings hold (ReLU, dilations in powers of 3). CheckpointError,
    one line, for whatever does not fit.
    """
    weights = weights.renamed(
        lambda name: "quantizer.codebook" if name == "quantizer.embedding.weight" else name
    )
    is_myo = "encoder.input_proj.weight" in weights.shapes
    representation = "myoskeleton" if is_myo else "humanml3d"
    config = (_myo_sizes if is_myo else _humanml_sizes)(weights)
    if settings is not None:
        config = _with_settings(config, representation, settings)
    config = replace(config, norm=_norm(weights, settings))
    allowed = MYO_FEATURES if is_myo else (HUMANML_FEATURES,)
    if config.num_features not in allowed:
        raise CheckpointError(
            f"{weights.place}: {config.num_features} features a frame; "
            f"{representation} has {' or '.join(map(str, allowed))}"
        )
    if is_myo and config.stride % 2:
        raise CheckpointError(f"{weights.place}: a stride of {config.stride} is not supported")
    if not is_myo and config.stride != 2:
        raise CheckpointError(
            f"{weights.place}: its encoder has a stride of {config.stride}, its decoder doubles"
        )
    if config.norm == "group" and config.width % 32:
        raise CheckpointError(f"{weights.place}: 32 groups do not divide {config.width} channels")
    if config.norm == "batch":
        weights = _without_counts(weights)
    return MotionVqCheckpoint(representation, config, weights)


def _humanml_sizes(weights: Weights) -> MotionVqConfig:
    width, features, _ = _shape(weights, "encoder.model.0.weight", 3)
    halvings = _count(weights, r"encoder\.model\.(\d+)\.0\.weight")
    codes, code_dim = _shape(weights, "quantizer.codebook", 2)
    depth, stride = 0, 4
    if halvings:
        depth = _count(weights, r"encoder\.model\.2\.1\.model\.(\d+)\.conv1\.weight")
        stride = _shape(weights, "encoder.model.2.0.weight", 3)[2]
    return MotionVqConfig(features, width, code_dim, codes, halvings, stride // 2, depth, 3)


def _myo_sizes(weights: Weights) -> MotionVqConfig:
    width, features = _shape(weights, "encoder.input_proj.weight", 2)
    codes, code_dim = _shape(weights, "quantizer.codebook", 2)
    if code_dim != width:
        raise CheckpointError(f"{weights.place}: codes of {code_dim} numbers, a width of {width}")
    convolutions = {
        int(found[1]): shape
        for name, shape in weights.shapes.items()
        if (found := re.fullmatch(r"decoder\.conv_layers\.(\d{1,6})\.weight", name))
        and len(shape) == 3
    }
    if not convolutions:
        raise CheckpointError(f"{weights.place}: missing decoder.conv_layers.…")
    stride = convolutions[max(convolutions)][2] // 2
    return MotionVqConfig(features, width, code_dim, codes, 1, stride, len(convolutions), 3)


def _with_settings(
    config: MotionVqConfig, representation: str, settings: InterpolatedYaml
) -> MotionVqConfig:
    """Add what tensors do not say; CheckpointError where a config says otherwise than they."""
    target = settings.get(f"{_PARAMS}.target", CLASSES[representation])
    if not isinstance(target, str) or target.rpartition(".")[2] != CLASSES[representation]:
        raise CheckpointError(
            f"{settings.path}: {_PARAMS}.target is {told(target)}, the tensors are those of "
            f"{CLASSES[representation]}; is the config that of these weights?"
        )
    for key, field in _STATED[representation].items():
        where = f"{settings.path}: {_PARAMS}.params.{key}"
        found: int = getattr(config, field)
        stated = settings.get(f"{_PARAMS}.params.{key}", found)
        if whole_number(stated, where, 0) != found:
            raise CheckpointError(
                f"{where} is {told(stated)}, the tensors have {found}; "
                "is the config that of these weights?"
            )
    growth = settings.get(f"{_PARAMS}.params.dilation_growth_rate", 3)
    activation = str(settings.get(f"{_PARAMS}.params.activation", "relu"))
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{settings.path}: {_PARAMS}.params.activation is {told(activation)}, "
            f"none of {', '.join(ACTIVATIONS)}"
        )
    where = f"{settings.path}: {_PARAMS}.params.dilation_growth_rate"
    dilation_growth = whole_number(growth, where)
    if dilation_growth ** min(config.depth, 32) > LARGEST_SIZE:
        raise CheckpointError(f"{where} is {told(growth)}, too much for {config.depth} layers")
    return replace(config, dilation_growth=dilation_growth, activation=activation)


def _norm(weights: Weights, settings: InterpolatedYaml | None) -> str:
    """Return which norm the tensors are of: a config alone tells two of them apart."""
    if any(name.endswith("running_mean") for name in weights.shapes):
        return "batch"
    stated = "" if settings is None else str(settings.get(f"{_PARAMS}.params.norm", "none"))
    named = {"LN": "layer", "layer": "layer", "GN": "group"}.get(stated)
    one_row = any(
        re.search(r"\.(norm\d|conv_layers\.\d+)\.weight$", name) and len(shape) == 1
        for name, shape in weights.shapes.items()
    )
    if one_row and named is None:
        raise CheckpointError(
            f"{weights.place}: has norms of which no config says whether they are LN or GN; "
            "give its config"
        )
    return named or "none" if one_row else "none"


def _without_counts(weights: Weights) -> Weights:
    """Have every batch norm's count of batches, which nothing uses, be 0 where it is not stored."""
    stem = "running_mean"
    counts = {
        name.removesuffix(stem) + "num_batches_tracked": ()
        for name in weights.shapes
        if name.endswith(stem)
    }
    return Weights(
        weights.place,
        {**weights.shapes, **counts},
        lambda name: torch.tensor(0) if name in counts else weights.load(name),
    )


def _shape(weights: Weights, name: str, rank: int) -> tuple[int, ...]:
    shape = weights.shapes.get(name)
    if shape is None:
        raise CheckpointError(f"{weights.place}: missing {name}; it holds no motion tokenizer")
    if len(shape) != rank or 0 in shape:
        sizes = "x".join(map(str, shape))
        raise CheckpointError(f"{weights.place}: misshapen {name} {sizes or 'scalar'}")
    return shape


def _count(weights: Weights, pattern: str) -> int:
    return len({found[1] for name in weights.shapes if (found := re.fullmatch(pattern, name))})
