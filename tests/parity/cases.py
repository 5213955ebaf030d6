"""Golden cases on disk, and the functions that run them.

A case is a folder inside a family's folder. What runs it is every function ``run_<kind>`` of the
family's modules, where kind is the case's own ("kind" in case.json) or what its folder's name
begins with. A case that nothing runs is a failure: it is listed with no runners.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

OWN = Path(__file__).parents[1] / "golden"
MODULES = {
    "kimodo": ("kimodo", "kimodo_motion", "kimodo_controls", "text_encoders"),
    "kimodo-cli": ("kimodo_controls",),
    "text-encoders": ("text_encoders",),
    "motiongpt3": ("motiongpt3",),
}
"""Family (its folder's name) -> modules beside this one."""
NO_CASES = {"checkpoints", "__pycache__"}

Runner = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    family: str
    folder: Path
    runners: tuple[Runner, ...]

    @property
    def id(self) -> str:
        return f"{self.family}/{self.folder.name}"


def find_cases(root: Path) -> Iterator[Case]:
    """Yield every case under a folder that holds families, or is one, or is a case."""
    if not root.is_dir():
        raise FileNotFoundError(f"--golden {root}: no such directory")
    if (family := family_of(root)) is not None:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and folder.name not in NO_CASES:
                yield Case(family, folder, runners(family, folder))
    elif (family := family_of(root.parent)) is not None:
        yield Case(family, root, runners(family, root))
    else:
        for folder in sorted(root.iterdir()):
            if not folder.is_dir() or folder.name in NO_CASES:
                continue
            if family_of(folder) is not None:
                yield from find_cases(folder)
            else:
                yield Case("unknown", folder, ())


def family_of(folder: Path) -> str | None:
    """Name the family of a folder: by its name, or by the kinds of the cases in it."""
    names = sorted(MODULES, key=len, reverse=True)
    for name in names:
        if (
            folder.name == name
            or folder.name.startswith(f"{name}-")
            or folder.name.startswith(f"{name}_")
        ):
            return name
    kinds = {kind_of(case) for case in folder.glob("*/") if (case / "case.json").is_file()}
    if not kinds:
        return None
    return "kimodo-cli" if kinds == {"kimodo_cli"} else "kimodo"


def kind_of(case: Path) -> str:
    file = case / "case.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    return str(content.get("kind", "") if isinstance(content, dict) else "")


def runners(family: str, case: Path) -> tuple[Runner, ...]:
    """Return what runs a case: of all kinds that fit, the most specific in each module."""
    folder_name = case.name.replace("-", "_")
    found: list[Runner] = []
    for name in MODULES[family]:
        if not Path(__file__).with_name(f"{name}.py").is_file():
            continue
        module = importlib.import_module(f"parity.{name}")
        kinds = {
            function_name.removeprefix("run_"): function
            for function_name, function in inspect.getmembers(module, inspect.isfunction)
            if function_name.startswith("run_") and function.__module__ == module.__name__
        }
        by_name = [kind for kind in kinds if f"{folder_name}_".startswith(f"{kind}_")]
        if by_name:
            found.append(kinds[max(by_name, key=len)])
        elif kind_of(case) in kinds:
            found.append(kinds[kind_of(case)])
    return tuple(found)
