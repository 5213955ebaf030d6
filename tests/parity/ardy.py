"""ARDY's networks, windows, clips and streams against recorded numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity import exported

from motionrt.export.readers.ardy import read_ardy
from motionrt.models.ardy import Denoiser, Places, attention_bias
from motionrt.runtime.ardy.constraints import conditioning, conditions_of
from motionrt.runtime.ardy.network import Text, Trace
from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.ardy.rollout import Window, extend, num_windows, roll_out
from motionrt.runtime.ardy.streaming import Settings, Stream, velocity_waypoints
from motionrt.runtime.constraints.files import read_constraints
from motionrt.runtime.constraints.kinds import Constraint
from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule

FAMILIES = ("ardy",)
"""Golden folders whose cases are run here (see ``cases``)."""

NETWORK = {"atol": 2e-4, "rtol": 2e-4}
"""The autoencoder and denoiser cases' README: one pass through a network."""
SAMPLED = {"atol": 3e-3, "rtol": 1e-3}
"""The sample, rollout and stream cases' README: several steps, which magnify rounding."""
GEOMETRY = {"atol": 1e-2}
"""Rotations and positions after sampling, by the same."""
CONDITIONING = {"atol": 1e-4, "rtol": 1e-4}
PLACES = {"atol": 1e-3}
"""Where windows begin (metres) and face (radians): the last frame of what was sampled before."""


