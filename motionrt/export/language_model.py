"""A language model with a cache as one graph: prompts, further pieces of them, single tokens.

Attention is onnxruntime's ``GroupQueryAttention``: it turns queries and keys by their positions,
and where past and present are one buffer it writes new keys and values in place. A token at the
size of 0.6 billion takes 5 to 10 % less processor time than with the cache concatenated at fifty
tokens, and 26 % less at four hundred (int4, two cores; a ``ScatterND`` into a buffer is between).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir
import torch
from torch import Tensor, nn

from motionrt.export.bundle import BundleWriter, save_model
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.parity import Recorded, check_graph
from motionrt.export.quantise.recipes import FP16, FP32, INT8, LANGUAGE_MODEL_RECIPES, Recipe
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.readers.weights import Weights
from motionrt.export.streaming import (
    LARGE_BYTES,
    attach_streamed,
    hollow,
    trace_streamed,
    weights_bytes,
)
from motionrt.models.decoder_lm import Attention, DecoderConfig, DecoderLayer, DecoderLM, RMSNorm
from motionrt.models.motion_lm import MotionLM, take_columns
from motionrt.runtime.bundle.manifest import AxisInfo, ElementType

GRAPH_NAME = "language_model"
MOST_POSITIONS = 8192
"""Rows of the rotary tables: sixteen times what the model was trained on, and 4 MB."""
ATOL, RTOL = 5e-4, 2e-4
"""Rounding through all layers; logits are sums over the whole width."""
EMBEDDING, HEAD, MOTION_HEAD = "model.embed_tokens.weight", "lm_head.weight", "motion_head.weight"


@dataclass(frozen=True)
class LanguageModelSource:
    """A language model that was read: sizes, and weights that are loaded when asked for."""

    config: DecoderConfig
    weights: Weights
    """Named as Hugging Face names them; the head is left out where it is the embedding."""
    first_motion_id: int
    num_motion_tokens: int

    @property
    def num_parameters(self) -> int:
        """How many numbers are stored, a tied table once."""
        return sum(math.prod(shape) for shape in self.weights.shapes.values())

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return HEAD not in self.weights.shapes

    def module_weights(self) -> Weights:
        """Return the weights that ``MotionLM`` has: both heads are there."""
        stored = self.weights
        table = EMBEDDING if self.tied else HEAD
        first, count = self.first_motion_id, self.num_motion_tokens
        width = self.config.hidden_size
        shapes = {
            **stored.shapes,
            HEAD: stored.shapes[table],
            MOTION_HEAD: (count, width),
        }

        def load(name: str) -> Tensor:
            if name == MOTION_HEAD:
                return stored.load(table)[first : first + count]
            return stored.load(table if name == HEAD else name)

        return Weights(stored.place, shapes, load)

    def graph_weights(self) -> Weights:
        """Return the weights that the graph has: a tied head is the embedding itself."""
        return self.module_weights().renamed(
            lambda name: None if name == HEAD and self.tied else name
        )


def recipe_of(precision: str) -> Recipe:
    """Return the recipe of a precision: one table in 8 bits is looked up and multiplied with.

    The head of the motion tokens alone has 0.1 % of the weights and decides every one of them: it
    stays in float32.
    """
    found = LANGUAGE_MODEL_RECIPES[precision]
    if precision == "fp32":
        return found
    table = FP16 if precision == "fp16" else INT8
    heads = ((r"^motion_head\.", FP32), (r"^(lm_head|model\.embed_tokens)\.", table))
    return replace(found, embeddings=table, exceptions=(*heads, *found.exceptions))


def add_language_model(writer: BundleWriter, source: LanguageModelSource, precision: str) -> None:
    """Export the graph in a precision of ``TOKEN_PRECISIONS``.

    In fp32 it must equal the torch model. With integers the fp32 graph must, unless the model is
    above ``LARGE_BYTES``; what fewer bits cost is measured and stated in the manifest, and
    ExportError if it is too much. In fp16, the form for GPUs, keys and values have half precision
    too.
    """
    graph = language_model_graph(source, precision)
    reference = Recorded(graph.module)
    wanted = recipe_of(precision)
    writer.progress(f"tracing {GRAPH_NAME}")
    model = trace_language_model(source, graph)
    if wanted.weights.kind == "blockwise" and weights_bytes(source.weights) < LARGE_BYTES:
        path = writer.fp32_path(GRAPH_NAME)
        path.parent.mkdir(exist_ok=True)
        save_model(model, path)
        writer.progress(f"checking {GRAPH_NAME} in fp32")
        check_graph(path, graph.spec, reference, graph.checks)
        model = ir.load(path)  # its weights now come from the file, one at a time
    quantise(model, wanted)
    writer.add_model(graph.spec, model, reference, graph.checks, wanted)
    writer.refuse_deviation(GRAPH_NAME, wanted)
    writer.judge("language model", (GRAPH_NAME,), wanted, "--precision")


def language_model_graph(source: LanguageModelSource, precision: str) -> Graph:
    """Return the graph with its torch reference, which loads its weights layer by layer."""
    module = hollow(lambda: MotionLM(source.config, source.num_motion_tokens))
    attach_streamed(module, source.module_weights(), DecoderLayer)
    spec = language_model_spec(source, "float16" if precision == "fp16" else "float32")
    # A further piece of one prompt, two prompts from nothing, and a token of two rows.
    checks = (
        _inputs(source, spec, batch=1, past=5, new=3, rows=2, motion_rows=0),
        _inputs(source, spec, batch=2, past=0, new=9, rows=1, motion_rows=1),
        _inputs(source, spec, batch=2, past=8, new=1, rows=0, motion_rows=1),
    )
    return Graph(spec, module, checks)


def trace_language_model(source: LanguageModelSource, graph: Graph) -> ir.Model:
    """Return the ONNX model; weights are loaded one by one when it is saved."""
    module = hollow(lambda: FusedMotionLM(source.config, source.num_motion_tokens, source.tied))
    # Sizes that mean something to the tracer, 0 and 1, are none of these.
    example = _inputs(source, graph.spec, batch=2, past=5, new=3, rows=2, motion_rows=2)
    traced = Graph(graph.spec, module, (example,))
    model = trace_streamed(traced, source.graph_weights())
    # What an operator gives whose work depends on data is for it to say, not for the trace.
    for value, tensor in zip(model.graph.outputs, graph.spec.outputs, strict=True):
        value.shape = ir.Shape(tensor.axes)
    return model


def language_model_spec(source: LanguageModelSource, cache: ElementType = "float32") -> GraphSpec:
    """Describe the graph's tensors; cache is the element type of keys and values."""
    config = source.config
    layers = range(config.num_layers)

    def keys(prefix: str, axis: str) -> Iterator[TensorSpec]:
        axes = ("batch", config.num_kv_heads, axis, config.head_dim)
        for i in layers:
            yield TensorSpec(f"{prefix}_key_{i}", axes, cache)
            yield TensorSpec(f"{prefix}_value_{i}", axes, cache)

    most = MOST_POSITIONS
    return GraphSpec(
        name=GRAPH_NAME,
        inputs=(
            TensorSpec("input_ids", ("batch", "tokens"), "int64"),
            TensorSpec("lengths", ("batch",), "int64"),
            TensorSpec("logit_rows", ("batch", "rows"), "int64"),
            TensorSpec("motion_rows", ("batch", "motion_rows"), "int64"),
            *keys("past", "past_tokens"),
        ),
        outputs=(
            TensorSpec("logits", ("batch", "rows", config.vocab_size)),
            TensorSpec("motion_logits", ("batch", "motion_rows", source.num_motion_tokens)),
            *keys("present", "all_tokens"),
        ),
        atol=ATOL,
        rtol=RTOL,
        axes={
            "tokens": AxisInfo(largest=most),
            **{
                name: AxisInfo(smallest=0, largest=most)
                for name in ("rows", "motion_rows", "past_tokens")
            },
        },
    )


