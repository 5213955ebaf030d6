"""Golden cases through the C library, by the tolerances of the modules that run them in Python.

Whole runs go through the public functions. What passes the graphs on the way, and parts that no
public function gives, come from a build of the library with functions of tests (parity.c). Not run:
files of formats that it does not write (NPZ, CSV and AMASS hold the arrays that are compared).
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from c_builds import build_library
from numpy.typing import NDArray
from parity import exported, kimodo, kimodo_controls, kimodo_motion, motiongpt3

from motionrt import capi
from motionrt.capi.motion import motions_of
from motionrt.capi.options import GenerateKeywords
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton, skeleton_asset
from motionrt.runtime.kimodo.pipeline import KimodoPipeline

FAMILIES = ("kimodo", "kimodo-cli", "motiongpt3", "text-encoders")
"""Golden folders whose cases are run here (see ``cases``)."""
RUNTIME = "c"

Array = NDArray[Any]
Call = tuple[dict[str, Any], Array]
BVH_OFFSET_CM = 2e-5
"""Its bones are differences of a rest pose in single precision, metres: 1.2e-7 of each."""
TYPES = {1: np.float32, 7: np.int64, 9: np.bool_}
"""Element types by ONNX Runtime's numbers."""
TELL = ctypes.CFUNCTYPE(
    None,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int64),
    ctypes.c_void_p,
)
_P, _S, _I, _D = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_double
SIGNATURES = {
    "test_listen": [TELL],
    "test_word": [_P],
    "test_conditioning": [_P, _S, _I, _P, _P],
    "test_correct": [_S, _S, _I, _D, _P, _P, _P],
    "test_correct_ardy": [_S, _S, _I, _D, _P, _P, _P],
    "test_stream_step": [_P],
    "test_motion": [_S, _I, _D, _P, _P, _P],
    "test_generate": [_P, _S, _S, _P, _D, _P],
    "test_schedule": [_S, _I, _I, _P, _P],
    "test_smooth_root": [_P, _I, _P],
    "test_clean_prompt": [_S, _S, ctypes.c_size_t],
}
"""What the functions of tests take; all return a status."""
MOTION_ARRAYS = {
    "root_positions": "root_positions",
    "posed_joints": "global_positions",
    "smooth_root_pos": "smooth_root",
    "global_root_heading": "heading",
    "foot_contacts": "foot_contacts",
}
"""Python's names of a motion's arrays, and the C library's."""


@lru_cache(maxsize=1)
def library() -> Any:
    """Build the library with functions of tests, and make it that of the mirror."""
    assert not capi.library.cache_info().currsize, "run the parity tests of C by themselves"
    os.environ["MOTIONRT_LIBRARY"] = str(build_library("-O2", internals=True))
    loaded = capi.library()
    for name, arguments in SIGNATURES.items():
        getattr(loaded, name).argtypes = arguments
    return loaded


@lru_cache(maxsize=32)
def pipeline(bundle: Path) -> capi.Pipeline:
    library()
    return capi.Pipeline(bundle)


def kimodo_pair(case: Path, content: dict[str, Any]) -> tuple[KimodoPipeline, capi.Pipeline]:
    """Export a case's checkpoint once; load it in both runtimes."""
    python = exported.kimodo((case / content["checkpoint"]).resolve())
    assert python.bundle.folder is not None
    return python, pipeline(python.bundle.folder)


# Kimodo


