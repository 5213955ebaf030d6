from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.files import to_json, write_constraints
from motionrt.runtime.constraints.kinds import Root2D, constraint_from_motion
from motionrt.runtime.errors import InputError, MotionWarning
from motionrt.runtime.kimodo.pipeline import KimodoPipeline

QUICK: dict[str, Any] = {"seed": 3, "num_steps": 3}


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> KimodoPipeline:
    return KimodoPipeline.load(bundle, backend="cpu")


def test_one_prompt_is_the_same_alone_and_as_a_sequence(pipeline: KimodoPipeline) -> None:
    alone = pipeline.generate("a person walks", 1.0, **QUICK)
    sequence = pipeline.generate(["a person walks"], 1.0, **QUICK)
    np.testing.assert_allclose(alone.posed_joints, sequence.posed_joints, atol=1e-5)
    assert alone.info["compat"] == "2026-03" and alone.info["postprocess"]
    assert sequence.info["segments"] == [{"prompt": "a person walks", "num_frames": 20}]


def test_several_prompts_are_one_motion(pipeline: KimodoPipeline) -> None:
    prompts, frames = ["walk", "jump", ""], [20, 25, 30]
    motion = pipeline.generate(prompts, num_frames=frames, **QUICK)
    assert motion.num_frames == 75
    assert [segment["num_frames"] for segment in motion.info["segments"]] == frames
    motions = pipeline.generate_many(
        prompts, num_frames=frames, multi_prompt=True, num_samples=2, seed=3, num_steps=3
    )
    assert [motion.info["sample"] for motion in motions] == [0, 1]
    assert not np.allclose(motions[0].posed_joints, motions[1].posed_joints)


@pytest.mark.parametrize("compat", ["2026-03", "latest"])
def test_the_revision_is_chosen_and_noted(pipeline: KimodoPipeline, compat: str) -> None:
    motion = pipeline.generate(["walk", "jump"], 1.0, compat=compat, **QUICK)
    assert motion.info["compat"] == compat
    assert np.isfinite(motion.posed_joints).all()


def test_revisions_differ_only_where_they_should(pipeline: KimodoPipeline) -> None:
    first, second = (
        pipeline.generate("walk", 1.0, compat=name, postprocess=False, **QUICK)
        for name in ("2026-03", "latest")
    )
    np.testing.assert_array_equal(first.posed_joints, second.posed_joints)
    first, second = (
        pipeline.generate(["a", "b"], 1.0, compat=name, **QUICK) for name in ("2026-03", "latest")
    )
    assert not np.allclose(first.posed_joints, second.posed_joints)


def test_full_bodies_are_met_after_clean_up(pipeline: KimodoPipeline) -> None:
    wanted = pipeline.generate("walk", 1.0, seed=9, num_steps=3, postprocess=False)
    item = constraint_from_motion(wanted, [5, 15], "fullbody")
    motion = pipeline.generate("run", 1.0, constraints=[item], **QUICK)
    rotations = wanted.local_rot_mats[[5, 15]]
    np.testing.assert_allclose(motion.local_rot_mats[[5, 15]], rotations, atol=1e-4)
    loose = pipeline.generate("run", 1.0, constraints=[item], postprocess=False, **QUICK)
    assert not np.allclose(loose.local_rot_mats[[5, 15]], rotations, atol=1e-2)
    assert motion.info["num_constraints"] == 1 and not loose.info["postprocess"]


def test_constraints_come_as_objects_dictionaries_or_a_file(
    pipeline: KimodoPipeline, tmp_path: Path
) -> None:
    item = Root2D(np.array([0, 19]), np.array([[0, 0], [1, 1]], np.float32))
    write_constraints(tmp_path / "c.json", [item])
    forms: list[Any] = [
        [item],
        [to_json(item)],
        tmp_path / "c.json",
        [[item]],
        str(tmp_path / "c.json"),
    ]
    motions = [pipeline.generate("walk", 1.0, constraints=form, **QUICK) for form in forms]
    for motion in motions[1:]:
        np.testing.assert_array_equal(motion.posed_joints, motions[0].posed_joints)
    ground = motions[0].root_positions[[0, 19]][:, ::2]
    assert np.linalg.norm(ground - [[0, 0], [1, 1]], axis=1).max() < 0.06  # the margin, nearly


def test_each_motion_can_have_its_own_constraints(pipeline: KimodoPipeline) -> None:
    items = [Root2D(np.array([19]), np.full((1, 2), x, np.float32)) for x in (-1, 1)]
    motions = pipeline.generate_many(
        ["a", "b"], num_frames=20, constraints=[[i] for i in items], **QUICK
    )
    assert motions[0].root_positions[19, 0] < -0.9 and motions[1].root_positions[19, 0] > 0.9


