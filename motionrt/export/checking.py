"""ONNX's own checks of a graph on disk: valid by its operators' definitions, shapes as stated."""

from __future__ import annotations

from pathlib import Path

import onnx

from motionrt.export.graphs import GraphSpec
from motionrt.runtime.errors import ExportError


def check_model(path: Path, spec: GraphSpec) -> None:
    """Run onnx.checker and shape inference over a graph; ExportError names what is wrong with it.

    Operators of other makers (onnxruntime's products of few bits) have no definition there and are
    passed over. What is inferred of inputs and outputs must be what the spec states.
    """
    try:
        onnx.checker.check_model(str(path))
        # Shapes do not depend on large weights, which stay where they are.
        model = onnx.load(str(path), load_external_data=False)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{spec.name}: is no valid ONNX ({reason})") from error
    stated = {tensor.name: tensor.axes for tensor in (*spec.inputs, *spec.outputs)}
    for value in (*inferred.graph.input, *inferred.graph.output):
        if value.name not in stated or not value.type.tensor_type.HasField("shape"):
            continue
        sizes = value.type.tensor_type.shape.dim
        axes = stated[value.name]
        if len(sizes) != len(axes) or any(
            isinstance(axis, int) and size.HasField("dim_value") and size.dim_value != axis
            for axis, size in zip(axes, sizes, strict=False)
        ):
            found = [size.dim_value if size.HasField("dim_value") else "?" for size in sizes]
            raise ExportError(
                f"{spec.name}/{value.name}: ONNX infers the shape {found}, stated is {list(axes)}"
            )
