"""The Unreal plugin: compiled against stand-ins of the engine's types, and run with them.

What stands in for the engine is in tests/examples/unreal; Unreal itself was not at hand. Strings,
containers, geometry and hierarchies of components do there what the engine's do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from carried import heading, same_way
from documented import EMBED, commands, need, run
from graph_server import Graphs, described
from numpy.typing import NDArray
from places import ROOT, TESTS

import motionrt
from motionrt.runtime.constraints.kinds import Root2D

EXAMPLE = ROOT / "examples" / "unreal"
STAND_INS = TESTS / "examples" / "unreal"
MODULE = "Plugins/Motionrt/Source/Motionrt"
EDITOR = "Plugins/Motionrt/Source/MotionrtEditor"
MANNEQUIN = 1.2
METRES = 1e-4
NODE = ("rests", "plays")
FLAGS = "-std=c++17 -fno-rtti -fno-exceptions -Wall -Wextra -Wshadow -Werror"
"""As the engine builds: without exceptions and types at run time, and shadowing is an error."""
NNE = "-DMOTIONRT_WITH_NNE"


def generate_headers(module: Path) -> None:
    """Write what the engine's header tool would, as far as the stand-ins need it."""
    for header in (module / "Public").glob("*.h"):
        text = header.read_text()
        classes = re.findall(r"UCLASS\(.*\)\nclass MOTIONRT\w*_API (\w+) : public (\w+)", text)
        structs = re.findall(r"USTRUCT\(.*\)\nstruct MOTIONRT_API (\w+) : public \w+", text)
        if classes or structs:
            generated = f"{header.stem}.generated.h"
            assert re.findall(r'#include "(.+)"', text)[-1] == generated, "it must come last"
            assert len(classes) + len(structs) == 1
            bodies = [f"STAND_IN_CLASS({name}, {parent})" for name, parent in classes]
            (header.parent / generated).write_text(
                "#pragma once\n#undef GENERATED_BODY\n"
                f"#define GENERATED_BODY() {' '.join(bodies)}\n"
            )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with what its README puts into it."""
    need("c++")
    folder = tmp_path_factory.mktemp("unreal") / "project"
    shutil.copytree(EXAMPLE, folder)
    run(commands(folder / "README.md"), folder)
    for module in (MODULE, EDITOR):
        generate_headers(folder / module)
    return folder


@pytest.fixture(scope="module")
def compiler(project: Path) -> str:
    ship = "Plugins/Motionrt/ThirdParty/motionrt"
    own = (f"{MODULE}/Public", f"{MODULE}/Private", f"{EDITOR}/Public")
    folders = (*own, ship, STAND_INS / "engine")
    return f"c++ {FLAGS} {NNE}=1 " + " ".join(f"-I {folder}" for folder in folders)


@pytest.fixture(scope="module")
def played(project: Path, compiler: str) -> list[str]:
    """Lines of Play.cpp, built as one file that includes all the others, as Unreal does it."""
    sources = [*sorted((project / MODULE / "Private").glob("*.cpp")), STAND_INS / "Play.cpp"]
    (project / "unity.cpp").write_text("".join(f'#include "{path}"\n' for path in sources))
    run(f"{compiler} -g unity.cpp -pthread -ldl -o play", project)
    # The engine's own inference is asked for through its standard input and output.
    plugin = project / "Plugins" / "Motionrt"
    graphs = Graphs(plugin / "ThirdParty" / "motionrt" / "motionrt-nne")
    (project / "graphs.txt").write_text(described(graphs))
    with subprocess.Popen(
        ["./play", plugin, "dump.txt"],
        cwd=project,
        env={**os.environ, "GRAPHS": str(project / "graphs.txt")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        graphs.serve(process.stdout, process.stdin)
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    return (project / "dump.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def seen(played: list[str]) -> dict[str, NDArray[np.float64]]:
    """World positions (frames, J, 3) of bones in motionrt's axes, metres, by what was played."""
    frames: dict[str, list[list[str]]] = {}
    for line in played:
        what, *numbers = line.split()
        if what not in ("problem", "logged", "node"):
            frames.setdefault(what, []).append(numbers)
    places = {what: np.array(rows, float) / 100 for what, rows in frames.items()}
    return {
        what: np.stack([-at[..., 1], at[..., 2], at[..., 0]], axis=-1)
        for what, at in ((what, rows.reshape(len(rows), -1, 3)) for what, rows in places.items())
    }


def sides(walk: motionrt.Motion) -> list[int]:
    return [walk.skeleton.joint_names.index(name) for name in ("LeftUpLeg", "RightUpLeg")]


@pytest.mark.parametrize(("mesh", "size"), [("figure", 1), ("mannequin", MANNEQUIN)])
def test_root_motion_carries_a_mesh(
    seen: dict[str, NDArray[np.float64]], walk: motionrt.Motion, mesh: str, size: float
) -> None:
    same_way(seen[f"{mesh}_walk"], size * walk.posed_joints, METRES)


def test_it_begins_where_the_actor_stands_and_faces(
    seen: dict[str, NDArray[np.float64]], walk: motionrt.Motion
) -> None:
    found = seen["figure_walk"][0]
    np.testing.assert_allclose(found[0, [0, 2]], [1, 3], atol=METRES)
    # Turned by 1 about Unreal's z, clockwise from above.
    assert -heading(*found[sides(walk)]) == pytest.approx(1, abs=1e-3)
    turn = heading(*seen["mannequin_walk"][0, sides(walk)])
    assert turn == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("mesh", "size"), [("figure", 1), ("mannequin", MANNEQUIN)])
