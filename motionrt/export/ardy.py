"""ARDY's bundle: the guided step, the loop over it, the tokenizer, and what is embedded apart."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from motionrt.export.branches import Branches
from motionrt.export.bundle import BundleWriter, count_parameters
from motionrt.export.columns import in_columns
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.guided_step import (
    BRANCHES,
    BRANCHES_AXIS,
    CARRIED,
    LOOP_ATOL,
    LOOP_RTOL,
    MAX_POSITIONS,
    STEP_ATOL,
    STEP_RTOL,
    separated_branches,
    solver_update,
)
from motionrt.export.quantise.deviation import measure_motions
from motionrt.export.quantise.recipes import FP32, Recipe, recipe
from motionrt.export.readers.ardy import ArdyCheckpoint
from motionrt.export.running import cpu_session
from motionrt.export.sampling import LoopSpec, run_in_torch
from motionrt.export.text_conditioning import TextConditioning, add_text_conditioning
from motionrt.models.ardy import (
    LOCAL_ROOT_WIDTH,
    ConstrainedProjection,
    Denoiser,
    Places,
    Tokenizer,
    TransformerConfig,
)
from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.ardy.network import ArdySizes, GuidanceType, Network
from motionrt.runtime.ardy.quantizer import Quantizer
from motionrt.runtime.ardy.rollout import roll_out
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import AxisInfo, Limits
from motionrt.runtime.sampling.guidance import Guidance
from motionrt.runtime.sampling.schedule import cosine_schedule

TOKENIZER_ATOL = 2e-4
SENSITIVE = ((r"hybrid|future|output_linear", FP32),)
"""Maps from and to tokens, which in few bits are most of the error and hardly of the time."""
TOKENIZER_SENSITIVE = ((r"(input|output)_proj|cond_blocks", FP32),)
"""The tokenizer's, likewise."""
WINDOW_SECONDS = 10.0
"""What the released models see at once, history and goals included."""
MAX_SECONDS = 600.0
"""A longer clip is refused: it is held in memory as a whole. A stream has no end."""
TOKENIZER_GRAPHS = ("encoder", "decoder")
_CHECK_TOKENS = (2, 3, 2)
"""Of history, generated and beyond, in the checks."""
_MEASURED_STEPS, _MEASURED_WINDOWS = 10, 3

LOOP = LoopSpec(
    name="sampler",
    carried=CARRIED,
    scanned={"time_tokens": "schedule_tokens", "coefficients": "schedule"},
    atol=LOOP_ATOL,
    rtol=LOOP_RTOL,
    steps=AxisInfo(typical=10, largest=1000),
    padded_axis="tokens",
)


class GuidedStep(nn.Module):
    """One denoising step, whole: guidance branches, their combination, the solver's update."""

    def __init__(self, denoiser: Denoiser) -> None:
        """Wrap a denoiser."""
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self,
        x: Tensor,
        x0_previous: Tensor,
        time_tokens: Tensor,
        coefficients: Tensor,
        text_tokens: Tensor,
        text_mask: Tensor,
        history_mask: Tensor,
        generation_mask: Tensor,
        future_mask: Tensor,
        first_heading_rad: Tensor,
        root_mask: Tensor,
        observed_root: Tensor,
        constraint_tokens: Tensor,
        future_tokens: Tensor,
        branch_text: Tensor,
        branch_constraints: Tensor,
        branch_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return x for the next step and the guided prediction x0, both (B, N, token_width).

        The masks are (B, N) bool; the three of branches are (G,), time_tokens is (2 * width,) and
        coefficients (3,). The remaining inputs are the denoiser's. Only generated tokens change.
        """
        branches = Branches(branch_text, branch_constraints, branch_weights)
        places = Places(
            branches.repeat(history_mask),
            branches.repeat(generation_mask),
            branches.with_constraints(future_mask.float()) > 0,
        )
        predicted = self.denoiser(
            branches.repeat(x),
            places,
            branches.with_text(text_tokens),
            branches.with_text(text_mask.float()) > 0,
            time_tokens.expand(branches.count * x.shape[0], -1),
            branches.repeat(first_heading_rad),
            branches.with_constraints(root_mask),
            branches.repeat(observed_root),
            branches.with_constraints(constraint_tokens),
            branches.repeat(future_tokens),
        )
        x0 = branches.guided(predicted)
        stepped = solver_update(coefficients, x, x0, x0_previous)
        return torch.where(generation_mask.unsqueeze(-1), stepped, x), x0


class TextEmbedding(nn.Module):
    """The denoiser's map of text, for both stages."""

    def __init__(self, denoiser: Denoiser) -> None:
        """Copy the maps of both stages into one."""
        super().__init__()
        stages = (denoiser.root_model, denoiser.body_model)
        width = denoiser.config.denoiser.latent_dim
        self.embed = nn.Linear(denoiser.config.text_width, 2 * width, bias=False)
        with torch.no_grad():
            self.embed.weight.copy_(torch.cat([stage.embed_text.weight for stage in stages]))

    def forward(self, text_features: Tensor) -> Tensor:
        """Map (B, L, text_width) to (B, L, 2 * width), without the bias."""
        embedded: Tensor = self.embed(text_features)
        return embedded


