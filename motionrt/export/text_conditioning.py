"""Where a bundle's text embeddings come from, for every family that is conditioned on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from motionrt.export.bundle import BundleWriter
from motionrt.export.quantise.recipes import Recipe
from motionrt.export.text_encoder import GRAPH_NAME, TextEncoderSource
from motionrt.export.text_encoder_graph import (
    AddedTextEncoder,
    add_prompt_book,
    add_text_encoder,
)
from motionrt.runtime.errors import ExportError
from motionrt.runtime.text.prompt_book import PromptBook


@dataclass(frozen=True)
class TextConditioning:
    """An encoder, a prompt book, or both; neither makes a bundle that takes text embeddings."""

    encoder: TextEncoderSource | None = None
    recipe: Recipe | None = None
    """Precision of the encoder; None is fp32."""
    max_deviation: float | None = None
    """Largest relative deviation of its embeddings that passes."""
    prompt_book: PromptBook | None = None
    """Stored embeddings that go into the bundle."""

    def width(self, model: str, own: int, embedded: int | None = None) -> int:
        """Return how wide the embeddings are that a model is given.

        own is what it takes, embedded what it makes of that first and takes as well. ExportError
        if the encoder gives neither.
        """
        if self.encoder is None:
            return own
        width = self.encoder.text_width
        if width not in (own, embedded):
            taken = f"{own}" if embedded is None else f"{own} (or {embedded}, embedded)"
            raise ExportError(
                f"text encoder {self.encoder.name} gives {width} numbers, {model} takes "
                f"{taken}; give the right encoder or --projector"
            )
        return width


def add_text_conditioning(
    writer: BundleWriter,
    text: TextConditioning,
    width: int,
    most_tokens: int = 1,
    deviation: Callable[[AddedTextEncoder], Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Put encoder and book into a bundle; return the text section of its manifest.

    Args:
        writer: of the bundle.
        text: what is put there.
        width: of an embedding, as the model takes it.
        most_tokens: that a prompt of the book may have.
        deviation: measures what fewer bits of the encoder do to motions, if the family can tell.

    Raises:
        ExportError: the book does not fit, or the encoder deviates too far.
    """
    section: dict[str, Any] = {}
    if text.encoder is not None:
        added = add_text_encoder(writer, text.encoder, text.recipe, text.max_deviation)
        section |= added.manifest
        if text.recipe is not None and text.recipe.name != "fp32":
            if deviation is not None:
                writer.note_deviation(GRAPH_NAME, deviation(added))
            writer.judge("text encoder", [GRAPH_NAME], text.recipe, "--text-precision")
    if text.prompt_book is not None:
        section |= add_prompt_book(writer, text.prompt_book, width, most_tokens)
    return section