def test_the_next_motion_is_blended_in(
    seen: dict[str, NDArray[np.float64]],
    walk: motionrt.Motion,
    jump: motionrt.Motion,
    mesh: str,
    size: float,
) -> None:
    before, (after, halfway) = seen[f"{mesh}_walk"][-1], seen[f"{mesh}_blend"]
    np.testing.assert_allclose(after, before, atol=METRES)
    # After an eighth of a second, 2.5 frames, the hips are between both motions'.
    height = (walk.root_positions[-1, 1] + jump.root_positions[2:4, 1].mean()) / 2
    assert halfway[0, 1] == pytest.approx(size * height, abs=METRES)


@pytest.mark.parametrize(("mesh", "size"), [("figure", 1), ("mannequin", MANNEQUIN)])
def test_in_place_it_stays(
    seen: dict[str, NDArray[np.float64]], jump: motionrt.Motion, mesh: str, size: float
) -> None:
    same_way(seen[f"{mesh}_jump"], size * jump.posed_joints[-1:], METRES)


def test_a_level_that_is_shown_again_begins_anew(
    seen: dict[str, NDArray[np.float64]], jump: motionrt.Motion
) -> None:
    same_way(seen["again"], jump.posed_joints[:1], METRES)


def test_a_node_of_an_animation_blueprint_gives_the_same_pose(played: list[str]) -> None:
    """Of a level of detail with every other bone; and the rest pose where nothing plays."""
    told = [line for line in played if line.startswith("node")]
    assert told == [f"node {mesh}: {what} 0" for mesh in ("figure", "mannequin") for what in NODE]


def test_the_engines_own_inference_makes_the_same_motion(
    seen: dict[str, NDArray[np.float64]],
) -> None:
    path = Root2D([0, 39], [[0.0, 0.0], [0.5, 1.0]])
    walk = motionrt.load().generate("a person walks forward", 2, seed=1, constraints=[path])
    same_way(seen["nne_walk"], walk.posed_joints, METRES)


def test_what_is_wrong_is_said(
    played: list[str], seen: dict[str, NDArray[np.float64]], project: Path
) -> None:
    ship = project / "Plugins" / "Motionrt" / "ThirdParty" / "motionrt"
    told = dict(line.split(" ", 1)[1].split(": ", 1) for line in played if "problem" in line)
    assert told["bundle"].startswith(f"{ship}/nowhere:")
    assert told["bones"] == "the mesh has no bone for Hips; name it in BoneMap"
    assert told["mesh"] == "the actor has no mesh with a skeleton"
    assert told["runtime"].endswith(
        ": NNE has no runtime NNERuntimeOther for the CPU; enable the plugin that brings it"
    )
    assert [line for line in played if line.startswith("logged")] == [
        f"logged {told[what]}" for what in ("bundle", "bones", "mesh", "runtime")
    ]
    np.testing.assert_array_equal(seen["still"], seen["again"])


def test_each_file_compiles_alone(project: Path, compiler: str) -> None:
    sources = sorted(path.as_posix() for path in project.rglob("*.cpp") if path.parent != project)
    assert len(sources) == 10
    run("\n".join(f"{compiler} -fsyntax-only {path}" for path in sources), project)
    older = compiler.replace(f"{NNE}=1", f"{NNE}=0")  # an engine without what is asked of NNE
    run(f"{older} -fsyntax-only {project}/{MODULE}/Private/MotionrtNne.cpp", project)


def test_the_page_leads_to_the_same_plugin(desk: Path, project: Path, compiler: str) -> None:
    run(commands(EMBED, "Unreal") + commands(EMBED, "By the engine's own inference"), desk)
    plugin = Path("Plugins", "Motionrt")
    found, expected = (
        {path.relative_to(root) for path in root.rglob("*") if "generated" not in path.name}
        for root in (desk / "MyGame" / plugin, project / plugin)
    )
    assert found == expected
    (project / "shown.cpp").write_text(commands(EMBED, "Unreal", "cpp"))
    run(f"{compiler} -fsyntax-only shown.cpp", project)


def test_the_rules_of_its_build(project: Path) -> None:
    need("mcs", "mono")
    rules = " ".join(path.as_posix() for path in sorted(project.rglob("*.cs")))
    run(f"mcs -warnaserror -out:rules.exe {STAND_INS}/UnrealBuildTool.cs {rules}", project)
    said = run("mono rules.exe", project)
    assert said.splitlines() == [
        "public Core CoreUObject Engine",
        "private Projects NNE",
        "define MOTIONRT_WITH_NNE=1",
        "older Projects",
        "include PLUGIN/ThirdParty/motionrt",
        "ship NonUFS:PLUGIN/ThirdParty/motionrt/...",
        "editor Core CoreUObject Engine AnimGraph Motionrt BlueprintGraph",
        "demo Core Engine",
        "Game MotionrtDemo",
        "Editor MotionrtDemo",
    ]


def test_the_plugin_and_the_project_say_what_they_are() -> None:
    plugin = json.loads((EXAMPLE / "Plugins" / "Motionrt" / "Motionrt.uplugin").read_text())
    assert plugin["VersionName"] == motionrt.__version__
    modules = {module["Name"]: module["Type"] for module in plugin["Modules"]}
    assert modules == {"Motionrt": "Runtime", "MotionrtEditor": "UncookedOnly"}
    (inference,) = plugin["Plugins"]
    assert inference == {"Name": "NNERuntimeORT", "Enabled": True, "Optional": True}
    project = json.loads((EXAMPLE / "MotionrtDemo.uproject").read_text())
    assert [module["Name"] for module in project["Modules"]] == ["MotionrtDemo"]
    assert [module["Name"] for module in project["Plugins"]] == ["Motionrt"]