class ConstraintEmbedding(nn.Module):
    """The denoiser's maps of what is known of frames."""

    def __init__(self, denoiser: Denoiser) -> None:
        """Wrap a denoiser."""
        super().__init__()
        self.denoiser = denoiser

    def forward(self, motion_mask: Tensor, observed_motion: Tensor) -> tuple[Tensor, Tensor]:
        """Embed as ``Denoiser.embed_constraints``."""
        return self.denoiser.embed_constraints(motion_mask, observed_motion)


def export_ardy(
    writer: BundleWriter,
    checkpoint: ArdyCheckpoint,
    text: TextConditioning | None = None,
    licence: str = "",
    precision: str = "fp32",
) -> None:
    """Write a checkpoint's bundle, every graph compared with torch.

    Args:
        writer: of the bundle.
        checkpoint: what is exported.
        text: None makes a bundle that takes text embeddings. An encoder's are those that the
            denoiser takes, or what the denoiser makes of them (both stages' rows, without their
            biases).
        licence: of the weights.
        precision: of the denoiser, a key of ``recipes.DENOISER_RECIPES``.

    Raises:
        ExportError: the encoder's or the book's width is none that the checkpoint takes, or the
            text encoder deviates too far.
    """
    config = checkpoint.config
    text = text or TextConditioning()
    text_width = text.width(checkpoint.name, config.text_width, 2 * config.denoiser.latent_dim)
    skeleton = load_skeleton(checkpoint.skeleton)
    chosen = recipe(precision, language_model=False)
    wanted = replace(chosen, exceptions=SENSITIVE)
    of_tokenizer = _tokenizer_recipe(chosen, config.tokenizer)

    denoiser = _with_split_projections(checkpoint.denoiser)
    step = GuidedStep(in_columns(denoiser) if precision == "fp32" else denoiser)
    checks, whole_run = _real_inputs(step, checkpoint)
    graph = Graph(_step_spec(checkpoint), step, checks)
    writer.add_graph(graph, LOOP, (whole_run,), recipe=wanted)
    if text_width == config.text_width:
        writer.add_graph(_text_graph(checkpoint))
    if config.takes_constraints:
        writer.add_graph(_constraint_graph(checkpoint, denoiser))
    for tokenizer_graph in _tokenizer_graphs(checkpoint, columns=of_tokenizer.name == "fp32"):
        writer.add_graph(tokenizer_graph, recipe=of_tokenizer)

    text_section = add_text_conditioning(writer, text, text_width, config.num_text_tokens)
    tables = _tables(checkpoint)
    writer.add_arrays("statistics.safetensors", tables)
    sizes = _sizes(checkpoint, text_width)
    for names in (("step", LOOP.name), TOKENIZER_GRAPHS):
        if any(writer.fp32_path(name).exists() for name in names):
            figures = _motion_deviation(writer, checkpoint, sizes, tables, names)
            for name in names:
                writer.note_deviation(name, figures)
    if precision != "fp32":
        writer.judge("denoiser", ["step"], wanted, "--precision")
    writer.finish(
        family="ardy",
        name=checkpoint.name,
        fps=config.fps,
        skeleton=skeleton,
        sampler=sizes.to_dict(),
        limits=Limits(max_frames=int(MAX_SECONDS * config.fps), advised_seconds=MAX_SECONDS),
        text=text_section,
        licence=licence,
        sources=checkpoint.files,
        num_parameters=count_parameters(checkpoint.denoiser, checkpoint.tokenizer),
    )


