"""Manifests of schema 1 are read as those of schema 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from motionrt.runtime.body.skeleton import RULE_NAMES, Skeleton
from motionrt.runtime.bundle.manifest import AxisInfo, Bundle, LoopInfo, Manifest
from motionrt.runtime.bundle.schema_1 import upgraded
from motionrt.runtime.errors import BundleError


def as_schema_1(manifest: Manifest) -> dict[str, Any]:
    """Leave out what schema 1 did not say: loops, sizes of axes, how skeletons are treated."""
    document: dict[str, Any] = json.loads(msgspec.json.encode(manifest))
    for graph in document["graphs"].values():
        graph.pop("axes", None)
        graph.pop("loop", None)
    for key in ("skeleton", "output_skeleton"):
        document[key] = {k: v for k, v in document[key].items() if k not in RULE_NAMES}
    return {"schema": 1, **document}


def read(folder: Path, document: dict[str, Any]) -> Manifest:
    (folder / "manifest.json").write_text(json.dumps(document))
    return Bundle(folder).manifest


def test_a_manifest_of_schema_1_says_what_it_says_in_schema_2(own_copy: Path) -> None:
    new = Bundle(own_copy).manifest
    new.write(own_copy)
    assert json.loads((own_copy / "manifest.json").read_text())["schema"] == 2
    old = read(own_copy, as_schema_1(new))
    assert {name: graph.loop for name, graph in old.graphs.items()} == {
        name: graph.loop for name, graph in new.graphs.items()
    }
    # The decoder takes more frames than are sampled at once; that could not be said before.
    assert old.graphs["decoder"].axis("frames").largest == new.limits.max_frames
    assert new.graphs["decoder"].axis("frames").largest is None
    assert {name: graph.axes for name, graph in old.graphs.items() if name != "decoder"} == {
        name: graph.axes for name, graph in new.graphs.items() if name != "decoder"
    }
    for before, after in ((old.skeleton, new.skeleton), (old.output_skeleton, new.output_skeleton)):
        assert Skeleton.from_dict(before).to_dict() == Skeleton.from_dict(after).to_dict()


def test_what_was_left_to_be_guessed_is_stated(own_copy: Path) -> None:
    graphs = read(own_copy, as_schema_1(Bundle(own_copy).manifest)).graphs
    assert graphs["sampler"].loop == LoopInfo(
        step="step",
        carried={"x": "x_next", "x0_previous": "x0"},
        scanned={"timestep": "timesteps", "coefficients": "schedule"},
        padded_axis="frames",
    )
    assert graphs["step"].loop is None and graphs["decoder"].loop is None
    sampler = graphs["sampler"]
    assert sampler.axis("steps") == AxisInfo(1, 20, 1000)
    assert sampler.axis("frames") == AxisInfo(1, 150, 4997)
    assert sampler.axis("branches") == AxisInfo(1, 2, 3)
    assert sampler.axis("batch") == AxisInfo()
    # Of a text encoder nothing is known: its tokens are words, not the denoiser's.
    assert graphs["text_encoder"].axes == {}


def test_how_a_skeleton_is_treated_comes_from_its_name(own_copy: Path) -> None:
    document = as_schema_1(Bundle(own_copy).manifest)
    document["output_skeleton"]["name"] = "smplx22"
    document["skeleton"]["name"] = "a stranger"
    found = read(own_copy, document)
    assert found.output_skeleton["extra_formats"] == ["amass"]
    assert not set(found.skeleton) & set(RULE_NAMES)


def spoil_tensors(document: dict[str, Any]) -> None:
    document["graphs"]["step"]["inputs"].pop()


def empty_outputs(document: dict[str, Any]) -> None:
    document["graphs"]["step"]["outputs"] = []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("limits"),
        lambda d: d.update(limits={}),
        lambda d: d.update(sampler=None),
        lambda d: d.update(skeleton=[]),
        lambda d: d.update(graphs=[1]),
        lambda d: d["graphs"].update(step={"inputs": 3}),
        lambda d: d["graphs"]["step"]["inputs"][0].pop("axes"),
    ],
)
def test_what_is_malformed_is_refused_by_the_rules_of_schema_2(
    own_copy: Path, spoil: Callable[[dict[str, Any]], object]
) -> None:
    document = as_schema_1(Bundle(own_copy).manifest)
    spoil(document)
    with pytest.raises(BundleError) as refusal:
        read(own_copy, document)
    assert "\n" not in str(refusal.value) and "export the bundle again" in str(refusal.value)


@pytest.mark.parametrize("spoil", [spoil_tensors, empty_outputs])
def test_a_loop_that_does_not_fit_its_step_is_refused(
    own_copy: Path, spoil: Callable[[dict[str, Any]], object]
) -> None:
    document = as_schema_1(Bundle(own_copy).manifest)
    spoil(document)
    with pytest.raises(BundleError):
        read(own_copy, document)


def test_upgrading_leaves_what_it_was_given_as_it_is(own_copy: Path) -> None:
    document = as_schema_1(Bundle(own_copy).manifest)
    before = json.dumps(document)
    upgraded(document)
    assert json.dumps(document) == before
