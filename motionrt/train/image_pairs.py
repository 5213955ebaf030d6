"""Pairs of images and captions, embedded by a model that sees and by one that reads.

The input of a pair is what a Qwen-VL model makes of an image and its caption, the target what a
Qwen3 makes of the caption alone: a projector between them lets a generator that was trained on the
latter take pictures. Both get the caption as a turn of a user, image first, up to the beginning of
the answer (ChatML); no template of a model's folder is run.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageOps
from tokenizers import Tokenizer

from motionrt.export.text_encoder import fingerprint
from motionrt.runtime.errors import CheckpointError, InputError, one_line
from motionrt.runtime.files import atomic_file, make_folder
from motionrt.train.pairs import CAPTION_KEYS, IMAGE_KEYS
from motionrt.train.state_file import save_state

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
LISTINGS = ("captions.jsonl", "metadata.jsonl", "captions.csv", "metadata.csv")
TOKENS = ("text", "image", "all")
SETTINGS = "embedding.json"
SCALE_PAIRS = 64
"""Pairs on which the scale of inputs is measured."""
BEFORE, BETWEEN, AFTER = (
    "<|im_start|>user\n",
    "<|vision_end|>",
    "<|im_end|>\n<|im_start|>assistant\n",
)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Captioned:
    """An image and what it shows."""

    image: Path
    name: str
    """Of the image, from the folder of the data."""
    caption: str


@dataclass(frozen=True)
class ImagePairOptions:
    """What is taken of both models."""

    vl_layer: int = -8
    """Hidden state of the seeing model; -1 is the last, after its norm, 0 the embeddings."""
    text_layer: int = -2
    """Hidden state of the reading model."""
    tokens: str = "text"
    """Tokens of the seeing model: ``text`` leaves out the image's, ``image`` takes those alone
    (with the marks around them), ``all`` both."""
    scale_to_text: bool = False
    """Scale inputs by one number, so that they spread as far as the targets do."""
    device: str = "cpu"
    dtype: str = "float32"
    """Of the models: float32, bfloat16 or float16. Embeddings are stored in float32."""

    def __post_init__(self) -> None:
        """Check the choices; InputError if one is none."""
        if self.tokens not in TOKENS:
            raise InputError(f"tokens {self.tokens!r}: none of {', '.join(TOKENS)}")
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise InputError(f"dtype {self.dtype!r}: none of float32, bfloat16, float16")


def read_captioned(place: Path) -> list[Captioned]:
    """Read images with their captions.

    A folder has a listing (``LISTINGS``) or a text file beside each image, a caption a line; a
    listing is .jsonl or .csv with ``image`` and ``caption``, or several ``captions`` in .jsonl.
    """
    if place.is_dir():
        listing = next((place / name for name in LISTINGS if (place / name).is_file()), None)
        found = list(_listed(listing) if listing else _beside(place))
    elif place.is_file():
        found = list(_listed(place))
    else:
        raise InputError(f"{place}: no such file or directory")
    if len(found) < 4:
        raise InputError(f"{place}: {len(found)} images with captions; a projector needs more")
    return found


def embed_image_pairs(
    captioned: Sequence[Captioned],
    vl: Path,
    text: Path,
    folder: Path,
    options: ImagePairOptions,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Embed all pairs into a data set that ``read_pairs`` reads, and return its settings.

    What is there already, made with the same settings, is kept: an interrupted run goes on. All
    captions of an image are on one side of the split; validation is the other side's share.
    InputError if the folder holds a data set of other settings.
    """
    seeing, reading = _Model(vl, options, True), _Model(text, options, False)
    settings = {
        **{key: value for key, value in asdict(options).items() if key != "device"},
        "vl": vl.name,
        "vl_fingerprint": fingerprint([vl]),
        "text": text.name,
        "text_fingerprint": fingerprint([text]),
        "template": BEFORE + AFTER,
        "pairs_sha256": _digest(captioned),
        "validation": validation,
    }
    content = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
    _check_claim(folder, content)
    scale = 1.0
    if options.scale_to_text:
        scale = _scale(captioned, seeing, reading, progress)
    listings: dict[str, list[str]] = {"train": [], "val": []}
    held = _held_out([pair.name for pair in captioned], validation)
    for number, pair in enumerate(captioned):
        part = "val" if pair.name in held else "train"
        entry = {"image_path": pair.name, "caption": pair.caption}
        made: dict[Path, torch.Tensor] = {}
        for kind, model in (("vl", seeing), ("text", reading)):
            name = f"embeddings/{kind}/{number:05d}.pt"
            entry[f"{kind}_emb_path"] = name
            path = folder / part / name
            if not path.is_file():
                rows = model.embed(pair)
                made[path] = (rows * scale if kind == "vl" else rows).contiguous()
        # Not before: settings with which nothing could be embedded hold no folder.
        _claim(folder, content)
        for path, rows in made.items():
            make_folder(path.parent)
            save_state(path, rows)
        listings[part].append(json.dumps(entry, ensure_ascii=False))
        if progress is not None:
            progress("embedding", number + 1, len(captioned))
    for part, lines in listings.items():
        if not lines:
            continue
        make_folder(folder / part)
        with atomic_file(folder / part / "pairs.jsonl") as temporary:
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {**settings, "scale": scale, **{part: len(lines) for part, lines in listings.items()}}


