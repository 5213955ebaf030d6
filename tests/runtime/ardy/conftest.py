"""A network of a few fixed maps instead of graphs: shaped as ARDY's, and quick."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.ardy.network import ArdySizes, Network
from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.ardy.quantizer import Quantizer
from motionrt.runtime.body.skeleton import load_skeleton

FPS = 20.0


class Maps:
    """What stands for the graphs; ``ran`` counts them by name."""

    def __init__(self, sizes: ArdySizes, body_width: int) -> None:
        rng = np.random.default_rng(0)
        size = sizes.frames_per_token

        def drawn(*shape: int) -> NDArray[np.float32]:
            values = rng.normal(size=shape) / np.sqrt(float(shape[0]))
            return np.asarray(values, np.float32)

        self.sizes = sizes
        self.encoder = drawn(size * body_width, sizes.latent_width)
        self.decoder = drawn(sizes.latent_width + 4 * size, size * (4 + body_width))
        self.text = drawn(2 * sizes.hidden_width, sizes.token_width)
        self.ran: dict[str, int] = {}

    def run(self, name: str, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        self.ran[name] = self.ran.get(name, 0) + 1
        result: dict[str, NDArray[Any]] = getattr(self, f"_{name}")(
            {key: np.asarray(value) for key, value in inputs.items()}
        )
        return result

    def _encoder(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"latents": given["bodies"] @ self.encoder}

    def _decoder(self, given: Mapping[str, Any]) -> dict[str, Any]:
        seen = np.concatenate([given["codes"], given["local_root"]], axis=-1)
        # A token's frames depend on the tokens before it, as a causal decoder's do.
        counted = np.arange(1, seen.shape[1] + 1, dtype=np.float32)[:, None]
        return {"frames": (seen + np.cumsum(seen, axis=1) / counted) @ self.decoder}

    def _embed_text(self, given: Mapping[str, Any]) -> dict[str, Any]:
        width = 2 * self.sizes.hidden_width
        return {"text_tokens": np.repeat(given["text_features"][..., :1], width, axis=-1)}

    def _embed_constraints(self, given: Mapping[str, Any]) -> dict[str, Any]:
        told = given["observed_motion"].sum(-1, keepdims=True) / 50
        width = self.sizes.hidden_width
        return {
            "constraint_tokens": np.repeat(told, 2 * width, axis=-1),
            "future_tokens": np.repeat(told, width, axis=-1),
        }

    def _sampler(self, given: Mapping[str, Any]) -> dict[str, Any]:
        x, generated = given["x"], given["generation_mask"][..., None]
        root = self.sizes.token_root_width
        told = given["text_tokens"].mean(1) @ self.text
        told = told[:, None] + given["constraint_tokens"].mean(-1, keepdims=True)
        told = told + (given["future_tokens"].mean(-1) * given["future_mask"]).sum(1)[:, None, None]
        kept = np.where(given["history_mask"][..., None], x, 0).mean(1, keepdims=True)
        x0 = np.tanh(x / 2 + told + kept)
        x0[..., :root] = np.where(given["root_mask"] > 0, given["observed_root"], x0[..., :root])
        for a, b, _ in given["schedule"]:
            x = np.where(generated, a * x + b * x0, x)
        return {"x_next": x.astype(np.float32), "x0": x0.astype(np.float32)}


@pytest.fixture
def maps() -> Maps:
    return _maps()


def _maps() -> Maps:
    features = ArdyFeatures(load_skeleton("core27"), FPS)
    sizes = ArdySizes(
        frames_per_token=4,
        horizon=8,
        latent_width=6,
        num_base_steps=10,
        num_steps=4,
        guidance_type="separated",
        num_text_tokens=1,
        text_width=8,
        hidden_width=5,
        num_heads=1,
        takes_constraints=True,
        quantises=True,
        normalises=True,
        window_seconds=2.0,
    )
    return Maps(sizes, features.width - 5)


@pytest.fixture
def network(maps: Maps) -> Network:
    width = ArdyFeatures(load_skeleton("core27"), FPS).width
    rng = np.random.default_rng(1)
    mean = rng.normal(size=width) * 0.1
    std = rng.uniform(0.1, 0.3, size=width)
    features = ArdyFeatures(load_skeleton("core27"), FPS, mean, std, (np.zeros(4), np.full(4, 0.5)))
    latents = maps.sizes.latent_width
    quantizer = Quantizer([16] * latents, np.zeros(latents), np.full(latents, 0.5))
    time_tokens = np.zeros((10, 2 * maps.sizes.hidden_width), np.float32)
    return Network(maps.sizes, features, quantizer, time_tokens, maps.run)


class ToyPipeline(ArdyPipeline):
    """A pipeline of those maps, without a bundle."""

    def __init__(self, network: Network) -> None:
        self.network, self.sizes, self.features = network, network.sizes, network.features
        self.fps, self.skeleton = FPS, network.features.skeleton
        self.manifest: Any = SimpleNamespace(name="toy", family="ardy")
        self.backend: Any = SimpleNamespace(name="maps")

    def encode_text(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in texts]
        mask = np.array([[bool(text)] for text in texts])
        return (np.stack(rows)[:, None] * mask[..., None]).astype(np.float32), mask


@pytest.fixture
def pipeline(network: Network) -> ToyPipeline:
    return ToyPipeline(network)
