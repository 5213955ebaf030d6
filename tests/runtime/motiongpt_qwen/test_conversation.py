from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_server import language_server

from motionrt.runtime.errors import InputError
from motionrt.runtime.language.token_cache import TokenCache
from motionrt.runtime.motiongpt_qwen.conversation import Conversation
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::motionrt.MotionWarning")]


@pytest.fixture(scope="module")
def pipeline(myo_bundle: Path) -> MotionGptQwenPipeline:
    return MotionGptQwenPipeline.load(myo_bundle, backend="cpu")


def talk(pipeline: MotionGptQwenPipeline, **options: Any) -> Conversation:
    keywords: dict[str, Any] = {"seed": 5, **options}
    made = Conversation(pipeline, **keywords)
    made.num_frames = 16
    return made


def codes(conversation: Conversation, text: str) -> tuple[int, ...]:
    turn = conversation.ask(text)
    assert turn.motion is not None and turn.motion.num_frames == 16
    return turn.answer.motion.codes


def test_each_turn_knows_those_before_it(pipeline: MotionGptQwenPipeline) -> None:
    one = talk(pipeline)
    first, second = codes(one, "a person walks"), codes(one, "now faster")
    assert [message.role for message in one.messages] == ["user", "assistant"] * 2
    assert one.messages[0].content == "Generate motion: a person walks"
    assert one.messages[2].content == "now faster"
    assert pipeline.tokens.text(first) in one.messages[1].content
    # Without a kept cache the same is written, by the seed of each turn.
    answer = pipeline.answer(one.messages[:3], num_frames=16, seed=6)
    assert answer.motion.codes == second
    other = talk(pipeline)
    codes(other, "a person runs")
    assert codes(other, "now faster") != second
    assert (one.num_turns, other.num_turns) == (2, 2)


def test_what_was_read_is_not_read_again(
    pipeline: MotionGptQwenPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    read = TokenCache.read

    def counted(cache: TokenCache, rows: Any, *, short: bool = False) -> Any:
        counts.append(len(rows[0]))
        return read(cache, rows, short=short)

    monkeypatch.setattr(TokenCache, "read", counted)
    one = talk(pipeline)
    one.thinking = False
    codes(one, "a person walks in a circle and looks about, then stands still")
    before, counts[:] = sum(counts), []
    codes(one, "now faster")
    # The end of the turn before, the new question, and what is written.
    assert counts[0] < 60 < before
    assert sum(counts[1:]) <= 8 + 2


def test_a_turn_that_fails_was_not_asked(pipeline: MotionGptQwenPipeline) -> None:
    one = talk(pipeline)
    codes(one, "a person walks")
    kept = list(one.messages)

    class Enough(Exception):
        pass

    def stop(text: str) -> None:
        raise Enough

    with pytest.raises(Enough):
        one.ask("now faster", stop)
    for text, told in (("  ", "empty"), ("a <motion_id_3>", "reserves")):
        with pytest.raises(InputError, match=told):
            one.ask(text)
    assert one.messages == kept
    undisturbed = talk(pipeline)
    codes(undisturbed, "a person walks")
    assert codes(one, "now faster") == codes(undisturbed, "now faster")


def test_a_question_is_taken_back_with_its_answer(pipeline: MotionGptQwenPipeline) -> None:
    one = talk(pipeline)
    codes(one, "a person walks")
    second = codes(one, "now faster")
    codes(one, "and slower")
    assert one.undo() and one.undo()
    assert codes(one, "now faster") == second
    assert one.undo() and one.undo() and not one.undo()
    assert one.messages == [] and one.last_motion() is None


def test_a_file_of_it_is_gone_on_with(pipeline: MotionGptQwenPipeline, tmp_path: Path) -> None:
    one = talk(pipeline, system="You move.")
    codes(one, "a person walks")
    one.save(tmp_path / "t.json")
    found = Conversation.resume(pipeline, tmp_path / "t.json")
    found.num_frames = 16
    assert found.messages == one.messages and found.seed == one.seed
    first, second = one.last_motion(), found.last_motion()
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.posed_joints, second.posed_joints)
    assert codes(found, "now faster") == codes(one, "now faster")


def test_answers_may_be_words(pipeline: MotionGptQwenPipeline) -> None:
    one = Conversation(pipeline, seed=1)
    one.wants_motion, one.max_new_tokens = False, 12
    turn = one.ask("what can you do?")
    assert turn.answer.num_tokens <= 12
    assert (turn.motion is None) == (not turn.answer.motion.codes)
    for message in one.messages:
        assert "<|im_start|>" not in message.content


def test_a_conversation_of_a_server_ends_as_it_ends(pipeline: MotionGptQwenPipeline) -> None:
    answers = iter(["Hello.", pipeline.tokens.text([1, 2, 3]) + " There."])
    own = MotionGptQwenPipeline.load(pipeline.bundle.folder, backend="cpu")
    with language_server(lambda document: {"content": next(answers)}) as server:
        own.use_language_server(server.url)
        one = Conversation(own, seed=1)
        first, second = one.ask("hi"), one.ask("walk")
    assert first.motion is None and one.last_motion() is not None
    assert second.answer.motion.codes == (1, 2, 3)
    assert second.answer.words == "<Motion_Placeholder> There."
    assert [message["content"] for message in server.asked[1]["messages"]] == [
        "Generate motion: hi",
        "Hello.",
        "walk",
    ]


def transcript(**changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    document = {"format": "motionrt-chat-1", "model": "m", "seed": 1, "messages": messages}
    return {**document, **changes}


QUESTION = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no conversation"),
        (b"\xff\xfe", "no conversation"),
        (b"[" * 99999, "no conversation"),
        (json.dumps(transcript(seed=-1)).encode(), "no conversation"),
        (json.dumps(transcript(seed=1.5)).encode(), "no conversation"),
        (json.dumps(transcript(format="2")).encode(), "no conversation"),
        (json.dumps(transcript(more=1)).encode(), "no conversation"),
        (json.dumps(transcript(messages=[{"role": "tool", "content": ""}])).encode(), "no conver"),
        (json.dumps(transcript(messages=[QUESTION])).encode(), "do not take turns"),
        (json.dumps(transcript(messages=[QUESTION] * 2)).encode(), "do not take turns"),
        (b" " * ((1 << 24) + 1), "larger than any"),
    ],
)
def test_a_file_that_is_none_is_told(
    pipeline: MotionGptQwenPipeline, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        Conversation.resume(pipeline, path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    with pytest.raises(InputError, match="cannot be read"):
        Conversation.resume(pipeline, tmp_path)


def test_a_file_with_too_long_a_motion_is_told(
    pipeline: MotionGptQwenPipeline, tmp_path: Path
) -> None:
    answer = {"role": "assistant", "content": pipeline.tokens.text([1] * 9999)}
    (tmp_path / "t.json").write_text(json.dumps(transcript(messages=[QUESTION, answer])))
    with pytest.raises(InputError, match="9999 codes: a motion has"):
        Conversation.resume(pipeline, tmp_path / "t.json").last_motion()


def test_a_seed_is_a_seed(pipeline: MotionGptQwenPipeline) -> None:
    with pytest.raises(InputError, match="seed -1"):
        Conversation(pipeline, seed=-1)
