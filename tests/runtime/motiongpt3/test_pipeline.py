from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import check
from walking import walking

from motionrt.runtime.errors import InputError, MotionWarning
from motionrt.runtime.humanml.features import joints_to_features
from motionrt.runtime.motiongpt3.pipeline import MotionGpt3Pipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline(motiongpt3_bundle: Path) -> MotionGpt3Pipeline:
    return MotionGpt3Pipeline.load(motiongpt3_bundle, backend="cpu")


def test_a_text_becomes_a_motion(pipeline: MotionGpt3Pipeline) -> None:
    motion = pipeline.generate("a person walks", seconds=2.0, seed=3)
    assert motion.num_frames == 40
    assert motion.fps == 20
    assert motion.foot_contacts is not None
    assert motion.info["seed"] == 3
    assert motion.info["guidance_scale"] == 2.0
    again = pipeline.generate("a person walks", seconds=2.0, seed=3)
    np.testing.assert_array_equal(again.posed_joints, motion.posed_joints)
    other = pipeline.generate("a person runs", seconds=2.0, seed=3)
    assert np.abs(other.posed_joints - motion.posed_joints).max() > 1e-4


def test_several_prompts_and_samples_make_a_list(pipeline: MotionGpt3Pipeline) -> None:
    made = pipeline.generate_many(["walk", "run"], [1.0, 2.0], seed=1, num_samples=2)
    assert [motion.num_frames for motion in made] == [20, 20, 40, 40]
    assert [motion.info["sample"] for motion in made] == [0, 1, 0, 1]


def test_progress_sees_every_step_and_changes_nothing(pipeline: MotionGpt3Pipeline) -> None:
    seen: list[tuple[str, int, int]] = []
    sliced = pipeline.generate("walk", 1.0, seed=5, progress=lambda *step: seen.append(step))
    whole = pipeline.generate("walk", 1.0, seed=5)
    np.testing.assert_allclose(sliced.posed_joints, whole.posed_joints, atol=1e-5)
    assert seen[-1] == ("denoising", 6, 6)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp-2m"])
def test_other_solvers_need_no_noise(pipeline: MotionGpt3Pipeline, solver: str) -> None:
    motion = pipeline.generate("walk", 1.0, seed=1, solver=solver, num_steps=5)
    assert np.isfinite(motion.posed_joints).all()


def test_guidance_of_one_is_off(pipeline: MotionGpt3Pipeline) -> None:
    off = pipeline.generate("walk", 1.0, seed=1, guidance_type="nocfg", solver="ddim")
    one_ = pipeline.generate("walk", 1.0, seed=1, guidance_weights=[1.0], solver="ddim")
    on = pipeline.generate("walk", 1.0, seed=1, guidance_weights=[4.0], solver="ddim")
    np.testing.assert_array_equal(off.posed_joints, one_.posed_joints)
    assert np.abs(on.posed_joints - off.posed_joints).max() > 1e-5


