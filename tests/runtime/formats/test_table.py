from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats import table
from motionrt.runtime.formats.table import FORMATS, format_of, read_motion, write_motion

Make = Callable[..., Motion]
OF_ANY_SKELETON = ("npz", "bvh", "glb")


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_has_a_reader_and_a_writer(name: str) -> None:
    reader, writer = (table._function(name, verb) for verb in ("reader", "writer"))
    assert next(iter(inspect.signature(reader).parameters)) == "path"
    assert list(inspect.signature(writer).parameters)[:2] == ["motion", "path"]
    # Options have names: a second format's third argument cannot be taken for the first's.
    for function, given in ((reader, 1), (writer, 2)):
        for parameter in list(inspect.signature(function).parameters.values())[given:]:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert FORMATS[name].holds and FORMATS[name].name == name


def test_the_suffix_tells_the_format_and_the_first_of_several_is_taken() -> None:
    assert format_of("a/walk.NPZ") == "npz"
    assert format_of("walk_amass.npz") == "npz"  # the reader sees what it is
    assert format_of(Path("walk.glb")) == "glb"
    with pytest.raises(InputError, match=r"walk\.dae: unknown suffix \.dae; motions are \.npz, "):
        format_of("walk.dae")
    with pytest.raises(InputError, match=r"unknown suffix \(none\)"):
        format_of("walk")


@pytest.mark.parametrize("name", OF_ANY_SKELETON)
def test_a_format_can_be_named_where_the_suffix_does_not_say_it(
    wandering: Make, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "walk.data"
    write_motion(wandering("cmu22"), path, name)
    assert read_motion(path, name).skeleton.name == "cmu22"
    with pytest.raises(InputError, match=r"unknown suffix \.data"):
        read_motion(path)


def test_what_there_is_not_is_refused(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("cmu22")
    with pytest.raises(InputError, match="unknown motion format 'dae'; there are npz, bvh"):
        write_motion(motion, tmp_path / "a.npz", "dae")
    with pytest.raises(InputError, match="npz has no option 'scale'; there are none"):
        write_motion(motion, tmp_path / "a.npz", scale=1)
    with pytest.raises(InputError, match="csv has no option 'up'; there are fps, rest_zero"):
        (tmp_path / "a.csv").write_text("")
        read_motion(tmp_path / "a.csv", up="z")
    assert not (tmp_path / "a.npz").exists()
