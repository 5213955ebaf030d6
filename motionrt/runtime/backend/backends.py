"""Backends: which can run here, why another cannot, and what each one means."""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from motionrt.runtime.backend.cuda import CudaDevice, find_device
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.extras import pip_command

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Backend name -> onnxruntime provider, best first."""
ENGINE_MODULES = {"tensorrt-rtx": "tensorrt_rtx_bindings", "tensorrt": "tensorrt"}
"""Backends that run engines built beforehand -> the Python module that builds and runs them."""
BACKENDS = (*ENGINE_MODULES, *PROVIDERS)
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
"""Which bring the module ``onnxruntime``."""
_PROVIDER_PACKAGES = {"directml": "onnxruntime-directml"}
_MOST_A_CORE = 4
"""Threads; more gain nothing, a thousand take minutes and a million end the process."""
THREADS_VARIABLE = "MOTIONRT_THREADS"
SILENT, _WARNINGS = 4, 2
"""What onnxruntime's loggers tell; the second is its own choice."""

# y = x, for a float32 vector of one: what a provider is tried on.
_SMALLEST_MODEL = base64.b64decode(
    "CAgSADo3ChAKAXgSAXkiCElkZW50aXR5EgF0Wg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQDQ=="
)


@dataclass(frozen=True)
class Backend:
    """A way to run graphs, chosen once for a pipeline."""

    name: str
    providers: tuple[tuple[str, dict[str, Any]], ...]
    """onnxruntime execution providers in order, with their options; for an engine backend those
    of the graphs that no engine was built of."""
    threads: int
    """CPU threads of one graph; 0 lets onnxruntime choose (one a physical core)."""
    device: CudaDevice | None = field(default=None, compare=False)
    """The GPU that engines run on."""
    device_id: int = 0
    """Which GPU, as CUDA counts them."""
    tf32: bool = False
    """Whether CUDA may round factors of products to 10 bits: faster in fp32, off by 1e-3."""

    @property
    def told(self) -> str:
        """Its name, and on CUDA what changes figures or place."""
        if self.name != "cuda":
            return self.name
        place = f"cuda:{self.device_id}" if self.device_id else "cuda"
        return f"{place}, TF32 {'on' if self.tf32 else 'off'}"

    @property
    def engine_target(self) -> str:
        """The target whose engines run on this backend's device; empty if it runs none."""
        return engine_target(self.name, self.device.sm) if self.device is not None else ""


@dataclass(frozen=True)
class BackendStatus:
    """Whether a backend can run here, and with what, or why not."""

    name: str
    works: bool
    detail: str


def engine_target(backend: str, sm: str) -> str:
    """Return the name of a set of engines: the backend and the GPU's compute capability."""
    return f"{backend}-sm{sm}"


def choose_backend(name: str = "auto", threads: int = 0, *, gpu_pays: bool = True) -> Backend:
    """Return the backend of that name, or with ``auto`` the best that works here.

    name may say which GPU, and that CUDA may compute in TF32: ``cuda:1``, ``cuda:1:tf32``. A
    backend asked for by name is used or refused with a BackendError, never replaced. ``auto``
    takes none of TensorRT's: these need engines that were built for the GPU; and not CUDA unless
    gpu_pays says that what is to run is worth starting it.
    """
    name, device_id, tf32 = _parsed(name)
    threads = threads or _threads_from_environment()
    if threads < 0:
        raise InputError(f"{threads} threads: must be 0 (onnxruntime chooses) or more")
    most = max(64, _MOST_A_CORE * (os.cpu_count() or 1))
    if threads > most:
        raise InputError(f"{threads} threads: at most {most} on this machine")
    if name == "auto":
        unpaid = () if gpu_pays or device_id or tf32 else ("cuda",)
        name = next(key for key in PROVIDERS if key not in unpaid and status(key).works)
    elif name not in BACKENDS:
        raise BackendError(f"backend {name!r} is unknown; choose auto, {', '.join(BACKENDS)}")
    else:
        found = status(name)
        if not found.works:
            raise BackendError(f"backend {name}: {found.detail}")
    if (device_id or tf32) and name != "cuda":
        raise InputError(f"backend {name}: only cuda takes the number of a GPU, or tf32")
    providers: list[tuple[str, dict[str, Any]]] = []
    if name in PROVIDERS and name != "cpu":
        settings = {"device_id": str(device_id), "use_tf32": str(int(tf32))}
        providers.append((PROVIDERS[name], settings if name == "cuda" else {}))
    providers.append((PROVIDERS["cpu"], {}))
    device = find_device() if name in ENGINE_MODULES else None
    return Backend(name, tuple(providers), threads, device, device_id, tf32)


