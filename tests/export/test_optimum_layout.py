from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from text_checkpoints import write_decoder

from motionrt.cli.main import cli
from motionrt.export.optimum_layout import write_optimum_layout
from motionrt.export.readers.weights import Weights
from motionrt.export.text_encoder import read_text_encoder
from motionrt.runtime.errors import InputError

pytestmark = pytest.mark.slow


def test_hidden_states_are_those_of_transformers(tmp_path: Path) -> None:
    import transformers

    model = write_decoder(tmp_path / "qwen", "qwen3")
    write_optimum_layout(read_text_encoder(model), tmp_path / "onnx")
    names = sorted(path.name for path in (tmp_path / "onnx").iterdir())
    assert names == ["config.json", "model.onnx", "model.weights", "tokenizer.json"]
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    assert [value.name for value in session.get_inputs()] == ["input_ids", "attention_mask"]
    library: object = transformers
    reference = library.AutoModel.from_pretrained(model).eval()  # type: ignore[attr-defined]
    ids = np.random.default_rng(0).integers(0, 256, (3, 9))
    mask = np.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        wanted = reference(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state
    (found,) = session.run(["last_hidden_state"], {"input_ids": ids, "attention_mask": mask})
    shown = mask.astype(bool)
    np.testing.assert_allclose(found[shown], wanted.numpy()[shown], atol=1e-4)
    with pytest.raises(InputError):
        write_optimum_layout(read_text_encoder(model), tmp_path / "onnx")


def test_one_that_is_too_large_to_hold_is_written_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_text_encoder(write_decoder(tmp_path / "qwen", "qwen3"))
    write_optimum_layout(source, tmp_path / "held")
    monkeypatch.setattr("motionrt.export.optimum_layout.LARGE_BYTES", 1)
    monkeypatch.setattr(Weights, "fill", None)  # nothing is loaded whole
    write_optimum_layout(source, tmp_path / "streamed")
    for name in ("model.onnx", "model.weights"):
        assert (tmp_path / "held" / name).read_bytes() == (
            tmp_path / "streamed" / name
        ).read_bytes()


def test_export_writes_it_beside_the_bundle(
    smplx_checkpoint: Path, tiny_encoder: tuple[Path, Path], tmp_path: Path
) -> None:
    command = ["export", "kimodo", str(smplx_checkpoint), "--licence", "none", "--quiet", "-o"]
    command += [str(tmp_path / "bundle"), "--optimum-layout", str(tmp_path / "onnx")]
    run = CliRunner()
    encoder = ["--text-encoder", str(tiny_encoder[0]), "--projector", str(tiny_encoder[1])]
    assert run.invoke(cli, [*command, *encoder], catch_exceptions=False).exit_code == 0
    assert (tmp_path / "onnx" / "model.onnx").is_file()
    refused = run.invoke(cli, [*command, "--no-text-encoder", "--force"])
    assert refused.exit_code == 2 and "--optimum-layout goes with" in refused.output
