"""ARDY's golden cases through the C library, by the tolerances of the modules for Python.

Clips go through the public functions; single windows, and those of a stream whose noise is given,
through a build of the library with functions of tests (parity.c). Not run: what is inside the
networks, which are the same graphs; clips whose windows look back at all there is, which no
runtime offers.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from parity import ardy, ardy_motion, c_library
from parity.c_library import Array, check, generate, library, pointer, skeleton_json

from motionrt import capi
from motionrt.runtime.ardy.pipeline import ArdyPipeline
from motionrt.runtime.body.skeleton import load_skeleton

FAMILIES = ("ardy",)
"""Golden folders whose cases are run here (see ``cases``)."""
RUNTIME = "c"
WHOLE = 1 << 20
"""Frames of history that are all there are; a multiple of those of any token."""


def pair(case: Path, content: Mapping[str, Any]) -> tuple[ArdyPipeline, capi.Pipeline]:
    """Export a case's checkpoint once; load it in both runtimes."""
    python = ardy.pipeline_of(case, content)
    assert python.bundle.folder is not None
    return python, c_library.pipeline(python.bundle.folder)


class Step(ctypes.Structure):
    """``step`` of parity.c."""

    _fields_ = (
        ("pipeline", ctypes.c_void_p),
        ("frames", ctypes.c_void_p),
        ("num_frames", ctypes.c_int32),
        ("playhead", ctypes.c_int32),
        ("constraints", ctypes.c_char_p),
        ("embedding", ctypes.c_void_p),
        ("embedding_mask", ctypes.c_void_p),
        ("noise", ctypes.c_void_p),
        ("place", ctypes.c_float * 2),
        ("heading", ctypes.c_float),
        ("num_steps", ctypes.c_int32),
        ("replan_frames", ctypes.c_int32),
        ("history_frames", ctypes.c_int32),
        ("future_frames", ctypes.c_int32),
        ("num_weights", ctypes.c_int32),
        ("weights", ctypes.c_float * 2),
        ("postprocess", ctypes.c_bool),
        ("root_margin", ctypes.c_double),
        ("span", ctypes.c_int32 * 4),
        ("made", ctypes.c_void_p),
        ("observed", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
    )


class Made:
    """What a step gave."""

    def __init__(
        self,
        pipelines: tuple[ArdyPipeline, capi.Pipeline],
        run: Mapping[str, Any],
        frames: Array,
        text: tuple[Array, Array],
        noise: Array,
        **given: Any,
    ) -> None:
        """Run one; text is a prompt's tokens and their mask, given are fields of ``step``."""
        python, found = pipelines
        sizes, width = python.sizes, python.features.width
        guidance = ardy.guidance_of(run)
        arrays = {
            "frames": frames,
            "embedding": text[0],
            "noise": noise,
            "made": np.zeros((sizes.horizon, width)),
            "observed": np.zeros((2 * sizes.window_frames(python.fps), width)),
            "mask": np.zeros((2 * sizes.window_frames(python.fps), width)),
        }
        kept = {name: np.ascontiguousarray(each, np.float32) for name, each in arrays.items()}
        mask = np.ascontiguousarray(text[1], np.uint8)
        step = Step(found._handle, num_frames=len(frames), embedding_mask=pointer(mask))
        step.num_steps = run["num_denoising_steps"]
        step.num_weights = len(guidance.weights)
        step.weights = (ctypes.c_float * 2)(*guidance.weights)
        for name, value in {**given, **{key: pointer(each) for key, each in kept.items()}}.items():
            setattr(step, name, value)
        library()
        check(library().test_stream_step(ctypes.byref(step)))
        self.span = tuple(step.span)
        self.new = kept["made"]
        self.observed = kept["observed"][: self.span[3]]
        self.mask = kept["mask"][: self.span[3]]
        self.place = np.array([step.place[0], 0, step.place[1]], np.float32)
        self.heading = float(step.heading)


def run_sample(case: Path) -> None:
    content, inputs, expected = ardy.read(case)
    pipelines = pair(case, content)
    width = pipelines[0].features.width
    for name, run in content["runs"].items():
        if f"{name}_features" not in expected:
            continue
        for index, row in enumerate(content["features_samples"][name]):
            frames = inputs["history"][row] if run["history"] else np.zeros((0, width))
            given: dict[str, Any] = {"playhead": len(frames) - 1, "history_frames": WHOLE}
            if not run["history"]:
                start = run["init_global_translation"][row]
                given["place"] = (ctypes.c_float * 2)(start[0], start[2])
                given["heading"] = np.broadcast_to(run.get("init_first_heading_angle", 0.0), 2)[row]
            text = inputs["text_feat"][row], inputs["text_pad_mask"][row]
            noise = inputs[f"noise_{name}"][row]
            made = Made(pipelines, run, frames, text, noise, **given)
            wanted = expected[f"{name}_features"][index, len(frames) :]
            ardy.close(made.new, wanted, **ardy.SAMPLED)


def run_constraints(case: Path) -> None:
    content, _, expected = ardy.read(case)
    pipelines = pair(case, content)
    frames, width = content["num_frames"], pipelines[0].features.width
    for name in content["sets"]:
        observed, mask = np.zeros((2, frames, width), np.float32)
        text = (case / f"{name}.json").read_bytes()
        handle = pipelines[1]._handle
        check(library().test_conditioning(handle, text, frames, pointer(observed), pointer(mask)))
        np.testing.assert_array_equal(mask, expected[f"{name}_mask"], err_msg=name)
        ardy.close(observed, expected[f"{name}_observed"], **ardy.CONDITIONING)


def run_rollout(case: Path) -> None:
    content, inputs, expected = ardy.read(case)
    _, found = pair(case, content)
    has_text = inputs["text_pad_mask"].any(axis=1)
    ran = 0
    for name, run in content["runs"].items():
        if run["crop_history_length"] is None:
            continue
        ran += 1
        request = {
            "prompts": content["prompts"],
            "num_frames": content["lengths"],
            "num_steps": content["num_denoising_steps"],
            "history_frames": run["crop_history_length"],
            "constraints": run["constraints"],
            "postprocess": False,
            **c_library.guidance(content["cfg_type"], ardy.guidance_of(content).weights or None),
        }
        if content["lengths"][1] < content["num_frames"] and run["constraints"]:
            # Constraints beyond the shorter clip are refused: each clip is as long as the longest.
            request["num_frames"] = [content["num_frames"]] * len(has_text)
        motions, _ = generate(
            found,
            request,
            case,
            embedding=inputs["text_feat"],
            num_embedding_tokens=inputs["text_feat"].shape[1],
            embedding_mask=inputs["text_pad_mask"],
            noise=inputs[f"noise_{name}"].ravel(),
            first_headings_rad=np.array(run["first_heading_angle"], np.float32),
        )
        for index, row in enumerate(content["features_samples"][name]):
            features = np.asarray(motions[row].features)
            wanted = expected[f"{name}_features"][index, : len(features)]
            ardy.close(features, wanted, **ardy.SAMPLED)
    assert ran


def run_stream(case: Path) -> None:
    content, inputs, expected = ardy.read(case)
    pipelines = pair(case, content)
    python = pipelines[0]
    known = {prompt: inputs[f"text_feat_{i}"] for i, prompt in enumerate(content["prompts"])}
    first = content["script"][0]
    place = (ctypes.c_float * 2)(*first["init_global_translation"][::2])
    frames = np.zeros((0, python.features.width), np.float32)
    for index, script in enumerate(content["script"]):
        prefix = f"step{index}"
        if script["restart_from_now"]:
            frames = frames[: script["playhead"] + 1]
        file = script["constraints"]
        made = Made(
            pipelines,
            content,
            frames,
            (known[script["prompt"]][0], np.ones(1)),
            inputs[f"{prefix}_noise"][0],
            playhead=script["playhead"],
            constraints=(case / file).read_bytes() if file else None,
            place=place,
            heading=first["init_first_heading_angle"],
            replan_frames=script["replan_buffer"],
            history_frames=script["history_crop"],
            future_frames=script["future_crop"],
            postprocess=script["postprocess"],
            root_margin=content["postprocess"]["root_margin"],
        )
        np.testing.assert_array_equal(made.span, expected[f"{prefix}_window"], err_msg=prefix)
        heading = np.array([made.heading])
        ardy.close(heading, expected[f"{prefix}_first_heading"].reshape(1), **ardy.PLACES)
        ardy.close(made.place, expected[f"{prefix}_translation"].reshape(3), **ardy.PLACES)
        if f"{prefix}_motion_mask" in expected:
            np.testing.assert_array_equal(made.mask, expected[f"{prefix}_motion_mask"][0])
            wanted = expected[f"{prefix}_observed"][0]
            ardy.close(made.observed, wanted, **ardy.CONDITIONING)
        wanted = expected[f"{prefix}_new_features"][0]
        if script["postprocess"]:
            ardy._close_corrected(python, made.new, wanted)
        else:
            ardy.close(made.new, wanted, **ardy.SAMPLED)
        frames = np.concatenate([frames[: made.span[1] + 1], made.new])
        assert len(frames) == int(expected[f"{prefix}_buffer_frames"])
    joints = python.features.decode(python.features.unnormalize(frames))["posed_joints"]
    ardy.close(joints[None], expected["final_posed_joints"], **ardy.GEOMETRY)


def run_postprocess(case: Path) -> None:
    content, inputs, expected = ardy.read(case)
    skeleton = load_skeleton(content["skeleton"])
    ran = 0
    for name, run in content["runs"].items():
        if run["contact_threshold"] != 0.5:
            continue  # no public function takes another
        ran += 1
        listed = json.loads((case / run["constraints"]).read_text()) if run["constraints"] else []
        constraints = json.dumps(listed[: run.get("first")]).encode()
        for row in range(len(inputs["root_positions"])):
            local, root = (
                np.array(inputs[key][row], np.float32, order="C")
                for key in ("local_rot_mats", "root_positions")
            )
            contacts = np.ascontiguousarray(inputs["contacts"][row] > 0.5)
            check(
                library().test_correct_ardy(
                    skeleton_json(content["skeleton"]),
                    constraints,
                    len(root),
                    run["root_margin"],
                    pointer(local),
                    pointer(root),
                    pointer(contacts),
                )
            )
            posed, _ = skeleton.forward_kinematics(local, root)
            limits = {
                "local_rot_mats": ardy_motion.CORRECTED_ROTATIONS,
                "root_positions": ardy_motion.CORRECTED_POSITIONS,
                "posed_joints": ardy_motion.CORRECTED_POSITIONS,
            }
            for values, (key, limit) in zip((local, root, posed), limits.items(), strict=True):
                ardy.close(values, expected[f"{name}_{key}"][row], atol=limit)
    assert ran


def run_schedule(case: Path) -> None:
    content, _, expected = ardy.read(case)
    for table in content["tables"]:
        name = table["name"]
        steps = table["num_denoising_steps"]
        timesteps, coefficients = c_library.schedule("ddim", table["num_base_steps"], steps)
        np.testing.assert_array_equal(timesteps[::-1], expected[f"{name}_timesteps"])
        kept = expected[f"{name}_alphas_cumprod"].astype(np.float64)
        before = expected[f"{name}_alphas_cumprod_prev"].astype(np.float64)
        a = np.sqrt((1 - before) / (1 - kept))
        b = np.sqrt(before) - a * np.sqrt(kept)
        ardy.close(coefficients[::-1, 0], a.astype(np.float32), atol=1e-6, rtol=1e-5)
        ardy.close(coefficients[::-1, 1], b.astype(np.float32), atol=1e-6, rtol=1e-5)
