"""Stand-ins for the CUDA libraries, so that onnxruntime's CUDA provider loads without a GPU.

    python stand_ins.py SITE_PACKAGES FOLDER

Reads which functions the provider of an installed onnxruntime-gpu takes from which library, and
compiles libraries of those names whose functions do nothing. A session can then be made, which
places its nodes as on a GPU; it must never run. Needs readelf (binutils) and a C compiler.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"
_SYMBOL = re.compile(r"\sUND\s+(\w+)@+(lib\S+\.so[.\d]*)")
_DRIVER = re.compile(r"\sUND\s+(cu[A-Z]\w+)\s")
"""The driver's symbols carry no version."""
_NEEDED = re.compile(r"NEEDED.*\[(lib(?:cu|nvrtc)\S*\.so[.\d]*)\]")
_BODIES = {
    "cudaGetDeviceCount": "(int *n) { *n = 1; return 0; }",
    "cudaGetDevice": "(int *n) { *n = 0; return 0; }",
    # Compute capability 9.0, 132 multiprocessors; any other figure is a large number.
    "cudaDeviceGetAttribute": "(int *v, int a)"
    " { *v = a == 75 ? 9 : a == 76 ? 0 : 1024; return 0; }",
    "cudaMemGetInfo": "(size_t *a, size_t *b) { *a = *b = 80ull << 30; return 0; }",
    "cudaRuntimeGetVersion": "(int *v) { *v = %(version)s000; return 0; }",
    "cudaDriverGetVersion": "(int *v) { *v = %(version)s000; return 0; }",
    "cudaMalloc": "(void **p, size_t n) { *p = malloc(n); return 0; }",
    "cudaMallocHost": "(void **p, size_t n) { *p = malloc(n); return 0; }",
    "cudaHostAlloc": "(void **p, size_t n) { *p = malloc(n); return 0; }",
    "cudaMemcpy": "(void *a, const void *b, size_t n) { memcpy(a, b, n); return 0; }",
}
_BODIES["cudaGetDeviceProperties"] = _BODIES["cudaGetDeviceProperties_v2"] = (
    '(char *p) { memset(p, 0, 1008); strcpy(p, "stand-in"); return 0; }'
)


def build(site_packages: Path, folder: Path) -> list[Path]:
    """Compile the stand-ins of the provider's libraries into a folder; return them."""
    provider = str(site_packages / PROVIDER)
    symbols = _read("--dyn-syms", provider)
    needed = _NEEDED.findall(_read("-d", provider))
    libraries: dict[str, list[str]] = {name: [] for name in needed}
    for function, library in _SYMBOL.findall(symbols):
        if library in libraries:
            libraries[library].append(function)
    if "libcuda.so.1" in libraries:
        libraries["libcuda.so.1"] += _DRIVER.findall(symbols)
    folder.mkdir(parents=True, exist_ok=True)
    return [_compile(folder, name, functions) for name, functions in libraries.items()]


def _read(what: str, provider: str) -> str:
    command = ["readelf", "--wide", what, provider]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _compile(folder: Path, library: str, functions: list[str]) -> Path:
    version = library.rpartition(".")[2]
    lines = ["#include <stdlib.h>", "#include <string.h>"]
    lines += [_function(name, version) for name in sorted(set(functions))]
    source, script = folder / f"{library}.c", folder / f"{library}.map"
    source.write_text("\n".join(lines) + "\n")
    script.write_text(f"{library} {{ global: *; }};\n")
    made = folder / library
    command = ["cc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{library}"]
    command += [] if library.startswith("libcuda.") else [f"-Wl,--version-script={script}"]
    subprocess.run([*command, str(source), "-o", str(made)], check=True)
    source.unlink()
    script.unlink()
    return made


def _function(name: str, version: str) -> str:
    if name in _BODIES:
        return f"int {name}{_BODIES[name] % {'version': version}}"
    if name.endswith(("ErrorString", "ErrorName")):
        return f'const char *{name}() {{ return "a stand-in"; }}'
    if name.startswith("__cuda"):
        return f"void *{name}() {{ static char made[64]; return made; }}"
    if name == "cudnnGetVersion":
        return f"size_t {name}() {{ return 90000; }}"
    if "Create" in name and "Backend" not in name:
        return f"int {name}(void **made) {{ *made = calloc(1, 4096); return 0; }}"
    return f"int {name}() {{ return 0; }}"


if __name__ == "__main__":
    for path in build(Path(sys.argv[1]), Path(sys.argv[2])):
        print(path)
