"""MotionGPT's bundle with a Qwen3 language model: the model with its cache, and the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motionrt.export.bundle import BundleWriter, count_parameters
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.humanml import features_to_joints
from motionrt.export.language_model import (
    MOST_POSITIONS,
    LanguageModelSource,
    add_language_model,
)
from motionrt.export.readers.motiongpt_qwen import LanguageCheckpoint, MotionGptQwenCheckpoint
from motionrt.models.motion_vq import MotionVq
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.bundle.manifest import AxisInfo, Limits

ATOL, RTOL = 2e-4, 2e-4
"""Rounding through all convolutions; joints add up root steps over all frames."""
MAX_NEW_TOKENS, CAPTION_TOKENS = 512, 128
ADVISED_SECONDS = 9.8
"""196 frames: the longest clip of the training."""
MYO_SKELETON, MYO_JOINTS = "myo26", 26
TEMPLATES = {
    "t2m": "Generate motion: <Caption_Placeholder>",
    "t2m_length": "Generate motion with <Frame_Placeholder> frames: <Caption_Placeholder>",
    "m2t": "Generate text: <Motion_Placeholder>",
    "m2t_length": "Generate text with <Frame_Placeholder> frames: <Motion_Placeholder>",
    "prediction": "Predict motion: <Motion_Placeholder_s1>",
    "in_between": "Complete the masked motion: <Motion_Placeholder_Masked>",
}
"""What the model is asked in, as it was trained."""
_SAMPLING = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.0}


class _VqInUnits(nn.Module):
    """A tokenizer with the statistics of its features: 0 and 1 where it has none."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, vq: MotionVq, mean: NDArray[np.float32] | None, std: NDArray[np.float32] | None
    ) -> None:
        """Take statistics (D,)."""
        super().__init__()
        self.vq = vq
        width = vq.config.num_features
        centre = torch.zeros(width) if mean is None else torch.from_numpy(mean)
        scale = torch.ones(width) if std is None else torch.from_numpy(std)
        self.register_buffer("mean", centre, persistent=False)
        self.register_buffer("std", scale, persistent=False)


class MotionEncoder(_VqInUnits):
    """Features in their units to ids."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids (B, S) and latents (B, S, C) of features (B, T, D), no row of them padded."""
        return self.vq.encode((features - self.mean) / self.std)


class MotionDecoder(_VqInUnits):
    """Ids to features in their units, and to joints."""

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised features, features (B, T, D) and joint positions (B, T, J, 3)."""
        normalized = self.vq.decode(ids)
        features = normalized * self.std + self.mean
        if features.shape[-1] == 263:
            return normalized, features, features_to_joints(features)
        joints = features.reshape(*features.shape[:2], features.shape[-1] // 3, 3)
        return normalized, features, joints


def export_motiongpt_qwen(
    writer: BundleWriter,
    checkpoint: MotionGptQwenCheckpoint,
    precision: str = "fp32",
    licence: str = "",
) -> None:
    """Write a checkpoint's bundle, every graph compared with torch.

    A checkpoint of the motion tokenizer alone gives a bundle that encodes and decodes motions.
    precision is one of ``recipes.TOKEN_PRECISIONS`` and for the language model, which has nearly
    all of the weights.
    """
    vq, language = checkpoint.vq.module(), checkpoint.language
    text: dict[str, Any] = {}
    num_parameters = count_parameters(vq)
    if language is not None:
        source = LanguageModelSource(
            language.config,
            language.weights,
            language.first_motion_id,
            language.num_motion_tokens,
        )
        add_language_model(writer, source, precision)
        writer.add_file("tokenizer.json", language.tokenizer.to_str().encode())
        num_parameters += source.num_parameters
        text = _language_section(language)
    _add_vq(writer, vq, checkpoint)
    skeleton = _skeleton(checkpoint)
    if checkpoint.is_partly_read:
        writer.warnings.append(
            f"{checkpoint.paths[0].name}: its language model is left out; give --lm, the directory "
            "that it was trained from"
        )
    if checkpoint.vq.representation == "humanml3d" and checkpoint.mean is None:
        writer.warnings.append(
            "without --mean and --std of HumanML3D's features its joints mean nothing"
        )
    config = checkpoint.vq.config
    writer.finish(
        family="motiongpt-qwen",
        name=checkpoint.name,
        fps=checkpoint.fps,
        skeleton=skeleton,
        sampler=_sampler_section(language),
        limits=Limits(
            max_frames=(MAX_NEW_TOKENS - 2) * vq.frames_per_token, advised_seconds=ADVISED_SECONDS
        ),
        text={
            **text,
            "codebook_size": config.num_codes,
            "representation": checkpoint.vq.representation,
            "num_features": config.num_features,
            "num_joints": skeleton.num_joints,
            "has_statistics": checkpoint.mean is not None,
            "frames_per_token": vq.frames_per_token,
            "enable_thinking": checkpoint.enable_thinking,
            "predict_ratio": checkpoint.predict_ratio,
            "inbetween_ratio": checkpoint.inbetween_ratio,
            "quota_ratio": checkpoint.quota_ratio,
            "templates": TEMPLATES,
        },
        licence=licence,
        sources=_sources(checkpoint),
        num_parameters=num_parameters,
    )


def _language_section(language: LanguageCheckpoint) -> dict[str, Any]:
    config = language.config
    return {
        "encoder": "qwen3",
        "name": language.directory.resolve().name,
        "tokenizer": "tokenizer.json",
        "vocab_size": config.vocab_size,
        "num_layers": config.num_layers,
        "num_kv_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_positions": min(MOST_POSITIONS, language.max_positions),
        **language.token_ids,
        "end_ids": [language.token_ids["end_of_turn_id"]],
        "first_motion_id": language.first_motion_id,
    }


def _sampler_section(language: LanguageCheckpoint | None) -> dict[str, Any]:
    """Return the sampling defaults: the language model's own where its directory states them."""
    if language is None:
        return {}
    return {
        **_SAMPLING,
        **language.sampling,
        "max_new_tokens": MAX_NEW_TOKENS,
        "caption_max_new_tokens": CAPTION_TOKENS,
    }


