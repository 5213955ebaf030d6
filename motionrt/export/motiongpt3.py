"""MotionGPT3's bundle: backbone, diffusion head as a loop, motion encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer
from torch import Tensor, nn

from motionrt.export.bundle import BundleWriter, count_parameters
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.humanml import features_to_joints
from motionrt.export.quantise.deviation import measure_motions
from motionrt.export.quantise.recipes import INT8, Recipe
from motionrt.export.quantise.recipes import recipe as named_recipe
from motionrt.export.readers.motiongpt3 import MotionGpt3Checkpoint
from motionrt.export.running import run_graph
from motionrt.export.sampling import LoopSpec
from motionrt.export.text_encoder import CHECK_PROMPTS
from motionrt.models.motion_vae import MotionVae
from motionrt.models.motiongpt3 import DiffusionHead, LanguageMotionModel, MotionGpt3Config
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import AxisInfo, Limits
from motionrt.runtime.errors import ExportError
from motionrt.runtime.motiongpt3.prompt import (
    ADDED_TOKENS,
    MAX_PROMPT_TOKENS,
    NUM_MOTION_TOKENS,
    OUTPUT_HOLDER,
    HolderRules,
    PromptTokens,
    caption_prompt,
)
from motionrt.runtime.motiongpt3.schedule import NUM_BASE_STEPS, latent_schedule

BACKBONE_ATOL, BACKBONE_RTOL = 2e-4, 2e-4
"""Rounding through all layers; logits are sums over the whole width."""
HEAD_ATOL, HEAD_RTOL = 2e-4, 2e-4
STEP_ATOL, STEP_RTOL = 2e-3, 2e-4
"""Guidance subtracts noise that differs little, and the first steps divide what is left by the
small share of signal: together they magnify the head's rounding some two hundred times."""
VAE_ATOL, VAE_RTOL = 2e-4, 2e-4
"""Normalised features of order 1; joints add up root steps over all frames."""

MAX_FRAMES = 498
"""The VAE's position tables have 500 rows, of which its encoder uses two for itself."""
_MEASURED_FRAMES, _MEASURED_TEXTS = 60, 4

LOOP = LoopSpec(
    name="sampler",
    carried={"x": "x_next", "x0_previous": "x0"},
    scanned={
        "step_modulations": "modulations",
        "coefficients": "schedule",
        "step_noise": "noise",
    },
)


