"""A static site: the page, the module that runs a bundle in the browser, and the bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from motionrt.runtime.body.skeleton import (
    indices_in_expanded,
    load_skeleton,
    relaxed_hands_local_rot_mats,
)
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, GraphInfo, sha256
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.files import atomic_folder
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.web.build import built

NEEDED = {"kimodo": ("step", "decoder"), "ardy": ("step", "encoder", "decoder")}
"""The families whose bundles a page runs, and what it runs of them: the sampling loop is its own,
so that it can tell how far it is, and stop."""
IF_THERE = ("embed_text", "embed_constraints", "text_encoder")
"""What else it runs, of bundles that have it."""
LARGEST_BYTES = 1_500_000_000
"""Of a bundle: WebAssembly has 4 GB for weights, their copies and what is computed."""
PAGE, MODULE, BUNDLE = "index.html", "motionrt-web", "bundle"
_STREAMS = ("ardy",)
"""Families whose page shows a motion without an end."""
_STREAM_PAGE = ("stream.html", "stream.js", "stream.css")
_CLIP_PAGE = (PAGE, "page.js", "server.js", "part-*.js")
_WORKER = "service_worker.js"
_WEBGPU = ("worker_webgpu.js", "ort-wasm-simd-threaded.asyncify.wasm")
_PARTS = "parts.js"
_FILES = '"/*FILES*/"'
_EXPANSION = "expansion.json"
_STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class Site:
    """What was written."""

    name: str
    """Of the model."""
    num_bytes: int
    bundle_bytes: int


def write_site(
    bundle: str | os.PathLike[str] | Bundle,
    path: str | os.PathLike[str],
    *,
    webgpu: bool = False,
    force: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Site:
    """Write a folder that any web server can serve: index.html, the npm package, the bundle.

    Args:
        bundle: of a family of `NEEDED`, with a text encoder or a prompt book.
        path: the folder to make.
        webgpu: put in what runs the denoiser on the visitor's GPU, if ?webgpu is in the address.
        force: replace the folder, if it is a site.
        tell: told of what takes long.

    Raises:
        BundleError: a bundle that no page runs, or that is too large for one.
        BackendError: there is no Node.js to build the page with.
        InputError: the folder is there, and is not to be replaced, or is no site.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
    parts = _graphs(opened)
    target = Path(path)
    if force and target.exists() and not (target / MODULE).is_dir():
        raise InputError(f"{target}: is no site that motionrt web wrote, so it is not replaced")
    source = built(tell)
    with atomic_folder(target, replace=force) as folder:
        _copy_page(source / "page", folder, opened.manifest.family in _STREAMS)
        shutil.copytree(
            source / MODULE,
            folder / MODULE,
            ignore=None if webgpu else shutil.ignore_patterns(*_WEBGPU),
        )
        (folder / BUNDLE).mkdir()
        bundle_bytes = _write_bundle(opened, parts, folder / BUNDLE)
        page = (folder / PAGE).read_text("utf-8")
        if webgpu:
            page = page.replace('data-webgpu="no"', 'data-webgpu="yes"')
            (folder / PAGE).write_text(page, "utf-8")
        _fill_service_worker(folder)
        total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Site(opened.manifest.name, total, bundle_bytes)


def _copy_page(source: Path, folder: Path, streams: bool) -> None:
    """Copy one of the two pages: of clips, or of a motion without an end."""
    others = shutil.ignore_patterns(*(_CLIP_PAGE if streams else _STREAM_PAGE))
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=others)
    if streams:
        (folder / _STREAM_PAGE[0]).rename(folder / PAGE)


