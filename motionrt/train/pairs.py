"""Pairs of embeddings to fit a projector on: read, checked and split.

A pair is an input embedding and its target: vectors (I,) and (O,), or sequences (S, I) and (T, O).
Tokens of two sequences belong together by their position, up to the end of the shorter one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_safetensors

from motionrt.export.readers.safe_pickle import StoredTensor, read_checkpoint
from motionrt.models.pooling import pool_to_length
from motionrt.runtime.errors import CheckpointError, InputError, one_line
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.readers.arrays import read_array, read_arrays
from motionrt.runtime.text.prompt import clean_prompt

SEQUENCE_LENGTH = 64
"""Rows that sequences are brought to before training."""
SUFFIXES = (".pt", ".npy", ".safetensors")
INPUT_NAMES = ("x", "inputs", "student", "source")
TARGET_NAMES = ("y", "targets", "teacher", "target")
"""What the two arrays of one file may be called."""
FOLDERS = (
    ("vl_embeddings", "embeddings"),
    ("vl_embeddings", "text_embeddings"),
    ("embeddings/vl", "embeddings/text"),
    ("vl", "text"),
    ("inputs", "targets"),
    ("student", "teacher"),
)
"""Where inputs and targets may lie, in files of the same names."""
PARTS = (("train", "train"), ("val", "val"), ("validation", "val"))
"""Folders of a data set's own split, and the parts that they are."""
LISTINGS = ("metadata.jsonl", "captions.jsonl")
CAPTION_KEYS, IMAGE_KEYS = ("prompt", "caption", "text"), ("image", "image_path", "file_name")
DEGENERATE_COSINE = 0.99
DEGENERATE_STD = 1e-6
_FREE_BYTES, _MOST_REPEATED = 256 << 20, 100
"""What the embeddings of a listing may take beside their files' sizes, and how many times those: a
row becomes ``SEQUENCE_LENGTH`` rows, and pairs may share a text."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Pairs:
    """Checked pairs, one row each."""

    ids: tuple[str, ...]
    x: NDArray[np.float32]
    """(N, I), or (N, S, I) padded with zero rows."""
    y: NDArray[np.float32]
    """(N, O), or (N, T, O)."""
    groups: tuple[str, ...]
    """Pairs of one group (near copies) stay on one side of a split."""
    parts: tuple[str, ...] = ()
    """``train`` or ``val`` for each, where the data set has a split of its own."""
    source: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    x_mask: NDArray[np.bool_] | None = None
    """True where a row of inputs (N, S) is a token; zero rows are none if it is not given."""
    y_mask: NDArray[np.bool_] | None = None
    """The same of targets (N, T)."""

    def __post_init__(self) -> None:
        """Check what could not be trained on; InputError names the first that is wrong."""
        count = len(self.ids)
        if count < 4:
            raise InputError(f"{self.source}: {count} pairs; a projector needs more")
        if not len(self.x) == len(self.y) == len(self.groups) == count:
            raise InputError(
                f"{self.source}: {count} ids, {len(self.x)} inputs, {len(self.y)} targets"
            )
        for what, rows, name in (("input", self.x, "x_mask"), ("target", self.y, "y_mask")):
            good = np.isfinite(rows).reshape(count, -1).all(1)
            if not good.all():
                bad = self.ids[int(np.argmin(good))]
                raise InputError(f"{self.source}: the {what} of {bad} is not finite")
            mask = getattr(self, name)
            if mask is None and rows.ndim == 3:
                object.__setattr__(self, name, np.asarray((rows != 0).any(-1)))
            elif mask is not None and mask.shape != rows.shape[:2]:
                raise InputError(
                    f"{self.source}: the mask of {what}s is {list(mask.shape)}, "
                    f"they are {list(rows.shape)}"
                )
            elif mask is not None and not mask.any(1).all():
                bad = self.ids[int(np.argmin(mask.any(1)))]
                raise InputError(f"{self.source}: the mask hides all of the {what} of {bad}")
        try:
            "".join((*self.ids, *self.groups)).encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"{self.source}: a name holds half a character") from None
        seen: dict[str, int] = {}
        for row, name in enumerate(self.ids):
            if name in seen:
                where = (
                    "both in training and in validation"
                    if self.parts and self.parts[row] != self.parts[seen[name]]
                    else "twice"
                )
                raise InputError(f"{self.source}: {name} is there {where}")
            seen[name] = row
        check_alive(_shown(self.x, self.x_mask), f"{self.source}: the inputs")
        check_alive(_shown(self.y, self.y_mask), f"{self.source}: the targets")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sequences(self) -> bool:
        """Each side is a sequence of rows, not one vector."""
        return self.x.ndim == 3

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """True where an input row (N, S) is no padding; None for vectors."""
        return self.x_mask

    @property
    def content_hash(self) -> str:
        """SHA-256 of ids, inputs and targets, padding as zeros."""
        digest = hashlib.sha256("\n".join(self.ids).encode())
        for rows, mask in ((self.x, self.x_mask), (self.y, self.y_mask)):
            seen = rows if mask is None else np.where(mask[..., None], rows, np.float32(0))
            digest.update(np.ascontiguousarray(seen).tobytes())
        return digest.hexdigest()

    def rows(self, chosen: NDArray[np.int64]) -> Pairs:
        """Return some of the pairs, unchecked."""
        made = object.__new__(Pairs)
        pick = chosen.tolist()
        values = {
            **self.__dict__,
            "ids": tuple(self.ids[i] for i in pick),
            "groups": tuple(self.groups[i] for i in pick),
            "parts": tuple(self.parts[i] for i in pick) if self.parts else (),
            "x": self.x[chosen],
            "y": self.y[chosen],
            "x_mask": None if self.x_mask is None else self.x_mask[chosen],
            "y_mask": None if self.y_mask is None else self.y_mask[chosen],
        }
        made.__dict__.update(values)
        return made

    def flat(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return rows (M, I) and (M, O): vectors as they are, sequences token by token.

        Tokens without a partner, and padding, are left out.
        """
        if not self.sequences:
            return self.x, self.y
        if self.y.ndim != 3 or self.x.shape[1] != self.y.shape[1]:
            raise InputError(
                f"{self.source}: inputs of {self.x.shape[1]} rows and targets of "
                f"{self.y.shape[1] if self.y.ndim == 3 else 1}: only the attention kind maps these"
            )
        assert self.x_mask is not None and self.y_mask is not None
        kept = self.x_mask & self.y_mask
        if not kept.any():
            raise InputError(f"{self.source}: no token of an input has a partner in its target")
        return self.x[kept], self.y[kept]

    def flat_groups(self) -> NDArray[np.int64]:
        """Return the number of the pair that each row of ``flat`` is of."""
        if not self.sequences or self.x_mask is None or self.y_mask is None:
            return np.arange(len(self))
        return np.nonzero(self.x_mask & self.y_mask)[0]


