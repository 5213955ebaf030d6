from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from motionrt.cli.main import cli
from motionrt.export.bundle import BundleWriter
from motionrt.export.readers.licence import licence_files, stated_licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# A model\n", "apache-2.0"),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: nvidia-open-model\n---\n", "nvidia-open-model"),
        ("---\nlicense: other\n---\n", "other"),
        ("# A model\n\nlicense: mit\n", ""),
        ("---\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_a_card_states_a_licence(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert stated_licence(tmp_path) == licence


def test_no_card_states_none(tmp_path: Path) -> None:
    assert stated_licence(tmp_path) == ""


def test_licences_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("LICENSE", "LICENSE.md", "license-llama.txt", "NOTICE", "licensing.py", "a.txt"):
        (tmp_path / name).write_text("terms")
    (tmp_path / "LICENSE.bin").write_bytes(bytes((1 << 20) + 1))
    (tmp_path / "COPYING").mkdir()
    found = [path.name for path in licence_files(tmp_path)]
    assert found == ["LICENSE", "LICENSE.md", "NOTICE", "license-llama.txt"]


def test_a_bundle_takes_them_along(tmp_path: Path) -> None:
    checkpoint, bundle = tmp_path / "Walks-v1", tmp_path / "bundle"
    checkpoint.mkdir()
    bundle.mkdir()
    writer = BundleWriter(bundle, lambda stage: None)
    assert writer.take_licence("", checkpoint) == ""
    (warning,) = writer.warnings
    assert "give it with --licence" in warning
    (checkpoint / "LICENSE").write_text("terms")
    (checkpoint / "README.md").write_text("---\nlicense: mit\n---\n")
    assert writer.take_licence("", checkpoint) == "mit"
    assert writer.take_licence("BSD-3-Clause", checkpoint) == "BSD-3-Clause"
    assert (bundle / "licences" / "Walks-v1" / "LICENSE").read_text() == "terms"
    assert writer.warnings == [warning]


@pytest.mark.slow
def test_a_text_encoders_licence_goes_along(
    smplx_checkpoint: Path, tiny_encoder: tuple[Path, Path], tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_encoder[0], tmp_path / "Qwen3-tiny"))
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (model / "LICENSE").write_text("the encoder's terms")
    bundle = tmp_path / "bundle"
    command = ["export", "kimodo", str(smplx_checkpoint), "--text-encoder", str(model), "-o"]
    command += [str(bundle), "--projector", str(tiny_encoder[1]), "--quiet", "--licence", "none"]
    run = CliRunner()
    assert run.invoke(cli, command, catch_exceptions=False).exit_code == 0
    kept = bundle / "licences" / "Qwen3-tiny" / "LICENSE"
    assert kept.read_text() == "the encoder's terms"
    told = run.invoke(cli, ["inspect", str(bundle)]).output
    assert "of the text encoder: apache-2.0" in told
