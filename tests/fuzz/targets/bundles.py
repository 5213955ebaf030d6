"""Bundles and their files, and what is asked of them: lists, folders, prompt books."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz.mutators.havoc import havoc, havoc_text
from fuzz.mutators.safetensors import mutate_safetensors
from fuzz.mutators.trees import json_lines_mutator, json_mutator
from fuzz.target import SEEDS, Mutator, Target

from motionrt.cli import inspect
from motionrt.cli._batch import read_items
from motionrt.cli._gen_request import request_of_folder
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.engines import EngineSet
from motionrt.runtime.body.skeleton import RULE_NAMES
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.external_data import external_data
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError
from motionrt.runtime.families import find_family
from motionrt.runtime.pipeline import Pipeline, load
from motionrt.runtime.text.prompt_book import PromptBook, read_prompts
from motionrt.runtime.text.tokenizer import TextTokenizer
from motionrt.runtime.verification import verify

_MANIFEST = "manifest.json"
_WRITES_HINTS, _GENERATES, _VERIFIES = 8, 64, 256
"""One input in so many is used further, which takes longer."""
_kept: list[Pipeline] = []
"""A loaded bundle, whose graphs need not be loaded again."""


def _copy(folder: Path) -> Path:
    """Put the embedded bundle into a folder."""
    shutil.copytree(embedded_bundle(), folder, dirs_exist_ok=True)
    _kept[:] = [load(folder, "cpu", 1)]
    _kept[0].generate("a person walks", num_frames=4, seed=1, num_steps=1)
    return folder / _MANIFEST


def _use(folder: Path, choice: int) -> None:
    """Open a bundle as the commands do."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert inspect.command.callback is not None
        inspect.command.callback(folder, verbose=True, as_json=False)
    pipeline = load(folder, "cpu", 1)
    assert repr(pipeline).isprintable()
    if choice % _WRITES_HINTS == 0:
        pipeline.hints(["a person walks"])
    if choice % _GENERATES == 0:
        pipeline.generate("a person walks", num_frames=4, seed=1, num_steps=1)
    if choice % _VERIFIES == 0:
        for result in verify(pipeline.bundle, choose_backend("cpu", 1)):
            assert result.message.isprintable()


def read_manifest(path: Path) -> None:
    """Load and use the bundle around a manifest."""
    _use(path.parent, zlib.crc32(path.read_bytes()))


def _manifest() -> bytes:
    return (embedded_bundle() / _MANIFEST).read_bytes()


def _manifest_1() -> bytes:
    """The manifest as schema 1 had it."""
    document = json.loads(_manifest())
    for graph in document["graphs"].values():
        graph.pop("axes", None)
        graph.pop("loop", None)
    for key in ("skeleton", "output_skeleton"):
        document[key] = {k: v for k, v in document[key].items() if k not in RULE_NAMES}
    return json.dumps({**document, "schema": 1}).encode()


def _hollow_manifest(target: str) -> bytes:
    """The manifest of a bundle of another family: exporting one takes long."""
    return (SEEDS / target / "tiny.json").read_bytes()


def fill_hollow(folder: Path, target: str) -> Path:
    """Write such a manifest, and files of their size with nothing in them."""
    content = _hollow_manifest(target)
    (folder / _MANIFEST).write_bytes(content)
    document = json.loads(content)
    for name, info in document["files"].items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.truncate(info["size"])
    return folder / _MANIFEST


