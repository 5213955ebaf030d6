from pathlib import Path

import pytest
from omegaconf import OmegaConf

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


def read(tmp_path: Path, text: str) -> InterpolatedYaml:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return InterpolatedYaml(path)


def test_a_key_is_found_wherever_it_stands(tmp_path: Path) -> None:
    text = "a: {b: {size: 1}}\nc: {size: '${c.n}', n: 2, d: {e: 5}}\nother: ${a.b}\nd: {f: 6}\n"
    config = read(tmp_path, text)
    assert config.find("size") == 2
    assert config.find("d.e") == 5  # the least nested d has no e
    assert config.find("d.g", None) is None
    with pytest.raises(CheckpointError, match="no key nothing"):
        config.find("nothing")


def test_a_key_is_found_below_a_section_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("""
    size: 1
    model:
      encoder: {size: 2, inner: {depth: 3}}
      decoder: {size: "${size}", depth: 4}
    """)
    settings = InterpolatedYaml(path)
    assert settings.find_in("encoder", "size") == 2
    assert settings.find_in("decoder", "size") == 1
    assert settings.find_in("encoder", "depth") == 3
    assert settings.find_in("model", "depth") == 4  # the least nested
    assert settings.find_in("encoder", "width", None) is None
    with pytest.raises(CheckpointError, match="no key width below encoder"):
        settings.find_in("encoder", "width")


def test_a_section_may_be_a_reference_even_to_itself(tmp_path: Path) -> None:
    config = read(tmp_path, "a: {x: '${b}'}\nb: {y: '${a}', n: 3}\nc: ${c}\nd: ${nowhere}\n")
    assert config.find("n") == 3
    with pytest.raises(CheckpointError, match="no key m"):
        config.find("m")


def test_given_keys_replace_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("place: /elsewhere\nweights: ${place}/a.pt\n")
    assert InterpolatedYaml(path, {"place": "/here"}).get("weights") == "/here/a.pt"


def test_relative_references_and_items_of_lists(tmp_path: Path) -> None:
    config = read(tmp_path, "a: {b: 1, c: '${.b}', d: {e: '${..b}'}, f: [7, '${a.f[0]}']}\n")
    assert config.get("a.c") == config.get("a.d.e") == 1
    assert config.get("a.f.1") == 7


@pytest.mark.parametrize(
    "selected, value",
    [
        ("${oc.select:a.b}", "/here"),
        ("${oc.select: a.b , 3}/c", "/here/c"),
        ("${oc.select:a.none,3}", 3),
        ("${oc.select:a.none,2.5}", 2.5),
        ("${oc.select:a.none,'1, 2'}", "1, 2"),
        ("${oc.select:a.none,null}", None),
        ("${oc.select:a.none}", None),
    ],
)
def test_a_selection_is_a_reference_with_a_default(
    tmp_path: Path, selected: str, value: object
) -> None:
    """The expected values are what OmegaConf gives."""
    text = f'a: {{b: /here}}\nx: "{selected}"\n'
    assert OmegaConf.select(OmegaConf.create(text), "x") == value
    assert read(tmp_path, text).get("x") == value


@pytest.mark.parametrize(
    "text",
    [
        "x: ${oc.env:MOTIONRT_SECRET}",
        "x: ${oc.select:none,${oc.env:MOTIONRT_SECRET}}",
        "n: env\nx: ${oc.${n}:MOTIONRT_SECRET}",
        "n: oc.env:MOTIONRT_SECRET\nx: ${${n}}",
        "y: ${oc.env:MOTIONRT_SECRET}\nx: a/${y}/b",
        "x: ${oc.decode:${oc.env:MOTIONRT_SECRET}}",
    ],
)
def test_the_environment_is_never_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MOTIONRT_SECRET", "hush")
    with pytest.raises(CheckpointError, match="write its value") as caught:
        read(tmp_path, text).get("x")
    assert "hush" not in str(caught.value) and "\n" not in str(caught.value)


BOMBS = {
    "aliases": "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
    "merged keys": "a0: &a0 {k: 1}\n"
    + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30)),
    "references in texts": "x: ${a39}\na0: xxxxxxxxxx\n"
    + "".join(f"a{i}: {f'${{a{i - 1}}}' * 3}\n" for i in range(1, 40)),
    "references in lists": "x: ${a39}\na0: [1, 2]\n"
    + "".join(f"a{i}: ['${{a{i - 1}}}', '${{a{i - 1}}}']\n" for i in range(1, 40)),
    "nested lists": "x: " + "[" * 100_000,
    "nested keys": "\n".join(" " * i + "a:" for i in range(600)),
    "references without end": "x: '" + "${" * 60_000 + "'",
    "a long number": "x: " + "9" * 5000,
    "a circle": "x: [1, '${x}']",
    "an alias to itself": "x: &a [*a]",
    "too large": "# " + "x" * (1 << 20),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_would_grow_without_end_is_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"config\.yaml: ") as caught:
        read(tmp_path, BOMBS[kind]).get("x")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
