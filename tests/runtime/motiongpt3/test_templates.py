import json
from pathlib import Path
from typing import Any

import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt3.prompt import CAPTION_PLACE, TEMPLATES
from motionrt.runtime.motiongpt3.templates import find_template, read_templates

INSTRUCTIONS = {
    "Text-to-Motion": {
        "caption": {
            "class": "t2m",
            "input": [f"Show {CAPTION_PLACE}.", f"Move: {CAPTION_PLACE}"],
            "output": ["<Motion_Placeholder>"],
        },
        "length": {"class": "t2m", "input": [f"<Frame_Placeholder> frames of {CAPTION_PLACE}"]},
    },
    "Motion-to-Text": {"caption": {"class": "m2t", "input": ["What is <Motion_Placeholder>?"]}},
    "Both": {"odd": {"input": [f"{CAPTION_PLACE} <Motion_Placeholder>", 3]}},
}


def _file(folder: Path, content: Any) -> Path:
    path = folder / "templates.json"
    path.write_text(json.dumps(content))
    return path


def test_instructions_that_ask_for_a_motion_are_found(tmp_path: Path) -> None:
    path = _file(tmp_path, INSTRUCTIONS)
    assert read_templates(path) == {
        "caption": f"Show {CAPTION_PLACE}.",
        "caption#2": f"Move: {CAPTION_PLACE}",
        "length": f"<Frame_Placeholder> frames of {CAPTION_PLACE}",
    }
    assert find_template(f"{path}:caption#2") == f"Move: {CAPTION_PLACE}"
    assert find_template(str(path)) == f"Show {CAPTION_PLACE}."
    path = _file(tmp_path, {"a": {"input": [f"One {CAPTION_PLACE}"]}, "b": CAPTION_PLACE})
    assert read_templates(path) == {"a": f"One {CAPTION_PLACE}", "b": CAPTION_PLACE}


def test_names_and_texts_are_templates() -> None:
    assert find_template(None) == find_template("caption") == TEMPLATES["caption"]
    text = f"walk.json: {CAPTION_PLACE}"
    assert find_template(text) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "has no template with"),
        ({"a": "no place"}, "has no template with"),
        ({"a": CAPTION_PLACE + "x" * 5000}, "4096 are the most"),
        ({"a": f"{CAPTION_PLACE} <start_of_motion>"}, "which the model reserves"),
    ],
)
def test_files_without_templates_are_one_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_templates(_file(tmp_path, content))


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = _file(tmp_path, INSTRUCTIONS)
    with pytest.raises(InputError, match="has no template 'haiku'; it has caption, caption#2"):
        find_template(f"{path}:haiku")
    with pytest.raises(InputError, match="template 'haiku' is unknown; choose caption or"):
        find_template("haiku")
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(InputError, match="no JSON"):
        read_templates(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="no JSON"):
        read_templates(path)
    with pytest.raises(InputError, match="is a folder, expected a file"):
        read_templates(tmp_path)
