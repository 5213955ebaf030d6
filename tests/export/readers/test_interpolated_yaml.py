from pathlib import Path

import pytest

from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.runtime.errors import CheckpointError

TEXT = """
sizes: {width: 8, list: [1, 2]}
model:
  width: ${sizes.width}
  again: ${model.width}
  name: net-${sizes.width}
  shape: ${sizes.list}
  part: ${sizes}
missing: ${sizes.height}
circle: ${other}
other: ${circle}
script: ${eval:'1 + 1'}
"""


@pytest.fixture
def config(tmp_path: Path) -> InterpolatedYaml:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    return InterpolatedYaml(path)


def test_references_are_followed(config: InterpolatedYaml) -> None:
    assert config.get("model.width") == 8
    assert config.get("model.again") == 8
    assert config.get("model.name") == "net-8"
    assert config.get("model.shape") == [1, 2]
    assert config.get("model.part.width") == 8
    assert config.get("model.part") == {"width": 8, "list": [1, 2]}


def test_what_is_missing_has_a_default_or_an_error(config: InterpolatedYaml) -> None:
    assert config.get("model.height", 5) == 5
    with pytest.raises(CheckpointError, match=r"model\.height is missing"):
        config.get("model.height")


@pytest.mark.parametrize("key", ["missing", "circle", "script"])
def test_references_that_lead_nowhere_are_one_line(config: InterpolatedYaml, key: str) -> None:
    with pytest.raises(CheckpointError, match=key) as caught:
        config.get(key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "{", "a: [", "\xff\xfe: \x00"])
def test_files_that_are_no_mapping_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=str(path)) as caught:
        InterpolatedYaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        InterpolatedYaml(tmp_path / "none.yaml")