def run_sample(case: Path) -> None:
    content, inputs, expected = kimodo.read(case)
    _, found = kimodo_pair(case, content)
    has_text = np.array([bool(text) for text in content["sanitized"]])
    num_tokens = inputs["text_feat"].shape[1]
    given = {
        # What the encoder says of a blank prompt must not reach the result.
        "embedding": inputs["text_feat"],
        "num_embedding_tokens": num_tokens,
        "embedding_mask": np.repeat(has_text[:, None], num_tokens, axis=1),
        "noise": inputs["noise"],
        "first_headings_rad": inputs["first_heading_angle"],
    }
    lengths = inputs["num_frames"].tolist()
    steps = content["num_denoising_steps"]
    request = {"prompts": content["prompts"], "num_frames": lengths, "num_steps": steps}
    for mode, weight in content["cfg"].items():
        told = {**request, **guidance(mode, weight), "multi_prompt": False, "postprocess": False}
        motions, calls = generate(found, told, case, **given)
        features = calls[0][1]
        kimodo.close(features, expected[f"{mode}_features"], **kimodo.SAMPLED)
        trace = calls[0][0]["trace"]
        kimodo.close(trace[0][1], expected[f"{mode}_pred_first"], **kimodo.SAMPLED)
        if f"{mode}_x_steps" in expected:
            states = np.stack([x[0] for x, _ in trace])
            kimodo.close(states, expected[f"{mode}_x_steps"], **kimodo.SAMPLED)
        for row, (motion, length) in enumerate(zip(motions, lengths, strict=True)):
            np.testing.assert_array_equal(motion.features, features[row, :length])
            if f"{mode}_local_rot_mats" not in expected:
                continue
            arrays = arrays_of(motion)
            for name in arrays.keys() - {"foot_contacts"}:
                difference = np.abs(arrays[name] - expected[f"{mode}_{name}"][row, :length])
                assert difference.max() < kimodo.SAMPLED_GEOMETRY, name
                assert np.quantile(difference, 0.999) < kimodo.SAMPLED_GEOMETRY_999, name
            contacts = expected[f"{mode}_foot_contacts"][row, :length]
            np.testing.assert_array_equal(arrays["foot_contacts"], contacts)
    first = {"prompt": "walks", "num_frames": inputs["noise"].shape[1], "num_steps": 1}
    told = {**first, **guidance("separated", content["cfg"]["separated"]), "postprocess": False}
    if lengths[0] == inputs["noise"].shape[1]:
        given |= {name: given[name][:1] for name in ("embedding", "embedding_mask", "noise")}
        given["first_headings_rad"] = [0.0]
        _, calls = generate(found, told, case, **given)
        kimodo.close(calls[0][1], expected["onestep_features"], **kimodo.SAMPLED)


def run_constraints(case: Path) -> None:
    content, inputs, expected = kimodo_controls.read(case)
    python, found = kimodo_pair(case, content)
    width = python.features.width
    frames, steps = content["num_frames"], content["num_denoising_steps"]
    weights = content["cfg_weight"]
    runs = [(name, name, guidance(content["cfg_type"], weights)) for name in content["sets"]]
    runs.append(("overlap", "overlap_nocfg", guidance("nocfg", None)))
    runs.append(("overlap", "overlap_regular", guidance("regular", 2.5)))
    for name, result, guided in runs:
        observed, mask = np.zeros((2, frames, width), np.float32)
        text = (case / f"{name}.json").read_bytes()
        check(
            library().test_conditioning(
                found._handle, text, frames, pointer(observed), pointer(mask)
            )
        )
        np.testing.assert_array_equal(mask, expected[f"{name}_mask"])
        limit = kimodo_controls.CONDITIONING
        kimodo_controls.close(observed, expected[f"{name}_observed"], atol=limit)
        if f"{result}_features" not in expected:
            continue
        request = {
            "prompt": "A person walks",
            "num_frames": frames,
            "num_steps": steps,
            "constraints": f"{name}.json",
            "first_heading_rad": content["first_heading_angle"],
            "postprocess": False,
            "multi_prompt": False,
            **guided,
        }
        embedding, noise = inputs["text_feat_walks"], inputs["noise"]
        _, calls = generate(found, request, case, embedding=embedding, noise=noise)
        np.testing.assert_array_equal(calls[0][0]["motion_mask"][0], mask)
        if f"{name}_observed_norm" in expected:
            normalised = calls[0][0]["observed_motion"][0]
            wanted = expected[f"{name}_observed_norm"]
            kimodo_controls.close(normalised, wanted, atol=limit, rtol=1e-5)
        wanted = expected[f"{result}_features"]
        kimodo_controls.close(calls[0][1], wanted, **kimodo_controls.FEATURES)


