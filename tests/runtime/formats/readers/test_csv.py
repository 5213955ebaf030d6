from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

ROW = ",".join(["1"] * 36)


def test_a_motion_of_hinges_survives_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    low, high = g1_hinges().limits_rad.T * 0.8
    quaternion = rng.normal(size=(9, 4))
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    angles = rng.uniform(low, high, (9, 29))
    local, root = motion_arrays_from_qpos(
        np.concatenate([rng.normal(size=(9, 3)), quaternion, angles], 1)
    )
    motion = Motion.from_local(local, root, load_skeleton("g1"), 50)
    motion.save(tmp_path / "a.csv")
    again = Motion.load(tmp_path / "a.csv", fps=50)
    assert again.fps == 50 and again.skeleton.name == "g1"
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    assert Motion.load(tmp_path / "a.csv").fps == 30  # the file does not say


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        (f"{ROW}\n1,2\n", "line 2 has 2 columns"),
        (ROW.replace("1", "x", 1), "line 1: could not convert"),
        (f"{ROW}\n{ROW.replace('1', 'nan', 1)}", "frame 1 .* not finite"),
        (ROW.replace("1,1", "1,inf", 1), "not finite"),
        (",".join(["0"] * 36), "quaternion"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refusal:
        Motion.load(path)
    assert "bad.csv" in str(refusal.value) and "\n" not in str(refusal.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="as text"):
        Motion.load(tmp_path / "bad.csv")
