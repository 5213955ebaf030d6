"""Store the embeddings of prompts in a prompt book."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("embed")
@click.argument("prompts", type=click.Path(path_type=Path))
@click.option(
    "-b",
    "--bundle",
    type=click.Path(path_type=Path),
    help="Bundle whose encoder is used.  [default: embedded]",
)
@click.option(
    "--text-encoder-url",
    help="Server that encodes instead (also TEXT_ENCODER_URL), no bundle needed.",
)
@click.option("--text-encoder-token", help="Token that it asks for (also TEXT_ENCODER_TOKEN).")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The prompt book, a .safetensors file.",
)
@click.option("--add", is_flag=True, help="Keep what an existing book holds, encode only the rest.")
@click.option(
    "--backend",
    envvar="TEXT_ENCODER_DEVICE",
    default="auto",
    show_default=True,
    help="Where the encoder runs.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    prompts: Path,
    bundle: Path | None,
    text_encoder_url: str | None,
    text_encoder_token: str | None,
    output: Path,
    add: bool,
    backend: str,
    quiet: bool,
) -> None:
    """Encode the prompts in PROMPTS, a text file of one a line (or -), once and for all.

    A bundle exported with --prompt-book needs no language model for these prompts.
    """
    from motionrt.cli._progress import step_progress
    from motionrt.runtime.errors import InputError
    from motionrt.runtime.files import check_writable
    from motionrt.runtime.text.client import client_from_environment
    from motionrt.runtime.text.prompt_book import PromptBook, read_prompts
    from motionrt.runtime.text.sources import BundleTextEncoder, Encoder

    check_writable(output)
    wanted = read_prompts(prompts)
    encoder: Encoder | None = None
    if bundle is None:
        encoder = client_from_environment(text_encoder_url, token=text_encoder_token)
    if bundle is not None and text_encoder_url:
        raise click.UsageError("give either --bundle or --text-encoder-url")
    if encoder is None:
        from motionrt.runtime.backend.backends import choose_backend
        from motionrt.runtime.bundle.embedded import bundle_folder
        from motionrt.runtime.bundle.manifest import Bundle

        encoder = BundleTextEncoder(Bundle(bundle_folder(bundle)), choose_backend(backend))

    known = PromptBook.load(output) if add and output.exists() else None
    if known is not None and known.encoder != encoder.description:
        raise InputError(f"{output}: was made by another encoder; make a new book instead of --add")
    rows = {prompt: known.lookup(prompt) for prompt in known.prompts} if known else {}
    missing = [prompt for prompt in wanted if prompt not in rows]
    with step_progress(quiet) as progress:
        for done, prompt in enumerate(missing):
            rows[prompt] = encoder.encode([prompt])[0]
            if progress is not None:
                progress("encoding", done + 1, len(missing))
    book = PromptBook.from_rows(rows, encoder.description, str(output))
    book.save(output)
    if not quiet:
        size = output.stat().st_size / 1e6
        click.echo(f"{output}: {len(book)} prompts of {book.width} numbers, {size:.1f} MB")
