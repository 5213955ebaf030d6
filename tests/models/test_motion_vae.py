import pytest
import torch

from motionrt.models.motion_vae import DecoderLayer, MotionVae, MotionVaeConfig, SkipStack

CONFIG = MotionVaeConfig(num_features=263, latent_dim=16, ff_size=32, num_layers=3, num_heads=2)


@pytest.fixture(scope="module")
def vae() -> MotionVae:
    torch.manual_seed(0)
    return MotionVae(CONFIG).eval()


def test_padding_changes_nothing(vae: MotionVae) -> None:
    features = torch.randn(1, 10, 263)
    padded = torch.cat((features, torch.full((1, 4, 263), 9.0)), dim=1)
    mask = torch.arange(14)[None] < 10
    with torch.no_grad():
        alone = vae.encode(features, mask[:, :10])
        with_padding = vae.encode(padded, mask)
        decoded = vae.decode(alone[0], mask[:, :10])
        longer = vae.decode(alone[0], mask)
    torch.testing.assert_close(with_padding, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(longer[:, :10], decoded, rtol=0, atol=1e-5)
    assert not longer[:, 10:].any()


def test_one_key_is_what_full_attention_gives() -> None:
    layer = DecoderLayer(16, 2, 32)
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    reference.load_state_dict(layer.multihead_attn.state_dict())
    memory, queries = torch.randn(2, 1, 16), torch.randn(2, 5, 16)
    with torch.no_grad():
        want, _ = reference(queries, memory, memory)
        found = layer.multihead_attn(memory).expand(-1, 5, -1)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


def test_an_even_number_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        SkipStack([DecoderLayer(16, 2, 32) for _ in range(2)], 16)