def test_threads_do_not_disturb_each_other(pipeline: MotionGpt3Pipeline) -> None:
    def make(seed: int) -> NDArray[np.float32]:
        return pipeline.generate("walk", 1.0, seed=seed).posed_joints

    alone = [make(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for found, want in zip(pool.map(make, range(4)), alone, strict=True):
            np.testing.assert_array_equal(found, want)


def test_a_motion_is_carried_on(pipeline: MotionGpt3Pipeline) -> None:
    given = walking(50) + np.array([2.0, 0, 1.0])
    features, _ = joints_to_features(given)
    for prompt in ("", "and then jumps"):
        motion = pipeline.generate(prompt, 1.0, seed=1, continue_from=given)
        assert motion.num_frames == 50 + 20
    motion = pipeline.generate("", 1.0, seed=1, continue_from=features)
    assert motion.num_frames == 49 + 20


def test_a_gap_is_filled(pipeline: MotionGpt3Pipeline) -> None:
    motion = pipeline.generate("", 1.5, seed=1, between=(walking(70), walking(20)))
    assert motion.num_frames == 70 + 30 + 20
    short = pipeline.generate("", 0.05, seed=1, between=(walking(2), walking(2)))
    assert short.num_frames == 2 + 1 + 2


def test_a_motion_becomes_a_text(pipeline: MotionGpt3Pipeline) -> None:
    joints = walking(40)
    text = pipeline.caption(joints, max_tokens=10)
    assert pipeline.caption(joints, max_tokens=10) == text
    others = pipeline.caption_many([joints, walking(30, turn=0.3)], max_tokens=10)
    assert others[0] == text
    drawn = {pipeline.caption(joints, max_tokens=10, sample=True, seed=s) for s in range(3)}
    assert len(drawn) > 1


def test_sentences_are_parts_of_one_motion(pipeline: MotionGpt3Pipeline) -> None:
    text = "A person walks. He jumps. He sits."
    whole = pipeline.generate(text, 1.0, seed=4, sentences=True)
    assert whole.num_frames == 60
    assert whole.info["prompt"] == text
    parts = pipeline.generate_many(["A person walks.", "He jumps.", "He sits."], 1.0, seed=4)
    np.testing.assert_allclose(whole.posed_joints[:20], parts[0].posed_joints, atol=1e-4)
    steps = np.linalg.norm(np.diff(whole.posed_joints, axis=0), axis=-1).max()
    inside = max(np.linalg.norm(np.diff(p.posed_joints, axis=0), axis=-1).max() for p in parts)
    assert steps < 2 * inside  # no jump where one goes over into the next
    made = pipeline.generate_many(
        ["Walk. Run.", "Sit."], [1.0, 2.0], seed=4, num_samples=2, sentences=True
    )
    assert [motion.num_frames for motion in made] == [40, 40, 40, 40]
    assert [motion.info["sample"] for motion in made] == [0, 1, 0, 1]
    assert not np.array_equal(made[0].posed_joints, made[1].posed_joints)
    longer = pipeline.generate("Walk. Run.", 1.0, seed=4, sentences=True, continue_from=walking(30))
    assert longer.num_frames == 30 + 40


def test_prompts_are_worded_by_templates(pipeline: MotionGpt3Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "templates.json"
    path.write_text(json.dumps({"own": "Generate motion: <Caption_Placeholder> \n \n "}))
    made = [
        pipeline.generate("walk", 1.0, seed=1, template=template).posed_joints
        for template in (
            "evaluation", f"{path}:own", str(path), "Generate motion: <Caption_Placeholder> \n \n ",
            "Move for <Second_Placeholder> s: <Caption_Placeholder>", None,
        )
    ]  # fmt: skip
    for same in made[1:4]:
        np.testing.assert_array_equal(made[0], same)
    assert np.abs(made[4] - made[0]).max() > 1e-4
    assert np.abs(made[5] - made[0]).max() > 1e-4


def test_words_are_drawn_as_asked(pipeline: MotionGpt3Pipeline) -> None:
    clip = walking(40)
    plain = pipeline.caption(clip, max_tokens=8)
    assert pipeline.caption(clip, max_tokens=8, temperature=0.0) == plain
    assert pipeline.caption(clip, max_tokens=8, top_p=1e-6, seed=1) == plain
    warm = {pipeline.caption(clip, max_tokens=8, temperature=2.0, seed=s) for s in range(3)}
    assert len(warm) > 1
    with pytest.raises(InputError, match="top-p"):
        pipeline.caption(clip, top_p=0.0)


def test_text_is_written_without_a_motion(pipeline: MotionGpt3Pipeline) -> None:
    both = pipeline.write_many(["What is a walk?", "Tell me more."], max_tokens=8)
    assert len(both) == 2
    assert pipeline.write_many(["What is a walk?"], max_tokens=8) == both[:1]
    drawn = [pipeline.write_many(["What?"], max_tokens=8, sample=True, seed=s) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(InputError, match="reserves"):
        pipeline.write_many(["Who is <Motion_Placeholder>?"])
    with pytest.raises(InputError, match="no text"):
        pipeline.write_many([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 1000.0}, "allows 498"),
        ({"seconds": float("nan")}, "finite"),
        ({"seed": -1}, "seed"),
        ({"num_samples": 0}, "0 samples"),
        ({"num_steps": 0}, "steps"),
        ({"solver": "euler"}, "solver"),
        ({"temperature": -1.0}, "temperature"),
        ({"guidance_weights": [0.5]}, "guidance"),
        ({"guidance_weights": [2.0, 3.0]}, "one"),
        ({"guidance_type": "separated"}, "separated"),
        ({"guidance_type": "nocfg", "guidance_weights": [2.0]}, "nocfg"),
        ({"template": "haiku"}, "template"),
        ({"template": "none.json"}, "cannot be read"),
        ({"template": "<Caption_Placeholder> <end_of_motion>"}, "template: .*reserves"),
        ({"between": (walking(5), walking(5)), "sentences": True}, "do not go together"),
        ({"constraints": []}, "no option constraints"),
        ({"between": (walking(5), walking(5))}, "no prompt"),
        ({"between": (walking(5),)}, "two motions"),
        ({"between": (walking(5), walking(5)), "continue_from": walking(5)}, "not both"),
        ({"continue_from": np.zeros((4, 4))}, "should be features"),
        ({"continue_from": "none.npz"}, "no such file"),
        ({"prompt": "<end_of_motion>"}, "reserves"),
        ({"prompt": "x" * 300}, "tokens"),
        ({"prompt": []}, "no prompt"),
        ({"prompt": ["a", "b"], "seconds": [1.0]}, "durations"),
    ],
)
def test_bad_input_is_one_line(
    pipeline: MotionGpt3Pipeline, options: dict[str, object], message: str
) -> None:
    arguments: dict[str, Any] = {"prompt": "walk", "seconds": 1.0, **options}
    asked = {name: value for name, value in arguments.items() if name != "prompt"}
    with pytest.raises(InputError, match=message) as caught:
        pipeline.generate_many(**{"prompts": arguments["prompt"], **asked})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        check(pipeline, arguments["prompt"], **asked)


def test_what_fits_is_not_refused_beforehand(pipeline: MotionGpt3Pipeline) -> None:
    check(pipeline, ["walk", "jump"], num_samples=2, sample_seeds=True, solver="dpmpp-2m")
    check(pipeline, "", between=(walking(5), walking(5)))
    check(pipeline, "He walks. He sits.", sentences=True, continue_from=walking(5))


def test_bad_questions_are_one_line(pipeline: MotionGpt3Pipeline) -> None:
    with pytest.raises(InputError, match="once"):
        pipeline.caption(walking(5), prompt="What?")
    with pytest.raises(InputError, match="no motion"):
        pipeline.caption_many([])
    with pytest.raises(InputError, match="tokens"):
        pipeline.caption(walking(5), max_tokens=0)
    with pytest.raises(InputError, match="at most"):
        pipeline.caption(walking(5), max_tokens=1000)
    with pytest.raises(InputError, match="1 to 498"):
        pipeline.encode_motion([np.zeros((600, 263))])


def test_a_motion_longer_than_clips_of_training_is_warned_of(pipeline: MotionGpt3Pipeline) -> None:
    with pytest.warns(MotionWarning, match=r"^10 s in one piece: .* trained on up to 9\.8 s"):
        motion = pipeline.generate("a person walks", seconds=10.0, seed=3)
    assert motion.num_frames == 200 and motion.info["quality"]["root_speed_mps"] >= 0
    most = pipeline.manifest.limits.max_frames
    with pytest.raises(InputError, match=rf"600 frames at 20 fps, this model allows {most}"):
        pipeline.generate("a person walks", seconds=30.0)
    with pytest.raises(InputError, match="motiongpt3 has no option chain"):
        pipeline.generate("a person walks", seconds=30.0, chain=False)  # type: ignore[call-arg]