def _with_split_projections(denoiser: Denoiser) -> Denoiser:
    """Return the denoiser with maps in the parts that are used apart; other weights are shared."""
    split = copy.copy(denoiser)
    split._modules = {
        name: module.split() if isinstance(module, ConstrainedProjection) else module
        for name, module in denoiser._modules.items()
    }
    return split


def _sizes(checkpoint: ArdyCheckpoint, text_width: int) -> ArdySizes:
    config = checkpoint.config
    return ArdySizes(
        frames_per_token=config.frames_per_token,
        horizon=checkpoint.horizon,
        latent_width=config.latent_width,
        num_base_steps=checkpoint.num_base_steps,
        num_steps=checkpoint.num_base_steps,
        guidance_type=cast(GuidanceType, checkpoint.guidance_type),
        num_text_tokens=config.num_text_tokens,
        text_width=text_width,
        hidden_width=config.denoiser.latent_dim,
        num_heads=config.denoiser.num_heads,
        takes_constraints=config.takes_constraints,
        quantises=checkpoint.quantises,
        normalises=checkpoint.normalises,
        window_seconds=WINDOW_SECONDS,
    )


def _tables(checkpoint: ArdyCheckpoint) -> dict[str, NDArray[Any]]:
    """Return what the host computes with: statistics, levels, the embedded timesteps."""
    with torch.no_grad():
        steps = torch.arange(checkpoint.num_base_steps)
        time_tokens = checkpoint.denoiser.embed_timesteps(steps)
    local = checkpoint.root_stats.local_root
    tensors = {
        "mean": checkpoint.feature_stats[0],
        "std": checkpoint.feature_stats[1],
        "local_root_mean": local[0],
        "local_root_std": local[1],
        "latent_mean": checkpoint.latent_stats[0],
        "latent_std": checkpoint.latent_stats[1],
        "time_tokens": time_tokens,
    }
    arrays: dict[str, NDArray[Any]] = {name: t.numpy() for name, t in tensors.items()}
    arrays["levels"] = np.array(checkpoint.levels, np.int64)
    return arrays


def _step_spec(checkpoint: ArdyCheckpoint) -> GraphSpec:
    config = checkpoint.config
    width = config.denoiser.latent_dim
    tokens = ("batch", "tokens")
    motion = (*tokens, config.token_width)
    root = (*tokens, config.token_root_width)
    text = ("batch", config.num_text_tokens)
    most = MAX_POSITIONS - config.num_text_tokens - 2
    return GraphSpec(
        name="step",
        inputs=(
            TensorSpec("x", motion),
            TensorSpec("x0_previous", motion),
            TensorSpec("time_tokens", (2 * width,)),
            TensorSpec("coefficients", (3,)),
            TensorSpec("text_tokens", (*text, 2 * width)),
            TensorSpec("text_mask", text, "bool"),
            TensorSpec("history_mask", tokens, "bool"),
            TensorSpec("generation_mask", tokens, "bool"),
            TensorSpec("future_mask", tokens, "bool"),
            TensorSpec("first_heading_rad", ("batch",)),
            TensorSpec("root_mask", root),
            TensorSpec("observed_root", root),
            TensorSpec("constraint_tokens", (*tokens, 2 * width)),
            TensorSpec("future_tokens", (*tokens, width)),
            *BRANCHES,
        ),
        outputs=(TensorSpec("x_next", motion), TensorSpec("x0", motion)),
        atol=STEP_ATOL,
        rtol=STEP_RTOL,
        axes={
            "tokens": AxisInfo(
                typical=checkpoint.horizon // config.frames_per_token + 1, largest=most
            ),
            "branches": BRANCHES_AXIS,
        },
    )