@dataclass(frozen=True)
class Split:
    """Row numbers of the parts; test may be empty."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_pairs(pairs: Pairs, seed: int = 0, shares: tuple[float, float] = (0.1, 0.1)) -> Split:
    """Split by groups into training, validation and test rows; shares are of the last two.

    A data set's own split is kept: its validation part is halved into validation and test.
    """
    generator = np.random.default_rng(seed)
    if pairs.parts:
        own = np.array([part == "train" for part in pairs.parts])
        train, rest = np.flatnonzero(own), np.flatnonzero(~own)
        if len(train) < 2 or len(rest) < 2:
            raise InputError(f"{pairs.source}: its own split leaves too few pairs on one side")
        held = sorted({pairs.groups[row] for row in rest})
        if shares[1] == 0 or len(rest) < 20 or len(held) < 2:
            return Split(train, rest, np.zeros(0, np.int64))
        half = {held[i] for i in generator.permutation(len(held))[: len(held) // 2]}
        first = np.array([pairs.groups[row] in half for row in rest])
        return Split(train, rest[first], rest[~first])
    names = sorted(set(pairs.groups))
    generator.shuffle(names)
    place = {name: i for i, name in enumerate(names)}
    order = np.array([place[group] for group in pairs.groups])
    num_validation = max(round(len(names) * shares[0]), 1)
    num_test = round(len(names) * shares[1])
    if len(names) - num_validation - num_test < 2:
        raise InputError(f"{pairs.source}: {len(names)} groups of pairs are too few to split")
    validation = order < num_validation
    test = (order >= num_validation) & (order < num_validation + num_test)
    return Split(
        np.flatnonzero(~(validation | test)), np.flatnonzero(validation), np.flatnonzero(test)
    )


def read_pairs(place: Path, targets: Path | None = None) -> Pairs:
    """Read a data set: a directory, one file, or two.

    - ``train/pairs.jsonl`` and ``val/pairs.jsonl`` that name files of inputs and targets;
    - folders of inputs and targets (``FOLDERS``), matched by file name, at the top or under
      ``train/`` and ``val/``, with a ``metadata.jsonl`` of captions and images, or without;
    - one ``.npz`` or ``.safetensors`` with arrays x and y (other names: see the constants), perhaps
      with ``mask`` or ``x_mask`` and ``y_mask``, ``ids`` and ``groups``;
    - inputs and targets in a file each (``.npy``, ``.pt``, ``.safetensors``).

    Pairs of one image, or of one caption, are one group.
    """
    if targets is not None:
        return _stacked(place, None, read_embedding(place), read_embedding(targets))
    if not place.exists():
        raise InputError(f"{place}: no such file or directory")
    if place.is_file():
        return _one_file(place)
    if (place / "train" / "pairs.jsonl").is_file():
        return _listed_pairs(place)
    return _folders(place)


def pairs_of_texts(
    texts: Sequence[tuple[str, str]],
    student: Callable[[Sequence[str]], NDArray[np.float32]],
    teacher: Callable[[Sequence[str]], NDArray[np.float32]],
    source: str,
) -> Pairs:
    """Embed texts (cleaned, with their groups) by both encoders."""
    prompts = [text for text, _ in texts]
    return Pairs(
        tuple(prompts),
        student(prompts),
        teacher(prompts),
        tuple(group for _, group in texts),
        source=source,
    )


def read_texts(path: Path) -> list[tuple[str, str]]:
    """Read prompts, a line each or JSON objects with ``text`` and perhaps ``group``.

    Returns them cleaned, each once, with their groups (themselves where none is given).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        text, group = line, ""
        if path.suffix == ".jsonl":
            try:
                entry = json.loads(line)
                text, group = entry.get("text", entry.get("prompt")), entry.get("group", "")
            except (ValueError, AttributeError, RecursionError):
                raise InputError(f"{path}: line {number} is no JSON object") from None
            if not isinstance(text, str) or not isinstance(group, str | int):
                raise InputError(f"{path}: line {number} has no text")
        cleaned = clean_prompt(text)
        if cleaned:
            found.setdefault(cleaned, str(group) or cleaned)
    if not found:
        raise InputError(f"{path}: holds no texts")
    return list(found.items())