class Backbone(nn.Module):
    """Prompts, and their continuation, through the language model.

    One graph for every task. Text and motion tokens are two inputs, each with its positions, so a
    token costs the products of its own modality only, and none of it depends on data.
    """

    def __init__(self, lm: LanguageMotionModel) -> None:
        """Wrap a model."""
        super().__init__()
        self.lm = lm

    def forward(
        self,
        text_ids: Tensor,
        text_positions: Tensor,
        motion_ids: Tensor,
        motion_positions: Tensor,
        motion_latents: Tensor,
        past: Tensor,
        past_positions: Tensor,
        logit_rows: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return motion hidden states, text logits and keys and values.

        logit_rows (B, R) says which text tokens get logits: a prompt for motion needs none, and the
        largest product of all is not spent. The rest as in ``LanguageMotionModel``.
        """
        text, motion, present = self.lm(
            text_ids,
            text_positions,
            motion_ids,
            motion_positions,
            motion_latents,
            past,
            past_positions,
        )
        rows = logit_rows.unsqueeze(-1).expand(-1, -1, text.shape[-1])
        return motion, self.lm.language_model.text_logits(text.gather(1, rows)), present


class HeadConditions(nn.Module):
    """Everything in the diffusion head that does not depend on the latent, for all steps at once.

    In the loop these products (three fifths of the head) would read their weights for every step.
    """

    def __init__(self, lm: LanguageMotionModel) -> None:
        """Wrap a model's head, and the condition that means none if it has one."""
        super().__init__()
        head = lm.diffloss.net
        assert isinstance(head, DiffusionHead)
        self.head = head
        null = getattr(lm, "fake_latent", None)
        self.null = null if null is None else nn.Parameter(null.detach()[None])

    def forward(self, hidden: Tensor, branches: Tensor, timesteps: Tensor) -> Tensor:
        """Return modulations (steps, B, G, W) of the head's trunk.

        hidden (B, K, width) are the holders' states; branches (G,) int64 says what to condition on,
        0: hidden, 1: nothing; timesteps is (steps,).
        """
        conditions = self.head.cond_embed(hidden).unsqueeze(1)
        if self.null is not None:
            null = self.head.cond_embed(self.null).unsqueeze(1)
            conditions = torch.cat((conditions, null.expand(hidden.shape[0], -1, -1)), dim=1)
        conditions = conditions.index_select(1, branches)
        times = self.head.time_embed(timesteps)
        return self.head.modulations(times[:, None, None] + conditions)


class HeadStep(nn.Module):
    """One denoising step of the diffusion head, guidance and solver included."""

    def __init__(self, head: DiffusionHead) -> None:
        """Wrap a head."""
        super().__init__()
        self.head = head

    def forward(
        self,
        x: Tensor,
        x0_previous: Tensor,
        step_modulations: Tensor,
        coefficients: Tensor,
        step_noise: Tensor,
        guidance_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the next x (B, D), and the clean latent that this step predicts.

        step_modulations is (B, G, W) of ``HeadConditions``; guidance_weights (G,) sum to 1 and
        weigh the noise that the branches predict; x0_previous is what the step before predicted;
        coefficients (6,) are in

            x0 = c0 x + c1 predicted_noise,  x' = c2 x + c3 x0 + c4 x0_previous + c5 step_noise.
        """
        branches = self.head.denoise(x.unsqueeze(1), step_modulations)
        predicted = (branches * guidance_weights[:, None]).sum(dim=1)
        c = coefficients
        x0 = c[0] * x + c[1] * predicted
        return c[2] * x + c[3] * x0 + c[4] * x0_previous + c[5] * step_noise, x0


class _VaeInUnits(nn.Module):
    """A VAE with the statistics of its features."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, vae: MotionVae, mean: NDArray[Any], std: NDArray[Any], latent_scale: float
    ) -> None:
        """Take statistics (263,) and the scale of the language model's latents."""
        super().__init__()
        self.vae = vae
        self.latent_scale = latent_scale
        self.register_buffer("mean", torch.from_numpy(np.float32(mean)), persistent=False)
        self.register_buffer("std", torch.from_numpy(np.float32(std)), persistent=False)


class MotionEncoder(_VaeInUnits):
    """Features in their units to latents as the language model takes them."""

    def forward(
        self, features: Tensor, frame_mask: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents (B, D) at noise (B, D) standard deviations, their mean and log variance.

        features is (B, T, 263), frame_mask (B, T) bool. Mean and log variance are the VAE's,
        without the language model's scale.
        """
        mean, log_variance = self.vae.encode((features - self.mean) / self.std, frame_mask)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        return latents * self.latent_scale, mean, log_variance


class MotionDecoder(_VaeInUnits):
    """Latents as the language model has them to features in their units, and to joints."""

    def forward(self, latents: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised features, features (B, T, 263) and joint positions (B, T, 22, 3).

        latents is (B, D), frame_mask (B, T) bool; padded frames are 0 in the normalised features
        and mean nothing in the rest.
        """
        normalized = self.vae.decode(latents / self.latent_scale, frame_mask)
        features = normalized * self.std + self.mean
        return normalized, features, features_to_joints(features)


def export_motiongpt3(
    writer: BundleWriter,
    checkpoint: MotionGpt3Checkpoint,
    precision: str = "fp32",
    licence: str = "",
) -> None:
    """Write a checkpoint's bundle, every graph compared with torch.

    A checkpoint of the motion VAE alone gives a bundle that encodes and decodes motions. precision
    is a name of ``DENOISER_RECIPES``; int8 is for backbone and head, which have nine tenths of the
    weights, and leaves alone what runs once a motion.
    """
    recipe = named_recipe(precision, language_model=False)
    if precision == "int8":
        # The largest table is looked up as well as multiplied with: both in 8 bits.
        recipe = replace(recipe, embeddings=INT8)
    config = checkpoint.config
    text: dict[str, Any] = {}
    sampler: dict[str, Any] = {"latent_dim": checkpoint.vae_config.latent_dim}
    if config is None:
        vae, scale = checkpoint.motion_vae(), 1.0
        num_parameters = count_parameters(vae)
    else:
        model = checkpoint.language_motion_model()
        vae, scale = model.vae, config.latent_scale
        num_parameters = count_parameters(model)
        _add_language_model(writer, model.lm, config, recipe)
        tokenizer = _tokenizer(checkpoint, config)
        writer.add_file("tokenizer.json", tokenizer.to_str().encode())
        text = {
            "encoder": "gpt2",
            "name": "the model's own text branch",
            "tokenizer": "tokenizer.json",
            "max_tokens": min(MAX_PROMPT_TOKENS, config.num_positions),
            "vocab_size": config.vocab_size,
            "end_of_text_id": checkpoint.end_of_text_id,
            "num_output_holders": config.num_output_holders,
            "num_input_holders": config.num_input_holders,
            "wraps_holders": checkpoint.wraps_holders,
            "num_positions": config.num_positions,
        }
        sampler |= {
            "num_base_steps": NUM_BASE_STEPS,
            "num_steps": checkpoint.num_steps,
            "solver": "ancestral",
            "guidance_scale": checkpoint.guidance_scale,
            "has_null_condition": config.has_null_condition,
        }
    _add_vae(writer, vae, checkpoint, scale)
    if config is not None and precision != "fp32":
        reduced = ("backbone", "conditions", "step", LOOP.name)
        figures = _motion_deviation(writer, checkpoint, config, tokenizer)
        for name in reduced:
            writer.note_deviation(name, figures)
        writer.judge("language model and head", reduced[:-1], recipe, "--precision")
    skeleton = load_skeleton("humanml22")
    writer.finish(
        family="motiongpt3",
        name=checkpoint.name,
        fps=checkpoint.fps,
        skeleton=skeleton,
        sampler=sampler,
        limits=Limits(max_frames=MAX_FRAMES, advised_seconds=9.8),
        text=text,
        licence=licence,
        sources=checkpoint.paths,
        num_parameters=num_parameters,
    )


def _add_language_model(
    writer: BundleWriter, lm: LanguageMotionModel, config: MotionGpt3Config, recipe: Recipe
) -> None:
    """Export backbone and head, on random inputs and on what a run through them passes on."""
    generator = torch.Generator().manual_seed(0)
    backbone = Backbone(lm)
    prompts = _prompt_inputs(config, generator, texts=9, motions=1, rows=0)
    both = _prompt_inputs(config, generator, texts=7, motions=2, rows=3, past=5)
    writer.add_graph(Graph(_backbone_spec(config), backbone, (both, prompts)), recipe=recipe)

    conditions = HeadConditions(lm)
    branches = 2 if config.has_null_condition else 1
    num_steps = 5
    schedule = latent_schedule(num_steps)
    with torch.no_grad():
        hidden = backbone(**prompts)[0][:, -config.num_output_holders :]
    real = {
        "hidden": hidden,
        "branches": torch.arange(branches),
        "timesteps": torch.from_numpy(schedule.timesteps),
    }
    random = {**real, "hidden": torch.randn(hidden.shape, generator=generator)}
    writer.add_graph(
        Graph(_conditions_spec(config, branches), conditions, (random, real)), recipe=recipe
    )

    step = HeadStep(conditions.head)
    latents = torch.randn(len(hidden), config.vae.latent_dim, generator=generator)
    weights = torch.tensor([7.5, -6.5] if branches == 2 else [1.0])
    with torch.no_grad():
        modulations = conditions(**real)
        noise = torch.randn(num_steps, *latents.shape, generator=generator)
    whole_run = {
        "x": latents,
        "x0_previous": torch.zeros_like(latents),
        "modulations": modulations,
        "schedule": torch.from_numpy(schedule.coefficients),
        "noise": noise,
        "guidance_weights": weights,
    }
    first, last = (
        {
            **{name: whole_run[name] for name in ("x", "x0_previous", "guidance_weights")},
            **{name: whole_run[rows][i] for name, rows in LOOP.scanned.items()},
        }
        for i in (0, num_steps - 1)
    )
    writer.add_graph(
        Graph(_step_spec(config, branches), step, (first, last)), LOOP, (whole_run,), recipe
    )


def _motion_deviation(
    writer: BundleWriter,
    checkpoint: MotionGpt3Checkpoint,
    config: MotionGpt3Config,
    tokenizer: Tokenizer,
) -> dict[str, float]:
    """Generate motions with the fp32 graphs and with the bundle's, from the same noise."""
    writer.progress("measuring motions")
    prompts = _measured_prompts(checkpoint, config, tokenizer)
    batch = len(prompts["text_ids"])
    schedule = latent_schedule(checkpoint.num_steps)
    generator = torch.Generator().manual_seed(3)
    draw = (1 + checkpoint.num_steps, batch, config.vae.latent_dim)
    noise = torch.randn(draw, generator=generator).numpy()
    scale = checkpoint.guidance_scale
    weights = [scale, 1 - scale] if config.has_null_condition else [1.0]

    def generate(place: Callable[[str], Path]) -> tuple[NDArray[Any], NDArray[Any]]:
        found = run_graph(place("backbone"), prompts, ["motion_hidden"])["motion_hidden"]
        conditions = {
            "hidden": np.ascontiguousarray(found[:, -config.num_output_holders :]),
            "branches": np.arange(len(weights)),
            "timesteps": schedule.timesteps,
        }
        run = {
            "x": noise[0],
            "x0_previous": np.zeros_like(noise[0]),
            "modulations": run_graph(place("conditions"), conditions)["modulations"],
            "schedule": schedule.coefficients,
            "noise": noise[1:],
            "guidance_weights": np.array(weights, np.float32),
        }
        latents = run_graph(place(LOOP.name), run, ["x_next"])["x_next"]
        clip = {"latents": latents, "frame_mask": np.ones((batch, _MEASURED_FRAMES), np.bool_)}
        return latents, run_graph(writer.folder / "decoder.onnx", clip, ["joints"])["joints"]

    found = generate(lambda name: writer.folder / f"{name}.onnx")
    return measure_motions(LOOP.name, found, generate(writer.fp32_path))


def _measured_prompts(
    checkpoint: MotionGpt3Checkpoint, config: MotionGpt3Config, tokenizer: Tokenizer
) -> dict[str, NDArray[Any]]:
    """Return the backbone's inputs for prompts that ask for motions, as the runtime makes them."""
    rules = HolderRules(
        config.num_output_holders, config.num_input_holders, checkpoint.wraps_holders
    )
    texts = [rules.motion_request(caption_prompt(text)) for text in CHECK_PROMPTS]
    rows = [
        tokenizer.encode(text, add_special_tokens=False).ids for text in texts[:_MEASURED_TEXTS]
    ]
    tokens = PromptTokens.split(rows, config.vocab_size, config.num_positions, asks_for_motion=True)
    batch = len(rows)
    keys = (config.num_layers, 2, batch, config.num_heads, 0, config.width // config.num_heads)
    return {
        **tokens.to_inputs(),
        "motion_latents": np.zeros((batch, 0, config.vae.latent_dim), np.float32),
        "past": np.zeros(keys, np.float32),
        "past_positions": np.zeros((batch, 0), np.int64),
        "logit_rows": np.zeros((batch, 0), np.int64),
    }


def _prompt_inputs(
    config: MotionGpt3Config,
    generator: torch.Generator,
    *,
    texts: int,
    motions: int,
    rows: int,
    past: int = 0,
) -> dict[str, Tensor]:
    """Make two rows of a prompt: text, given motions, output holders; the second row is padded."""
    given = motions * config.num_input_holders
    tokens = given + config.num_output_holders

    def draw(shape: tuple[int, ...], most: int) -> Tensor:
        return torch.randint(0, most, shape, generator=generator)

    holders = torch.cat(
        (
            torch.arange(given) + NUM_MOTION_TOKENS,
            torch.full((config.num_output_holders,), OUTPUT_HOLDER),
        )
    )
    text_positions = torch.arange(past, past + texts).expand(2, -1).clone()
    text_positions[1, -2:] = config.num_positions
    keys = (config.num_layers, 2, 2, config.num_heads, past, config.width // config.num_heads)
    return {
        "text_ids": draw((2, texts), config.vocab_size),
        "text_positions": text_positions,
        "motion_ids": holders.expand(2, -1).contiguous(),
        "motion_positions": torch.arange(past + texts, past + texts + tokens)
        .expand(2, -1)
        .contiguous(),
        "motion_latents": torch.randn(2, motions, config.vae.latent_dim, generator=generator),
        "past": torch.randn(keys, generator=generator),
        "past_positions": torch.arange(past).expand(2, -1).contiguous(),
        "logit_rows": draw((2, rows), texts),
    }


def _backbone_spec(config: MotionGpt3Config) -> GraphSpec:
    keys = (config.num_layers, 2, "batch", config.num_heads)
    head = config.width // config.num_heads
    most = config.num_positions
    return GraphSpec(
        name="backbone",
        inputs=(
            TensorSpec("text_ids", ("batch", "text_tokens"), "int64"),
            TensorSpec("text_positions", ("batch", "text_tokens"), "int64"),
            TensorSpec("motion_ids", ("batch", "motion_tokens"), "int64"),
            TensorSpec("motion_positions", ("batch", "motion_tokens"), "int64"),
            TensorSpec("motion_latents", ("batch", "motions", config.vae.latent_dim)),
            TensorSpec("past", (*keys, "past_tokens", head)),
            TensorSpec("past_positions", ("batch", "past_tokens"), "int64"),
            TensorSpec("logit_rows", ("batch", "rows"), "int64"),
        ),
        outputs=(
            TensorSpec("motion_hidden", ("batch", "motion_tokens", config.width)),
            TensorSpec("logits", ("batch", "rows", config.vocab_size)),
            TensorSpec("present", (*keys, "all_tokens", head)),
        ),
        atol=BACKBONE_ATOL,
        rtol=BACKBONE_RTOL,
        axes={
            name: AxisInfo(smallest=0, largest=most)
            for name in ("text_tokens", "motion_tokens", "motions", "past_tokens", "rows")
        },
    )


def _conditions_spec(config: MotionGpt3Config, branches: int) -> GraphSpec:
    return GraphSpec(
        name="conditions",
        inputs=(
            TensorSpec("hidden", ("batch", config.num_output_holders, config.width)),
            TensorSpec("branches", (_branches_axis(branches),), "int64"),
            TensorSpec("timesteps", ("steps",), "int64"),
        ),
        outputs=(
            TensorSpec(
                "modulations",
                ("steps", "batch", _branches_axis(branches), _modulation_width(config)),
            ),
        ),
        atol=HEAD_ATOL,
        rtol=HEAD_RTOL,
    )


def _step_spec(config: MotionGpt3Config, branches: int) -> GraphSpec:
    latents = ("batch", config.vae.latent_dim)
    axis = _branches_axis(branches)
    return GraphSpec(
        name="step",
        inputs=(
            TensorSpec("x", latents),
            TensorSpec("x0_previous", latents),
            TensorSpec("step_modulations", ("batch", axis, _modulation_width(config))),
            TensorSpec("coefficients", (6,)),
            TensorSpec("step_noise", latents),
            TensorSpec("guidance_weights", (axis,)),
        ),
        outputs=(TensorSpec("x_next", latents), TensorSpec("x0", latents)),
        atol=STEP_ATOL,
        rtol=STEP_RTOL,
    )


def _branches_axis(branches: int) -> str | int:
    """Return the axis of guidance branches: without a condition that means none there is one."""
    return "branches" if branches > 1 else 1


def _modulation_width(config: MotionGpt3Config) -> int:
    return config.head_width * (3 * config.head_depth + 2)


def _add_vae(
    writer: BundleWriter, vae: MotionVae, checkpoint: MotionGpt3Checkpoint, scale: float
) -> None:
    """Export encoder and decoder; the decoder is also checked on latents that the encoder gives."""
    config = checkpoint.vae_config
    generator = torch.Generator().manual_seed(1)
    statistics = (checkpoint.mean, checkpoint.std)
    clip = ("batch", "frames")
    latents = ("batch", config.latent_dim)
    frame_mask = torch.arange(9) < torch.tensor([[9], [6]])
    normal = torch.randn(2, 9, config.num_features, generator=generator)
    features = normal * torch.from_numpy(checkpoint.std) + torch.from_numpy(checkpoint.mean)
    noise = torch.randn(2, config.latent_dim, generator=generator)

    encoder = MotionEncoder(vae, *statistics, scale)
    inputs = {"features": features, "frame_mask": frame_mask, "noise": noise}
    spec = GraphSpec(
        name="encoder",
        inputs=(
            TensorSpec("features", (*clip, config.num_features)),
            TensorSpec("frame_mask", clip, "bool"),
            TensorSpec("noise", latents),
        ),
        outputs=(
            TensorSpec("latents", latents),
            TensorSpec("latent_mean", latents),
            TensorSpec("latent_log_variance", latents),
        ),
        atol=VAE_ATOL,
        rtol=VAE_RTOL,
        axes={"frames": AxisInfo(typical=100, largest=MAX_FRAMES)},
    )
    writer.add_graph(Graph(spec, encoder, (inputs,)))

    with torch.no_grad():
        encoded = encoder(**inputs)[0]
    spec = GraphSpec(
        name="decoder",
        inputs=(TensorSpec("latents", latents), TensorSpec("frame_mask", clip, "bool")),
        outputs=(
            TensorSpec("normalized_features", (*clip, config.num_features)),
            TensorSpec("features", (*clip, config.num_features)),
            TensorSpec("joints", (*clip, 22, 3)),
        ),
        atol=VAE_ATOL,
        rtol=VAE_RTOL,
        axes={"frames": AxisInfo(typical=100, largest=MAX_FRAMES)},
    )
    decoder = MotionDecoder(vae, *statistics, scale)
    checks = (
        {"latents": noise, "frame_mask": frame_mask},
        {"latents": encoded, "frame_mask": frame_mask},
    )
    writer.add_graph(Graph(spec, decoder, checks))


def add_motion_tokens(tokenizer: Tokenizer) -> None:
    """Add MotionGPT3's tokens to a language model's tokenizer, in the order of their ids."""
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in ADDED_TOKENS]
    )


def _tokenizer(checkpoint: MotionGpt3Checkpoint, config: MotionGpt3Config) -> Tokenizer:
    """Return the language model's tokenizer with the tokens that MotionGPT3 adds to it."""
    path = checkpoint.tokenizer
    assert path is not None
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises Exception itself
        line = " ".join(str(error).split())[:120]
        raise ExportError(f"{path}: no tokenizer ({line})") from error
    add_motion_tokens(tokenizer)
    first_id = config.vocab_size - 2
    for i, token in enumerate(ADDED_TOKENS):
        if tokenizer.token_to_id(token) != first_id + i:
            raise ExportError(
                f"{path}: {token} would be {tokenizer.token_to_id(token)}, the checkpoint has it "
                f"at {first_id + i}; give the tokenizer that comes with the checkpoint"
            )
    return tokenizer
