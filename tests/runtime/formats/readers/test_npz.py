import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError

HALVES = np.full(22, 0xD800, "<u4").view("<U1")
"""Text of halves of characters."""
IDENTITY = np.tile(np.eye(3, dtype=np.float32), (4, 22, 1, 1))
ROOT = np.zeros((4, 3), np.float32)
OWN = {
    "local_rot_mats": IDENTITY,
    "root_positions": ROOT,
    "joint_names": np.array([f"j{number}" for number in range(22)]),
    "parents": np.arange(-1, 21),
    "rest_positions": np.zeros((22, 3)),
}
"""A clip with a skeleton of its own."""


def test_upstreams_file_has_no_frame_rate_and_no_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "clip.npz", local_rot_mats=IDENTITY, root_positions=ROOT)
    motion = Motion.load(tmp_path / "clip.npz")
    assert (motion.fps, motion.skeleton.name) == (30, "smplx22")
    assert Motion.load(tmp_path / "clip.npz", fps=60).fps == 60


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": ROOT}, "no local_rot_mats"),
        ({"local_rot_mats": IDENTITY}, "needs root_positions"),
        ({"local_rot_mats": IDENTITY[None], "root_positions": ROOT}, "one clip is"),
        ({"local_rot_mats": IDENTITY[:, :9], "root_positions": ROOT}, "9 joints"),
        ({"local_rot_mats": IDENTITY, "root_positions": ROOT[:3]}, "must be"),
        ({"local_rot_mats": IDENTITY * np.nan, "root_positions": ROOT}, "not finite"),
        ({"local_rot_mats": IDENTITY.astype("U4"), "root_positions": ROOT}, "not real numbers"),
        ({"local_rot_mats": IDENTITY, "root_positions": ROOT, "fps": np.array("x")}, "fps is"),
        ({"local_rot_mats": IDENTITY, "root_positions": ROOT, "fps": np.zeros(())}, "fps is 0.0"),
        (
            {"local_rot_mats": IDENTITY, "root_positions": ROOT, "joint_names": np.array(["a"])},
            "must be 22 texts",
        ),
        (
            {
                "local_rot_mats": IDENTITY,
                "root_positions": ROOT,
                "joint_names": np.array([f"j{number}" for number in range(22)]),
            },
            "no skeleton has",
        ),
        (
            {"local_rot_mats": IDENTITY, "root_positions": ROOT, "joint_names": HALVES},
            "characters that there are not",
        ),
        ({**OWN, "parents": np.full(22, 1.5)}, "parents is float64"),
        ({**OWN, "parents": np.zeros((22, 2), int)}, "must be"),
        ({**OWN, "rest_positions": np.zeros((0, 3), complex)}, "rest_positions is complex"),
        ({**OWN, "rest_positions": np.zeros((21, 3))}, "rest_positions is"),
        ({"local_rot_mats": 2 * IDENTITY, "root_positions": ROOT}, "no rotation"),
        ({"local_rot_mats": IDENTITY, "root_positions": ROOT + 1e10}, "beyond 1e"),
        ({"global_rot_mats": IDENTITY}, "needs local_rot_mats"),
        ({"local_rot_mats": IDENTITY, "posed_joints": np.zeros(3)}, "one clip is"),
        ({"local_rot_mats": IDENTITY, "root_positions": ROOT, "fps": np.array(1j)}, "fps is"),
    ],
)
def test_wrong_arrays_are_one_clear_line(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "clip.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(tmp_path / "clip.npz")
    assert "\n" not in str(caught.value) and "clip.npz" in str(caught.value)


class Mischief:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


def test_damaged_and_pickled_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez(whole, local_rot_mats=IDENTITY, root_positions=ROOT)
    data = whole.read_bytes()
    altered = bytearray(data)
    altered[200] ^= 255
    files = {
        "empty": b"",
        "short": data[: len(data) // 2],
        "altered": bytes(altered),
        "text": b"HIERARCHY\nROOT Hips\n",
        "pickle": pickle.dumps(Mischief()),
    }
    np.save(tmp_path / "single.npy", ROOT)
    files["single"] = (tmp_path / "single.npy").read_bytes()
    np.savez(tmp_path / "object.npz", local_rot_mats=np.array([{"a": 1}], object))
    files["object"] = (tmp_path / "object.npz").read_bytes()
    for name, content in files.items():
        path = tmp_path / f"bad_{name}.npz"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            Motion.load(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value), name
