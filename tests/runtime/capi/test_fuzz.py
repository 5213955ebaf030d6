"""The C library on inputs that nobody means well; ``fuzz.py`` beside this runs as long as asked."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    found = importlib.util.spec_from_file_location("capi_fuzz", HERE / "fuzz.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


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
