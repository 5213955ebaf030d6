from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.cli.main import main
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.schedule import PRESETS

LIST = [
    "a person walks",
    {"prompt": "Sit down. Stand up.", "seconds": "0.3 0.4", "name": "sit", "seed": 4},
    {"prompt": "", "seconds": 0.5},
]


def gen(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main(["gen", *(str(argument) for argument in arguments), "--diffusion-steps", "2"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in LIST) + "\n\n")
    return path


def test_generates_the_shortest_first_and_each_as_gen_would(
    tiny_bundle: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    common = ("--bundle", tiny_bundle, "--duration", "1", "--seed", "10")
    code, out, err = gen(capsys, "--batch", prompts, "-o", folder, *common)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["1/3 0002", "2/3 sit", "3/3 0000"]
    assert "21 frames" in lines[1]
    assert "seed 12" in lines[0]
    results = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert results[2]["files"] == ["0000.npz", "0000_amass.npz"]
    code, _, err = gen(capsys, "a person walks", "-o", tmp_path / "one", *common)
    assert code == 0, err
    with np.load(folder / "0000.npz") as batch, np.load(tmp_path / "one.npz") as alone:
        np.testing.assert_array_equal(batch["posed_joints"], alone["posed_joints"])


def test_goes_on_after_a_kill(
    tiny_bundle: Path,
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "out"
    arguments = ("--batch", prompts, "--output", folder, "--bundle", tiny_bundle, "--json")
    generate = KimodoPipeline.generate
    asked: list[Any] = []

    def stops(self: KimodoPipeline, prompt: Any, *rest: Any, **options: Any) -> Any:
        asked.append(prompt)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return generate(self, prompt, *rest, **options)

    monkeypatch.setattr(KimodoPipeline, "generate", stops)
    code, out, _ = gen(capsys, *arguments, "--duration", "1")
    assert code == 130
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["0002"]
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"name": "sit", "requ')
    code, out, err = gen(capsys, *arguments, "--duration", "1")
    assert code == 0, err
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["sit", "0000"]
    assert gen(capsys, *arguments, "--duration", "1")[1] == ""
    # What is asked for otherwise, or is gone, is made again.
    (folder / "sit.npz").unlink()
    code, out, _ = gen(capsys, *arguments, "--duration", "0.9")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["sit", "0000"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "prompts.jsonl:1: no JSON"),
        ("3", "prompts.jsonl:1: expected a prompt"),
        ('{"prompt": "a", "speed": 1}', "unknown key speed"),
        ('{"prompt": "a", "name": "../a"}', "is no file name"),
        ('"a"\n{"prompt": "a", "name": "0000"}', "prompts.jsonl:2: name '0000' is taken"),
        ('{"prompt": "a", "seed": -1}', "seed -1"),
        ('{"prompt": "a", "seconds": -1}', "duration"),
        ("", "holds no prompt"),
    ],
)
def test_refuses_a_bad_list_before_anything_is_made(
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(line)
    folder = tmp_path / "out"
    code, _, err = gen(capsys, "--batch", path, "-o", folder, "--bundle", tiny_bundle)
    assert code == 1
    assert message in err
    assert not folder.exists()


def test_presets_choose_solver_and_steps(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["gen", "walk", "--bundle", str(tiny_bundle), "--json", "-o", str(tmp_path / "a")]
    main([*common, "--preset", "fast", "--duration", "0.5"])
    summary = json.loads(capsys.readouterr().out)
    fast = PRESETS["fast"]
    assert (summary["solver"], summary["num_steps"]) == (fast.solver, fast.num_steps)
    main([*common, "--preset", "exact", "--duration", "0.5", "--diffusion-steps", "3"])
    summary = json.loads(capsys.readouterr().out)
    assert (summary["solver"], summary["num_steps"]) == ("ddim", 3)
    assert gen(capsys, *common[1:], "--preset", "quick")[0] == 1
