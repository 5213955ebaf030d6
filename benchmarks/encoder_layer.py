"""What a layer of the denoiser would save with fewer rows, or with one operator for attention.

    python benchmarks/encoder_layer.py [--frames 150] [--rounds 40] [--threads N] [--write]

A layer of the released size, random weights, two branches, as fp32 graphs on the CPU, in turns: as
it is exported; with the rows of the frames alone, which is all that is read of a stage's last
layer; and with attention as one operator, ONNX's own (opset 23) and onnxruntime's. What a step
saves follows: one layer of sixteen with fewer rows, all of them with one operator. Each is compared
with torch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F
from released_size import RELEASED
from results import write_section
from torch import Tensor, nn

from motionrt.models.layers import EncoderLayer
from motionrt.runtime.benchmark import describe_machine

HEADING = "A layer of the denoiser"
NOTE = """\
None of it is built. The rows save half a percent of a step. One operator for attention is slower
than the nodes that it stands for, two matrix products and a softmax (on a busy machine it was 2 to
8 % faster, waiting less often for its threads).
"""
"""Of the run of 2026-11-27."""
BRANCHES = 2


class Rows(nn.Module):
    """The layer, of which the last rows alone are wanted."""

    def __init__(self, layer: EncoderLayer, num_rows: int) -> None:
        """Take a post-norm layer."""
        super().__init__()
        self.layer, self.num_rows = layer, num_rows

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map (B, S, W) to (B, num_rows, W)."""
        layer, attention = self.layer, self.layer.self_attn
        own, width = x[:, -self.num_rows :], x.shape[-1]
        weight, offset = attention.in_proj_weight, attention.in_proj_bias
        query = F.linear(own, weight[:width], offset[:width])
        key, value = F.linear(x, weight[width:], offset[width:]).chunk(2, dim=-1)

        def heads(part: Tensor) -> Tensor:
            return torch.unflatten(part, -1, (attention.num_heads, -1)).transpose(1, 2)

        found = F.scaled_dot_product_attention(heads(query), heads(key), heads(value), bias)
        own = layer.norm1(own + attention.out_proj(found.transpose(1, 2).flatten(-2)))
        result: Tensor = layer.norm2(own + layer._feedforward(own))
        return result


class WholeBias(nn.Module):
    """The layer with a bias for every query: onnxruntime's Attention takes no shared one."""

    def __init__(self, layer: EncoderLayer) -> None:
        """Take a layer."""
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map (B, S, W) to the same shape."""
        result: Tensor = self.layer(x, bias.expand(-1, 1, x.shape[1], -1))
        return result


class OneOperator(nn.Module):
    """The layer with onnxruntime's own operator for attention."""

    def __init__(self, layer: EncoderLayer) -> None:
        """Take a post-norm layer."""
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map (B, S, W) to the same shape."""
        layer, attention = self.layer, self.layer.self_attn
        packed = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = packed.chunk(3, dim=-1)
        found = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (query, key, value, None, None, bias.expand(-1, 1, x.shape[1], -1)),
            {"num_heads": attention.num_heads},
            dtype=x.dtype,
            shape=x.shape,
            version=1,
        )
        x = layer.norm1(x + attention.out_proj(found))
        result: Tensor = layer.norm2(x + layer._feedforward(x))
        return result


def main() -> None:
    """Measure, print the table, and with --write keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    torch.manual_seed(0)
    config, frames = RELEASED, options.frames
    tokens = config.num_text_tokens + 2 + frames
    layer = EncoderLayer(config.latent_dim, config.num_heads, config.ff_size).eval()
    x, bias = torch.randn(BRANCHES, tokens, config.latent_dim), torch.zeros(BRANCHES, 1, 1, tokens)
    with torch.no_grad():
        wanted = layer(x, bias).numpy()
    ways: dict[str, tuple[nn.Module, int, float]] = {
        "as exported": (layer, 20, 0),
        "rows of the frames alone": (Rows(layer, frames), 20, 1 / config.num_layers),
        "attention as ONNX's operator": (WholeBias(layer), 23, 1),
        "attention as onnxruntime's operator": (OneOperator(layer), 20, 1),
    }
    inputs = {"x": x.numpy(), "bias": bias.numpy()}
    with tempfile.TemporaryDirectory() as scratch:
        sessions = {
            name: session(module, (x, bias), opset, Path(scratch) / f"{i}.onnx", options.threads)
            for i, (name, (module, opset, _)) in enumerate(ways.items())
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        off = {}
        for name, way in sessions.items():
            (found,) = way.run(None, inputs)
            off[name] = float(np.abs(found - wanted[:, -found.shape[1] :]).max())
        for _ in range(options.rounds):
            for name, way in sessions.items():
                start = time.perf_counter()
                way.run(None, inputs)
                seconds[name].append(time.perf_counter() - start)
    machine = describe_machine()
    lines = [
        f"{machine['processor']}, {options.threads} threads, onnxruntime {machine['onnxruntime']}, "
        f"load average {machine['load_average']:.1f}; released size, fp32, {BRANCHES} branches of "
        f"{tokens} tokens, {frames} of them frames; medians of {options.rounds} in turns; `python "
        f"benchmarks/encoder_layer.py --frames {frames} --rounds {options.rounds} --threads "
        f"{options.threads}`.",
        "",
        "| a layer | ms | to as exported | a step would take | off torch's |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    base = seconds["as exported"]
    for name, (_, _, share) in ways.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[name], base, strict=True))
        lines.append(
            f"| {name} | {statistics.median(seconds[name]) * 1e3:.1f} | {ratio:.3f} | "
            f"{1 + share * (ratio - 1):.3f} | {off[name]:.1e} |"
        )
    text = "\n".join([*lines, "", NOTE])
    print(text)
    if options.write:
        write_section(HEADING, text)


def session(module: nn.Module, inputs: Any, opset: int, path: Path, threads: int) -> Any:
    """Export a module and load it on the CPU."""
    program = torch.onnx.export(
        module.eval(),
        inputs,
        dynamo=True,
        opset_version=opset,
        input_names=["x", "bias"],
        verbose=False,
    )
    assert program is not None
    program.save(str(path))
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
