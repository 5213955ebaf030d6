"""Kimodo's bundle: the guided step, the loop compiled over it, the decoder, the text encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motionrt.export.branches import Branches
from motionrt.export.bundle import BundleWriter, count_parameters
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
from motionrt.export.kimodo_cuda import add_cuda_form, has_cuda_form
from motionrt.export.quantise.deviation import measure_motions
from motionrt.export.quantise.recipes import FP32, recipe
from motionrt.export.readers.kimodo import KimodoCheckpoint
from motionrt.export.running import run_graph
from motionrt.export.sampling import LoopSpec, run_in_torch
from motionrt.export.text_conditioning import TextConditioning, add_text_conditioning
from motionrt.export.text_encoder import GRAPH_NAME as TEXT_GRAPH
from motionrt.export.text_encoder_graph import AddedTextEncoder
from motionrt.models.kimodo import ROOT_WIDTH, Kimodo, with_held_root
from motionrt.models.motion_decoder import Expansion, MotionDecoder
from motionrt.runtime.body.skeleton import (
    Skeleton,
    indices_in_expanded,
    load_skeleton,
    relaxed_hands_local_rot_mats,
)
from motionrt.runtime.bundle.manifest import AxisInfo, Limits
from motionrt.runtime.errors import ExportError
from motionrt.runtime.kimodo.features import statistics_from_parts
from motionrt.runtime.sampling.schedule import cosine_schedule

DECODER_ATOL = 1e-4
"""Metres and rotation entries; random features give short 6D vectors, which magnify rounding."""
SENSITIVE = ((r"\.(in|out)put_linear\.", FP32),)
"""Maps from and to features, which in few bits are most of the error and hardly of the time."""
_CHECK_FRAMES = 12
_MEASURED_FRAMES, _MEASURED_STEPS, _MEASURED_TEXTS = 60, 20, 4

LOOP = LoopSpec(
    name="sampler",
    carried=CARRIED,
    scanned={"timestep": "timesteps", "coefficients": "schedule"},
    atol=LOOP_ATOL,
    rtol=LOOP_RTOL,
    padded_axis="frames",
)


class GuidedStep(nn.Module):
    """One denoising step, whole: guidance branches, their combination, the solver's update."""

    def __init__(self, denoiser: Kimodo) -> None:
        """Wrap a denoiser."""
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self,
        x: Tensor,
        x0_previous: Tensor,
        timestep: Tensor,
        coefficients: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        frame_mask: Tensor,
        first_heading_rad: Tensor,
        motion_mask: Tensor,
        observed_motion: Tensor,
        branch_text: Tensor,
        branch_constraints: Tensor,
        branch_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return x for the next step and the guided prediction x0, both (B, T, D).

        branch_text, branch_constraints and branch_weights are (G,); the last weight has no effect.
        The remaining inputs are the denoiser's, timestep is (1,) and coefficients (3,).
        """
        branches = Branches(branch_text, branch_constraints, branch_weights)
        predicted = self.denoiser(
            branches.repeat(x),
            branches.repeat(frame_mask),
            branches.with_text(text_features),
            branches.with_text(text_mask.float()) > 0,
            timestep.expand(branches.count * x.shape[0]),
            branches.repeat(first_heading_rad),
            branches.with_constraints(motion_mask),
            branches.repeat(observed_motion),
        )
        x0 = branches.guided(predicted)
        if self.denoiser.config.keep_held_root:
            # Guidance leads away again, the further the less words and waypoints agree.
            last = torch.cat((branch_weights[:-1], torch.ones_like(branch_weights[-1:])))
            held = motion_mask[..., :ROOT_WIDTH] * (last * branch_constraints != 0).any()
            root = with_held_root(x0[..., :ROOT_WIDTH], observed_motion[..., :ROOT_WIDTH], held)
            x0 = torch.cat((root, x0[..., ROOT_WIDTH:]), dim=-1)
        return solver_update(coefficients, x, x0, x0_previous), x0


def export_kimodo(
    writer: BundleWriter,
    checkpoint: KimodoCheckpoint,
    text: TextConditioning | None = None,
    licence: str = "",
    precision: str = "fp32",
    *,
    cuda: bool | None = None,
) -> None:
    """Write a checkpoint's bundle, every graph compared with torch.

    Args:
        writer: of the bundle.
        checkpoint: what is exported.
        text: None makes a bundle that takes text embeddings.
        licence: of the weights.
        precision: of the denoiser, a key of ``recipes.DENOISER_RECIPES``.
        cuda: whether to add the form that CUDA runs fastest (``kimodo_cuda``); None does so in
            fp16, where the network has one.

    Raises:
        ExportError: the encoder's or the book's width is not the checkpoint's, the text encoder
            deviates too far, or the network has no form for CUDA.
    """
    config = checkpoint.model.config
    if cuda and not has_cuda_form(config):
        raise ExportError(
            f"{checkpoint.name}: no form for CUDA of a network with norm_first, use_text_mask or "
            "keep_held_root; export it without --cuda"
        )
    text = text or TextConditioning()
    text_width = text.width(checkpoint.name, config.text_width)
    skeleton = load_skeleton(checkpoint.skeleton)
    output_skeleton = load_skeleton(skeleton.expands_to) if skeleton.expands_to else skeleton

    step = GuidedStep(checkpoint.model)
    spec = _step_spec(checkpoint)
    random_inputs = spec.random_inputs({"batch": 2, "frames": 9, "branches": 3, "tokens": 2}, 0)
    random_inputs["text_features"] *= 0.1
    real_inputs, whole_run, features = _real_inputs(step, checkpoint)
    wanted = recipe(precision, language_model=False)
    wanted = replace(wanted, exceptions=SENSITIVE, min_elements=1 << 10)
    graph = Graph(spec, step, (random_inputs, *real_inputs))
    writer.add_graph(graph, LOOP, (whole_run,), recipe=wanted)
    if cuda or (cuda is None and precision == "fp16" and has_cuda_form(config)):
        form = add_cuda_form(writer, checkpoint.model, graph, LOOP, whole_run)
        writer.note_form(LOOP.name, "cuda", form)

    decoder = MotionDecoder(
        skeleton.parents.tolist(),
        torch.tensor(skeleton.offsets),
        checkpoint.stats,
        _expansion(skeleton, output_skeleton) if output_skeleton is not skeleton else None,
    )
    random_features = {"features": torch.randn(2, 5, config.num_features, generator=_generator(1))}
    checks = (random_features, {"features": features})
    spec = _decoder_spec(config.num_features, skeleton, output_skeleton)
    writer.add_graph(Graph(spec, decoder, checks))

    text_section = add_text_conditioning(
        writer,
        text,
        text_width,
        config.num_text_tokens,
        lambda added: _text_deviation(writer, checkpoint, added),
    )
    if precision != "fp32":
        figures = _motion_deviation(writer, checkpoint)
        for name in ("step", LOOP.name):
            writer.note_deviation(name, figures)
        writer.judge("denoiser", ["step"], wanted, "--precision")
    parts = {"global_root": checkpoint.stats.global_root, "body": checkpoint.stats.body}
    mean, std = statistics_from_parts(
        {name: (mean.numpy(), std.numpy()) for name, (mean, std) in parts.items()}
    )
    writer.add_arrays("statistics.safetensors", {"mean": mean, "std": std})
    writer.finish(
        family="kimodo",
        name=checkpoint.name,
        fps=config.fps,
        skeleton=skeleton,
        output_skeleton=output_skeleton,
        sampler={
            "num_base_steps": checkpoint.num_base_steps,
            "num_steps": min(100, checkpoint.num_base_steps),
            "solver": "ddim",
            "guidance_type": checkpoint.guidance_type,
            "num_text_tokens": config.num_text_tokens,
            "hidden_width": config.latent_dim,
            "num_heads": config.num_heads,
            "text_width": config.text_width,
        },
        limits=Limits(max_frames=_max_frames(checkpoint), advised_seconds=10.0),
        text=text_section,
        licence=licence,
        sources=[checkpoint.config_path, checkpoint.weights_path],
        num_parameters=count_parameters(checkpoint.model),
    )


def _max_frames(checkpoint: KimodoCheckpoint) -> int:
    """Return the most frames that the positional table has rows for, beside text and heading."""
    return MAX_POSITIONS - checkpoint.model.config.num_text_tokens - 2


def _step_spec(checkpoint: KimodoCheckpoint) -> GraphSpec:
    config = checkpoint.model.config
    width = config.num_features
    # A checkpoint with room for one text token only cannot have a dynamic count of them.
    tokens: str | int = "tokens" if config.num_text_tokens > 1 else 1
    motion = ("batch", "frames", width)
    return GraphSpec(
        name="step",
        inputs=(
            TensorSpec("x", motion),
            TensorSpec("x0_previous", motion),
            TensorSpec("timestep", (1,), "int64"),
            TensorSpec("coefficients", (3,)),
            TensorSpec("text_features", ("batch", tokens, config.text_width)),
            TensorSpec("text_mask", ("batch", tokens), "bool"),
            TensorSpec("frame_mask", ("batch", "frames"), "bool"),
            TensorSpec("first_heading_rad", ("batch",)),
            TensorSpec("motion_mask", motion),
            TensorSpec("observed_motion", motion),
            *BRANCHES,
        ),
        outputs=(TensorSpec("x_next", motion), TensorSpec("x0", motion)),
        atol=STEP_ATOL,
        rtol=STEP_RTOL,
        axes={
            "frames": AxisInfo(typical=150, largest=_max_frames(checkpoint)),
            "branches": BRANCHES_AXIS,
            "tokens": AxisInfo(largest=config.num_text_tokens),
        },
    )


def _decoder_spec(width: int, skeleton: Skeleton, output_skeleton: Skeleton) -> GraphSpec:
    clip = ("batch", "frames")

    def pose(prefix: str, joints: int) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec(f"{prefix}local_rot_mats", (*clip, joints, 3, 3)),
            TensorSpec(f"{prefix}global_rot_mats", (*clip, joints, 3, 3)),
            TensorSpec(f"{prefix}posed_joints", (*clip, joints, 3)),
        )

    outputs = (
        *pose("", output_skeleton.num_joints),
        TensorSpec("root_positions", (*clip, 3)),
        TensorSpec("smooth_root_pos", (*clip, 3)),
        TensorSpec("foot_contacts", (*clip, 4), "bool"),
        TensorSpec("global_root_heading", (*clip, 2)),
    )
    if output_skeleton is not skeleton:
        outputs += pose("native_", skeleton.num_joints)
    inputs = (TensorSpec("features", (*clip, width)),)
    axes = {"frames": AxisInfo(typical=150)}
    return GraphSpec("decoder", inputs, outputs, atol=DECODER_ATOL, axes=axes)


def _expansion(skeleton: Skeleton, larger: Skeleton) -> Expansion:
    return Expansion(
        parents=larger.parents.tolist(),
        offsets=torch.tensor(larger.offsets),
        base_rotations=torch.tensor(np.asarray(relaxed_hands_local_rot_mats(larger.name))),
        model_joints=indices_in_expanded(skeleton.name).tolist(),
    )


def _real_inputs(
    step: GuidedStep, checkpoint: KimodoCheckpoint
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor], Tensor]:
    """Sample a short motion in torch.

    Returns the inputs of its first and last step, those of the compiled loop for the whole of it,
    and the final features.

    What a step meets in use: noise at the start, nearly clean motion at the end, one sample
    shorter than the other, a keyframe that is constrained.
    """
    config = checkpoint.model.config
    generator = _generator(2)
    shape = (2, _CHECK_FRAMES, config.num_features)
    frame_mask = torch.ones(shape[:2], dtype=torch.bool)
    frame_mask[1, -3:] = False
    motion_mask = torch.zeros(shape)
    motion_mask[:, 0] = 1
    inputs = {
        "x": torch.randn(shape, generator=generator),
        "x0_previous": torch.zeros(shape),
        "text_features": torch.randn(2, 1, config.text_width, generator=generator),
        "text_mask": torch.ones(2, 1, dtype=torch.bool),
        "frame_mask": frame_mask,
        "first_heading_rad": torch.tensor([0.0, 1.0]),
        "motion_mask": motion_mask,
        "observed_motion": torch.randn(shape, generator=generator),
        **separated_branches(),
    }
    schedule = cosine_schedule(checkpoint.num_base_steps, min(4, checkpoint.num_base_steps))
    whole_run = {
        **inputs,
        "timesteps": torch.from_numpy(schedule.timesteps[:, None]),
        "schedule": torch.from_numpy(schedule.coefficients),
    }
    with torch.no_grad():
        (x, _), first, last = run_in_torch(step, list(CARRIED.values()), LOOP, whole_run)
    return [first, last], whole_run, x


def _motion_deviation(writer: BundleWriter, checkpoint: KimodoCheckpoint) -> dict[str, float]:
    """Sample motions with the fp32 graphs and with the bundle's; how far joints are apart.

    One motion follows a text (an embedding that the bundle's encoder gives, if it has one), one is
    free; both start from one noise.
    """
    writer.progress("measuring motions")
    config = checkpoint.model.config
    text = torch.randn(1, config.text_width, generator=_generator(3)).numpy()
    encoded = writer.reference("text_encoder", "text_features")
    if encoded is not None:
        text = encoded[:1]
    texts = np.concatenate((text, np.zeros_like(text)))
    found = _sample(writer, checkpoint, writer.folder / f"{LOOP.name}.onnx", texts)
    exact = _sample(writer, checkpoint, writer.fp32_path(LOOP.name), texts)
    return measure_motions(LOOP.name, found, exact)


def _text_deviation(
    writer: BundleWriter, checkpoint: KimodoCheckpoint, text: AddedTextEncoder
) -> dict[str, float]:
    """Sample motions of exact embeddings and of those in fewer bits, from the same noise."""
    writer.progress("measuring what text precision does to motions")
    sampler = writer.folder / f"{LOOP.name}.onnx"
    found, exact = (
        _sample(writer, checkpoint, sampler, rows[:_MEASURED_TEXTS])
        for rows in (text.found, text.exact)
    )
    return measure_motions(TEXT_GRAPH, found, exact)


def _sample(
    writer: BundleWriter,
    checkpoint: KimodoCheckpoint,
    sampler: Path,
    texts: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sample a motion of each text (B, W), zero for none; return features and joints."""
    config = checkpoint.model.config
    count = len(texts)
    shape = (count, _MEASURED_FRAMES, config.num_features)
    noise = torch.randn(shape, generator=_generator(3)).numpy()
    few = checkpoint.few_steps
    num_steps = few or min(_MEASURED_STEPS, checkpoint.num_base_steps)
    branch_text, branch_weights = ([1], [0]) if few else ([1, 0], [2, 0])
    schedule = cosine_schedule(checkpoint.num_base_steps, num_steps)
    inputs = {
        "x": noise,
        "x0_previous": np.zeros_like(noise),
        "timesteps": schedule.timesteps[:, None],
        "schedule": schedule.coefficients,
        "text_features": texts[:, None],
        "text_mask": np.any(texts, -1, keepdims=True),
        "frame_mask": np.ones(noise.shape[:2], np.bool_),
        "first_heading_rad": np.zeros(count, np.float32),
        "motion_mask": np.zeros_like(noise),
        "observed_motion": np.zeros_like(noise),
        "branch_text": np.array(branch_text, np.float32),
        "branch_constraints": np.zeros(len(branch_text), np.float32),
        "branch_weights": np.array(branch_weights, np.float32),
    }
    features = run_graph(sampler, inputs, ["x_next"])["x_next"]
    decoded = run_graph(writer.folder / "decoder.onnx", {"features": features}, ["posed_joints"])
    return features, decoded["posed_joints"]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
