"""Weights rounded to fewer bits, in torch: by blocks of a row, or with one scale a row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK_ELEMENTS = 1 << 17
"""Weights are worked on in runs of rows of about so many numbers: they stay in the cache."""
INT4_TRIALS = 7
"""Scales tried for each block of 4-bit weights; the one of least squared error is kept."""


def quantise_blockwise(
    weight: Tensor, bits: int, block_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Round a matrix (N, K) to blocks of its rows, as the MatMulNBits operator takes them.

    Returns the packed values (N, ceil(K / block_size), block_size · bits / 8) and the scales
    (N, ceil(K / block_size)); a value is (q - 2^(bits-1)) · scale.
    """
    rows, columns = weight.shape
    num_blocks = -(-columns // block_size)
    packed = torch.empty(rows, num_blocks, block_size * bits // 8, dtype=torch.uint8)
    scales = torch.empty(rows, num_blocks, dtype=torch.float32)

    def work(start: int, stop: int) -> None:
        part = weight[start:stop].to(torch.float32)
        part = torch.nn.functional.pad(part, (0, num_blocks * block_size - columns))
        blocks = part.reshape(stop - start, num_blocks, block_size)
        values, scale = _round_int4(blocks) if bits == 4 else _round_int8(blocks)
        if bits == 4:
            values = values[..., 0::2] | (values[..., 1::2] << 4)
        packed[start:stop], scales[start:stop] = values, scale

    _in_chunks(work, rows, columns)
    return packed.numpy(), scales.numpy()


def dequantise_blockwise(
    packed: NDArray[np.uint8], scales: NDArray[np.float32], bits: int, columns: int
) -> NDArray[np.float32]:
    """Undo ``quantise_blockwise`` as far as its rounding allows."""
    values = packed
    if bits == 4:
        values = np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:2], -1)
    full = (values.astype(np.float32) - (1 << (bits - 1))) * scales[..., None]
    return np.ascontiguousarray(full.reshape(len(full), -1)[:, :columns])


def _round_int8(blocks: Tensor) -> tuple[Tensor, Tensor]:
    scale = blocks.abs().amax(-1) / 127
    inverse = torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0.0)
    values = (blocks * inverse.unsqueeze(-1)).round().clamp(-127, 127) + 128
    return values.to(torch.uint8), scale


def _round_int4(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Map each block's extreme to -8 or near it, whichever leaves the least squared error."""
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    safe = torch.where(extreme.abs() > 1e-30, extreme, 1.0)
    best_gain = torch.full_like(extreme, -1.0)
    best_inverse = torch.zeros_like(extreme)
    best_scale = torch.zeros_like(extreme)
    values, product = torch.empty_like(blocks), torch.empty_like(blocks)
    for trial in range(INT4_TRIALS):
        inverse = -(8.0 + 0.25 * (trial - INT4_TRIALS // 2)) / safe
        torch.mul(blocks, inverse, out=values).round_().clamp_(-8, 7)
        weighted = torch.mul(values, blocks, out=product).sum(-1, keepdim=True)
        squares = values.square_().sum(-1, keepdim=True).clamp_(min=1e-30)
        scale = weighted / squares
        gain = weighted * scale
        better = gain > best_gain
        best_gain = torch.where(better, gain, best_gain)
        best_inverse = torch.where(better, inverse, best_inverse)
        best_scale = torch.where(better, scale, best_scale)
    torch.mul(blocks, best_inverse, out=values).round_().clamp_(-8, 7)
    return values.add_(8).to(torch.uint8), best_scale.squeeze(-1)


def round_rows(weight: Tensor, largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix (N, K) with one scale a row; transposed, (K, N), as MatMulInteger takes it."""
    rows, columns = weight.shape
    values = torch.empty(columns, rows, dtype=torch.int8)
    scales = torch.empty(rows)

    def work(start: int, stop: int) -> None:
        part = weight[start:stop].to(torch.float32)
        scale = part.abs().amax(1) / largest
        inverse = torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0.0)
        rounded = (part * inverse.unsqueeze(1)).round().clamp(-largest, largest)
        values[:, start:stop] = rounded.to(torch.int8).T
        scales[start:stop] = scale

    _in_chunks(work, rows, columns)
    return values.numpy(), scales.numpy()


def _in_chunks(work: Callable[[int, int], None], rows: int, columns: int) -> None:
    """Call work for runs of rows, one thread a processor and each of its own.

    A chunk is too small to be split further: torch's threads would wait for each other.
    """
    step = max(CHUNK_ELEMENTS // max(columns, 1), 1)
    starts = range(0, rows, step)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(threads, len(starts))) as pool:
            list(pool.map(lambda start: work(start, min(start + step, rows)), starts))
    finally:
        torch.set_num_threads(threads)
