from __future__ import annotations

import json

import pytest
from command_line import run
from jsonschema import Draft202012Validator

from motionrt.runtime.families import FAMILIES


def test_the_schema_is_of_every_family_or_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    every = json.loads(out)
    assert code == 0 and set(FAMILIES) <= set(every["$defs"])
    Draft202012Validator.check_schema(every)
    one = json.loads(run(capsys, "schema", "--family", "motiongpt3")[1])
    assert "kimodo" not in one["$defs"]
    assert Draft202012Validator(one).is_valid({"prompt": "walk", "temperature": 0.5})
    assert not Draft202012Validator(one).is_valid({"prompt": "walk", "root_margin": 0.5})


def test_an_unknown_family_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "schema", "--family", "opera")
    assert (code, out) == (2, "") and "there are kimodo, motiongpt3" in err
