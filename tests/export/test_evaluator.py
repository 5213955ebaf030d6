import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from evaluator_files import WORDS, tiny_evaluator, write_data, write_evaluator

from motionrt.cli.main import cli
from motionrt.export.readers.humanml_evaluator import read_evaluator
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.evaluator.dataset import read_clips
from motionrt.runtime.evaluator.pipeline import Evaluator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator.load(tiny_evaluator(), backend="cpu")


def test_embeddings_are_those_of_the_networks(evaluator: Evaluator, tmp_path: Path) -> None:
    read = read_evaluator(*write_evaluator(tmp_path))
    texts = [("a/DET", "person/NOUN", "walk/VERB", "slowly/ADV"), ("run/VERB",)]
    words, parts, lengths = (torch.from_numpy(a) for a in evaluator.words.encode(texts))
    with torch.no_grad():
        wanted = read.text.encode(words, parts, lengths).numpy()
    np.testing.assert_allclose(evaluator.encode_texts(texts), wanted, atol=1e-5)
    clips = read_clips(write_data(tmp_path / "data", 5))
    rows = [clip.features for clip in clips]
    found = evaluator.encode_motions(rows)
    for row, embedding in zip(rows, found, strict=True):
        # As upstream pads: nought after the features are normalised, to 196 frames.
        padded = np.zeros((1, 196, 263), np.float32)
        padded[0, : len(row)] = (row - read.mean) / read.std
        with torch.no_grad():
            tokens = read.movements(torch.from_numpy(padded[..., :-4]))
            alone = read.motions(tokens, torch.tensor([len(row) // 4]))[0].numpy()
        np.testing.assert_allclose(embedding, alone, atol=1e-4)
    assert evaluator.encode_texts([]).shape == (0, 20)
    with pytest.raises(InputError, match="takes 4 to 196"):
        evaluator.encode_motions([np.zeros((200, 263))])
    with pytest.raises(InputError, match="judges motions and makes none"):
        evaluator.generate("walk", 1.0)


def test_the_command_judges_a_bundle_beside_the_data(bundle: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 34)
    command = ["evaluate", str(bundle), "--data", str(data), "--evaluator", str(tiny_evaluator())]
    command += ["--steps", "2", "--modality-texts", "2", "--modality-samples", "2", "--json"]
    run = CliRunner()
    told = json.loads(run.invoke(cli, command, catch_exceptions=False).output)
    assert told["clips"] == 34
    assert set(told["bundle"]) - set(told["real"]) == {"multimodality"}
    assert told["real"]["fid"]["mean"] == pytest.approx(0, abs=1e-6)
    assert told["bundle"]["fid"]["mean"] > 1e-4
    for figure in told["bundle"].values():
        assert np.isfinite(figure["mean"])
    again = json.loads(run.invoke(cli, command, catch_exceptions=False).output)
    assert again == told
    alone = run.invoke(cli, ["evaluate", *command[2:6], "--repeats", "3"])
    assert alone.exit_code == 0 and "r_precision_1" in alone.output and "±" in alone.output
    few = run.invoke(cli, ["evaluate", *command[2:6], "--limit", "10"])
    assert isinstance(few.exception, InputError) and "32 are the fewest" in str(few.exception)
    none = run.invoke(cli, ["evaluate", "--data", str(data), "--evaluator", str(bundle)])
    assert isinstance(none.exception, InputError) and "judges nothing; make one" in str(
        none.exception
    )
    served = run.invoke(cli, ["serve", str(tiny_evaluator()), "--port", "0"])
    assert isinstance(served.exception, InputError) and "makes no motions" in str(served.exception)
    assert run.invoke(cli, ["evaluate", "--data", str(data)]).exit_code == 2
    assert run.invoke(cli, ["evaluate", "--data", str(data), "--captions"]).exit_code == 2


def test_captions_are_judged(motiongpt3_bundle: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", 4)
    command = ["evaluate", str(motiongpt3_bundle), "--data", str(data), "--captions"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:]] == [
        "bleu_1", "bleu_4", "rouge_l", "cider",
    ]  # fmt: skip


def test_what_is_no_evaluator_is_one_line(tmp_path: Path) -> None:
    checkpoint, meta, glove = write_evaluator(tmp_path)
    state = torch.load(checkpoint, weights_only=True)
    numbers = {word: row for row, word in enumerate(WORDS)}
    (glove / "our_vab_idx.pkl").write_bytes(pickle.dumps({**numbers, "walk": 99}))
    with pytest.raises(CheckpointError, match="walk has no vector"):
        read_evaluator(checkpoint, meta, glove)
    (glove / "our_vab_idx.pkl").unlink()
    with pytest.raises(CheckpointError, match=r"has no our_vab_idx\.pkl"):
        read_evaluator(checkpoint, meta, glove)
    (meta / "mean.npy").unlink()
    with pytest.raises(CheckpointError, match=r"has no mean\.npy or mean_eval\.npy"):
        read_evaluator(checkpoint, meta, glove)
    torch.save({**state, "motion_encoder": 3}, checkpoint)
    with pytest.raises(CheckpointError, match="has no motion_encoder"):
        read_evaluator(checkpoint, meta, glove)
