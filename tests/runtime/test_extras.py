"""The command that a message advises is one that works where the package came from."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from places import ROOT

import motionrt
from motionrt.runtime.extras import pip_command


def test_in_a_clone_it_is_the_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(motionrt, "__file__", str(ROOT / "motionrt" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert pip_command("export") == f'pip install "{ROOT}[export]"'
    monkeypatch.chdir(ROOT)
    assert pip_command("export") == 'pip install ".[export]"'


GIT = {"url": "https://example.org/m.git", "vcs_info": {"vcs": "git", "commit_id": "0"}}


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        (None, "motionrt[cpu]"),
        ("no JSON", "motionrt[cpu]"),
        (json.dumps({"url": "{clone}"}), "{path}[cpu]"),
        (json.dumps({"url": "file:///no/such/clone"}), "motionrt[cpu]"),
        (json.dumps(GIT), "motionrt[cpu] @ git+https://example.org/m.git"),
        (
            json.dumps({"url": "https://example.org/m.whl"}),
            "motionrt[cpu] @ https://example.org/m.whl",
        ),
    ],
)
def test_installed_it_is_what_pip_noted(
    noted: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clone = tmp_path / "a clone"
    clone.mkdir()
    text = None if noted is None else noted.replace("{clone}", clone.as_uri())
    distribution = SimpleNamespace(read_text=lambda name: text)
    monkeypatch.setattr(metadata, "distribution", lambda name: distribution)
    monkeypatch.setattr(motionrt, "__file__", str(tmp_path / "site-packages/motionrt/__init__.py"))
    assert pip_command("cpu") == f'pip install "{wanted.replace("{path}", str(clone))}"'
