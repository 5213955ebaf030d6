from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from places import GOLDEN

from motionrt.export.bundle import BundleWriter
from motionrt.export.graphs import Graph
from motionrt.export.kimodo import export_kimodo
from motionrt.export.kimodo_cuda import has_cuda_form
from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.errors import ExportError


class Stop(Exception):
    """Ends an export where its first graph would be made."""


class FirstGraph(BundleWriter):
    graph: Graph

    def add_graph(self, graph: Graph, *_: Any, **__: Any) -> None:
        self.graph = graph
        raise Stop


@pytest.mark.parametrize("num_tokens", [1, 8])
def test_random_texts_are_a_tenth_of_other_inputs(
    num_tokens: int, smplx_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(smplx_checkpoint, tmp_path / "checkpoint"))
    config = (folder / "config.yaml").read_text()
    assert "num_text_tokens_override: 8" in config
    config = config.replace(
        "num_text_tokens_override: 8", f"num_text_tokens_override: {num_tokens}"
    )
    (folder / "config.yaml").write_text(config)
    writer = FirstGraph(tmp_path, lambda stage: None)
    with pytest.raises(Stop):
        export_kimodo(writer, read_kimodo(folder), None)
    check = writer.graph.checks[0]
    assert check["text_features"].shape[1] == min(num_tokens, 2)
    assert 0.05 < check["text_features"].std() < 0.15
    assert 0.8 < check["x"].std() < 1.2


def test_a_network_without_a_form_for_cuda_is_told_before_the_work(tmp_path: Path) -> None:
    checkpoint = read_kimodo(GOLDEN / "kimodo" / "checkpoints" / "Kimodo-SOMA-SEED-v1")
    assert not has_cuda_form(checkpoint.model.config)
    writer = FirstGraph(tmp_path, lambda stage: None)
    with pytest.raises(ExportError, match=r"no form for CUDA .* export it without --cuda"):
        export_kimodo(writer, checkpoint, None, cuda=True)


def test_the_released_kind_of_network_has_one(smplx_checkpoint: Path) -> None:
    config = read_kimodo(smplx_checkpoint).model.config
    assert has_cuda_form(config)
    for changed in (
        replace(config, norm_first=True),
        replace(config, use_text_mask=True),
        replace(config, keep_held_root=True),
    ):
        assert not has_cuda_form(changed)
