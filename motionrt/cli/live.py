"""Show a motion without an end in the browser, and steer it there."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._flags import flag, prompt_text
from motionrt.cli._streams import tell
from motionrt.cli._windows import window_options


@click.command("live")
@click.argument("prompt", required=False, default="", type=prompt_text)
@bundle_options
@flag("seed", type=int, help="0 to 4294967295; the same seed and wishes give the same motion.")
@window_options
@flag("host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@flag(
    "port",
    default=8760,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to serve on; 0 takes a free one.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name by which browsers may ask, besides localhost and addresses; may be repeated.",
)
@flag("text-encoder-url", help="Text-encoder server to ask; also TEXT_ENCODER_URL.")
@flag("text-encoder-token", help="Token that it asks for; also TEXT_ENCODER_TOKEN.")
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

    from motionrt.runtime.errors import one_line
    from motionrt.runtime.pipeline import load
    from motionrt.runtime.text.client import client_from_environment
    from motionrt.viewer.html import live_page

    pipeline = load(find_bundle(bundle, model), backend, threads)
    server = client_from_environment(text_encoder_url, token=text_encoder_token)
    if server is not None and (text_encoder_url or pipeline.family.takes_text_embeddings):
        pipeline.use_text_encoder(server.url, server.token)
    session = pipeline.stream(
        prompt,
        seed=seed,
        num_steps=num_steps,
        history_frames=history_frames,
        reaction_frames=max(1, round(reaction_seconds * pipeline.fps)),
    )
    page = live_page(pipeline.skeleton, pipeline.fps, pipeline.manifest.name)

    def report(line: str) -> None:
        tell(f"Error: {one_line(line)}")

    with LiveServer(session, page, host, port, report=report, hosts=hosts) as live:
        click.echo(f"{pipeline.manifest.name} plays on {live.url} (seed {session.seed})")
        if not live.loopback:
            tell("Whoever reaches this address may steer it.")
        live.serve_forever()
    tell("Stopped.")
