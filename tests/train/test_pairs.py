import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from places import DATA
from safetensors.numpy import save_file

from motionrt.runtime.errors import InputError
from motionrt.train.pairs import FOLDERS, Pairs, read_pairs, read_texts, split_pairs


def _rows(count: int, *shape: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(sum(shape))
    return generator.normal(size=(count, *shape)).astype(np.float32)


def _listed(root: Path) -> Path:
    """Write a data set that lists its pairs, with a split of its own."""
    for part, count in (("train", 6), ("val", 3)):
        lines = []
        for kind in ("vl", "text"):
            (root / part / "embeddings" / kind).mkdir(parents=True)
        for i in range(count):
            entry = {"image_path": f"{part}-{i}.png", "caption": "x"}
            for kind, width in (("vl", 8), ("text", 6)):
                name = f"embeddings/{kind}/{i:05d}.pt"
                torch.save(torch.randn(64, width), root / part / name)
                entry[f"{kind}_emb_path"] = name
            lines.append(json.dumps(entry))
        (root / part / "pairs.jsonl").write_text("\n".join(lines))
    return root


def _folders(root: Path, count: int = 8) -> Path:
    """Write a data set of two folders; sequences are longer and shorter than 64 rows."""
    for name, width in (("vl_embeddings", 8), ("embeddings", 6)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            torch.save(torch.randn(50 + 5 * i, width), root / name / f"{i:05d}.pt")
    lines = [json.dumps({"id": i, "prompt": f"walk {i // 2}"}) for i in range(count)]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return root


def test_a_listed_data_set_keeps_its_split(tmp_path: Path) -> None:
    pairs = read_pairs(_listed(tmp_path))
    assert pairs.x.shape == (9, 64, 8)
    assert pairs.y.shape == (9, 64, 6)
    split = split_pairs(pairs, seed=1)
    assert list(split.train) == [0, 1, 2, 3, 4, 5]
    assert list(split.validation) == [6, 7, 8]


def test_two_folders_are_matched_and_brought_to_one_length(tmp_path: Path) -> None:
    pairs = read_pairs(_folders(tmp_path))
    assert pairs.x.shape == (8, 64, 8)
    assert pairs.groups[0] == pairs.groups[1] == "Walk 0."
    assert pairs.mask is not None
    assert list(pairs.mask[:2].sum(1)) == [50, 55]
    x, y = pairs.flat()
    assert len(x) == len(y) == 50 + 55 + 60 + 5 * 64


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_one_file_of_both_arrays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs{suffix}"
    arrays: dict[str, Any] = {"student": _rows(10, 4), "teacher": _rows(10, 5)}
    np.savez(path, **arrays) if suffix == ".npz" else save_file(arrays, path)
    pairs = read_pairs(path)
    np.testing.assert_array_equal(pairs.x, arrays["student"])
    np.testing.assert_array_equal(pairs.y, arrays["teacher"])


def test_two_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _rows(10, 4).astype(np.float64))
    torch.save(torch.from_numpy(_rows(10, 5)), tmp_path / "y.pt")
    pairs = read_pairs(tmp_path / "x.npy", tmp_path / "y.pt")
    assert pairs.x.dtype == pairs.y.dtype == np.float32


def test_a_pair_without_its_partner_is_named(tmp_path: Path) -> None:
    (_folders(tmp_path) / "embeddings" / "00003.pt").unlink()
    with pytest.raises(InputError, match="00003 has no partner in embeddings"):
        read_pairs(tmp_path)


def test_other_widths_and_nan_are_named(tmp_path: Path) -> None:
    folder = _folders(tmp_path / "a") / "embeddings"
    torch.save(torch.randn(64, 7), folder / "00005.pt")
    with pytest.raises(InputError, match=r"target of 00005 is \[64, 7\]"):
        read_pairs(tmp_path / "a")
    torch.save(torch.full((64, 6), float("nan")), folder / "00005.pt")
    with pytest.raises(InputError, match="target of 00005 is not finite"):
        read_pairs(tmp_path / "a")


def test_one_pair_in_both_parts_is_named(tmp_path: Path) -> None:
    listing = _listed(tmp_path) / "val" / "pairs.jsonl"
    listing.write_text(listing.read_text().replace("val-1.png", "train-1.png"))
    with pytest.raises(InputError, match=r"train-1\.png is there both in training and in"):
        read_pairs(tmp_path)


def _plain(root: Path, names: tuple[str, str], count: int = 6) -> Path:
    for name, width in zip(names, (8, 6), strict=True):
        (root / name).mkdir(parents=True)
        for i in range(count):
            np.save(root / name / f"{i:05d}.npy", _rows(40 + i, width))
    return root


def test_folders_need_no_listing(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3)):
        _plain(tmp_path / part, ("embeddings/vl", "embeddings/text"), count)
    pairs = read_pairs(tmp_path)
    assert pairs.parts == ("train",) * 6 + ("val",) * 3
    assert pairs.ids[0] == "train/00000"
    assert pairs.ids[-1] == "val/00002"
    assert list(split_pairs(pairs).validation) == [6, 7, 8]


