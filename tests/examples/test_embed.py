"""What docs/embed.md says to C, C++ and C# programmers, done as written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from c_builds import CAPI, WARNINGS, compile_c
from documented import EMBED, commands, need, run
from places import ROOT, TESTS

import motionrt

METRES = 1e-3
"""BVH has five places."""


def same_walk(path: Path, seconds: float, preset: str | None = None) -> None:
    expected = motionrt.load().generate("a person walks forward", seconds, seed=1, preset=preset)
    found = motionrt.Motion.load(path)
    np.testing.assert_allclose(found.posed_joints, expected.posed_joints, atol=METRES)


def test_c(desk: Path) -> None:
    need("cc", "cmake", "pkg-config")
    shutil.copy(ROOT / "CMakeLists.txt", desk)
    shutil.copytree(CAPI, desk / CAPI.relative_to(ROOT))
    said = run(commands(EMBED, "C"), desk)
    assert "walk.bvh: 80 frames of 22 joints at 20 fps" in said
    same_walk(desk / "walk.bvh", 4)
    bundle = desk / "ship" / "motionrt-default"
    given = {
        "LD_LIBRARY_PATH": str(desk / "out" / "lib"),
        "MOTIONRT_ONNXRUNTIME": str(desk / "ship" / "libonnxruntime.so"),
    }
    run(f"./prompt_to_bvh_of_cmake {bundle} 'a person walks forward' again.bvh", desk, **given)
    same_walk(desk / "again.bvh", 4)


def test_c_plus_plus(desk: Path) -> None:
    need("c++")
    said = run(commands(EMBED, "C++"), desk)
    assert "4 s: hips at" in said
    assert motionrt.Motion.load(desk / "walk_then_jump.glb").num_frames == 100
    # Frames of 1/60 s: x, y, z of the hips, and how many motions were begun.
    rows = np.loadtxt(desk / "frames.csv", delimiter=",")
    hips, motions = rows[:, :3], rows[:, 3]
    assert list(np.unique(motions)) == [1, 2]
    walked = hips[motions == 1]
    walk = motionrt.load().generate("a person walks forward", 2, seed=1)
    ahead = np.interp(np.arange(1, 61) / 60 * walk.fps, range(40), walk.root_positions[:, 2])
    np.testing.assert_allclose(walked[:60, 2], ahead - walk.root_positions[0, 2], atol=0.01)
    # Nothing jumps but the person: at most 4 m/s up, where one motion becomes the other too.
    assert np.abs(np.diff(hips, axis=0)).max() < 4 / 60


@pytest.mark.parametrize("name", ["walk_then_jump", "frame_loop"])
def test_c_plus_plus_compiles_without_a_warning(name: str) -> None:
    need("c++")
    source = ROOT / "examples" / "cpp" / f"{name}.cpp"
    flags = ("-std=c++17", "-Wshadow", "-fsyntax-only", *WARNINGS)
    compile_c(f"{name}.o", *flags, source, compiler="c++")


def test_c_sharp(desk: Path) -> None:
    need("mcs", "mono")
    said = run(commands(EMBED, "C#"), desk)
    assert "walk_of_mono.bvh: 60 frames of 22 joints" in said
    same_walk(desk / "walk_of_mono.bvh", 3, preset="fast")


def test_the_c_sharp_wrapper(desk: Path) -> None:
    need("mcs", "mono")
    wrapper = "examples/unity/com.motionrt.unity/Runtime/{Clip,Motionrt}.cs"
    run(f"mcs -warnaserror -out:Check.exe {TESTS}/examples/csharp/Check.cs {wrapper}", desk)
    said = run("mono --debug Check.exe ship/motionrt-default", desk, LD_LIBRARY_PATH="ship")
    assert said.splitlines() == [
        "kimodo 20 6 True 0",
        "embedding True",
        'sequence 30 "a person walks "',
        "request 2 True True",
        "continued 40",
        "postprocessed True",
        "Cancelled: cancelled while denoising (1 of 2)",
        "InvalidOperationException: of the listener",
        'BadInput: solver "euler" is unknown; choose ddim or dpmpp-2m',
        "ArgumentException: each prompt takes its seconds",
        "BadBundle: nowhere: no manifest.json in it, so it is no bundle",
    ]