def read_hollow(path: Path) -> None:
    """Load a bundle of which only the manifest is true."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert inspect.command.callback is not None
        inspect.command.callback(path.parent, verbose=True, as_json=False)
    load(path.parent, "cpu", 1)


def _beside(name: str) -> Callable[[Path], Path]:
    """Make what prepares a bundle in which one file is replaced."""

    def prepare(folder: Path) -> Path:
        _copy(folder)
        return folder / name

    return prepare


def read_file(path: Path, use: Callable[[Pipeline], object]) -> None:
    """Use the bundle around a file, with the hash that it has now."""
    content = path.read_bytes()
    document = _small_manifest()
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    document["files"] = {**document["files"], path.name: entry}
    path.with_name(_MANIFEST).write_text(json.dumps(document))
    use(load(path.parent, "cpu", 1))


def _small_manifest() -> dict[str, Any]:
    """The manifest with the smallest graph alone: the others take long to load and to hash."""
    document: dict[str, Any] = _parsed_manifest()
    kept = ("decoder.onnx", "statistics.safetensors", "reference.safetensors")
    files = {name: document["files"][name] for name in kept}
    return {**document, "graphs": {"decoder": document["graphs"]["decoder"]}, "files": files}


@lru_cache
def _parsed_manifest() -> Any:
    return json.loads(_manifest())


def _small_reference() -> bytes:
    """The stored run of that graph."""
    from safetensors.numpy import load_file, save

    stored = load_file(embedded_bundle() / "reference.safetensors")
    return bytes(save({name: stored[name] for name in stored if name.startswith("decoder/")}))


def _verify(pipeline: Pipeline) -> None:
    results = verify(pipeline.bundle, choose_backend("cpu", 1))
    assert all(result.message.isprintable() for result in results)


def _encode(pipeline: Pipeline) -> None:
    """Compare a prompt with what is known; its embedding is that of the bundle's own encoder."""
    pipeline.text = _kept[0].text  # type: ignore[attr-defined]
    pipeline.hints(["a person walks forward, then jumps over 3 walls"])


def _of_bundle(
    name: str,
    file: str,
    mutate: Mutator,
    use: Callable[[Pipeline], object],
    make_seed: Callable[[], bytes] | None = None,
) -> Target:
    return Target(
        name,
        partial(read_file, use=use),
        mutate,
        lambda: [make_seed() if make_seed else (embedded_bundle() / file).read_bytes()],
        file,
        _beside(file),
    )


@lru_cache
def _pipeline() -> Pipeline:
    return load(None, "cpu", 1)


def read_batch(path: Path) -> None:
    """Read a list as `gen --batch` does, for several families."""
    for name in ("kimodo", "motiongpt3", "motiongpt-qwen"):
        family = find_family(name)
        items = read_items(path, family, {"seconds": "2", "seed": None, "num_samples": 1})
        for item in items:
            assert (path.parent / item.name).parent == path.parent
            _pipeline().frames_of(item.request)
            item.request.motion_files(family)
            json.dumps(item.request.to_json()).encode()


def _lists() -> Iterable[bytes]:
    full = {
        "prompt": "a man walks. He sits.",
        "seconds": [2, 3],
        "seed": 3,
        "name": "x",
        "num_samples": 2,
        "constraints": "keys.json",
        "guidance_weights": [2.0, 1.0],
        "preset": "fast",
    }
    frames = {"prompts": ["a", "b"], "num_frames": 20, "multi_prompt": False, "num_steps": 3}
    lines = (json.dumps("a man walks"), json.dumps(full), json.dumps(frames))
    clip = {"prompt": "", "continue_from": "a.bvh", "solver": "ddim", "seconds": "2"}
    words = {"prompt": "walk", "thinking": False, "top_k": 5, "template": "<Caption_Placeholder>"}
    return ["\n".join(lines).encode(), json.dumps(clip).encode(), json.dumps(words).encode()]


def _folder(folder: Path) -> Path:
    (folder / "constraints.json").write_text("[]")
    return folder / "meta.json"


def read_folder(path: Path) -> None:
    """Read a folder as `gen --input-folder` does."""
    family = find_family("kimodo")
    request = request_of_folder(path.parent, family, {}, {"seed": None, "num_samples": 1})
    _pipeline().frames_of(request)
    json.dumps(request.to_json()).encode()


def _metas() -> Iterable[bytes]:
    one = {
        "text": "a",
        "duration": 2.0,
        "num_samples": 2,
        "diffusion_steps": 5,
        "seed": 3,
        "cfg": {"enabled": True, "text_weight": 2.0, "constraint_weight": 1},
    }
    several = {"texts": ["a", "b"], "durations": [1, 2.5], "cfg": {"enabled": False}, "seed": None}
    return [json.dumps(one).encode(), json.dumps(several).encode()]


