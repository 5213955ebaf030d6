from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motionrt.cli._gen_request import request_of_folder, request_of_prompt
from motionrt.runtime.errors import InputError
from motionrt.runtime.families import find_family

KIMODO, MOTIONGPT3 = find_family("kimodo"), find_family("motiongpt3")
COMMON: dict[str, Any] = {"seed": 3, "num_samples": 2, "sample_seeds": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    meta = {"texts": ["walk. on", "sit"], "durations": [1, 2], "diffusion_steps": 9, "seed": 5}
    (tmp_path / "meta.json").write_text(json.dumps({**meta, "cfg": {"text_weight": 3}}))
    (tmp_path / "constraints.json").write_text("[]")
    return tmp_path


def test_a_prompt_is_one_motion_of_as_many_parts_as_the_family_sees() -> None:
    request = request_of_prompt("Walk. Jump.", "1 2", KIMODO, {"num_steps": 4}, COMMON)
    assert (request.prompts, request.seconds) == (("Walk.", "Jump."), (1.0, 2.0))
    assert request.multi_prompt and request.sample_seeds and request.num_samples == 2
    assert request.options == {"num_steps": 4}
    whole = request_of_prompt("Walk. Jump.", "2", MOTIONGPT3, {}, COMMON)
    assert (whole.prompts, whole.multi_prompt) == (("Walk. Jump.",), False)
    with pytest.raises(InputError, match="3 durations for 2 sentences"):
        request_of_prompt("Walk. Jump.", "1 2 3", KIMODO, {}, COMMON)


def test_a_folder_wins_over_flags_but_for_guidance_and_constraints(folder: Path) -> None:
    request = request_of_folder(folder, KIMODO, {"num_steps": 4, "solver": "ddim"}, COMMON)
    assert request.prompts == ("walk. on", "sit") and request.seconds == (1.0, 2.0)
    assert request.seed == 5 and request.num_samples == 2
    assert request.options == {
        "num_steps": 9,
        "solver": "ddim",
        "constraints": folder / "constraints.json",
        "guidance_type": "separated",
        "guidance_weights": [3.0, 2.0],
    }
    flags = {"constraints": "mine.json", "guidance_weights": [4.0]}
    request = request_of_folder(folder, KIMODO, flags, COMMON)
    assert request.options == {**flags, "num_steps": 9}


def test_what_a_folder_leaves_open_is_the_flags(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"text": "walk", "duration": 2}')
    request = request_of_folder(tmp_path, KIMODO, {"num_steps": 4}, COMMON)
    assert request.seed == 3 and request.options == {"num_steps": 4}


def test_several_texts_are_for_families_that_take_sequences(folder: Path) -> None:
    with pytest.raises(InputError, match="2 texts, motiongpt3 takes one"):
        request_of_folder(folder, MOTIONGPT3, {}, COMMON)
