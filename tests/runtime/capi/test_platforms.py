"""The C library on other systems than this: it compiles for them, and does the same there.

Running needs an emulator and ONNX Runtime's library for the system, out of its wheel, named in the
environment: MOTIONRT_WINDOWS_ONNXRUNTIME for Wine, MOTIONRT_AARCH64_ONNXRUNTIME for QEMU.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from c_builds import CAPI, LIBRARIES, TESTS, WARNINGS, compile_c, scratch

from motionrt import capi
from motionrt.runtime.bundle.embedded import embedded_bundle

MAX_BYTES = 400_000
OPTIONS = ("-std=c11", "-O2", "-fno-math-errno", "-fvisibility=hidden", "-s", "-DMRT_BUILD")
PROCESSORS = """processor\t: {0}
Features\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""
"""What Linux says of a Neoverse N1, which is what QEMU is told to be."""
TEXT, MOTION, CORRECTED = 0.02, 3e-4, 2e-3
"""Where ONNX Runtime rounds: its 4-bit text encoder differs between processors; a motion of the
same text does not, nor does one that is bent to a path, but for how far that goes."""


@dataclass(frozen=True)
class System:
    name: str
    compiler: str
    library: str
    flags: tuple[str, ...]
    emulators: tuple[str, ...]


WINDOWS = System(
    "windows",
    "x86_64-w64-mingw32-gcc",
    "motionrt.dll",
    ("-Os", "-static-libgcc", "-Wall", "-Wextra", "-Werror"),  # as CMake builds it
    ("wine64", "/usr/lib/wine/wine64"),
)
AARCH64 = System(
    "aarch64",
    "aarch64-linux-gnu-gcc",
    "libmotionrt.so",
    ("-fPIC", *WARNINGS, *LIBRARIES),
    ("qemu-aarch64",),
)
BOTH = pytest.mark.parametrize("system", [WINDOWS, AARCH64], ids=lambda system: system.name)


@lru_cache(maxsize=2)
def build(system: System) -> Path:
    if not shutil.which(system.compiler):
        pytest.skip(f"{system.compiler} is not installed")
    (scratch() / system.name).mkdir(exist_ok=True)
    sources = sorted((CAPI / "src").glob("*.c"))
    flags: tuple[str | Path, ...] = (*OPTIONS, "-shared", *sources, *system.flags)
    return compile_c(f"{system.name}/{system.library}", *flags, compiler=system.compiler)


def emulator(system: System, folder: Path) -> list[str]:
    """Return the command in front of a program; the environment says what Wine needs."""
    found = next((word for word in system.emulators if shutil.which(word)), None)
    if found is None:
        pytest.skip(f"{system.emulators[0]} is not installed")
    if system is WINDOWS:
        return [found]
    root = folder / "root"
    (root / "proc").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/aarch64-linux-gnu/lib")
    # ONNX Runtime reads it, and ends badly over that of another processor.
    (root / "proc" / "cpuinfo").write_text("".join(PROCESSORS.format(i) for i in range(2)))
    return [found, "-cpu", "neoverse-n1", "-L", str(root)]


def run(folder: Path, command: list[str], onnxruntime: object, embedding: Path) -> str:
    folder.mkdir()
    environment = {
        **os.environ,
        "WINEPREFIX": str(scratch() / "wine"),
        "WINEDEBUG": "-all",
        "LC_ALL": "C.UTF-8",
    }
    words = [*command, embedded_bundle(), onnxruntime, embedding, folder]
    done = subprocess.run(
        list(map(str, words)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@BOTH
@pytest.mark.slow
def test_it_compiles_without_a_warning_and_is_small(system: System) -> None:
    assert build(system).stat().st_size < MAX_BYTES


@BOTH
@pytest.mark.slow
def test_it_does_the_same_as_here(system: System, tmp_path: Path) -> None:
    command = emulator(system, tmp_path)
    onnxruntime = os.environ.get(f"MOTIONRT_{system.name.upper()}_ONNXRUNTIME")
    if not onnxruntime:
        pytest.skip(f"no ONNX Runtime for {system.name} is named")
    library = build(system)
    source, own = TESTS / "platform.c", capi.library_path()
    here = compile_c("platform", source, own, f"-Wl,-rpath,{own.parent}")
    run(tmp_path / "here", [str(here)], capi.packaged_onnxruntime(), tmp_path / "none")
    linked = ("-Wl,-rpath,$ORIGIN", *LIBRARIES) if system is AARCH64 else system.flags
    program = compile_c(
        f"{system.name}/platform.exe", source, library, *linked, compiler=system.compiler
    )
    text = tmp_path / "here" / "text.f32"
    run(tmp_path / "there", [*command, str(program)], onnxruntime, text)

    def difference(name: str) -> float:
        pair = [np.fromfile(tmp_path / side / name, np.float32) for side in ("here", "there")]
        assert len(pair[0]) == len(pair[1]) > 0
        return float(np.abs(pair[0] - pair[1]).max())

    assert difference("text.f32") < TEXT
    for name, most in (
        ("walk.f32", MOTION),
        ("request.f32", MOTION),
        ("sequence.f32", CORRECTED),
        ("path.f32", CORRECTED),
    ):
        assert difference(name) < most, name
    assert (tmp_path / "there" / "\u00fc\u52d5.bvh").read_text().startswith("HIERARCHY")
    assert (tmp_path / "there" / "walk.glb").read_bytes().startswith(b"glTF")
