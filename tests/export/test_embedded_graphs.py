"""What the graphs of the embedded default are made of."""

import onnx
import pytest

from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle

GRAPHS = Bundle(embedded_bundle()).manifest.graphs
CUDA_OPERATORS = frozenset(
    """
    Abs Add And Cast Clip Concat Cos Div Equal Expand Gather GatherND Gelu Gemm Greater
    GreaterOrEqual LayerNormalization Less LessOrEqual MatMul Max Mul Neg Not Pow Range Reciprocal
    ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Reshape Shape Sigmoid Sin Slice
    Softmax Split Sqrt Squeeze Sub Transpose Unsqueeze Where
    """.split()
)
"""Operators that onnxruntime runs on CUDA: `.ci/gpu` shows it of a graph. An arctangent is none."""


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_every_operator_is_onnx_s_own(name: str) -> None:
    # An operator of one runtime's own gives other numbers elsewhere, or does not load.
    path = embedded_bundle() / GRAPHS[name].files["onnx"]
    model = onnx.load(path, load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert {opset.domain for opset in model.opset_import} == {""}


@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"sampler"}))
def test_every_operator_has_a_cuda_kernel(name: str) -> None:
    # One that has none keeps CUDA from recording the step, and its data go through the host. A GPU
    # runs the sampler by its step.
    model = onnx.load(embedded_bundle() / GRAPHS[name].files["onnx"], load_external_data=False)
    assert {node.op_type for node in model.graph.node} <= CUDA_OPERATORS


def test_the_sampler_is_a_loop_over_the_step() -> None:
    step, sampler = (
        onnx.load(embedded_bundle() / GRAPHS[name].files["onnx"], load_external_data=False)
        for name in ("step", "sampler")
    )
    loop = next(node for node in sampler.graph.node if node.op_type == "Loop")
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    operators = [node.op_type for node in body.node]
    assert operators[-len(step.graph.node) :] == [node.op_type for node in step.graph.node]


def test_what_runs_once_a_motion_is_unpacked_when_it_runs() -> None:
    assert [name for name, graph in GRAPHS.items() if graph.unpack_each_run] == ["text_encoder"]
