"""A text-encoder server that a command may ask for embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from motionrt.cli._flags import flag

if TYPE_CHECKING:
    from motionrt.runtime.pipeline import Pipeline

Function = TypeVar("Function", bound=Callable[..., Any])


def text_encoder_options(function: Function) -> Function:
    """Give a command the options of the server: text_encoder_url, text_encoder_token."""
    url = flag(
        "text-encoder-url",
        help="Text-encoder server to ask for embeddings (motionrt serve-text, or Kimodo's own), "
        "instead of the bundle's encoder; also TEXT_ENCODER_URL.",
    )
    token = flag("text-encoder-token", help="Token that it asks for; also TEXT_ENCODER_TOKEN.")
    return url(token(function))


def ask_text_encoder(
    pipeline: Pipeline, url: str | None, token: str | None
) -> tuple[str, str | None] | None:
    """Let a pipeline ask a server for embeddings, if one is named; returns its address and token.

    The variable of the environment is for families that take any embeddings; the flag is for the
    one it was given for.
    """
    from motionrt.runtime.text.client import client_from_environment

    server = client_from_environment(url, token=token)
    if server is None or not (url or pipeline.family.takes_text_embeddings):
        return None
    pipeline.use_text_encoder(server.url, server.token)
    return server.url, server.token