def check_alive(rows: NDArray[np.float32], what: str) -> None:
    """Raise InputError where all embeddings are nearly the same: the encoder is broken."""
    flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
    flat = flat[flat.any(1)][:1000]
    if len(flat) < 2:
        raise InputError(f"{what} are all zero")
    if flat.std(0).max() < DEGENERATE_STD:
        raise InputError(f"{what} are all the same; the encoder that made them is broken")
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    total = float(np.square(unit.sum(0)).sum())
    cosine = (total - len(unit)) / (len(unit) * (len(unit) - 1))
    if cosine > DEGENERATE_COSINE:
        raise InputError(
            f"{what} hardly differ (mean cosine {cosine:.4f}); was the encoder run in half "
            "precision, or on one text?"
        )


def _shown(rows: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    return rows if mask is None else rows[mask]


def _one_file(path: Path) -> Pairs:
    if path.suffix == ".npz":
        arrays: Mapping[str, Array] = read_arrays(path)
    elif path.suffix == ".safetensors":
        arrays = _safetensors(path)
    else:
        raise InputError(f"{path}: expected a directory, .npz or .safetensors with both arrays")
    x, y = (_named(arrays, names, path) for names in (INPUT_NAMES, TARGET_NAMES))
    masks = [_mask(arrays, (name, "mask"), path) for name in ("x_mask", "y_mask")]
    ids, groups = (_names(arrays, key, path) for key in ("ids", "groups"))
    return _stacked(path, ids, x, y, groups, masks)


def _mask(
    arrays: Mapping[str, Array], names: Sequence[str], path: Path
) -> NDArray[np.bool_] | None:
    """Return the first mask of these names: booleans, or whole numbers that are 0 where hidden."""
    for name in names:
        if name in arrays:
            array = arrays[name]
            if array.ndim != 2 or array.dtype.kind not in "bui":
                raise InputError(
                    f"{path}: {name} is {array.dtype} {list(array.shape)}, expected (pairs, tokens)"
                )
            return np.asarray(array != 0)
    return None


def _names(arrays: Mapping[str, Array], key: str, path: Path) -> list[str] | None:
    """Return the names in an array, None if there is none of that key."""
    if key not in arrays:
        return None
    array = arrays[key]
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: {key} are {array.dtype} {list(array.shape)}, expected a text each"
        )
    return [str(name) for name in array]


