"""A server of motions, on the embedded default with two steps a motion."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import numpy as np
import pytest
from local_server import serving

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.families import find_family
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request
from motionrt.serving.http_server import ConnectionLimits
from motionrt.serving.jobs import JobLimits
from motionrt.serving.motions import MAX_BODY_BYTES, MotionServer, _check_places

QUICK: dict[str, Any] = {"prompt": "a person walks", "num_frames": 10, "num_steps": 2, "seed": 5}


class Gate:
    """Lets runs of a pipeline begin only when it is open, and notes how many ran together."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        self.batches: list[int] = []
        run_together = pipeline.run_together

        def gated(requests: Any, progress: Any, **more: Any) -> Any:
            assert self.open.wait(60)
            self.batches.append(len(requests))
            return run_together(requests, progress, **more)

        monkeypatch.setattr(pipeline, "run_together", gated)


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> Pipeline:
    return motionrt.load(bundle, backend="cpu")


@pytest.fixture
def gate(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(pipeline, monkeypatch)


@contextmanager
def client_of(pipeline: Pipeline, **options: Any) -> Iterator[httpx2.Client]:
    reports: list[str] = []
    options.setdefault("limits", JobLimits(recent_seconds=0))
    with (
        serving(MotionServer({"walks": pipeline}, port=0, report=reports.append, **options)) as s,
        httpx2.Client(base_url=s.url, timeout=60) as client,
    ):
        yield client
    assert reports == []


@pytest.fixture
def client(pipeline: Pipeline, gate: Gate) -> Iterator[httpx2.Client]:
    with client_of(pipeline) as client:
        yield client


@pytest.fixture(scope="module")
def alone(pipeline: Pipeline) -> Motion:
    (motion,) = pipeline.run(Request.from_json(QUICK, pipeline.family))
    return motion


def wait_for(job: dict[str, Any], client: httpx2.Client, *states: str) -> dict[str, Any]:
    for _ in range(3000):
        found: dict[str, Any] = client.get(job["links"]["self"]).json()
        if found["state"] in states:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{found} never was {states}")


def begin(client: httpx2.Client, **options: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json={**QUICK, **options})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == job["links"]["self"]
    return job


def test_a_request_becomes_its_motion(client: httpx2.Client, alone: Motion) -> None:
    answer = client.post("/v1/motions", json=QUICK)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json()
    assert told["bundle"] == "walks" and told["fps"] == 20 and told["hints"] == []
    assert told["skeleton"]["joint_names"] == list(alone.skeleton.joint_names)
    (motion,) = told["motions"]
    assert motion["num_frames"] == 10 and motion["info"]["seed"] == 5
    for name in ("local_rotations", "root_positions", "posed_joints", "foot_contacts"):
        np.testing.assert_allclose(motion[name], getattr(alone, name), rtol=0, atol=2e-5)


@pytest.mark.parametrize("suffix", ["npz", "bvh", "glb"])
def test_motions_come_as_files(
    client: httpx2.Client, alone: Motion, tmp_path: Path, suffix: str
) -> None:
    by_suffix = client.post(f"/v1/motions.{suffix}", json=QUICK)
    accept = {"Accept": f"text/html, {by_suffix.headers['content-type']};q=0.8"}
    by_accept = client.post("/v1/motions", json=QUICK, headers=accept)
    assert "motion_00" in by_accept.headers["content-disposition"]
    for number, answer in enumerate((by_suffix, by_accept)):
        file = tmp_path / f"{number}.{suffix}"
        file.write_bytes(answer.content)
        found = Motion.load(file)
        np.testing.assert_allclose(found.posed_joints, alone.posed_joints, rtol=0, atol=1e-4)


def test_several_motions_are_an_archive(client: httpx2.Client) -> None:
    answer = client.post("/v1/motions.bvh?fps=40&rest=t-pose", json={**QUICK, "num_samples": 2})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["motion_00.bvh", "motion_01.bvh"]
        assert b"Frame Time: 0.025" in archive.read("motion_01.bvh")


def test_a_job_is_watched_and_fetched(client: httpx2.Client, alone: Motion) -> None:
    job = begin(client, num_samples=2, sample_seeds=True)
    with client.stream("GET", job["links"]["events"]) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == "event: progress" and lines[-2] == "event: done"
    told = json.loads(lines[-1].removeprefix("data: "))
    assert told["state"] == "done" and told["num_motions"] == 2 and told["error"] is None
    assert len(client.get(job["links"]["motions"]).json()["motions"]) == 2
    second = client.get(job["links"]["motions"] + "/1").json()["motions"][0]
    assert second["info"]["seed"] == 6
    file = client.get(job["links"]["motions"] + "/0.bvh")
    assert file.content.startswith(b"HIERARCHY") and "motion_00.bvh" in str(file.headers)
    assert client.get(job["links"]["motions"] + "/2").status_code == 404
    assert client.delete(job["links"]["self"]).json()["state"] == "done"
    assert client.get(job["links"]["self"]).status_code == 404


def test_a_motion_that_is_kept_is_gone_on_from(client: httpx2.Client) -> None:
    job = begin(client)
    wait_for(job, client, "done")
    kept = job["links"]["motions"] + "/0"
    answer = client.post("/v1/motions", json={**QUICK, "continue_from": kept})
    assert answer.json()["motions"][0]["num_frames"] == 20
    client.delete(job["links"]["self"])
    answer = client.post("/v1/motions", json={**QUICK, "continue_from": kept})
    assert answer.status_code == 422 and "no motion that is kept here" in answer.text


def test_jobs_are_cancelled_while_they_wait_and_run(
    client: httpx2.Client, gate: Gate, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.open.clear()
    running, waiting = begin(client), begin(client, num_steps=3)
    wait_for(running, client, "running")
    told = client.get(waiting["links"]["self"]).json()
    assert (told["state"], told["position"]) == ("waiting", 0)
    assert client.get(waiting["links"]["motions"]).status_code == 409
    assert client.delete(waiting["links"]["self"]).json()["state"] == "cancelled"
    assert client.delete(running["links"]["self"]).json()["state"] == "running"
    gate.open.set()
    wait_for(running, client, "cancelled")
    assert client.get(running["links"]["motions"]).status_code == 410
    assert client.post("/v1/motions", json=QUICK).status_code == 200


def test_requests_that_wait_share_batches(
    client: httpx2.Client, gate: Gate, pipeline: Pipeline
) -> None:
    gate.open.clear()
    first = begin(client)
    wait_for(first, client, "running")
    jobs = [begin(client, seed=seed, num_frames=10 + seed % 3) for seed in range(6)]
    jobs.append(begin(client, num_steps=3))
    jobs.append(begin(client, num_frames=100))
    gate.open.set()
    for job in jobs:
        wait_for(job, client, "done")
    assert gate.batches == [1, 6, 1, 1]
    for seed, job in enumerate(jobs[:6]):
        found = client.get(job["links"]["motions"]).json()["motions"][0]
        request = {**QUICK, "seed": seed, "num_frames": 10 + seed % 3}
        (motion,) = pipeline.run(Request.from_json(request, pipeline.family))
        np.testing.assert_allclose(found["posed_joints"], motion.posed_joints, rtol=0, atol=1e-4)


def test_one_that_fails_does_not_touch_the_others(
    client: httpx2.Client, gate: Gate, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = pipeline._generate

    def fails(request: Request, seed: int, *more: Any) -> list[Motion]:
        if seed == 13:
            raise InputError("nothing comes of 13")
        return generate(request, seed, *more)

    monkeypatch.setattr(pipeline, "_generate", fails)
    gate.open.clear()
    first = begin(client)
    wait_for(first, client, "running")
    bad = begin(client, seed=13)
    good = begin(client)
    gate.open.set()
    told = wait_for(bad, client, "failed")
    assert told["error"] == "nothing comes of 13" and gate.batches == [1, 2]
    answer = client.get(bad["links"]["motions"])
    assert answer.status_code == 422 and answer.json()["detail"] == told["error"]
    wait_for(good, client, "done")


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"promt": "x"}, 422, "did you mean prompt"),
        ([], 422, "a request is an object"),
        ({**QUICK, "constraints": "/etc/passwd"}, 422, "no files are opened"),
        ({**QUICK, "continue_from": "/etc/passwd"}, 422, "no files are opened"),
        ({**QUICK, "continue_from": "/v1/jobs/" + "0" * 32 + "/motions/0"}, 422, "no motion"),
        ({**QUICK, "num_samples": 17}, 422, "17 motions: this server makes 16"),
        ({**QUICK, "num_steps": 251}, 422, "251 steps: this server takes 250"),
        ({**QUICK, "num_frames": 1201}, 422, "60.05 s: this server makes 60 s at most"),
        ({**QUICK, "num_frames": 10**9}, 422, "frames"),
        ({**QUICK, "solver": "magic"}, 422, "magic"),
        ({**QUICK, "compat": ""}, 422, "compat '': there are 2026-03, latest"),
        ({**QUICK, "num_steps": 0}, 422, "0 diffusion steps"),
        ({**QUICK, "guidance_weights": [1, 2, 3]}, 422, "3 guidance weights"),
        ({**QUICK, "guidance_interval": [2]}, 422, "guidance interval"),
        ({**QUICK, "root_margin": -1}, 422, "root margin"),
        ({**QUICK, "first_heading_rad": 1e300}, 422, "must be finite"),
        ({**QUICK, "num_transition_frames": 0}, 422, "0 transition frames"),
        ({**QUICK, "constraints": [{"type": "nothing"}]}, 422, "unknown type 'nothing'"),
        ({**QUICK, "prompt": "a " * 1001}, 422, "1001 words"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(
    client: httpx2.Client, gate: Gate, request_: Any, status: int, message: str
) -> None:
    for place in ("/v1/motions", "/v1/jobs"):
        answer = client.post(place, json=request_)
        assert answer.status_code == status and message in answer.json()["detail"]
    assert gate.batches == []  # at once: nothing ran


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/v1/motions", {"content": b"{"}, 400),
        ("/v1/motions", {"content": b"[" * 100_000}, 400),
        ("/v1/motions", {"content": b" " * (MAX_BODY_BYTES + 1)}, 413),
        ("/v1/motions", {"json": QUICK, "headers": {"Content-Type": "text/plain"}}, 415),
        ("/v1/motions", {"json": QUICK, "headers": {"Accept": "image/png"}}, 406),
        ("/v1/motions?bundle=none", {"json": QUICK}, 404),
        ("/v1/motions?fps=nan", {"json": QUICK}, 422),
        ("/v1/motions?fps=1e9", {"json": QUICK}, 422),
        ("/v1/motions?rest=t-pose", {"json": QUICK}, 422),
        ("/v1/motions.npz?rest=t-pose", {"json": QUICK}, 422),
        ("/v1/motions.bvh?rest=flat", {"json": QUICK}, 422),
        ("/v1/motions.csv", {"json": QUICK}, 422),
        ("/v1/motions.fbx", {"json": QUICK}, 404),
        ("/v1/jobs/abc", {}, 405),
    ],
)
def test_what_cannot_be_had_is_told(
    client: httpx2.Client, path: str, options: dict[str, Any], status: int
) -> None:
    answer = client.post(path, **options)
    assert answer.status_code == status and list(answer.json()) == ["detail"]


def test_the_server_says_what_it_serves(client: httpx2.Client, alone: Motion) -> None:
    client.post("/v1/motions", json=QUICK)
    (told,) = client.get("/v1/bundles").json()["bundles"]
    assert (told["name"], told["family"], told["fps"]) == ("walks", "kimodo", 20)
    assert {"json", "npz", "bvh", "glb"} <= set(told["formats"]) and "csv" not in told["formats"]
    assert "walking" in " ".join(told["actions"])
    assert client.get("/healthz").text == client.get("/readyz").text == "ok\n"
    figures = client.get("/metrics").text
    assert 'motionrt_jobs_total{bundle="walks",outcome="done"} 1.0' in figures
    assert 'motionrt_batch_motions_bucket{bundle="walks",le="1.0"} 1.0' in figures
    assert 'motionrt_motion_seconds_total{bundle="walks"} 0.5' in figures


def test_answers_are_those_of_the_openapi_document(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = {"components": document["components"]}

    def check(name: str, value: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", **schemas}
        jsonschema.validate(value, schema, jsonschema.Draft202012Validator)

    check("Request", QUICK)
    for example in document["components"]["schemas"]["RequestOfKimodo"]["examples"]:
        check("Request", example)
    with pytest.raises(jsonschema.ValidationError):
        check("Request", {**QUICK, "constraints": "/etc/passwd"})
    check("Motions", client.post("/v1/motions", json=QUICK).json())
    check("Job", begin(client))
    check("Bundles", client.get("/v1/bundles").json())
    check("Error", client.get("/v1/jobs/abc").json())
    watched = document["paths"]["/v1/jobs/{id}/events"]["get"]["responses"]["200"]["content"]
    told = client.get(f"/v1/jobs/{begin(client)['id']}/events").text
    for block in told.strip().split("\n\n"):
        event = dict(line.split(": ", 1) for line in block.splitlines())
        schema = {**watched["text/event-stream"]["schema"], **schemas}
        jsonschema.validate(event, schema, jsonschema.Draft202012Validator)
        check("Job", json.loads(event["data"]))
    for path, operations in document["paths"].items():
        place = re.sub(r"\{number\}", "0", path.replace("{id}", "abc").replace("{format}", "bvh"))
        for method in operations:
            answer = client.request(method, place)
            assert str(answer.status_code) in operations[method]["responses"], (method, path)


def test_what_waits_and_is_kept_is_limited(pipeline: Pipeline, gate: Gate, bundle: Path) -> None:
    gate.open.clear()
    limits = JobLimits(waiting=2, of_client=4, recent_seconds=0)
    with client_of(pipeline, limits=limits) as client:
        running = begin(client)
        wait_for(running, client, "running")
        begin(client), begin(client)
        answer = client.post("/v1/jobs", json=QUICK)
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        gate.open.set()
    with client_of(pipeline, limits=JobLimits(of_client=1, recent_seconds=0)) as client:
        gate.open.clear()
        running = begin(client)
        assert client.post("/v1/motions", json=QUICK).status_code == 429
        gate.open.set()
        wait_for(running, client, "done")
        assert client.post("/v1/motions", json=QUICK).status_code == 200


def test_results_make_room_for_others_once_they_were_fetched(pipeline: Pipeline) -> None:
    asked = {"num_samples": 16, "num_steps": 1, "postprocess": False}
    request = Request.from_json({**QUICK, **asked}, pipeline.family)
    memory = 2 * pipeline.memory_of(request, [10]) + 1000
    with client_of(pipeline, limits=JobLimits(memory_bytes=memory, recent_seconds=0)) as client:
        jobs = []
        while (answer := client.post("/v1/jobs", json={**QUICK, **asked})).status_code == 202:
            jobs.append(answer.json())
            wait_for(jobs[-1], client, "done")
        assert answer.status_code == 503 and "results wait to be fetched" in answer.text
        assert 1 < len(jobs) < 100
        assert client.get(jobs[1]["links"]["motions"]).status_code == 200
        wait_for(begin(client, **asked), client, "done")
        found = [client.get(job["links"]["self"]).status_code for job in jobs]
        assert found == [200, 404, *[200] * (len(jobs) - 2)]
        more = client.post("/v1/jobs", json={**QUICK, "num_frames": 100, "num_samples": 16})
        assert more.status_code == 422 and "of memory, this server gives" in more.text


def test_a_token_is_asked_for_except_where_nothing_is_secret(pipeline: Pipeline) -> None:
    with client_of(pipeline, token="s3cret") as client:
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200
        for path in ("/metrics", "/v1/bundles", "/v1/jobs/abc"):
            assert client.get(path).status_code == 401
        assert client.post("/v1/motions", json=QUICK).status_code == 401
        headers = {"Authorization": "Bearer s3cret"}
        assert client.post("/v1/motions", json=QUICK, headers=headers).status_code == 200


def test_pages_of_others_get_nothing(client: httpx2.Client) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert client.post("/v1/motions", json=QUICK, headers=elsewhere).status_code == 403
    assert client.get("/v1/bundles", headers={"Host": "evil.example"}).status_code == 421


def test_who_leaves_has_cancelled(pipeline: Pipeline, gate: Gate) -> None:
    gate.open.clear()
    with client_of(pipeline) as client:
        running = begin(client)
        wait_for(running, client, "running")
        host, port = client.base_url.host, client.base_url.port
        assert port is not None
        body = json.dumps(QUICK).encode()
        head = f"POST /v1/motions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            while 'jobs_waiting{bundle="walks"} 1.0' not in client.get("/metrics").text:
                time.sleep(0.01)
        while 'outcome="cancelled"} 1.0' not in client.get("/metrics").text:
            time.sleep(0.01)
        gate.open.set()
        wait_for(running, client, "done")
    assert gate.batches == [1]


def test_those_who_take_no_answer_do_not_hurt_others(pipeline: Pipeline) -> None:
    limits = ConnectionLimits(write_seconds=0.5)
    with client_of(pipeline, connection_limits=limits) as client:
        host, port = client.base_url.host, client.base_url.port
        assert port is not None
        large = json.dumps({**QUICK, "num_frames": 110, "num_samples": 8, "num_steps": 1}).encode()
        head = f"POST /v1/motions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\n"
        slow = []
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, port))
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + large)
            slow.append(connection)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.post("/v1/motions", json=QUICK), range(16)))
        assert [answer.status_code for answer in answers] == [200] * 16
        for connection in slow:
            connection.close()


