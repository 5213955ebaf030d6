"""Which bundle a command runs: the options that name one, and what a name means."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from motionrt.cli._flags import flag
from motionrt.runtime.bundle.embedded import NAME
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = TypeVar("Function", bound=Callable[..., Any])
BUNDLE_DIR_VARIABLE = "MOTIONRT_BUNDLE_DIR"
"""Environment variable: the folder in which ``--model NAME`` looks for bundles."""
_MANIFESTS = "*/manifest.json"


def bundle_options(function: Function) -> Function:
    """Add --bundle and --model to a command; ``find_bundle`` says what they mean."""
    function = flag(
        "model",
        shell_complete=_models,
        help=f"Name of a bundle in ${BUNDLE_DIR_VARIABLE}, instead of --bundle.",
    )(function)
    return flag(
        "bundle",
        type=click.Path(path_type=Path),
        shell_complete=_bundles,
        help="The bundle to run.  [default: embedded]",
    )(function)


def backend_options(function: Function) -> Function:
    """Add --backend, --device, --tf32 and --threads to a command, which gets backend and threads.

    The GPU's number and TF32 go behind the backend's name, as `choose_backend` takes them.
    """
    wrapped = function

    @wraps(function)
    def call(*arguments: Any, backend: str, device: int | None, tf32: bool, **options: Any) -> Any:
        backend += "" if device is None else f":{device}"
        backend += ":tf32" if tf32 else ""
        return wrapped(*arguments, backend=backend, **options)

    function = cast(Function, call)
    function = flag("threads", type=int, default=0, help="CPU threads; 0 chooses.")(function)
    function = flag(
        "tf32", is_flag=True, help="Let CUDA round products to 10 bits: faster in fp32, less exact."
    )(function)
    function = flag(
        "device", type=click.IntRange(min=0, max=999), help="Which GPU of several.  [default: 0]"
    )(function)
    return flag(
        "backend",
        default="auto",
        show_default=True,
        shell_complete=_backends,
        help="auto, or one that motionrt devices names.",
    )(function)


def find_bundle(bundle: Path | None, model: str | None) -> Path | None:
    """Return the bundle that --bundle or --model names, None if neither; UsageError if both do.

    A model is a folder, or the name of one in the folder that the variable names: exactly, or by
    another spelling of a published model's name. InputError lists what is there.
    """
    if bundle is not None and model is not None:
        raise click.UsageError("give --bundle or --model, not both")
    if model is None:
        return bundle
    if Path(model).is_dir():
        return Path(model)
    folder = os.environ.get(BUNDLE_DIR_VARIABLE)
    if not folder:
        raise click.UsageError(
            f"--model {model} needs {BUNDLE_DIR_VARIABLE}, the folder of your bundles (motionrt "
            "export makes them), or use --bundle DIR"
        )
    entries = {place.parent.name: place.parent for place in sorted(Path(folder).glob(_MANIFESTS))}
    for name, entry in entries.items():
        if name.lower() == model.lower():
            return entry
    known = ", ".join(entries) or "none"
    keys = _model_keys(model)
    found = [name for name in entries if _plain(name).startswith(tuple(keys))] if keys else []
    if len(found) == 1:
        return entries[found[0]]
    if found:
        raise InputError(f"{folder}: several bundles fit {model}: {', '.join(found)}; name one")
    raise InputError(f"{folder}: no bundle named {model} (there are: {known})")


def _model_keys(name: str) -> list[str]:
    """Return the published models that a name means, of any family."""
    from motionrt.runtime.families import all_families

    keys = (family.model_key(name) for family in all_families())
    return [key for key in keys if key is not None]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    folder = Path(os.environ.get(BUNDLE_DIR_VARIABLE) or os.devnull)
    names = sorted(place.parent.name for place in folder.glob(_MANIFESTS))
    return [name for name in names if name.startswith(incomplete)]


def _bundles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    named = [CompletionItem(NAME)] if NAME.startswith(incomplete) else []
    return [*named, CompletionItem(incomplete, type="dir")]


def _backends(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from motionrt.runtime.backend.backends import BACKENDS

    return [name for name in ("auto", *BACKENDS) if name.startswith(incomplete)]