def run_multiprompt(case: Path) -> None:
    content, inputs, expected = kimodo_controls.read(case)
    _, found = kimodo_pair(case, content)
    has_text = np.array([bool(text) for text in content["sanitized"]])
    embedding = inputs["text_feat"].reshape(len(has_text), -1) * has_text[:, None]
    for run, settings in content["runs"].items():
        share = content["percentage_transition_override"] if settings["share_transition"] else 0.0
        noises = [inputs[f"noise_{run}_{i}"].ravel() for i in range(len(has_text))]
        request = {
            "prompts": content["prompts"],
            "num_frames": content["num_frames"],
            "num_samples": content["num_samples"],
            "num_steps": content["num_denoising_steps"],
            "num_transition_frames": content["num_transition_frames"],
            "constraints": settings["constraints"],
            "postprocess": False,
            **guidance(content["cfg_type"], content["cfg_weight"]),
        }
        given = {
            "embedding": embedding,
            "noise": np.concatenate(noises),
            "first_headings_rad": np.broadcast_to(
                inputs["first_heading_angle"], content["num_samples"]
            ),
        }
        motions, calls = generate(found, request, case, share, **given)
        assert len(calls) == len(has_text)
        for index, (entered, features) in enumerate(calls):
            prefix = f"seg_{run}_{index}"
            wanted = expected[f"{prefix}_features"]
            kimodo_controls.close(features[:1], wanted, **kimodo_controls.FEATURES)
            heading = expected[f"{prefix}_heading"]
            kimodo_controls.close(entered["first_heading_rad"], heading, atol=1e-3)
            if f"{prefix}_mask" in expected:
                mask = entered["motion_mask"][:1]
                np.testing.assert_array_equal(mask, expected[f"{prefix}_mask"])
                observed = entered["observed_motion"][:1] * mask
                limit = kimodo_controls.SEQUENCE_OBSERVED
                kimodo_controls.close(observed, expected[f"{prefix}_observed"], atol=limit)
        stacked = [arrays_of(motion) for motion in motions]
        limits = (kimodo_controls.DECODED, kimodo_controls.DECODED_999)
        for name in kimodo_controls.COMMAND_ARRAYS:
            if f"{run}_{name}" in expected:
                wanted = expected[f"{run}_{name}"]
                values = np.stack([arrays[name] for arrays in stacked])[: len(wanted)]
                kimodo_controls.within(values, wanted, limits, name)
        contacts = np.stack([arrays["foot_contacts"] for arrays in stacked])
        np.testing.assert_array_equal(contacts, expected[f"{run}_foot_contacts"])


def run_postprocess(case: Path) -> None:
    content, inputs, expected = kimodo_controls.read(case)
    for name in content["sets"]:
        constraints = (case / f"{name}.json").read_bytes()
        for row in range(len(expected[f"{name}_root_positions"])):
            check_correction(
                content["skeleton"],
                constraints,
                {key: inputs[key][row] for key in inputs},
                {
                    key: expected[f"{name}_{key}"][row]
                    for key in ("local_rot_mats", "root_positions", "posed_joints")
                    if f"{name}_{key}" in expected
                },
                content["root_margin"][name],
            )


def check_correction(
    skeleton_name: str,
    constraints: bytes,
    before: dict[str, Array],
    after: dict[str, Array],
    root_margin: float,
) -> None:
    local, root = (
        np.array(before[name], np.float32, order="C")
        for name in ("local_rot_mats", "root_positions")
    )
    contacts = np.ascontiguousarray(before["foot_contacts"], np.bool_)
    check(
        library().test_correct(
            skeleton_json(skeleton_name),
            constraints,
            len(root),
            root_margin,
            pointer(local),
            pointer(root),
            pointer(contacts),
        )
    )
    rotations, positions = (
        kimodo_controls.CORRECTED_ROTATIONS,
        kimodo_controls.CORRECTED_POSITIONS,
    )
    kimodo_controls.close(local, after["local_rot_mats"], atol=rotations)
    kimodo_controls.close(root, after["root_positions"], atol=positions)
    if "posed_joints" in after:
        posed, _ = load_skeleton(skeleton_name).forward_kinematics(local, root)
        kimodo_controls.close(posed, after["posed_joints"], atol=positions)


