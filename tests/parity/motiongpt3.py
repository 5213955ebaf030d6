"""Runners for the golden kinds of MotionGPT3: recorded runs against exported bundles.

Each takes a case folder and raises AssertionError where we differ from the reference's arrays. What
no graph returns (hidden states of every layer, single calls of the head) is compared in torch.
"""

import hashlib
import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity.cases import OWN
from parity.exported import export, scratch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from motionrt.export.motiongpt3 import add_motion_tokens
from motionrt.export.readers.motiongpt3 import MotionGpt3Checkpoint, read_motiongpt3
from motionrt.models.motion_vae import MotionVae
from motionrt.models.motiongpt3 import Block, DiffusionHead, MotionGpt3
from motionrt.runtime.body.joint_ik import solve_joint_rotations
from motionrt.runtime.body.rotation import rot6d_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton, skeleton_asset
from motionrt.runtime.humanml import features as humanml_features
from motionrt.runtime.motiongpt3.pipeline import MotionGpt3Pipeline
from motionrt.runtime.motiongpt3.prompt import (
    ADDED_TOKENS,
    BETWEEN,
    GIVEN_MOTION,
    PREDICTION,
    TEMPLATES,
    PromptTokens,
    caption_prompt,
)
from motionrt.runtime.motiongpt3.schedule import NUM_BASE_STEPS, latent_schedule
from motionrt.runtime.pipeline import load

FAMILIES = ("motiongpt3",)
"""Golden folders whose cases are run here (see ``cases``)."""

CLOSE = 1e-4  # of max(1, largest value): float32 through a few layers; the fixtures' own advice
SAMPLED = 1e-3  # the same after a whole guided sampling loop
TABLE = 2e-6  # float64 tables, rounded once to the loop's float32
ROTATION = 1e-5  # the reference's analytic rotations pass through float32 here and there

Array = NDArray[Any]
_PIPELINES: dict[str, MotionGpt3Pipeline] = {}


# Whole runs