def _parsed(name: str) -> tuple[str, int, bool]:
    """Split ``cuda:1:tf32`` into the backend, the GPU's number and whether TF32 is on."""
    name, *rest = name.split(":")
    tf32 = "tf32" in rest
    numbers = [part for part in rest if part != "tf32"]
    if len(numbers) > 1 or not all(part.isdecimal() and len(part) < 4 for part in numbers):
        raise InputError(
            f"backend {':'.join((name, *rest))}: behind the name goes a GPU's number, or tf32, as "
            "in cuda:1 or cuda:0:tf32"
        )
    return name, int(numbers[0]) if numbers else 0, tf32


def statuses() -> list[BackendStatus]:
    """Return what every backend says of this machine."""
    found = []
    for name in BACKENDS:
        try:
            found.append(status(name))
        except BackendError as error:
            found.append(BackendStatus(name, False, str(error)))
    return found


def status(name: str) -> BackendStatus:
    """Return whether a backend works here; BackendError if onnxruntime is not installed."""
    available = tuple(available_providers())
    if name in ENGINE_MODULES:
        return _engine_status(name)
    provider = PROVIDERS[name]
    if provider not in available:
        package = _PROVIDER_PACKAGES.get(name, "onnxruntime")
        advice = pip_command("gpu") if name == "cuda" else f"pip install {package}"
        detail = f"this onnxruntime has no {provider}; install one that has ({advice})"
        return BackendStatus(name, False, detail)
    if name == "cpu":
        import onnxruntime

        return BackendStatus(name, True, f"onnxruntime {onnxruntime.__version__}")
    problem = _provider_problem(provider)
    if problem:
        return BackendStatus(name, False, f"{provider} does not start: {problem}")
    detail = f"{provider}, TF32 off unless asked for (cuda:tf32)" if name == "cuda" else provider
    return BackendStatus(name, True, detail)


def available_providers() -> list[str]:
    """Return onnxruntime's providers; BackendError if it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"no ONNX backend installed; {pip_command('cpu')} (with an NVIDIA GPU: [gpu])"
        ) from error
    if told := clash():
        warnings.warn(told, RuntimeWarning, stacklevel=2)
    providers: list[str] = onnxruntime.get_available_providers()
    if PROVIDERS["cuda"] in providers:
        _preload()
    return providers


@lru_cache
def _preload() -> None:
    """Load CUDA's libraries where pip put them, before onnxruntime looks for them elsewhere."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        # What is missing it prints; the provider that does not start says so in one line.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()


@lru_cache
def clash() -> str:
    """Say that several packages of onnxruntime share one module here; empty if there is one.

    What was installed last has written over the other's files, and pip knows nothing of it.
    """
    found = _packages()
    if len(found) < 2:
        return ""
    return (
        f"{' and '.join(found)} are both installed and write over each other; keep one: "
        f"pip uninstall -y {' '.join(found)} && {pip_command('gpu')} (or [cpu])"
    )


def _packages() -> list[str]:
    """Return the packages that brought the module, by the records that pip keeps beside it."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent.parent
    records = sorted(place.name for place in folder.glob("onnxruntime*-*.dist-info"))
    names = [name.partition("-")[0].replace("_", "-") for name in records]
    return [name for name in names if name in _PACKAGES]


def engine_module(backend: str) -> Any:
    """Import the module of an engine backend; BackendError names the package to install."""
    try:
        return importlib.import_module(ENGINE_MODULES[backend])
    except ImportError as error:
        raise BackendError(
            f"backend {backend}: no module {ENGINE_MODULES[backend]}; " + pip_command(backend)
        ) from error


def _engine_status(name: str) -> BackendStatus:
    try:
        module = engine_module(name)
    except BackendError as error:
        return BackendStatus(name, False, str(error).partition(": ")[2])
    version = str(module.__version__)
    try:
        device = find_device()
    except BackendError as error:
        return BackendStatus(
            name, False, f"{version} can build engines here, not run them: {error}"
        )
    return BackendStatus(name, True, f"{version} on {device.name}, sm {device.sm}")


@lru_cache
def _provider_problem(provider: str) -> str:
    """Try a provider on the smallest model; return why it does not start, or nothing.

    An installed provider is listed although its libraries or its device are missing.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    try:
        with silenced():
            session = onnxruntime.InferenceSession(_SMALLEST_MODEL, options, providers=[provider])
    except Exception as error:  # onnxruntime raises many kinds of its own
        return str(error).splitlines()[0]
    return "" if provider in session.get_providers() else "its libraries or its device are missing"


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep onnxruntime from printing, in colour, what the package tells itself.

    What a session is made with is not enough: providers are looked for before it has a log.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(SILENT)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)


def _threads_from_environment() -> int:
    value = os.environ.get(THREADS_VARIABLE, "0")
    try:
        return int(value)
    except ValueError:
        raise InputError(f"{THREADS_VARIABLE}={value!r}: expected a number") from None