def test_a_clip_is_continued_from_where_it_ends(pipeline: KimodoPipeline, tmp_path: Path) -> None:
    clip = pipeline.generate("walk", 1.5, **QUICK)
    clip.save(tmp_path / "walk.npz")
    for given in (clip, tmp_path / "walk.npz"):
        longer = pipeline.generate("then jump", 1.0, continue_from=given, **QUICK)
        assert longer.num_frames == 30 + 20
        kept = 30 - 5 - 3
        np.testing.assert_array_equal(longer.posed_joints[:kept], clip.posed_joints[:kept])
        np.testing.assert_allclose(longer.posed_joints[kept], clip.posed_joints[kept], atol=1e-3)
        assert longer.info["continued_frames"] == 30
    assert clip.smooth_root_pos is not None and longer.smooth_root_pos is not None
    latest = pipeline.generate("then jump", 1.0, continue_from=clip, compat="latest", **QUICK)
    np.testing.assert_allclose(latest.posed_joints[:30], clip.posed_joints, atol=2e-3)


def test_a_frame_beyond_is_an_error_alone_and_a_note_in_a_sequence(
    pipeline: KimodoPipeline,
) -> None:
    item = Root2D(np.array([0, 40]), np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match="frame 40 is beyond the clip's 20 frames"):
        pipeline.generate("walk", 1.0, constraints=[item], **QUICK)
    motion = pipeline.generate(["walk"], 1.0, constraints=[item], **QUICK)
    assert motion.info["num_dropped_constraint_frames"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 2}, "kimodo has no option speed"),
        ({"first_heading_rad": float("nan")}, "first heading nan: must be finite"),
        ({"first_heading_rad": [0, 1, 2]}, "3 first headings for 1 motions"),
        ({"root_margin": -1}, "root margin -1"),
        ({"compat": "2025"}, "compat '2025': there are 2026-03, latest"),
        ({"num_frames": 0}, "0 frames: this model takes 1 to"),
        ({"num_frames": [1, 2]}, "2 durations for 1 prompts"),
        ({"num_frames": 10**6}, "1000000 frames"),
        ({"constraints": [3]}, "a constraint is int"),
        ({"constraints": [[], []]}, "2 lists of constraints for 1 motions"),
        ({"constraints": "none.json"}, r"none\.json: cannot be read"),
        ({"constraints": [[], Root2D(np.array([0]), np.zeros((1, 2), np.float32))]}, "not both"),
        ({"constraints": [[]], "multi_prompt": True}, "take one list of constraints"),
        ({"continue_from": "none.npz"}, r"none\.npz: no such file"),
        ({"multi_prompt": True, "num_transition_frames": 0}, "0 transition frames"),
    ],
)
def test_wrong_options_are_one_line(
    pipeline: KimodoPipeline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        pipeline.generate_many("walk", 1.0, **{**QUICK, **options})
    assert "\n" not in str(caught.value)


def test_a_motion_that_goes_on_has_a_heading(pipeline: KimodoPipeline) -> None:
    clip = pipeline.generate("walk", 0.5, **QUICK)
    with pytest.raises(InputError, match="has a heading already"):
        pipeline.generate("walk", 1.0, continue_from=clip, first_heading_rad=1, **QUICK)


def test_the_first_heading_reaches_the_network(pipeline: KimodoPipeline) -> None:
    first, second = (
        pipeline.generate("walk", 1.0, first_heading_rad=angle, **QUICK) for angle in (0, 1.5)
    )
    assert not np.allclose(first.posed_joints, second.posed_joints, atol=1e-3)


def parts_of(motion: Motion) -> list[tuple[str, int]]:
    return [(part["prompt"], part["num_frames"]) for part in motion.info["segments"]]


def test_what_is_longer_than_was_trained_is_chained(pipeline: KimodoPipeline) -> None:
    motion = pipeline.generate("walk", 9.0, **QUICK)
    assert motion.num_frames == 180 and motion.info["prompt"] == "walk"
    assert parts_of(motion) == [("walk", 90), ("walk", 90)]
    again = pipeline.generate("walk", 9.0, **QUICK)
    np.testing.assert_array_equal(motion.posed_joints, again.posed_joints)
    assert not any("in one piece" in told for told in motion.warnings)
    sequence = pipeline.generate(["walk"], 9.0, **QUICK)
    np.testing.assert_array_equal(motion.posed_joints, sequence.posed_joints)
    by_hand = pipeline.generate(["walk", "walk"], 4.5, **QUICK)
    np.testing.assert_array_equal(motion.posed_joints, by_hand.posed_joints)


def test_raw_is_in_one_piece_and_says_so(pipeline: KimodoPipeline) -> None:
    with pytest.warns(MotionWarning, match=r"7 s in one piece: .* trained on up to 6 s") as told:
        motion = pipeline.generate("walk", 7.0, chain=False, **QUICK)
    assert "segments" not in motion.info
    assert told[0].filename == __file__ and str(told[0].message) == motion.warnings[0]
    longest = pipeline.generate("walk", 6.0, **QUICK)
    assert "segments" not in longest.info and not any("piece" in t for t in longest.warnings)
    most = pipeline.manifest.limits.max_frames
    with pytest.raises(InputError, match=f"takes 1 to {most}"):
        pipeline.generate("walk", num_frames=most + 1, chain=False, **QUICK)
    with pytest.raises(InputError, match=r"this model allows 12000 \(600.0 s\)"):
        pipeline.generate("walk", 601, **QUICK)


def test_the_too_long_part_among_several_is_split(pipeline: KimodoPipeline) -> None:
    motion = pipeline.generate(["walk", "jump", "sit"], [2.0, 8.0, 1.0], **QUICK)
    assert parts_of(motion) == [("walk", 40), ("jump", 80), ("jump", 80), ("sit", 20)]
    assert motion.info["prompt"] == "walk jump sit"


def test_chains_of_several_prompts_and_samples_each_have_their_own(
    pipeline: KimodoPipeline,
) -> None:
    places = [[float(row), 0.0] for row in range(4)]
    constraints = [[Root2D([139], [place])] for place in places]
    motions = pipeline.generate_many(
        ["walk", "jump"],
        [7.0, 1.0],
        num_samples=2,
        first_heading_rad=[0.0, 1.0, 2.0, 3.0],
        **QUICK,
    )
    assert [motion.info["prompt"] for motion in motions] == ["walk", "walk", "jump", "jump"]
    assert [motion.info["sample"] for motion in motions] == [0, 1, 0, 1]
    assert [motion.num_frames for motion in motions] == [140, 140, 20, 20]
    assert [len(parts_of(motion)) for motion in motions] == [2, 2, 1, 1]
    apart = np.abs(motions[0].posed_joints - motions[1].posed_joints).max()
    assert apart > 0.05
    held = pipeline.generate_many("walk", 7.0, num_samples=4, constraints=constraints, **QUICK)
    for motion, place in zip(held, places, strict=True):
        np.testing.assert_allclose(motion.root_positions[139, ::2], place, atol=0.05)
    alone = pipeline.generate_many("walk", 7.0, num_samples=2, sample_seeds=True, **QUICK)
    single = pipeline.generate("walk", 7.0, **QUICK)
    np.testing.assert_array_equal(alone[0].posed_joints, single.posed_joints)


def test_parts_of_a_chain_go_their_share_of_a_way(pipeline: KimodoPipeline) -> None:
    path = Root2D([299], [[0.0, 12.0]])
    motion = pipeline.generate("walk", 15.0, constraints=[path], **QUICK)
    ends = np.cumsum([count for _, count in parts_of(motion)]) - 1
    assert len(ends) > 2
    np.testing.assert_allclose(motion.root_positions[ends, 2], 12.0 * ends / 299, atol=0.05)
    assert motion.info["num_constraints"] == 1


def test_a_chain_continues_a_clip(pipeline: KimodoPipeline) -> None:
    clip = pipeline.generate("walk", 4.0, **QUICK)
    motion = pipeline.generate("jump", 8.0, continue_from=clip, **QUICK)
    assert motion.num_frames == 80 + 160 and motion.info["continued_frames"] == 80
    assert parts_of(motion) == [("jump", 80), ("jump", 80)]
    np.testing.assert_allclose(motion.posed_joints[:60], clip.posed_joints[:60], atol=1e-5)


def test_constraints_that_cannot_be_are_told(pipeline: KimodoPipeline) -> None:
    fast = Root2D([0, 19], [[0.0, 0.0], [0.0, 60.0]])
    motion = pipeline.generate("walk", 1.0, constraints=[fast], **QUICK)
    assert motion.warnings[0] == "constraint 0: the root would move at 63 m/s from frame 0 to 19"
    # The motion begins over the origin, whether or not that is said.
    far = Root2D([10, 15, 19], [[30.0, 0.0], [0.0, 0.0], [90.0, 0.0]])
    motion = pipeline.generate(["walk"], 1.0, constraints=[far], **QUICK)
    assert motion.warnings[0] == (
        "constraint 0: the root would move at 60 m/s from frame 0 to 10 "
        "(and 2 more: motionrt constraints check)"
    )
    slow = Root2D([0, 19], [[0.0, 0.0], [0.0, 1.0]])
    motion = pipeline.generate("walk", 1.0, constraints=[slow], **QUICK)
    assert not any("constraint" in told for told in motion.warnings)
    late = Root2D([0, 25], [[0.0, 0.0], [0.0, 1.0]])
    motion = pipeline.generate(["walk"], 1.0, constraints=[late], **QUICK)
    assert motion.warnings[0] == "1 constrained frames lie beyond the clip's end"
