"""What is asked for: checked once, the same from Python, JSON and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from motionrt.runtime.errors import InputError
from motionrt.runtime.families import all_families, find_family
from motionrt.runtime.request import (
    Request,
    num_frames,
    request_fields,
    request_schema,
    split_request,
)
from motionrt.runtime.sampling.noise import MAX_SEED

KIMODO, MOTIONGPT3 = find_family("kimodo"), find_family("motiongpt3")


def test_one_length_serves_every_prompt() -> None:
    request = Request.make(KIMODO, ["walk", "jump"], 2)
    assert request.prompts == ("walk", "jump") and request.seconds == (2.0, 2.0)
    arrays: Any = np.array([1, 2.5]), np.int64(7)
    each = Request.make(KIMODO, ["walk", "jump"], arrays[0], num_frames=[20, 30])
    assert each.seconds == (1.0, 2.5) and each.num_frames == (20, 30)
    assert Request.make(KIMODO, "walk", num_frames=arrays[1]).num_frames == (7,)


def test_requests_that_ask_the_same_are_equal() -> None:
    one = Request.make(KIMODO, "walk", 2, seed=3, options={"num_steps": 4, "solver": None})
    assert one == Request.make(KIMODO, ("walk",), [2.0], seed=3, options={"num_steps": np.int32(4)})
    assert one != Request.make(KIMODO, "walk", 2, seed=4, options={"num_steps": 4})


def test_a_preset_stands_for_what_is_not_given() -> None:
    fast = Request.make(KIMODO, "walk", options={"preset": "fast"})
    assert fast.options == {
        "solver": "dpmpp-2m",
        "num_steps": 12,
        "guidance_interval": [0.1, 1.0],
    }
    fewer = Request.make(KIMODO, "walk", options={"preset": "fast", "num_steps": 5})
    assert fewer.options == {**fast.options, "num_steps": 5}
    with pytest.raises(InputError, match="preset 'quick': kimodo has fast, balanced, exact"):
        Request.make(KIMODO, "walk", options={"preset": "quick"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_step": 4},
            r"kimodo has no option num_step; did you mean num_steps\? \(it has chain, comp",
        ),
        ({"duration": 4}, r"no option duration; did you mean seconds\?"),
        ({"steps": 4}, r"no option steps; did you mean num_steps\?"),
        ({"sed": 4}, r"no option sed; did you mean seed\?"),
        ({"xyzzy": 4}, r"no option xyzzy \(it has"),
        ({"temperature": 1.0}, "kimodo has no option temperature"),
        ({"num_steps": 4.0}, "num_steps is 4.0, must be a whole number"),
        ({"num_steps": True}, "num_steps is True, must be a whole number"),
        ({"solver": 3}, "solver is 3, must be a text"),
        ({"postprocess": 1}, "postprocess is 1, must be true or false"),
        ({"root_margin": "wide"}, "root_margin is 'wide', must be a number"),
    ],
)
def test_an_option_that_there_is_not_is_refused_with_the_nearest(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        Request.make(KIMODO, "walk", options=options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": []}, "no prompt given"),
        ({"prompt": [3]}, "a prompt must be a text"),
        ({"prompt": 3}, "prompt is int, must be a text or"),
        ({"prompt": "a \ud83d"}, "which is no letter"),
        ({"seconds": [1, 2]}, "2 durations for 1 prompts"),
        ({"num_frames": [1, 2]}, "2 durations for 1 prompts"),
        ({"seconds": float("nan")}, "duration nan s: must be a finite number above 0"),
        ({"seconds": 0}, "duration 0 s"),
        ({"seconds": "2"}, "duration 2 s"),
        ({"num_frames": 2.5}, "num_frames is 2.5, must be a whole number"),
        ({"num_samples": 0}, "0 samples: must be from 1 to 4294967295"),
        ({"num_samples": 1 << 32}, "4294967296 samples: must be from 1 to 4294967295"),
        ({"num_samples": True}, "num_samples is True"),
        ({"seed": -1}, f"seed -1: must be from 0 to {MAX_SEED}"),
        ({"seed": MAX_SEED + 1}, "seed 4294967296"),
        ({"seed": 1.5}, "seed is 1.5, must be a whole number"),
        (
            {"seed": MAX_SEED, "num_samples": 3, "sample_seeds": True},
            f"must be from 0 to {MAX_SEED - 2}",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request.make(KIMODO, **{"prompt": "walk", **arguments})


def test_prompts_in_sequence_are_for_families_that_take_them() -> None:
    assert Request.make(KIMODO, ["a", "b"], multi_prompt=True).multi_prompt
    # One prompt is no sequence: every family takes it.
    assert not Request.make(MOTIONGPT3, ["a"], multi_prompt=True).multi_prompt
    with pytest.raises(InputError, match="motiongpt3 makes a motion of one prompt, 2 are given"):
        Request.make(MOTIONGPT3, ["a", "b"], multi_prompt=True)


# JSON


def test_a_prompt_is_split_into_sentences_and_prompts_are_taken_as_they_are() -> None:
    split = Request.from_json({"prompt": "Walk. Jump", "seconds": "2 3"}, KIMODO)
    assert (split.prompts, split.seconds) == (("Walk.", "Jump."), (2.0, 3.0))
    assert split.multi_prompt
    whole = Request.from_json({"prompts": ["Walk. Jump"], "seconds": "2"}, KIMODO)
    assert (whole.prompts, whole.seconds) == (("Walk. Jump",), (2.0,))
    alone = Request.from_json({"prompt": "Walk. Jump"}, MOTIONGPT3)
    assert (alone.prompts, alone.seconds) == (("Walk. Jump",), (5.0,))
    apart = Request.from_json({"prompts": ["a", "b"], "multi_prompt": False}, KIMODO)
    assert not apart.multi_prompt


def test_defaults_fill_what_is_left_open_and_files_are_relative(tmp_path: Path) -> None:
    document = {"prompt": "walk", "seconds": None, "num_steps": 4, "constraints": "c.json"}
    defaults = {"seconds": "2", "num_steps": 9, "solver": "ddim", "seed": 7}
    request = Request.from_json(document, KIMODO, tmp_path, defaults)
    assert request.seconds == (2.0,) and request.seed == 7
    assert request.options == {
        "num_steps": 4,
        "solver": "ddim",
        "constraints": str(tmp_path / "c.json"),
    }
    gap = {"prompt": "", "between": ["a.npz", "/b.npz"]}
    assert Request.from_json(gap, MOTIONGPT3, tmp_path).options["between"] == (
        str(tmp_path / "a.npz"),
        "/b.npz",
    )


REFUSED: list[tuple[Any, str]] = [
    ([], "a request is an object with prompt, or prompts"),
    ({}, "give prompt, or prompts"),
    ({"prompt": "a", "prompts": ["b"]}, "give prompt, or prompts"),
    ({"prompt": "a", "duration": 1}, r"unknown key duration; did you mean seconds\? \(known: "),
    ({"prompt": "a", "temperature": 1}, "unknown key temperature"),
    ({"prompt": 3}, "prompt: Expected `str | null`, got `int`"),
    ({"prompt": "a", "num_steps": "4"}, "num_steps: Expected `int | null`, got `str`"),
    ({"prompt": "a", "seed": -1}, "seed: Expected `int` >= 0"),
    ({"prompt": "a", "num_samples": 0}, "num_samples: Expected `int` >= 1"),
    ({"prompt": "a", "guidance_weights": [1, "2"]}, "guidance_weights"),
    ({"prompt": "a", "constraints": 3}, "constraints"),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_documents_of_another_form_are_refused(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        Request.from_json(document, KIMODO)
    assert "\n" not in str(refusal.value)


OPTIONS = {
    "num_steps": st.integers(1, 1000),
    "solver": st.sampled_from(["ddim", "dpmpp-2m"]),
    "guidance_weights": st.lists(st.floats(0, 10), min_size=1, max_size=2),
    "first_heading_rad": st.floats(-4, 4),
    "postprocess": st.booleans(),
    "root_margin": st.floats(0, 1),
    "constraints": st.sampled_from(
        ["c.json", [{"type": "root2d", "frame_indices": [0], "smooth_root_2d": [[0.0, 0.0]]}]]
    ),
    "compat": st.sampled_from(["2026-03", "latest"]),
    "preset": st.sampled_from(["fast", "balanced", "exact"]),
}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Whatever Kimodo can be asked for."""
    prompts = draw(st.lists(st.text(max_size=8), min_size=1, max_size=3))
    count = len(prompts)
    seconds = draw(st.lists(st.floats(0.01, 100), min_size=count, max_size=count))
    frames = draw(st.none() | st.lists(st.integers(1, 300), min_size=count, max_size=count))
    return Request.make(
        KIMODO,
        prompts,
        seconds,
        num_frames=frames,
        seed=draw(st.none() | st.integers(0, MAX_SEED - 4)),
        num_samples=draw(st.integers(1, 4)),
        sample_seeds=draw(st.booleans()),
        multi_prompt=draw(st.booleans()),
        options=draw(st.fixed_dictionaries({}, optional=OPTIONS)),
    )


