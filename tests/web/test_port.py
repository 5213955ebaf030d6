"""The runtime's JavaScript gives the numbers of the Python it follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from held_bodies import held, walk

import motionrt
from motionrt.runtime.body.motion_correction import correct_motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.files import constraints_from
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.chaining import part_lengths
from motionrt.runtime.kimodo.constraints import conditioning, correction_targets
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.sampling.guidance import (
    NUM_WEIGHTS,
    Guidance,
    guidance_branches,
    guided_spans,
    resolve_interval,
)
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import SOLVERS, cosine_schedule
from motionrt.runtime.text.familiarity import KnownInfo, KnownPrompts
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.runtime.text.tokenizer import TextRules, TextTokenizer

Call = Callable[[str, Any], Any]
BODIES = ("cmu22", "soma30", "smplx22")
PROMPTS = [
    "a person walks forward",
    "  \t…  ",
    "",
    "RUNS at 3.5 m/s! then STOPS?? ok",
    "“quoted” (aside) it's they've we'll I'd",
    "straße ﬁn ΟΔΟΣ İstanbul ǆ 人が歩く 123٣ 🏃‍♀️ e\u0301",
    "tab\tnew\nline\u00a0nbsp\u3000wide\x1fsep\u2028line \ufeffbom",
    "<|endoftext|> in the middle <|endoftext|>",
    "x" * 300 + " .... ''' \"\"\" ]])",
]


def test_prompts_are_cleaned(by_node: Call) -> None:
    assert by_node("clean", PROMPTS) == [clean_prompt(prompt) for prompt in PROMPTS]


def test_texts_become_the_same_tokens(by_node: Call, bundle: Path) -> None:
    rules = TextRules(max_tokens=40, suffix=" .", pool="text", pool_skip=1, text_tokens=30)
    for chosen in (TextRules(), rules):
        tokenizer = TextTokenizer(bundle / "tokenizer.json", chosen)
        ids, mask, pool = tokenizer.encode(PROMPTS)
        given = {"tokenizer": str(bundle / "tokenizer.json"), "rules": chosen.to_dict()}
        rows = by_node("tokens", {**given, "texts": PROMPTS})
        for row, (own, real, pooled) in enumerate(zip(ids, mask, pool, strict=True)):
            assert rows[row]["ids"] == own[real > 0].tolist(), PROMPTS[row]
            assert len(rows[row]["ids"]) - rows[row]["firstPooled"] == pooled.sum()


def test_tokens_of_qwen_and_bert(by_node: Call, tmp_path: Path) -> None:
    from tokenizers import (
        Regex,
        Tokenizer,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    texts = [*PROMPTS, "Café naïve coöperate 歩く running runner's"]
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    qwen = Tokenizer(models.BPE())
    qwen.normalizer = normalizers.NFC()
    qwen.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = pre_tokenizers.ByteLevel.alphabet()
    qwen.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters))
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    bert.train_from_iterator(
        texts[:4], trainers.WordPieceTrainer(vocab_size=120, special_tokens=special)
    )
    bert.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    for name, tokenizer in (("qwen", qwen), ("bert", bert)):
        file = tmp_path / f"{name}.json"
        tokenizer.save(str(file))
        rules = TextRules(special_tokens=True, max_tokens=24)
        ids, mask, _ = TextTokenizer(file, rules).encode(texts)
        rows = by_node("tokens", {"tokenizer": str(file), "rules": rules.to_dict(), "texts": texts})
        for own, real, row, text in zip(ids, mask, rows, texts, strict=True):
            assert row["ids"] == own[real > 0].tolist(), (name, text)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_noise_is_torchs(by_node: Call, seed: int) -> None:
    counts = [3, 2, 32, 41, 5000]
    generator = TorchGenerator(seed)
    for count, values in zip(
        counts, by_node("noise", {"seed": seed, "counts": counts}), strict=True
    ):
        np.testing.assert_allclose(values, generator.randn((count,)), rtol=0, atol=2e-6)


def test_schedules_are_equal(by_node: Call) -> None:
    rows = [
        (base, steps, solver)
        for solver in SOLVERS
        for base in (50, 1000)
        for steps in (1, 2, 3, 12, 20, 50)
    ]
    for row, made in zip(rows, by_node("schedules", rows), strict=True):
        schedule = cosine_schedule(*row)
        assert made["timesteps"] == schedule.timesteps.tolist(), row
        values = [
            [column[str(i)] if isinstance(column, dict) else column[i] for i in range(3)]
            for column in made["coefficients"]
        ]
        np.testing.assert_allclose(
            values, schedule.coefficients, rtol=2e-6, atol=1e-7, err_msg=str(row)
        )


def test_guidance_runs_the_same_branches(by_node: Call) -> None:
    rows = [
        (mode, [2.5, 2.0][:count], text, constrained)
        for mode, count in NUM_WEIGHTS.items()
        for text in (True, False)
        for constrained in (True, False)
    ]
    for (mode, weights, *is_on), made in zip(rows, by_node("branches", rows), strict=True):
        wanted = guidance_branches(Guidance(mode, tuple(weights)), *is_on)
        assert [made["text"], made["constraints"], made["weights"]] == [x.tolist() for x in wanted]


def test_guidance_is_on_at_the_same_steps(by_node: Call) -> None:
    steps = [*range(999, 0, -37), 700, 300, 0]
    intervals = [[0.3], [0.1, 0.7], [0.0, 0.3], [0.7, 0.7], [0.5, 0.2], [1.5], [], [0, 0.5, 1]]
    told = by_node("guided", [(interval, steps, 1000) for interval in intervals])
    for interval, made in zip(intervals, told, strict=True):
        try:
            guidance = Guidance("regular", (2.0,), resolve_interval(interval))
        except InputError as error:
            assert made.startswith("MotionrtError: guidance interval"), (made, error)
            continue
        spans = guided_spans(guidance, np.array(steps), 1000)
        wanted = [guides.mode for rows, guides in spans for _ in range(rows.start, rows.stop)]
        assert made == wanted, interval


def test_long_prompts_are_split_in_the_same_parts(by_node: Call) -> None:
    rows = [
        ([frames, *more], 120, 5, included)
        for frames in (1, 119, 120, 121, 300, 601)
        for more in ([], [80], [400])
        for included in (True, False)
    ]
    for row, made in zip(rows, by_node("lengths", rows), strict=True):
        lengths, longest, transition, included = row
        wanted = part_lengths(lengths, longest, transition, transitions_included=included)
        assert made == wanted, row


@pytest.mark.parametrize("body", BODIES)
def test_constraints_become_the_same_conditions(by_node: Call, body: str) -> None:
    skeleton = load_skeleton(body)
    motion = walk(skeleton)
    features = MotionFeatures(skeleton)
    documents = held(motion)
    model = {
        "skeleton": skeleton.to_dict(),
        "mean": [0.0] * features.width,
        "std": [1.0] * features.width,
    }
    made = by_node("conditioning", {"model": model, "constraints": documents, "frames": 60})
    constraints = constraints_from(documents, skeleton)
    observed, mask = conditioning(constraints, features, 60)
    np.testing.assert_array_equal(np.reshape(made["mask"], mask.shape), mask)
    np.testing.assert_allclose(np.reshape(made["motion"], mask.shape), observed, rtol=0, atol=2e-6)
    targets = correction_targets(constraints, skeleton, 60)
    for name, wanted in targets.masks.items():
        assert made["targets"]["masks"][name] == wanted.tolist(), name
    root = np.reshape(made["targets"]["rootPositions"], (60, 3))
    np.testing.assert_allclose(root, targets.root_positions, rtol=0, atol=1e-6)
    local = np.reshape(made["targets"]["localRotMats"], targets.local_rot_mats.shape)
    np.testing.assert_allclose(local, targets.local_rot_mats, rtol=0, atol=2e-6)


def test_what_does_not_fit_is_refused(by_node: Call) -> None:
    skeleton = load_skeleton("cmu22")
    (good,) = [item for item in held(walk(skeleton)) if item["type"] == "right-hand"]
    path = {"type": "root2d", "frame_indices": [0, 5], "smooth_root_2d": [[0, 0], [1, 1]]}
    lists: list[Any] = [
        [good, path],
        [{**path, "type": "root"}],
        [{**path, "frame_indices": [0, -1]}],
        [{**path, "frame_indices": []}],
        [{**path, "smooth_root_2d": [[0, 0]]}],
        [{**path, "smooth_root_2d": [[0, 0], [1]]}],
        [{**path, "smooth_root_2d": [[0, 0], [1, 1e10]]}],
        [{**good, "local_joints_rot": good["local_joints_rot"][0]}],
        [{**good, "type": "end-effector"}],
        [{**good, "type": "end-effector", "joint_names": ["Nose"]}],
    ]
    told = by_node("refused", {"skeleton": skeleton.to_dict(), "lists": lists})
    assert told[0] == "taken"
    for given, line in zip(lists[1:], told[1:], strict=True):
        assert line.startswith("MotionrtError: constraint 0"), (given, line)
        with pytest.raises(InputError):
            constraints_from(given, skeleton)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("constrained", [False, True])
def test_motion_correction(by_node: Call, body: str, constrained: bool) -> None:
    skeleton = load_skeleton(body)
    motion, other = walk(skeleton), walk(skeleton, seed=1)
    documents = held(other) if constrained else []
    made = by_node(
        "corrected",
        {
            "skeleton": skeleton.to_dict(),
            "local": motion.local_rot_mats.ravel().tolist(),
            "root": motion.root_positions.ravel().tolist(),
            "contacts": motion.foot_contacts.astype(int).ravel().tolist(),  # type: ignore[union-attr]
            "constraints": documents,
            "margin": 0.04,
        },
    )
    targets = correction_targets(constraints_from(documents, skeleton), skeleton, 60)
    assert motion.foot_contacts is not None
    local, root = correct_motion(
        skeleton, motion.local_rot_mats, motion.root_positions, motion.foot_contacts, targets, 0.04
    )
    assert np.abs(local - motion.local_rot_mats).max() > 0.05  # there was something to do
    np.testing.assert_allclose(np.reshape(made["root"], root.shape), root, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.reshape(made["local"], local.shape), local, rtol=0, atol=1e-5)


def test_features_are_decoded(by_node: Call, bundle: Path) -> None:
    from safetensors.numpy import load_file

    skeleton = load_skeleton("cmu22")
    tables = load_file(bundle / "statistics.safetensors")
    features = MotionFeatures(skeleton, 20.0, tables["mean"], tables["std"])
    motion = walk(skeleton)
    rows = features.encode(motion.local_rot_mats, motion.root_positions)
    model = {"skeleton": skeleton.to_dict(), **{k: v.tolist() for k, v in tables.items()}}
    given = {"model": model, "rows": rows.ravel().tolist()}
    made: Any = by_node("decoded", given)
    wanted: dict[str, Any] = features.decode(rows)
    names = {"local": "local_rot_mats", "positions": "posed_joints", "root": "root_positions"}
    for name, own in {**names, "smooth": "smooth_root_pos"}.items():
        values = np.reshape(made[name], wanted[own].shape)
        np.testing.assert_allclose(values, wanted[own], rtol=0, atol=2e-6)
    made = by_node("normalised", given)
    normal = features.normalize(rows)
    np.testing.assert_allclose(
        np.reshape(made["normal"], normal.shape), normal, rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(np.reshape(made["back"], rows.shape), rows, rtol=0, atol=1e-5)


def test_hints_are_those_of_python(by_node: Call, bundle: Path) -> None:
    pipeline = motionrt.load()
    prompts = [
        "a person walks forward",
        "a dog flies a plane",
        "someone runs in circles",
        "knitting",
    ]
    vectors, _ = pipeline.encode_text(prompts)
    known = json.loads((bundle / "manifest.json").read_text())["text"]["known_prompts"]
    made = by_node(
        "hints",
        {
            "file": str(bundle / known["file"]),
            "radius": known["radius"],
            "actions": known["actions"],
            "prompts": prompts,
            "vectors": vectors[:, 0].tolist(),
        },
    )
    from safetensors.numpy import load_file

    info = KnownInfo(known["file"], known["radius"], tuple(known["actions"]))
    wanted = KnownPrompts.from_manifest(info, load_file(bundle / known["file"]))
    told = [
        wanted.hint(vector, prompt) for vector, prompt in zip(vectors[:, 0], prompts, strict=True)
    ]
    assert [line is None for line in made] == [line is None for line in told]
    assert any(told) and not all(told)
