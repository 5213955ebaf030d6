"""Builds of the C library that tests make for themselves, each once a test run."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from places import ROOT
from places import TESTS as ALL_TESTS

CAPI = ROOT / "motionrt" / "runtime" / "capi"
TESTS = ALL_TESTS / "runtime" / "capi"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-pedantic", "-Werror")
LIBRARIES = ("-lm", "-ldl", "-lpthread")
INTERNALS = ("internals.c", "parity.c")
WRAPPED = ("session_run", "tokenizer_encode")
"""Functions that parity.c puts itself in front of."""


@lru_cache(maxsize=1)
def scratch() -> Path:
    """Return a folder that is removed when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix="motionrt-capi-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def compile_c(output: str, *arguments: str | Path, compiler: str = "cc") -> Path:
    """Compile to a file in the scratch folder; what the compiler says fails the test."""
    path = scratch() / output
    command = [compiler, "-I", str(CAPI), "-I", str(CAPI / "src"), *map(str, arguments)]
    done = subprocess.run([*command, "-o", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@lru_cache(maxsize=8)
def build_library(*flags: str, internals: bool = False) -> Path:
    """Build the library with some flags; with internals, functions of tests beside the public."""
    sources = sorted((CAPI / "src").glob("*.c"))
    if internals:
        sources += [TESTS / name for name in INTERNALS]
        flags += tuple(f"-Wl,--wrap={name}" for name in WRAPPED)
    name = f"libmotionrt-{abs(hash((flags, internals)))}.so"
    options = ("-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", *flags)
    return compile_c(name, *options, *sources, *LIBRARIES)
