"""The Unity package: compiled against stand-ins of the engine's types, and run under Mono.

What stands in for UnityEngine is in tests/examples/unity. Its retargeting is no more than a copy
from bone to bone: that of Unity was not at hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from carried import heading, same_way
from documented import EMBED, commands, copy_of_examples, need, run
from numpy.typing import NDArray
from places import ROOT, TESTS

import motionrt

PACKAGE = ROOT / "examples" / "unity" / "com.motionrt.unity"
SIZE = 1.5
METRES = 1e-4
MIRROR = np.array([-1, 1, 1])
"""Unity is left-handed: its x points to the right of a body that faces z."""


@pytest.fixture(scope="module")
def seen(ship: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.float64]]:
    """World positions (frames, J, 3) of the character's bones, by what was played."""
    need("mcs", "mono")
    folder = tmp_path_factory.mktemp("unity")
    (folder / "ship").symlink_to(ship)
    (folder / "MyGame" / "Packages").mkdir(parents=True)
    copy_of_examples(folder)
    run(commands(EMBED, "Unity"), folder)
    (folder / "Script.cs").write_text(commands(EMBED, "Unity", "csharp"))
    sources = f"{TESTS}/examples/unity/*.cs MyGame/Packages/{PACKAGE.name}/Runtime/*.cs Script.cs"
    run(f"mcs -warnaserror -out:Play.exe {sources}", folder)
    plugins = folder / "MyGame" / "Assets" / "Plugins" / "x86_64"
    play = "mono --debug Play.exe MyGame/Assets/StreamingAssets dump.txt"
    run(play, folder, LD_LIBRARY_PATH=str(plugins))
    frames: dict[str, list[list[str]]] = {}
    for line in (folder / "dump.txt").read_text().splitlines():
        what, *numbers = line.split()
        frames.setdefault(what, []).append(numbers)
    return {what: np.array(rows, float).reshape(len(rows), -1, 3) for what, rows in frames.items()}


def test_root_motion_carries_a_humanoid(
    seen: dict[str, NDArray[np.float64]], walk: motionrt.Motion
) -> None:
    found = seen["walk"]
    np.testing.assert_allclose(found[0, 0, [0, 2]], [3, -1], atol=METRES)
    sides = [walk.skeleton.joint_names.index(name) for name in ("LeftUpLeg", "RightUpLeg")]
    # The character is turned by 1 about y, clockwise from above as Unity counts.
    assert -heading(*(found * MIRROR)[0, sides]) == pytest.approx(1, abs=1e-3)
    same_way(found * MIRROR, SIZE * walk.posed_joints, METRES)


def test_the_next_motion_is_blended_in(
    seen: dict[str, NDArray[np.float64]], walk: motionrt.Motion, jump: motionrt.Motion
) -> None:
    before, (after, halfway) = seen["walk"][-1], seen["blend"]
    np.testing.assert_allclose(after, before, atol=METRES)
    # After an eighth of a second, 2.5 frames, the hips are between both motions'.
    height = (walk.root_positions[-1, 1] + jump.root_positions[2:4, 1].mean()) / 2
    assert halfway[0, 1] == pytest.approx(SIZE * height, abs=METRES)


def test_in_place_it_stays(seen: dict[str, NDArray[np.float64]], jump: motionrt.Motion) -> None:
    same_way(seen["jump"] * MIRROR, SIZE * jump.posed_joints[-1:], METRES)


def test_the_package_says_what_it_is() -> None:
    described = json.loads((PACKAGE / "package.json").read_text())
    assert described["name"] == PACKAGE.name
    assert described["version"] == motionrt.__version__
    assert json.loads((PACKAGE / "Runtime" / "Motionrt.asmdef").read_text())["name"] == "Motionrt"
