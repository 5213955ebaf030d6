"""Export the networks that judge motions: a text and a motion graph into one space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionrt.export.bundle import BundleWriter
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.readers.humanml_evaluator import EvaluatorCheckpoint
from motionrt.models.humanml_evaluator import (
    FRAMES_A_MOVEMENT,
    NUM_CONTACTS,
    MovementEncoder,
    SequenceEncoder,
    TextEncoder,
)
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import AxisInfo, Limits
from motionrt.runtime.errors import ExportError
from motionrt.runtime.evaluator.pipeline import MAX_FRAMES, VECTORS_FILE, WORDS_FILE
from motionrt.runtime.evaluator.words import MAX_WORDS, PARTS

ATOL, RTOL = 1e-4, 1e-3
"""Recurrences of up to 49 steps add up rounding."""
FPS = 20


class OnnxGru(nn.Module):
    """A bidirectional GRU as ONNX has it, which takes the rows' lengths; for tracing alone.

    torch packs rows of several lengths, which cannot be traced. ONNX orders the gates as update,
    reset, new, torch as reset, update, new.
    """

    weight: Tensor
    recurrence: Tensor
    bias: Tensor

    def __init__(self, gru: nn.GRU) -> None:
        """Take the weights of a GRU of one layer."""
        super().__init__()
        self.size = gru.hidden_size

        def gates(name: str) -> Tensor:
            rows = []
            for suffix in ("", "_reverse"):
                reset, update, new = getattr(gru, f"{name}_l0{suffix}").detach().chunk(3)
                rows.append(torch.cat((update, reset, new)))
            return torch.stack(rows)

        self.register_buffer("weight", gates("weight_ih"))
        self.register_buffer("recurrence", gates("weight_hh"))
        self.register_buffer("bias", torch.cat((gates("bias_ih"), gates("bias_hh")), dim=1))

    def forward(self, tokens: Tensor, first: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, S, H), (2, B, H) and (B,) to the last states (2, B, H)."""
        inputs = (
            tokens.transpose(0, 1).contiguous(),
            self.weight,
            self.recurrence,
            self.bias,
            lengths.to(torch.int32),
            first,
        )
        batch = tokens.shape[0]
        _, last = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            inputs,
            {"direction": "bidirectional", "hidden_size": self.size, "linear_before_reset": 1},
            dtypes=(tokens.dtype, tokens.dtype),
            shapes=((tokens.shape[1], 2, batch, self.size), (2, batch, self.size)),
            version=20,
        )
        return last


class _Encoder(nn.Module):
    """A sequence's encoder that is traced with ONNX's GRU, and runs with torch's."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.traced = OnnxGru(encoder.gru)

    def encode(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        if not torch.compiler.is_exporting():
            return self.encoder(tokens, lengths)  # type: ignore[no-any-return]
        embedded = self.encoder.input_emb(tokens)
        first = self.encoder.hidden.expand(-1, tokens.shape[0], -1).contiguous()
        last = self.traced(embedded, first, lengths)
        out: Tensor = self.encoder.output_net(torch.cat((last[0], last[1]), dim=-1))
        return out


class TextGraph(_Encoder):
    """Words and parts of speech to an embedding."""

    def __init__(self, encoder: TextEncoder) -> None:
        """Take the text encoder."""
        super().__init__(encoder)
        self.parts = encoder.pos_emb

    def forward(self, words: Tensor, parts: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, S, W), (B, S, 15) and (B,) to (B, width)."""
        return self.encode(words + self.parts(parts), lengths)


class MotionGraph(_Encoder):
    """Features in their units to an embedding: normalised, what is behind a motion's end nought."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, movements: MovementEncoder, encoder: SequenceEncoder, mean: Tensor, std: Tensor
    ) -> None:
        """Take both networks and the features' statistics."""
        super().__init__(encoder)
        self.movements = movements
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, T, 263) and frames (B,) to (B, width)."""
        frames = torch.arange(features.shape[1], device=features.device)
        shown = (frames < lengths.unsqueeze(1)).unsqueeze(-1)
        rows = torch.where(shown, (features - self.mean) / self.std, 0.0)
        tokens = self.movements(rows[..., :-NUM_CONTACTS])
        return self.encode(tokens, lengths // FRAMES_A_MOVEMENT)


def export_evaluator(writer: BundleWriter, checkpoint: EvaluatorCheckpoint, licence: str) -> None:
    """Write the bundle of an evaluator; ExportError if it is not one of HumanML3D's."""
    config = checkpoint.config
    if config.num_features != 263 or config.num_parts != len(PARTS):
        raise ExportError(
            f"{checkpoint.name}: judges {config.num_features} features and {config.num_parts} "
            f"parts of speech; expected HumanML3D's 263 and {len(PARTS)}"
        )
    words = MAX_WORDS + 2
    generator = torch.Generator().manual_seed(0)
    batch = AxisInfo(typical=32)

    def checks(count: int, length: int, longest: int, *widths: int) -> dict[str, Tensor]:
        lengths = torch.randint(4, longest + 1, (count,), generator=generator)
        lengths[0] = longest
        rows = [torch.randn(count, length, width, generator=generator) for width in widths]
        return {"lengths": lengths, **{str(i): row for i, row in enumerate(rows)}}

    named: tuple[dict[str, Tensor], ...] = tuple(
        {"words": made["0"], "parts": made["1"].softmax(-1), "lengths": made["lengths"]}
        for made in (
            checks(3, words, words, config.word_width, config.num_parts),
            checks(2, words, 6, config.word_width, config.num_parts),
        )
    )
    text = GraphSpec(
        "text_encoder",
        inputs=(
            TensorSpec("words", ("batch", words, config.word_width)),
            TensorSpec("parts", ("batch", words, config.num_parts)),
            TensorSpec("lengths", ("batch",), "int64"),
        ),
        outputs=(TensorSpec("embedding", ("batch", config.width)),),
        atol=ATOL,
        rtol=RTOL,
        axes={"batch": batch},
    )
    writer.add_graph(Graph(text, TextGraph(checkpoint.text), named))
    mean, std = torch.from_numpy(checkpoint.mean), torch.from_numpy(checkpoint.std)
    motion = GraphSpec(
        "motion_encoder",
        inputs=(
            TensorSpec("features", ("batch", MAX_FRAMES, config.num_features)),
            TensorSpec("lengths", ("batch",), "int64"),
        ),
        outputs=(TensorSpec("embedding", ("batch", config.width)),),
        atol=ATOL,
        rtol=RTOL,
        axes={"batch": batch},
    )
    seen = tuple(
        {"features": made["0"] * std + mean, "lengths": made["lengths"]}
        for made in (
            checks(3, MAX_FRAMES, MAX_FRAMES, config.num_features),
            checks(2, MAX_FRAMES, 44, config.num_features),
        )
    )
    graph = MotionGraph(checkpoint.movements, checkpoint.motions, mean, std)
    writer.add_graph(Graph(motion, graph, seen))
    writer.add_file(WORDS_FILE, "\n".join(checkpoint.words).encode())
    writer.add_arrays(VECTORS_FILE, {"vectors": checkpoint.vectors})
    skeleton = load_skeleton("humanml22")
    writer.finish(
        family="evaluator",
        name=checkpoint.name,
        fps=FPS,
        skeleton=skeleton,
        sampler={},
        limits=Limits(max_frames=MAX_FRAMES, advised_seconds=MAX_FRAMES / FPS),
        text={"words": WORDS_FILE, "vectors": VECTORS_FILE, "width": config.width},
        licence=licence,
        sources=checkpoint.paths,
    )