class _Model:
    """One of the two models, loaded when the first pair needs it."""

    def __init__(self, folder: Path, options: ImagePairOptions, sees: bool) -> None:
        self.folder, self.options, self.sees = folder, options, sees
        self._loaded: tuple[Any, Any] | None = None
        path = folder / "tokenizer.json"
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"{path}: no tokenizer ({one_line(str(error), 200)})") from None
        self.text_only = Tokenizer.from_str(self.tokenizer.to_str())
        # What a caption says is text, whatever it looks like.
        self.text_only.encode_special_tokens = True

    @torch.no_grad()
    def embed(self, pair: Captioned) -> torch.Tensor:
        """Return the hidden states (S, D), float32, of the tokens that are asked for."""
        model, prepare = self._load()
        text = self.text_only.encode(pair.caption.strip(), add_special_tokens=False).ids
        inputs: dict[str, Any] = {}
        image: list[int] = []
        if self.sees:
            seen = prepare(images=[_opened(pair.image)], return_tensors="pt")
            inputs = {name: value.to(self.options.device) for name, value in seen.items()}
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
            patches = int(seen["image_grid_thw"].prod())
            count = patches // model.config.vision_config.spatial_merge_size**2
            image = [
                model.config.vision_start_token_id,
                *[model.config.image_token_id] * count,
                model.config.vision_end_token_id,
            ]
        before, after = self._marks(BEFORE), self._marks(AFTER)
        ids = torch.tensor([[*before, *image, *text, *after]], device=self.options.device)
        if self.sees:
            inputs["mm_token_type_ids"] = (ids == model.config.image_token_id).int()
        states = model(input_ids=ids, output_hidden_states=True, **inputs).hidden_states
        layer = self.options.vl_layer if self.sees else self.options.text_layer
        if not -len(states) <= layer < len(states):
            raise InputError(
                f"{self.folder}: has hidden states 0 to {len(states) - 1}, {layer} is none; choose "
                f"with --{'vl' if self.sees else 'text'}-layer"
            )
        rows: torch.Tensor = states[layer][0].float().cpu()
        if not bool(torch.isfinite(rows).all()):
            raise InputError(
                f"{self.folder}: {pair.name} gives numbers that are not finite in "
                f"{self.options.dtype}; take another --dtype"
            )
        shown = torch.zeros(len(rows), dtype=torch.bool)
        shown[len(before) : len(before) + len(image)] = True
        if not self.sees or self.options.tokens == "all":
            return rows
        return rows[shown if self.options.tokens == "image" else ~shown]

    def _marks(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) >= len(text.encode()):
            raise CheckpointError(
                f"{self.folder}: its tokenizer has no {text.split('>')[0]}>; expected a model of "
                "Qwen's"
            )
        return ids

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            library: Any = transformers  # some of it has no types
            library.utils.logging.disable_progress_bar()
            try:
                model = library.AutoModel.from_pretrained(
                    self.folder,
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    dtype=getattr(torch, self.options.dtype),
                )
                wanted = "vision_start_token_id" if self.sees else "hidden_size"
                if not hasattr(model.config, wanted):
                    kind = "sees, such as Qwen3-VL" if self.sees else "reads, such as Qwen3"
                    raise CheckpointError(
                        f"{self.folder}: is {model.config.model_type}, expected a model that {kind}"
                    )
                prepare = None
                if self.sees:
                    prepare = library.AutoImageProcessor.from_pretrained(
                        self.folder, local_files_only=True, backend="pil"
                    )
            except CheckpointError:
                raise
            # Of files that do not fit it raises whatever came first.
            except Exception as error:
                reason = one_line(str(error), 300)
                raise CheckpointError(
                    f"{self.folder}: transformers does not load it ({reason})"
                ) from None
            self._loaded = model.to(self.options.device).eval(), prepare
        return self._loaded