@pytest.mark.parametrize("names", FOLDERS)
@pytest.mark.parametrize("part", ["", "train"])
def test_folders_of_every_name_are_matched(
    names: tuple[str, str], part: str, tmp_path: Path
) -> None:
    _plain(tmp_path / part, names)
    pairs = read_pairs(tmp_path)
    assert (pairs.x.shape, pairs.y.shape, pairs.parts) == ((6, 64, 8), (6, 64, 6), ())


def test_a_folder_of_neither_layout_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "train" / "pictures").mkdir(parents=True)
    with pytest.raises(InputError, match="embeddings/vl and embeddings/text"):
        read_pairs(tmp_path)


def test_captions_of_one_image_stay_together(tmp_path: Path) -> None:
    root = _listed(tmp_path / "own")
    for part in ("train", "val"):
        listing = root / part / "pairs.jsonl"
        entries = [json.loads(line) for line in listing.read_text().splitlines()]
        for i, entry in enumerate(entries):
            entry |= {"image_path": f"{part}-{i // 3}.png", "caption": f"{part} {i}"}
        listing.write_text("\n".join(map(json.dumps, entries)))
    pairs = read_pairs(root)
    assert pairs.ids[:4] == ("train-0.png", "train-0.png#2", "train-0.png#3", "train-1.png")
    assert len(set(pairs.ids)) == 9
    assert len(set(pairs.groups)) == 3
    root = _folders(tmp_path / "plain", 12)
    said = [
        {"id": i, "image": f"{i // 3}.png", "caption": "a chair" if i in (2, 3) else f"{i}"}
        for i in range(12)
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, said)))
    pairs = read_pairs(root)
    # Images 0 and 1 share a caption: their six pairs are one group.
    assert [pairs.groups.count(group) for group in dict.fromkeys(pairs.groups)] == [6, 3, 3]
    split = split_pairs(pairs, shares=(0.3, 0.0))
    for rows in (split.train, split.validation):
        assert len(rows) in (3, 6, 9)


def test_an_image_on_both_sides_is_named(tmp_path: Path) -> None:
    for part in ("train", "val"):
        root = _plain(tmp_path / part, ("vl", "text"))
        (root / "captions.jsonl").write_text(json.dumps({"id": 1, "image": "same.png"}))
    with pytest.raises(InputError, match=r"same\.png is there both in training and"):
        read_pairs(tmp_path)


