from __future__ import annotations

import subprocess
import sys

import pytest

from motionrt.runtime.errors import BundleError
from motionrt.runtime.families import FAMILIES, Family, all_families, find_family
from motionrt.runtime.options import Kind
from motionrt.runtime.pipeline import Pipeline, pipeline_class
from motionrt.runtime.request import KEYWORDS

every_family = pytest.mark.parametrize("family", all_families(), ids=lambda family: family.name)


@every_family
def test_a_family_is_what_its_row_says(family: Family) -> None:
    assert find_family(family.name) is family
    assert issubclass(pipeline_class(family), Pipeline)
    assert family.motion_graphs


@every_family
def test_its_options_are_told_from_what_every_request_has(family: Family) -> None:
    assert not set(family.options) & set(KEYWORDS)
    for name, option in family.options.items():
        assert option.help.partition("  [")[0].endswith("."), name
        assert "\n" not in option.help, name


@every_family
def test_its_presets_stand_for_options_that_it_has(family: Family) -> None:
    assert ("preset" in family.options) == bool(family.presets)
    for preset in family.presets.values():
        assert set(preset) <= set(family.options)


def test_options_of_one_name_are_one_kind_so_that_they_can_be_one_flag() -> None:
    kinds: dict[str, Kind] = {}
    for family in all_families():
        for name, option in family.options.items():
            assert kinds.setdefault(name, option.kind) == option.kind, name


def test_an_unknown_family_is_refused_with_what_there_is() -> None:
    with pytest.raises(BundleError, match=r"^here: family 'opera' is unknown .*kimodo, motiongpt3"):
        find_family("opera", "here")
    with pytest.raises(BundleError, match=r"^family 'opera'"):
        find_family("opera")


def test_the_table_is_read_without_a_pipeline_or_numpy() -> None:
    code = (
        "import sys; from motionrt.runtime.families import all_families; all_families(); "
        "heavy = {'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(all_families()) == len(FAMILIES)
