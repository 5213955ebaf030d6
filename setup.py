"""The C library, built with the package where there is a C compiler; all else is in pyproject.toml.

It is a shared library that programs load, not a module of Python's: it has no suffix of an
interpreter, and one wheel serves them all. Without a compiler the package installs without it.

A Python that is too old is refused here, at once: the pip that comes with Python 3.10 reads
requires-python of a local folder only after it has tried older and older versions of what the
folder depends on, for minutes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036, older ones run this file too
    sys.exit(f"motionrt needs Python 3.11 or newer; this is {sys.version.split()[0]}")

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDER = Path("motionrt", "runtime", "capi")
NAMES = {"win32": "motionrt.dll", "darwin": "libmotionrt.dylib"}
VERSION = re.search(r'__version__ = "(.+)"', Path("motionrt", "__init__.py").read_text())


class BuildLibrary(build_ext):
    """Link a plain shared library."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return its file, the same for every interpreter: with its folders for a dotted name."""
        name = NAMES.get(sys.platform, "libmotionrt.so")
        return str(FOLDER / name) if "." in fullname else name

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Return none: what is exported is marked in the header."""
        return []


class PlatformWheel(bdist_wheel):
    """A wheel of one platform, for any Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return (python, abi, platform)."""
        return "py3", "none", super().get_tag()[2]


def library() -> Extension:
    """Describe the library to the build."""
    windows = sys.platform == "win32"
    assert VERSION is not None
    return Extension(
        "motionrt.runtime.capi.motionrt",
        sources=sorted(path.as_posix() for path in (FOLDER / "src").glob("*.c")),
        depends=sorted(path.as_posix() for path in FOLDER.rglob("*.h")),
        define_macros=[("MRT_BUILD", None), ("MRT_VERSION", f'"{VERSION[1]}"')],
        extra_compile_args=["/std:c11"]
        if windows
        else ["-std=c11", "-O2", "-fvisibility=hidden", "-fno-math-errno"],
        extra_link_args=[] if windows or sys.platform == "darwin" else ["-s"],
        libraries=[] if windows else ["m"] if sys.platform == "darwin" else ["m", "dl", "pthread"],
        optional=True,
    )


setup(
    ext_modules=[library()],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": PlatformWheel},
)
