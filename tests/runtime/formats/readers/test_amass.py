from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.amass import is_amass, motion_from_amass, read_amass
from motionrt.runtime.formats.writers.amass import amass_arrays

Make = Callable[..., Motion]


def test_amass_is_told_by_its_arrays(wandering: Make) -> None:
    assert is_amass(amass_arrays(wandering("smplx22")))
    assert is_amass({"trans": np.zeros(3), "poses": np.zeros(3)})
    assert not is_amass({"poses": np.zeros(3)}) and not is_amass({"trans": np.zeros(3)})


def test_an_npz_says_itself_that_it_is_amass(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("smplx22")
    motion.save(tmp_path / "clip.npz", format="amass")
    again = Motion.load(tmp_path / "clip.npz")
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    assert read_amass(tmp_path / "clip.npz", fps=15).fps == 15


def test_the_older_layout_with_poses_is_read(wandering: Make) -> None:
    arrays = amass_arrays(wandering("smplx22"))
    poses = np.concatenate([arrays["root_orient"], arrays["pose_body"], np.zeros((24, 90))], axis=1)
    old = {"trans": arrays["trans"], "poses": poses, "mocap_framerate": np.array(120.0)}
    again = motion_from_amass(old, "here")
    assert again.fps == 120
    np.testing.assert_allclose(
        again.posed_joints, motion_from_amass(arrays, "here").posed_joints, atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trans": np.zeros((5, 3))}, "one clip is"),
        ({"pose_body": np.zeros((24, 60))}, "63 columns"),
        ({"trans": np.full((24, 3), np.nan)}, "not finite"),
        ({"trans": np.array("text")}, "real numbers"),
        ({"poses": np.ones((24, 165)) * 1j, "pose_body": None}, "real numbers"),
        ({"root_orient": np.full((24, 3), 1e30)}, "beyond 1e"),
        ({"mocap_frame_rate": np.array(-3)}, "fps is -3"),
        ({"mocap_frame_rate": np.array([])}, "frame rate"),
        ({"root_orient": None}, "without root_orient"),
        ({"mocap_frame_rate": None}, "frame rate"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(
    wandering: Make, change: dict[str, np.ndarray | None], message: str
) -> None:
    arrays = {**amass_arrays(wandering("smplx22")), **change}
    given = {name: values for name, values in arrays.items() if values is not None}
    with pytest.raises(InputError, match=rf"^here: .*{message}"):
        motion_from_amass(given, "here")


def test_a_file_of_ours_is_not_amass(wandering: Make, tmp_path: Path) -> None:
    wandering("smplx22").save(tmp_path / "ours.npz")
    with pytest.raises(InputError, match="not AMASS"):
        Motion.load(tmp_path / "ours.npz", format="amass")
