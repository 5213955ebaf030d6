"""Show a motion without an end in the browser, and steer it there."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._flags import flag, prompt_text
from motionrt.cli._serving import address_options, report, serve
from motionrt.cli._text_encoder import ask_text_encoder, text_encoder_options
from motionrt.cli._windows import window_options


@click.command("live")
@click.argument("prompt", required=False, default="", type=prompt_text)
@bundle_options
@flag("seed", type=int, help="0 to 4294967295; the same seed and wishes give the same motion.")
@window_options
@address_options(8760)
@text_encoder_options
@backend_options
def command(
    prompt: str,
    bundle: Path | None,
    model: str | None,
    seed: int | None,
    num_steps: int | None,
    history_frames: int | None,
    reaction_seconds: float,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    text_encoder_url: str | None,
    text_encoder_token: str | None,
    backend: str,
    threads: int,
) -> None:
    """Play a motion without an end in the browser, beginning with PROMPT.

    The page takes other prompts, goals that are clicked on the floor, and arrow keys. Only bundles
    that stream (ARDY) can. Ctrl-C or SIGTERM ends it.
    """
    from motionrt.cli._extras import needing

    with needing("serve", "live"):
        from motionrt.serving.live import LiveServer

    from motionrt.runtime.pipeline import load
    from motionrt.viewer.html import live_page

    pipeline = load(find_bundle(bundle, model), backend, threads)
    ask_text_encoder(pipeline, text_encoder_url, text_encoder_token)
    session = pipeline.stream(
        prompt,
        seed=seed,
        num_steps=num_steps,
        history_frames=history_frames,
        reaction_frames=max(1, round(reaction_seconds * pipeline.fps)),
    )
    page = live_page(pipeline.skeleton, pipeline.fps, pipeline.manifest.name)

    server = LiveServer(session, page, host, port, report=report, hosts=hosts)
    name = pipeline.manifest.name
    serve(server, lambda url: f"{name} plays on {url} (seed {session.seed})", "steer it")
