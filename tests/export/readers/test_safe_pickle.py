import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from motionrt.export.readers.safe_pickle import (
    StandIn,
    StoredTensor,
    open_pickled,
    read_checkpoint,
    read_state_dict,
)
from motionrt.runtime.errors import CheckpointError

RAN: list[str] = []


class Foreign:
    """What a training framework leaves in a checkpoint."""

    def __init__(self) -> None:
        self.value = 3

    def __setstate__(self, state: dict[str, Any]) -> None:
        RAN.append("setstate")


class ForeignList(list[int]):
    pass


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("reduced",)


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def write_pickle(path: Path, program: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", program)
        archive.writestr("model/byteorder", "little")
        archive.writestr("model/data/0", bytes(64))
    return path


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(10)[3:7:2],
        torch.tensor(2.5, dtype=torch.float64),
        torch.arange(4, dtype=torch.float16),
        torch.arange(4, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.nn.Parameter(torch.ones(2)),
    ],
)
def test_tensors_come_back_as_torch_has_them(tmp_path: Path, tensor: torch.Tensor) -> None:
    path = save(tmp_path / "a.ckpt", {"state_dict": OrderedDict(x=tensor)})
    found = read_state_dict(path)["x"].load()
    assert found.dtype == tensor.dtype
    assert torch.equal(found, tensor.detach())


def test_shared_storages_are_one_tensor_each(tmp_path: Path) -> None:
    base = torch.arange(8.0)
    path = save(tmp_path / "a.ckpt", {"a": base[:4], "b": base[4:]})
    weights = open_pickled(path)
    assert weights.shapes == {"a": (4,), "b": (4,)}
    assert weights.load("b").tolist() == [4, 5, 6, 7]


def test_what_is_loaded_cannot_change_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt", {"a": torch.zeros(3)})
    before = path.read_bytes()
    open_pickled(path).load("a").fill_(5)
    assert path.read_bytes() == before


def test_unknown_classes_become_inert(tmp_path: Path) -> None:
    RAN.clear()
    content = {
        "state_dict": {"x": torch.ones(1)},
        "hyper": Foreign(),
        "list": ForeignList([1, 2]),
        "bomb": Bomb(),
    }
    path = save(tmp_path / "a.ckpt", content)
    RAN.clear()
    found = read_checkpoint(path)
    assert RAN == []
    assert isinstance(found["hyper"], StandIn)
    assert "Foreign" in repr(found["hyper"])
    assert found["list"].items == [1, 2]
    assert isinstance(found["bomb"], StandIn)
    assert read_state_dict(path).keys() == {"x"}


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'exit 1'\ntR.",  # os.system
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(cbuiltins\ndict\nS'fromkeys'\ntR.",
        b"ctorch.hub\nload\n(S'x'\ntR.",
        b"csubprocess\nPopen\n)\x81.",
        b"c__builtin__\nexec\n(S'raise SystemExit'\ntR.",
    ],
)
def test_programs_do_nothing(tmp_path: Path, program: bytes) -> None:
    found = read_checkpoint(write_pickle(tmp_path / "a.ckpt", program))
    assert isinstance(found, StandIn)


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"not a pickle",
        b"(lp0\n",  # ends early
        b"S'x'\nQ.",  # a reference that is no storage
        b"(S'storage'\nctorch\nFloatStorage\nS'9'\nS'cpu'\nI4\ntQ.",  # data that is not there
        b"(S'storage'\nS'float'\nS'0'\nS'cpu'\nI4\ntQ.",
        # A tensor beyond its data, one with a negative stride, one of nothing.
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n"
        b"I16\ntQI0\n(I17\nt(I1\ntI00\nNtR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n"
        b"I16\ntQI8\n(I2\nt(I-1\ntI00\nNtR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(S'x'\nI0\n(I1\nt(I1\ntI00\nNtR.",
        b"ctorch._utils\n_rebuild_parameter\n(S'x'\nI00\nNtR.",
        # Changing a tensor's shape behind its back.
        b"ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n"
        b"I16\ntQI0\n(I2\nt(I1\ntI00\nNtR(dS'shape'\n(I99999999\ntsb.",
        # Setting an attribute of a function that may be called.
        b"ctorch._utils\n_rebuild_tensor_v2\n(N(dS'_name'\nS'x'\nstb.",
    ],
)
def test_damage_is_one_line(tmp_path: Path, program: bytes) -> None:
    path = write_pickle(tmp_path / "a.ckpt", program)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.ckpt"
    plain.write_bytes(pickle.dumps({"x": 1}))
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a.txt", "hello")
    nothing = save(tmp_path / "nothing.ckpt", {"epoch": 1})
    for path in (plain, empty, nothing, tmp_path / "missing.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match=str(path)):
            read_state_dict(path)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt", {"a": torch.zeros(4096)})
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 30, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            open_pickled(path).load("a")


def test_compressed_archives_are_read_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt", {"a": torch.arange(300.0)})
    packed = tmp_path / "b.ckpt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert torch.equal(open_pickled(packed).load("a"), torch.arange(300.0))


def test_only_little_endian_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}, 2))
        archive.writestr("model/byteorder", "big")
    with pytest.raises(CheckpointError, match="big-endian"):
        read_checkpoint(path)


