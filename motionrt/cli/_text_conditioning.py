"""The options that say where a bundle's text embeddings come from, as one object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.export.framings import FRAMINGS
from motionrt.export.quantise.recipes import BLOCK_SIZES, LANGUAGE_MODEL_RECIPES

if TYPE_CHECKING:
    from motionrt.export.bundle import BundleWriter
    from motionrt.export.text_conditioning import TextConditioning


@dataclass(frozen=True)
class TextOptions:
    """What was given on the command line; each field is the option of its name."""

    text_encoder: tuple[str, ...]
    text_reference: Path | None
    projector: Path | None
    no_text_encoder: bool
    prompt_book: Path | None
    text_framing: str
    text_precision: str
    text_block_size: str | None
    max_deviation: float | None
    optimum_layout: Path | None

    def check(self) -> None:
        """Raise UsageError for options that contradict each other."""
        if self.no_text_encoder == bool(self.text_encoder):
            raise click.UsageError("give either --text-encoder DIR or --no-text-encoder")
        if self.projector is not None and self.no_text_encoder:
            raise click.UsageError("--projector goes with --text-encoder")

    def read(self, writer: BundleWriter, force: bool) -> TextConditioning:
        """Read what they name, and keep its licences in the bundle.

        With --optimum-layout the encoder is written in that layout, force replaces an older one;
        UsageError if there is none.
        """
        from motionrt.export.optimum_layout import write_optimum_layout
        from motionrt.export.quantise.recipes import recipe
        from motionrt.export.text_conditioning import TextConditioning
        from motionrt.export.text_encoder import TextEncoderOptions, read_text_encoder
        from motionrt.runtime.text.prompt_book import PromptBook

        size = int(self.text_block_size) if self.text_block_size else None
        text_recipe = recipe(self.text_precision, language_model=True, block_size=size)
        book = PromptBook.load(self.prompt_book) if self.prompt_book else None
        encoder = None
        if self.text_encoder:
            options = TextEncoderOptions(framing=self.text_framing)
            encoder = read_text_encoder(
                self.text_encoder, self.projector, options, self.text_reference
            )
            writer.keep_licences(*encoder.folders)
        if self.optimum_layout is not None:
            if encoder is None:
                raise click.UsageError("--optimum-layout goes with --text-encoder")
            writer.progress("writing the text encoder in optimum's layout")
            write_optimum_layout(encoder, self.optimum_layout, replace=force)
        return TextConditioning(encoder, text_recipe, self.max_deviation, book)


def text_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command, which gets them as ``text``."""

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> Any:
        given = {field.name: values.pop(field.name) for field in fields(TextOptions)}
        return function(*args, text=TextOptions(**given), **values)

    for option in (
        click.option(
            "--optimum-layout",
            type=click.Path(path_type=Path),
            help="Write the text encoder, without pooling and projector, into this folder besides, "
            "as optimum does: ORTModelForFeatureExtraction loads it.",
        ),
        click.option(
            "--max-deviation",
            type=click.FloatRange(min=0, min_open=True),
            help="Fail if the text encoder's embeddings are further from fp32 (relative).",
        ),
        click.option(
            "--text-block-size",
            type=click.Choice([str(size) for size in BLOCK_SIZES]),
            help="Weights that share a scale; fewer are more exact.  [default: 32]",
        ),
        click.option(
            "--text-precision",
            type=click.Choice(list(LANGUAGE_MODEL_RECIPES)),
            default="fp32",
            show_default=True,
            help="Of the text encoder's weights; int4-mixed keeps the sensitive ones in int8.",
        ),
        click.option(
            "--text-framing",
            type=click.Choice(FRAMINGS),
            default="auto",
            show_default=True,
            help="What is written around a prompt; auto is what the encoder is used with.",
        ),
        click.option(
            "--prompt-book",
            type=click.Path(path_type=Path),
            help="Stored embeddings (motionrt embed) that go into the bundle.",
        ),
        click.option(
            "--no-text-encoder",
            is_flag=True,
            help="A bundle for the prompts of its book, or for text embeddings, only.",
        ),
        click.option(
            "--projector", type=click.Path(path_type=Path), help="Projection file behind it."
        ),
        click.option(
            "--text-reference",
            type=click.Path(path_type=Path),
            help="Directory of the weights (safetensors) of a text encoder that is an ONNX graph, "
            "to compare it with.  [default: those beside it, if there are any]",
        ),
        click.option(
            "--text-encoder",
            "text_encoder",
            multiple=True,
            help="Directory of the text encoder: Qwen3, BERT, LLM2Vec (give base, MNTP and "
            "supervised in this order, or one directory that holds them), or any that optimum "
            "exported (or the .onnx file in it).",
        ),
    ):
        command = option(command)
    return command
