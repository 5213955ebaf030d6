"""Serve a bundle's text encoder to other programs, Kimodo's own among them."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._streams import tell


@click.command("serve-text")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--host",
    envvar="GRADIO_SERVER_NAME",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve on; 0.0.0.0 lets other machines in.",
)
@click.option(
    "--port",
    envvar="GRADIO_SERVER_PORT",
    default=9550,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to serve on; 0 takes a free one.",
)
@click.option(
    "--backend",
    envvar="TEXT_ENCODER_DEVICE",
    default="auto",
    show_default=True,
    help="Where the encoder runs.",
)
@click.option(
    "--token",
    envvar="TEXT_ENCODER_TOKEN",
    show_envvar=True,
    help="Ask clients for this token (Authorization: Bearer). The variable is not seen by others, "
    "the flag is.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name by which clients may ask, besides localhost and addresses; may be repeated.",
)
@click.option("--quiet", is_flag=True, help="Do not print the prompts.")
def command(
    bundle: Path | None,
    host: str,
    port: int,
    backend: str,
    token: str | None,
    hosts: tuple[str, ...],
    quiet: bool,
) -> None:
    """Serve the text encoder of BUNDLE by the protocol of Kimodo's text-encoder server.

    Without BUNDLE it is the embedded default's. A Kimodo installation uses it with
    TEXT_ENCODER_MODE=api and TEXT_ENCODER_URL set to the address that is printed, motionrt with
    --text-encoder-url. Ctrl-C or SIGTERM ends it: what runs is finished first.
    """
    from motionrt.cli._extras import needing

    with needing("serve", "serve-text"):
        from motionrt.serving.text_encoder import TextEncoderServer

    import numpy as np
    from numpy.typing import NDArray

    from motionrt.runtime.backend.backends import choose_backend
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import Bundle
    from motionrt.runtime.errors import one_line
    from motionrt.runtime.text.sources import BundleTextEncoder

    encoder = BundleTextEncoder(Bundle(bundle_folder(bundle)), choose_backend(backend))

    def encode(prompt: str) -> NDArray[np.float32]:
        return np.asarray(encoder.encode([prompt])[0], np.float32)

    def log(prompt: str) -> None:
        if not quiet:
            click.echo(f"encoded {prompt!r}")

    def report(line: str) -> None:
        tell(f"Error: {one_line(line)}")

    with TextEncoderServer(
        encode, host, port, log, report=report, hosts=hosts, token=token or None
    ) as server:
        click.echo(f"serving {encoder.description.get('name', 'the text encoder')} on {server.url}")
        if not (token or server.loopback):
            tell("Whoever reaches this address may use it; --token asks for one.")
        server.serve_forever()
    tell("Stopped.")
