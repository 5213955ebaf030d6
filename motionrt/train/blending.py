"""Embeddings between two others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save as save_safetensors

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file, make_folder
from motionrt.train.state_file import save_state


def blend_embeddings(a: NDArray[Any], b: NDArray[Any], share: float = 0.3) -> NDArray[np.float32]:
    """Return share · a + (1 - share) · b, float32.

    Both are vectors (D,) or sequences (S, D), with the same axes before; of sequences, the tokens
    that both have are blended. InputError if they do not fit, or share is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a share of {share:g}: expected a number from 0 to 1")
    if a.ndim != b.ndim or not a.ndim or a.shape[-1] != b.shape[-1] or a.shape[:-2] != b.shape[:-2]:
        raise InputError(f"embeddings {list(a.shape)} and {list(b.shape)} do not blend")
    if a.ndim > 1:
        length = min(a.shape[-2], b.shape[-2])
        a, b = a[..., :length, :], b[..., :length, :]
    blended: NDArray[np.float32] = (
        share * a.astype(np.float64) + (1 - share) * b.astype(np.float64)
    ).astype(np.float32)
    return blended


def write_embedding(path: Path, rows: NDArray[np.float32]) -> None:
    """Write one array to a file by its ending: .pt, .npy or .safetensors."""
    if path.suffix not in (".pt", ".npy", ".safetensors"):
        raise InputError(f"{path}: expected .pt, .npy or .safetensors")
    make_folder(path.parent)
    if path.suffix == ".pt":
        save_state(path, torch.from_numpy(rows))
        return
    with atomic_file(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as file:
                np.save(file, rows)
        else:
            temporary.write_bytes(save_safetensors({"embedding": rows}))
