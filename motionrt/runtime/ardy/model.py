"""An ARDY bundle, loaded: its networks, its text, features to motions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.features import NUM_LOCAL_ROOT_FEATURES, ArdyFeatures
from motionrt.runtime.ardy.network import ArdySizes, Embedding, Network, Text
from motionrt.runtime.ardy.quantizer import Quantizer
from motionrt.runtime.ardy.rollout import roll_out
from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline
from motionrt.runtime.sampling.guidance import (
    DEFAULT_WEIGHT,
    NUM_WEIGHTS,
    Guidance,
    resolve_guidance,
)
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.runtime.text.sources import GRAPH as TEXT_GRAPH
from motionrt.runtime.text.sources import TextSources

Floats = NDArray[np.float32]
BENCHMARK_SEED = 0
_STATISTICS = "statistics.safetensors"


class ArdyModel(Pipeline):
    """The parts of an ARDY bundle: ``network``, ``encode_text``, ``to_motion``.

    `ArdyPipeline` is the whole.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of the ardy family."""
        super().__init__(bundle, backend)
        self.sizes = bundle.section("sampler", ArdySizes)
        if self.sizes.horizon % self.sizes.frames_per_token:
            raise bundle.unfit("sampler: horizon is no multiple of frames_per_token")
        if self.sizes.num_steps > self.sizes.num_base_steps:
            raise bundle.unfit("sampler: num_steps is above num_base_steps")
        tables = bundle.read_tensors(_STATISTICS)
        skeleton = bundle.skeleton
        feet = len(skeleton.left_foot_joints), len(skeleton.right_foot_joints)
        if len(skeleton.hip_joints) != 2 or min(feet) < 2:
            raise bundle.unfit("skeleton: it needs two hip_joints, and an ankle and toe a foot")
        self._check_tables(tables)
        try:
            self.features = ArdyFeatures.from_tables(skeleton, self.fps, tables)
            quantizer = Quantizer.from_tables(tables, self.sizes.quantises, self.sizes.normalises)
        except InputError as error:
            raise bundle.unfit(f"{_STATISTICS}: {error}") from error
        self._check_graphs()
        self.network = Network(
            self.sizes, self.features, quantizer, tables["time_tokens"], self._run_graph
        )
        self.text = TextSources(bundle, lambda: self.graph(TEXT_GRAPH))

    def _check_tables(self, tables: Mapping[str, NDArray[Any]]) -> None:
        """Raise BundleError unless the tables have the sizes that the manifest states."""
        sizes = self.sizes
        width = ArdyFeatures(self.bundle.skeleton, self.fps).width
        shapes = {
            "mean": (width,),
            "std": (width,),
            "local_root_mean": (NUM_LOCAL_ROOT_FEATURES,),
            "local_root_std": (NUM_LOCAL_ROOT_FEATURES,),
            "latent_mean": (sizes.latent_width,),
            "latent_std": (sizes.latent_width,),
            "levels": (sizes.latent_width,),
            "time_tokens": (sizes.num_base_steps, 2 * sizes.hidden_width),
        }
        for name, shape in shapes.items():
            table = tables.get(name)
            if table is None or table.shape != shape or not np.isfinite(table).all():
                told = "x".join(map(str, shape))
                raise BundleError(
                    f"{self.bundle.folder / _STATISTICS}: {name} is not {told} finite numbers; "
                    "export the bundle again"
                )

    def _check_graphs(self) -> None:
        """Raise BundleError where graphs are not of the sizes that the manifest states."""
        sizes, bundle = self.sizes, self.bundle
        width = sizes.token_width
        text = (sizes.num_text_tokens, 2 * sizes.hidden_width)
        bundle.require("sampler", {"x": (width,), "text_tokens": text}, ("x_next", "x0"))
        bundle.require("encoder", {}, ("latents",))
        bundle.require("decoder", {"codes": (sizes.latent_width,)}, ("frames",))

    def _run_graph(self, name: str, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        return self.graph(name).run(inputs)

    # Text

    def use_text_encoder(self, url: str, token: str | None = None) -> None:
        """Take all text embeddings from a server (see ``text.client``) from now on."""
        self.text.server = TextEncoderClient(url, self.sizes.text_width, token=token)

    def check_prompts(self, texts: Sequence[str]) -> None:
        """Raise InputError for a prompt that cannot be encoded, without encoding it."""
        self.text.check(texts, str.strip)

    def encode_text(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Encode prompts, of which nothing but blanks around them is taken away.

        Returns text features (B, L, W) and their mask (B, L), of as many tokens as the longest
        prompt has; a blank prompt is all zero and False. InputError if a prompt is too long or the
        bundle holds no text encoder.
        """
        sizes = self.sizes
        return self.text.encode_all(texts, sizes.text_width, str.strip, sizes.num_text_tokens)

    def embed(self, texts: Sequence[str]) -> Text:
        """Encode prompts and embed them as the denoiser takes them."""
        return self.network.text(*self.encode_text(texts))

    def embed_given(self, given: Embedding) -> Text:
        """Embed a prompt whose text features a caller gives; InputError if they do not fit."""
        if given.features.shape[1] != self.sizes.text_width:
            raise InputError(
                f"an embedding of {given.features.shape[1]} numbers a token, the model takes "
                f"{self.sizes.text_width}"
            )
        return self.network.text(given.features[None], given.mask[None])

    # Guidance

    def settle_guidance(
        self, mode: str | None = None, weights: Sequence[float] | None = None
    ) -> Guidance:
        """Return the guidance that is asked for, the bundle's with the usual weights if none is."""
        own = self.sizes.guidance_type
        return resolve_guidance(mode, weights) or Guidance(
            own, (DEFAULT_WEIGHT,) * NUM_WEIGHTS[own]
        )

    # Motions

    def to_motion(self, features: Floats, info: dict[str, Any]) -> Motion:
        """Turn normalised features (T, D) into a motion."""
        arrays: dict[str, Any] = self.features.decode(self.features.unnormalize(features))
        return Motion(fps=self.fps, skeleton=self.skeleton, info=info, **arrays)

    def fitted_clip(self, clip: Motion) -> tuple[Motion, list[str]]:
        """Bring a clip that is gone on from to the model's frame rate, and say so in a note.

        InputError if it is on another skeleton or too short.
        """
        if clip.skeleton.joint_names != self.skeleton.joint_names:
            raise InputError(
                f"the clip that is continued is on {clip.skeleton.name}, the model on "
                f"{self.skeleton.name}"
            )
        notes = []
        if abs(clip.fps - self.fps) > 1e-3:
            told = f"the clip that is continued has {clip.fps:g} fps, the model {self.fps:g}"
            notes.append(f"{told}: it was resampled")
            clip = resample(clip, self.fps)
        if clip.num_frames < self.sizes.frames_per_token:
            raise InputError(
                f"the clip that is continued has {clip.num_frames} frames, it needs "
                f"{self.sizes.frames_per_token} at least"
            )
        return clip, notes

    def noise(self, generator: TorchGenerator, batch: int) -> Floats:
        """Draw the noise (B, H, W) of a window."""
        tokens = self.sizes.horizon // self.sizes.frames_per_token
        return generator.randn((batch, tokens, self.sizes.token_width))

    @property
    def default_history(self) -> int:
        """Frames that a window of a whole clip looks back: as many as in training."""
        longest = self.sizes.longest_history(self.fps)
        return max(longest, self.sizes.frames_per_token)

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Prepare a clip that follows a text, of random embedding, with its graphs loaded."""
        if solver not in (None, "ddim"):
            raise InputError(f"solver {solver!r}: ardy has ddim")
        for name in self.family.motion_graphs:
            self.graph(name)
        generator = TorchGenerator(BENCHMARK_SEED)
        embedded = generator.randn((1, 1, 2 * self.sizes.hidden_width))
        text = self.network.text(embedded, np.ones((1, 1), np.bool_))

        def sample(steps: int) -> Floats:
            return roll_out(
                self.network,
                text,
                lambda _: self.noise(generator, 1),
                num_frames=num_frames,
                guidance=self.settle_guidance(),
                num_steps=steps,
                crop_history=self.default_history,
            )

        def decode(features: object) -> Motion:
            return self.to_motion(np.asarray(features, np.float32)[0], {})

        return BenchmarkCase(sample, decode, most_steps=self.sizes.num_base_steps)