def _skeleton(checkpoint: MotionGptQwenCheckpoint) -> Skeleton:
    """Return the skeleton; joints that the published list does not name hang on the pelvis."""
    if checkpoint.vq.representation == "humanml3d":
        return load_skeleton("humanml22")
    found = load_skeleton(MYO_SKELETON)
    more = checkpoint.vq.config.num_features // 3 - MYO_JOINTS
    if not more:
        return found
    described = found.to_dict()
    for i in range(more):
        described["joint_names"].append(f"unnamed_{MYO_JOINTS + i}")
        described["parents"].append(1)
        described["rest_positions"].append(described["rest_positions"][1])
    return Skeleton.from_dict({**described, "name": f"myo{MYO_JOINTS + more}"})


def _add_vq(writer: BundleWriter, vq: MotionVq, checkpoint: MotionGptQwenCheckpoint) -> None:
    """Export encoder and decoder, on random features and on what comes of them."""
    config = vq.config
    generator = torch.Generator().manual_seed(1)
    statistics = (checkpoint.mean, checkpoint.std)
    encoder = MotionEncoder(vq, *statistics).eval()
    decoder = MotionDecoder(vq, *statistics).eval()
    clip, row = ("batch", "frames"), ("batch", "tokens")
    num_joints = config.num_features // 3 if config.num_features != 263 else 22
    normal = torch.randn(2, 41, config.num_features, generator=generator)
    features = normal * encoder.std + encoder.mean
    smallest = vq.frames_per_token if checkpoint.vq.representation == "humanml3d" else 1
    spec = GraphSpec(
        name="motion_encoder",
        inputs=(TensorSpec("features", (*clip, config.num_features)),),
        outputs=(TensorSpec("ids", row, "int64"), TensorSpec("latents", (*row, config.code_dim))),
        atol=ATOL,
        rtol=RTOL,
        axes={"frames": AxisInfo(smallest=smallest, typical=100)},
    )
    with torch.no_grad():
        ids = encoder(features)[0]
    writer.add_graph(Graph(spec, encoder, ({"features": features},)))
    drawn = torch.randint(0, config.num_codes, (3, 7), generator=generator)
    spec = GraphSpec(
        name="motion_decoder",
        inputs=(TensorSpec("ids", row, "int64"),),
        outputs=(
            TensorSpec("normalized_features", (*clip, config.num_features)),
            TensorSpec("features", (*clip, config.num_features)),
            TensorSpec("joints", (*clip, num_joints, 3)),
        ),
        atol=ATOL,
        rtol=RTOL,
        axes={"tokens": AxisInfo(typical=50)},
    )
    checks = ({"ids": drawn}, {"ids": ids}, {"ids": drawn[:1, :1]})
    writer.add_graph(Graph(spec, decoder, checks))


def _sources(checkpoint: MotionGptQwenCheckpoint) -> list[Path]:
    """Return the files that a bundle states the hashes of."""
    language = checkpoint.language
    if language is None:
        return list(checkpoint.paths)
    place = language.directory
    found = [place / "config.json", place / "tokenizer.json", *sorted(place.glob("*.safetensors"))]
    return [*checkpoint.paths, *(path for path in found if path.is_file())]
