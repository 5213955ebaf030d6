"""USD: OpenUSD's own validators find nothing, and its own skeleton queries give the motion."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import root_path
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import BackendError, InputError

pxr: Any = pytest.importorskip("pxr", reason="needs usd-core: pip install motionrt[usd]")
from pxr import Gf, Sdf, Usd, UsdGeom, UsdSkel, UsdValidation, Vt  # noqa: E402  (after the skip)

ENDINGS = ("usd", "usda", "usdz")


def problems(path: Path) -> list[str]:
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [error.GetMessage() for error in found]


def posed(path: Path, frames: list[int]) -> dict[str, np.ndarray]:
    """Where UsdSkel itself puts each joint, (frames, 3)."""
    stage = Usd.Stage.Open(str(path))
    skeleton = UsdSkel.Skeleton(stage.GetPrimAtPath("/Figure/Skeleton"))
    cache = UsdSkel.Cache()
    root = UsdSkel.Root(stage.GetPrimAtPath("/Figure"))
    cache.Populate(root, Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(skeleton)
    rows = [np.array(query.ComputeJointSkelTransforms(frame))[:, 3, :3] for frame in frames]
    names = [str(token).rpartition("/")[2] for token in query.GetJointOrder()]
    return dict(zip(names, np.swapaxes(np.array(rows), 0, 1), strict=True))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("root_bone", [False, True])
def test_openusd_poses_the_motion(ending: str, root_bone: bool, tmp_path: Path) -> None:
    motion = striding(seconds=1, turn_radps=0.4)
    path = tmp_path / f"walk.{ending}"
    motion.save(path, root_bone=root_bone)
    assert problems(path) == []
    found = posed(path, [0, 7, 29])
    for joint, name in enumerate(motion.skeleton.joint_names):
        np.testing.assert_allclose(found[name], motion.posed_joints[[0, 7, 29], joint], atol=1e-5)
    if root_bone:
        np.testing.assert_allclose(found["root"], root_path(motion)[0][[0, 7, 29]], atol=1e-5)
    stage = Usd.Stage.Open(str(path))
    assert stage.GetTimeCodesPerSecond() == 30 and stage.GetEndTimeCode() == 29
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    again = Motion.load(path)
    assert again.skeleton.name == "cmu22" and again.fps == 30
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-5)


def test_the_figure_goes_with_the_bones(tmp_path: Path) -> None:
    motion = striding(seconds=0.5)
    motion.save(tmp_path / "walk.usda")
    stage = Usd.Stage.Open(str(tmp_path / "walk.usda"))
    UsdSkel.BakeSkinning(stage.Traverse())
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Figure/Mesh"))
    for frame in (0, 14):
        points = np.array(mesh.GetPointsAttr().Get(frame))
        for joint in motion.posed_joints[frame]:
            assert np.linalg.norm(points - joint, axis=-1).min() < 0.15
        assert abs(points[:, 2].mean() - motion.posed_joints[frame, :, 2].mean()) < 0.1


@pytest.mark.parametrize("skeleton", ["soma77", "smplx22"])
def test_skeletons_come_back_under_other_names_and_rest_poses(
    skeleton: str, tmp_path: Path
) -> None:
    walk = striding(seconds=1)
    body = load_skeleton(skeleton)
    turns = np.tile(np.eye(3), (30, body.num_joints, 1, 1))
    turns[:, 0] = walk.local_rot_mats[:, 0]
    motion = Motion.from_local(turns, walk.root_positions, body, 30)
    motion.save(tmp_path / "walk.usd", rest="t-pose", joint_names="mixamo")
    names = posed(tmp_path / "walk.usd", [0])
    assert "mixamorig_Hips" in names
    again = Motion.load(tmp_path / "walk.usd")
    joints = [again.skeleton.num_joints, motion.skeleton.num_joints]
    assert joints[0] == joints[1]
    np.testing.assert_allclose(again.posed_joints[:, 0], motion.posed_joints[:, 0], atol=1e-4)


def test_z_up_centimetres_and_other_frame_rates_are_read(tmp_path: Path) -> None:
    motion = striding(seconds=1)
    motion.save(tmp_path / "walk.usda")
    stage = Usd.Stage.CreateNew(str(tmp_path / "z.usda"))
    source = Sdf.Layer.FindOrOpen(str(tmp_path / "walk.usda"))
    stage.GetRootLayer().TransferContent(source)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    turn = UsdGeom.Xformable(stage.GetPrimAtPath("/Figure")).AddTransformOp()
    matrix = np.eye(4)
    matrix[:3, :3] = 100 * np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    turn.Set(Gf.Matrix4d(matrix.tolist()))
    stage.GetRootLayer().Save()
    found = Motion.load(tmp_path / "z.usda")
    np.testing.assert_allclose(found.posed_joints, motion.posed_joints, atol=1e-4)
    half = Motion.load(tmp_path / "z.usda", fps=15)
    np.testing.assert_allclose(half.posed_joints, motion.posed_joints[::2], atol=1e-4)


def test_what_is_no_animation_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.usda").write_text("#usda 1.0\n(\n)\n")
    (tmp_path / "b.usda").write_text("garbage")
    (tmp_path / "c.usd").write_bytes(b"PXR-USDC" + bytes(80))
    with zipfile.ZipFile(tmp_path / "d.usdz", "w") as package:
        package.writestr("a.txt", "nothing")
    for name, told in (
        ("a.usda", "has no skeleton with an animation"),
        ("b.usda", "no USD file that can be read"),
        ("c.usd", "no USD file that can be read"),
        ("d.usdz", "no USD file that can be read"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            Motion.load(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_files_elsewhere_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    striding(seconds=0.5).save(tmp_path / "walk.usda")
    (folder / "a.usda").write_text("#usda 1.0\n(\n  subLayers = [@../walk.usda@]\n)\n")
    with pytest.raises(InputError, match=r"refers to \.\./walk\.usda"):
        Motion.load(folder / "a.usda")


def test_bones_that_stretch_are_refused(tmp_path: Path) -> None:
    striding(seconds=0.5).save(tmp_path / "walk.usda")
    stage = Usd.Stage.Open(str(tmp_path / "walk.usda"))
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/Figure/Animation"))
    places = np.array(animation.GetTranslationsAttr().Get(7))
    places[5] *= 1.5
    animation.GetTranslationsAttr().Set(Vt.Vec3fArray.FromNumpy(places), 7)
    stage.GetRootLayer().Save()
    with pytest.raises(InputError, match="moves relative to its parent"):
        Motion.load(tmp_path / "walk.usda")


def test_without_the_library_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(BackendError, match=r"USD files need usd-core .*pip install"):
        striding(seconds=0.5).save(tmp_path / "walk.usd")
    assert not (tmp_path / "walk.usd").exists()