def _scale(
    captioned: Sequence[Captioned], seeing: _Model, reading: _Model, progress: Progress | None
) -> float:
    """Return the spread of targets by that of inputs, over the first pairs, outliers included."""
    chosen = captioned[:SCALE_PAIRS]
    sums = np.zeros((2, 3))
    for number, pair in enumerate(chosen):
        for side, model in enumerate((seeing, reading)):
            rows = model.embed(pair).double()
            sums[side] += (rows.numel(), float(rows.sum()), float(rows.square().sum()))
        if progress is not None:
            progress("measuring the scale", number + 1, len(chosen))
    count, total, squares = sums.T
    spread = np.sqrt(squares / count - np.square(total / count))
    return float(spread[1] / max(float(spread[0]), 1e-12))


def _held_out(names: Sequence[str], share: float) -> set[str]:
    """Choose images to validate on, by their names alone: the same ones in every run.

    None where there would be fewer than two: whoever trains splits such data.
    """
    images = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    count = round(len(images) * share)
    return set(images[:count]) if count > 1 else set()


def _check_claim(folder: Path, content: str) -> None:
    """Raise InputError if the folder holds something else than pairs of these settings."""
    path = folder / SETTINGS
    if path.is_file():
        if path.read_text(encoding="utf-8") != content:
            raise InputError(f"{folder}: holds pairs of other settings; remove it, or name another")
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty, and holds no pairs of ours; name another")


def _claim(folder: Path, content: str) -> None:
    """Write the settings into the folder, if they are not there."""
    path = folder / SETTINGS
    if not path.is_file():
        make_folder(folder)
        with atomic_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _digest(captioned: Sequence[Captioned]) -> str:
    lines = "\n".join(f"{pair.name}\t{pair.caption}" for pair in captioned)
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: no image ({one_line(str(error), 200)})") from None


def _beside(folder: Path) -> Iterator[Captioned]:
    for image in sorted(folder.rglob("*")):
        if image.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        path = image.with_suffix(".txt")
        if not path.is_file():
            raise InputError(f"{image}: has no caption; expected {path.name} beside it")
        for line in _text(path).splitlines():
            if line.strip():
                yield Captioned(image, image.relative_to(folder).as_posix(), line.strip())


def _listed(listing: Path) -> Iterator[Captioned]:
    text = _text(listing)
    entries: Iterator[Any]
    if listing.suffix == ".csv":
        entries = iter(csv.DictReader(text.splitlines()))
    elif listing.suffix == ".jsonl":
        entries = (_parsed(line) for line in text.split("\n") if line.strip())
    else:
        raise InputError(f"{listing}: expected a folder, or a listing in .jsonl or .csv")
    for number, entry in enumerate(entries, 1):
        told = entry if isinstance(entry, dict) else {}
        image = next((told[key] for key in IMAGE_KEYS if isinstance(told.get(key), str)), None)
        captions = told.get("captions")
        if not isinstance(captions, list):
            captions = [next((told[key] for key in CAPTION_KEYS if told.get(key)), None)]
        good = [text.strip() for text in captions if isinstance(text, str) and text.strip()]
        if image is None or not good or len(good) != len(captions):
            raise InputError(f"{listing}: entry {number} has no image and caption")
        path = listing.parent / image
        try:
            inside = path.resolve().is_relative_to(listing.parent.resolve()) and path.is_file()
        except (OSError, RuntimeError, ValueError):
            inside = False
        if not inside:
            raise InputError(
                f"{listing}: entry {number}: {one_line(image, 200)} is not in its folder"
            )
        for caption in good:
            yield Captioned(path, Path(image).as_posix(), caption)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from None
