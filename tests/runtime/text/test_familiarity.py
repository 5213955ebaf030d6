from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.errors import BundleError
from motionrt.runtime.text.familiarity import KnownPrompts, thin_out

KNOWN = KnownPrompts(np.eye(3, dtype=np.float32), 0.5, ("walk", "run", "jump"))


def test_a_known_prompt_gives_no_hint() -> None:
    assert KNOWN.hint([[0.9, 0.1, 0]], "walk") is None


def test_a_foreign_prompt_gives_one_line_that_names_what_is_known() -> None:
    hint = KNOWN.hint([5, 5, 5], "juggle")
    assert hint is not None and "\n" not in hint
    assert "'juggle'" in hint and "walk, run and jump" in hint


def test_described_and_read_it_is_the_same() -> None:
    read = KnownPrompts.from_manifest(KNOWN.describe(), {"centres": KNOWN.centres})
    assert read.radius == KNOWN.radius and read.actions == KNOWN.actions


@pytest.mark.parametrize("arrays", [{}, {"centres": np.zeros((0, 3))}, {"centres": np.zeros(3)}])
def test_what_does_not_fit_is_refused(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError):
        KnownPrompts.from_manifest(KNOWN.describe(), arrays)


def test_thinned_out_rows_cover_all() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    rows, radius = thin_out(vectors, 40)
    assert len(set(rows.tolist())) == 40
    distances = np.linalg.norm(vectors[:, None] - vectors[rows][None], axis=-1).min(1)
    assert distances.max() == pytest.approx(radius, rel=1e-5)
    assert radius < np.linalg.norm(vectors, axis=-1).max()


def test_one_action_is_named_alone() -> None:
    hint = KnownPrompts(np.eye(3, dtype=np.float32), 0.5, ("walk",)).hint([5, 5, 5], "juggle")
    assert hint is not None and hint.endswith("it knows walk")