def _real_inputs(
    step: GuidedStep, checkpoint: ArdyCheckpoint
) -> tuple[tuple[Mapping[str, Tensor], ...], dict[str, Tensor]]:
    """Sample a window in torch; return inputs of its first and last step, and of the whole loop.

    What a step meets in use: noise at the start, nearly clean tokens at the end, one sample with
    less history than the other, a goal beyond the window.
    """
    config = checkpoint.config
    history, generated, beyond = _CHECK_TOKENS
    count = sum(_CHECK_TOKENS)
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    place = torch.arange(count)
    starts = torch.tensor([[history], [history - 1]])
    is_history = place < starts
    is_generated = (place >= starts) & (place < starts + generated)
    is_future = (place >= starts + generated) & (place < count - beyond + 1)
    known = (torch.rand(2, count, config.token_root_width, generator=generator) < 0.2).float()
    known = known * ~is_history.unsqueeze(-1)
    width = config.denoiser.latent_dim
    inputs = {
        "x": draw(2, count, config.token_width) * ~(place >= starts + generated).unsqueeze(-1),
        "x0_previous": torch.zeros(2, count, config.token_width),
        "text_tokens": draw(2, config.num_text_tokens, 2 * width),
        "text_mask": torch.ones(2, config.num_text_tokens, dtype=torch.bool),
        "history_mask": is_history,
        "generation_mask": is_generated,
        "future_mask": is_future,
        "first_heading_rad": torch.tensor([0.0, 1.0]),
        "root_mask": known,
        "observed_root": draw(2, count, config.token_root_width) * known,
        "constraint_tokens": draw(2, count, 2 * width),
        "future_tokens": draw(2, count, width),
        **separated_branches(),
    }
    schedule = cosine_schedule(checkpoint.num_base_steps, min(4, checkpoint.num_base_steps))
    with torch.no_grad():
        rows = checkpoint.denoiser.embed_timesteps(torch.from_numpy(schedule.timesteps))
        whole_run = {
            **inputs,
            "schedule_tokens": rows,
            "schedule": torch.from_numpy(schedule.coefficients),
        }
        _, first, last = run_in_torch(step, list(CARRIED.values()), LOOP, whole_run)
    return (first, last), whole_run


def _text_graph(checkpoint: ArdyCheckpoint) -> Graph:
    config = checkpoint.config
    # A checkpoint with room for one text token only cannot have a dynamic count of them.
    tokens: str | int = "tokens" if config.num_text_tokens > 1 else 1
    spec = GraphSpec(
        "embed_text",
        (TensorSpec("text_features", ("batch", tokens, config.text_width)),),
        (TensorSpec("text_tokens", ("batch", tokens, 2 * config.denoiser.latent_dim)),),
        atol=STEP_ATOL,
        rtol=STEP_RTOL,
        axes={"tokens": AxisInfo(largest=config.num_text_tokens)},
    )
    checks = (spec.random_inputs({"batch": 2, "tokens": 2}, 0),)
    return Graph(spec, TextEmbedding(checkpoint.denoiser), checks)


def _constraint_graph(checkpoint: ArdyCheckpoint, denoiser: Denoiser) -> Graph:
    config = checkpoint.config
    width = config.denoiser.latent_dim
    frames = ("batch", "tokens", config.frames_per_token * config.num_features)
    spec = GraphSpec(
        "embed_constraints",
        (TensorSpec("motion_mask", frames), TensorSpec("observed_motion", frames)),
        (
            TensorSpec("constraint_tokens", ("batch", "tokens", 2 * width)),
            TensorSpec("future_tokens", ("batch", "tokens", width)),
        ),
        atol=STEP_ATOL,
        rtol=STEP_RTOL,
    )
    inputs = spec.random_inputs({"batch": 2, "tokens": 3}, 0)
    inputs["motion_mask"] = (inputs["motion_mask"] > 1).float()
    inputs["observed_motion"] *= inputs["motion_mask"]
    return Graph(spec, ConstraintEmbedding(denoiser), (inputs,))


def _tokenizer_recipe(chosen: Recipe, sizes: TransformerConfig) -> Recipe:
    """Return the tokenizer's precision beside a denoiser's: int8 with int8, float32 otherwise.

    In int8 it takes a quarter of the memory; what that moves is measured as the denoiser's is.
    """
    is_small = sizes.latent_dim * sizes.ff_size < chosen.min_elements
    if chosen.weights.kind != "dynamic-int8" or is_small:
        return recipe("fp32", language_model=False)
    return replace(chosen, exceptions=TOKENIZER_SENSITIVE)