@settings(max_examples=60, deadline=None)
@given(request=requests())
def test_the_json_form_is_read_back_as_the_same_request(request: Request) -> None:
    stored = json.loads(json.dumps(request.to_json()))
    again = Request.from_json(stored, KIMODO)
    assert again.to_json() == stored
    assert (again.prompts, again.seed, again.num_frames) == (
        request.prompts,
        request.seed,
        request.num_frames,
    )
    assert again.options == request.options
    VALIDATOR.validate(stored)


def test_arrays_and_paths_have_a_json_form_and_objects_have_none() -> None:
    options = {"first_heading_rad": np.array([0.5, 1]), "continue_from": Path("walk.npz")}
    document = Request.make(KIMODO, ["a", "b"], options=options).to_json()
    assert document["first_heading_rad"] == [0.5, 1.0] and document["continue_from"] == "walk.npz"
    for value in (object(), [float("nan")]):
        with pytest.raises(InputError, match=r"first_heading_rad is .*: give a file"):
            Request.make(KIMODO, "a", options={"first_heading_rad": value}).to_json()


def test_the_digest_is_of_all_that_is_asked_for_and_of_what_files_hold(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("[]")

    def digest(**changes: Any) -> str:
        arguments: dict[str, Any] = {"prompt": "walk", "seconds": 2, "seed": 1, **changes}
        arguments["options"] = {"constraints": path, **changes.get("options", {})}
        return Request.make(KIMODO, **arguments).digest(KIMODO)

    first = digest()
    assert first == digest() and len(first) == 64
    changes: list[dict[str, Any]] = [
        {"prompt": "run"},
        {"seconds": 3},
        {"seed": 2},
        {"num_samples": 2},
        {"options": {"num_steps": 3}},
    ]
    found = {digest(**change) for change in changes}
    assert len(found | {first}) == len(changes) + 1
    path.write_text("[ ]")
    edited = digest()
    assert edited != first
    moved = path.rename(tmp_path / "d.json")
    assert digest(options={"constraints": moved}) == edited  # its name does not matter
    with pytest.raises(InputError, match=r"c\.json: cannot be read"):
        digest()


# The schema

VALIDATOR = Draft202012Validator(request_schema([KIMODO]))


def test_the_schema_is_one_itself_and_describes_every_key() -> None:
    schema = request_schema(all_families())
    Draft202012Validator.check_schema(schema)
    for family in all_families():
        properties = schema["$defs"][family.name]["properties"]
        assert set(properties) == set(request_fields(family))
        assert all(entry["description"] for entry in properties.values())


@pytest.mark.parametrize(
    "document",
    [
        {"prompt": "walk"},
        {"prompts": ["walk", "jump"], "seconds": [2, 3.5], "seed": None},
        {"prompt": None, "prompts": ["walk"]},
        {"prompt": "Walk. Jump.", "seconds": "2 3", "num_samples": 2, "sample_seeds": True},
        {"prompt": "walk", "num_frames": 60, "num_steps": 4, "guidance_weights": [2, 1.5]},
        {"prompt": "walk", "constraints": [{"type": "root2d"}]},
        {"prompt": "walk", "constraints": "c.json", "preset": "fast", "postprocess": False},
    ],
)
def test_what_is_read_is_valid(document: dict[str, Any]) -> None:
    Request.from_json(document, KIMODO)
    VALIDATOR.validate(document)


@pytest.mark.parametrize("document", [document for document, _ in REFUSED])
def test_what_is_refused_is_invalid(document: Any) -> None:
    assert not VALIDATOR.is_valid(document)


def test_each_family_has_its_own_keys_in_the_schema() -> None:
    every = Draft202012Validator(request_schema(all_families()))
    for key, value in (("temperature", 0.5), ("root_margin", 0.1)):
        assert every.is_valid({"prompt": "a", key: value})
    assert not every.is_valid({"prompt": "a", "temperature": 0.5, "root_margin": 0.1})


# Lengths


def test_frames_are_cut_as_upstream_cuts_them() -> None:
    assert num_frames(0.99, 30) == 29
    assert num_frames(2.5, 20) == 50


def test_texts_and_lengths_are_read_as_on_the_command_line() -> None:
    assert split_request("Walk. Jump.", [2, 3], KIMODO) == (["Walk.", "Jump."], [2, 3])
    assert split_request("Walk. Jump.", "2", MOTIONGPT3) == (["Walk. Jump."], [2.0])
    with pytest.raises(InputError, match="motiongpt3 takes one number of seconds"):
        split_request("Walk. Jump.", "2 3", MOTIONGPT3)
    with pytest.raises(InputError, match="duration 'soon': expected seconds"):
        split_request("Walk.", "soon", MOTIONGPT3)
