"""Read the evaluator networks of HumanML3D: a torch file, its statistics, its word vectors.

The file holds three state dicts: ``text_encoder``, ``movement_encoder`` and ``motion_encoder``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from motionrt.export.readers.safe_pickle import StoredTensor, read_checkpoint, weights_of
from motionrt.export.readers.statistics import read_row
from motionrt.models.humanml_evaluator import (
    NUM_CONTACTS,
    EvaluatorConfig,
    MovementEncoder,
    SequenceEncoder,
    TextEncoder,
    motion_encoder,
)
from motionrt.runtime.errors import CheckpointError, InputError, one_line
from motionrt.runtime.formats.readers.arrays import read_array
from motionrt.runtime.formats.safe_pickle import content_of, read_pickle

NETWORKS = ("text_encoder", "movement_encoder", "motion_encoder")
MEAN_NAMES, STD_NAMES = ("mean.npy", "mean_eval.npy"), ("std.npy", "std_eval.npy")
VECTORS, WORDS, NUMBERS = "our_vab_data.npy", "our_vab_words.pkl", "our_vab_idx.pkl"
MOST_WORDS = 1 << 20
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class EvaluatorCheckpoint:
    """What was read."""

    name: str
    paths: tuple[Path, ...]
    config: EvaluatorConfig
    text: TextEncoder
    movements: MovementEncoder
    motions: SequenceEncoder
    mean: NDArray[np.float32]
    """(num_features,): the evaluator's own, which are not those of generation."""
    std: NDArray[np.float32]
    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    """(words, word_width)."""


def read_evaluator(checkpoint: Path, meta: Path, glove: Path) -> EvaluatorCheckpoint:
    """Read the networks, the folder of their statistics and that of the word vectors.

    Sizes come from the tensors. CheckpointError names what is missing, misshapen or no such file.
    """
    content = read_checkpoint(checkpoint)
    states = {}
    for name in NETWORKS:
        state = content.get(name) if isinstance(content, dict) else None
        if not isinstance(state, dict):
            raise CheckpointError(
                f"{checkpoint}: has no {name}; expected the evaluator's finest.tar"
            )
        states[name] = weights_of(
            {key: value for key, value in state.items() if isinstance(value, StoredTensor)},
            checkpoint,
        )
    shapes = {name: stored.shapes for name, stored in states.items()}

    def size(network: str, tensor: str, axis: int) -> int:
        shape = shapes[network].get(tensor, ())
        if len(shape) <= axis:
            raise CheckpointError(f"{checkpoint}: {network} has no {tensor} as expected")
        return shape[axis]

    config = EvaluatorConfig(
        num_features=size("movement_encoder", "main.0.weight", 1) + NUM_CONTACTS,
        word_width=size("text_encoder", "pos_emb.weight", 0),
        num_parts=size("text_encoder", "pos_emb.weight", 1),
        text_hidden=size("text_encoder", "input_emb.weight", 0),
        movement_hidden=size("movement_encoder", "main.0.weight", 0),
        movement_width=size("movement_encoder", "out_net.weight", 0),
        motion_hidden=size("motion_encoder", "input_emb.weight", 0),
        width=size("text_encoder", "output_net.3.weight", 0),
    )
    mean, std = _present(meta, MEAN_NAMES), _present(meta, STD_NAMES)
    words, vectors = _read_words(glove, config.word_width)
    return EvaluatorCheckpoint(
        checkpoint.stem,
        (checkpoint, mean, std, glove / VECTORS),
        config,
        states["text_encoder"].build(lambda: TextEncoder(config)),
        states["movement_encoder"].build(lambda: MovementEncoder(config)),
        states["motion_encoder"].build(lambda: motion_encoder(config)),
        read_row(mean, config.num_features),
        read_row(std, config.num_features, positive=True),
        words,
        vectors,
    )


def _present(folder: Path, names: tuple[str, ...]) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise CheckpointError(f"{folder}: has no {' or '.join(names)}")
    return found


def _read_words(folder: Path, width: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    try:
        vectors = read_array(_present(folder, (VECTORS,)))
        words = content_of(read_pickle(_present(folder, (WORDS,))))
        numbers: Any = content_of(read_pickle(_present(folder, (NUMBERS,))))
    except (InputError, OSError) as error:
        raise CheckpointError(f"{folder}: {one_line(str(error), 200)}") from None
    if vectors.ndim != 2 or vectors.shape[1] != width or vectors.dtype.kind != "f":
        raise CheckpointError(f"{folder / VECTORS}: is {vectors.shape}, expected (words, {width})")
    listed = isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words)
    if not listed or not isinstance(numbers, dict) or len(words) > MOST_WORDS:
        raise CheckpointError(f"{folder}: expected a list of words and a table of their numbers")
    rows = []
    for word in words:
        row = numbers.get(word)
        if not isinstance(row, int) or not 0 <= row < len(vectors):
            raise CheckpointError(f"{folder / NUMBERS}: {one_line(word, 80)} has no vector")
        rows.append(row)
    chosen = np.asarray(vectors[rows], np.float32)
    if not np.isfinite(chosen).all():
        raise CheckpointError(f"{folder / VECTORS}: not all numbers are finite")
    return tuple(words), chosen
