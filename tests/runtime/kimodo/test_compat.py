import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import COMPATS, DEFAULT_COMPAT, resolve_compat


def test_the_fixtures_revision_is_the_default() -> None:
    assert resolve_compat(None) is DEFAULT_COMPAT is COMPATS["2026-03"]
    assert resolve_compat("latest") is COMPATS["latest"]
    assert resolve_compat(DEFAULT_COMPAT) is DEFAULT_COMPAT
    assert {name: compat.name for name, compat in COMPATS.items()} == {n: n for n in COMPATS}


def test_an_unknown_revision_is_refused() -> None:
    with pytest.raises(InputError, match="compat '2025-01': there are 2026-03, latest"):
        resolve_compat("2025-01")
