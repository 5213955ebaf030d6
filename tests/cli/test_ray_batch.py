"""What a list on a cluster consists of, without a cluster: benchmarks/ray_batch.py has that."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

import motionrt
from motionrt.cli import _ray_batch
from motionrt.cli._batch import Batch, BatchItem, ResultsFile, prepare
from motionrt.cli._output import Outputs
from motionrt.cli._ray_batch import Maker, RayRun, Work, batched, check_reached
from motionrt.cli._reading import Reading
from motionrt.cli._shards import void_shards
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import BackendError
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request

LINES: list[dict[str, Any]] = [
    {"name": "walk", "prompt": "a person walks", "num_frames": 10, "num_steps": 2},
    {"name": "runs", "prompt": "a person runs", "num_frames": 12, "num_steps": 2, "num_samples": 2},
    {"name": "long", "prompt": "a person jumps", "num_frames": 30, "num_steps": 2},
]


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> Pipeline:
    return motionrt.load(bundle, backend="cpu")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let batches be made here, and note how many requests each has."""
    sizes: list[int] = []

    def here(work: Work, batches: Any) -> Any:
        maker = Maker(work)
        for batch in batches:
            sizes.append(len(batch))
            (told,) = maker({"items": [pickle.dumps(batch)]})["results"]
            yield json.loads(told)

    monkeypatch.setattr(_ray_batch, "_on_cluster", here)
    return sizes


def listed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_requests_of_like_length_are_a_batch(pipeline: Pipeline, tmp_path: Path) -> None:
    def item(name: str, frames: int, **options: Any) -> BatchItem:
        request = Request.make(pipeline.family, "walk", num_frames=frames, seed=1, **options)
        return BatchItem(name, request)

    items = [item("a", 30), item("b", 10), item("c", 15), item("d", 16)]
    items += [item(f"e{n}", 100, num_samples=8) for n in range(5)]
    prepared = prepare(Batch(pipeline, items, tmp_path, Outputs(("npz",)), Reading()))
    batches = batched(pipeline, items, prepared, prepared.order)
    names = [[item.name for item, _ in batch] for batch in batches]
    assert names == [["b", "c"], ["d"], ["a"], ["e0", "e1", "e2", "e3"], ["e4"]]


def test_a_list_is_made_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, in_this_process: list[int]
) -> None:
    requests = write(tmp_path / "list.jsonl", LINES)
    command = ("gen", "--batch", requests, "-o", tmp_path / "out", "--ray", "local", "--bvh")
    code, out, err = run(capsys, *command)
    assert (code, err) == (0, "") and out.count("\n") == 3
    assert in_this_process == [2, 1]
    results = listed(tmp_path / "out")
    assert [result["name"] for result in results] == ["walk", "runs", "long"]
    assert results[0]["files"] == ["walk.npz", "walk.bvh"]
    alone = tmp_path / "alone"
    assert run(capsys, "gen", "--batch", requests, "-o", alone, "--bvh", "--quiet")[0] == 0
    for first, second in zip(listed(alone), results, strict=True):
        assert first["request"] == second["request"] and first["files"] == second["files"]
        for file in first["files"]:
            one, other = Motion.load(alone / file), Motion.load(tmp_path / "out" / file)
            np.testing.assert_allclose(one.posed_joints, other.posed_joints, rtol=0, atol=1e-4)
    # Either way takes up what the other did.
    code, out, _ = run(capsys, *command)
    assert code == 0 and "all 3 were done already" in out and in_this_process == [2, 1]
    (tmp_path / "out" / "long.bvh").unlink()
    assert run(capsys, *command, "--quiet")[0] == 0
    assert in_this_process == [2, 1, 1]


