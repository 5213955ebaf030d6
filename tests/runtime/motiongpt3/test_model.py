from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from walking import walking

from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import joints_to_features
from motionrt.runtime.motiongpt3.model import draw_noise
from motionrt.runtime.motiongpt3.pipeline import MotionGpt3Pipeline
from motionrt.runtime.sampling.noise import TorchGenerator


@pytest.fixture(scope="module")
def pipeline(motiongpt3_bundle: Path) -> MotionGpt3Pipeline:
    return MotionGpt3Pipeline.load(motiongpt3_bundle, backend="cpu")


def test_noise_is_what_upstream_draws() -> None:
    for guided, rows in ((True, 6), (False, 3)):
        generator = TorchGenerator(11)  # torch's numbers, which its own test holds
        want = generator.randn((3, 1, 16))[:, 0]
        want_steps = [generator.randn((rows, 1, 16))[:3, 0] for _ in range(4)]
        noise, steps = draw_noise(11, 3, 16, 4, guided, "ancestral")
        assert steps is not None
        np.testing.assert_array_equal(noise, want)
        np.testing.assert_array_equal(steps, np.stack(want_steps))
    assert draw_noise(11, 3, 16, 4, True, "ddim")[1] is None


@pytest.mark.slow
def test_batches_are_what_their_rows_are_alone(pipeline: MotionGpt3Pipeline) -> None:
    texts = ["a person walks", "jump"]
    prompts = [pipeline.holders.motion_request(f"{text} \n ") for text in texts]
    both = pipeline.holder_hidden(prompts)
    for row, prompt in enumerate(prompts):
        np.testing.assert_allclose(pipeline.holder_hidden([prompt])[0], both[row], atol=1e-5)
    noise, steps = draw_noise(1, 2, 16, 6, True, "ancestral")
    assert steps is not None
    latents = pipeline.sample(both, noise, steps)
    for row in range(2):
        alone = pipeline.sample(both[row : row + 1], noise[row : row + 1], steps[:, row : row + 1])
        np.testing.assert_allclose(alone[0], latents[row], atol=1e-4)
    decoded = pipeline.decode(latents, [30, 12])
    short = pipeline.decode(latents[1:], [12])
    np.testing.assert_allclose(decoded["joints"][1, :12], short["joints"][0], atol=1e-4)


@pytest.mark.slow
def test_remembered_tokens_choose_as_a_whole_run_does(pipeline: MotionGpt3Pipeline) -> None:
    latents = pipeline.encode_motion([joints_to_features(walking(40))[0]])
    prompts = [
        pipeline.holders.text_request("What is <Motion_Placeholder>?"),
        pipeline.holders.text_request("<Motion_Placeholder>"),
    ]
    given = np.repeat(latents[None], 2, axis=0)
    logits: list[NDArray[np.float32]] = []
    ids = pipeline.generate_tokens(prompts, given, max_tokens=6, logits=logits)
    for row, prompt in enumerate(prompts):
        for step in range(1, ids.shape[1]):
            if (ids[row, :step] == 256).any():
                break
            first: list[NDArray[np.float32]] = []
            written = pipeline._load_tokenizer().decode(ids[row, :step].tolist())
            if pipeline.tokenize([written]) != [ids[row, :step].tolist()]:
                continue  # bytes that are no text
            pipeline.generate_tokens([prompt + written], given[:1], max_tokens=1, logits=first)
            np.testing.assert_allclose(first[0][0], logits[step][row], atol=1e-4)


@pytest.mark.slow
def test_clips_of_other_lengths_are_encoded_as_alone(pipeline: MotionGpt3Pipeline) -> None:
    clips = [joints_to_features(walking(frames))[0] for frames in (40, 25)]
    both = pipeline.encode_motion(clips)
    for row, clip in enumerate(clips):
        np.testing.assert_allclose(pipeline.encode_motion([clip])[0], both[row], atol=1e-5)


@pytest.mark.slow
def test_arrays_of_other_shapes_are_refused(pipeline: MotionGpt3Pipeline) -> None:
    hidden = np.zeros((2, 4, 32))
    with pytest.raises(InputError, match="noise is"):
        pipeline.sample(hidden, np.zeros((1, 16)))
    with pytest.raises(InputError, match="needs step_noise"):
        pipeline.sample(hidden, np.zeros((2, 16)))
    with pytest.raises(InputError, match="step noise is"):
        pipeline.sample(hidden, np.zeros((2, 16)), np.zeros((5, 2, 16)))
    with pytest.raises(InputError, match="latents are"):
        pipeline.decode(np.zeros((2, 16)), [5])
    with pytest.raises(InputError, match="1 to 498"):
        pipeline.decode(np.zeros((1, 16)), [0])
