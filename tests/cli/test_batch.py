from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from motionrt.cli import _batch
from motionrt.constraints import Root2D, write_constraints
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request

LIST = [
    "a person walks",
    {"prompt": "Sit down. Stand up.", "seconds": "0.3 0.4", "name": "sit", "seed": 4},
    {"prompt": "", "seconds": 0.5},
]


def gen(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return run(capsys, "gen", *arguments, "--diffusion-steps", "2")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in LIST) + "\n\n")
    return path


def test_generates_the_shortest_first_and_each_as_gen_would(
    bundle: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    common = ("--bundle", bundle, "--duration", "1", "--seed", "10")
    code, out, err = gen(capsys, "--batch", prompts, "-o", folder, *common)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["1/3 0002", "2/3 sit", "3/3 0000"]
    assert "14 frames" in lines[1]
    assert "seed 12" in lines[0]
    results = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert results[2]["files"] == ["0000.npz"]
    code, _, err = gen(capsys, "a person walks", "-o", tmp_path / "one", *common)
    assert code == 0, err
    with np.load(folder / "0000.npz") as batch, np.load(tmp_path / "one.npz") as alone:
        np.testing.assert_array_equal(batch["posed_joints"], alone["posed_joints"])


def test_goes_on_after_a_kill(
    bundle: Path,
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "out"
    arguments = ("--batch", prompts, "--output", folder, "--bundle", bundle, "--json")
    run = Pipeline.run
    asked: list[Request] = []

    def stops(self: Pipeline, request: Request, progress: Any = None) -> Any:
        asked.append(request)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return run(self, request, progress)

    monkeypatch.setattr(Pipeline, "run", stops)
    code, out, _ = gen(capsys, *arguments, "--duration", "1")
    assert code == 130
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["0002"]
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"name": "sit", "requ')
    code, out, err = gen(capsys, *arguments, "--duration", "1")
    assert code == 0, err
    *made, told = map(json.loads, out.splitlines())
    assert [entry["name"] for entry in made] == ["sit", "0000"]
    assert told == {"made": 2, "kept": 1, "folder": str(folder)}
    again = gen(capsys, *arguments, "--duration", "1")[1]
    assert json.loads(again) == {"made": 0, "kept": 3, "folder": str(folder)}
    in_words = [word for word in arguments if word != "--json"]
    assert "all 3 were done already" in gen(capsys, *in_words, "--duration", "1")[1]
    # What is asked for otherwise, or is gone, is made again.
    (folder / "sit.npz").unlink()
    code, out, _ = gen(capsys, *arguments, "--duration", "0.9")
    made = list(map(json.loads, out.splitlines()))[:-1]
    assert [entry["name"] for entry in made] == ["sit", "0000"]


def test_an_edited_constraint_file_is_run_again(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Root2D([0], [[0, 0]])
    write_constraints(tmp_path / "c.json", [held])
    (tmp_path / "list.jsonl").write_text('{"prompt": "walk", "constraints": "c.json"}')
    arguments = ("--batch", tmp_path / "list.jsonl", "-o", tmp_path / "out", "--duration", "0.5")
    assert gen(capsys, *arguments, "--bundle", bundle)[0] == 0
    assert "all 1 were done" in gen(capsys, *arguments, "--bundle", bundle)[1]
    write_constraints(tmp_path / "c.json", [Root2D([0], [[0, 1]])])
    assert "1/1 0000: 10 frames" in gen(capsys, *arguments, "--bundle", bundle)[1]
    # Other files of the same motion are another result.
    assert "1/1 0000" in gen(capsys, *arguments, "--bundle", bundle, "--bvh")[1]
    assert (tmp_path / "out" / "0000.bvh").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "prompts.jsonl:1: no JSON"),
        ("3", "prompts.jsonl:1: expected a prompt"),
        ('{"seconds": 3}', "give prompt, or prompts"),
        ('{"prompt": "a", "duration": 1}', "unknown key duration; did you mean seconds?"),
        ('{"prompt": "a", "num_steps": "4"}', "num_steps: Expected `int | null`, got `str`"),
        ('{"prompt": "a", "speed": 1}', "unknown key speed"),
        ('{"prompt": "a", "name": "../a"}', "is no file name"),
        ('"a"\n{"prompt": "a", "name": "0000"}', "prompts.jsonl:2: name '0000' is taken"),
        ('{"prompt": "a", "seed": -1}', "seed: Expected `int` >= 0"),
        ('{"prompt": "a", "seconds": -1}', "duration"),
        ('{"prompt": "a", "seconds": 1e308}', "duration 1e+308 s: this model allows 600.0 s"),
        ('{"prompt": "a", "name": {"x": 1}}', "is no file name"),
        ('{"prompt": "a", "name": true}', "name True is no file name"),
        (r'{"prompt": "a", "name": "a\u0000b"}', r"name 'a\x00b' is no file name"),
        (r'{"prompt": "a", "name": "\ud800"}', r"name '\ud800' is no file name"),
        (r'{"prompt": "a", "name": "a\\b"}', "is no file name"),
        (r'"\ud800"', "which is no letter"),
        ('"a"\n{"prompt": "a", "compat": ""}', "0001: compat '': there are 2026-03, latest"),
        ('{"prompt": "a", "constraints": [{"type": "x"}]}', "0000: constraint 0: unknown type"),
        ("[" * 100_000, "prompts.jsonl:1: no JSON"),
        ("", "holds no prompt"),
    ],
)
def test_refuses_a_bad_list_before_anything_is_made(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(line)
    folder = tmp_path / "out"
    code, _, err = gen(capsys, "--batch", path, "-o", folder, "--bundle", bundle)
    assert code == 1
    assert message in err
    assert not folder.exists()


def test_a_list_may_be_plain_prompts(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text('# two\na man walks\n\n  he said "jump"  \n3\n')
    arguments = ("--batch", tmp_path / "list.txt", "-o", tmp_path / "out", "--duration", "0.5")
    code, out, err = gen(capsys, *arguments, "--bundle", bundle, "--json")
    assert code == 0, err
    prompts = {row["name"]: row["prompt"] for row in map(json.loads, out.splitlines())}
    assert prompts == {"0001": "a man walks.", "0003": 'he said "jump".', "0004": "3."}
    (tmp_path / "list.jsonl").write_text("a man walks\n")
    code, _, err = gen(capsys, "--batch", tmp_path / "list.jsonl", "--bundle", bundle)
    assert code == 1 and "a list of plain prompts is a .txt" in err


@pytest.mark.parametrize("what", ["read-only", "folder", "results", "device", "long"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(
    bundle: Path,
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    if what == "read-only":

        def refuse(**_: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        told = "out/results.jsonl: cannot write (Read-only file system)"
    elif what == "folder":
        (folder / "sit.npz").mkdir()
        told = "out/sit.npz: is a folder"
    elif what == "results":
        (folder / "results.jsonl").mkdir()
        told = "out/results.jsonl: is a folder"
    elif what == "device":
        (folder / "results.jsonl").symlink_to(os.devnull)
        told = "out/results.jsonl: is no file"
    else:
        prompts.write_text(json.dumps({"prompt": "", "name": "n" * 252}))
        told = "cannot write (File name too long)"
    monkeypatch.setattr(Pipeline, "run", lambda *_: pytest.fail("it generates"))
    before = sorted(folder.iterdir())
    code, out, err = gen(capsys, "--batch", prompts, "-o", folder, "--bundle", bundle)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert told in err
    assert sorted(folder.iterdir()) == before


def test_a_full_disk_ends_the_list_in_one_line(
    bundle: Path,
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "out"
    common = ("--batch", prompts, "-o", folder, "--bundle", bundle, "--duration", "0.5")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(_batch, "sync_file", full)
        code, _, err = gen(capsys, *common)
    assert code == 1
    assert "results.jsonl: cannot write (No space left on device)" in err
    # With room again it goes on; what was not listed is made again.
    (folder / "results.jsonl").write_bytes(b"\xff\n[3]\n" + b"[" * 10_000 + b"\n{")
    code, out, err = gen(capsys, *common)
    assert (code, len(out.splitlines())) == (0, 3), err
    assert "all 3 were done already" in gen(capsys, *common)[1]


def test_files_of_lines_are_read_as_was_said(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = Pipeline.load(bundle, "cpu").generate("walk", 0.5, seed=1, num_steps=1)
    clip.save(tmp_path / "metres.bvh", scale=1)
    clip.save(tmp_path / "clip.npz")
    lines = [
        {"prompt": "run", "name": "a", "continue_from": "metres.bvh", "seed": 2},
        {"prompt": "run", "name": "b", "continue_from": "clip.npz", "seed": 2},
    ]
    listed = tmp_path / "list.jsonl"
    listed.write_text("\n".join(map(json.dumps, lines)))
    common = ("--batch", listed, "-o", tmp_path / "out", "--bundle", bundle, "--duration", "0.5")
    code, _, err = gen(capsys, *common)
    assert code == 0 and "the body is" in err and "--input-scale guess" in err
    # Said otherwise it is another request.
    code, out, err = gen(capsys, *common, "--input-scale", "1")
    assert code == 0 and "b: 20 frames" in out and "a: 20 frames" in out
    assert "--input-scale" not in err
    first, second = (np.load(tmp_path / "out" / f"{name}.npz") for name in "ab")
    kept, expected = (motion["posed_joints"][:5] for motion in (first, second))
    np.testing.assert_allclose(kept, expected, rtol=0, atol=1e-3)
    code, out, _ = gen(capsys, *common, "--input-scale", "1")
    assert code == 0 and "all 2 were done already" in out
    code, _, err = gen(capsys, *common, "--animation", "Walk")
    assert code == 1 and "metres.bvh: --animation is for glb, gltf, vrma" in err


def test_a_line_may_hold_what_ends_lines_elsewhere(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a\u2028b\x85c", "seconds": 0.2}\n', encoding="utf-8")
    folder = tmp_path / "out"
    code, _, err = gen(capsys, "--batch", path, "-o", folder, "--bundle", bundle)
    assert code == 0, err
    assert len((folder / "results.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n", b'{"name": "0000", "request": 1, "files": [3]}']
)
def test_damaged_results_count_as_none(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a", "seconds": 0.2}')
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "results.jsonl").write_bytes(content)
    code, _, err = gen(capsys, "--batch", path, "-o", folder, "--bundle", bundle)
    assert code == 0, err
    assert (folder / "0000.npz").is_file()


def test_results_that_cannot_be_written_are_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a", "seconds": 0.2}')
    folder = tmp_path / "out"
    (folder / "results.jsonl").mkdir(parents=True)
    for place in (folder, path):
        code, _, err = gen(capsys, "--batch", path, "-o", place, "--bundle", bundle)
        assert code == 1 and err.startswith("Error: ") and len(err.splitlines()) == 1


def test_strict_leaves_out_what_is_doubtful_and_goes_on(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "list.jsonl", tmp_path / "out"
    still = [{"type": "root2d", "frame_indices": [0, 1], "smooth_root_2d": [[0, 0], [0, 9]]}]
    lines = [
        {"prompt": "a person walks", "seconds": 1, "constraints": still, "name": "leaps"},
        {"prompt": "a person walks", "seconds": 7, "chain": False, "name": "long"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    common = ("--batch", path, "-o", folder, "--bundle", bundle)
    code, out, err = gen(capsys, *common, "--strict", "--json")
    assert code == 1 and out == "" and not list(folder.glob("*.npz"))
    first, second, last = err.splitlines()
    assert first.startswith("Error: leaps: constraint 0: the root would move at 180 m/s")
    assert second.startswith("Error: long: 7 s in one piece")
    assert last == f"Error: {folder}: 2 of 2 are not written, for --strict"
    code, out, err = gen(capsys, *common, "--json")
    assert code == 0
    made = [json.loads(line) for line in out.splitlines()]
    assert [entry["name"] for entry in made] == ["leaps", "long"]
    assert all(entry["warnings"][0] and entry["quality"][0] for entry in made)
    assert "warning: leaps: constraint 0" in err
