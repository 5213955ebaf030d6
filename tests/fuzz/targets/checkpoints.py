"""Checkpoints and data sets: what `export` and `train-projector` read. They need torch."""

from __future__ import annotations

import io
import json
import os
import pickletools
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz.mutators.archives import mutate_archive
from fuzz.mutators.arrays import mutate_npy, npy
from fuzz.mutators.havoc import havoc, havoc_numbers
from fuzz.mutators.pickles import mutate_pickle
from fuzz.mutators.safetensors import mutate_safetensors
from fuzz.mutators.trees import json_lines_mutator, json_mutator, yaml_mutator
from fuzz.target import Mutator, Target
from places import GOLDEN

_STATS = GOLDEN / "kimodo" / "checkpoints" / "Kimodo-SMPLX-RP-v1" / "stats"
_ARDY = GOLDEN / "ardy" / "checkpoints" / "ardy-variant"
_IMPORTS = ("torch", "safetensors.torch", "yaml", "omegaconf")
_SECRET = "hush-hush"
_PAIRS = 6
_BUILDS = 16
"""One in so many checkpoints of MotionGPT3 becomes a model, which takes long."""


def read_kimodo_at(depth: int) -> Callable[[Path], None]:
    """Make a reader of the checkpoint that a file is in, so many folders above it."""

    def read(path: Path) -> None:
        from motionrt.export.readers.kimodo import read_kimodo

        made = read_kimodo(path.parents[depth])
        assert _SECRET not in str(made.weights_path)

    return read


def read_ardy_at(depth: int) -> Callable[[Path], None]:
    """Make a reader of the ARDY checkpoint that a file is in, so many folders above it."""

    def read(path: Path) -> None:
        from motionrt.export.readers.ardy import read_ardy

        assert _SECRET not in str(read_ardy(path.parents[depth]).name)

    return read


def read_adapted(path: Path) -> None:
    """Read a language model with the adapter that a file is of."""
    from motionrt.export.readers.decoder_lm import read_decoder_lm
    from motionrt.export.readers.llm2vec import read_adapter

    adapter = read_adapter(path.parent, read_decoder_lm(path.parents[1]))
    assert np.isfinite(adapter.scale)


def read_pt(path: Path) -> None:
    """Read a torch file in each of the ways that they are read."""
    from motionrt.export.readers.projector import read_projector
    from motionrt.export.readers.safe_pickle import open_pickled
    from motionrt.runtime.errors import MotionrtError

    failure: MotionrtError | None = None
    for read in (open_pickled, read_projector):
        try:
            made = read(path)
        except MotionrtError as error:
            failure = error
            continue
        if read is open_pickled:
            for name in made.shapes:  # type: ignore[union-attr]
                tensor = made.load(name)  # type: ignore[union-attr]
                assert tuple(tensor.shape) == made.shapes[name]  # type: ignore[union-attr]
                if tensor.is_floating_point():
                    tensor.double().sum()
    if failure is not None:
        raise failure


def read_projector_file(path: Path) -> None:
    """Read a projector."""
    from motionrt.export.readers.projector import read_projector

    read_projector(path)