def test_stored_tensors_say_their_shape_without_being_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt", {"a": torch.zeros(3, 4)})
    stored = read_state_dict(path)["a"]
    assert isinstance(stored, StoredTensor)
    assert stored.shape == (3, 4)


def save_old(path: Path, content: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_files_from_before_torch_1_6_are_read(tmp_path: Path) -> None:
    base = torch.arange(8.0)
    content = {
        "state_dict": OrderedDict(
            a=base[:4].clone(), b=base[4:], c=torch.tensor([True, False]), d=torch.zeros(0, 3)
        ),
        "hyper": Foreign(),
    }
    weights = open_pickled(save_old(tmp_path / "a.pt", content))
    assert weights.shapes == {"a": (4,), "b": (4,), "c": (2,), "d": (0, 3)}
    assert weights.load("a").tolist() == [0, 1, 2, 3]
    assert weights.load("b").tolist() == [4, 5, 6, 7]
    assert weights.load("c").dtype == torch.bool and weights.load("d").shape == (0, 3)


def test_nothing_runs_in_files_from_before_torch_1_6(tmp_path: Path) -> None:
    RAN.clear()
    found = read_checkpoint(
        save_old(tmp_path / "a.pt", {"bomb": Bomb(), "module": torch.nn.ReLU()})
    )
    assert RAN == [] and isinstance(found["bomb"], StandIn)


def test_files_from_before_torch_1_6_are_refused_in_one_line_wherever_they_end(
    tmp_path: Path,
) -> None:
    path = save_old(tmp_path / "a.pt", {"a": torch.arange(4.0)})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(path)
        assert str(caught.value).count(str(path)) == 1 and "\n" not in str(caught.value)
    # A storage that says that it is large takes no memory for it.
    path.write_bytes(whole.replace(b"K\x04N", b"J\x00\x00\x00\x40N"))
    with pytest.raises(CheckpointError, match="larger than the file"):
        read_checkpoint(path)


def test_tensors_that_share_their_data_many_times_are_refused(tmp_path: Path) -> None:
    base = torch.zeros(1 << 20)
    few = save(tmp_path / "few.pt", {f"name{i}": base for i in range(4)})
    assert len(open_pickled(few).shapes) == 4
    many = save(tmp_path / "many.pt", {f"name{i}": base for i in range(1000)})
    assert many.stat().st_size < 5 << 20
    with pytest.raises(CheckpointError, match="would take 4194304000 bytes"):
        open_pickled(many)
    repeated = {f"name{i}": torch.zeros(1).expand(1 << 20) for i in range(100)}
    with pytest.raises(CheckpointError, match="would take"):
        open_pickled(save(tmp_path / "repeated.pt", repeated))


def test_members_that_unpack_to_much_more_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\x80\x02" + b"]0" * (8 << 20) + b"N.")
    with pytest.raises(CheckpointError, match="would unpack to"):
        read_checkpoint(path)


def test_a_member_packed_as_torch_packs_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}, 2))
    with pytest.raises(CheckpointError, match="packed in a way that torch has not"):
        read_checkpoint(path)
