"""Where projector commands get their pairs from: the options, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import step_progress
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from motionrt.train.pairs import Pairs

    Embed = Callable[[list[str]], NDArray[np.float32]]


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name pairs, or texts and encoders, and how they are split."""
    places = click.Path(path_type=Path)
    for option in (
        click.option(
            "--cache",
            type=places,
            default=Path("embeddings"),
            show_default=True,
            help="Folder that keeps the embeddings of texts.",
        ),
        click.option(
            "--framing",
            default="auto",
            show_default=True,
            help="Of the teacher's prompts: llama3-user, plain or chatml-user.",
        ),
        click.option(
            "--student-layer",
            default=-1,
            show_default=True,
            help="Hidden state of the student, from the embeddings on.",
        ),
        click.option(
            "--teacher",
            multiple=True,
            help="Directory of the encoder to imitate; LLM2Vec: base, MNTP, supervised.",
        ),
        click.option("--student", multiple=True, help="Directory of the encoder to be projected."),
        click.option(
            "--texts",
            type=places,
            help="Texts, one a line, or .jsonl with text and group; motions: 1,000 descriptions of "
            "motions that come with motionrt.",
        ),
        click.option(
            "--targets", type=places, help="File of targets, where --pairs holds inputs only."
        ),
        click.option(
            "--pairs", type=places, help="Data set: a directory, or an .npz or .safetensors file."
        ),
        click.option(
            "--shares",
            nargs=2,
            type=float,
            default=(0.1, 0.1),
            show_default=True,
            help="Of validation and test pairs.",
        ),
        click.option("--seed", default=0, show_default=True, help="Of the split and the training."),
    ):
        function = option(function)
    return function


def read_data(
    quiet: bool,
    *,
    pairs: Path | None,
    targets: Path | None,
    texts: Path | None,
    student: tuple[str, ...],
    teacher: tuple[str, ...],
    student_layer: int,
    framing: str,
    cache: Path,
) -> tuple[Pairs, dict[str, str], tuple[Embed, Embed] | None]:
    """Return the pairs, what is known of their encoders, and the encoders if there are any."""
    with needing("train", "training"):
        from motionrt.export.text_encoder import TextEncoderOptions, read_text_encoder
        from motionrt.train.descriptions import CORPUS, corpus_file
        from motionrt.train.embedding import CachedEncoder
        from motionrt.train.pairs import pairs_of_texts, read_pairs, read_texts

    if (pairs is None) == (texts is None):
        raise click.UsageError("give either --pairs or --texts")
    if pairs is not None:
        if student or teacher:
            raise click.UsageError("--student and --teacher go with --texts")
        return read_pairs(pairs, targets), {}, None
    if not student or not teacher or targets is not None:
        raise click.UsageError("--texts goes with --student and --teacher")
    assert texts is not None
    if str(texts) == CORPUS and not texts.exists():
        texts = corpus_file()
    with step_progress(quiet) as bar:

        def encoder(name: str, places: tuple[str, ...], options: TextEncoderOptions) -> Any:
            def progress(done: int, total: int) -> None:
                if bar is not None:
                    bar(f"encoding with the {name}", done, total)

            return CachedEncoder(read_text_encoder(places, options=options), cache, progress)

        ours = encoder("student", student, TextEncoderOptions(output_layer=student_layer))
        theirs = encoder("teacher", teacher, TextEncoderOptions(framing=framing))
        made = pairs_of_texts(read_texts(texts), ours, theirs, str(texts))
    provenance = {
        "source_encoder": ours.source.name,
        "source_fingerprint": ours.source.fingerprint,
        "source_layer": str(student_layer),
        "source_pooling": str(ours.source.options.pooling),
        "prompt_format": ours.source.options.framing,
        "max_length": str(ours.source.rules.max_tokens),
        "sanitise": "true",
        "target_encoder": theirs.source.name,
        "target_fingerprint": theirs.source.fingerprint,
        "target_prompt_format": theirs.source.options.framing,
    }
    return made, provenance, (ours, theirs)


def loss_weights(given: str | None) -> str | tuple[float, ...] | None:
    """Turn --weights into loss weights: none, "outliers", or the numbers in a file."""
    if given is None or given == "outliers":
        return given
    import numpy as np

    path = Path(given)
    try:
        values = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, ndmin=1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no list of weights ({' '.join(str(error).split())})") from None
    return tuple(float(value) for value in values.reshape(-1))