def run_kimodo_cli(case: Path) -> None:
    """Ask for what the recorded command asks for, by a JSON request."""
    content = json.loads((case / "case.json").read_text())
    encoder, resolved = content["text_encoder"], content["resolved"]
    parts = [(case / encoder[name]).resolve() for name in ("base", "mntp", "supervised")]
    python = exported.kimodo((case / content["checkpoint"]).resolve(), *parts)
    assert python.bundle.folder is not None
    arguments = content["argv"]
    request = {
        "prompt": arguments[1],
        "seconds": arguments[arguments.index("--duration") + 1],
        "seed": content["seed"],
        "num_samples": resolved["num_samples"],
        "num_steps": resolved["diffusion_steps"],
        "constraints": resolved["constraints"],
        "num_transition_frames": resolved["num_transition_frames"],
        "postprocess": resolved["post_processing"],
        **guidance(resolved["cfg_type"], resolved["cfg_weight"]),
    }
    motions, calls = generate(pipeline(python.bundle.folder), request, case)
    with np.load(case / "diagnosis.npz") as stored:
        diagnosis = dict(stored)
    kimodo_controls._check_steps(case, content, diagnosis, calls)
    file = resolved["constraints"]
    constraints = b"[]" if file is None else (case / file).read_bytes()
    for row in range(len(diagnosis.get("pre_local_rot_mats", ()))):
        before, after = (
            {key.removeprefix(prefix): diagnosis[key][row] for key in diagnosis if prefix in key}
            for prefix in ("pre_", "post_")
        )
        check_correction(content["skeleton"], constraints, before, after, root_margin=0.04)
    arrays = [name for name in content["output_files"] if name.endswith(".npz")]
    arrays = [name for name in arrays if not name.endswith("_amass.npz")]
    assert len(arrays) == len(motions)
    for name, motion in zip(arrays, motions, strict=True):
        with np.load(case / name) as wanted:
            kimodo_controls._check_npz(arrays_of(motion), dict(wanted))
        bvh = Path(name).with_suffix(".bvh")
        if str(bvh) in content["output_files"]:
            with tempfile.TemporaryDirectory() as folder:
                motion.save(Path(folder) / "motion.bvh")
                got = (Path(folder) / "motion.bvh").read_text()
            recorded = (case / bvh).read_text()
            kimodo_controls._check_bvh(with_head_of(recorded, got), recorded)


def run_schedule(case: Path) -> None:
    """Compare timesteps and coefficients, which hold what the tables say."""
    _, inputs, expected = kimodo.read(case)
    for name in expected:
        if not name.endswith("_timesteps"):
            continue
        prefix = name.removesuffix("_timesteps")
        base, _, count = prefix.removeprefix("base").partition("_n")
        timesteps, coefficients = schedule("ddim", int(base), int(count))
        np.testing.assert_array_equal(timesteps[::-1], expected[name])
        kept, before = (
            expected[f"{prefix}_alphas_cumprod{end}"].astype(np.float64) for end in ("", "_prev")
        )
        of_x = np.sqrt((1 - before) / (1 - kept))
        of_x0 = np.sqrt(before) - of_x * np.sqrt(kept)
        kimodo.close(coefficients[::-1, 0], of_x, rtol=1e-5)
        kimodo.close(coefficients[::-1, 1], of_x0, rtol=1e-5, atol=1e-6)
    updates = expected["ddim_all"]
    _, coefficients = schedule("ddim", 1000, len(updates))
    for row, update in zip(coefficients[::-1], updates, strict=True):
        found = row[0] * inputs["x_t"] + row[1] * inputs["pred_xstart"]
        kimodo.close(found, update, atol=1e-6)


def schedule(solver: str, base: int, count: int) -> tuple[Array, Array]:
    timesteps, coefficients = np.empty(count, np.int64), np.empty((count, 3), np.float32)
    name = solver.encode()
    check(library().test_schedule(name, base, count, pointer(timesteps), pointer(coefficients)))
    return timesteps, coefficients


def run_smooth_root(case: Path) -> None:
    _, inputs, expected = kimodo_motion._load(case)
    for name, root in inputs.items():
        rows = np.ascontiguousarray(root, np.float32).reshape(-1, *root.shape[-2:])
        result = np.empty_like(rows)
        for row, into in zip(rows, result, strict=True):
            check(library().test_smooth_root(pointer(row), len(row), pointer(into)))
        wanted = expected[name.replace("root", "smooth")]
        kimodo_motion._close(result.reshape(root.shape), wanted, kimodo_motion.SMOOTHER, name)


