"""Serve a bundle's text encoder to other programs, Kimodo's own among them."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._serving import address_options, report, serve, token_option


@click.command("serve-text")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@address_options(9550, "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT")
@click.option(
    "--backend",
    envvar="TEXT_ENCODER_DEVICE",
    default="auto",
    show_default=True,
    help="Where the encoder runs.",
)
@token_option("TEXT_ENCODER_TOKEN")
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
    from motionrt.runtime.text.sources import BundleTextEncoder

    encoder = BundleTextEncoder(Bundle(bundle_folder(bundle)), choose_backend(backend))

    def encode(prompt: str) -> NDArray[np.float32]:
        return np.asarray(encoder.encode([prompt])[0], np.float32)

    def log(prompt: str) -> None:
        if not quiet:
            click.echo(f"encoded {prompt!r}")

    server = TextEncoderServer(
        encode, host, port, log, report=report, hosts=hosts, token=token or None
    )
    name = encoder.description.get("name", "the text encoder")
    anyone = None if token else "use it; --token asks for one"
    serve(server, lambda url: f"serving {name} on {url}", anyone)
