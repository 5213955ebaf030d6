"""AMASS files as they are: with pickles and members that nobody needs."""

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import DATA

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.amass import amass_arrays

HOSTILE = DATA / "field" / "hostile"
RAN: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("run",)


def body() -> Motion:
    rng = np.random.default_rng(0)
    turns = np.tile(np.eye(3), (6, 22, 1, 1))
    return Motion.from_local(turns, rng.normal(size=(6, 3)), load_skeleton("smplx22"), 120)


def arrays(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = dict(amass_arrays(body()))
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def poses(columns: int) -> np.ndarray:
    made = amass_arrays(body())
    found = np.zeros((6, columns))
    found[:, :3], found[:, 3:66] = made["root_orient"], made["pose_body"]
    return found


def test_the_fields_smplx_file_is_read() -> None:
    motion = Motion.load(DATA / "field" / "amass_smplx_stageii" / "stageii.npz")
    assert (motion.num_frames, motion.fps, motion.skeleton.name) == (3, 120, "smplx22")
    np.testing.assert_allclose(motion.root_positions[0], [-0.002, 0.962, -0.372], atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"markers_latent_vids": np.array({"a": [1, 2]}, object)},
        {"gender": np.array("female", object), "surface_model_type": np.array(Bomb(), object)},
        {"gender": np.array(b"male")},
        {"labels": np.array([Bomb(), None], object), "betas": np.array([Bomb()], object)},
        {"poses": poses(165)},
        {"pose_body": None, "root_orient": None, "poses": poses(156)},
        {"pose_body": None, "root_orient": None, "poses": poses(165).reshape(6, 55, 3)},
        {"pose_body": None, "poses": poses(72)},
        {"root_orient": None, "poses": poses(156)},
        {"mocap_frame_rate": None, "mocap_framerate": np.array(120)},
        {"mocap_frame_rate": None, "fps": np.array([120.0])},
    ],
)
def test_files_of_all_generations_are_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez(tmp_path / "clip.npz", **arrays(**changes))
    RAN.clear()
    motion = Motion.load(tmp_path / "clip.npz")
    assert RAN == [] and motion.fps == 120
    np.testing.assert_allclose(motion.posed_joints, body().posed_joints, rtol=0, atol=1e-5)


@pytest.mark.parametrize("needed", ["trans", "pose_body", "mocap_frame_rate"])
def test_what_is_needed_must_not_be_pickled(tmp_path: Path, needed: str) -> None:
    np.savez(tmp_path / "clip.npz", **arrays(**{needed: np.array([Bomb()], object)}))
    RAN.clear()
    with pytest.raises(InputError, match=f"{needed} cannot be read .* pickled") as caught:
        Motion.load(tmp_path / "clip.npz")
    assert RAN == [] and str(caught.value).count("clip.npz") == 1
    if needed == "mocap_frame_rate":
        assert Motion.load(tmp_path / "clip.npz", fps=120).fps == 120


def add(path: Path, name: str, header: bytes, size: int) -> None:
    """Put a member of zeros behind a header into an archive."""
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(header)
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
        member.write(bytes(size % (1 << 20)))


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (64 - (len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_members_that_nobody_needs_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    np.savez(path, **arrays())
    add(path, "markers.npy", header("(134217728,)"), 512 << 20)
    add(path, "notes.txt", b"hello", 0)
    add(path, "nonsense.npy", b"no array", 0)
    tracemalloc.start()
    motion = Motion.load(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    np.testing.assert_allclose(motion.posed_joints, body().posed_joints, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [
        ("(1000000000000, 3)", "<f4", 24),  # announces terabytes
        ("(2, 3)", "<f4", 1 << 20),  # holds more than it announces
        ("(4, 3)", "<f4", 24),
        ("(-1, 3)", "<f4", 24),
        ("(2, 3", "<f4", 24),
        ("(2, 3)", "<q99", 24),
        ("(400000000, 3)", "<f4", 0),
    ],
)
def test_headers_that_lie_are_one_line(tmp_path: Path, shape: str, kind: str, size: int) -> None:
    path = tmp_path / "clip.npz"
    np.savez(path, **arrays(trans=None))
    add(path, "trans.npy", header(shape, kind), size)
    tracemalloc.start()
    with pytest.raises(InputError, match="trans cannot be read") as caught:
        Motion.load(path)
    assert "\n" not in str(caught.value) and tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "name", sorted(path.name for kind in ("amass", "npz") for path in HOSTILE.glob(f"{kind}-*"))
)
def test_hostile_files_are_one_line(name: str) -> None:
    try:
        Motion.load(HOSTILE / name, format="npz")
    except InputError as error:
        assert name in str(error) and "\n" not in str(error)


def test_members_that_unpack_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.npz"
    np.savez(path, **arrays(trans=None))
    add(path, "trans.npy", header("(2000000, 3)"), 24_000_000)
    monkeypatch.setattr("motionrt.runtime.formats.budget._FREE_UNPACKED", 1 << 20)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"trans cannot be read .* unpack to 24000000 bytes"):
        Motion.load(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
