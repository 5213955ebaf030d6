from __future__ import annotations

import pytest

from motionrt.cli._extras import needing
from motionrt.runtime.errors import ExportError


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    with (
        pytest.raises(ExportError, match=r'training needs nosuch; pip install ".*\[train\]"'),
        needing("train", "training"),
    ):
        import nosuch  # type: ignore[import-not-found]  # noqa: F401
