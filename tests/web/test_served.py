"""The same page, the motions made by a server that asks for a token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from local_server import serving

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.serving.jobs import JobLimits
from motionrt.serving.motions import MotionServer


def test_a_typed_sentence_becomes_the_servers_motion(
    built: Path, visit: Callable[..., Any], tmp_path: Path
) -> None:
    pipeline = motionrt.load(backend="cpu")
    limits = JobLimits(recent_seconds=0)
    server = MotionServer(
        {"walks": pipeline}, port=0, page=built / "page", token="s3cret", limits=limits
    )
    with serving(server):
        for path in ("", "start.js", "server.js", "motionrt-web/index.js"):
            assert httpx2.get(server.url + path).status_code == 200
        assert "offline" not in httpx2.get(server.url).text  # which the static page promises
        assert httpx2.get(f"{server.url}v1/bundles").status_code == 401
        seen = visit(server.url, tmp_path, "s3cret")
    assert seen["problems"] == [] and seen["sees"]
    wanted = pipeline.generate("a person walks forward", seconds=4.0, seed=7)
    (made,) = seen["typed"]
    assert made["info"]["seed"] == 7 and made["frames"] == wanted.num_frames
    joints = np.reshape(made["joints"], wanted.posed_joints.shape)
    np.testing.assert_allclose(joints, wanted.posed_joints, rtol=0, atol=1e-4)
    (file,) = tmp_path.glob("*.npz")
    np.testing.assert_allclose(
        Motion.load(file).posed_joints, wanted.posed_joints, rtol=0, atol=1e-4
    )
