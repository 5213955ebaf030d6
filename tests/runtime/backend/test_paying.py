from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from motionrt.runtime.backend.paying import FEWEST_WEIGHTS, gpu_pays
from motionrt.runtime.bundle.manifest import Bundle, Manifest

GRAPHS = ("sampler", "decoder")


def of_size(manifest: Manifest, size: int, precision: str) -> Manifest:
    sampler = replace(manifest.graphs["sampler"], precision=precision)
    files = {
        name: replace(info, size=size) if name in sampler.data else info
        for name, info in manifest.files.items()
    }
    return replace(manifest, graphs={**manifest.graphs, "sampler": sampler}, files=files)


def test_a_gpu_is_not_started_for_the_embedded_default(bundle: Path) -> None:
    assert not gpu_pays(Bundle(bundle).manifest, GRAPHS)


def test_large_networks_pay_unless_cuda_has_no_kernels_for_them(bundle: Path) -> None:
    manifest = Bundle(bundle).manifest
    assert gpu_pays(of_size(manifest, 4 * FEWEST_WEIGHTS, "fp32"), GRAPHS)
    assert not gpu_pays(of_size(manifest, 2 * FEWEST_WEIGHTS, "fp32"), GRAPHS)
    assert gpu_pays(of_size(manifest, 2 * FEWEST_WEIGHTS, "fp16"), GRAPHS)
    assert not gpu_pays(of_size(manifest, 4 * FEWEST_WEIGHTS, "int8"), GRAPHS)
