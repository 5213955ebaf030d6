"""What is written, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import ardy_bundle
import numpy as np
import pytest

import motionrt.web.node as nodes
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, BundleError, InputError
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.web import build, write_site

FIRST_LOAD_BYTES = 14e6
LATER = ("parts.js", "known_prompts.safetensors", "part-")
"""What is for others, fetched once motions can be asked for, or with a character."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A page that is built already, of a few bytes."""
    made = tmp_path / "built"
    for name, text in {
        "page/index.html": '<body data-bundle="bundle/" data-webgpu="no">',
        "page/page.js": "1",
        "page/stream.html": '<body data-bundle="bundle/" data-webgpu="no" class="endless">',
        "page/stream.js": "6",
        "page/service_worker.js": 'JSON.parse("/*FILES*/")',
        "motionrt-web/worker.js": "2",
        "motionrt-web/worker_webgpu.js": "3",
        "motionrt-web/ort-wasm-simd-threaded.wasm": "4",
        "motionrt-web/ort-wasm-simd-threaded.asyncify.wasm": "5",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    monkeypatch.setattr("motionrt.web.site.built", lambda tell: made)
    return made


def test_the_bundle_in_it_is_whole_and_small(quick: Path, bundle: Path, tmp_path: Path) -> None:
    write_site(bundle, tmp_path / "site")
    inside = Bundle(tmp_path / "site" / "bundle")
    assert set(inside.manifest.graphs) == {"step", "decoder", "text_encoder"}
    assert "sampler.onnx" not in inside.manifest.files
    inside.check_hashes(inside.manifest.files)
    found = {file.name for file in (tmp_path / "site" / "bundle").iterdir()}
    assert found == {"manifest.json", *inside.manifest.files}


def test_the_service_worker_knows_all_files(quick: Path, bundle: Path, tmp_path: Path) -> None:
    def told(folder: Path) -> dict[str, object]:
        script = (folder / "service_worker.js").read_text()
        (text,) = re.findall(r'JSON\.parse\((".*")\)', script)
        document: dict[str, object] = json.loads(json.loads(text))
        return document

    site = tmp_path / "site"
    write_site(bundle, site)
    first = told(site)
    assert first["small"] == ["index.html", "motionrt-web/worker.js", "page.js"]
    assert first["large"] == ["motionrt-web/ort-wasm-simd-threaded.wasm"]
    write_site(bundle, site, force=True)
    assert told(site) == first
    (quick / "page" / "page.js").write_text("changed")
    write_site(bundle, site, force=True)
    assert told(site)["version"] != first["version"]


@pytest.mark.slow
def test_a_bundle_that_streams_gets_the_page_of_a_stream(quick: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    bundle = ardy_bundle.write(tmp_path / "toy")
    write_site(bundle, tmp_path / "site")
    found = {file.name for file in (tmp_path / "site").iterdir() if file.is_file()}
    assert found == {"index.html", "stream.js", "service_worker.js"}
    assert "endless" in (tmp_path / "site" / "index.html").read_text()
    inside = Bundle(tmp_path / "site" / "bundle")
    graphs = {"step", "encoder", "decoder", "embed_text", "embed_constraints"}
    assert set(inside.manifest.graphs) == graphs


def test_webgpu_is_put_in_only_where_asked(quick: Path, bundle: Path, tmp_path: Path) -> None:
    for webgpu in (False, True):
        site = tmp_path / f"site-{webgpu}"
        write_site(bundle, site, webgpu=webgpu)
        assert (site / "motionrt-web" / "worker_webgpu.js").exists() is webgpu
        page = (site / "index.html").read_text()
        assert f'data-webgpu="{"yes" if webgpu else "no"}"' in page


def test_only_a_site_is_replaced(quick: Path, bundle: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("…")
    with pytest.raises(InputError, match="exists already"):
        write_site(bundle, mine)
    with pytest.raises(InputError, match="is no site"):
        write_site(bundle, mine, force=True)
    assert (mine / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.update(family="motiongpt3"),
            "a page runs bundles of kimodo and ardy, not of motiongpt3",
        ),
        (lambda m: m.update(family="ardy"), "has no ONNX graph encoder"),
        (lambda m: m["graphs"].pop("decoder"), "has no ONNX graph decoder"),
        (lambda m: m["graphs"].pop("text_encoder"), "neither text encoder nor prompt book"),
    ],
)
def test_a_bundle_that_no_page_runs(
    quick: Path, own_copy: Path, tmp_path: Path, change: object, message: str
) -> None:
    document = json.loads((own_copy / "manifest.json").read_text())
    change(document)  # type: ignore[operator]
    (own_copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=message):
        write_site(own_copy, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_page_takes_one_token_a_prompt(quick: Path, own_copy: Path, tmp_path: Path) -> None:
    document = json.loads((own_copy / "manifest.json").read_text())
    width = document["sampler"]["text_width"]
    book = PromptBook(["Walk."], np.ones((1, 2, width), np.float32)).to_bytes()
    (own_copy / "book.safetensors").write_bytes(book)
    document["text"]["prompt_book"] = "book.safetensors"
    document["files"]["book.safetensors"] = {
        "sha256": hashlib.sha256(book).hexdigest(),
        "size": len(book),
    }
    (own_copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="several tokens a prompt; a page takes one"):
        write_site(own_copy, tmp_path / "site")


def test_a_damaged_bundle_is_refused(quick: Path, own_copy: Path, tmp_path: Path) -> None:
    weights = own_copy / "step.weights"
    weights.write_bytes(bytes(1) + weights.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"step\.weights: altered"):
        write_site(own_copy, tmp_path / "site")


def test_too_large_a_bundle_is_refused(
    quick: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motionrt.web.site.LARGEST_BYTES", 1e6)
    with pytest.raises(BundleError, match="a browser takes"):
        write_site(bundle, tmp_path / "site")


def test_without_node_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(nodes, "find_spec", lambda name: None)
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(BackendError, match=r"there is no Node\.js: .*pip install"):
        build.built()


def test_what_npm_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND'\nexit 1\n")
    script.chmod(0o755)
    node = nodes.Node(Path("node"), script)
    with pytest.raises(BackendError, match="ENOTFOUND; the first build fetches packages"):
        node.run_npm(["ci"], tmp_path)


def test_first_load_is_within_its_budget(site: Path) -> None:
    """As a server sends it that compresses: what the page fetches until it can be asked."""
    (main,) = re.findall(r'from"\./(part-\w+\.js)"', (site / "page.js").read_text())
    total = 0
    for file in site.rglob("*"):
        page = file.suffix in (".html", ".js", ".css", ".svg", ".wasm")
        if file.name.startswith(LATER) and file.name != main:
            continue
        if file.is_file() and (page or file.parent.name == "bundle"):
            total += len(gzip.compress(file.read_bytes(), 6))
    assert total <= FIRST_LOAD_BYTES


def test_licences_and_types_are_kept(site: Path) -> None:
    module = site / "motionrt-web"
    described = json.loads((module / "package.json").read_text())
    assert described["name"] == "motionrt-web" and "private" not in described
    types = (module / described["types"]).read_text()
    assert "BrowserGenerator" in types
    told = (site / "THIRD_PARTY_LICENSES.txt").read_text()
    for name in ("onnxruntime-web", "three", "@pixiv/three-vrm"):
        assert re.search(rf"^{name} \d", told, re.MULTILINE), name
    assert told.count("Permission is hereby granted") >= 3