def run_export_bvh(case: Path) -> None:
    """Write SOMA's 77 joints, which the library's motions of SOMA have; 30 it never writes."""
    content, inputs, _ = kimodo_motion._load(case)
    local, root = (
        np.ascontiguousarray(inputs[name], np.float32)
        for name in ("local_rot_mats77", "root_positions")
    )
    made, fps, document = ctypes.c_void_p(), content["fps"], skeleton_json("soma77")
    check(
        library().test_motion(
            document, len(root), fps, pointer(local), pointer(root), ctypes.byref(made)
        )
    )
    assert made.value is not None
    with tempfile.TemporaryDirectory() as folder:
        capi.Motion(made.value).save(Path(folder) / "motion.bvh")
        got = (Path(folder) / "motion.bvh").read_text()
    head, table = kimodo_controls.split_bvh(got)
    wanted_head, wanted = kimodo_controls.split_bvh((case / "motion77.bvh").read_text())
    check_heads(head, wanted_head)
    kimodo.close(table[:, :9], wanted[:, :9], atol=kimodo_motion.BVH_CENTIMETRES)
    turns = np.abs(kimodo_controls.wrapped(table[:, 9:] - wanted[:, 9:], 360))
    assert turns.max() < kimodo_motion.BVH_DEGREES


def check_heads(found: str, expected: str) -> None:
    """Compare hierarchies: words exactly, offsets as near as the rest pose has them."""
    (words, offsets), (wanted_words, wanted_offsets) = parted(found), parted(expected)
    assert words == wanted_words
    kimodo.close(offsets, wanted_offsets, atol=BVH_OFFSET_CM)


def with_head_of(recorded: str, text: str) -> str:
    """Put a recorded hierarchy, after it was compared, in place of a text's own."""
    head, wanted = (kimodo_controls.split_bvh(each)[0] for each in (text, recorded))
    check_heads(head, wanted)
    frames = text.splitlines()[len(head.splitlines()) :]
    return "\n".join([*wanted.splitlines(), *frames, ""])


def parted(head: str) -> tuple[list[str], Array]:
    """Part a hierarchy's words from its offsets."""
    lines = head.splitlines()
    offsets = [line.split()[1:] for line in lines if line.split()[:1] == ["OFFSET"]]
    words = [line.partition("OFFSET")[0] for line in lines]
    return words, np.array(offsets, float)


# Prompts


def run_text(case: Path) -> None:
    check_cleaning(json.loads((case / "text_cases.json").read_text())["sanitize"])


def run_sanitize(case: Path) -> None:
    check_cleaning(json.loads((case / "cases.json").read_text()))


def check_cleaning(items: Sequence[dict[str, str]]) -> None:
    for item in items:
        text = item["in"].encode()
        out = ctypes.create_string_buffer(4 * len(text) + 64)
        check(library().test_clean_prompt(text, out, len(out)))
        assert out.value.decode() == item["out"], item


# MotionGPT3


def run_t2m_e2e(case: Path) -> None:
    inputs, expected = motiongpt3._arrays(case)
    python, scale = motiongpt3._pipeline(case), motiongpt3._latent_scale(case)
    assert python.bundle.folder is not None
    found = pipeline(python.bundle.folder)
    for tag, variant in motiongpt3._texts(case).items():
        lengths = inputs[f"{tag}.lengths"].tolist()
        request = {
            "prompts": variant["texts"],
            "num_frames": lengths,
            "num_steps": variant["steps"],
            "guidance_weights": [variant["cfg_scale"]],
        }
        first, later = inputs[f"{tag}.noise_init"], inputs[f"{tag}.noise_steps"]
        noise = np.concatenate([first.ravel(), later.ravel()])
        with worded(variant["full_text"]):
            motions, calls = generate(found, request, case, noise=noise)
        told = calls[-1][0]  # the language model's states are prepared for some steps at a time
        hidden = told["hidden"]
        wanted = expected[f"{tag}.holder_hidden"]
        motiongpt3._close(hidden, wanted, motiongpt3.CLOSE, f"{tag}.holder_hidden")
        sampled = told["latents"] / scale
        wanted = expected[f"{tag}.latent_vae"][0]
        motiongpt3._close(sampled, wanted, motiongpt3.SAMPLED, f"{tag}.latent_vae")
        mean, std = motiongpt3._stats(case)
        frames = max(lengths)
        arrays = {
            "joints": np.zeros((len(motions), frames, 22, 3), np.float32),
            "features": np.zeros((len(motions), frames, len(mean)), np.float32),
        }
        arrays["normalized_features"] = arrays["features"].copy()
        for row, (motion, length) in enumerate(zip(motions, lengths, strict=True)):
            arrays["joints"][row, :length] = motion.global_positions
            arrays["features"][row, :length] = motion.features
            normalised = (np.asarray(motion.features) - mean) / std
            arrays["normalized_features"][row, :length] = normalised
        motiongpt3._compare_motion(arrays, tag, inputs, expected, f"{tag}.feats_norm")