def test_stopping_finishes_what_was_accepted(pipeline: Pipeline, gate: Gate) -> None:
    gate.open.clear()
    server = MotionServer({"walks": pipeline}, port=0)
    with serving(server), httpx2.Client(base_url=server.url, timeout=60) as client:
        job = begin(client)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.post, "/v1/motions", json=QUICK)
            wait_for(job, client, "running")
            while 'jobs_waiting{bundle="walks"} 1.0' not in client.get("/metrics").text:
                time.sleep(0.01)
            server.shutdown()
            while client.get("/readyz").status_code != 503:
                time.sleep(0.01)
            assert client.post("/v1/motions", json=QUICK).status_code == 503
            gate.open.set()
            assert answer.result().status_code == 200
        wait_for(job, client, "done")
        assert client.get(job["links"]["motions"]).status_code == 200


def test_memory_stays_bounded(bundle: Path) -> None:
    """Two hundred requests of eight clients take no more than forty do, but for what varies."""
    code = """
import sys, threading
sys.path[:0] = sys.argv[1:]
from concurrent.futures import ThreadPoolExecutor
import httpx2
from local_server import serving
import motionrt
from motionrt.runtime.benchmark import peak_memory_mb
from motionrt.serving.motions import MotionServer
ask = {"prompt": "a person walks", "num_frames": 40, "num_steps": 1}
with serving(MotionServer({"walks": motionrt.load()}, port=0)) as server:
    with httpx2.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        for count in (40, 200):
            answers = pool.map(lambda n: client.post("/v1/motions.npz", json=ask), range(count))
            assert all(answer.status_code == 200 for answer in answers)
            print(peak_memory_mb())
"""
    folder = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    early, late = map(float, done.stdout.split())
    assert late < early + 60, done.stdout


def test_no_file_of_templates_is_opened_for_strangers() -> None:
    option = find_family("motiongpt3").options["template"]
    for place in ("/etc/secret.json", "/etc/secret.json:name"):
        with pytest.raises(InputError, match="no files are opened here"):
            _check_places("template", option, place)
    _check_places("template", option, "Move: <Caption_Placeholder>")