class FusedMotionLM(nn.Module):
    """``MotionLM`` as it is traced: attention is one operator, and norms become one each."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig, num_motion_tokens: int, tied: bool) -> None:
        """Make a model of the same parameters, without a head where it is the embedding."""
        super().__init__()
        self.config = config
        self.model = DecoderLM(config)
        if not tied:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tied = tied
        self.motion_head = nn.Linear(config.hidden_size, num_motion_tokens, bias=False)
        positions = torch.arange(MOST_POSITIONS, device="cpu", dtype=torch.float32)
        angles = positions.unsqueeze(-1) * self.model.frequencies.to("cpu")
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        logit_rows: Tensor,
        motion_rows: Tensor,
        **past: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take and give what ``MotionLM`` does; what attention gives is not computed here."""
        last = (lengths - 1).to(torch.int32)
        total = lengths.max().to(torch.int32)
        x = self.model.embed_tokens(input_ids)
        present: list[Tensor] = []
        for i, layer in enumerate(self.model.layers):
            assert isinstance(layer, DecoderLayer)
            keys = past[f"past_key_{i}"], past[f"past_value_{i}"]
            normed = _norm(layer.input_layernorm, x)
            attended, *new = self._attend(layer.self_attn, normed, keys, last, total)
            present += new
            x = x + attended
            x = x + layer.mlp(_norm(layer.post_attention_layernorm, x))
        norm = self.model.norm
        assert isinstance(norm, RMSNorm)
        wanted = _norm(norm, take_columns(x, logit_rows))
        motion = _norm(norm, take_columns(x, motion_rows))
        head = self.model.embed_tokens.weight if self.tied else self.lm_head.weight
        return _product(wanted, head), self.motion_head(motion), *present

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        past: tuple[Tensor, Tensor],
        last: Tensor,
        total: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x.shape
        config, kind = self.config, past[0].dtype

        def heads(norm: nn.Module, projected: Tensor, count: int) -> Tensor:
            if isinstance(norm, RMSNorm):
                apart = projected.view(batch, length, count, config.head_dim)
                projected = _norm(norm, apart).view(batch, length, count * config.head_dim)
            return projected.to(kind)

        mixed, key, value = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            [
                heads(attention.q_norm, attention.q_proj(x), config.num_heads),
                heads(attention.k_norm, attention.k_proj(x), config.num_kv_heads),
                attention.v_proj(x).to(kind),
                *past,
                last,
                total,
                self.cos.to(kind),
                self.sin.to(kind),
            ],
            {
                "num_heads": config.num_heads,
                "kv_num_heads": config.num_kv_heads,
                "do_rotary": 1,
                "rotary_interleaved": 0,
            },
            dtypes=[kind] * 3,
            shapes=[
                (batch, length, config.num_heads * config.head_dim),
                *((*p.shape[:2], p.shape[2] + length, config.head_dim) for p in past),
            ],
            version=1,
        )
        return attention.o_proj(mixed.to(x.dtype)), key, value