def read(case: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return case.json, inputs and expected arrays."""
    content = json.loads((case / "case.json").read_text())
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as expected:
        return content, dict(inputs), dict(expected)


def pipeline_of(case: Path, content: Mapping[str, Any]) -> ArdyPipeline:
    return exported.ardy((case / content["checkpoint"]).resolve())


def guidance_of(content: Mapping[str, Any], mode: str | None = None) -> Guidance:
    """Read a case's guidance: one weight is no weight of constraints, where two are taken."""
    mode = mode or content["cfg_type"]
    weights = tuple(np.atleast_1d(content["cfg_weight"]).astype(float).tolist())
    if mode == "nocfg":
        return Guidance(mode)
    if mode == "regular":
        return Guidance(mode, weights[:1])
    return Guidance(mode, (*weights, 0.0)[:2])


def run_autoencoder(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    network, quantizer = pipeline.network, pipeline.network.quantizer
    size = pipeline.sizes.frames_per_token
    motion, frame_mask = inputs["motion_norm"], inputs["motion_pad_mask"]
    batch, frames, _ = motion.shape
    valid = frame_mask.reshape(batch, frames // size, size).all(-1)
    bodies = motion[..., 5:].reshape(batch, frames // size, -1)

    run = pipeline.graph("encoder").run({"bodies": bodies, "token_mask": valid})
    close(run["latents"], expected["encoder_output"], **NETWORK)
    np.testing.assert_allclose(quantizer.quantize(run["latents"]), expected["quantized"], atol=1e-6)
    close(quantizer.latents(run["latents"]), expected["tokens"], **NETWORK)
    tokens = network.encode(motion, frame_mask)
    root_width = pipeline.sizes.token_root_width
    close(
        tokens[..., root_width:],
        expected["tokens"] * valid[..., None].astype(np.float32),
        **NETWORK,
    )
    close(quantizer.requantized(inputs["latents"]), expected["requantized"], **NETWORK)

    lengths = np.array(content["lengths"])
    local = pipeline.features.normalized_local_root(motion[..., :5], lengths)
    close(local, expected["external_cond"], **NETWORK)
    root, body = network.decode_bodies(inputs["latents"], local, valid)
    close(root, expected["root"], **NETWORK)
    close(body, expected["body"], **NETWORK)
    _, body = network.decode_bodies(expected["tokens"], local, valid)
    close(body, expected["roundtrip_body"], **NETWORK)
    # The same by way of whole tokens.
    whole = np.concatenate(
        [motion[..., :5].reshape(batch, frames // size, -1), inputs["latents"]], -1
    )
    features = network.decode(whole, lengths)
    close(features[..., 5:], expected["body"], **NETWORK)
    np.testing.assert_array_equal(features[..., :5], motion[..., :5])
    _check_layers(
        case / content["checkpoint"],
        bodies,
        valid,
        quantizer.codes(inputs["latents"]),
        local.reshape(batch, frames // size, -1),
        expected,
    )


def _check_layers(
    checkpoint: Path,
    bodies: NDArray[Any],
    valid: NDArray[np.bool_],
    codes: NDArray[Any],
    local: NDArray[Any],
    expected: Mapping[str, NDArray[Any]],
) -> None:
    """Compare what happens inside the modules that were exported."""
    tokenizer = read_ardy(checkpoint.resolve()).tokenizer
    mask = torch.from_numpy(valid)
    with torch.no_grad():
        given = {
            "enc": tokenizer.encoder.embed(torch.from_numpy(bodies)),
            "dec": tokenizer.decoder.embed(torch.from_numpy(codes), torch.from_numpy(local)),
        }
        for name, part in (("enc", tokenizer.encoder), ("dec", tokenizer.decoder)):
            tokens = given[name]
            close(tokens.numpy(), expected[f"{name}_in"], **NETWORK)
            _through_layers(part, tokens, attention_bias(mask, part.causal), expected, name)


def _through_layers(
    part: torch.nn.Module,
    tokens: torch.Tensor,
    bias: torch.Tensor,
    expected: Mapping[str, NDArray[Any]],
    name: str,
) -> None:
    seen = []
    for layer in part.get_submodule("seqTransEncoder.layers").children():
        tokens = layer(tokens, bias)
        seen.append(tokens.numpy())
    close(seen[0], expected[f"{name}_layer_first"], **NETWORK)
    close(seen[-1], expected[f"{name}_layer_last"], **NETWORK)


def run_denoiser(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    text = pipeline.network.text(inputs["text_feat"], inputs["text_pad_mask"])
    weights = (content["cfg_weight_text"], content["cfg_weight_constraint"])
    runs = {"output": Guidance("nocfg")}
    runs |= {
        "nocfg": Guidance("nocfg"),
        "regular": Guidance("regular", weights[:1]),
        "separated": Guidance("separated", weights),
    }
    mask = inputs["motion_mask"]
    for key, guidance in runs.items():
        for constrained in (True, False):
            found = _denoised(pipeline, text, inputs, mask if constrained else 0 * mask, guidance)
            if key == "output":
                name = "withmask_output" if constrained else "nomask_output"
            else:
                name = f"guided_{key}" if constrained else f"guided_nomask_{key}"
            close(found, expected[name], **NETWORK)
    for constrained, prefix in ((True, "withmask"), (False, "nomask")):
        used = mask if constrained else 0 * mask
        _check_stages(case / content["checkpoint"], text, inputs, used, expected, prefix)


def _denoised(
    pipeline: ArdyPipeline,
    text: Text,
    inputs: Mapping[str, NDArray[Any]],
    mask: NDArray[Any],
    guidance: Guidance,
) -> NDArray[Any]:
    """Run the step's graph, one sample at a time: it has one timestep for its batch."""
    fixed = _constraint_inputs(pipeline, inputs, mask)
    branch = guidance_branches(guidance, True, bool(mask.any()))
    rows = []
    for row in range(len(inputs["x"])):
        one = slice(row, row + 1)
        x = inputs["x"][one]
        given = {
            "x": x,
            "x0_previous": np.zeros_like(x),
            "time_tokens": _time_tokens(pipeline)[inputs["timesteps"][row]],
            "coefficients": np.array([0, 1, 0], np.float32),
            "text_tokens": text.tokens[one],
            "text_mask": text.mask[one],
            "history_mask": inputs["history_token_mask"][one],
            "generation_mask": inputs["generation_token_mask"][one],
            "first_heading_rad": _headings(inputs)[one],
            "branch_text": branch[0],
            "branch_constraints": branch[1],
            "branch_weights": branch[2],
        }
        given |= {name: values[one] for name, values in fixed.items()}
        result = pipeline.graph("step").run(given)
        generated = inputs["generation_token_mask"][one][..., None]
        np.testing.assert_array_equal(result["x_next"], np.where(generated, result["x0"], x))
        rows.append(result["x0"])
    return np.concatenate(rows)


def _time_tokens(pipeline: ArdyPipeline) -> NDArray[Any]:
    return pipeline.bundle.read_tensors("statistics.safetensors")["time_tokens"]


def _headings(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    return inputs.get("first_heading_angle", np.zeros(len(inputs["x"]), np.float32))


def _constraint_inputs(
    pipeline: ArdyPipeline, inputs: Mapping[str, NDArray[Any]], mask: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Embed the constraints of a denoiser case by the bundle's graph."""
    batch, tokens, _ = inputs["x"].shape
    frames = mask.shape[1] // tokens
    observed = inputs["observed_motion"] * mask
    shape = (batch, tokens, -1)
    embedded = pipeline.graph("embed_constraints").run(
        {"motion_mask": mask.reshape(shape), "observed_motion": observed.reshape(shape)}
    )
    if not mask.any():  # no constraints at all: nothing to embed, as a window does
        embedded = {name: np.zeros_like(values) for name, values in embedded.items()}
    known = mask.reshape(batch, tokens, frames, -1).any(axis=(2, 3))
    return {
        "future_mask": inputs["future_token_mask"] & known,
        "root_mask": mask[..., :5].reshape(shape),
        "observed_root": observed[..., :5].reshape(shape),
        **embedded,
    }


def _check_stages(
    checkpoint: Path,
    text: Text,
    inputs: Mapping[str, NDArray[Any]],
    mask: NDArray[Any],
    expected: Mapping[str, NDArray[Any]],
    prefix: str,
) -> None:
    """Compare both stages of the module that was exported, token by token."""
    model = read_ardy(checkpoint.resolve()).denoiser
    batch, tokens, _ = inputs["x"].shape
    frames = mask.shape[1] // tokens
    grouped = torch.from_numpy(mask.reshape(batch, tokens, -1))
    observed = torch.from_numpy((inputs["observed_motion"] * mask).reshape(batch, tokens, -1))
    known = grouped.any(-1)
    places = Places(
        torch.from_numpy(inputs["history_token_mask"]),
        torch.from_numpy(inputs["generation_token_mask"]),
        torch.from_numpy(inputs["future_token_mask"]) & known,
    )
    stages: dict[str, dict[str, torch.Tensor]] = {}
    hooks = [
        stage.register_forward_hook(_keeper(stages, name), with_kwargs=False)
        for name, stage in (("root", model.root_model), ("body", model.body_model))
    ]
    root = (0, 1, 2, 3, 4)
    columns = [f * (mask.shape[2]) + k for f in range(frames) for k in root]
    with torch.no_grad():
        added, future = model.embed_constraints(grouped, observed)
        if not known.any():
            added, future = torch.zeros_like(added), torch.zeros_like(future)
        times = model.embed_timesteps(torch.from_numpy(inputs["timesteps"]))
        output = model(
            torch.from_numpy(inputs["x"]),
            places,
            torch.from_numpy(text.tokens),
            torch.from_numpy(text.mask),
            times,
            torch.from_numpy(_headings(inputs)),
            grouped[..., columns],
            observed[..., columns],
            added,
            future,
        )
        for hook in hooks:
            hook.remove()
        close(output.numpy(), expected[f"{prefix}_output"], **NETWORK)
        width = model.config.denoiser.latent_dim
        for index, (name, stage) in enumerate(
            (("root", model.root_model), ("body", model.body_model))
        ):
            seen = stages[name]
            close(seen["predicted"].numpy(), expected[f"{prefix}_{name}_pred"], **NETWORK)
            if f"{prefix}_{name}_tokens" not in expected:
                continue
            close(seen["given"].numpy(), expected[f"{prefix}_{name}_stage_input"], **NETWORK)
            time = times[:, None, index * width : (index + 1) * width]
            close(time.numpy(), expected[f"{prefix}_{name}_time_token"], **NETWORK)
            embedded, bias = stage.embed(*seen["arguments"])
            close(embedded.numpy(), expected[f"{prefix}_{name}_tokens"], **NETWORK)
            _through_layers(stage, embedded, bias, expected, f"{prefix}_{name}")
        _check_local_root(model, output, places, expected[f"{prefix}_local_root"])


def _keeper(stages: dict[str, Any], name: str) -> Any:
    def keep(_: torch.nn.Module, arguments: tuple[Any, ...], result: torch.Tensor) -> None:
        stages[name] = {"given": arguments[0], "arguments": arguments, "predicted": result}

    return keep


def _check_local_root(
    model: Denoiser, output: torch.Tensor, places: Places, expected: NDArray[Any]
) -> None:
    root = output[..., : model.config.token_root_width]
    local = model.to_local_root(root, places).reshape(expected.shape).numpy()
    inside = (places.history | places.generation).numpy()
    frames = np.repeat(inside, expected.shape[1] // inside.shape[1], axis=1)
    close(local[frames], expected[frames], **NETWORK)


def run_sample(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    network = pipeline.network
    text = network.text(inputs["text_feat"], inputs["text_pad_mask"])
    for name, run in content["runs"].items():
        windows: list[Window] = []
        trace = Trace()
        options: dict[str, Any] = {
            "guidance": guidance_of(run),
            "num_steps": run["num_denoising_steps"],
        }
        if run["history"]:
            options["history"] = inputs["history"]
        else:
            options["translation"] = np.array(run["init_global_translation"], np.float32)
            options["first_heading_rad"] = run.get("init_first_heading_angle", 0.0)
        features = extend(
            network, text, inputs[f"noise_{name}"], **options, on_window=windows.append, trace=trace
        )
        whole = extend(network, text, inputs[f"noise_{name}"], **options)
        np.testing.assert_array_equal(whole, features)
        close(trace.steps[0][1], expected[f"{name}_pred_first"], **SAMPLED)
        close(windows[0].tokens, expected[f"{name}_hybrid"], **SAMPLED)
        if f"{name}_x_steps" in expected:
            steps = np.stack([x[0] for x, _ in trace.steps])
            close(steps, expected[f"{name}_x_steps"], **SAMPLED)
        if run["history"]:
            before = inputs["history"].shape[1] // pipeline.sizes.frames_per_token
            tokens = windows[0].tokens[:, :before]
            close(tokens, expected[f"{name}_history_hybrid"], **NETWORK)
            close(windows[0].translation, expected[f"{name}_global_translation"], **NETWORK)
            if f"{name}_first_heading" in expected:
                close(windows[0].first_heading_rad, expected[f"{name}_first_heading"], **NETWORK)
        rows = content["features_samples"].get(name, [])
        if f"{name}_features" in expected:
            close(features[rows], expected[f"{name}_features"], **SAMPLED)
        if f"{name}_local_rot_mats" in expected:
            arrays = pipeline.features.decode(pipeline.features.unnormalize(features[rows]))
            for key in (
                "local_rot_mats",
                "posed_joints",
                "root_positions",
                "global_root_heading",
            ):
                close(arrays[key], expected[f"{name}_{key}"], **GEOMETRY)
            contacts = expected[f"{name}_foot_contacts"]
            np.testing.assert_array_equal(arrays["foot_contacts"], contacts)


def run_constraints(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    frames = content["num_frames"]
    for name in content["sets"]:
        constraints = read_constraints(case / f"{name}.json", pipeline.skeleton)
        observed, mask = conditioning(constraints, pipeline.features, frames)
        np.testing.assert_array_equal(mask, expected[f"{name}_mask"], err_msg=name)
        close(observed, expected[f"{name}_observed"], **CONDITIONING)
        if f"{name}_observed_norm" in expected:
            conditions = conditions_of([constraints], pipeline.features, frames)
            assert conditions is not None
            close(conditions.observed[0], expected[f"{name}_observed_norm"], **CONDITIONING)
    run = content["sample"]
    constraints = read_constraints(case / f"{run['set']}.json", pipeline.skeleton)
    trace, windows = Trace(), list[Window]()
    features = extend(
        pipeline.network,
        pipeline.network.text(inputs["text_feat"], inputs["text_pad_mask"]),
        inputs["noise"],
        guidance=guidance_of(run),
        num_steps=run["num_denoising_steps"],
        translation=np.array([run["init_global_translation"]], np.float32),
        first_heading_rad=run.get("init_first_heading_angle", 0.0),
        conditions=conditions_of([constraints], pipeline.features, frames),
        trace=trace,
        on_window=windows.append,
    )
    np.testing.assert_array_equal(trace.future_mask, expected["sample_future_token_mask"])
    assert trace.observed is not None
    close(trace.observed, expected["sample_observed"], **CONDITIONING)
    close(windows[0].tokens, expected["sample_hybrid"], **SAMPLED)
    close(features, expected["sample_features"], **SAMPLED)


def run_rollout(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    network, frames = pipeline.network, content["num_frames"]
    text = network.text(inputs["text_feat"], inputs["text_pad_mask"])
    for name, run in content["runs"].items():
        constraints: list[Constraint] = []
        if run["constraints"]:
            constraints = read_constraints(case / run["constraints"], pipeline.skeleton)
        history = inputs["init_history"] if run["init_history"] else None
        heading = run["first_heading_angle"]
        windows: list[Window] = []
        features = roll_out(
            network,
            text,
            list(inputs[f"noise_{name}"]),
            num_frames=frames,
            lengths=content["lengths"],
            guidance=guidance_of(content),
            num_steps=content["num_denoising_steps"],
            first_heading_rad=0.0 if heading is None else heading,
            history=history,
            conditions=conditions_of([constraints] * len(text.tokens), pipeline.features, frames),
            crop_history=run["crop_history_length"],
            on_window=windows.append,
        )
        before = 0 if history is None else history.shape[1]
        assert len(windows) == run["windows"]
        assert num_windows(frames, content["gen_horizon_len"], before) == run["windows"]
        moved = np.stack([window.translation for window in windows])
        close(moved, expected[f"{name}_window_translation"], **PLACES)
        if f"{name}_window_heading" in expected:
            headings = np.stack([window.first_heading_rad for window in windows])
            close(headings, expected[f"{name}_window_heading"], **PLACES)
        close(windows[-1].tokens, expected[f"{name}_last_hybrid"], **SAMPLED)
        rows = content["features_samples"][name]
        close(features[rows], expected[f"{name}_features"], **SAMPLED)


def run_stream(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = pipeline_of(case, content)
    network, features = pipeline.network, pipeline.features
    assert pipeline.sizes.horizon == content["gen_horizon_len"]
    assert pipeline.sizes.window_frames(pipeline.fps) == content["max_window_len"]
    known = {prompt: inputs[f"text_feat_{i}"] for i, prompt in enumerate(content["prompts"])}
    first = content["script"][0]
    stream = Stream(
        network,
        pipeline.fps,
        np.array(first["init_global_translation"], np.float32),
        first["init_first_heading_angle"],
    )
    for index, script in enumerate(content["script"]):
        prefix = f"step{index}"
        embedding = known[script["prompt"]]
        if script["restart_from_now"]:
            stream.buffer.replace(script["playhead"] + 1, stream.buffer.features[:0])
        constraints: list[Constraint] = []
        if script["constraints"]:
            constraints = read_constraints(case / script["constraints"], pipeline.skeleton)
        assert content["postprocess"]["contact_threshold"] == 0.5
        stepped = stream.step(
            script["playhead"],
            network.text(embedding, np.ones(embedding.shape[:2], np.bool_)),
            inputs[f"{prefix}_noise"],
            constraints,
            Settings(
                guidance_of(content),
                content["num_denoising_steps"],
                replan_frames=script["replan_buffer"],
                history_frames=script["history_crop"],
                future_frames=script["future_crop"],
                postprocess=script["postprocess"],
                root_margin=content["postprocess"]["root_margin"],
            ),
        )
        span, window = stepped.span, stepped.window
        seen = (span.start, span.last_kept, span.history_frames, span.num_frames)
        np.testing.assert_array_equal(seen, expected[f"{prefix}_window"], err_msg=prefix)
        close(window.first_heading_rad, expected[f"{prefix}_first_heading"], **PLACES)
        close(window.translation, expected[f"{prefix}_translation"], **PLACES)
        if f"{prefix}_motion_mask" in expected:
            mask = expected[f"{prefix}_motion_mask"][0]
            assert stepped.observed is not None
            np.testing.assert_array_equal(stepped.mask, mask, err_msg=prefix)
            close(stepped.observed, expected[f"{prefix}_observed"][0], **CONDITIONING)
        wanted = expected[f"{prefix}_new_features"][0]
        if script["postprocess"]:
            _close_corrected(pipeline, stepped.new, wanted)
        else:
            close(stepped.new, wanted, **SAMPLED)
        assert stream.buffer.end == int(expected[f"{prefix}_buffer_frames"])
    unnormalized = features.unnormalize(stream.buffer.features)
    joints = features.decode(unnormalized)["posed_joints"]
    close(joints[None], expected["final_posed_joints"], **GEOMETRY)
    velocity = content["velocity"]
    now = velocity["current_frame"]
    root = expected["final_posed_joints"][0, : now + 1, 0]
    frames, places, headings = velocity_waypoints(
        root,
        now,
        velocity["target_velocity"],
        pipeline.fps,
        velocity["transition_seconds"],
        velocity["waypoint_interval"],
    )
    np.testing.assert_array_equal(frames, expected["velocity_frames"])
    close(places, expected["velocity_root_pos"], **CONDITIONING)
    close(headings, expected["velocity_heading"], **CONDITIONING)


def _close_corrected(pipeline: ArdyPipeline, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Compare corrected frames by where joints are: the correction is good to millimetres."""
    features = pipeline.features
    ours, theirs = (features.decode(features.unnormalize(each)) for each in (found, wanted))
    close(ours["posed_joints"], theirs["posed_joints"], **GEOMETRY)
    close(ours["root_positions"], theirs["root_positions"], atol=2e-3)


def run_schedule(case: Path) -> None:
    content, _, expected = read(case)
    for table in content["tables"]:
        steps = table["num_denoising_steps"]
        name = table["name"]
        made = cosine_schedule(table["num_base_steps"], steps)
        np.testing.assert_array_equal(made.timesteps[::-1], expected[f"{name}_timesteps"])
        kept = expected[f"{name}_alphas_cumprod"].astype(np.float64)
        before = expected[f"{name}_alphas_cumprod_prev"].astype(np.float64)
        a = np.sqrt((1 - before) / (1 - kept))
        b = np.sqrt(before) - a * np.sqrt(kept)
        close(made.coefficients[::-1, 0], a.astype(np.float32), atol=1e-6, rtol=1e-5)
        close(made.coefficients[::-1, 1], b.astype(np.float32), atol=1e-6, rtol=1e-5)


def close(
    found: NDArray[Any], expected: NDArray[Any], atol: float = 0.0, rtol: float = 0.0
) -> None:
    assert found.shape == expected.shape, (found.shape, expected.shape)
    np.testing.assert_allclose(found, expected, atol=atol, rtol=rtol)
