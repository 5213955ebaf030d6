from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.device_thread import on_device, run_for


def name() -> str:
    return threading.current_thread().name


def test_all_work_of_a_device_is_done_by_one_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(lambda _: on_device(0, name), range(8)))
    assert names == {"motionrt-cuda0_0"}
    assert on_device(1, name) == "motionrt-cuda1_0"
    assert on_device(0, lambda: on_device(0, name)) == "motionrt-cuda0_0"  # it asks itself


def test_only_cuda_has_such_a_thread() -> None:
    cuda = Backend("cuda", (("CUDAExecutionProvider", {}),), 0, None, 3)
    assert run_for(cuda, name) == "motionrt-cuda3_0"
    assert not run_for(choose_backend("cpu"), name).startswith("motionrt-cuda")


def test_what_goes_wrong_there_is_raised_here() -> None:
    def fail() -> None:
        raise ValueError("no memory")

    with pytest.raises(ValueError, match="no memory"):
        on_device(0, fail)


def test_who_is_interrupted_leaves_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    from motionrt.runtime.backend import device_thread

    done: list[str] = []
    started = threading.Event()

    def slow() -> None:
        started.set()
        time.sleep(0.2)
        done.append("slow")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    first = threading.Thread(target=on_device, args=(0, slow))
    first.start()
    started.wait(5)
    monkeypatch.setattr(device_thread, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        on_device(0, lambda: done.append("waiting"))
    monkeypatch.undo()
    first.join()
    on_device(0, lambda: None)
    assert done == ["slow"]
