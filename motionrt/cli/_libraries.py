"""Shared libraries by what they were built for, as files or in the archives that carry them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from motionrt.runtime.errors import InputError

_ELF = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64"}
_PE = {0x14C: "x86", 0x8664: "x86_64", 0xAA64: "aarch64"}
_MACH = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
_ONNXRUNTIME = re.compile(
    r"onnxruntime\.dll|libonnxruntime\.so(\.\d+)*|libonnxruntime(\.\d+)*\.dylib"
)
_NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
_LARGEST = 1 << 31


@dataclass(frozen=True)
class Library:
    """A shared library: where it is from, its bytes, its system and its processor."""

    place: str
    content: bytes
    system: str
    processor: str

    @property
    def built_for(self) -> str:
        """Say it in words."""
        return f"{self.system} on {self.processor}"


def read_library(path: Path) -> Library:
    """Read a library; InputError if it is none that a system here loads."""
    return _library(str(path), path.read_bytes())


def find_onnxruntime(path: Path, system: str, processor: str) -> tuple[Library, dict[str, bytes]]:
    """Read ONNX Runtime's library for a system, and the notices that are shipped with it.

    The file is the library itself, or a wheel, NuGet package or Android archive that holds it.
    InputError if there is none for that system and processor.
    """
    if not zipfile.is_zipfile(path):
        beside = {name: file for name in _NOTICES if (file := path.parent.parent / name).is_file()}
        return read_library(path), {name: file.read_bytes() for name, file in beside.items()}
    try:
        with zipfile.ZipFile(path) as archive:
            found = list(_members(path, archive))
            notices = {
                PurePosixPath(name).name: archive.read(name)
                for name in archive.namelist()
                if PurePosixPath(name).name in _NOTICES and name.count("/") < 2
            }
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be unpacked ({error})") from error
    for library in found:
        if (library.system, library.processor) == (system, processor):
            return library, notices
    others = ", ".join(sorted({library.built_for for library in found})) or "none at all"
    raise InputError(f"{path}: holds no ONNX Runtime for {system} on {processor}, but {others}")


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[Library]:
    for entry in archive.infolist():
        if _ONNXRUNTIME.fullmatch(PurePosixPath(entry.filename).name):
            if entry.file_size > _LARGEST:
                raise InputError(f"{path}: {entry.filename} is too large")
            yield _library(f"{path}/{entry.filename}", archive.read(entry))


def _library(place: str, content: bytes) -> Library:
    number = int.from_bytes
    if content.startswith(b"\x7fELF") and len(content) > 20:
        # Android's own C library has no version in its name, GNU's has.
        android = b"\0libc.so\0" in content and b"\0libc.so.6\0" not in content
        kind = number(content[18:20], "little")
        return Library(place, content, "android" if android else "linux", _ELF.get(kind, "?"))
    if content.startswith(b"MZ") and len(content) > 64:
        at = number(content[60:64], "little")
        if content[at : at + 4] == b"PE\0\0":
            kind = number(content[at + 4 : at + 6], "little")
            return Library(place, content, "windows", _PE.get(kind, "?"))
    if content.startswith(b"\xcf\xfa\xed\xfe"):
        return Library(place, content, "macos", _MACH.get(number(content[4:8], "little"), "?"))
    if content.startswith(b"\xca\xfe\xba\xbe"):
        return Library(place, content, "macos", "several processors")
    raise InputError(f"{place}: is no shared library of Linux, Android, Windows or macOS")
