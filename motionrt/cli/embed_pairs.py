"""Embed images and captions into a data set for a projector."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import step_progress

EXAMPLES = """\b
motionrt embed-pairs photos --vl Qwen3-VL-4B-Instruct --text Qwen3-4B -o pairs
motionrt train-projector --pairs pairs --kind linear -o projection.safetensors
"""


@click.command("embed-pairs", epilog=EXAMPLES)
@click.argument("captions", type=click.Path(path_type=Path))
@click.option("--vl", required=True, help="Directory of the model that sees: a Qwen-VL.")
@click.option("--text", required=True, help="Directory of the model that reads: a Qwen3.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the data set."
)
@click.option(
    "--vl-layer",
    default=-8,
    show_default=True,
    help="Hidden state of the seeing model: -1 is the last, 0 the embeddings.",
)
@click.option("--text-layer", default=-2, show_default=True, help="That of the reading one.")
@click.option(
    "--tokens",
    type=click.Choice(("text", "image", "all")),
    default="text",
    show_default=True,
    help="Of the seeing model: text leaves out the image's own, and so has one for each target.",
)
@click.option(
    "--scale-to-text", is_flag=True, help="Scale inputs so that they spread as far as targets do."
)
@click.option("--validation", default=0.1, show_default=True, help="Share of images held out.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--dtype",
    type=click.Choice(("float32", "bfloat16", "float16")),
    default="float32",
    show_default=True,
    help="What the models compute in; embeddings are stored in float32.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    captions: Path,
    vl: str,
    text: str,
    output: Path,
    vl_layer: int,
    text_layer: int,
    tokens: str,
    scale_to_text: bool,
    validation: float,
    device: str,
    dtype: str,
    quiet: bool,
) -> None:
    """Embed the images and captions in CAPTIONS with a model that sees and one that reads.

    CAPTIONS is a folder of images, with a .txt of captions beside each or a captions.jsonl, or such
    a listing itself (.jsonl or .csv, image and caption). The result is what train-projector takes:
    the seeing model's embeddings are the inputs, the reading model's the targets. A run that was
    interrupted goes on.
    """
    with needing("train", "embedding"):
        from motionrt.export.text_encoder import local_directory
        from motionrt.train.image_pairs import ImagePairOptions, embed_image_pairs, read_captioned

    if not 0 <= validation < 1:
        raise click.BadParameter("expected a share from 0 to below 1", param_hint="--validation")
    options = ImagePairOptions(vl_layer, text_layer, tokens, scale_to_text, device, dtype)
    captioned = read_captioned(captions)
    with step_progress(quiet) as progress:
        made = embed_image_pairs(
            captioned,
            local_directory(vl),
            local_directory(text),
            output,
            options,
            validation,
            progress,
        )
    if not quiet:
        scaled = f", inputs scaled by {made['scale']:.4g}" if scale_to_text else ""
        click.echo(f"{output}: {made['train']} pairs to train on, {made['val']} held out{scaled}")