def _torch_saved(**options: Any) -> list[bytes]:
    import torch

    base = torch.arange(24.0)
    contents: list[Any] = [
        {"weight": base.reshape(4, 6), "bias": torch.zeros(4)},
        {"state_dict": {"a": base[:4], "b": base[4:].double(), "c": torch.tensor(True)}, "n": 3},
        torch.nn.Linear(3, 2).state_dict(),
        {"module": {"fc1.weight": base.half().reshape(4, 6), "fc1.bias": torch.zeros(4)}},
        base.to(torch.bfloat16),
        {"optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}, "model": torch.nn.ReLU()},
    ]
    found = []
    for content in contents:
        file = io.BytesIO()
        torch.save(content, file, **options)
        found.append(file.getvalue())
    return found


def mutate_old(rng: Random, data: bytes) -> bytes:
    """Change a torch file from before 1.6: one of its pickles, or the numbers behind."""
    parts, rest = _pickles(data)
    if rng.random() < 0.1 or not parts:
        return havoc(rng, data)
    if rng.random() < 0.2:
        rest = havoc_numbers(rng, rest) if rng.random() < 0.5 else havoc(rng, rest)
    else:
        place = rng.choice((0, 1, 2, 3, 3, 3, 3, 3, 4)) % len(parts)
        parts[place] = mutate_pickle(rng, parts[place])
    return b"".join(parts) + rest


def _pickles(data: bytes) -> tuple[list[bytes], bytes]:
    """Split the pickles off that a file begins with."""
    parts: list[bytes] = []
    file = io.BytesIO(data)
    start = 0
    try:
        while len(parts) < 5:
            for _ in pickletools.genops(file):
                pass
            parts.append(data[start : file.tell()])
            start = file.tell()
    except Exception:  # any bytes come here
        pass
    return parts, data[start:]


def _remember(place: Any, name: str, key: Callable[[Any], Any] = lambda first: first) -> None:
    """Have a function that a reader calls answer from memory what it was asked before.

    For what stays the same while another file changes. key: by what its first argument is known.
    """
    function = getattr(place, name)
    known: dict[Any, Any] = {}

    def remembered(first: Any, *others: Any, **named: Any) -> Any:
        asked = key(first)
        if asked not in known:
            known[asked] = function(first, *others, **named)
        return known[asked]

    setattr(place, name, remembered)


def _remember_others(kind: str, file: str) -> None:
    """Read once what lies beside the file that changes."""
    from motionrt.export.readers import ardy, checkpoint_folder, kimodo, motiongpt3, weights

    if kind == "ardy":
        if not file.endswith(".yaml"):
            _remember(checkpoint_folder, "InterpolatedYaml")
            _remember(weights, "shapes_of", lambda make: make.__code__)  # they are the config's
        if not file.endswith(".npy"):
            _remember(checkpoint_folder, "read_array")
        if not file.endswith(".safetensors"):
            _remember(ardy, "open_weights")
    if kind == "kimodo":
        if not file.endswith(".yaml"):
            _remember(checkpoint_folder, "InterpolatedYaml")
            _remember(weights, "shapes_of", lambda make: None)  # they are the config's
        if not file.endswith(".npy"):
            _remember(checkpoint_folder, "read_array")
        if not file.endswith(".safetensors"):
            _remember(kimodo, "open_weights")
    if kind == "motiongpt3":
        _remember(motiongpt3, "read_row")
        if not file.endswith(".yaml"):
            _remember(motiongpt3, "InterpolatedYaml")
        if not file.endswith(".ckpt"):
            _remember(motiongpt3, "open_pickled")


def _write_motiongpt3(folder: Path) -> None:
    """Write the smallest model that has every kind of weight."""
    import torch
    from motiongpt3_checkpoint import CONFIG, LM, TABLE_NAMES, write_checkpoint

    from motionrt.models.motiongpt3 import MotionGpt3

    vae = replace(CONFIG.vae, latent_dim=4, ff_size=4)
    config = replace(
        CONFIG, num_positions=16, width=4, num_layers=1, ff_size=16, head_width=4, head_depth=1
    )
    torch.manual_seed(0)
    state = dict(MotionGpt3(replace(config, vae=vae)).state_dict())
    state |= {LM + name: state[f"{LM}transformer.wte.weight"] for name in TABLE_NAMES}
    write_checkpoint(
        folder,
        state,
        vae__mldvae__params__ff_size=4,
        vae__mldvae__params__latent_dim=[1, 4],
        lm__diffloss__params__width=4,
        lm__diffloss__params__depth=1,
    )
    place = folder / "deps" / "mot-gpt2" / "config.json"
    sizes = {"n_embd": 4, "n_layer": 1, "n_positions": 16}
    place.write_text(json.dumps({**json.loads(place.read_text()), **sizes}))


def _write_kimodo(folder: Path) -> None:
    """Write the smallest model that there may be."""
    import torch
    from safetensors.torch import save_file

    from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats

    config = KimodoConfig(22, 30, 4, 1, 4, 4, 1, 2)
    torch.manual_seed(0)
    state = Kimodo(config, MotionStats.identity(config)).state_dict()
    save_file({f"denoiser.backbone.{n}": t for n, t in state.items()}, folder / "model.safetensors")
    shutil.copytree(_STATS, folder / "stats")
    text = (_STATS.parent / "config.yaml").read_text()
    for key, value in (("latent_dim", 4), ("ff_size", 4), ("num_layers", 1)):
        text = re.sub(rf"{key}: \d+", f"{key}: {value}", text)
    (folder / "config.yaml").write_text(text.replace("- 32", "- 4"))


@lru_cache
def _written(kind: str) -> dict[str, bytes]:
    """Write a small checkpoint once; return its files, by their names in its folder."""
    with tempfile.TemporaryDirectory(prefix="motionrt-fuzz-") as name:
        folder = Path(name)
        if kind == "motiongpt3":
            _write_motiongpt3(folder)
        elif kind == "kimodo":
            _write_kimodo(folder)
        elif kind == "ardy":
            shutil.copytree(_ARDY, folder, dirs_exist_ok=True)
        elif kind == "adapter":
            from text_checkpoints import write_adapter, write_decoder

            write_adapter(folder / "adapter", write_decoder(folder, "llama", 16, 1))
        else:
            from text_checkpoints import write_bert, write_decoder

            write_bert(folder) if kind == "bert" else write_decoder(folder, kind, 16, 1)
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _seeds_of(kind: str, file: str) -> Callable[[], list[bytes]]:
    """Return what gives the file of what was written, as the one seed."""
    return lambda: [_written(kind)[file]]


def _copy_of(kind: str, name: str) -> Callable[[Path], Path]:
    """Make what prepares a checkpoint in which one file is replaced."""

    def prepare(folder: Path) -> Path:
        os.environ["HOME"] = _SECRET
        for place, content in _written(kind).items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
        _remember_others(kind, name)
        return folder / name

    return prepare


def read_motiongpt3_at(depth: int) -> Callable[[Path], None]:
    """Make a reader of the checkpoint that a file is in, so many folders above it."""

    def read(path: Path) -> None:
        from motionrt.export.readers.motiongpt3 import read_motiongpt3

        folder = path.parents[depth]
        made = read_motiongpt3(folder / "model.ckpt", folder / "config.yaml", folder / "deps")
        if zlib.crc32(path.read_bytes()) % _BUILDS:
            return
        made.motion_vae()
        if made.config is not None:
            made.language_motion_model()

    return read


def read_encoder(path: Path) -> None:
    """Read a sentence encoder or a language model."""
    from motionrt.export.readers.bert import read_bert
    from motionrt.export.readers.decoder_lm import read_decoder_lm

    if (path.parent / "1_Pooling").is_dir():
        read_bert(path.parent)
    else:
        read_decoder_lm(path.parent)


def _of_checkpoint(name: str, kind: str, file: str, mutate: Mutator, **options: Any) -> Target:
    read = read_motiongpt3_at(len(Path(file).parents) - 1) if kind == "motiongpt3" else read_encoder
    return Target(
        name,
        read,
        mutate,
        lambda: [_written(kind)[file]],
        Path(file).name,
        _copy_of(kind, file),
        _IMPORTS,
        **options,
    )


def read_pairs_file(path: Path) -> None:
    """Read pairs as `train-projector` does, and split them."""
    from motionrt.train.pairs import read_pairs, split_pairs

    pairs = read_pairs(path, path if path.suffix in (".npy", ".pt") else None)
    split_pairs(pairs)
    pairs.content_hash  # noqa: B018


def read_listing(path: Path) -> None:
    """Read a data set that lists its pairs."""
    from motionrt.train.pairs import read_pairs

    read_pairs(path.parent.parent)


def read_folders(path: Path) -> None:
    """Read a data set of two folders."""
    from motionrt.train.pairs import read_pairs

    read_pairs(path.parent)


def read_lines(path: Path) -> None:
    """Read texts to embed."""
    from motionrt.train.pairs import read_texts

    read_texts(path)


def _rows(width: int) -> Any:
    return np.random.default_rng(width).normal(size=(_PAIRS, width)).astype(np.float32)


def _saved_rows() -> list[bytes]:
    import torch

    rows = torch.from_numpy(_rows(4))
    found = []
    for content in (rows, rows.double().reshape(_PAIRS, 2, 2), rows.to(torch.bfloat16)):
        file = io.BytesIO()
        torch.save(content, file)
        found.append(file.getvalue())
    return found


def _archives() -> Iterable[bytes]:
    file, named = io.BytesIO(), io.BytesIO()
    np.savez(file, x=_rows(4), y=_rows(3))
    ids = np.array([f"p{i}" for i in range(_PAIRS)])
    np.savez(named, student=_rows(4), teacher=_rows(3), ids=ids, groups=ids)
    return [file.getvalue(), named.getvalue()]


def _listed(folder: Path) -> Path:
    for i in range(_PAIRS):
        np.save(folder / f"x{i}.npy", _rows(4)[i])
        np.save(folder / f"y{i}.npy", _rows(3)[:2])
    (folder / "train").mkdir()
    return folder / "train" / "pairs.jsonl"


def _listings() -> Iterable[bytes]:
    entries = (
        {"image_path": f"{i}.png", "vl_emb_path": f"x{i}.npy", "text_emb_path": f"y{i}.npy"}
        for i in range(_PAIRS)
    )
    return ["\n".join(map(json.dumps, entries)).encode()]


def _foldered(folder: Path) -> Path:
    for name, width in (("vl_embeddings", 4), ("embeddings", 3)):
        (folder / name).mkdir()
        for i in range(_PAIRS):
            np.save(folder / name / f"{i:05d}.npy", _rows(width)[i])
    return folder / "metadata.jsonl"


def _safetensors(**arrays: Any) -> bytes:
    from safetensors.numpy import save

    return bytes(save(arrays))


TARGETS = (
    Target(
        "kimodo-config",
        read_kimodo_at(0),
        yaml_mutator,
        lambda: [_written("kimodo")["config.yaml"]],
        "config.yaml",
        _copy_of("kimodo", "config.yaml"),
        _IMPORTS,
    ),
    Target(
        "kimodo-stats",
        read_kimodo_at(3),
        mutate_npy,
        lambda: [(_STATS / "motion" / "body" / "mean.npy").read_bytes()],
        "mean.npy",
        _copy_of("kimodo", "stats/motion/body/mean.npy"),
        _IMPORTS,
    ),
    Target(
        "kimodo-safetensors",
        read_kimodo_at(0),
        mutate_safetensors,
        lambda: [_written("kimodo")["model.safetensors"]],
        "model.safetensors",
        _copy_of("kimodo", "model.safetensors"),
        _IMPORTS,
    ),
    *(
        Target(
            name,
            read_ardy_at(len(Path(file).parents) - 1),
            mutate,
            _seeds_of("ardy", file),
            Path(file).name,
            _copy_of("ardy", file),
            _IMPORTS,
        )
        for name, file, mutate in (
            ("ardy-config", "config.yaml", yaml_mutator),
            ("ardy-tokenizer", "tokenizer.safetensors", mutate_safetensors),
            ("ardy-stats", "stats/motion/mean.npy", mutate_npy),
        )
    ),
    *(
        Target(
            name,
            read_adapted,
            mutate,
            _seeds_of("adapter", file),
            Path(file).name,
            _copy_of("adapter", file),
            _IMPORTS,
        )
        for name, file, mutate in (
            ("adapter-config", "adapter/adapter_config.json", json_mutator()),
            ("adapter-safetensors", "adapter/adapter_model.safetensors", mutate_safetensors),
        )
    ),
    Target("pt", read_pt, mutate_archive, _torch_saved, "a.pt", imports=_IMPORTS),
    Target(
        "pt-before-1.6",
        read_pt,
        mutate_old,
        lambda: _torch_saved(_use_new_zipfile_serialization=False),
        "a.pt",
        imports=_IMPORTS,
    ),
    Target(
        "projector-safetensors",
        read_projector_file,
        mutate_safetensors,
        lambda: [
            _safetensors(weight=_rows(4), bias=np.zeros(_PAIRS, np.float32)),
            _safetensors(
                **{
                    "proj.0.weight": _rows(4),
                    "proj.0.bias": _rows(1)[:, 0],
                    "proj.2.weight": _rows(6)[:2],
                    "proj.2.bias": _rows(2)[0],
                }
            ),
        ],
        "a.safetensors",
        imports=_IMPORTS,
    ),
    _of_checkpoint("motiongpt3-config", "motiongpt3", "config.yaml", yaml_mutator),
    _of_checkpoint("motiongpt3-ckpt", "motiongpt3", "model.ckpt", mutate_archive),
    _of_checkpoint("gpt2-config", "motiongpt3", "deps/mot-gpt2/config.json", json_mutator()),
    _of_checkpoint("llama-config", "llama", "config.json", json_mutator()),
    _of_checkpoint("qwen3-safetensors", "qwen3", "model.safetensors", mutate_safetensors),
    _of_checkpoint("bert-config", "bert", "config.json", json_mutator()),
    Target("pairs-npz", read_pairs_file, mutate_archive, _archives, "p.npz", imports=_IMPORTS),
    Target(
        "pairs-npy",
        read_pairs_file,
        mutate_npy,
        lambda: [npy(_rows(4)), npy(_rows(4).astype(np.float64)), npy(_rows(4).reshape(6, 2, 2))],
        "p.npy",
        imports=_IMPORTS,
    ),
    Target("pairs-pt", read_pairs_file, mutate_archive, _saved_rows, "p.pt", imports=_IMPORTS),
    Target(
        "pairs-safetensors",
        read_pairs_file,
        mutate_safetensors,
        lambda: [_safetensors(x=_rows(4), y=_rows(3))],
        "p.safetensors",
        imports=_IMPORTS,
    ),
    Target(
        "pairs-listing",
        read_listing,
        json_lines_mutator,
        _listings,
        prepare=_listed,
        imports=_IMPORTS,
    ),
    Target(
        "pairs-metadata",
        read_folders,
        json_lines_mutator,
        lambda: [b"\n".join(b'{"id": %d, "prompt": "walk %d"}' % (i, i) for i in range(_PAIRS))],
        prepare=_foldered,
        imports=_IMPORTS,
    ),
    Target(
        "texts",
        read_lines,
        json_lines_mutator,
        lambda: [b'{"text": "walk", "group": 1}\n{"prompt": "sit"}\n'],
        "t.jsonl",
        imports=_IMPORTS,
    ),
)
