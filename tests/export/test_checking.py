from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from motionrt.export.checking import check_model
from motionrt.export.graphs import GraphSpec, TensorSpec
from motionrt.runtime.errors import ExportError


def _spec(*axes: str | int) -> GraphSpec:
    return GraphSpec("sum", (TensorSpec("x", ("batch", 3)),), (TensorSpec("y", axes),), atol=1e-5)


def _write(path: Path, operator: str = "Relu", out: tuple[str | int, ...] = ("batch", 3)) -> Path:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(operator, ["x"], ["y"])],
            "sum",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(out))],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    onnx.save(model, str(path))
    return path


def test_a_graph_as_stated_passes(tmp_path: Path) -> None:
    check_model(_write(tmp_path / "a.onnx"), _spec("batch", 3))


@pytest.mark.parametrize("axes", [("batch", 4), ("batch", 3, 1)])
def test_other_shapes_than_stated_are_named(tmp_path: Path, axes: tuple[str | int, ...]) -> None:
    with pytest.raises(ExportError, match=r"sum/y: ONNX infers the shape \['\?', 3\], stated is"):
        check_model(_write(tmp_path / "a.onnx"), _spec(*axes))


def test_what_is_no_onnx_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="sum: is no valid ONNX") as caught:
        check_model(_write(tmp_path / "a.onnx", "NoSuchOperator"), _spec("batch", 3))
    assert "\n" not in str(caught.value)
    with pytest.raises(ExportError, match="sum: is no valid ONNX"):
        check_model(_write(tmp_path / "b.onnx", out=("batch", 7)), _spec("batch", 3))
