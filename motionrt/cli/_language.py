"""A language model on a server: the options that name one, and a pipeline that asks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from motionrt.cli._flags import flag
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.runtime.pipeline import Pipeline

Function = TypeVar("Function", bound=Callable[..., Any])


def language_server_options(function: Function) -> Function:
    """Add --lm-url and --lm-model to a command."""
    function = flag("lm-model", help="Its name on that server.  [default: the first it lists]")(
        function
    )
    return flag(
        "lm-url",
        help="Server with OpenAI's interface (vLLM, SGLang) that writes instead of the bundle's "
        "language model; a token for it is MOTIONRT_LM_TOKEN.",
    )(function)


def use_language_server(pipeline: Pipeline, url: str | None, model: str | None) -> None:
    """Let a server write, if one is named; InputError if the family has no language model."""
    if url is None:
        if model is not None:
            raise InputError("--lm-model goes with --lm-url")
        return
    from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
    from motionrt.runtime.motiongpt_qwen.server import token_from_environment

    if not isinstance(pipeline, MotionGptQwenPipeline):
        raise InputError(
            f"--lm-url: {pipeline.family.name} asks no language model; use a bundle of "
            "motiongpt-qwen"
        )
    pipeline.use_language_server(url, token_from_environment(), model)
