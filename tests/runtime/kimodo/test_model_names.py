import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.model_names import MODELS, model_key, resolve_model_name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("soma", "kimodo-soma-rp"),
        ("nvidia/Kimodo-SOMA-RP-v1.1", "kimodo-soma-rp"),
        ("kimodo_g1_rp", "kimodo-g1-rp"),
        ("seed", "kimodo-soma-seed"),
        ("G1-RigPlay", "kimodo-g1-rp"),
        ("TMR-SOMA-RP-v1", "tmr-soma-rp"),
        *((key, key) for key in MODELS),
    ],
)
def test_all_spellings_of_a_model(name: str, key: str) -> None:
    assert resolve_model_name(name) == key


def test_the_callers_family_fills_in() -> None:
    assert resolve_model_name("soma", "TMR") == "tmr-soma-rp"


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="there is no kimodo-smplx-seed"):
        resolve_model_name("smplx-seed")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("nvidia/Kimodo-SOMA-RP-v1.1", "kimodo-soma-rp"),
        ("g1", "kimodo-g1-rp"),
        ("kimodo", "kimodo-soma-rp"),
        ("mg3", None),
        ("kimodo-soma-rp-v9", None),
        ("kimodo-somma-rp", None),
        ("smplx-seed", None),
        ("v1", None),
        ("", None),
    ],
)
def test_only_a_name_of_which_every_word_means_something_is_a_key(
    name: str, key: str | None
) -> None:
    assert model_key(name) == key
