"""What the C library holds after it has freed all: nothing, by valgrind and by what is resident."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from functools import lru_cache
from pathlib import Path

import ardy_bundle
import pytest
from c_builds import LIBRARIES, TESTS, build_library, compile_c, scratch

from motionrt import capi
from motionrt.runtime.bundle.embedded import embedded_bundle

CYCLES = int(os.environ.get("MOTIONRT_CYCLES", "200"))
VALGRIND_CYCLES = int(os.environ.get("MOTIONRT_VALGRIND_CYCLES", "5"))
BUNDLE = os.environ.get("MOTIONRT_CYCLES_BUNDLE")
"""Another than the embedded default: a small one makes many cycles under valgrind bearable."""
GROWTH_KB = 8_000
STREAM_GROWTH_KB = 1_000


def command(cycles: int, *leak: str) -> list[str]:
    library = build_library("-g")
    program = compile_c(
        "cycles", "-g", TESTS / "cycles.c", library, f"-Wl,-rpath,{library.parent}", *LIBRARIES
    )
    return [
        str(program),
        BUNDLE or str(embedded_bundle()),
        str(capi.packaged_onnxruntime()),
        str(cycles),
        *leak,
    ]


@pytest.mark.slow
def test_what_is_resident_stays_flat() -> None:
    done = subprocess.run(command(CYCLES), capture_output=True, text=True, check=True)
    resident = [int(line) for line in done.stdout.split()]
    quarter = CYCLES // 4
    # The least of many: where blocks come to lie moves single cycles by 10 MB, a leak moves all.
    assert min(resident[-quarter:]) < min(resident[quarter : 2 * quarter]) + GROWTH_KB


def stream_command(folder: Path, cycles: int, chunks: int, *flags: str) -> list[str]:
    pytest.importorskip("onnx")
    library = build_library("-g", *flags)
    program = compile_c(
        f"streams{abs(hash(flags))}",
        *("-g", *flags, str(TESTS / "streams.c")),
        *(str(library), f"-Wl,-rpath,{library.parent}", *LIBRARIES),
    )
    bundle = ardy_bundle.write(folder / "toy")
    runtime = str(capi.packaged_onnxruntime())
    return [str(program), str(bundle), runtime, str(cycles), str(chunks)]


@pytest.mark.slow
def test_a_stream_does_not_grow(tmp_path: Path) -> None:
    command = stream_command(tmp_path, 1, 2000)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    resident = [int(line) for line in done.stdout.split()]
    assert min(resident[-6:]) < min(resident[4:10]) + STREAM_GROWTH_KB


@pytest.mark.slow
def test_threads_of_a_stream_do_not_race(tmp_path: Path) -> None:
    command = ["setarch", "-R", *stream_command(tmp_path, 2, 120, "-fsanitize=thread")]
    environment = {**os.environ, "TSAN_OPTIONS": "ignore_noninstrumented_modules=1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.usefixtures("valgrind")
def test_valgrind_finds_nothing_that_grows_in_streams(tmp_path: Path) -> None:
    once, again = (stream_command(tmp_path, cycles, 8) for cycles in (1, 2))
    assert lost_by(tmp_path, again) == lost_by(tmp_path, once)


@lru_cache(maxsize=3)
def lost_in(cycles: int, *leak: str) -> int:
    """Count what cycles of loading and generating lose."""
    return lost_by(scratch(), command(cycles, *leak))


def lost_by(folder: Path, program: list[str]) -> int:
    """Count the blocks that are lost for good where the library is among the callers."""
    report = folder / "valgrind.xml"
    tool = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=60"]
    tool += ["--errors-for-leak-kinds=definite", "--undef-value-errors=no"]
    tool += ["--xml=yes", f"--xml-file={report}", *program]
    subprocess.run(tool, capture_output=True, check=True)
    lost = 0
    for error in ElementTree.parse(report).iter("error"):
        kind = error.findtext("kind") or ""
        places = [frame.text or "" for frame in error.iter("obj")]
        ours = any("libmotionrt" in place for place in places)
        # Invalid reads deeper down are those of the system's loader, which reads words at a time.
        inner = next((place for place in places if "valgrind" not in place), "")
        if "libmotionrt" in inner and not kind.startswith("Leak_"):
            raise AssertionError(ElementTree.tostring(error, encoding="unicode"))
        if ours and kind == "Leak_DefinitelyLost":
            lost += int(error.findtext("xwhat/leakedblocks") or 0)
    return lost


@pytest.fixture
def valgrind() -> None:
    if not shutil.which("valgrind"):
        missing = "valgrind is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


@pytest.mark.slow
@pytest.mark.usefixtures("valgrind")
def test_valgrind_finds_nothing_that_grows() -> None:
    # What ONNX Runtime loses once, at its start, is its own; what is lost each time is ours.
    assert lost_in(VALGRIND_CYCLES) == lost_in(1)


@pytest.mark.slow
@pytest.mark.usefixtures("valgrind")
def test_valgrind_finds_a_leak() -> None:
    assert lost_in(2, "leak") > lost_in(1)
