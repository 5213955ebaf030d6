"""Cases that the C library cannot run are told as deselected, not failed."""

from __future__ import annotations

import pytest
from parity import exported
from parity.cases import Case


def pytest_configure(config: pytest.Config) -> None:
    exported.BACKENDS["networks"] = config.getoption("backend")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("runtime") == "c":
        left_out = [item for item in items if not runs(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs(item)]


def runs(item: pytest.Item) -> bool:
    """Whether something runs it: a case with runners, or a test of another kind."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    return not isinstance(case, Case) or bool(case.runners)
