"""Kimodo's denoiser, sampler, decoder and schedule against recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity import exported

from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.sampling import schedule
from motionrt.runtime.sampling.guidance import Guidance

FAMILIES = ("kimodo",)
"""Golden folders whose cases are run here (see ``cases``)."""

NETWORK = {"atol": 2e-4, "rtol": 2e-4}
"""The forward cases' README: one pass through the network."""
SAMPLED = {"atol": 3e-3, "rtol": 1e-3}
"""The sample cases' README: a sampling run, which magnifies rounding."""
GEOMETRY = 1e-4
SAMPLED_GEOMETRY = 1e-2
SAMPLED_GEOMETRY_999 = 2e-3
"""Rotations and positions after sampling: all, and 99.9 % of them."""
OUTPUTS = ("local_rot_mats", "global_rot_mats", "posed_joints")
GLOBAL_ROOT_WIDTH = 5


def read(case: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return case.json, inputs and expected arrays."""
    content = json.loads((case / "case.json").read_text())
    with np.load(case / "inputs.npz") as inputs, np.load(case / "expected.npz") as expected:
        return content, dict(inputs), dict(expected)


def run_forward(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = exported.kimodo((case / content["checkpoint"]).resolve())
    step = pipeline.graph("step")
    zeros = np.zeros_like(inputs["x"])
    for prefix, mask, observed in (
        ("withmask", inputs["motion_mask"], inputs["observed_motion"]),
        ("nomask", zeros, zeros),
    ):
        rows = []
        for row in range(len(inputs["x"])):  # a step has one timestep for its batch
            one = slice(row, row + 1)
            rows.append(
                step.run(
                    {
                        "x": inputs["x"][one],
                        "x0_previous": zeros[one],
                        "timestep": inputs["timesteps"][one],
                        "coefficients": np.array([0, 1, 0], np.float32),
                        "text_features": inputs["text_feat"][one],
                        "text_mask": inputs["text_pad_mask"][one],
                        "frame_mask": inputs["x_pad_mask"][one],
                        "first_heading_rad": inputs["first_heading_angle"][one],
                        "motion_mask": mask[one],
                        "observed_motion": observed[one],
                        "branch_text": np.ones(1, np.float32),
                        "branch_constraints": np.ones(1, np.float32),
                        "branch_weights": np.zeros(1, np.float32),
                    }
                )
            )
        for name in ("x_next", "x0"):
            output = np.concatenate([result[name] for result in rows])
            close(output, expected[f"{prefix}_output"], **NETWORK)
        close(output[..., :GLOBAL_ROOT_WIDTH], expected[f"{prefix}_root_pred"], **NETWORK)
        if f"{prefix}_body_pred" in expected:
            close(output[..., GLOBAL_ROOT_WIDTH:], expected[f"{prefix}_body_pred"], **NETWORK)
    _check_intermediates(case / content["checkpoint"], inputs, expected)


def _check_intermediates(
    checkpoint: Path, inputs: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Compare what happens inside the module that was exported, token by token."""
    model = read_kimodo(checkpoint.resolve()).model
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    mask, observed = tensors["motion_mask"], tensors["observed_motion"]
    conditions = (
        tensors["x_pad_mask"],
        tensors["text_feat"],
        tensors["text_pad_mask"],
        tensors["timesteps"],
        tensors["first_heading_angle"],
    )
    with torch.no_grad():
        x = tensors["x"] * (1 - mask) + observed * mask
        root = model.root_model(torch.cat((x, mask), -1), *conditions)
        local_root = model.to_local_root(root, tensors["x_pad_mask"])
        close(local_root.numpy(), expected["withmask_local_root"], **NETWORK)
        stages = {
            "root": (model.root_model, torch.cat((x, mask), -1)),
            "body": (
                model.body_model,
                torch.cat((local_root, x[..., GLOBAL_ROOT_WIDTH:], mask), -1),
            ),
        }
        for name, (stage, motion) in stages.items():
            tokens, bias = stage.embed(motion, *conditions)
            close(tokens.numpy(), expected[f"withmask_{name}_tokens"], **NETWORK)
            layers = stage.get_submodule("seqTransEncoder.layers")
            for index, layer in enumerate(layers.children()):
                tokens = layer(tokens, bias)
                key = f"withmask_{name}_layer{index}"
                if key in expected:
                    close(tokens.numpy(), expected[key], **NETWORK)


def run_sample(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = exported.kimodo((case / content["checkpoint"]).resolve())
    # What the encoder says of a blank prompt must not reach the result.
    has_text = np.array([bool(text) for text in content["sanitized"]])
    text_mask = np.repeat(has_text[:, None], inputs["text_feat"].shape[1], axis=1)
    for mode, weight in content["cfg"].items():
        weights = () if weight is None else tuple(np.atleast_1d(weight).tolist())
        trace: list[tuple[NDArray[Any], NDArray[Any]]] = []
        arguments = {
            "text_features": inputs["text_feat"],
            "text_mask": text_mask,
            "noise": inputs["noise"],
            "lengths": inputs["num_frames"],
            "first_heading_rad": inputs["first_heading_angle"],
            "guidance": Guidance(mode, weights),
            "num_steps": content["num_denoising_steps"],
        }
        lengths = inputs["num_frames"]
        sampled = pipeline.sample(**arguments)
        features = whole(sampled, expected[f"{mode}_features"], lengths)
        close(features, expected[f"{mode}_features"], **SAMPLED)

        def keep(_: int, x: NDArray[Any], x0: NDArray[Any], trace: Any = trace) -> None:
            trace.append((x, x0))

        sliced = pipeline.sample(**arguments, on_step=keep)
        np.testing.assert_array_equal(sliced, sampled)
        first = expected[f"{mode}_pred_first"]
        close(whole(trace[0][1], first, lengths), first, **SAMPLED)
        if f"{mode}_x_steps" in expected:
            steps = np.stack([x[0] for x, _ in trace])
            close(steps, expected[f"{mode}_x_steps"], **SAMPLED)
        if f"{mode}_local_rot_mats" in expected:
            arrays = pipeline.decode(features)
            for name in (*OUTPUTS, "root_positions", "smooth_root_pos", "global_root_heading"):
                difference = np.abs(arrays[name] - expected[f"{mode}_{name}"])
                assert difference.max() < SAMPLED_GEOMETRY, name
                assert np.quantile(difference, 0.999) < SAMPLED_GEOMETRY_999, name
            contacts = expected[f"{mode}_foot_contacts"]
            np.testing.assert_array_equal(arrays["foot_contacts"], contacts)
    one = pipeline.sample(
        inputs["text_feat"][:1],
        inputs["noise"][:1],
        text_mask=text_mask[:1],
        lengths=inputs["num_frames"][:1],
        guidance=Guidance("separated", tuple(content["cfg"]["separated"])),
        num_steps=1,
    )
    close(one, expected["onestep_features"], **SAMPLED)


def run_decode(case: Path) -> None:
    content, inputs, expected = read(case)
    pipeline = exported.kimodo((case / content["checkpoint"]).resolve())
    arrays = pipeline.decode(inputs["features_norm"])
    expanded = pipeline.skeleton != pipeline.native_skeleton
    for name in OUTPUTS:
        native = arrays[f"native_{name}"] if expanded else arrays[name]
        close(native, expected[f"dec_{name}"], atol=GEOMETRY)
        if expanded:
            close(arrays[name], expected[f"out77_{name}"], atol=GEOMETRY)
    for name in ("root_positions", "smooth_root_pos", "global_root_heading"):
        close(arrays[name], expected[f"dec_{name}"], atol=GEOMETRY)
    np.testing.assert_array_equal(arrays["foot_contacts"], expected["dec_foot_contacts"])


def run_schedule(case: Path) -> None:
    _, inputs, expected = read(case)
    for key in expected:
        if not key.endswith("_betas"):
            continue
        base = key.removesuffix("_betas")
        num_base_steps = int(base.removeprefix("base"))
        betas = schedule.cosine_betas(num_base_steps)
        alphas = schedule.alphas_cumprod(betas)
        close(betas, expected[key], rtol=1e-6)
        close(alphas, expected[f"{base}_alphas_cumprod"], rtol=1e-6)
        for name in expected:
            if name.startswith(f"{base}_n") and name.endswith("_timesteps"):
                prefix = name.removesuffix("_timesteps")
                num_steps = int(prefix.removeprefix(f"{base}_n"))
                steps = schedule.respaced_timesteps(num_base_steps, num_steps)
                np.testing.assert_array_equal(steps, expected[name])
                kept = schedule.respaced_alphas_cumprod(alphas, steps)
                before = np.concatenate((np.ones(1, np.float32), kept[:-1]))
                close(kept, expected[f"{prefix}_alphas_cumprod"], rtol=1e-6)
                close(before, expected[f"{prefix}_alphas_cumprod_prev"], rtol=1e-6)
                close(
                    np.sqrt(1 / kept),
                    expected[f"{prefix}_sqrt_recip_alphas_cumprod"],
                    rtol=1e-6,
                )
                close(
                    np.sqrt(1 / kept.astype(np.float64) - 1),
                    expected[f"{prefix}_sqrt_recipm1_alphas_cumprod"],
                    rtol=1e-5,
                )
    updates = expected["ddim_all"]
    table = schedule.cosine_schedule(1000, len(updates)).coefficients[::-1]
    for row, update in zip(table, updates, strict=True):
        found = row[0] * inputs["x_t"] + row[1] * inputs["pred_xstart"]
        close(found, update, atol=1e-6)


def whole(found: NDArray[Any], expected: NDArray[Any], lengths: Any) -> NDArray[Any]:
    """Return found (B, T, D) with the frames beyond each motion's length as they are expected.

    On a GPU frames are rounded up, so that motions share a recording, and what lies beyond a
    motion's end, which nothing reads, is of more frames than upstream had.
    """
    if exported.BACKENDS["networks"] == "cpu":
        return found
    beyond = np.arange(found.shape[1]) >= np.asarray(lengths)[:, None]
    return np.where(beyond[..., None], expected, found)


def close(
    found: NDArray[Any], expected: NDArray[Any], atol: float = 0.0, rtol: float = 0.0
) -> None:
    np.testing.assert_allclose(found, expected, atol=atol, rtol=rtol)
