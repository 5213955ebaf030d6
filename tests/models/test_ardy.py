from __future__ import annotations

import pytest
import torch

from motionrt.models.ardy import (
    ArdyConfig,
    BodyDecoder,
    BodyEncoder,
    ConstrainedProjection,
    Denoiser,
    Places,
    RootStats,
    TransformerConfig,
)

SIZES = TransformerConfig(16, 32, 2, 2)


def config(**changes: object) -> ArdyConfig:
    values: dict[str, object] = {
        "num_joints": 27,
        "fps": 20.0,
        "frames_per_token": 4,
        "latent_width": 6,
        "denoiser": SIZES,
        "tokenizer": SIZES,
        "text_width": 8,
        "num_text_tokens": 1,
    }
    return ArdyConfig(**{**values, **changes})  # type: ignore[arg-type]


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_part_of_the_tokenizer_sees_what_was_alone(causal: bool) -> None:
    torch.manual_seed(0)
    sizes = config(causal_encoder=causal, causal_decoder=causal)
    encoder, decoder = BodyEncoder(sizes).eval(), BodyDecoder(sizes).eval()
    mask = torch.ones(1, 5, dtype=torch.bool)
    bodies, codes, local = draw(1, 5, 4 * sizes.body_width), draw(1, 5, 6), draw(1, 5, 16)
    with torch.no_grad():
        encoded = [encoder(bodies[:, :n], mask[:, :n])[:, :3] for n in (3, 5)]
        decoded = [decoder(codes[:, :n], local[:, :n], mask[:, :n])[:, :3] for n in (3, 5)]
    for short, long in (encoded, decoded):
        assert torch.allclose(short, long, atol=1e-5) == causal


def run(model: Denoiser, history: int, beyond: int, tail: int) -> torch.Tensor:
    """Denoise two tokens behind a history, before goals and tokens of which nothing is known."""
    sizes = model.config
    tokens = history + 2 + beyond + tail
    place = torch.arange(tokens)[None]
    places = Places(
        place < history,
        (place >= history) & (place < history + 2),
        (place >= history + 2) & (place < history + 2 + beyond),
    )
    width = sizes.denoiser.latent_dim
    x = torch.zeros(1, tokens, sizes.token_width)
    x[:, : history + 2] = draw(1, 8, sizes.token_width)[:, 4 - history : 6]
    zeros = torch.zeros(1, tokens, sizes.token_root_width)
    with torch.no_grad():
        predicted: torch.Tensor = model(
            x,
            places,
            model.embed_text(draw(1, 1, 8)),
            torch.ones(1, 1, dtype=torch.bool),
            model.embed_timesteps(torch.tensor([3])),
            torch.zeros(1),
            zeros,
            zeros,
            torch.zeros(1, tokens, 2 * width),
            torch.ones(1, tokens, width),
        )
    torch.testing.assert_close(predicted[:, :history], x[:, :history])
    assert not predicted[:, history + 2 :].any()
    return predicted[:, history : history + 2]


@pytest.mark.parametrize("learned", [True, False])
def test_what_is_unknown_beyond_changes_nothing(learned: bool) -> None:
    torch.manual_seed(1)
    model = Denoiser(config(learned_prefix=learned), RootStats.identity()).eval()
    torch.testing.assert_close(run(model, 2, 1, 0), run(model, 2, 1, 3))
    assert (run(model, 2, 1, 0) - run(model, 2, 0, 1)).abs().max() > 1e-4
    assert (run(model, 2, 0, 0) - run(model, 1, 0, 0)).abs().max() > 1e-4


def test_a_projection_in_parts_is_the_whole() -> None:
    torch.manual_seed(2)
    whole = ConstrainedProjection(5, 7, 3)
    token, observed = draw(2, 5), draw(2, 7)
    split = whole.split()
    expected = whole(torch.cat((token, observed), dim=-1))
    for parts in (whole, split):
        found = parts.of_token(token) + parts.of_observed(observed)
        torch.testing.assert_close(found, expected)
