"""The C library on inputs that nobody means well; ``hostile_input.py`` runs as long as asked."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def load(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"capi_{name}", HERE / f"{name}.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    return load("hostile_input")


@pytest.fixture(scope="module")
def libfuzzer() -> ModuleType:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed; gcc alone runs the same targets above")
    sys.path.insert(0, str(HERE))
    try:
        return load("libfuzzer")
    finally:
        sys.path.remove(str(HERE))


@pytest.mark.slow
def test_nothing_is_found_in_a_second_each(fuzz: ModuleType, tmp_path: Path) -> None:
    driver = fuzz.build()
    for target in fuzz.TARGETS:
        done = fuzz.run(driver, target, 1, 3, tmp_path)
        assert done.returncode == 0, f"{target}: {done.stderr}"
        assert " 0 edges" not in done.stdout


@pytest.mark.slow
def test_what_is_wrong_is_found(fuzz: ModuleType, tmp_path: Path) -> None:
    done = fuzz.run(fuzz.build(), "planted", 60, 3, tmp_path)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
    left = (tmp_path / "planted.input").read_bytes()
    assert left[8:10] == b"[\\"


@pytest.mark.slow
def test_libfuzzer_runs_every_target(libfuzzer: ModuleType, tmp_path: Path) -> None:
    program = libfuzzer.build()
    for target in libfuzzer.TARGETS:
        corpus = HERE / "corpus" / target
        done = libfuzzer.run(program, target, "-runs=300", "-print_final_stats=1", tmp_path, corpus)
        assert done.returncode == 0, f"{target}: {done.stderr}"
        assert libfuzzer.number("number_of_executed_units", done.stderr) >= 300


@pytest.mark.slow
def test_libfuzzer_finds_what_is_wrong(libfuzzer: ModuleType, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    words = ("-runs=2000000", f"-artifact_prefix={tmp_path}/left-", kept)
    done = libfuzzer.run(libfuzzer.build(), "planted", *words, HERE / "corpus" / "planted")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
    (left,) = tmp_path.glob("left-*")
    assert left.read_bytes().startswith(b"[\\")