def _norm(norm: RMSNorm, x: Tensor) -> Tensor:
    """Write the norm as onnxruntime knows it, which then makes one operator of it."""
    scale = torch.sqrt(x.pow(2).mean(-1, keepdim=True) + norm.eps)
    return x / scale * norm.weight


def _product(x: Tensor, head: Tensor) -> Tensor:
    """Multiply (B, R, width) with a table (N, width) as it is stored: a Gemm turns it itself."""
    batch, rows, width = x.shape
    flat = torch.onnx.ops.symbolic(
        "Gemm",
        [x.reshape(batch * rows, width), head],
        {"transB": 1},
        dtype=x.dtype,
        shape=(batch * rows, head.shape[0]),
    )
    return flat.reshape(batch, rows, head.shape[0])


def _inputs(
    source: LanguageModelSource,
    spec: GraphSpec,
    *,
    batch: int,
    past: int,
    new: int,
    rows: int,
    motion_rows: int,
) -> Mapping[str, Tensor]:
    """Make inputs without padding: what attention leaves in places of padding means nothing."""
    generator = torch.Generator().manual_seed(past)
    config = source.config
    kind = torch.float16 if spec.inputs[-1].dtype == "float16" else torch.float32
    shape = (batch, config.num_kv_heads, past, config.head_dim)
    return {
        "input_ids": torch.randint(0, config.vocab_size, (batch, new), generator=generator),
        "lengths": torch.full((batch,), past + new),
        "logit_rows": torch.full((batch, rows), new - 1),
        "motion_rows": torch.full((batch, motion_rows), new - 1),
        **{
            tensor.name: torch.randn(shape, generator=generator).to(kind)
            for tensor in spec.inputs
            if tensor.name.startswith("past_")
        },
    }
