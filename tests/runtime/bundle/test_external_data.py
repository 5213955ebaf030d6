from __future__ import annotations

from pathlib import Path

import pytest

from motionrt.runtime.bundle.external_data import external_data
from motionrt.runtime.errors import BundleError


def field(number: int, content: bytes) -> bytes:
    """A field with a length, of at most 127 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


LOCATION = field(13, field(1, b"location") + field(2, b"a.weights"))
"""Of a tensor."""


def test_every_file_of_a_bundles_graphs_is_found(bundle: Path) -> None:
    assert external_data(bundle / "decoder.onnx") == set()
    for name in ("step", "sampler"):  # in the sampler they are inside the loop's body
        assert external_data(bundle / f"{name}.onnx") == {"step.weights"}


@pytest.mark.parametrize(
    "model",
    [
        field(7, field(5, LOCATION)),  # an initializer
        field(7, field(1, field(5, field(5, LOCATION)))),  # a node's attribute
        field(7, field(1, field(5, field(6, field(5, LOCATION))))),  # a graph in a node
        field(7, field(15, field(1, LOCATION))),  # a sparse initializer
        field(7, b"\x08\x01" + b"\x0d1234" + b"\x0912345678" + field(5, LOCATION)),  # after numbers
    ],
)
def test_it_is_found_wherever_a_tensor_may_be(tmp_path: Path, model: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model)
    assert external_data(path) == {"a.weights"}


@pytest.mark.parametrize("content", [b"", b"\x3a", b"\x3a\x7f", b"\xff" * 20, b"\x0b", b"\x0d1"])
def test_what_is_no_graph_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.onnx: no ONNX graph"):
        external_data(path)


def test_graphs_in_graphs_end_somewhere(tmp_path: Path) -> None:
    content = b""
    for _ in range(5000):
        for number in (6, 5, 1):  # graph in attribute in node
            size = len(content)
            length = bytearray()
            while size > 127:
                length.append(size & 127 | 128)
                size >>= 7
            content = bytes([number << 3 | 2, *length, size]) + content
    path = tmp_path / "a.onnx"
    path.write_bytes(
        b"\x3a"
        + bytes([len(content) & 127 | 128, len(content) >> 7 & 127 | 128, len(content) >> 14])
        + content
    )
    with pytest.raises(BundleError, match="nested too deep"):
        external_data(path)
