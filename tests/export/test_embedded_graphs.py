"""What the graphs of the embedded default are made of."""

import onnx
import pytest

from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle

GRAPHS = Bundle(embedded_bundle()).manifest.graphs


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_every_operator_is_onnx_s_own(name: str) -> None:
    # An operator of one runtime's own gives other numbers elsewhere, or does not load.
    path = embedded_bundle() / GRAPHS[name].files["onnx"]
    model = onnx.load(path, load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert {opset.domain for opset in model.opset_import} == {""}


def test_what_runs_once_a_motion_is_unpacked_when_it_runs() -> None:
    assert [name for name, graph in GRAPHS.items() if graph.unpack_each_run] == ["text_encoder"]
