from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.ardy.quantizer import Quantizer
from motionrt.runtime.errors import InputError

MANY = np.linspace(-4, 4, 20_001, dtype=np.float32)


@pytest.mark.parametrize(
    ("levels", "values"),
    [
        (2, [-1, 0]),
        (3, [-1, 0, 1]),
        (4, [-1, -0.5, 0, 0.5]),
        (5, [-1, -0.5, 0, 0.5, 1]),
        (16, np.arange(-8, 8) / 8),
    ],
)
def test_every_level_is_reached_and_no_other(levels: int, values: list[float]) -> None:
    quantizer = Quantizer([levels], np.zeros(1), np.ones(1))
    found = np.unique(quantizer.quantize(MANY[:, None]))
    np.testing.assert_allclose(found, values, atol=1e-7)


@pytest.mark.parametrize("normalises", [True, False])
def test_latents_are_on_the_grid_and_stay_there(normalises: bool) -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=2), rng.uniform(0.5, 2, size=2)
    quantizer = Quantizer([8, 5], mean, std, normalises=normalises)
    latents = quantizer.latents(rng.normal(size=(4, 7, 2)))
    np.testing.assert_allclose(quantizer.requantized(latents), latents, atol=1e-6)
    near = latents + rng.uniform(-0.04, 0.04, size=latents.shape).astype(np.float32)
    np.testing.assert_allclose(quantizer.requantized(near), latents, atol=1e-6)
    codes = quantizer.codes(near) * [4, 2]
    np.testing.assert_array_equal(codes, np.rint(codes))


def test_a_decoder_may_be_given_one_where_the_encoder_ends_below() -> None:
    quantizer = Quantizer([4], np.zeros(1), np.ones(1), normalises=False)
    assert quantizer.codes(np.array([[7.0]])) == 1
    assert quantizer.quantize(np.array([[7.0]])) == 0.5


def test_without_quantising_the_decoder_rounds_what_it_is_given() -> None:
    quantizer = Quantizer([4], np.zeros(1), np.ones(1), quantises=False, normalises=False)
    given = np.array([[0.3]], np.float32)
    assert quantizer.latents(given) == given
    assert quantizer.requantized(given) == given
    assert quantizer.codes(given) == quantizer.quantize(given)


def test_tables_that_do_not_fit_are_refused() -> None:
    tables = {"levels": np.array([4, 4]), "latent_mean": np.zeros(2), "latent_std": np.ones(3)}
    with pytest.raises(InputError, match="must be as many"):
        Quantizer.from_tables(tables, True, True)
    tables["latent_std"] = np.ones(2)
    tables["levels"] = np.array([4, 1])
    with pytest.raises(InputError, match="2 levels or more"):
        Quantizer.from_tables(tables, True, True)
