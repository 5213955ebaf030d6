"""Numbers from the authors' code against ours, through exported bundles and the runtime."""

from __future__ import annotations

import pytest
from parity.cases import OWN, Case, find_cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    roots = metafunc.config.getoption("golden") or [OWN]
    runtime = metafunc.config.getoption("runtime")
    cases = [case for root in roots for case in find_cases(root.resolve(), runtime)]
    metafunc.parametrize(
        "case",
        [
            pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.is_slow else [])
            for case in cases
        ],
    )


def test_golden(case: Case) -> None:
    assert case.runners, f"{case.id}: no runner for this kind of case"
    for run in case.runners:
        run(case.folder)
