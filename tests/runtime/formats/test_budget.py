"""What small files that say much may take: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutators.arrays import npy

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.budget import most_poses, most_unpacked

PEAK = """import re, sys
from motionrt.runtime.body.motion import Motion
Motion.load(sys.argv[1])
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)"""


def wide_bvh(joints: int, frames: int) -> str:
    """One joint that turns, and many below it that never do."""
    still = "JOINT b\n{\nOFFSET 0 1 0\nCHANNELS 0\n}\n" * (joints - 1)
    head = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Zrotation\n"
    rows = "0\n" * frames
    return f"{head}{still}}}\nMOTION\nFrames: {frames}\nFrame Time: 0.03\n{rows}"


def zeros_npz(path: Path, frames: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        turns = np.tile(np.eye(3, dtype=np.float32), (frames, 22, 1, 1))
        archive.writestr("local_rot_mats.npy", npy(turns))
        archive.writestr("root_positions.npy", npy(np.zeros((frames, 3), np.float32)))


def peak_mb(path: Path) -> int:
    done = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_the_most_that_small_files_may_mean_takes_little(tmp_path: Path) -> None:
    (tmp_path / "wide.bvh").write_text(wide_bvh(5_000, 99))
    zeros_npz(tmp_path / "zeros.npz", 60_000)
    assert (tmp_path / "zeros.npz").stat().st_size < 200_000
    assert peak_mb(tmp_path / "wide.bvh") < 300
    assert peak_mb(tmp_path / "zeros.npz") < 300


def test_what_means_more_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wide.bvh").write_text(wide_bvh(9_000, 200))
    with pytest.raises(InputError, match="too many that never move"):
        Motion.load(tmp_path / "wide.bvh")
    zeros_npz(tmp_path / "zeros.npz", 110_000)
    with pytest.raises(InputError, match="save it uncompressed"):
        Motion.load(tmp_path / "zeros.npz")


def test_arrays_of_one_archive_share_what_they_may_unpack_to(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("trans", "poses"):
            archive.writestr(f"{name}.npy", npy(np.zeros((3_000_000, 3), np.float32)))
    with pytest.raises(InputError, match=r"poses cannot be read .* more than an archive"):
        Motion.load(path)


def test_files_may_stand_for_more_the_larger_they_are() -> None:
    assert most_poses(0) == 500_000 and most_poses(10**6) == 2_500_000
    assert most_poses(10**12) == 4_000_000
    assert most_unpacked(10**9) > 20 * 10**9
