from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.input_folder import read_input_folder, stored_guidance, with_guidance

KEYS = ["text", "texts", "duration", "durations", "num_samples", "diffusion_steps", "seed", "cfg"]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.floats(allow_nan=True)
    | st.text(max_size=3)
    | st.lists(st.text(max_size=3) | st.floats(0.1, 9), max_size=3)
)


def write(folder: Path, meta: Any) -> Path:
    (folder / "meta.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    return folder


def test_one_text(tmp_path: Path) -> None:
    found = read_input_folder(write(tmp_path, {"text": "a. b", "duration": 2}))
    assert found.texts == ("a. b",) and found.seconds == (2.0,)
    assert found.constraints is None and not found.has_seed
    assert found.num_samples is None and found.diffusion_steps is None


def test_several_texts_with_everything(tmp_path: Path) -> None:
    meta = {
        "texts": ["walk", ""],
        "durations": [1, 2.5],
        "num_samples": 2,
        "diffusion_steps": 10,
        "seed": None,
        "cfg": {"enabled": False},
    }
    (tmp_path / "constraints.json").write_text("[]")
    found = read_input_folder(write(tmp_path, meta))
    assert found.texts == ("walk", "") and found.seconds == (1.0, 2.5)
    assert found.num_samples == 2 and found.diffusion_steps == 10
    assert found.has_seed and found.seed is None
    assert found.constraints == tmp_path / "constraints.json"
    assert found.guidance == {"guidance_type": "nocfg"}


def test_flags_win_over_the_guidance_of_a_folder() -> None:
    stored = stored_guidance({"cfg": {"text_weight": 3}})
    assert stored == {"guidance_type": "separated", "guidance_weights": [3.0, 2.0]}
    assert with_guidance({"num_steps": 3}, stored) == {"num_steps": 3, **stored}
    assert with_guidance({"guidance_type": "nocfg"}, stored) == {"guidance_type": "nocfg"}
    assert stored_guidance({"text": "walk"}) == {}


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"text": "a", "duration": 1, "cfg": 3}, "cfg is 3, expected an object"),
        ({"text": "a", "duration": 1, "cfg": {"text_weight": "high"}}, "cfg weight 'high'"),
        ({"text": "a", "duration": 1, "cfg": {"constraint_weight": True}}, "cfg weight True"),
        ({}, "text is missing"),
        ({"text": "a"}, "duration is missing"),
        ({"texts": ["a"]}, "durations is missing"),
        ({"text": 3, "duration": 1}, "text must be a text"),
        ({"texts": "ab", "durations": [1, 1]}, "texts must be a list of texts"),
        ({"text": "a", "duration": -1}, "duration must be seconds above 0"),
        ({"text": "a", "duration": True}, "duration must be seconds above 0"),
        ({"texts": ["a"], "durations": 1}, "durations must be seconds"),
        ({"texts": ["a"], "durations": [1, 2]}, "1 texts and 2 durations"),
        ({"texts": [], "durations": []}, "0 texts"),
        ({"text": "a", "duration": 1, "seed": "7"}, "seed is '7'"),
        ({"text": "a", "duration": 1, "num_samples": 0}, "num_samples is 0"),
        ({"text": "a", "duration": 1, "diffusion_steps": 1.5}, "diffusion_steps is 1.5"),
        ({"text": "a", "duration": 10**400}, "duration must be seconds above 0"),
        ({"texts": ["a", "b"], "durations": [10**400, 2]}, "durations must be seconds above 0"),
        ({"text": "a", "duration": 1, "cfg": {"text_weight": 10**400}}, "cfg weight 1000"),
        ({"text": "a", "duration": 1, "cfg": {"text_weight": float("nan")}}, "cfg weight nan"),
        ([], "expected an object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_wrong_folders_are_explained(tmp_path: Path, meta: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"meta.json: .*{message}"):
        read_input_folder(write(tmp_path, meta))


def test_a_pipe_in_the_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meta.json")
    with pytest.raises(InputError, match=r"meta\.json: is a pipe"):
        read_input_folder(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"meta\.json: cannot be read"):
        read_input_folder(tmp_path / "none")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_meta_is_read_or_explained(tmp_path: Path, meta: dict[str, Any]) -> None:
    try:
        found = read_input_folder(write(tmp_path, meta))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len(found.texts) == len(found.seconds) > 0
        assert all(0 < value < float("inf") for value in found.seconds)
