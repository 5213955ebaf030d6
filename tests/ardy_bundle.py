"""A bundle of ARDY's kind whose graphs are a few fixed maps: small and quick, without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from motionrt.runtime.body.skeleton import skeleton_asset

NAME = "toy"
FPS, SIZE, HORIZON, LATENT, HIDDEN, TEXT, BASE_STEPS = 20.0, 4, 8, 6, 5, 8, 10
JOINTS = 27
WIDTH = 12 * JOINTS + 6
BODY, ROOT = WIDTH - 5, 5 * SIZE
TOKEN = ROOT + LATENT
PROMPTS = ("walks", "jumps", "waves both arms")
_TYPES = {"float32": 1, "bool": 9}
Given = list[tuple[str, list[int | str], str]]


def write(folder: Path, num_tokens: int = 1) -> Path:
    """Write it; the prompts of its book are `PROMPTS`, of so many tokens at most."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    graphs: dict[str, Any] = {}
    for name, (nodes, given, made) in _graphs(rng, num_tokens).items():
        (folder / f"{name}.onnx").write_bytes(_model(name, nodes, given, made))
        graphs[name] = {
            "files": {"onnx": f"{name}.onnx"},
            "inputs": [_told(each) for each in given],
            "outputs": [_told(each) for each in made],
            "atol": 1e-3,
            "rtol": 1e-3,
        }
    tables: dict[str, NDArray[Any]] = {
        "mean": np.zeros(WIDTH, np.float32),
        "std": np.full(WIDTH, 0.3, np.float32),
        "local_root_mean": np.zeros(4, np.float32),
        "local_root_std": np.full(4, 0.5, np.float32),
        "latent_mean": np.zeros(LATENT, np.float32),
        "latent_std": np.full(LATENT, 0.5, np.float32),
        "levels": np.full(LATENT, 16, np.int64),
        "time_tokens": np.zeros((BASE_STEPS, 2 * HIDDEN), np.float32),
    }
    # A pose that stands: rotations near none, the hips at their height.
    tables["mean"][1] = 0.95
    for joint in range(JOINTS):
        first = 5 + 3 * (JOINTS - 1) + 6 * joint
        tables["mean"][[first, first + 4]] = 1
    (folder / "statistics.safetensors").write_bytes(save(tables))
    book = {"embeddings": prompt_tokens(num_tokens)}
    if num_tokens == 1:
        book["embeddings"] = book["embeddings"][:, 0]
    metadata = {"format": "motionrt-prompt-book", "version": "1", "prompts": json.dumps(PROMPTS)}
    (folder / "prompts.safetensors").write_bytes(save(book, metadata))
    skeleton = dict(skeleton_asset("core27"))
    manifest = {
        "schema": 2,
        "family": "ardy",
        "name": NAME,
        "fps": FPS,
        "skeleton": skeleton,
        "output_skeleton": skeleton,
        "graphs": graphs,
        "sampler": {
            "frames_per_token": SIZE,
            "horizon": HORIZON,
            "latent_width": LATENT,
            "num_base_steps": BASE_STEPS,
            "num_steps": 4,
            "guidance_type": "separated",
            "num_text_tokens": num_tokens,
            "text_width": TEXT,
            "hidden_width": HIDDEN,
            "num_heads": 1,
            "takes_constraints": True,
            "quantises": True,
            "normalises": True,
            "window_seconds": 2.0,
        },
        "limits": {"max_frames": 12000, "advised_seconds": 600.0},
        "text": {"prompt_book": "prompts.safetensors"},
        "provenance": {"source": NAME, "licence": ""},
        "files": {
            path.name: {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size": path.stat().st_size,
            }
            for path in sorted(folder.iterdir())
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def prompt_tokens(num_tokens: int) -> NDArray[np.float32]:
    """Return embeddings (3, num_tokens, TEXT) of the book: each prompt has one token less."""
    shape = len(PROMPTS), num_tokens, TEXT
    found = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for row in range(1, min(len(PROMPTS), num_tokens)):
        found[row, -row:] = 0
    return found


def _told(tensor: tuple[str, list[int | str], str]) -> dict[str, Any]:
    name, axes, dtype = tensor
    return {"name": name, "axes": axes, "dtype": dtype}


def _graphs(rng: np.random.Generator, num_tokens: int) -> dict[str, tuple[list[Any], Given, Given]]:
    """Return nodes, inputs and outputs of each; a constant stands among the nodes."""

    def drawn(*shape: int) -> NDArray[np.float32]:
        return np.asarray(rng.normal(size=shape) / np.sqrt(shape[0]), np.float32)

    tokens: list[int | str] = ["batch", "tokens"]
    words: int | str = 1 if num_tokens == 1 else "words"
    return {
        "encoder": (
            [("w", drawn(SIZE * BODY, LATENT)), ("MatMul", ["bodies", "w"], ["latents"])],
            [("bodies", [*tokens, SIZE * BODY], "float32"), ("token_mask", tokens, "bool")],
            [("latents", [*tokens, LATENT], "float32")],
        ),
        "decoder": (
            [
                ("w", 0.3 * drawn(LATENT + 4 * SIZE, SIZE * (4 + BODY))),
                ("Concat", ["codes", "local_root"], ["seen"], {"axis": -1}),
                ("Tanh", ["seen"], ["bounded"]),
                ("MatMul", ["bounded", "w"], ["frames"]),
            ],
            [
                ("codes", [*tokens, LATENT], "float32"),
                ("local_root", [*tokens, 4 * SIZE], "float32"),
                ("token_mask", tokens, "bool"),
            ],
            [("frames", [*tokens, SIZE * (4 + BODY)], "float32")],
        ),
        "embed_text": (
            [("w", drawn(TEXT, 2 * HIDDEN)), ("MatMul", ["text_features", "w"], ["text_tokens"])],
            [("text_features", ["batch", words, TEXT], "float32")],
            [("text_tokens", ["batch", words, 2 * HIDDEN], "float32")],
        ),
        "embed_constraints": (
            [
                ("w", drawn(SIZE * WIDTH, 2 * HIDDEN)),
                ("v", drawn(SIZE * WIDTH, HIDDEN)),
                ("MatMul", ["observed_motion", "w"], ["constraint_tokens"]),
                ("MatMul", ["observed_motion", "v"], ["future_tokens"]),
            ],
            [
                ("motion_mask", [*tokens, SIZE * WIDTH], "float32"),
                ("observed_motion", [*tokens, SIZE * WIDTH], "float32"),
            ],
            [
                ("constraint_tokens", [*tokens, 2 * HIDDEN], "float32"),
                ("future_tokens", [*tokens, HIDDEN], "float32"),
            ],
        ),
        **_denoiser(drawn, num_tokens),
    }


def _denoiser(drawn: Any, num_tokens: int) -> dict[str, tuple[list[Any], Given, Given]]:
    """x0 = tanh(x / 2 + what is told), x' = a x + b x0: a step, and one after another."""
    tokens: list[int | str] = ["batch", "tokens"]
    body = [
        ("Mul", ["x_in", "half"], ["halved"]),
        ("Add", ["halved", "told"], ["sum"]),
        ("Tanh", ["sum"], ["free"]),
        ("Where", ["held", "observed", "free"], ["x0_out"]),
        ("Gather", ["row", "zero"], ["a"], {"axis": 0}),
        ("Gather", ["row", "one"], ["b"], {"axis": 0}),
        ("Mul", ["x_in", "a"], ["kept"]),
        ("Mul", ["x0_out", "b"], ["new"]),
        ("Add", ["kept", "new"], ["moved"]),
        ("Where", ["generated", "moved", "x_in"], ["x_out"]),
        ("Identity", ["x0_in"], ["unused"]),
    ]
    nodes = [
        ("w", drawn(2 * HIDDEN, TOKEN)),
        ("u", drawn(HIDDEN, TOKEN)),
        ("half", np.array(0.5, np.float32)),
        ("zero", np.array(0, np.int64)),
        ("one", np.array(1, np.int64)),
        ("last", np.array([-1], np.int64)),
        ("middle", np.array([1], np.int64)),
        ("nothing", np.array(0, np.float32)),
        ("pads", np.array([0, 0, 0, 0, 0, LATENT], np.int64)),
        ("places", np.linspace(1, 2, num_tokens, dtype=np.float32)[:, None]),
        ("Unsqueeze", ["text_mask", "last"], ["is_text"]),
        ("Mul", ["text_tokens", "places"], ["placed"]),
        ("Where", ["is_text", "placed", "nothing"], ["words"]),
        ("ReduceSum", ["words", "middle"], ["sentence"], {"keepdims": 1}),
        ("MatMul", ["sentence", "w"], ["of_text"]),
        ("MatMul", ["constraint_tokens", "w"], ["of_constraints"]),
        ("MatMul", ["future_tokens", "u"], ["of_future"]),
        ("ReduceMean", ["of_future", "middle"], ["of_goals"], {"keepdims": 1}),
        ("Unsqueeze", ["history_mask", "last"], ["before"]),
        ("Where", ["before", "x", "nothing"], ["seen"]),
        ("ReduceMean", ["seen", "middle"], ["of_history"], {"keepdims": 1}),
        ("Cos", ["first_heading_rad"], ["cosine"]),
        ("Unsqueeze", ["cosine", "last"], ["cosine1"]),
        ("Unsqueeze", ["cosine1", "last"], ["cosine2"]),
        ("Add", ["of_text", "of_constraints"], ["told1"]),
        ("Add", ["told1", "of_goals"], ["told2"]),
        ("Add", ["told2", "of_history"], ["told3"]),
        ("Add", ["told3", "cosine2"], ["told"]),
        ("Unsqueeze", ["generation_mask", "last"], ["generated"]),
        ("Pad", ["root_mask", "pads"], ["held1"]),
        ("Greater", ["held1", "nothing"], ["held"]),
        ("Pad", ["observed_root", "pads"], ["observed"]),
    ]
    loop = ("Scan", ["x", "x0_previous", "schedule"], ["x_next", "x0"], {"body": body})
    names = {"x": "x_in", "x0_previous": "x0_in", "coefficients": "row"}
    first = [("Identity", [outer], [inner]) for outer, inner in names.items()]
    last = [("Identity", ["x_out"], ["x_next"]), ("Identity", ["x0_out"], ["x0"])]
    state: Given = [(name, [*tokens, TOKEN], "float32") for name in ("x", "x0_previous")]
    rows: dict[str, Given] = {
        "step": [
            ("time_tokens", [2 * HIDDEN], "float32"),
            ("coefficients", [3], "float32"),
        ],
        "sampler": [
            ("schedule_tokens", ["steps", 2 * HIDDEN], "float32"),
            ("schedule", ["steps", 3], "float32"),
        ],
    }
    given: Given = [
        ("text_tokens", ["batch", num_tokens, 2 * HIDDEN], "float32"),
        ("text_mask", ["batch", num_tokens], "bool"),
        ("history_mask", tokens, "bool"),
        ("generation_mask", tokens, "bool"),
        ("future_mask", tokens, "bool"),
        ("first_heading_rad", ["batch"], "float32"),
        ("root_mask", [*tokens, ROOT], "float32"),
        ("observed_root", [*tokens, ROOT], "float32"),
        ("constraint_tokens", [*tokens, 2 * HIDDEN], "float32"),
        ("future_tokens", [*tokens, HIDDEN], "float32"),
        ("branch_text", ["branches"], "float32"),
        ("branch_constraints", ["branches"], "float32"),
        ("branch_weights", ["branches"], "float32"),
    ]
    made: Given = [(name, [*tokens, TOKEN], "float32") for name in ("x_next", "x0")]
    return {
        "step": ([*nodes, *first, *body, *last], [*state, *rows["step"], *given], made),
        "sampler": ([*nodes, loop], [*state, *rows["sampler"], *given], made),
    }


def _model(name: str, listed: list[Any], given: Given, made: Given) -> bytes:
    from onnx import helper, numpy_helper

    def infos(tensors: Given) -> list[Any]:
        return [helper.make_tensor_value_info(n, _TYPES[t], axes) for n, axes, t in tensors]

    def node(kind: str, inputs: list[str], outputs: list[str], more: Any = None) -> Any:
        more = dict(more or {})
        if "body" in more:
            steps = [node(*each) for each in more["body"]]
            state = [("x_in", None, "float32"), ("x0_in", None, "float32"), ("row", [3], "float32")]
            out = [("x_out", None, "float32"), ("x0_out", None, "float32")]
            more["body"] = helper.make_graph(steps, "body", infos(state), infos(out))  # type: ignore[arg-type]
            more["num_scan_inputs"] = 1
        return helper.make_node(kind, inputs, outputs, **more)

    constants = [each for each in listed if isinstance(each[1], np.ndarray)]
    nodes = [node(*each) for each in listed if not isinstance(each[1], np.ndarray)]
    graph = helper.make_graph(
        nodes,
        name,
        infos(given),
        infos(made),
        [numpy_helper.from_array(values, key) for key, values in constants],
    )
    opset = helper.make_opsetid("", 18)
    content: bytes = helper.make_model(
        graph, opset_imports=[opset], ir_version=10
    ).SerializeToString()
    return content
