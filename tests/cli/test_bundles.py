"""Which bundle --bundle and --model name."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from command_line import run

from motionrt.cli._bundles import BUNDLE_DIR_VARIABLE, find_bundle
from motionrt.runtime.errors import InputError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundles, which the environment names."""
    folder = tmp_path / "bundles"
    for name in ("Kimodo-SOMA-RP-v1.1", "kimodo_g1_rp", "kimodo-g1-rp-int8", "MotionGPT3"):
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").touch()
    (folder / "kimodo-smplx-seed").mkdir()  # a folder without a manifest is no bundle
    (folder / "kimodo-smplx-rp").touch()  # a file is no bundle
    monkeypatch.setenv(BUNDLE_DIR_VARIABLE, str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_nothing_asked_is_the_default_and_a_bundle_is_its_folder(shelf: Path) -> None:
    assert find_bundle(None, None) is None
    assert find_bundle(Path("there"), None) == Path("there")
    with pytest.raises(click.UsageError, match="--bundle or --model, not both"):
        find_bundle(Path("there"), "MotionGPT3")


def test_a_name_is_that_of_a_folder_first_then_of_a_bundle_on_the_shelf(shelf: Path) -> None:
    assert find_bundle(None, "motiongpt3") == shelf / "MotionGPT3"
    # Two begin with its key, but one is named so exactly.
    assert find_bundle(None, "KIMODO_G1_RP") == shelf / "kimodo_g1_rp"
    Path("MotionGPT3").mkdir()
    assert find_bundle(None, "MotionGPT3") == Path("MotionGPT3")


@pytest.mark.parametrize("name", ["soma", "kimodo", "nvidia/Kimodo-SOMA-RP-v1.1", "SOMA-RigPlay"])
def test_every_spelling_of_a_published_model_finds_its_bundle(shelf: Path, name: str) -> None:
    assert find_bundle(None, name) == shelf / "Kimodo-SOMA-RP-v1.1"


@pytest.mark.parametrize(
    "name", ["mg3", "kimodo-soma-rp-v9", "kimodo-somma-rp", "smplx", "g1-seed"]
)
def test_another_name_never_finds_another_bundle(shelf: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"no bundle named {name} ") as refusal:
        find_bundle(None, name)
    for there in ("Kimodo-SOMA-RP-v1.1", "kimodo_g1_rp", "kimodo-g1-rp-int8", "MotionGPT3"):
        assert there in str(refusal.value)
    assert "smplx-rp" not in str(refusal.value)


def test_a_name_that_fits_several_is_refused_with_them(shelf: Path) -> None:
    with pytest.raises(InputError, match="fit g1: kimodo-g1-rp-int8, kimodo_g1_rp; name one"):
        find_bundle(None, "g1")


def test_without_a_shelf_a_name_is_refused(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BUNDLE_DIR_VARIABLE)
    with pytest.raises(click.UsageError, match=f"needs {BUNDLE_DIR_VARIABLE}"):
        find_bundle(None, "MotionGPT3")
    monkeypatch.setenv(BUNDLE_DIR_VARIABLE, str(shelf / "MotionGPT3"))
    with pytest.raises(InputError, match="there are: none"):
        find_bundle(None, "soma")


def test_a_command_runs_the_model_that_is_named(
    shelf: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundle, shelf / "small")
    words = ("gen", "walk", "--duration", "0.2", "--diffusion-steps", 1, "--backend", "cpu")
    code, out, err = run(capsys, *words, "--model", "Small")
    assert code == 0 and "motionrt-default on cpu: 4 frames" in out, err
    code, _, err = run(capsys, *words, "--model", "smaller")
    assert code == 1 and "no bundle named smaller" in err and "small" in err