def read_book(path: Path) -> None:
    """Read a prompt book and look into it."""
    book = PromptBook.load(path)
    assert np.isfinite(book.lookup(book.prompts[0])).all() if len(book) else True
    book.nearest("walk")
    book.to_bytes()


def mutate_book(rng: Random, data: bytes) -> bytes:
    """Change a prompt book: sometimes the JSON that its header holds as texts."""
    if rng.random() < 0.5:
        return mutate_safetensors(rng, data)
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata = header["__metadata__"]
        key = rng.choice(("prompts", "encoder"))
        metadata[key] = json_mutator()(rng, metadata[key].encode()).decode("utf-8", "replace")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return havoc(rng, data)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _books() -> Iterable[bytes]:
    embeddings = np.arange(12, dtype=np.float32).reshape(3, 4)
    return [PromptBook(["Walk.", "Sit.", "Jump."], embeddings, {"encoder": "x"}).to_bytes()]


def read_tokenizer(path: Path) -> None:
    """Load a tokenizer and encode with it."""
    tokenizer = TextTokenizer(path, {"max_tokens": 64})
    tokenizer.encode(["a person walks", "", "\u00e9\U0001f600 x"])
    assert tokenizer.vocab_size >= 0


def _tokenizers() -> Iterator[bytes]:
    from byte_tokenizer import tokenizer_json

    for kind in ("llama", "qwen3", "bert"):
        yield tokenizer_json(kind).encode()


_ENGINE_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def read_engines(path: Path) -> None:
    """Read the description of engines as it is read when one is loaded."""
    try:
        EngineSet.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise BundleError(f"{path}: damaged ({error})") from error


def _engines() -> Iterable[bytes]:
    graph = {
        "file": "a.engine",
        "onnx": {"a.onnx": "0" * 64},
        "precision": "fp16",
        "profile": {"x": [[1, 1, 2], [1, 8, 2], [1, 16, 2]]},
    }
    document = {"backend": "tensorrt", "sm": "89", "version": "10", "max_frames": 300}
    return [json.dumps({"schema": 1, **document, "graphs": {"a": graph}}).encode()]


def read_bundle(path: Path) -> None:
    """Open a bundle, no more."""
    Bundle(path.parent)


TARGETS = (
    Target("manifest", read_manifest, json_mutator(), lambda: [_manifest()], _MANIFEST, _copy),
    Target("manifest-1", read_manifest, json_mutator(), lambda: [_manifest_1()], _MANIFEST, _copy),
    *(
        Target(
            name,
            read_hollow,
            json_mutator(),
            partial(lambda name: [_hollow_manifest(name)], name),
            _MANIFEST,
            partial(fill_hollow, target=name),
        )
        for name in ("manifest-motiongpt3", "manifest-motiongpt-qwen")
    ),
    _of_bundle("statistics", "statistics.safetensors", mutate_safetensors, lambda pipeline: None),
    _of_bundle("known-prompts", "known_prompts.safetensors", mutate_safetensors, _encode),
    _of_bundle("reference", "reference.safetensors", mutate_safetensors, _verify, _small_reference),
    _of_bundle("decoder-onnx", "decoder.onnx", havoc, lambda pipeline: pipeline.graph("decoder")),
    Target(
        "external-data",
        external_data,
        havoc,
        lambda: [
            (embedded_bundle() / f"{name}.onnx").read_bytes()
            for name in ("text_encoder", "decoder")
        ],
        "a.onnx",
    ),
    Target("tokenizer", read_tokenizer, json_mutator(), lambda: list(_tokenizers())),
    Target("batch", read_batch, json_lines_mutator, _lists, "list.jsonl"),
    Target("input-folder", read_folder, json_mutator(), _metas, "meta.json", _folder),
    Target("prompt-book", read_book, mutate_book, _books, "book.safetensors"),
    Target(
        "prompts", read_prompts, havoc_text, lambda: [b"a man walks\n# note\nHe sits.\n"], "p.txt"
    ),
    Target("engine", read_engines, json_mutator(), _engines, "engine.json"),
)
