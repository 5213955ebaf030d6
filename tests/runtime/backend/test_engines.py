from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_tensorrt import BACKEND, TARGET, add_engine

from motionrt.runtime.backend.engines import (
    EngineInfo,
    EngineSet,
    check_profile,
    has_engine,
    load_engines,
)
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, InputError

INFO = EngineInfo(
    "decoder.engine",
    {"decoder.onnx": "0" * 64},
    "fp16",
    {"features": ((1, 2, 9), (1, 8, 9), (2, 16, 9))},
)
ENGINES = EngineSet("tensorrt-rtx", "89", "1.7.1.116", 16, {"decoder": INFO})


def test_what_is_written_is_read() -> None:
    assert EngineSet.from_dict(json.loads(json.dumps(ENGINES.to_dict()))) == ENGINES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema is not 1"),
        ({"colour": "red"}, "keys are missing or unknown"),
        ({"graphs": {"decoder": {"profile": {"features": [[1], [2]]}}}}, "three shapes"),
    ],
)
def test_descriptions_of_another_form_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineSet.from_dict({**ENGINES.to_dict(), **change})


def test_a_set_fits_the_machine_or_is_refused_with_the_command(own_copy: Path) -> None:
    opened = add_engine(own_copy)
    assert load_engines(opened, BACKEND, "1.7.1.116").max_frames == 16
    with pytest.raises(
        BackendError, match=r"built by tensorrt-rtx 1\.7\.1\.116, this is 2\.0.*--max-frames 16$"
    ):
        load_engines(opened, BACKEND, "2.0")


def test_which_graphs_have_an_engine_and_what_there_is_instead(own_copy: Path) -> None:
    with pytest.raises(BackendError, match=rf"no engines for {TARGET} \(it has: none\)"):
        has_engine(Bundle(own_copy), "decoder", BACKEND)
    opened = add_engine(own_copy)
    assert has_engine(opened, "decoder", BACKEND)
    assert not has_engine(opened, "sampler", BACKEND)
    assert BACKEND.device is not None
    other = replace(BACKEND, device=replace(BACKEND.device, sm="75"))
    with pytest.raises(BackendError, match=rf"sm75 \(it has: {TARGET}\).*--sm 75"):
        has_engine(opened, "decoder", other)


def test_shapes_are_within_what_an_engine_was_built_for() -> None:
    for frames in (2, 16):
        check_profile("decoder", INFO, {"features": (1, frames, 9)}, "build")
    for shape in ((1, 1, 9), (1, 17, 9), (3, 8, 9)):
        with pytest.raises(InputError, match="a larger one with: build"):
            check_profile("decoder", INFO, {"features": shape}, "build")