def _listed_pairs(place: Path) -> Pairs:
    images, captions, parts, xs, ys = [], [], [], [], []
    taken, held, seen = 0, 0, set[Path]()
    for part in ("train", "val"):
        listing = place / part / "pairs.jsonl"
        if not listing.is_file():
            continue
        for number, entry in _json_lines(listing):
            try:
                names = entry["vl_emb_path"], entry["text_emb_path"]
            except KeyError as error:
                raise InputError(f"{listing}: line {number} has no {error}") from None
            if not all(isinstance(name, str) for name in names):
                raise InputError(f"{listing}: line {number} names no files")
            files = [_inside(place, place / part, name) for name in names]
            x, y = map(read_embedding, files)
            taken += sum(_fixed(array).nbytes for array in (x, y))
            held += sum(path.stat().st_size for path in {*files} - seen)
            seen |= {*files}
            if taken > _FREE_BYTES + _MOST_REPEATED * held:
                raise InputError(f"{listing}: line {number}: it names the same files over and over")
            # The image is what a pair is about; its number may recur in both parts.
            images.append(str(entry.get("image_path") or f"{part}/{Path(str(names[0])).stem}"))
            captions.append(str(entry.get("caption", "")))
            parts.append(part)
            xs.append(x)
            ys.append(y)
    ids = _numbered(images, parts)
    return _from_rows(place, ids, xs, ys, parts, _related(images, captions))


