"""One thread for each GPU, which does all that onnxruntime does there.

onnxruntime keeps recordings (CUDA graphs) for the thread that made them, and while one is made an
allocation by another session, in another thread, makes both fail. So sessions are loaded, run and
copied from by one thread of the device, whoever asks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.waiting import interruptible

Result = TypeVar("Result")
_LOOK_S = 0.2
_pools: dict[int, ThreadPoolExecutor] = {}
_within = threading.local()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a child has none of its parent's threads


def on_device(device_id: int, work: Callable[[], Result]) -> Result:
    """Return what work gives, or raise what it raises, in the thread of a device.

    Calls take turns. An interrupt (Ctrl-C) is heard while it is waited for; work that has begun
    goes on to its end then.
    """
    if getattr(_within, "device_id", None) == device_id:
        return work()
    with _lock:
        pool = _pools.get(device_id)
        if pool is None:
            name = f"motionrt-cuda{device_id}"
            pool = ThreadPoolExecutor(1, name, _enter, (device_id,))
            _pools[device_id] = pool
    future = pool.submit(work)
    try:
        while not wait([future], _LOOK_S).done:
            pass  # signals are heard between two looks
    except BaseException:
        future.cancel()
        raise
    return future.result()


def _enter(device_id: int) -> None:
    _within.device_id = device_id


def run_for(
    backend: Backend, work: Callable[[], Result], stop: Callable[[], None] | None = None
) -> Result:
    """Do onnxruntime's work for a backend: in its device's thread, or so that it can be stopped."""
    if backend.name == "cuda":
        return on_device(backend.device_id, work)
    return interruptible(work, stop)
