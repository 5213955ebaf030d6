import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from motionrt.cli.main import cli
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.train.image_pairs import ImagePairOptions, embed_image_pairs, read_captioned
from motionrt.train.pairs import read_embedding, read_pairs, split_pairs
from motionrt.train.projector import ProjectorOptions, train_projector

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")


def _tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen3-VL and a Qwen3 of a few random layers."""
    import transformers as library

    transformers: Any = library
    folder = tmp_path_factory.mktemp("models")
    vl, text = folder / "vl", folder / "text"
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": 300,
    }
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    marks = {
        "vision_start_token_id": 258,
        "vision_end_token_id": 259,
        "image_token_id": 260,
        "video_token_id": 261,
    }
    torch.manual_seed(0)
    config = transformers.Qwen3VLConfig(
        text_config={**small, "rope_scaling": rope}, vision_config=vision, **marks
    )
    transformers.Qwen3VLModel(config).save_pretrained(vl)
    plain = transformers.Qwen3Config(**{**small, "hidden_size": 24})
    transformers.Qwen3Model(plain).save_pretrained(text)
    picture = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 1024, "longest_edge": 4096},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (vl / "preprocessor_config.json").write_text(json.dumps(picture))
    for model in (vl, text):
        _tokenizer(model)
    return vl, text


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(6):
        pixels = generator.integers(0, 255, (40, 60 + 10 * i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"picture {i}\nthe same, number {i}\n")
    return folder


def test_listings_of_every_kind_say_the_same(photos: Path, tmp_path: Path) -> None:
    beside = read_captioned(photos)
    assert [(pair.name, pair.caption) for pair in beside[:3]] == [
        ("0.png", "picture 0"), ("0.png", "the same, number 0"), ("1.png", "picture 1"),
    ]  # fmt: skip
    lines = [
        {"image": f"{i}.png", "captions": [f"picture {i}", f"the same, number {i}"]}
        for i in range(6)
    ]
    (photos / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read_captioned(photos) == beside
    rows = [f'{pair.name},"{pair.caption}"' for pair in beside]
    (photos / "list.csv").write_text("\n".join(("image,caption", *rows)))
    assert read_captioned(photos / "list.csv") == beside


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "entry 1 has no image and caption"),
        ('{"image": "0.png"}', "entry 1 has no image and caption"),
        ('{"image": "0.png", "captions": ["a", 3]}', "entry 1 has no image and caption"),
        ('{"image": "../0.png", "caption": "a"}', "is not in its folder"),
        ('{"image": "a\\u0000b", "caption": "a"}', "is not in its folder"),
    ],
)
def test_entries_that_are_none_are_named(photos: Path, line: str, message: str) -> None:
    (photos / "captions.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_captioned(photos)


@pytest.mark.slow
def test_pairs_are_embedded_and_trained_on(
    encoders: tuple[Path, Path], photos: Path, tmp_path: Path
) -> None:
    vl, text = encoders
    out = tmp_path / "set"
    command = ["embed-pairs", str(photos), "--vl", str(vl), "--text", str(text), "-o", str(out)]
    command += ["--vl-layer", "-2", "--validation", "0.4", "--scale-to-text"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "8 pairs to train on, 4 held out, inputs scaled by" in result.output
    pairs = read_pairs(out)
    # The image's tokens are left out: each that is left has its own target.
    np.testing.assert_array_equal(pairs.x_mask, pairs.y_mask)
    assert pairs.x.shape == (12, 64, 32) and pairs.y.shape == (12, 64, 24)
    spreads = [pairs.x[pairs.x_mask].std(), pairs.y[pairs.y_mask].std()]
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-3)
    split = split_pairs(pairs)
    sides = [{pairs.groups[i] for i in part} for part in (split.train, split.validation)]
    assert not sides[0] & sides[1]
    assert train_projector(pairs, ProjectorOptions(kind="linear")).metrics.num_rows > 20
    # A run that goes on leaves what is there.
    files = sorted(out.rglob("*.pt"))
    files[3].unlink()
    before = {path: path.stat().st_mtime_ns for path in files if path.exists()}
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files[3].exists()
    result = CliRunner().invoke(cli, [*command, "--vl-layer", "-1"])
    assert "holds pairs of other settings" in str(result.exception)


@pytest.mark.slow
def test_hidden_states_are_the_models_own(
    encoders: tuple[Path, Path], photos: Path, tmp_path: Path
) -> None:
    import transformers as library

    transformers: Any = library
    vl, text = encoders
    captioned = read_captioned(photos)[:4]
    rows = {}
    for tokens in ("text", "image", "all"):
        options = ImagePairOptions(vl_layer=1, text_layer=-1, tokens=tokens)
        embed_image_pairs(captioned, vl, text, tmp_path / tokens, options, 0)
        rows[tokens] = read_embedding(tmp_path / tokens / "train/embeddings/vl/00000.pt")
    assert len(rows["text"]) + len(rows["image"]) == len(rows["all"])
    ids = [256, *b"user\n", *b"picture 0", 257, *b"\n", 256, *b"assistant\n"]
    # The byte-level alphabet is sorted by its letters, not by its bytes.
    tokenizer = Tokenizer.from_file(str(text / "tokenizer.json"))
    told = tokenizer.encode("<|im_start|>user\npicture 0<|im_end|>\n<|im_start|>assistant\n").ids
    assert len(told) == len(ids)
    model = transformers.Qwen3Model.from_pretrained(text).eval()
    with torch.no_grad():
        wanted = model(torch.tensor([told])).last_hidden_state[0]
    found = read_embedding(tmp_path / "all" / "train/embeddings/text/00000.pt")
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.mark.slow
def test_what_does_not_fit_is_one_line(
    encoders: tuple[Path, Path], photos: Path, tmp_path: Path
) -> None:
    vl, text = encoders
    captioned = read_captioned(photos)

    def embed(seeing: Path, reading: Path, **changes: Any) -> None:
        options = ImagePairOptions(**{"vl_layer": -1, **changes})
        embed_image_pairs(captioned, seeing, reading, tmp_path / os.urandom(4).hex(), options)

    with pytest.raises(CheckpointError, match="expected a model that sees"):
        embed(text, text)
    with pytest.raises(InputError, match="0 to 3, 9 is none; choose with --vl-layer"):
        embed(vl, text, vl_layer=9)
    with pytest.raises(InputError, match="0 to 3, -5 is none; choose with --text-layer"):
        embed(vl, text, text_layer=-5)
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".pt", ".json")]
    with pytest.raises(InputError, match="tokens 'words'"):
        embed(vl, text, tokens="words")
    (photos / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0\.png: no image"):
        embed(vl, text)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no tokenizer"):
        embed(vl, tmp_path / "empty")