def test_what_cannot_be_made_is_told_and_the_rest_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, in_this_process: list[int]
) -> None:
    robot, frames = load_skeleton("g1"), 30
    still = np.tile(np.eye(3, dtype=np.float32), (frames, robot.num_joints, 1, 1))
    clip = Motion.from_local(still, np.zeros((frames, 3), np.float32), robot, 30.0)
    clip.save(tmp_path / "robot.npz")  # fitted to the model, or refused, when it is needed
    bad = {**LINES[0], "name": "bad", "continue_from": "robot.npz"}
    requests = write(tmp_path / "list.jsonl", [*LINES, bad])
    command = ("gen", "--batch", requests, "-o", tmp_path / "out", "--ray", "local")
    code, _, err = run(capsys, *command)
    assert code == 1 and "Error: bad: " in err and "1 of 4 could not be made" in err
    assert [result["name"] for result in listed(tmp_path / "out")] == ["walk", "runs", "long"]


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_shards_hold_every_motion_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, in_this_process: list[int], kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra ray brings it")
    folder = tmp_path / "out"
    requests = write(tmp_path / "list.jsonl", LINES)
    command = ("gen", "--batch", requests, "-o", folder, "--ray", "local", "--shards", kind)
    assert run(capsys, *command, "--quiet")[0] == 0
    assert keys_in(folder, kind) == ["long", "runs_00", "runs_01", "walk"]
    assert not list(folder.glob("*.npz"))
    # Stopped between a shard and its lines, or in them: the shard is void, and made again.
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    (folder / "results.jsonl").write_text(lines[0])
    assert run(capsys, *command, "--quiet")[0] == 0
    assert keys_in(folder, kind) == ["long", "runs_00", "runs_01", "walk"]
    # A request that changes takes its whole shard along.
    write(requests, [{**LINES[0], "seed": 9}, *LINES[1:]])
    assert run(capsys, *command, "--quiet")[0] == 0
    assert keys_in(folder, kind) == ["long", "runs_00", "runs_01", "walk"]
    assert in_this_process == [2, 1, 2, 1, 2]


def keys_in(folder: Path, kind: str) -> list[str]:
    """Return the keys of all samples in the shards, and look at what they hold."""
    keys = []
    for path in (folder / "shards").iterdir():
        if kind == "webdataset":
            with tarfile.open(path) as archive:
                names = archive.getnames()
                for name in names[::2]:
                    member = archive.extractfile(name)
                    assert member is not None
                    with np.load(member) as arrays:
                        assert len(arrays["posed_joints"]) in (10, 12, 30)
                keys += [Path(name).stem for name in names[::2]]
                assert [Path(name).suffix for name in names] == [".npz", ".json"] * (
                    len(names) // 2
                )
        else:
            import pyarrow.parquet

            for row in pyarrow.parquet.read_table(path).to_pylist():
                count = row["num_frames"]
                shape = (count, len(row["joint_names"]), 3)
                assert np.isfinite(np.reshape(row["posed_joints"], shape)).all()
                assert row["prompt"].startswith("a person") and json.loads(row["info"])["seed"] >= 0
                keys.append(row["name"])
    return sorted(keys)


def test_shards_that_nobody_lists_are_removed(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for name in ("whole", "part", "orphan", "stale"):
        (tmp_path / "shards" / f"{name}.tar").write_bytes(b"")
    (tmp_path / "shards" / "notes.txt").write_text("mine")
    with ResultsFile(tmp_path / "results.jsonl") as results:
        for name, shard, of in (("a", "whole", 1), ("b", "part", 2), ("c", "stale", 1)):
            place = f"shards/{shard}.tar"
            result = {"name": name, "request": "", "files": [place], "shard": place, "of": of}
            results.add(result, [])
        done = results.read()
    assert void_shards(tmp_path, done, lambda name: name != "c") == {"b", "c"}
    left = sorted(path.name for path in (tmp_path / "shards").iterdir())
    assert left == ["notes.txt", "whole.tar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gen", "walk", "--ray"), "--ray runs a list"),
        (("gen", "--batch", "x", "--shards", "parquet"), "--shards goes with --ray"),
        (("gen", "--batch", "x", "--ray", "local", "--shards", "parquet", "--bvh"), "leave out"),
    ],
)
def test_what_does_not_go_together_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2 and message in err


def test_an_address_where_nothing_answers_is_told_at_once() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(BackendError, match=f"--ray {address}: no cluster answers there"):
            check_reached(address)  # bound, and nobody listens
        bound.listen()
        check_reached(address)
        check_reached(f"ray://{address}")
    for name in ("auto", "local", "anyscale://mine"):
        check_reached(name)
    with pytest.raises(BackendError, match="no cluster answers there"):
        check_reached("host.invalid:6379")


def test_what_to_install_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    requests = write(tmp_path / "list.jsonl", LINES)
    code, _, err = run(capsys, "gen", "--batch", requests, "-o", tmp_path / "out", "--ray")
    assert code == 1 and err.startswith("Error: gen --ray needs ray; pip install")


def test_a_run_is_told_to_actors_as_a_whole(pipeline: Pipeline, tmp_path: Path) -> None:
    run_ = RayRun("local", pipeline.bundle.folder, "cpu", 1, None, None)
    work = Work(run_, tmp_path, Outputs(("npz",)), Reading(), False)
    assert pickle.loads(pickle.dumps(work)) == work
