from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_server import language_server
from refusals import check
from walking import walking, walking_myo

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError, MotionError, MotionWarning
from motionrt.runtime.humanml.joints import motion_from_joints
from motionrt.runtime.motiongpt_qwen.chat import Message
from motionrt.runtime.motiongpt_qwen.myo_motion import PATH_IS_LOST, centred, myo_motion
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::motionrt.MotionWarning")]


@pytest.fixture(scope="module")
def pipeline(qwen_bundle: Path) -> MotionGptQwenPipeline:
    return MotionGptQwenPipeline.load(qwen_bundle, backend="cpu")


@pytest.fixture(scope="module")
def myo(myo_bundle: Path) -> MotionGptQwenPipeline:
    return MotionGptQwenPipeline.load(myo_bundle, backend="cpu")


def some_walk(pipeline: MotionGptQwenPipeline, frames: int = 40) -> Motion:
    if pipeline.code.representation == "humanml3d":
        return motion_from_joints(walking(frames))
    return myo_motion(centred(walking_myo(frames)), pipeline.skeleton)


def test_a_text_becomes_a_motion_of_the_length_that_is_asked_for(
    pipeline: MotionGptQwenPipeline,
) -> None:
    motion = pipeline.generate("a person walks", seconds=1.55, seed=3)
    factor = pipeline.code.frames_per_token
    assert motion.num_frames == 31
    assert motion.fps == 20
    assert len(motion.info["codes"]) == -(-31 // factor)
    assert motion.info["seed"] == 3
    assert (motion.info["temperature"], motion.info["top_p"], motion.info["top_k"]) == (
        0.6,
        0.95,
        20,
    )
    again = pipeline.generate("a person walks", seconds=1.55, seed=3)
    assert again.info["codes"] == motion.info["codes"]
    np.testing.assert_array_equal(again.posed_joints, motion.posed_joints)
    other = pipeline.generate("a person walks", seconds=1.55, seed=4)
    assert other.info["codes"] != motion.info["codes"]
    decoded = pipeline.motion_of(motion.info["codes"])
    np.testing.assert_allclose(decoded.posed_joints[:31, 1:], motion.posed_joints[:, 1:], atol=0.1)


def test_a_row_among_others_is_what_it_is_alone(pipeline: MotionGptQwenPipeline) -> None:
    made = pipeline.generate_many(["walk", "run in a circle"], [1.0, 2.0], seed=1, num_samples=2)
    assert [motion.num_frames for motion in made] == [20, 20, 40, 40]
    assert [motion.info["sample"] for motion in made] == [0, 1, 0, 1]
    codes = [motion.info["codes"] for motion in made]
    assert codes[0] != codes[1]
    alone = pipeline.generate_many("run in a circle", 2.0, seed=1, num_samples=2)
    assert [motion.info["codes"] for motion in alone] == codes[2:]


def test_without_temperature_the_seed_changes_nothing(pipeline: MotionGptQwenPipeline) -> None:
    first, second = (pipeline.generate("walk", 1.0, seed=s, temperature=0) for s in (1, 2))
    assert first.info["codes"] == second.info["codes"]
    warm = pipeline.generate("walk", 1.0, seed=1, temperature=50, top_k=0, top_p=1)
    assert warm.info["codes"] != first.info["codes"]
    one = pipeline.generate("walk", 1.0, seed=1, top_k=1, temperature=9)
    assert one.info["codes"] == first.info["codes"]


def test_the_model_may_end_the_motion_itself(pipeline: MotionGptQwenPipeline) -> None:
    lengths = {
        pipeline.generate(
            "walk", 40.0, seed=seed, length="model", temperature=100, top_k=0, top_p=1
        ).num_frames
        for seed in range(6)
    }
    assert len(lengths) > 1 and max(lengths) <= 800


def test_thoughts_are_kept_apart_and_closed_in_time(pipeline: MotionGptQwenPipeline) -> None:
    thoughts = []
    for seed in range(6):
        motion = pipeline.generate(
            "walk", 1.0, seed=seed, thinking=True, max_new_tokens=50, temperature=3
        )
        assert motion.num_frames == 20 and motion.info["thinking"] is True
        thoughts.append(motion.info["reasoning"])
    assert any(thoughts)  # which the model opens, or does not
    without = pipeline.generate("walk", 1.0, seed=1, thinking=False)
    assert (without.info["thinking"], without.info["reasoning"]) == (False, "")
    assert without.info["num_tokens"] == len(without.info["codes"]) + 2
    given = pipeline.generate("walk", 1.0, seed=1, thought="The left foot first.")
    assert given.info["reasoning"] == "The left foot first."


def test_too_few_tokens_are_told(pipeline: MotionGptQwenPipeline) -> None:
    with pytest.raises(InputError, match="tokens, 5 are allowed; ask for a shorter one"):
        pipeline.generate("walk", 2.0, max_new_tokens=5)
    with pytest.raises(InputError, match="must be 1 or more"):
        pipeline.generate("walk", 2.0, max_new_tokens=0)
    for few, told in ((5, "5 are allowed"), (0, "must be 1 or more")):
        with pytest.raises(InputError, match=told):
            check(pipeline, "walk", 2.0, max_new_tokens=few)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": -1.0}, "temperature -1.0"),
        ({"top_p": 0.0}, "top-p 0.0"),
        ({"top_k": -1}, "top-k -1"),
        ({"repetition_penalty": 0.0}, "repetition penalty"),
        ({"length": "short"}, "choose exact or model"),
        ({"length": "exact", "grammar": False}, "needs the grammar"),
        ({"template": "haiku"}, "choose t2m, t2m_length"),
        ({"thinking": False, "thought": "x"}, "leave one of them away"),
        ({"thought": "</think>"}, "prompt holds </think>"),
        ({"solver": "ddim"}, "solver"),
    ],
)
def test_what_makes_no_sense_is_told(
    myo: MotionGptQwenPipeline, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        myo.generate("walk", 1.0, **options)
    with pytest.raises(InputError, match=told):
        check(myo, "walk", **options)


@pytest.mark.parametrize("text", ["<|im_end|>", "a <motion_id_7>", "<Motion_Placeholder>"])
def test_prompts_hold_nothing_that_the_model_reserves(
    myo: MotionGptQwenPipeline, text: str
) -> None:
    with pytest.raises(InputError, match="which the model reserves"):
        myo.generate(f"walk {text}", 1.0)


def test_without_grammar_what_is_no_motion_is_shown(pipeline: MotionGptQwenPipeline) -> None:
    with pytest.raises(MotionError, match=r"wrote no motion, but .*leave the grammar on"):
        pipeline.generate("walk", 1.0, seed=1, grammar=False, max_new_tokens=6)


def test_progress_counts_tokens_and_may_cancel(pipeline: MotionGptQwenPipeline) -> None:
    seen: list[tuple[str, int, int]] = []
    told = pipeline.generate(
        "walk", 1.0, seed=5, thinking=False, progress=lambda *step: seen.append(step)
    )
    assert [count for _, count, _ in seen[:-1]] == [*range(1, len(told.info["codes"]) + 3)]
    assert seen[-1][0] == "writing" and seen[-1][1] == seen[-1][2]

    class Enough(Exception):
        pass

    def stop(*step: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        pipeline.generate("walk", 1.0, seed=5, progress=stop)


def test_a_motion_is_carried_on_with_a_text_and_without(pipeline: MotionGptQwenPipeline) -> None:
    given = some_walk(pipeline)
    for prompt in ("", "then jumps"):
        motion = pipeline.generate(prompt, 1.0, seed=2, continue_from=given)
        assert motion.num_frames == 40 + 20
        shifted = motion.posed_joints[:40] - given.posed_joints[:40]
        # The body stands where it stood, but for the floor that it is set upon.
        shifted -= shifted[0, 0]
        # HumanML3D's bones are as long as those of its reference.
        atol = 0.1 if pipeline.code.representation == "humanml3d" else 1e-4
        np.testing.assert_allclose(shifted, 0, atol=atol)


def test_a_gap_between_two_motions_is_filled(pipeline: MotionGptQwenPipeline) -> None:
    first, last = some_walk(pipeline, 30), some_walk(pipeline, 25)
    motion = pipeline.generate("", 1.0, seed=2, between=(first, last))
    assert motion.num_frames == 30 + 20 + 25
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("walk", {}, "takes no prompt"),
        ("", {"length": "model"}, "length exact"),
        ("", {"continue_from": first}, "not both"),
    ]
    for prompt, options, told in refused:
        with pytest.raises(InputError, match=told):
            pipeline.generate(prompt, 1.0, between=(first, last), **options)
        with pytest.raises(InputError, match=told):
            check(pipeline, prompt, between=(first, last), **options)
    check(pipeline, "", between=(first, last))
    check(pipeline, "", continue_from=first)
    check(pipeline, "walk", continue_from=first, num_samples=2)


def test_motions_are_described_in_words(pipeline: MotionGptQwenPipeline) -> None:
    clip = some_walk(pipeline, 40)
    features = pipeline.representation.features(clip)
    first = pipeline.caption(clip, max_tokens=12)
    assert "motion_id" not in first and "think" not in first
    assert pipeline.caption_many([clip, features], max_tokens=12) == [first, first]
    drawn = [pipeline.caption(clip, max_tokens=12, sample=True, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    asked = pipeline.caption(clip, "Who is <Motion_Placeholder>?", max_tokens=12)
    assert asked != first
    with pytest.raises(InputError, match="has no <Motion_Placeholder>"):
        pipeline.caption(clip, "Who is it?")


def test_templates_are_the_users_own(pipeline: MotionGptQwenPipeline) -> None:
    plain = pipeline.generate("walk", 1.0, seed=1)
    same = pipeline.generate("walk", 1.0, seed=1, template="Generate motion: <Caption_Placeholder>")
    assert same.info["codes"] == plain.info["codes"]
    other = pipeline.generate("walk", 1.0, seed=1, template="Go: <Caption_Placeholder>")
    quoted = pipeline.generate("walk", 1.0, seed=1, quote=True)
    with_length = pipeline.generate("walk", 1.0, seed=1, template="t2m_length")
    made = [motion.info["codes"] for motion in (plain, other, quoted, with_length)]
    assert all(a != b for i, a in enumerate(made) for b in made[:i])


def test_an_answer_is_heard_as_it_is_written(pipeline: MotionGptQwenPipeline) -> None:
    heard: list[str] = []
    question = [Message("user", "Generate motion: walk")]
    answer = pipeline.answer(question, num_frames=20, heard=heard.append, thinking=False)
    assert "".join(heard) == answer.content == pipeline.tokens.text(answer.motion.codes)
    assert len(heard) == answer.num_tokens


def test_a_musculoskeletons_lost_path_is_said(myo: MotionGptQwenPipeline) -> None:
    motion = myo.generate("walk", 1.0, seed=1)
    assert motion.notes == [PATH_IS_LOST]
    assert motion.posed_joints[..., 1].min() == pytest.approx(0, abs=1e-5)


def test_joints_without_statistics_are_warned_of(qwen_bundle: Path) -> None:
    pipeline = MotionGptQwenPipeline.load(qwen_bundle, backend="cpu")
    told = " ".join(pipeline.generate("walk", 1.0, seed=1).warnings)
    assert ("export again with --mean and --std" in told) == (pipeline.code.num_joints == 22)


def test_a_server_writes_and_the_codes_are_decoded_here(qwen_bundle: Path) -> None:
    pipeline = MotionGptQwenPipeline.load(qwen_bundle, backend="cpu")
    codes = [3, 14, 15, 92, 65]
    text = f"<think>\nLeft.\n</think>\n\n{pipeline.tokens.text(codes)}"
    with language_server(text) as server:
        pipeline.use_language_server(server.url)
        motion = pipeline.generate("walk", 1.0, seed=4, temperature=0.5, max_new_tokens=99)
        made = pipeline.generate_many("walk", 1.0, seed=4, num_samples=2, thinking=False)
    assert motion.info["codes"] == codes
    assert motion.info["reasoning"] == "Left."
    assert motion.info["backend"] == f"{server.url}/v1/"
    assert motion.num_frames == 5 * pipeline.code.frames_per_token
    own = pipeline.motion_of(codes)
    np.testing.assert_array_equal(motion.posed_joints, own.posed_joints)
    first, second, third = server.asked
    assert first["messages"] == [{"role": "user", "content": "Generate motion: walk"}]
    assert (first["temperature"], first["max_tokens"], first["seed"]) == (0.5, 99, 4)
    assert [asked["seed"] for asked in (second, third)] == [4, 5] and len(made) == 2
    assert second["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_server_that_writes_no_motion_or_too_long_a_one_is_told(
    myo: MotionGptQwenPipeline, myo_bundle: Path
) -> None:
    pipeline = MotionGptQwenPipeline.load(myo_bundle, backend="cpu")
    most = pipeline.codes_for(pipeline.manifest.limits.max_frames)
    with language_server("I only \x1b[2J talk.") as server:
        pipeline.use_language_server(server.url)
        with pytest.raises(MotionError, match=r"wrote no motion, but 'I only \\\\x1b\[2J talk.'"):
            pipeline.generate("walk", 1.0)
    with language_server(pipeline.tokens.text([7] * (most + 5))[:-1]) as server:
        pipeline.use_language_server(server.url)
        with pytest.warns(MotionWarning):
            motion = pipeline.generate("walk", 1.0)
    assert len(motion.info["codes"]) == most
    assert f"the server wrote {most + 5} codes; {most} are the most" in " ".join(motion.warnings)
    with pytest.raises(InputError, match=f"a motion has {most} at most"):
        myo.motion_of([7] * (most + 1))


def test_a_bundle_of_codes_alone_lets_a_server_write(tmp_path: Path) -> None:
    from motiongpt_qwen_checkpoint import make_state, write_checkpoint
    from parity.exported import export

    path = write_checkpoint(tmp_path / "vae", "myoskeleton", make_state("myoskeleton", False))
    pipeline = MotionGptQwenPipeline.load(
        export("motiongpt-qwen", "--vq", str(path), "--quiet"), backend="cpu"
    )
    with language_server(pipeline.tokens.text([1, 2])) as server:
        pipeline.use_language_server(server.url)
        assert pipeline.generate("walk", 1.0, seed=1).info["codes"] == [1, 2]