def _tokenizer_graphs(checkpoint: ArdyCheckpoint, columns: bool) -> tuple[Graph, Graph]:
    """Return the graphs of the tokenizer; codes are rounded on the host, not in them."""
    config = checkpoint.config
    tokenizer: Tokenizer = checkpoint.tokenizer
    if columns:
        tokenizer = in_columns(tokenizer)
    frames = config.frames_per_token
    tokens = ("batch", "tokens")
    mask = TensorSpec("token_mask", tokens, "bool")
    latent = (*tokens, config.latent_width)
    axes = {"tokens": AxisInfo(typical=checkpoint.horizon // frames, largest=MAX_POSITIONS)}
    encoder = GraphSpec(
        "encoder",
        (TensorSpec("bodies", (*tokens, frames * config.body_width)), mask),
        (TensorSpec("latents", latent),),
        atol=TOKENIZER_ATOL,
        rtol=TOKENIZER_ATOL,
        axes=axes,
    )
    decoder = GraphSpec(
        "decoder",
        (
            TensorSpec("codes", latent),
            TensorSpec("local_root", (*tokens, frames * LOCAL_ROOT_WIDTH)),
            mask,
        ),
        (TensorSpec("frames", (*tokens, frames * (LOCAL_ROOT_WIDTH + config.body_width))),),
        atol=TOKENIZER_ATOL,
        rtol=TOKENIZER_ATOL,
        axes=axes,
    )
    graphs = []
    for spec, module in ((encoder, tokenizer.encoder), (decoder, tokenizer.decoder)):
        inputs = spec.random_inputs({"batch": 2, "tokens": 5}, 1)
        inputs["token_mask"][1, 3:] = False
        graphs.append(Graph(spec, module, (inputs,)))
    return graphs[0], graphs[1]


def _motion_deviation(
    writer: BundleWriter,
    checkpoint: ArdyCheckpoint,
    sizes: ArdySizes,
    tables: Mapping[str, NDArray[Any]],
    rounded: Collection[str],
) -> dict[str, float]:
    """Make clips of several windows in fp32 and with some graphs as the bundle has them.

    rounded names those; joints are compared. Codes are rounded, so that a small difference may
    change a body: what counts is where joints are over a whole rollout. One clip follows a text,
    one is free; both start from one noise.
    """
    writer.progress("measuring motions")
    features, quantizer = (
        ArdyFeatures.from_tables(load_skeleton(checkpoint.skeleton), checkpoint.config.fps, tables),
        Quantizer.from_tables(tables, sizes.quantises, sizes.normalises),
    )
    generator = torch.Generator().manual_seed(3)
    text = torch.randn(2, 1, 2 * sizes.hidden_width, generator=generator).numpy()
    text[1] = 0
    noise = torch.randn(
        _MEASURED_WINDOWS,
        2,
        sizes.horizon // sizes.frames_per_token,
        checkpoint.config.token_width,
        generator=generator,
    ).numpy()
    results = []
    for exact in (False, True):
        sessions: dict[str, Any] = {}

        def run(
            name: str,
            inputs: Mapping[str, ArrayLike],
            exact: bool = exact,
            sessions: dict[str, Any] = sessions,
        ) -> dict[str, NDArray[Any]]:
            if name not in sessions:
                path = writer.fp32_path(name)
                if not path.exists() or (name in rounded and not exact):
                    path = writer.folder / f"{name}.onnx"
                sessions[name] = cpu_session(path)
            session = sessions[name]
            names = [value.name for value in session.get_outputs()]
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))

        network = Network(sizes, features, quantizer, tables["time_tokens"], run)
        made = roll_out(
            network,
            network.text(text, np.array([[True], [False]])),
            list(noise),
            num_frames=_MEASURED_WINDOWS * sizes.horizon,
            guidance=Guidance("separated", (2.0, 0.0)),
            num_steps=min(_MEASURED_STEPS, sizes.num_base_steps),
            crop_history=sizes.frames_per_token,
        )
        results.append((made, features.decode(features.unnormalize(made))["posed_joints"]))
    return measure_motions(" and ".join(rounded), results[0], results[1])