def _numbered(images: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Name pairs by their images; further captions of one, in the same part, are numbered."""
    seen: dict[tuple[str, str], int] = {}
    names = []
    for image, part in zip(images, parts, strict=True):
        count = seen[image, part] = seen.get((image, part), 0) + 1
        names.append(image if count == 1 else f"{image}#{count}")
    return names


def _related(images: Sequence[str], captions: Sequence[str]) -> list[str]:
    """Name a group for each pair: those of one image or of one caption, and what these share."""
    first: dict[tuple[str, str], int] = {}
    leader = list(range(len(images)))

    def lead(row: int) -> int:
        while leader[row] != row:
            leader[row] = row = leader[leader[row]]
        return row

    for row, (image, caption) in enumerate(zip(images, captions, strict=True)):
        for key in (("image", image), ("caption", clean_prompt(caption).casefold())):
            if key[1]:
                leader[lead(row)] = lead(first.setdefault(key, row))
    return [clean_prompt(captions[lead(row)]) or images[lead(row)] for row in range(len(images))]


def _folders(place: Path) -> Pairs:
    """Read inputs and targets that lie in two folders, matched by the names of their files."""
    split = [(folder, part) for folder, part in PARTS if (place / folder).is_dir()]
    layout = next(
        (
            names
            for names in FOLDERS
            for root in (place, *(place / folder for folder, _ in split))
            if all((root / name).is_dir() for name in names)
        ),
        None,
    )
    if layout is None:
        known = " or ".join(f"{x} and {y}" for x, y in FOLDERS)
        raise InputError(
            f"{place}: neither train/pairs.jsonl nor folders of inputs and targets ({known}), "
            "there or under train"
        )
    roots = [(place / folder, part) for folder, part in split] or [(place, "")]
    if all((place / name).is_dir() for name in layout):
        roots = [(place, "")]
    ids, parts, xs, ys = [], [], [], []
    images, captions = [], []
    for root, part in roots:
        said = _captions(root)
        for stem, x, y in matched_files((root / layout[0], root / layout[1])):
            caption, image = said.get(stem, said.get(stem.lstrip("0") or "0", ("", "")))
            ids.append(f"{part}/{stem}" if part else stem)
            images.append(image or ids[-1])
            captions.append(caption)
            parts.append(part)
            xs.append(read_embedding(x))
            ys.append(read_embedding(y))
    part_of = dict(zip(images, parts, strict=True))
    for image, part in zip(images, parts, strict=True):
        if part_of[image] != part:
            raise InputError(f"{place}: {image} is there both in training and in validation")
    return _from_rows(place, ids, xs, ys, parts, _related(images, captions))


def matched_files(folders: tuple[Path, Path]) -> list[tuple[str, Path, Path]]:
    """Return the embeddings of two folders that have one name; InputError if one is alone."""
    files: list[dict[str, Path]] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        own: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and own.setdefault(path.stem, path) != path:
                raise InputError(f"{folder}: holds {path.stem} twice")
        files.append(own)
    for here, there in ((0, 1), (1, 0)):
        alone = sorted(set(files[here]) - set(files[there]))
        if alone:
            raise InputError(f"{folders[here]}: {alone[0]} has no partner in {folders[there].name}")
    return [(stem, path, files[1][stem]) for stem, path in files[0].items()]


def _captions(root: Path) -> dict[str, tuple[str, str]]:
    """Read what a listing says of each file: its caption, and its image."""
    said: dict[str, tuple[str, str]] = {}
    for name in LISTINGS:
        if not (root / name).is_file():
            continue
        for _, entry in _json_lines(root / name):
            caption, image = (
                next((entry[key] for key in keys if isinstance(entry.get(key), str)), "")
                for keys in (CAPTION_KEYS, IMAGE_KEYS)
            )
            stem = str(entry.get("id", Path(image).stem))
            said[stem] = caption, image
    return said


def _from_rows(
    place: Path,
    ids: Sequence[str],
    xs: Sequence[Array],
    ys: Sequence[Array],
    parts: Sequence[str] = (),
    groups: Sequence[str] | None = None,
) -> Pairs:
    """Bring single files to one shape: sequences to a fixed length, vectors as they are."""
    if not ids:
        raise InputError(f"{place}: holds no pairs")
    sides, masks = [], []
    for what, rows in (("input", xs), ("target", ys)):
        width, rank = rows[0].shape[-1], rows[0].ndim
        for name, row in zip(ids, rows, strict=True):
            fits = row.ndim in (1, 2) and row.ndim == rank and row.shape[-1] == width
            if not fits or not row.size:
                raise InputError(
                    f"{place}: the {what} of {name} is {list(row.shape)}, that of {ids[0]} "
                    f"{list(rows[0].shape)}"
                )
        masks.append(_tokens(rows))
        sides.append(np.stack([_fixed(row) for row in rows]))
    groups = ids if groups is None else groups
    own = tuple(parts) if len(set(parts)) > 1 else ()  # a training part alone is split by us
    return Pairs(
        tuple(ids),
        sides[0],
        sides[1],
        tuple(groups),
        own,
        str(place),
        x_mask=masks[0],
        y_mask=masks[1],
    )


def _tokens(rows: Sequence[Array]) -> NDArray[np.bool_] | None:
    """Say which rows of the sequences that ``_fixed`` makes are tokens, not padding.

    Sequences that are of that length already may hold zero rows as padding.
    """
    if rows[0].ndim != 2:
        return None
    lengths = np.array([min(len(row), SEQUENCE_LENGTH) for row in rows])
    mask = np.arange(SEQUENCE_LENGTH) < lengths[:, None]
    for number, row in enumerate(rows):
        if len(row) == SEQUENCE_LENGTH:
            mask[number] = (row != 0).any(-1)  # ``any`` of a signalling NaN warns
    return mask


def _fixed(row: Array) -> Array:
    """Bring a sequence to the fixed length; a vector is as it is."""
    if row.ndim != 2 or len(row) == SEQUENCE_LENGTH or not row.size:
        return row
    pooled: Array = pool_to_length(torch.from_numpy(row), SEQUENCE_LENGTH).numpy()
    return pooled


def _stacked(
    place: Path,
    ids: Sequence[str] | None,
    x: Array,
    y: Array,
    groups: Sequence[str] | None = None,
    masks: Sequence[NDArray[np.bool_] | None] = (None, None),
) -> Pairs:
    if x.ndim not in (2, 3) or y.ndim not in (2, 3) or len(x) != len(y) or not x.size * y.size:
        raise InputError(
            f"{place}: inputs {list(x.shape)} and targets {list(y.shape)}; expected one row a pair"
        )
    ids = [str(i) for i in range(len(x))] if ids is None else ids
    for rows, mask in zip((x, y), masks, strict=True):
        if mask is not None and rows.ndim != 3:
            raise InputError(f"{place}: a mask goes with sequences, not with {list(rows.shape)}")
    return Pairs(
        tuple(ids),
        x,
        y,
        tuple(ids if groups is None else groups),
        source=str(place),
        x_mask=masks[0],
        y_mask=masks[1],
    )


def read_embedding(path: Path) -> NDArray[np.float32]:
    """Read one array of floats from a .pt, .npy or .safetensors file; InputError if it is none."""
    array: Any
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".npy":
            array = read_array(path)
        elif path.suffix == ".safetensors":
            arrays = _safetensors(path)
            if len(arrays) != 1:
                raise InputError(f"{path}: holds {len(arrays)} arrays, expected one")
            array = next(iter(arrays.values()))
        elif path.suffix == ".pt":
            tensor = read_checkpoint(path)
            if not isinstance(tensor, StoredTensor):
                raise InputError(f"{path}: holds something other than a tensor, was not loaded")
            array = tensor.load()
            array = (array.double() if array.dtype == torch.float64 else array.float()).numpy()
        else:
            raise InputError(f"{path}: expected .pt, .npy or .safetensors")
    except (OSError, ValueError, CheckpointError, InputError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: {reason}") from None
    if array.dtype.kind != "f" or array.ndim < 1:
        raise InputError(f"{path}: is {array.dtype} {list(array.shape)}, expected floats")
    return _as_floats(array)


def _as_floats(array: Array) -> NDArray[np.float32]:
    """Return an array of floats as float32; what is too large becomes infinite, and is refused."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _safetensors(path: Path) -> dict[str, Array]:
    refuse_lfs_pointer(path)
    try:
        return dict(load_safetensors(path))
    # Its own kind, and NumPy's for a type that it does not have.
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _named(arrays: Mapping[str, Array], names: Sequence[str], path: Path) -> NDArray[np.float32]:
    found = [name for name in names if name in arrays]
    if len(found) != 1:
        raise InputError(f"{path}: expected one array named {', '.join(names)}, found {len(found)}")
    array = arrays[found[0]]
    if array.dtype.kind != "f":
        raise InputError(f"{path}: {found[0]} is {array.dtype}, expected floats")
    return _as_floats(array)


def _inside(root: Path, base: Path, name: str) -> Path:
    """Return a listed file, named from the data set's root or the listing's folder."""
    for folder in (root, base):
        try:
            path = (folder / name).resolve()
            if path.is_relative_to(root.resolve()) and path.is_file():
                return path
        except (OSError, RuntimeError, ValueError):  # too long, in a circle, with a NUL
            break
    raise InputError(f"{root}: {one_line(name, 200)} is not in the data set")


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    refuse_lfs_pointer(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise InputError(f"{path}: line {number} is no JSON object")
        yield number, entry
