"""Projectors as training code leaves them."""

import argparse
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from places import DATA
from torch import nn

from motionrt.export.readers.projector import read_projector
from motionrt.models.projector import ProjectorConfig, make_projector
from motionrt.runtime.errors import CheckpointError

FIELD = DATA / "field"
RAN: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("run",)


class LitProjector(nn.Module):
    """What a training framework wraps a projector in."""

    def __init__(self) -> None:
        super().__init__()
        self.projector = nn.Linear(3, 2)
        self.teacher = nn.Linear(5, 4)


def linear() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(nn.Linear(3, 2).state_dict())


def mlp() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(make_projector(ProjectorConfig("mlp", 3, 2, hidden_dim=5)).state_dict())


def prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("name", ["tutorial", "lightning_ns"])
def test_files_of_the_field_are_read(name: str) -> None:
    module, _ = read_projector(FIELD / "projector_model_state_dict" / f"{name}.pt")
    assert module.config == ProjectorConfig("linear", 3, 2)
    expected = [[-0.0043, 0.3097, -0.4752], [-0.4249, -0.2224, 0.1548]]
    weight = module.state_dict()["weight"]
    torch.testing.assert_close(weight, torch.tensor(expected), rtol=0, atol=1e-4)


def optimizer() -> dict[str, Any]:
    layer = nn.Linear(3, 2)
    made = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    made.step()
    return made.state_dict()


NESTS: list[Any] = [
    lambda s: s,
    lambda s: OrderedDict(s),
    lambda s: {"state_dict": s},
    lambda s: {"model_state_dict": s, "optimizer_state_dict": optimizer(), "epoch": 3, "loss": 0.1},
    lambda s: {"weights": s},
    lambda s: {"net": s, "args": argparse.Namespace(lr=0.1)},
    lambda s: {"params": s, "optim": optimizer()},
    lambda s: {"model": s, "optimizer": optimizer(), "config": Bomb()},
    lambda s: {"model": {"state_dict": s}},
    lambda s: {"state_dict": {"state_dict": s}, "state": {"epoch": 1}},
    lambda s: {"checkpoint": {"projection": s}},
    lambda s: {"epoch": 1, "state_dict": s, "hyper_parameters": argparse.Namespace(lr=0.1)},
    lambda s: {"model_ema": prefixed("module.", s), "model": s},
]


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("prefix", ["", "module.", "projector.", "module.projector.", "0."])
def test_nests_and_prefixes_are_seen_through(tmp_path: Path, nest: Any, prefix: str) -> None:
    torch.save(nest(prefixed(prefix, linear())), tmp_path / "p.pt")
    RAN.clear()
    module, _ = read_projector(tmp_path / "p.pt")
    assert RAN == []
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, linear()[name])


@pytest.mark.parametrize(
    "names",
    [
        ("proj.0", "proj.2"),
        ("0", "2"),
        ("0", "3"),  # a dropout between
        ("net.0", "net.2"),
        ("module.layers.1", "module.layers.4"),
        ("fc1", "fc2"),
        ("module.linear1", "module.linear2"),
    ],
)
@pytest.mark.parametrize("nest", NESTS[:4])
def test_mlps_of_other_names_are_read(tmp_path: Path, names: tuple[str, str], nest: Any) -> None:
    state = {}
    for ours, theirs in zip(("proj.0", "proj.2"), names, strict=True):
        for part in ("weight", "bias"):
            state[f"{theirs}.{part}"] = mlp()[f"{ours}.{part}"]
    torch.save(nest(state), tmp_path / "p.pt")
    module, _ = read_projector(tmp_path / "p.pt")
    assert module.config == ProjectorConfig("mlp", 3, 2, hidden_dim=5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, mlp()[name])


def test_a_projector_is_found_beside_other_modules(tmp_path: Path) -> None:
    whole = LitProjector().state_dict()
    torch.save({"state_dict": whole}, tmp_path / "p.ckpt")
    module, _ = read_projector(tmp_path / "p.ckpt")
    assert torch.equal(module.state_dict()["weight"], whole["projector.weight"])


def test_files_from_before_the_zip_layout_are_read(tmp_path: Path) -> None:
    torch.save(
        {"model_state_dict": linear(), "epoch": 1},
        tmp_path / "p.pt",
        _use_new_zipfile_serialization=False,
    )
    module, _ = read_projector(tmp_path / "p.pt")
    assert torch.equal(module.state_dict()["weight"], linear()["weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LitProjector(), "was not loaded; save a state_dict"),
        ({"optimizer_state_dict": optimizer()}, "holds no state dict"),
        ({"0.weight": torch.ones(2, 3), "1.weight": torch.ones(2, 2)}, "no projector"),
        (
            {f"{n}.{p}": torch.ones(2, 2) for n in "012" for p in ("weight", "bias")},
            "no projector",
        ),
        ({"model_state_dict": {"weight": torch.ones(2, 2)}}, "missing bias"),
        ({"weights": {"weight": torch.ones(2, 2).int(), "bias": torch.ones(2)}}, "expected float"),
    ],
)
def test_other_files_are_one_clear_line(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "p.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_projector(tmp_path / "p.pt")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    sorted(
        path.name for kind in ("pt-*", "*.pt", "ckpt*") for path in (FIELD / "hostile").glob(kind)
    ),
)
def test_hostile_files_are_one_line_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / Path(name).with_suffix(".pt").name
    path.write_bytes((FIELD / "hostile" / name).read_bytes())
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=path.name) as caught:
        read_projector(path)
    assert "\n" not in str(caught.value) and time.monotonic() - start < 5