def _graphs(bundle: Bundle) -> dict[str, GraphInfo]:
    """Return the graphs that a page runs; BundleError if it cannot run the bundle."""
    manifest, place = bundle.manifest, bundle.folder
    needed = NEEDED.get(manifest.family)
    if needed is None:
        raise BundleError(
            f"{place}: a page runs bundles of {' and '.join(NEEDED)}, not of {manifest.family}; "
            "serve it with motionrt serve"
        )
    names = (*needed, *IF_THERE)
    graphs = {name: manifest.graphs[name] for name in names if name in manifest.graphs}
    for name in needed:
        if name not in graphs or "onnx" not in graphs[name].files:
            raise BundleError(f"{place}: has no ONNX graph {name}; export the bundle again")
    if "text_encoder" not in graphs and not manifest.text.get("prompt_book"):
        raise BundleError(
            f"{place}: holds neither text encoder nor prompt book, so a page has no texts; "
            "export with --text-encoder or --prompt-book"
        )
    book = manifest.text.get("prompt_book")
    if book and PromptBook.load(bundle.path(book)).num_tokens > 1:
        raise BundleError(f"{place}: its prompt book has several tokens a prompt; a page takes one")
    size = sum(manifest.files[name].size for name in _files(bundle, graphs))
    if size > LARGEST_BYTES:
        raise BundleError(
            f"{place}: {size / 1e9:.1f} GB, a browser takes {LARGEST_BYTES / 1e9:.1f} GB; export "
            "with --precision int8 and a smaller text encoder, or serve it with motionrt serve"
        )
    return graphs


def _files(bundle: Bundle, graphs: dict[str, GraphInfo]) -> list[str]:
    """List the files that a page reads, each once."""
    text = bundle.manifest.text
    known = text.get("known_prompts") or {}
    wanted = [_STATISTICS, text.get("prompt_book"), known.get("file")]
    if "text_encoder" in graphs:
        wanted.append(text.get("tokenizer"))
    for info in graphs.values():
        wanted += [info.files["onnx"], *info.data]
    return list(dict.fromkeys(name for name in wanted if name))


def _write_bundle(bundle: Bundle, graphs: dict[str, GraphInfo], folder: Path) -> int:
    """Copy what a page reads, with a manifest of it; returns its size in bytes."""
    names = _files(bundle, graphs)
    bundle.check_hashes(names)
    files = {name: bundle.manifest.files[name] for name in names}
    for name in names:
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(name), copy)
    if larger := bundle.skeleton.expands_to:
        document = {
            "skeleton": load_skeleton(larger).to_dict(),
            "indices": indices_in_expanded(bundle.skeleton.name).tolist(),
            "local_rot_mats": relaxed_hands_local_rot_mats(larger).tolist(),
        }
        place = folder / _EXPANSION
        place.write_text(json.dumps(document), "utf-8")
        files[_EXPANSION] = FileInfo(place.stat().st_size, sha256(place))
    onnx = {
        name: msgspec.structs.replace(info, files={"onnx": info.files["onnx"]}, loop=None)
        for name, info in graphs.items()
    }
    msgspec.structs.replace(bundle.manifest, graphs=onnx, files=files).write(folder)
    return sum(info.size for info in files.values())


def _fill_service_worker(folder: Path) -> None:
    """Tell the service worker which files the page is made of, and a hash of them all."""
    digest = hashlib.sha256()
    small: list[str] = []
    large: list[str] = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        shown = file.suffix in (".html", ".js", ".css", ".svg", ".wasm")
        if not file.is_file() or not shown or name == _WORKER or name.startswith(f"{BUNDLE}/"):
            continue
        digest.update(name.encode() + b"\0" + file.read_bytes())
        if file.name not in (*_WEBGPU, _PARTS):  # these are kept by who has use for them
            (large if file.suffix == ".wasm" else small).append(name)
    told = {"version": digest.hexdigest()[:16], "small": small, "large": large}
    worker = folder / _WORKER
    script = worker.read_text("utf-8")
    if _FILES not in script:
        raise BundleError(f"{worker}: takes no list of files; install motionrt again")
    worker.write_text(script.replace(_FILES, json.dumps(json.dumps(told))), "utf-8")
