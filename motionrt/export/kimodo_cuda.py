"""Kimodo's step as CUDA runs it fastest: ``prepare`` once a motion, then a fused step in fp16.

What does not change over the steps is computed once: what constraints leave and put into x, the
conditions' tokens, what the mask, biases and positions add to the frames' tokens, a table of the
timesteps' tokens, the coefficients. What is left of a step is a layer in seven operators, of which
onnxruntime's CUDA provider has fused kernels (``com.microsoft``), on tokens in fp16; maps to
features, guidance, the root's rates and the solver's update stay in float32. Tokens lie in the
order [timestep, text and heading, frames]: attention does not see the order, and padding at the end
can be said by lengths.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from motionrt.export.branches import Branches
from motionrt.export.bundle import BundleWriter
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.quantise.recipes import DENOISER_RECIPES
from motionrt.export.sampling import LoopSpec
from motionrt.models.kimodo import ROOT_WIDTH, Kimodo, KimodoConfig, Stage
from motionrt.models.layers import EncoderLayer, sinusoid, turn_angle
from motionrt.runtime.bundle.manifest import PreparedForm

PREPARE, STEP, MASKED_STEP = "cuda_prepare", "cuda_step", "cuda_step_masked"
COUNTER, LENGTHS = "counter", "lengths"
PREPARED_ATOL, PREPARED_RTOL = 2e-3, 2e-3
"""Tokens are stored in half precision: two neighbours of it where float32 rounds otherwise."""
_NORM_EPSILON = 1e-5
_CONTRIB = "com.microsoft"
_TIME = 1
"""Tokens of the timestep."""
_STAGES = ("root", "body")


def has_cuda_form(config: KimodoConfig) -> bool:
    """Return whether a network is of the kind that the fused operators compute.

    That is post-norm layers, text that is not masked (it stands before the frames, so no length can
    leave it out), and a root that is predicted anew. The released checkpoints are.
    """
    return not (config.norm_first or config.use_text_mask or config.keep_held_root)


class Prepare(nn.Module):
    """What all steps of a motion share, computed once."""

    def __init__(self, denoiser: Kimodo) -> None:
        """Wrap a denoiser."""
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self,
        timesteps: Tensor,
        schedule: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        frame_mask: Tensor,
        first_heading_rad: Tensor,
        motion_mask: Tensor,
        observed_motion: Tensor,
        branch_text: Tensor,
        branch_constraints: Tensor,
        branch_weights: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return what ``FusedStep`` takes beside its state, and the tokens' lengths (G, B) int32.

        The inputs are the compiled loop's, without its state.
        """
        branches = Branches(branch_text, branch_constraints, branch_weights)
        groups, (batch, frames, width) = branches.count, motion_mask.shape
        mask = branches.with_constraints(motion_mask)
        split = (groups, batch)
        keep = torch.unflatten(1 - mask, 0, split)
        held = torch.unflatten(branches.repeat(observed_motion) * mask, 0, split)

        text = branches.with_text(text_features)
        heading_rad = branches.repeat(first_heading_rad)
        stages = (self.denoiser.root_model, self.denoiser.body_model)
        conditions = [
            torch.unflatten(_conditions(stage, text, heading_rad), 0, split) for stage in stages
        ]
        frame_tokens = [torch.unflatten(_frames(stage, mask, width), 0, split) for stage in stages]
        times = [
            _times(stage, timesteps)[:, None, None].expand(-1, groups, batch, -1, -1)
            for stage in stages
        ]

        # What the last branch weighs, so that the sum of all is the guided prediction.
        rest = 1 - branch_weights[:-1].sum(0, keepdim=True)
        weights = torch.cat((branch_weights[:-1], rest)).view(groups, 1, 1, 1)

        lengths = frame_mask.sum(1, keepdim=True)
        index = torch.arange(frames, device=frame_mask.device)
        is_last = index == lengths - 1
        # Of the last frame the pair before it; beyond, as ``local_root_rates`` has it.
        first = torch.where(is_last, (index - 1).clamp(min=0), index)
        second = torch.where(is_last, index, (index + 1).clamp(max=frames - 1))
        rows = torch.arange(groups * batch, device=frame_mask.device).view(groups, batch, 1)
        first, second = (frames * rows + frame for frame in (first, second))

        tokens = lengths.squeeze(1) + (_TIME + conditions[0].shape[2])
        tokens = (tokens.expand(groups, batch) * 1).to(torch.int32)
        half = [part.half() for part in (*conditions, *frame_tokens, *times)]
        return keep, held, *half, schedule.view(-1, 3, 1, 1, 1), weights, first, second, tokens


