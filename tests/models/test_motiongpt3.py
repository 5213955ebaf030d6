import pytest
import torch
from motiongpt3_checkpoint import CONFIG, make_model
from torch import Tensor

from motionrt.models.motiongpt3 import NUM_MOTION_TOKENS, DiffusionHead, MotionGpt3

PAST = (CONFIG.num_layers, 2, 1, CONFIG.num_heads, 0, CONFIG.width // CONFIG.num_heads)
NO_TOKENS = torch.zeros(1, 0, dtype=torch.int64)
NO_MOTIONS = torch.zeros(1, 0, CONFIG.vae.latent_dim)


@pytest.fixture(scope="module")
def model() -> MotionGpt3:
    return make_model()


def run(
    model: MotionGpt3,
    text: list[tuple[int, int]],
    motion: list[tuple[int, int]],
    latents: Tensor = NO_MOTIONS,
    past: Tensor | None = None,
    past_positions: Tensor = NO_TOKENS,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one row of (id, position) pairs."""
    columns = [torch.tensor(pairs, dtype=torch.int64).view(-1, 2) for pairs in (text, motion)]
    with torch.no_grad():
        result: tuple[Tensor, Tensor, Tensor] = model.lm(
            columns[0][None, :, 0],
            columns[0][None, :, 1],
            columns[1][None, :, 0],
            columns[1][None, :, 1],
            latents,
            torch.zeros(PAST) if past is None else past,
            past_positions,
        )
    return result


TEXT = [(5, 0), (9, 1), (200, 2), (17, 5)]
MOTION = [(2, 3), (2, 4)]


def test_the_order_in_which_tokens_are_given_does_not_matter(model: MotionGpt3) -> None:
    text, motion, _ = run(model, TEXT, MOTION)
    turned, _, _ = run(model, TEXT[::-1], MOTION)
    torch.testing.assert_close(turned.flip(1), text, rtol=0, atol=1e-5)
    assert motion.shape == (1, 2, CONFIG.width)


def test_tokens_see_only_what_comes_before(model: MotionGpt3) -> None:
    text, motion, _ = run(model, TEXT, MOTION)
    shorter, same_motion, _ = run(model, TEXT[:3], MOTION)
    torch.testing.assert_close(shorter, text[:, :3], rtol=0, atol=1e-5)
    torch.testing.assert_close(same_motion, motion, rtol=0, atol=1e-5)
    changed, _, _ = run(model, TEXT, [(3, 3), (2, 4)])
    assert (changed[:, 3] - text[:, 3]).abs().max() > 1e-4


def test_padding_is_not_seen(model: MotionGpt3) -> None:
    text, motion, _ = run(model, TEXT, MOTION)
    padding = [(77, CONFIG.num_positions)] * 3
    padded, same_motion, _ = run(model, TEXT + padding, MOTION)
    torch.testing.assert_close(padded[:, :4], text, rtol=0, atol=1e-5)
    torch.testing.assert_close(same_motion, motion, rtol=0, atol=1e-5)
    assert torch.isfinite(padded).all()


def test_remembered_tokens_give_what_running_them_again_does(model: MotionGpt3) -> None:
    text, _, _ = run(model, TEXT, MOTION)
    _, _, past = run(model, TEXT[:3], MOTION)
    positions = torch.tensor([[0, 1, 2, 3, 4]])
    last, none, present = run(model, TEXT[3:], [], past=past, past_positions=positions)
    torch.testing.assert_close(last, text[:, 3:], rtol=0, atol=1e-5)
    assert none.shape[1] == 0
    assert present.shape[4] == 6


def test_given_motions_fill_holders_chunk_by_chunk(model: MotionGpt3) -> None:
    latents = torch.randn(1, 2, CONFIG.vae.latent_dim)
    with torch.no_grad():
        chunks = model.lm.motion_und_head.layers(latents).view(2, 4, CONFIG.width)
        embedded = model.lm.embed_motion(NUM_MOTION_TOKENS + torch.arange(8)[None], latents)
    torch.testing.assert_close(embedded[0, 0], chunks[0, 0])
    torch.testing.assert_close(embedded[0, 1], chunks[1, 0])
    torch.testing.assert_close(embedded[0, 5], chunks[1, 2])


def test_modulations_do_not_depend_on_the_latent(model: MotionGpt3) -> None:
    head = model.lm.diffloss.net
    assert isinstance(head, DiffusionHead)
    x, hidden = torch.randn(2, CONFIG.vae.latent_dim), torch.randn(2, 4, CONFIG.width)
    timesteps = torch.tensor([3, 700])
    with torch.no_grad():
        condition = head.time_embed(timesteps) + head.cond_embed(hidden)
        found = head.denoise(x, head.modulations(condition))
        torch.testing.assert_close(found, head(x, timesteps, hidden))
