from pathlib import Path

import pytest
import torch
from torch import Tensor

from motionrt.runtime.errors import InputError
from motionrt.train.gradient import GradientSettings, fit_gradient, masked_mse, weighted_mse

pytestmark = pytest.mark.slow

SETTINGS = GradientSettings(epochs=6, batch_size=8, learning_rate=3e-3)


def _pairs(tokens: int | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(16, 10, generator=generator)
    shape = (60,) if tokens is None else (60, tokens)
    x = torch.randn(*shape, 16, generator=generator)
    x[..., 2] *= 40
    y = torch.tanh(x @ mix * 0.1) + 5
    return x[:48], y[:48], x[48:], y[48:]


@pytest.mark.parametrize("kind", ["linear", "mlp", "attention"])
def test_training_learns_and_the_scaling_is_folded_in(kind: str) -> None:
    data = _pairs()
    fit = fit_gradient(kind, *data, SETTINGS.replaced(epochs=30), hidden_dim=32, num_heads=4)
    assert fit.validation_loss[fit.best_epoch] == min(fit.validation_loss)
    with torch.no_grad():
        x = data[2] if kind != "attention" else data[2].unsqueeze(1)
        found = fit.module(x).reshape(data[3].shape)
    error, of_mean = ((found - data[3]) ** 2).mean(), data[3].var()
    assert error < 0.7 * of_mean


def test_one_seed_gives_one_result() -> None:
    fits = [fit_gradient("mlp", *_pairs(), SETTINGS, hidden_dim=8) for _ in range(2)]
    other = fit_gradient("mlp", *_pairs(), SETTINGS.replaced(seed=1), hidden_dim=8)
    for name, value in fits[0].module.state_dict().items():
        assert torch.equal(value, fits[1].module.state_dict()[name])
    assert fits[0].train_loss != other.train_loss


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = fit_gradient("mlp", *_pairs(), SETTINGS, hidden_dim=8)
    checkpoint = tmp_path / "training.pt"

    def interrupt(done: int, total: int, loss: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_gradient(
            "mlp", *_pairs(), SETTINGS, hidden_dim=8, checkpoint=checkpoint, progress=interrupt
        )
    assert checkpoint.exists()
    seen: list[int] = []
    resumed = fit_gradient(
        "mlp",
        *_pairs(),
        SETTINGS,
        hidden_dim=8,
        checkpoint=checkpoint,
        progress=lambda done, total, loss: seen.append(done),
    )
    assert seen == [4, 5, 6]
    assert resumed.validation_loss == whole.validation_loss
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])
    assert checkpoint.exists()  # until its caller has stored what came out


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.pt"

    def interrupt(done: int, total: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_gradient("linear", *_pairs(), SETTINGS, checkpoint=checkpoint, progress=interrupt)
    with pytest.raises(InputError, match="other data or settings"):
        fit_gradient("linear", *_pairs(), SETTINGS.replaced(seed=9), checkpoint=checkpoint)
    checkpoint.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is no training checkpoint"):
        fit_gradient("linear", *_pairs(), SETTINGS, checkpoint=checkpoint)


def test_training_stops_without_progress() -> None:
    x, y, xv, yv = _pairs()
    y = torch.randn_like(y)  # nothing to learn
    fit = fit_gradient("linear", x, y, xv, yv, SETTINGS.replaced(epochs=80, patience=3))
    assert len(fit.validation_loss) < 80
    assert len(fit.validation_loss) - 1 - fit.best_epoch == 3


@pytest.mark.parametrize("loss", ["cosine", "infonce"])
def test_other_losses_lower_the_error_too(loss: str) -> None:
    fit = fit_gradient("linear", *_pairs(), SETTINGS.replaced(loss=loss, ema=0.5))
    assert fit.validation_loss[-1] < fit.validation_loss[0]


def test_masked_tokens_are_not_seen() -> None:
    x, y, xv, yv = _pairs(tokens=5)
    mask, mask_v = torch.ones(48, 5), torch.ones(12, 5)
    mask[:, 3:], mask_v[:, 3:] = 0, 0
    fits = []
    for filler in (0.0, 1e4):
        x[:, 3:], xv[:, 3:] = filler, filler
        fits.append(
            fit_gradient(
                "attention",
                *(x, y, xv, yv),
                SETTINGS,
                num_heads=4,
                mask=mask,
                mask_validation=mask_v,
            )
        )
    assert fits[0].validation_loss == pytest.approx(fits[1].validation_loss, rel=1e-5)


def test_losses_by_hand() -> None:
    p, t = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2, 2)
    w = torch.tensor([1.0, 3.0])
    assert weighted_mse(p, t).item() == pytest.approx(5 / 4)
    assert weighted_mse(p, t, w).item() == pytest.approx(13 / 4)
    assert weighted_mse(p, t, w, normalised=True).item() == pytest.approx(13 / 8)
    assert masked_mse(p[None], t[None], torch.tensor([[1, 0]])).item() == pytest.approx(5 / 2)


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"learning_rate": -1}, {"loss": "hinge"}, {"schedule": "steps"}]
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        SETTINGS.replaced(**change)


def test_divergence_is_told() -> None:
    settings = SETTINGS.replaced(learning_rate=1e30, clip_norm=None, standardise=False)
    with pytest.raises(InputError, match="diverged"):
        fit_gradient("mlp", *_pairs(), settings, hidden_dim=8)