def run_t2m_e2e(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline, scale = _pipeline(case_dir), _latent_scale(case_dir)
    for tag, variant in _texts(case_dir).items():
        prompts = variant["full_text"]
        if tag == "demo":
            composed = [pipeline.holders.motion_request(f"{t} \n ") for t in variant["texts"]]
        else:
            quote = '"{}"' if tag == "eval_quoted" else "{}"
            captions = [quote.format(text) for text in variant["texts"]]
            asked = [caption_prompt(caption, TEMPLATES["evaluation"]) for caption in captions]
            composed = [pipeline.holders.motion_request(text) for text in asked]
        assert composed == prompts
        _same_ids(pipeline, prompts, inputs, tag)
        hidden = pipeline.holder_hidden(prompts)
        _close(hidden, expected[f"{tag}.holder_hidden"], CLOSE, f"{tag}.holder_hidden")
        decoded = _sampled_and_decoded(pipeline, scale, hidden, tag, variant, inputs, expected)
        _compare_motion(decoded, tag, inputs, expected, f"{tag}.feats_norm")


def run_m2t_e2e(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    texts = _texts(case_dir)
    lengths = inputs["lengths"].tolist()
    clips = [clip[:n] for clip, n in zip(inputs["feats_raw"], lengths, strict=True)]
    latents = pipeline.encode_motion(clips, inputs["eval.eps"][0])
    _close(latents[:, None], expected["eval.z_lm"], CLOSE, "eval.z_lm")
    model = _checkpoint(case_dir).language_motion_model()
    with torch.no_grad():
        embedded = model.lm.motion_und_head.layers(torch.from_numpy(latents))
    _close(embedded, expected["eval.und_embed"], CLOSE, "eval.und_embed")
    questions = {"eval": [f"Generate text: {GIVEN_MOTION} \n"] * len(clips)}
    for tag, given in (("eval", latents[:, None]), ("demo", inputs["demo.z_lm"])):
        prompts = texts[tag]["full_text"]
        if tag in questions:
            assert [pipeline.holders.text_request(text) for text in questions[tag]] == prompts
        _same_ids(pipeline, prompts, inputs, tag)
        logits: list[Array] = []
        ids = pipeline.generate_tokens(prompts, given, logits=logits)
        recorded = expected[f"{tag}.generated_ids"]
        np.testing.assert_array_equal(ids, recorded[:, : ids.shape[1]], err_msg=tag)
        end = pipeline.manifest.text["end_of_text_id"]
        assert (recorded[:, ids.shape[1] :] == end).all(), f"{tag}: stopped before the reference"
        for step, found in enumerate(logits):
            going_on = (ids[:, :step] != end).all(axis=1)
            want = expected[f"{tag}.step_logits"][step]
            _close(found[going_on], want[going_on], CLOSE, f"{tag}.step_logits[{step}]")
        for row, text in zip(ids, texts[tag].get("decoded", []), strict=False):
            assert pipeline.readable(row) == text.strip()


def run_pred_inbetween_e2e(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline, scale = _pipeline(case_dir), _latent_scale(case_dir)
    for tag, variant in _texts(case_dir).items():
        prompts = variant["full_text"]
        request = {"pred": PREDICTION, "inbetween": BETWEEN}[tag]
        assert prompts == [pipeline.holders.motion_request(request)] * len(prompts)
        _same_ids(pipeline, prompts, inputs, tag)
        encoded = []
        for row, length in enumerate(inputs[f"{tag}.lengths"].tolist()):
            clip = _raw(case_dir, inputs[f"{tag}.feats_norm"][row, :length])
            if tag == "pred":
                cut = int(length * variant["predict_ratio"])
                parts = [clip[:cut], clip[cut:]]
            else:
                ratio = variant["inbetween_ratio"]
                parts = [clip[: int(length * ratio)], clip[int(length * (1 - ratio)) :], clip]
            encoded.append(pipeline.encode_motion(parts, inputs[f"{tag}.eps"][row]))
        latents = np.stack(encoded)
        _close(latents, expected[f"{tag}.z_lm"], CLOSE, f"{tag}.z_lm")
        given = {"pred": 1, "inbetween": 2}[tag]
        hidden = pipeline.holder_hidden(prompts, latents[:, :given])
        _close(hidden, expected[f"{tag}.holder_hidden"], CLOSE, f"{tag}.holder_hidden")
        decoded = _sampled_and_decoded(pipeline, scale, hidden, tag, variant, inputs, expected)
        _compare_motion(decoded, tag, inputs, expected, f"{tag}.feats_norm_out")


# Parts


def run_mot_backbone(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir)
    texts = _texts(case_dir)
    rules = pipeline.manifest.text
    vocab_size, num_positions = rules["vocab_size"], rules["num_positions"]
    assert vocab_size == texts["text_vocab_size"]
    for token, identifier in texts["special_token_ids"].items():
        assert pipeline.tokenize([token]) == [[identifier]], token
    model = _checkpoint(case_dir).language_motion_model()
    session = pipeline.graph("backbone")
    for kind in ("t2m", "m2t"):
        prompts = texts[f"{kind}_full_text"]
        _same_ids(pipeline, prompts, inputs, kind)
        mask = inputs[f"{kind}.attention_mask"].astype(bool)
        for row, prompt in enumerate(prompts):
            ids = np.array(pipeline.tokenize([prompt])[0])
            types = inputs[f"{kind}.type_ids"][row][mask[row]]
            np.testing.assert_array_equal(ids >= vocab_size, types == 1, err_msg=f"{kind} types")
            positions = np.arange(len(ids))
            if kind == "m2t":
                stored = inputs["m2t.position_ids"][row][mask[row]]
                np.testing.assert_array_equal(positions, stored, err_msg="m2t positions")
            latents = np.zeros((1, 0, pipeline.latent_dim), np.float32)
            if kind == "m2t":
                latents = inputs["m2t.motion_latents"][row][None]
            want = {
                name.removeprefix(f"{kind}."): array
                for name, array in expected.items()
                if name.startswith(f"{kind}.")
            }
            width = want["hidden_states"].shape[2]
            first = width - len(ids) if kind == "m2t" else 0
            columns = slice(first, first + len(ids))
            tokens = PromptTokens.split([ids.tolist()], vocab_size, num_positions, False)
            text, motion = tokens.text_positions[0], tokens.motion_positions[0]

            states, embeddings = _hidden_states(model, tokens, latents)
            for layer, state in enumerate(states):
                label = f"{kind}.hidden_states[{layer}]"
                _close(state, want["hidden_states"][layer, row, columns], CLOSE, label)
            for name, places, embedded in zip(
                ("text_embed", "motion_embed"), (text, motion), embeddings, strict=True
            ):
                stored = inputs[f"{kind}.{name}"][row, columns][places]
                _close(embedded, stored, CLOSE, f"{kind}.{name}")

            axes = next(t.axes for t in session.info.inputs if t.name == "past")
            found = session.run(
                {
                    **tokens.to_inputs(),
                    "motion_latents": latents,
                    "past": np.zeros((axes[0], 2, 1, axes[3], 0, axes[5])),
                    "past_positions": np.zeros((1, 0)),
                    "logit_rows": np.arange(len(text))[None],
                }
            )
            logits = want["logits_text"][row, columns][text]
            _close(found["logits"][0], logits, CLOSE, f"{kind}.logits_text")
            if kind == "t2m":
                holders = found["motion_hidden"][0, -pipeline.holders.num_output :]
                _close(holders, want["holder_hidden"][row], CLOSE, "t2m.holder_hidden")
                with torch.no_grad():
                    hidden = torch.from_numpy(found["motion_hidden"][0])
                    of_motion = model.lm.language_model.motion_logits(hidden)
                stored = want["logits_motion"][row, columns][motion]
                _close(of_motion, stored, CLOSE, "t2m.logits_motion")
                continue
            with torch.no_grad():
                embedded = model.lm.motion_und_head.layers(torch.from_numpy(latents[:, 0]))
            _close(embedded[0], want["und_head"][row], CLOSE, "m2t.und_head")
            nothing = np.zeros((1, 0))
            second = session.run(
                {
                    "text_ids": inputs["m2t_step2.input_ids"][row][None],
                    "text_positions": inputs["m2t_step2.position_ids"][row][None],
                    "motion_ids": nothing,
                    "motion_positions": nothing,
                    "motion_latents": np.zeros((1, 0, pipeline.latent_dim)),
                    "past": found["present"],
                    "past_positions": np.concatenate((text, motion))[None],
                    "logit_rows": np.zeros((1, 1)),
                }
            )
            stored = expected["m2t_step2.logits_text"][row]
            _close(second["logits"][0], stored, CLOSE, "m2t_step2.logits_text")


def run_diffusion_head(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    _check_schedules(case_dir)
    pipeline = _pipeline(case_dir)
    model = _checkpoint(case_dir).language_motion_model()
    head = model.lm.diffloss.net
    assert isinstance(head, DiffusionHead)
    timesteps, hidden = torch.from_numpy(inputs["t"]), torch.from_numpy(inputs["cond"])
    x = torch.from_numpy(inputs["x"])[:, 0]
    batch = len(x)
    with torch.no_grad():
        frequencies = head.time_embed.frequency_embedding(timesteps)
        _close(frequencies, expected["time_freq_embedding"], CLOSE, "time_freq_embedding")
        _close(head.time_embed(timesteps), expected["time_embed"], CLOSE, "time_embed")
        _close(head.cond_embed(hidden)[:, None], expected["cond_embed"], CLOSE, "cond_embed")
        _close(head(x, timesteps, hidden)[:, None], expected["forward"], CLOSE, "forward")
    scale = np.float32(inputs["cfg_scale_forward"])
    for row, timestep in enumerate(inputs["t"]):
        # The exported parts: a step whose row hands the guided noise through.
        prepared = pipeline.graph("conditions").run(
            {
                "hidden": inputs["cond"][row : row + 1],
                "branches": np.arange(2),
                "timesteps": np.array([timestep]),
            }
        )
        zeros = np.zeros((1, pipeline.latent_dim))
        found = pipeline.graph("step").run(
            {
                "x": inputs["x"][row],
                "x0_previous": zeros,
                "step_modulations": prepared["modulations"][0],
                "coefficients": np.array([0, 1, 0, 1, 0, 0]),
                "step_noise": zeros,
                "guidance_weights": np.array([scale, 1 - scale]),
            }
        )
        guided = expected["forward_with_cfg"][row]
        _close(found["x_next"], guided, CLOSE, "forward_with_cfg")

    for run in json.loads((case_dir / "runs.json").read_text()):
        tag, scale = run["tag"], run["cfg"]
        noise, steps = inputs[f"{tag}.noise_init"][:, 0], inputs[f"{tag}.noise_steps"][:, :, 0]
        options = {"num_steps": run["steps"], "temperature": run["temperature"]}
        latents = pipeline.sample(
            inputs["cond"], noise, steps[:, :batch], guidance_scale=scale, **options
        )
        out = expected[f"{tag}.out"][:batch, 0]
        _close(latents, out, SAMPLED, f"{tag}.out")
        _check_trajectory(pipeline, inputs["cond"], noise, steps[:, :batch], run, expected)


def run_vae_codec(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    pipeline = _pipeline(case_dir, identity_stats=True)
    lengths = inputs["lengths"].tolist()
    batch = len(lengths)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    features = inputs["feats"][:, : max(lengths)]
    found = pipeline.graph("encoder").run(
        {"features": features, "frame_mask": mask, "noise": inputs["eps"][0]}
    )
    _close(found["latent_mean"], expected["mu"][0], CLOSE, "mu")
    _close(found["latent_log_variance"], expected["logvar"][0], CLOSE, "logvar")
    distribution = np.stack((found["latent_mean"], found["latent_log_variance"]))
    _close(distribution, expected["dist"], CLOSE, "dist")
    std = np.exp(0.5 * found["latent_log_variance"])
    _close(std, expected["std"][0], CLOSE, "std")
    _close(found["latents"], expected["z"][0], CLOSE, "z")
    scale = float(expected["mean_std_inv"])
    _close(found["latents"][:, None] * scale, expected["z_lm"], CLOSE, "z_lm")
    clips = [clip[:n] for clip, n in zip(features, lengths, strict=True)]
    one_by_one = [
        pipeline.encode_motion([clip], inputs["eps"][:, row])
        for row, clip in zip(range(batch), clips, strict=True)
    ]
    _close(np.concatenate(one_by_one), expected["z"][0], CLOSE, "z, clips by themselves")

    for name, latents, frames in (
        ("recon", found["latents"], lengths),
        ("decode2", inputs["z_decode"][0], inputs["lengths_decode"].tolist()),
    ):
        normalized = pipeline.decode(latents, frames)["normalized_features"]
        _close(normalized, expected[name][:, : max(frames)], CLOSE, name)
        past = np.arange(max(frames)) >= np.array(frames)[:, None]
        assert not normalized[past].any(), f"{name}: frames past the end are not 0"

    model = _checkpoint(case_dir, identity_stats=True).motion_vae()
    activations = _activations(model, features, mask, found["latents"])
    for name, activation in activations.items():
        want = expected[f"act_{name}"]
        if name == "skel_embedding":
            want = want.transpose(1, 0, 2)  # recorded before the axes were swapped
        for row, length in enumerate(lengths):
            rows = slice(0, length + 2 if name.startswith("enc") else length)
            _close(activation[rows, row], want[rows, row], CLOSE, f"act_{name}")


def run_humanml_decode(case_dir: Path) -> None:
    inputs, expected = _arrays(case_dir)
    features, mean, std = inputs["features"], inputs["mean"], inputs["std"]
    quaternions, root = humanml_features.root_of_features(features)
    _close(quaternions, expected["root_quat"], CLOSE, "root_quat")
    _close(root, expected["root_pos"], CLOSE, "root_pos")
    joints = humanml_features.features_to_joints(features)
    _close(joints, expected["joints_ric"], CLOSE, "joints_ric")
    rotations = humanml_features.rotations_of_features(features)
    both = np.concatenate((rotations, np.pad(root, ((0, 0), (0, 3)))[:, None]), axis=1)
    _close(both, expected["recover_rot_cont6d_and_pos"], CLOSE, "recover_rot_cont6d_and_pos")
    matrices = rot6d_to_matrix(rotations[:, 1:])
    _close(matrices, expected["cont6d_matrices"], CLOSE, "cont6d_matrices")
    by_rotation = humanml_features.rotations_to_joints(features, inputs["target_offsets"])
    _close(by_rotation, expected["joints_rot"], CLOSE, "joints_rot")

    _close((features - mean) / std, expected["features_norm"], CLOSE, "features_norm")
    back = humanml_features.features_to_joints(expected["features_norm"][None] * std + mean)
    _close(back, expected["joints_from_norm"], CLOSE, "joints_from_norm")
    drawn = humanml_features.features_to_joints(inputs["features_gaussian_norm"] * std + mean)
    _close(drawn, expected["joints_gaussian"], CLOSE, "joints_gaussian")

    offsets = inputs["target_offsets"]
    canonical, _ = humanml_features.canonical_joints(inputs["joints_source"], offsets)
    _close(canonical, expected["global_positions"], CLOSE, "global_positions")
    described, _ = humanml_features.joints_to_features(inputs["joints_source"], offsets)
    _close(described, expected["features_from_joints"], CLOSE, "features_from_joints")

    skeleton = load_skeleton("humanml22")
    bones = np.array(skeleton_asset("humanml22")["smpl_bones"])
    _close(bones, expected["smpl_bones"], CLOSE, "smpl_bones")
    seen = expected["joints_ric"] - expected["joints_ric"][0, 0]
    uncorrected = ("neck", "left_collar", "right_collar", "head")
    solved = solve_joint_rotations(seen, skeleton, bones, uncorrected)
    _close(solved, expected["hybrik_rotmats"], ROTATION, "hybrik_rotmats")


def run_tokenizer_gpt2_ids(case_dir: Path) -> None:
    """Check what does not depend on GPT-2's vocabulary, which the case does not hold.

    A byte-level tokenizer without merges stands in for it. Ids of bytes, added tokens and how text
    is split around them are GPT-2's; words are more ids than with its merges.
    """
    case = json.loads((case_dir / "cases.json").read_text())
    first_added = case["text_vocab_size"] - 2
    special = case["special_ids"]
    assert [special[token] for token in ADDED_TOKENS] == list(range(first_added, first_added + 6))
    tokenizer = _byte_tokenizer(first_added, special["<|endoftext|>"])
    for item in case["items"]:
        ids = tokenizer.encode(item["text"], add_special_tokens=False).ids
        added = [i for i in item["ids"] if i >= special["<|endoftext|>"]]
        assert [i for i in ids if i >= special["<|endoftext|>"]] == added, item["text"]
        parts = _between_added(ids, special["<|endoftext|>"])
        recorded = _between_added(item["ids"], special["<|endoftext|>"])
        assert len(parts) == len(recorded)
        for part, want in zip(parts, recorded, strict=True):
            assert bool(part) == bool(want), item["text"]
            blank = {198, 220}  # newline and blank, as bytes
            if set(part) <= blank:
                assert part == want, item["text"]


# What they share


def _pipeline(case_dir: Path, identity_stats: bool = False) -> MotionGpt3Pipeline:
    """Export the case's checkpoint and load it; cases with equal files share a bundle."""
    digest = hashlib.sha256((case_dir / "model.ckpt").read_bytes())
    digest.update((case_dir / "config.yaml").read_bytes())
    key = digest.hexdigest()
    if key not in _PIPELINES:
        deps = _side_files(case_dir, identity_stats)
        config = case_dir / "config.yaml"
        options = ("--config", str(config), "--deps", str(deps), "--quiet")
        bundle = export("motiongpt3", str(case_dir / "model.ckpt"), *options)
        pipeline = load(bundle, backend="cpu")
        assert isinstance(pipeline, MotionGpt3Pipeline)
        _PIPELINES[key] = pipeline
    return _PIPELINES[key]


def _checkpoint(case_dir: Path, identity_stats: bool = False) -> MotionGpt3Checkpoint:
    deps = _side_files(case_dir, identity_stats)
    return read_motiongpt3(case_dir / "model.ckpt", case_dir / "config.yaml", deps)


def _latent_scale(case_dir: Path) -> float:
    config = _checkpoint(case_dir).config
    assert config is not None
    return config.latent_scale


@lru_cache(maxsize=16)
def _side_files(case_dir: Path, identity_stats: bool = False) -> Path:
    """Make a folder of side files: the case's, and the statistics that stand in another case."""
    folder = scratch() / f"deps{len(list(scratch().iterdir()))}"
    folder.mkdir()
    if (case_dir / "deps").is_dir():
        shutil.copytree(case_dir / "deps", folder, dirs_exist_ok=True)
    mean, std = _stats(case_dir, identity_stats)
    np.save(folder / "Mean.npy", mean)
    np.save(folder / "Std.npy", std)
    return folder


def _stats(case_dir: Path, identity: bool = False) -> tuple[Array, Array]:
    """Return mean and deviation of the features: those of a decoding case, beside it or ours."""
    if identity:
        return np.zeros(263, np.float32), np.ones(263, np.float32)
    beside = sorted(case_dir.parent.glob("humanml_decode*"))
    stored = np.load([*beside, OWN / "motiongpt3" / "humanml_decode"][0] / "inputs.npz")
    return stored["mean"], stored["std"]


def _raw(case_dir: Path, normalized: Array) -> Array:
    mean, std = _stats(case_dir)
    return normalized * std + mean


def _arrays(case_dir: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    inputs, expected = (dict(np.load(case_dir / f"{n}.npz")) for n in ("inputs", "expected"))
    return inputs, expected


def _texts(case_dir: Path) -> dict[str, Any]:
    texts: dict[str, Any] = json.loads((case_dir / "text.json").read_text())
    return texts


def _same_ids(
    pipeline: MotionGpt3Pipeline, prompts: list[str], inputs: dict[str, Array], tag: str
) -> None:
    mask = inputs[f"{tag}.attention_mask"].astype(bool)
    for row, ids in enumerate(pipeline.tokenize(prompts)):
        recorded = inputs[f"{tag}.token_ids"][row][mask[row]]
        np.testing.assert_array_equal(ids, recorded, err_msg=f"{tag}.token_ids[{row}]")


def _sampled_and_decoded(
    pipeline: MotionGpt3Pipeline,
    scale: float,
    hidden: Array,
    tag: str,
    variant: dict[str, Any],
    inputs: dict[str, Array],
    expected: dict[str, Array],
) -> dict[str, Array]:
    """Run the head with the recorded noise and decode what it gives."""
    latents = pipeline.sample(
        hidden,
        inputs[f"{tag}.noise_init"][:, 0],
        inputs[f"{tag}.noise_steps"][:, : len(hidden), 0],
        num_steps=variant["steps"],
        guidance_scale=variant["cfg_scale"],
    )
    _close(latents / scale, expected[f"{tag}.latent_vae"][0], SAMPLED, f"{tag}.latent_vae")
    return pipeline.decode(latents, inputs[f"{tag}.lengths"].tolist())


def _compare_motion(
    decoded: dict[str, Array],
    tag: str,
    inputs: dict[str, Array],
    expected: dict[str, Array],
    normalized: str,
) -> None:
    lengths = inputs[f"{tag}.lengths"]
    frames = int(lengths.max())
    found = decoded["normalized_features"]
    _close(found, expected[normalized][:, :frames], SAMPLED, normalized)
    for row, length in enumerate(lengths.tolist()):
        joints = expected[f"{tag}.joints"][row, :length]
        _close(decoded["joints"][row, :length], joints, SAMPLED, f"{tag}.joints")
        if f"{tag}.feats" in expected:
            features = expected[f"{tag}.feats"][row, :length]
            _close(decoded["features"][row, :length], features, SAMPLED, f"{tag}.feats")


def _hidden_states(
    model: MotionGpt3, tokens: PromptTokens, latents: Array
) -> tuple[list[Array], tuple[Array, Array]]:
    """Run one prompt in torch; return each layer's input and the end, merged, and embeddings."""
    config, transformer = model.config, model.lm.language_model.transformer
    text, motion = tokens.text_positions[0], tokens.motion_positions[0]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def remember(_: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        seen.append((arguments[0], arguments[1]))

    hooks = [b.register_forward_pre_hook(remember) for b in transformer.h if isinstance(b, Block)]
    given = {name: torch.from_numpy(array) for name, array in tokens.to_inputs().items()}
    head = config.width // config.num_heads
    with torch.no_grad():
        embeddings = (
            transformer.wte(given["text_ids"])[0].numpy(),
            model.lm.embed_motion(given["motion_ids"], torch.from_numpy(latents))[0].numpy(),
        )
        final = model.lm(
            **given,
            motion_latents=torch.from_numpy(latents),
            past=torch.zeros(config.num_layers, 2, 1, config.num_heads, 0, head),
            past_positions=torch.zeros(1, 0, dtype=torch.int64),
        )
    for hook in hooks:
        hook.remove()
    merged = []
    for of_text, of_motion in (*seen, final[:2]):
        state = np.zeros((len(text) + len(motion), config.width), np.float32)
        state[text], state[motion] = of_text[0].numpy(), of_motion[0].numpy()
        merged.append(state)
    return merged, embeddings


def _check_schedules(case_dir: Path) -> None:
    tables = np.load(case_dir / "schedule.npz")
    for name in sorted({key.split(".")[0] for key in tables.files}):
        stored = {
            key.split(".")[1]: tables[key] for key in tables.files if key.startswith(f"{name}.")
        }
        steps = len(stored["timestep_map"])
        made = latent_schedule(steps)
        assert steps < NUM_BASE_STEPS or name == f"train{NUM_BASE_STEPS}"
        np.testing.assert_array_equal(made.timesteps[::-1], stored["timestep_map"], err_msg=name)
        deviation = np.exp(0.5 * stored["posterior_log_variance_clipped"])
        deviation[0] = 0  # the last step adds no noise
        for column, want in (
            (0, stored["sqrt_recip_alphas_cumprod"]),
            (1, -stored["sqrt_recipm1_alphas_cumprod"]),
            (2, stored["posterior_mean_coef2"]),
            (3, stored["posterior_mean_coef1"]),
            (5, deviation),
        ):
            found = made.coefficients[::-1, column]
            np.testing.assert_allclose(found, want, atol=TABLE, err_msg=f"{name} {column}")


def _check_trajectory(
    pipeline: MotionGpt3Pipeline,
    hidden: Array,
    noise: Array,
    step_noise: Array,
    run: dict[str, Any],
    expected: dict[str, Array],
) -> None:
    """Run the loop a slice of one step at a time and compare every state."""
    schedule = latent_schedule(run["steps"], temperature=run["temperature"])
    guided = pipeline.is_guided(run["cfg"])
    weights = np.array([run["cfg"], 1 - run["cfg"]] if guided else [1.0])
    prepared = pipeline.graph("conditions").run(
        {"hidden": hidden, "branches": np.arange(len(weights)), "timesteps": schedule.timesteps}
    )
    x, x0 = noise, np.zeros_like(noise)
    for i in range(run["steps"]):
        state = pipeline.graph("sampler").run(
            {
                "x": x,
                "x0_previous": x0,
                "modulations": prepared["modulations"][i : i + 1],
                "schedule": schedule.coefficients[i : i + 1],
                "noise": step_noise[i : i + 1],
                "guidance_weights": weights,
            }
        )
        x, x0 = state["x_next"], state["x0"]
        for name, found in (("x_after_step", x), ("pred_x0", x0)):
            want = expected[f"{run['tag']}.{name}"][i, : len(x), 0]
            _close(found, want, SAMPLED, f"{run['tag']}.{name}[{i}]")


def _activations(
    model: MotionVae, features: Array, mask: Array, latents: Array
) -> dict[str, Array]:
    """Return the outputs of all blocks, (tokens, B, D), under the names of the recorded ones."""
    modules: dict[str, torch.nn.Module] = {"skel_embedding": model.skel_embedding}
    for short, stack in (("enc", model.encoder), ("dec", model.decoder)):
        modules[f"{short}_middle"] = stack.middle_block
        for kind, blocks in (
            ("input", stack.input_blocks),
            ("output", stack.output_blocks),
            ("skip_linear", stack.linear_blocks),
        ):
            modules |= {f"{short}_{kind}_{i}": block for i, block in enumerate(blocks)}
    found: dict[str, Array] = {}

    def remember(name: str) -> Any:
        def hook(_: Any, __: Any, output: torch.Tensor) -> None:
            found[name] = output.transpose(0, 1).numpy()

        return hook

    hooks = [module.register_forward_hook(remember(name)) for name, module in modules.items()]
    frame_mask = torch.from_numpy(mask)
    with torch.no_grad():
        model.encode(torch.from_numpy(features), frame_mask)
        model.decode(torch.from_numpy(latents), frame_mask)
    for hook in hooks:
        hook.remove()
    return found


def _byte_tokenizer(num_tokens: int, end_of_text: int) -> Tokenizer:
    """Make a byte-level tokenizer with GPT-2's ids for bytes, and its number of tokens."""
    bytes_in_order = _gpt2_bytes()
    vocabulary = {char: i for i, char in enumerate(bytes_in_order)}
    vocabulary |= {f"unused{i}": i for i in range(len(vocabulary), num_tokens)}
    del vocabulary[f"unused{end_of_text}"]
    vocabulary["<|endoftext|>"] = end_of_text
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    add_motion_tokens(tokenizer)
    return tokenizer


def _gpt2_bytes() -> list[str]:
    """Return the characters that stand for bytes, in the order of GPT-2's first 256 ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def _between_added(ids: list[int], first: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for i in ids:
        if i >= first:
            parts.append([])
        else:
            parts[-1].append(i)
    return parts


def _close(found: Any, want: Array, tolerance: float, label: str) -> None:
    """Compare within tolerance times max(1, largest expected value)."""
    array = np.asarray(found)
    assert array.shape == want.shape, f"{label}: {array.shape}, should be {want.shape}"
    atol = tolerance * max(1.0, float(np.abs(want).max(initial=0.0)))
    np.testing.assert_allclose(array, want, rtol=0, atol=atol, err_msg=label)
