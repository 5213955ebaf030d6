"""What is asked for: constraint files, requests, prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from fuzz.mutators.havoc import havoc_text
from fuzz.mutators.trees import json_mutator
from fuzz.target import Target

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.files import (
    find_problems,
    load_document,
    parse_constraints,
    to_json,
)
from motionrt.runtime.constraints.kinds import (
    CONSTRAINT_TYPES,
    check_frames,
    constraint_from_motion,
)
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.families import all_families
from motionrt.runtime.motiongpt_qwen.server_answer import AnswerReader
from motionrt.runtime.request import Request, split_request
from motionrt.runtime.text.prompt import clean_prompt, split_prompt

_FRAMES = 90


def _check_constraints(path: Path) -> None:
    """Do what `constraints check` does, and what a request with them does."""
    skeleton = load_skeleton("smplx22")
    document = load_document(path)
    problems = find_problems(document, skeleton, _FRAMES)
    for problem in problems:
        told = str(problem)
        assert told.isprintable() and len(told) < 1000, f"problem {told!r}"
    wrong = [problem for problem in problems if problem.is_error]
    try:
        constraints = parse_constraints(document, skeleton)
    except InputError:
        assert wrong, "an error that the check does not tell"
        raise
    check_frames(constraints, _FRAMES)
    assert not wrong, "an error that a run does not meet"
    for constraint in constraints:
        constraint.observe(skeleton)
        json.dumps(to_json(constraint), allow_nan=False)


@lru_cache
def _constraint_documents() -> list[bytes]:
    skeleton = load_skeleton("smplx22")
    rotations = np.broadcast_to(np.eye(3), (8, 22, 3, 3))
    motion = Motion.from_local(rotations, np.zeros((8, 3)), skeleton, 30.0)
    made = [
        to_json(constraint_from_motion(motion, frames, kind, names))
        for kind, frames in zip(
            CONSTRAINT_TYPES, ([0, 3], [2], [1], [4], [5], [6], [7]), strict=True
        )
        for names in [("LeftHand", "Hips") if kind == "end-effector" else ()]
    ]
    parts = [made[:1], made[:2], made[2:4], made[6:]]
    return [json.dumps(part).encode() for part in parts]


def _ask(path: Path) -> None:
    document = load_document(path)
    failures = []
    for family in all_families():
        try:
            request = Request.from_json(document, family, "/folder")
        except InputError as error:
            failures.append(error)
            continue
        again = Request.from_json(request.to_json(), family)
        assert again.prompts == request.prompts and again.seconds == request.seconds
        request.motion_files(family)
    if len(failures) == len(all_families()):
        raise failures[0]


def read_answer(path: Path) -> None:
    """Read what a language server answers: whole, as a list of models, and event by event."""
    data = path.read_bytes()
    reader = AnswerReader("http://localhost/")
    chunks = [data[start : start + 40] for start in range(0, len(data), 40)]
    failures = []
    for read in (
        reader.first_model,
        reader.whole,
        lambda _: reader.streamed(chunks, lambda text: None),
    ):
        try:
            read(data)
        except BackendError as error:
            failures.append(error)
    if len(failures) == 3:
        raise failures[0]


def _answers() -> Iterable[bytes]:
    said = {"choices": [{"message": {"content": "<motion_1>", "reasoning": "so"}}]}
    pieces: list[dict[str, object]] = [
        {"choices": [{"delta": {"content": "a", "reasoning_content": None}}]},
        {"choices": [], "usage": {}},
        {"error": {"message": "no"}},
    ]
    events = "\n\n".join(f"data: {json.dumps(piece)}" for piece in pieces)
    return [
        json.dumps(said).encode(),
        b'{"data": [{"id": "model"}]}',
        f"{events}\n\ndata: [DONE]\n\n".encode(),
    ]


def _request_seeds() -> Iterable[bytes]:
    documents: list[dict[str, object]] = [
        {"prompt": "a person walks. then sits down", "seconds": "2 3.5", "seed": 7},
        {"prompts": ["walk", "run"], "seconds": [1, 2.5], "num_samples": 2, "sample_seeds": True},
        {"prompt": "walk", "num_frames": 90, "seed": 1, "num_steps": 10, "solver": "ddim"},
        {"prompt": "x", "guidance_weights": [2.0, 2.0], "guidance_type": "separated"},
        {"prompt": "x", "preset": "fast", "continue_from": "a.bvh"},
        {"prompt": "x", "thinking": True, "temperature": 0.5, "top_p": 0.9, "length": "model"},
        {"prompt": "x", "constraints": [{"type": "root2d", "frame_indices": [0]}]},
    ]
    return [json.dumps(document).encode() for document in documents]


def _split(path: Path) -> None:
    """The first line is the length, the rest the prompt."""
    seconds, _, prompt = path.read_text("utf-8", "surrogateescape").partition("\n")
    clean_prompt(prompt)
    texts, lengths = split_prompt(prompt, seconds)
    assert len(texts) == len(lengths)
    for family in all_families():
        try:
            split_request(prompt, seconds, family)
        except InputError:
            pass


TARGETS = (
    Target("constraints", _check_constraints, json_mutator(), _constraint_documents, "c.json"),
    Target("server-answer", read_answer, havoc_text, _answers),
    Target("request", _ask, json_mutator(), _request_seeds, "r.json"),
    Target(
        "prompt",
        _split,
        havoc_text,
        lambda: [
            b"5\nA person walks forward.",
            b"2 3.5\nwalk. (run!) 3.5 m",
            "1e1\n«é» ß. ÄÖ ﬃ?".encode(),
        ],
    ),
)
