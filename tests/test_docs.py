"""What docs/request.md says is what a request has."""

from __future__ import annotations

import json
import re

import jsonschema
from places import ROOT

from motionrt.runtime.families import all_families
from motionrt.runtime.request import Request, request_fields, request_schema

PAGE = (ROOT / "docs" / "request.md").read_text(encoding="utf-8")


def test_the_schema_beside_it_is_current() -> None:
    stored = json.loads((ROOT / "docs" / "request.schema.json").read_text(encoding="utf-8"))
    assert stored == request_schema(all_families()), "motionrt schema > docs/request.schema.json"
    jsonschema.Draft202012Validator.check_schema(stored)


def test_every_key_is_in_a_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    for family in all_families():
        assert told >= set(request_fields(family)), family.name


def test_its_examples_are_requests() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    schema = request_schema(all_families())
    kimodo = all_families()[0]
    for line in block.splitlines():
        document = json.loads(line)
        document.pop("name", None)
        jsonschema.validate(document, schema)
        request = Request.from_json(document, kimodo)
        again = Request.from_json(request.to_json(), kimodo)
        assert again == request
