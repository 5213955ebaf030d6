"""Whether a bundle is worth starting a GPU for, by an estimate."""

from __future__ import annotations

from collections.abc import Iterable

from motionrt.runtime.bundle.manifest import Manifest

FEWEST_WEIGHTS = 20_000_000
"""Numbers in a motion's graphs. Starting CUDA costs about a second before the first motion (H100:
the embedded default of 10 million took 1.9 s on the GPU, 1.1 on the CPU beside it). A motion of 150
frames in 100 steps of two branches is about 80,000 operations for each, a second for 12 million at
1 TFLOP/s, which 16 cores reach."""
_BYTES = {"fp32": 4, "fp16": 2}


def gpu_pays(manifest: Manifest, graphs: Iterable[str]) -> bool:
    """Return whether ``auto`` should take CUDA for a bundle whose motions these graphs make.

    Not for a small one, nor where a denoiser is in int8, which CUDA has no kernels for.
    """
    held = [manifest.graphs[name] for name in graphs if name in manifest.graphs]
    if any(graph.precision == "int8" and graph.loop is not None for graph in held):
        return False
    sizes = {
        file: manifest.files[file].size / _BYTES.get(graph.precision, 1)
        for graph in held
        for file in (*graph.files.values(), *graph.data)
        if file in manifest.files
    }
    return sum(sizes.values()) >= FEWEST_WEIGHTS
