"""What a request may ask for, in whatever way it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

import motionrt
from motionrt.runtime.errors import InputError
from motionrt.runtime.request import MAX_PROMPT_LETTERS, Request

PEAK = """
import motionrt, sys
samples, frames, chain = map(int, sys.argv[1:])
pipeline = motionrt.load()

def peak():
    rows = open("/proc/self/status").read().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))

pipeline.generate("walk", num_frames=10, seed=1, num_steps=1)
before = peak()
asked = {"num_frames": frames, "num_samples": samples, "chain": bool(chain)}
pipeline.generate_many("walk", seed=1, num_steps=1, **asked)
print(peak() - before)
"""


@pytest.fixture(scope="module")
def pipeline() -> motionrt.Pipeline:
    return motionrt.load()


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize(
    ("samples", "frames", "chain"), [(16, 200, 0), (1, 1600, 0), (16, 400, 1), (2, 3000, 1)]
)
def test_the_estimate_is_near_what_is_taken(
    samples: int, frames: int, chain: int, pipeline: motionrt.Pipeline
) -> None:
    command = [sys.executable, "-c", PEAK, str(samples), str(frames), str(chain)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    request = Request.make(
        pipeline.family,
        "walk",
        num_frames=frames,
        num_samples=samples,
        options={"chain": bool(chain)},
    )
    estimate = pipeline.memory_of(request, [frames])
    assert 0.85 < estimate / int(done.stdout) < 1.35


def test_samples_drawn_one_by_one_take_less(pipeline: motionrt.Pipeline) -> None:
    together, apart, nocfg = (
        pipeline.memory_of(
            Request.make(pipeline.family, "walk", num_samples=100, sample_seeds=each, **more),  # type: ignore[arg-type]
            [100],
        )
        for each, more in (
            (False, {}),
            (True, {}),
            (False, {"options": {"guidance_type": "nocfg"}}),
        )
    )
    assert apart < nocfg < together


def test_more_than_the_machine_has_is_refused_before_it_is_begun(
    pipeline: motionrt.Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("motionrt.runtime.pipeline.room", lambda: 200_000_000)
    said = r"^40 samples of 5\.0 s would take about 0\.3 GB of memory, 0\.2 GB can be had here: "
    said += r"at most 2\d samples fit at once$"
    with pytest.raises(InputError, match=said):
        pipeline.generate_many("walk", num_samples=40)
    with pytest.raises(InputError, match=r"^240\.0 s would take .*: ask for shorter motions, or"):
        pipeline.generate("walk", 240, chain=False)
    words = ["gen", "walk", "--num-samples", 40, "-o", tmp_path / "a"]
    assert run(capsys, *words)[0] == 1
    listed = tmp_path / "list.jsonl"
    listed.write_text('{"prompt": "walk"}\n{"prompt": "walk", "num_samples": 40, "name": "b"}\n')
    code, _, err = run(capsys, "gen", "--batch", listed, "-o", tmp_path / "made")
    assert code == 1 and err.startswith("Error: b: 40 samples of 5.0 s would take about 0.3 GB")
    assert not (tmp_path / "made").exists()
    monkeypatch.setattr("motionrt.runtime.pipeline.room", lambda: None)
    request = Request.make(pipeline.family, "walk", num_samples=10**9)
    assert pipeline.frames_of(request) == [100]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--num-samples", 10**9], "1000000000 samples of 5.0 s would take about "),
        (["--num-samples", 10**400], f"1{'0' * 400} samples: must be from 1 to 4294967295"),
        (["--duration", "1e308"], "duration 1e+308 s: "),
        (["--fps", "1e9"], "1e+09 fps would make 4950000000 frames of 5.0 s, more than 1000000: "),
        (["--fps", "inf"], "fps is inf, it must be a number above zero"),
        (["--threads", 10**6], "1000000 threads: at most "),
    ],
)
def test_limits_state_themselves(
    words: list[object], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, "gen", "walk", "-o", tmp_path / "a", *words)
    assert (code, out) == (1, "") and err.startswith(f"Error: {said}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_prompt_is_a_text_of_bounded_length(pipeline: motionrt.Pipeline) -> None:
    for prompt in ("walk \ud800", "walk \udcff b"):
        with pytest.raises(InputError, match=r"^prompt holds \\u(d800|dcff), which is no letter"):
            pipeline.generate(prompt)
    long = "a" * 10_000_000
    with pytest.raises(InputError, match=f"letters: at most {MAX_PROMPT_LETTERS}; describe one"):
        pipeline.generate(long)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"prompt": "walk", "constraints": "a\0b"}, "a\\x00b' is no path, it holds a zero byte"),
        ({"prompt": "walk", "continue_from": "\ud800"}, "\\ud800' is no path (surrogates"),
        ({"prompt": "walk", "name": "a\0b"}, "name 'a\\x00b' is no file name"),
        ({"prompt": "walk", "a\x1b[31m\n": 1}, "unknown key a\\x1b[31m "),
        ({"prompt": "walk", "seconds": 10**400}, "seconds: "),
        ("[" * 100_000, "no JSON (maximum recursion depth exceeded"),
        ('{"prompt": 1' + "0" * 5000 + "}", "no JSON (Exceeds the limit"),
    ],
)
def test_a_line_that_no_program_writes_is_one_line(
    line: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.jsonl"
    listed.write_text(line if isinstance(line, str) else json.dumps(line))
    code, _, err = run(capsys, "gen", "--batch", listed, "-o", tmp_path / "made")
    assert code == 1 and err.startswith(f"Error: {listed}:1: ") and said in err, err
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="locales of POSIX")
def test_a_prompt_is_utf_8_where_the_locale_is_ascii(tmp_path: Path) -> None:
    code = "import sys; from motionrt.cli._flags import prompt_text\n"
    code += "print(ascii(prompt_text(sys.argv[1])))"
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, "vorw\u00e4rts"],
        env={**settings, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "'vorw\\xe4rts'\n"
