import pytest
import torch
from torch import Tensor

from motionrt.models.decoder_lm import DecoderConfig, DecoderLM
from motionrt.models.motion_lm import MotionLM

CONFIG = DecoderConfig(120, 32, 48, 2, 4, 2, 16, 1e-6, 1e6, qk_norm=True)
FIRST, COUNT = 100, 15


@pytest.fixture(scope="module")
def model() -> MotionLM:
    torch.manual_seed(0)
    made = MotionLM(CONFIG, COUNT).eval()
    with torch.no_grad():
        made.lm_head.weight.copy_(made.model.embed_tokens.weight)
        made.motion_head.weight.copy_(made.lm_head.weight[FIRST : FIRST + COUNT])
    return made


def nothing(batch: int) -> dict[str, Tensor]:
    empty = torch.zeros(batch, CONFIG.num_kv_heads, 0, CONFIG.head_dim)
    return {f"past_{kind}_{i}": empty for i in range(2) for kind in ("key", "value")}


def call(
    model: MotionLM, ids: Tensor, lengths: Tensor, columns: Tensor, past: dict[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    with torch.no_grad():
        logits, motion, *present = model(ids, lengths, columns, columns, **past)
    return logits, motion, dict(zip(past, present, strict=True))


def every(ids: Tensor) -> Tensor:
    return torch.arange(ids.shape[1]).expand(len(ids), -1)


def test_it_predicts_what_the_text_encoder_hears(model: MotionLM) -> None:
    ids = torch.randint(0, 120, (2, 7))
    logits, motion, _ = call(model, ids, torch.full((2,), 7), every(ids), nothing(2))
    with torch.no_grad():
        want = model.lm_head(model.model(ids, torch.ones_like(ids)))
    assert isinstance(model.model, DecoderLM)
    torch.testing.assert_close(logits, want, rtol=0, atol=1e-5)
    torch.testing.assert_close(motion, want[..., FIRST : FIRST + COUNT], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pieces", [(4, 3), (1,) * 7, (2, 1, 4)])
def test_pieces_are_the_whole(model: MotionLM, pieces: tuple[int, ...]) -> None:
    ids = torch.randint(0, 120, (1, 7))
    whole, _, cache = call(model, ids, torch.tensor([7]), every(ids), nothing(1))
    past, done, found = nothing(1), 0, []
    for size in pieces:
        piece = ids[:, done : done + size]
        done += size
        logits, _, past = call(model, piece, torch.tensor([done]), every(piece), past)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(past, cache, rtol=0, atol=1e-5)


def test_a_row_that_is_padded_goes_on_as_it_would_alone(model: MotionLM) -> None:
    ids = torch.randint(0, 120, (2, 6))
    lengths = torch.tensor([6, 4])
    logits, _, past = call(model, ids, lengths, (lengths - 1)[:, None], nothing(2))
    token = torch.tensor([[3], [5]])
    following, _, _ = call(model, token, lengths + 1, torch.zeros(2, 1).long(), past)
    for row in range(2):
        own = ids[row : row + 1, : lengths[row]]
        alone, _, kept = call(model, own, lengths[row : row + 1], every(own), nothing(1))
        torch.testing.assert_close(logits[row], alone[0, -1:], rtol=0, atol=1e-5)
        one = token[row : row + 1]
        last, _, _ = call(model, one, lengths[row : row + 1] + 1, every(one), kept)
        torch.testing.assert_close(following[row], last[0], rtol=0, atol=1e-5)


def test_a_cache_may_be_longer_than_what_it_holds(model: MotionLM) -> None:
    ids = torch.randint(0, 120, (1, 5))
    want, _, _ = call(model, ids, torch.tensor([5]), every(ids), nothing(1))
    past = {
        name: torch.full((1, CONFIG.num_kv_heads, 12, CONFIG.head_dim), 7.0) for name in nothing(1)
    }
    first, _, past = call(model, ids[:, :3], torch.tensor([3]), every(ids[:, :3]), past)
    second, _, past = call(model, ids[:, 3:], torch.tensor([5]), every(ids[:, 3:]), past)
    torch.testing.assert_close(torch.cat((first, second), 1), want, rtol=0, atol=1e-5)
    assert past["past_key_0"].shape[2] == 12


def test_it_computes_what_transformers_does(model: MotionLM) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen3Config(
        vocab_size=120,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
    )
    theirs = transformers.Qwen3ForCausalLM(config).eval()
    state = {name: t for name, t in model.state_dict().items() if "motion_head" not in name}
    theirs.load_state_dict(state)
    ids = torch.randint(0, 120, (2, 9))
    with torch.no_grad():
        want = theirs(ids).logits
    logits, _, _ = call(model, ids, torch.full((2,), 9), every(ids), nothing(2))
    torch.testing.assert_close(logits, want, rtol=0, atol=1e-4)
