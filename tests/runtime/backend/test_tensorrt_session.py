"""Sessions of engines, where TensorRT and CUDA are stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_tensorrt import TARGET, FakeCudart, FakeTensorRTForRTX, add_engine, open_engine
from msgspec import structs

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.engines import EngineInfo
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, sha256
from motionrt.runtime.errors import BackendError, BundleError, InputError


def test_runs_like_a_session_and_gives_its_memory_back(own_copy: Path) -> None:
    bundle, cudart = add_engine(own_copy), FakeCudart()
    engine = open_engine(bundle, cudart)
    plain = OnnxSession(bundle, "decoder", choose_backend("cpu"))
    width = int(engine.info.inputs[0].axes[-1])
    for frames in (5, 12, 3):
        shape = (1, frames, width)
        features = np.random.default_rng(frames).standard_normal(shape).astype(np.float32)
        found, expected = (each.run({"features": features}) for each in (engine, plain))
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)
    some = engine.run({"features": features}, ["root_positions"])
    assert list(some) == ["root_positions"]
    assert engine.runs_on == "tensorrt-rtx-sm89, fp32"
    engine.close()
    assert not cudart.blocks
    assert cudart.streams == 0


def test_what_was_compiled_is_kept_beside_the_engines(own_copy: Path) -> None:
    bundle = add_engine(own_copy)
    place = own_copy / "engines" / TARGET / "decoder.cache"
    width = int(bundle.manifest.graphs["decoder"].inputs[0].axes[-1])
    kept = []
    for frames in (5, 5, 12):
        engine = open_engine(bundle, module=FakeTensorRTForRTX)
        engine.run({"features": np.zeros((1, frames, width), np.float32)})
        engine.close()
        kept.append(place.read_bytes())
    assert kept[0]
    assert kept[1] == kept[0]  # read again: nothing was compiled
    assert kept[2].startswith(kept[0]) and len(kept[2]) > len(kept[0])


def test_refuses_shapes_beyond_the_profile(own_copy: Path) -> None:
    engine = open_engine(add_engine(own_copy))
    width = int(engine.info.inputs[0].axes[-1])
    with pytest.raises(InputError, match=r"takes \(1, 2, .*motionrt engine .* --sm 89"):
        engine.run({"features": np.zeros((1, 17, width), np.float32)})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "1.6.0"}, r"built by tensorrt-rtx 1\.6\.0, this is 1\.7\.1\.116"),
        ({"sm": "86"}, "built for tensorrt-rtx sm 86, this is tensorrt-rtx-sm89"),
        ({"backend": "tensorrt"}, "built for tensorrt sm 89"),
    ],
)
def test_refuses_engines_of_another_kind(
    own_copy: Path, changes: dict[str, Any], reason: str
) -> None:
    bundle = add_engine(own_copy, **changes)
    with pytest.raises(BackendError, match=f"{reason}.*build again with: motionrt engine"):
        open_engine(bundle)


def test_refuses_engines_of_another_graph(own_copy: Path) -> None:
    info = EngineInfo("decoder.engine", {"decoder.onnx": "0" * 64}, "fp32", {})
    bundle = add_engine(own_copy, graphs={"decoder": info})
    with pytest.raises(BackendError, match=r"built of another decoder\.onnx; build again with"):
        open_engine(bundle)


def test_refuses_damaged_descriptions_and_engines(own_copy: Path) -> None:
    bundle = add_engine(own_copy)
    path = own_copy / "engines" / TARGET / "decoder.engine"
    content = path.read_bytes()
    path.write_bytes(content[::-1])
    with pytest.raises(BundleError, match="altered since export"):
        open_engine(bundle)
    listed = bundle.manifest.files
    name = f"engines/{TARGET}/decoder.engine"
    files = {**listed, name: FileInfo(len(content), sha256(path))}
    structs.replace(bundle.manifest, files=files).write(own_copy)
    with pytest.raises(BackendError, match="cannot load it; build again with"):
        open_engine(Bundle(own_copy))
    for document in ("[]", "{", '{"schema": 2}', '{"schema": 1, "sm": "89"}'):
        described = own_copy / "engines" / TARGET / "engine.json"
        described.write_text(document)
        name = f"engines/{TARGET}/engine.json"
        files = {**listed, name: FileInfo(len(document), sha256(described))}
        structs.replace(bundle.manifest, files=files).write(own_copy)
        with pytest.raises(BundleError, match=r"engine\.json: damaged"):
            open_engine(Bundle(own_copy))
