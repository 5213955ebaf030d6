from pathlib import Path

import numpy as np
import pytest
from evaluator_files import write_data

from motionrt.runtime.errors import InputError
from motionrt.runtime.evaluator.dataset import read_clips


def test_clips_come_with_all_that_is_said_of_them(tmp_path: Path) -> None:
    clips = read_clips(write_data(tmp_path / "data", 6))
    assert [clip.name for clip in clips] == [f"{i:06d}" for i in range(6)]
    assert [len(clip.features) for clip in clips] == [44, 44, 44, 44, 48, 48]
    assert [said.caption for said in clips[0].descriptions] == ["a person runs left.", "runing"]
    assert clips[1].descriptions[1].tokens == ("walk/VERB",)


def test_a_description_of_a_part_is_a_clip_of_its_own(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", 3)
    features = np.zeros((160, 263), np.float32)
    np.save(root / "new_joint_vecs" / "000000.npy", features)
    text = root / "texts" / "000000.txt"
    text.write_text(text.read_text() + "\nturns#turn/VERB#1.0#4.0\nshort#a/DET#0.0#1.0\nx##nan#nan")
    clips = read_clips(root)
    assert [(clip.name, len(clip.features)) for clip in clips[:2]] == [
        ("000000", 160), ("000000:3", 60),
    ]  # fmt: skip
    assert len(clips[0].descriptions) == 3 and clips[0].descriptions[2].tokens == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test.txt", "../a", "is no name of a file"),
        ("test.txt", "999999", "no clips of test.txt"),
        ("texts/000000.txt", "a walk", "line 1: expected caption#words#start#end"),
        ("texts/000000.txt", "a#walk#0#0", "walk has no part of speech"),
        ("texts/000000.txt", "a#a/DET#3#1", "is no part of a motion"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    root = write_data(tmp_path / "data", 2)
    (root / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_clips(root)


def test_motions_of_other_features_are_refused(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", 2)
    np.save(root / "new_joint_vecs" / "000000.npy", np.zeros((80, 251), np.float32))
    with pytest.raises(InputError, match="expected features"):
        read_clips(root)
    with pytest.raises(InputError, match=r"train\.txt: cannot be read"):
        read_clips(root, "train")