def _conditions(stage: Stage, text: Tensor, heading_rad: Tensor) -> Tensor:
    """Return the tokens of text, its padding and the heading, (R, C, width), with positions."""
    config, count = stage.config, stage.config.num_text_tokens
    padding = stage.embed_text.bias.expand(text.shape[0], count - text.shape[1], -1)
    tokens = [stage.embed_text(text), padding]
    places = list(range(count))
    if config.input_first_heading_angle:
        heading = torch.stack((heading_rad.cos(), heading_rad.sin()), dim=-1)
        tokens.append(stage.linear_first_heading_angle(heading).unsqueeze(1))
        places.append(count + _TIME)
    return torch.cat(tokens, dim=1) + _positions(stage, torch.tensor(places))


def _frames(stage: Stage, mask: Tensor, width: int) -> Tensor:
    """Return what the mask (R, T, D), the bias and positions add to the frames' tokens."""
    linear, config = stage.input_linear, stage.config
    before = config.num_text_tokens + _TIME + config.input_first_heading_angle
    places = torch.arange(mask.shape[1], device=mask.device) + before
    of_mask = nn.functional.linear(mask, linear.weight[:, -width:], linear.bias)
    return of_mask + _positions(stage, places)


def _times(stage: Stage, timesteps: Tensor) -> Tensor:
    """Return the tokens of timesteps (N, 1), (N, 1, width), with their position."""
    tokens: Tensor = stage.embed_timestep(sinusoid(timesteps, stage.frequencies))
    return tokens + _positions(stage, torch.tensor([stage.config.num_text_tokens]))


def _positions(stage: Stage, places: Tensor) -> Tensor:
    return sinusoid(places, stage.frequencies)