def test_a_split_of_its_own_is_halved_by_groups() -> None:
    ids = tuple(str(i) for i in range(60))
    groups = tuple(str(i // 6) for i in range(60))
    parts = ("train",) * 30 + ("val",) * 30
    pairs = Pairs(ids, _rows(60, 4), _rows(60, 5), groups, parts)
    split = split_pairs(pairs)
    sides = [{groups[i] for i in part} for part in (split.validation, split.test)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_masks_say_what_is_a_token(tmp_path: Path) -> None:
    x, y = _rows(6, 8, 4), _rows(6, 8, 5)
    x_mask, y_mask = np.arange(8) < 5, np.arange(8) < 6
    masks: dict[str, Any] = {
        "x_mask": np.tile(x_mask, (6, 1)), "y_mask": np.tile(y_mask, (6, 1)).astype(np.int64),
    }  # fmt: skip
    np.savez(tmp_path / "pairs.npz", x=x, y=y, **masks)
    pairs = read_pairs(tmp_path / "pairs.npz")
    assert len(pairs.flat()[0]) == 6 * 5
    assert list(pairs.flat_groups()[:6]) == [0] * 5 + [1]
    x[:, 5:] = 1e4  # what is hidden does not count, not even as another data set
    np.savez(tmp_path / "other.npz", x=x, y=y, **masks)
    assert read_pairs(tmp_path / "other.npz").content_hash == pairs.content_hash
    for name, mask, message in (
        ("x_mask", np.ones((6, 7), bool), "mask of inputs is"),
        ("y_mask", np.zeros((6, 8), bool), "hides all of the target of 0"),
        ("x_mask", np.ones((6, 8)), "x_mask is float64"),
    ):
        np.savez(tmp_path / "bad.npz", x=x, y=y, **{**masks, name: mask})
        with pytest.raises(InputError, match=message):
            read_pairs(tmp_path / "bad.npz")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    folder = _folders(tmp_path) / "embeddings"
    torch.save(Attack(), folder / "00002.pt")
    with pytest.raises(InputError, match="was not loaded"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "3", '{"vl_emb_path": 3, "text_emb_path": 4}', "{}"]
)
def test_a_listing_that_lists_nothing_is_one_line(tmp_path: Path, line: str) -> None:
    (_listed(tmp_path) / "val" / "pairs.jsonl").write_text(line)
    with pytest.raises(InputError, match=r"pairs\.jsonl: line 1"):
        read_pairs(tmp_path)


def test_half_a_character_in_a_name_is_one_line(tmp_path: Path) -> None:
    listing = _listed(tmp_path) / "val" / "pairs.jsonl"
    listing.write_text(listing.read_text().replace("val-1.png", r"\ud800"))
    with pytest.raises(InputError, match="a name holds half a character"):
        read_pairs(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "../" * 50, "nothing.npy"])
def test_files_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    entry = {"vl_emb_path": name, "text_emb_path": name}
    (_listed(tmp_path) / "val" / "pairs.jsonl").write_text(json.dumps(entry))
    with pytest.raises(InputError, match="is not in the data set"):
        read_pairs(tmp_path)


def test_a_listing_that_names_one_file_over_and_over_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    np.save(tmp_path / "a.npy", _rows(1, 1 << 18))
    entry = {"vl_emb_path": "a.npy", "text_emb_path": "a.npy"}
    lines = [json.dumps({**entry, "image_path": str(i)}) for i in range(1000)]
    (tmp_path / "train" / "pairs.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line \d+: it names the same files over and over"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(()), "y": np.zeros(())}, "expected one row a pair"),
        ({"x": np.zeros((4, 0)), "y": np.zeros((4, 0))}, "expected one row a pair"),
        ({"x": _rows(4, 2), "y": _rows(4, 2), "ids": np.zeros(())}, "ids are float64"),
        (
            {"x": _rows(4, 2), "y": _rows(4, 2), "ids": np.array(["\ud800", *"abc"])},
            "characters that there are",
        ),
        (
            {"x": _rows(4, 2), "y": _rows(4, 2), "ids": np.full(4, 1 << 30, "<u4").view("<U1")},
            "characters that there are not",
        ),
        ({"x": np.full((4, 2), 1e300), "y": _rows(4, 2)}, "the input of 0 is not finite"),
    ],
)
def test_arrays_that_are_no_pairs_are_one_line(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(InputError, match=message) as refusal:
        read_pairs(tmp_path / "p.npz")
    assert str(refusal.value).isprintable()


def test_files_outside_the_data_set_are_refused(tmp_path: Path) -> None:
    listing = _listed(tmp_path / "set") / "val" / "pairs.jsonl"
    torch.save(torch.randn(64, 8), tmp_path / "00000.pt")
    listing.write_text(listing.read_text().replace("embeddings/vl/00000", "../../00000"))
    with pytest.raises(InputError, match="is not in the data set"):
        read_pairs(tmp_path / "set")


def test_a_broken_encoder_is_seen() -> None:
    ids = tuple(str(i) for i in range(8))
    nearly_one = np.ones((8, 5), np.float32) + np.float32(1e-3) * _rows(8, 5)
    with pytest.raises(InputError, match="inputs hardly differ"):
        Pairs(ids, nearly_one, _rows(8, 4), ids)
    with pytest.raises(InputError, match="targets are all the same"):
        Pairs(ids, _rows(8, 5), np.ones((8, 4), np.float32), ids)


def test_groups_are_not_split() -> None:
    ids = tuple(str(i) for i in range(40))
    pairs = Pairs(ids, _rows(40, 4), _rows(40, 5), tuple(str(i // 4) for i in range(40)))
    split = split_pairs(pairs, seed=3, shares=(0.2, 0.2))
    parts = [{pairs.groups[i] for i in part} for part in split.__dict__.values()]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sum(len(part) for part in split.__dict__.values()) == 40
    again = split_pairs(pairs, seed=3, shares=(0.2, 0.2))
    np.testing.assert_array_equal(split.test, again.test)


def test_texts_come_cleaned_and_once(tmp_path: Path) -> None:
    plain = tmp_path / "texts.txt"
    plain.write_text("walk\nWALK.\n# no\nrun\n")
    assert read_texts(plain) == [("Walk.", "Walk."), ("Run.", "Run.")]
    listed = tmp_path / "texts.jsonl"
    listed.write_text('{"text": "walk", "group": "gait"}\n{"prompt": "run"}\n')
    assert read_texts(listed) == [("Walk.", "gait"), ("Run.", "Run.")]
    listed.write_text("[1]\n")
    with pytest.raises(InputError, match="line 1"):
        read_texts(listed)


@pytest.mark.parametrize("name", ["pairs-3aff7bc6", "pairs-68db6fa3", "pairs-80619670"])
def test_hostile_archives_are_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.npz"
    path.write_bytes((DATA / "field" / "hostile" / f"{name}.input").read_bytes())
    with pytest.raises(InputError, match=name) as caught:
        read_pairs(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_git_lfs_pointer_is_said_to_be_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pairs.{suffix}"
    path.write_bytes((DATA / "field" / "lfs_pointer" / "walk.npy").read_bytes())
    with pytest.raises(InputError, match="Git LFS pointer"):
        read_pairs(path)