@contextmanager
def worded(texts: Sequence[str]) -> Iterator[None]:
    """Word the next prompts as a case does: the library words them as captions alone."""
    listed = (ctypes.c_char_p * (len(texts) + 1))(*[text.encode() for text in texts], None)
    library().test_word(listed)
    try:
        yield
    finally:
        library().test_word(None)


# What they share


def generate(
    found: capi.Pipeline,
    request: dict[str, Any],
    folder: Path,
    replayed_part: float | None = None,
    **given: Any,
) -> tuple[list[capi.Motion], list[Call]]:
    """Run a JSON request; return its motions, and what each sampling run took and gave."""
    told = {name: value for name, value in request.items() if value is not None}
    with listened() as runs:
        if replayed_part is None:
            motions = found.generate_json(json.dumps(told), folder, **given)
        else:
            motions = _generate_sharing(found, told, folder, replayed_part, given)
    return motions, sampling_runs(runs)


def _generate_sharing(
    found: capi.Pipeline,
    request: dict[str, Any],
    folder: Path,
    replayed_part: float,
    given: dict[str, Any],
) -> list[capi.Motion]:
    made, options = ctypes.c_void_p(), GenerateKeywords(given)
    check(
        library().test_generate(
            found._handle,
            json.dumps(request).encode(),
            str(folder).encode(),
            ctypes.byref(options.struct),
            replayed_part,
            ctypes.byref(made),
        )
    )
    return motions_of(made)


Run = tuple[dict[str, Array], dict[str, Array]]


@contextmanager
def listened() -> Iterator[list[Run]]:
    """Collect inputs and outputs of every graph that runs."""
    runs: list[Run] = []
    pending: Run = ({}, {})

    def tell(
        name: bytes | None, is_output: int, kind: int, rank: int, dims: Any, data: int
    ) -> None:
        nonlocal pending
        if name is None:
            runs.append(pending)
            pending = ({}, {})
            return
        shape, kind_of = tuple(dims[:rank]), np.dtype(TYPES[kind])
        content = ctypes.string_at(data, int(np.prod(shape)) * kind_of.itemsize)
        pending[is_output][name.decode()] = np.frombuffer(content, kind_of).reshape(shape)

    listener = TELL(tell)
    library().test_listen(listener)
    try:
        yield runs
    finally:
        library().test_listen(TELL(0))


def sampling_runs(runs: Sequence[Run]) -> list[Call]:
    """Put steps together to the runs that they make: as (arguments, features) of Python's."""
    calls: list[Call] = []
    last = -1
    for inputs, outputs in runs:
        if "timestep" in inputs:
            if not calls or inputs["timestep"][0] >= last:
                calls.append(({**inputs, "noise": inputs["x"], "trace": []}, inputs["x"]))
            last = inputs["timestep"][0]
            told = calls[-1][0]
            told["trace"].append((outputs["x_next"], outputs["x0"]))
            calls[-1] = (told, outputs["x_next"])
        elif "hidden" in inputs:
            calls.append((dict(inputs), inputs["hidden"]))
        elif "latents" in inputs:
            calls[-1][0]["latents"] = inputs["latents"]
    return calls


def guidance(mode: str, weight: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"guidance_type": mode}
    if weight is not None:
        told["guidance_weights"] = np.atleast_1d(weight).tolist()
    return told


def arrays_of(motion: capi.Motion) -> dict[str, Array]:
    """Return a motion's arrays by Python's names."""
    arrays = {name: np.asarray(getattr(motion, theirs)) for name, theirs in MOTION_ARRAYS.items()}
    arrays["foot_contacts"] = arrays["foot_contacts"].astype(bool)
    arrays["local_rot_mats"] = quaternion_to_matrix(np.asarray(motion.local_rotations))
    arrays["global_rot_mats"] = quaternion_to_matrix(np.asarray(motion.global_rotations))
    return arrays


def skeleton_json(name: str) -> bytes:
    return json.dumps(dict(skeleton_asset(name))).encode()


def pointer(array: Array) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def check(status: int) -> None:
    assert status == capi.OK, library().mrt_last_error().decode()