class FusedStep(nn.Module):
    """One denoising step of prepared inputs. It can be exported; PyTorch cannot run it."""

    root_scale: Tensor
    root_mean: Tensor
    local_scale: Tensor
    local_shift: Tensor

    def __init__(self, denoiser: Kimodo) -> None:
        """Take the weights of a denoiser, in fp16 where the step computes so."""
        super().__init__()
        self.root = _FusedStage(denoiser.root_model, denoiser.config.num_features)
        self.body = _FusedStage(denoiser.body_model, denoiser.config.num_features)
        unnormalise = denoiser.global_root
        self.register_buffer("root_scale", unnormalise.scale.clone())
        self.register_buffer("root_mean", unnormalise.mean.clone())
        # Rates in their units, and their normalisation, in one product and sum.
        local = denoiser.local_root
        units = torch.tensor([denoiser.config.fps] * 3 + [1.0])
        self.register_buffer("local_scale", units / local.scale)
        self.register_buffer("local_shift", -local.mean / local.scale)

    def forward(
        self,
        x: Tensor,
        x0_previous: Tensor,
        counter: Tensor,
        keep: Tensor,
        held: Tensor,
        root_conditions: Tensor,
        body_conditions: Tensor,
        root_frames: Tensor,
        body_frames: Tensor,
        root_times: Tensor,
        body_times: Tensor,
        coefficients: Tensor,
        weights: Tensor,
        first_frame: Tensor,
        second_frame: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return x for the next step, the guided prediction x0, both (B, T, D), and counter + 1.

        counter is (1,), how many steps are done; what else there is is as ``Prepare`` gives it.
        """
        split = keep.shape[:2]
        given = (x * keep + held).flatten(0, 1)
        root = self.root(given, root_conditions, root_frames, root_times, counter)
        local = self._local_root(root, first_frame, second_frame)
        body_input = torch.cat((local, given[..., ROOT_WIDTH:]), dim=-1)
        body = self.body(body_input, body_conditions, body_frames, body_times, counter)
        predicted = torch.unflatten(torch.cat((root, body), dim=-1), 0, split)
        # Sums, not matrix products: those may be computed in TF32.
        x0 = (predicted * weights).sum(0)
        row = coefficients.index_select(0, counter).squeeze(0)
        x_next = (torch.stack((x, x0, x0_previous)) * row).sum(0)
        return x_next, x0, counter + 1

    def _local_root(self, root: Tensor, first: Tensor, second: Tensor) -> Tensor:
        whole = root * self.root_scale + self.root_mean
        rows = whole.flatten(0, 1)
        here, there = (
            rows.index_select(0, frames.flatten()).view(whole.shape) for frames in (first, second)
        )
        turn = turn_angle(here[..., 3:], there[..., 3:]).unsqueeze(-1)
        shift = there - here
        rates = torch.cat((turn, shift[..., :1], shift[..., 2:3], whole[..., 1:2]), dim=-1)
        local: Tensor = rates * self.local_scale + self.local_shift
        return local


class _FusedStage(nn.Module):
    """One transformer over [timestep, conditions, frames] in fp16."""

    input: Tensor
    output: Tensor
    output_bias: Tensor

    def __init__(self, stage: Stage, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        of_motion = stage.input_linear.weight[:, :-num_features]
        self.register_buffer("input", _half(of_motion.T))
        layers = stage.seqTransEncoder.layers
        self.layers = nn.ModuleList(_FusedLayer(layer) for layer in layers)  # type: ignore[union-attr]
        self.register_buffer("output", stage.output_linear.weight.detach().T.contiguous())
        self.register_buffer("output_bias", stage.output_linear.bias.detach().clone())

    def forward(
        self, motion: Tensor, conditions: Tensor, frames: Tensor, times: Tensor, counter: Tensor
    ) -> Tensor:
        """Predict (R, T, out_width) from motion (R, T, in_width)."""
        time = times.index_select(0, counter).squeeze(0).flatten(0, 1)
        of_frames = motion.half() @ self.input + frames.flatten(0, 1)
        tokens = torch.cat((time, conditions.flatten(0, 1), of_frames), dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        num_conditions = time.shape[1] + conditions.shape[2]
        predicted: Tensor = tokens[:, num_conditions:].float() @ self.output + self.output_bias
        return predicted


class _FusedLayer(nn.Module):
    """A post-norm encoder layer of onnxruntime's fused operators."""

    packed: Tensor
    packed_bias: Tensor
    merge: Tensor
    merge_bias: Tensor
    scale1: Tensor
    shift1: Tensor
    widen: Tensor
    widen_bias: Tensor
    narrow: Tensor
    narrow_bias: Tensor
    scale2: Tensor
    shift2: Tensor

    def __init__(self, layer: EncoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        self.num_heads = attention.num_heads
        self.is_gelu = layer.activation is nn.functional.gelu
        for name, weight in (
            ("packed", attention.in_proj_weight.T),
            ("packed_bias", attention.in_proj_bias),
            ("merge", attention.out_proj.weight.T),
            ("merge_bias", attention.out_proj.bias),
            ("scale1", layer.norm1.weight),
            ("shift1", layer.norm1.bias),
            ("widen", layer.linear1.weight.T),
            ("widen_bias", layer.linear1.bias),
            ("narrow", layer.linear2.weight.T),
            ("narrow_bias", layer.linear2.bias),
            ("scale2", layer.norm2.weight),
            ("shift2", layer.norm2.bias),
        ):
            self.register_buffer(name, _half(weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, S, width) to the same shape."""
        attended = _fused(
            "Attention", x.shape, (x, self.packed, self.packed_bias), num_heads=self.num_heads
        )
        x = self._added(x, attended @ self.merge, self.scale1, self.shift1, self.merge_bias)
        wide = x @ self.widen
        if self.is_gelu:
            wide = _fused("BiasGelu", wide.shape, (wide, self.widen_bias))
        else:
            wide = nn.functional.relu(wide + self.widen_bias)
        return self._added(x, wide @ self.narrow, self.scale2, self.shift2, self.narrow_bias)

    def _added(self, x: Tensor, y: Tensor, scale: Any, shift: Any, bias: Any) -> Tensor:
        operands = (x, y, scale, shift, bias)
        return _fused("SkipLayerNormalization", x.shape, operands, epsilon=_NORM_EPSILON)


def _fused(
    operator: str, shape: torch.Size, operands: tuple[Any, ...], **attributes: int | float
) -> Tensor:
    settings: dict[str, Any] = {**attributes}
    return torch.onnx.ops.symbolic(
        f"{_CONTRIB}::{operator}",
        operands,
        settings,
        dtype=torch.float16,
        shape=shape,
        version=1,
    )


def _half(weight: Tensor) -> Tensor:
    return weight.detach().half().contiguous()


def add_cuda_form(
    writer: BundleWriter,
    denoiser: Kimodo,
    step: Graph,
    loop: LoopSpec,
    real_inputs: Mapping[str, Tensor],
) -> PreparedForm:
    """Write the graphs of the CUDA form, each compared with torch; return how they are run.

    step is the portable step and loop its loop; real_inputs are those of a whole run of the loop,
    which is taken for motions of one length and, masked, of several. What half precision costs is
    stated, as of other precisions.
    """
    config = denoiser.config
    outer = {loop.scanned.get(t.name, t.name): t for t in step.spec.inputs}
    fixed = tuple(
        TensorSpec(name, (loop.steps_axis, *t.axes), t.dtype) if name != t.name else t
        for name, t in outer.items()
        if name not in loop.carried
    )
    axes = {**step.spec.axes, loop.steps_axis: loop.steps}
    prepared = _prepared_specs(config, loop.steps_axis)
    lengths = TensorSpec(LENGTHS, ("branches", "batch"), "int32")
    prepare = GraphSpec(
        PREPARE, fixed, (*prepared, lengths), PREPARED_ATOL, PREPARED_RTOL, axes=axes
    )
    state = tuple(t for t in step.spec.inputs if t.name in loop.carried)
    counter = TensorSpec(COUNTER, (1,), "int64")
    fused = GraphSpec(
        STEP,
        (*state, counter, *prepared),
        (*step.spec.outputs, TensorSpec(f"{COUNTER}_next", (1,), "int64")),
        step.spec.atol,
        step.spec.rtol,
        axes=axes,
    )
    masked = replace(fused, name=MASKED_STEP, inputs=(*fused.inputs, lengths))

    whole = {**real_inputs, "frame_mask": torch.ones_like(real_inputs["frame_mask"])}
    smaller = _smaller(whole, step.spec, loop)
    module = Prepare(denoiser)
    runs = tuple(_only(fixed, run) for run in (whole, real_inputs, smaller))
    writer.add_graph(Graph(prepare, module, runs))
    checks: list[tuple[_Reference, tuple[dict[str, Tensor], ...]]] = []
    for spec, own in ((fused, (smaller, whole)), (masked, (real_inputs,))):
        reference, inputs = _Reference(step, loop), list[dict[str, Tensor]]()
        for run in own:
            with torch.no_grad():
                made = module(**_only(fixed, run))
            given = dict(zip((t.name for t in prepare.outputs), made, strict=True))
            inputs += [
                {**_only(spec.inputs, {**given, **moment}), COUNTER: torch.tensor([i])}
                for i, moment in reference.moments(run)
            ]
        checks.append((reference, tuple(inputs[::-1])))  # the largest traces the graph
    half = DENOISER_RECIPES["fp16"]
    (exact, moments), several = checks
    traced = Graph(fused, FusedStep(denoiser), moments)
    writer.add_traced(traced, exact, half, like=step.spec.name)
    writer.add_derived(STEP, masked, _with_lengths, *several, half)
    counted = {**loop.carried, COUNTER: f"{COUNTER}_next"}
    return PreparedForm(PREPARE, STEP, MASKED_STEP, counted, COUNTER, LENGTHS)


def _prepared_specs(config: KimodoConfig, steps_axis: str) -> tuple[TensorSpec, ...]:
    rows, width = ("branches", "batch"), config.latent_dim
    motion = (*rows, "frames", config.num_features)
    conditions = (*rows, config.num_text_tokens + config.input_first_heading_angle, width)
    frames, times = (*rows, "frames", width), (steps_axis, *rows, _TIME, width)
    tokens = itertools.chain.from_iterable(
        [TensorSpec(f"{stage}_{kind}", axes, "float16") for stage in _STAGES]
        for kind, axes in (("conditions", conditions), ("frames", frames), ("times", times))
    )
    return (
        TensorSpec("keep", motion),
        TensorSpec("held", motion),
        *tokens,
        TensorSpec("coefficients", (steps_axis, 3, 1, 1, 1)),
        TensorSpec("weights", ("branches", 1, 1, 1)),
        TensorSpec("first_frame", (*rows, "frames"), "int64"),
        TensorSpec("second_frame", (*rows, "frames"), "int64"),
    )


class _Reference:
    """The portable step in torch: what the fused one is compared with, at a run's ends."""

    def __init__(self, step: Graph, loop: LoopSpec) -> None:
        self._step, self._loop = step, loop
        self._results: dict[tuple[int, ...], tuple[Tensor, ...]] = {}
        """By the shape of a motion and how many steps were done."""

    def moments(self, run: Mapping[str, Tensor]) -> list[tuple[int, dict[str, Tensor]]]:
        """Run the loop; return how many steps were done before the first and last, and the state.

        Runs are told apart by the shape of their motions.
        """
        loop, seen = self._loop, []
        names = [tensor.name for tensor in self._step.spec.outputs]
        outer = set(loop.scanned.values())
        inputs = {name: tensor for name, tensor in run.items() if name not in outer}
        count = run[next(iter(outer))].shape[0]
        for i in range(count):
            inputs |= {inner: run[name][i] for inner, name in loop.scanned.items()}
            state = {name: inputs[name] for name in loop.carried}
            with torch.no_grad():
                results = self._step.module(**_only(self._step.spec.inputs, inputs))
            if i in (0, count - 1):
                seen.append((i, state))
                self._results[(*inputs["x"].shape, i)] = (*results, torch.tensor([i + 1]))
            by_name = dict(zip(names, results, strict=True))
            inputs |= {name: by_name[result] for name, result in loop.carried.items()}
        return seen

    def __call__(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        return self._results[(*inputs["x"].shape, int(inputs[COUNTER]))]


def _smaller(run: Mapping[str, Tensor], spec: GraphSpec, loop: LoopSpec) -> dict[str, Tensor]:
    """Cut a run to other sizes of every axis, so that none can have been fixed in tracing."""
    sizes = {"batch": 1, "frames": 7, "branches": 2}
    cut = dict(run)
    for tensor in spec.inputs:
        if tensor.name not in loop.scanned:
            part = tuple(slice(sizes.get(str(axis))) for axis in tensor.axes)
            cut[tensor.name] = run[tensor.name][part]
    for name in loop.scanned.values():
        cut[name] = run[name][1:]
    return cut


def _only(specs: tuple[TensorSpec, ...], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {spec.name: tensors[spec.name] for spec in specs if spec.name in tensors}


def _with_lengths(model: ir.Model) -> None:
    """Give every attention the lengths of its keys."""
    shape = ir.Shape(["branches", "batch"])
    lengths = ir.Value(name=LENGTHS, type=ir.TensorType(ir.DataType.INT32), shape=shape)
    flat = ir.Node("", "Reshape", [lengths, _constant(model.graph, "lengths.shape", [-1])])
    flat.outputs[0].name = "lengths.flat"
    model.graph.insert_before(model.graph[0], flat)
    model.graph.inputs.append(lengths)
    for node in model.graph:
        if (node.domain, node.op_type) == (_CONTRIB, "Attention"):
            node.resize_inputs(4)
            node.replace_input_with(3, flat.outputs[0])


def _constant(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    tensor = ir.tensor(numbers, dtype=ir.DataType.INT64, name=name)
    value = ir.Value(
        name=name,
        type=ir.TensorType(ir.DataType.INT64),
        shape=ir.Shape([len(numbers)]),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value
