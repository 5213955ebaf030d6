"""Golden cases on disk, and the functions that run them.

A case is a folder inside a family's folder. What runs it is every function ``run_<kind>`` of the
modules beside this one that name the family in ``FAMILIES``, where kind is the case's own ("kind"
in case.json) or what its folder's name begins with. A case that nothing runs is a failure: it is
listed with no runners. A module that says ``RUNTIME = "c"`` runs cases through the C library, when
that is asked for.

``python tests/parity/cases.py DIR`` lists the families' folders below DIR that are run.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

OWN = Path(__file__).parents[1] / "golden"
NO_CASES = {"checkpoints", "__pycache__"}
QUICK = {
    "cli",
    "export_amass",
    "export_bvh",
    "export_csv",
    "humanml_decode",
    "metrics",
    "motionrep",
    "postprocess",
    "ridge",
    "sanitize",
    "schedule",
    "smooth_root",
    "text",
    "text_rules",
    "tokenizer_gpt2_ids",
    "train_trace",
}
"""Kinds that run neither an export nor an exported graph."""

Runner = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    family: str
    folder: Path
    runners: tuple[Runner, ...]

    @property
    def id(self) -> str:
        return f"{self.family}/{self.folder.name}"

    @property
    def is_slow(self) -> bool:
        """Whether something that runs it exports a checkpoint."""
        return any(run.__name__.removeprefix("run_") not in QUICK for run in self.runners)


@cache
def modules(runtime: str = "python") -> dict[str, tuple[ModuleType, ...]]:
    """Return the modules that run cases by a runtime, by the families that they name."""
    found: dict[str, list[ModuleType]] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name.startswith("test_") or info.name == "cases":
            continue
        module = importlib.import_module(f"parity.{info.name}")
        if getattr(module, "RUNTIME", "python") != runtime:
            continue
        for family in getattr(module, "FAMILIES", ()):
            found.setdefault(family, []).append(module)
    return {family: tuple(found[family]) for family in sorted(found)}


def find_cases(root: Path, runtime: str = "python") -> Iterator[Case]:
    """Yield every case under a folder that holds families, or is one, or is a case."""
    if not root.is_dir():
        raise FileNotFoundError(f"--golden {root}: no such directory")
    if (family := family_of(root)) is not None:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and folder.name not in NO_CASES:
                yield Case(family, folder, runners(family, folder, runtime))
    elif (family := family_of(root.parent)) is not None:
        yield Case(family, root, runners(family, root, runtime))
    else:
        for folder in sorted(root.iterdir()):
            if not folder.is_dir() or folder.name in NO_CASES:
                continue
            if family_of(folder) is not None:
                yield from find_cases(folder, runtime)
            else:
                yield Case("unknown", folder, ())


def family_of(folder: Path) -> str | None:
    """Name the family of a folder: by its name, or as the one that runs most kinds of its cases."""
    for name in sorted(modules(), key=len, reverse=True):
        if folder.name == name or folder.name.startswith((f"{name}-", f"{name}_")):
            return name
    kinds = {kind_of(case) for case in folder.glob("*/") if (case / "case.json").is_file()}
    shared = {
        name: len(kinds & {kind for module in found for kind in kinds_of(module)})
        for name, found in modules().items()
    }
    best = max(shared, key=shared.__getitem__)
    return best if shared[best] else None


def kind_of(case: Path) -> str:
    file = case / "case.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    return str(content.get("kind", "") if isinstance(content, dict) else "")


def kinds_of(module: ModuleType) -> dict[str, Runner]:
    """Return the functions of a module that run cases, by the kinds that they run."""
    return {
        name.removeprefix("run_"): function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("run_") and function.__module__ == module.__name__
    }


def runners(family: str, case: Path, runtime: str = "python") -> tuple[Runner, ...]:
    """Return what runs a case: of all kinds that fit, the most specific in each module.

    Another runtime runs what Python runs, where it has a function of the same name.
    """
    if runtime != "python":
        names = [run.__name__ for run in runners(family, case)]
        known = [kinds_of(module) for module in modules(runtime).get(family, ())]
        return tuple(run for kinds in known for run in kinds.values() if run.__name__ in names)
    folder_name = case.name.replace("-", "_")
    found: list[Runner] = []
    for module in modules()[family]:
        kinds = kinds_of(module)
        by_name = [kind for kind in kinds if f"{folder_name}_".startswith(f"{kind}_")]
        if by_name:
            found.append(kinds[max(by_name, key=len)])
        elif kind_of(case) in kinds:
            found.append(kinds[kind_of(case)])
    return tuple(found)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    for place in sorted(Path(sys.argv[1]).iterdir()):
        if place.is_dir() and place.name in modules():
            print(place)
