from __future__ import annotations

import onnxruntime
import pytest

from motionrt.runtime.backend import backends
from motionrt.runtime.backend.backends import PROVIDERS, choose_backend, status, statuses
from motionrt.runtime.backend.cuda import CudaDevice
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.extras import pip_command

GPU = CudaDevice("a GPU", "89")


def pretend(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], working: tuple[str, ...]
) -> None:
    """Let onnxruntime list providers of which some do not start."""
    names = [PROVIDERS[name] for name in installed]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    started = {PROVIDERS[name] for name in working}
    monkeypatch.setattr(
        backends, "_provider_problem", lambda provider: "" if provider in started else "no device"
    )


@pytest.mark.parametrize(
    ("installed", "working", "chosen"),
    [
        (("cpu",), (), "cpu"),
        (("cuda", "cpu"), ("cuda",), "cuda"),
        (("cuda", "cpu"), (), "cpu"),
        (("cuda", "directml", "cpu"), ("directml",), "directml"),
        (("cpu", "coreml"), ("coreml",), "coreml"),
    ],
)
def test_auto_takes_the_best_that_works(
    monkeypatch: pytest.MonkeyPatch,
    installed: tuple[str, ...],
    working: tuple[str, ...],
    chosen: str,
) -> None:
    pretend(monkeypatch, installed, working)
    backend = choose_backend("auto")
    assert backend.name == chosen
    assert [name for name, _ in backend.providers] == list(
        dict.fromkeys((PROVIDERS[chosen], PROVIDERS["cpu"]))
    )


def test_a_backend_asked_for_by_name_is_used_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("cuda", "cpu"), ())
    with pytest.raises(BackendError, match=r"cuda.*does not start: no device"):
        choose_backend("cuda")
    with pytest.raises(BackendError, match=r"coreml.*has no CoreMLExecutionProvider"):
        choose_backend("coreml")
    with pytest.raises(BackendError, match="unknown; choose auto, tensorrt-rtx"):
        choose_backend("gpu")
    pretend(monkeypatch, ("cuda", "cpu"), ("cuda",))
    assert choose_backend("cuda").name == "cuda"


def test_engine_backends_need_module_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        __version__ = "1.2.3"

    def no_gpu() -> CudaDevice:
        raise BackendError("no CUDA device here")

    monkeypatch.setattr(backends, "engine_module", lambda name: Module)
    monkeypatch.setattr(backends, "find_device", no_gpu)
    with pytest.raises(
        BackendError, match=r"1\.2\.3 can build engines here, not run them: no CUDA"
    ):
        choose_backend("tensorrt")
    monkeypatch.setattr(backends, "find_device", lambda: GPU)
    backend = choose_backend("tensorrt-rtx")
    assert backend.engine_target == "tensorrt-rtx-sm89"
    assert choose_backend("cpu").engine_target == ""


def test_missing_engine_module_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.ENGINE_MODULES, "tensorrt", "no_such_module")
    assert status("tensorrt").detail == (f"no module no_such_module; {pip_command('tensorrt')}")


def test_every_backend_has_a_status_of_one_line() -> None:
    found = statuses()
    assert [entry.name for entry in found] == list(backends.BACKENDS)
    assert all(entry.detail and "\n" not in entry.detail for entry in found)
    assert found[-1].works


def test_the_cpu_provider_starts_on_the_smallest_model() -> None:
    assert backends._provider_problem.__wrapped__(PROVIDERS["cpu"]) == ""


def test_threads_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONRT_THREADS", "3")
    assert choose_backend("cpu").threads == 3
    assert choose_backend("cpu", 2).threads == 2
    monkeypatch.setenv("MOTIONRT_THREADS", "many")
    with pytest.raises(InputError, match="MOTIONRT_THREADS"):
        choose_backend("cpu")
    with pytest.raises(InputError, match="-1 threads"):
        choose_backend("cpu", -1)


def test_two_packages_of_one_module_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backends.clash() == ""
    both = ["onnxruntime", "onnxruntime-gpu"]
    monkeypatch.setattr(backends, "_packages", lambda: both)
    backends.clash.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="onnxruntime and onnxruntime-gpu are both"):
            assert choose_backend("cpu").name == "cpu"
    finally:
        backends.clash.cache_clear()


def test_auto_does_not_start_a_gpu_that_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ("cuda", "cpu"), ("cuda",))
    assert choose_backend("auto", gpu_pays=False).name == "cpu"
    assert choose_backend("auto:0:tf32", gpu_pays=False).name == "cuda"  # a GPU was asked for
    assert choose_backend("cuda", gpu_pays=False).name == "cuda"


def test_a_gpu_is_chosen_by_its_number_and_tf32_is_off_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, ("cuda", "cpu"), ("cuda",))
    for name, settings, told in (
        ("cuda", {"device_id": "0", "use_tf32": "0"}, "cuda, TF32 off"),
        ("cuda:1", {"device_id": "1", "use_tf32": "0"}, "cuda:1, TF32 off"),
        ("cuda:tf32", {"device_id": "0", "use_tf32": "1"}, "cuda, TF32 on"),
        ("auto:2:tf32", {"device_id": "2", "use_tf32": "1"}, "cuda:2, TF32 on"),
    ):
        backend = choose_backend(name)
        assert backend.providers[0] == (PROVIDERS["cuda"], settings)
        assert backend.told == told
    assert choose_backend("cpu").told == "cpu"
    with pytest.raises(InputError, match="only cuda takes the number of a GPU"):
        choose_backend("cpu:1")
    for wrong in ("cuda:one", "cuda:1:2", "cuda:", "cuda:-1", "cuda:9999"):
        with pytest.raises(InputError, match="as in cuda:1 or cuda:0:tf32"):
            choose_backend(wrong)


def test_cudas_libraries_are_loaded_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def preload() -> None:
        loaded.append(True)
        print("Failed to load libcublas.so.13")

    loaded: list[bool] = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    backends._preload.cache_clear()
    try:
        pretend(monkeypatch, ("cpu",), ())
        backends.available_providers()
        assert not loaded
        pretend(monkeypatch, ("cuda", "cpu"), ("cuda",))
        backends.available_providers()
        backends.available_providers()
        assert loaded == [True]
    finally:
        backends._preload.cache_clear()
