"""What every ``motionrt export`` subcommand shares: its options, and the folder it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import StageProgress
from motionrt.cli._streams import tell
from motionrt.export.framings import FRAMINGS
from motionrt.export.lowering.targets import targets
from motionrt.export.quantise.recipes import (
    BLOCK_SIZES,
    DENOISER_RECIPES,
    LANGUAGE_MODEL_RECIPES,
)
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.export.bundle import BundleWriter
    from motionrt.export.quantise.recipes import Recipe
    from motionrt.export.text_encoder import TextEncoderSource
    from motionrt.runtime.text.prompt_book import PromptBook


ENGINES = ("tensorrt-rtx", "tensorrt")


def engine_options(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of engines; not required, ``write_bundle`` heeds them by itself."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        settings: dict[str, Any] = {"callback": _keep, "expose_value": required}
        for option in (
            click.option(
                "--max-frames",
                type=int,
                default=300,
                show_default=True,
                help="Frames of the longest motion that the engines take.",
                **settings,
            ),
            click.option(
                "--max-batch",
                type=int,
                default=4,
                show_default=True,
                help="Motions that the engines make at once.",
                **settings,
            ),
            click.option(
                "--sm",
                help="The GPU's compute capability, such as 89; any is every RTX card, with "
                "tensorrt-rtx.  [default: this GPU's]",
                **settings,
            ),
            click.option(
                "--engine",
                type=click.Choice(ENGINES),
                required=required,
                help="Build engines of the graphs; tensorrt-rtx needs no GPU for that.",
                **settings,
            ),
        ):
            function = option(function)
        return function

    return add


def add_engines(
    bundle: Path,
    engine: str,
    sm: str | None,
    max_frames: int,
    max_batch: int,
    quiet: bool,
    graphs: Sequence[str] = (),
) -> None:
    """Build engines into a bundle and say how large they are."""
    from motionrt.runtime.backend.cuda import find_device

    with needing("export", "export"):
        from motionrt.export.to_tensorrt import (
            EngineTarget,
            build_engines,
            describe,
            parse_capability,
        )
    capability = parse_capability(sm) if sm else find_device().sm
    progress = StageProgress(quiet)
    target = EngineTarget(engine, capability, max_frames, max_batch)
    built = build_engines(bundle, target, graphs or None, progress)
    progress.finish()
    if not quiet:
        for name, size in describe(built).items():
            click.echo(f"{target.name} {name}: {size:.1f} MB")


def triton_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --triton, which ``write_bundle`` heeds by itself."""
    return click.option(
        "--triton",
        metavar="REPO",
        type=click.Path(path_type=Path),
        callback=_keep,
        expose_value=False,
        help="Also write a model repository of NVIDIA's Triton Inference Server there.",
    )(function)


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    ctx.meta[f"motionrt.{option.name}"] = value
    return value


def output_options(function: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """Add --output, --force, --licence, --quiet, --target and the options of engines to a command.

    required: nothing but a bundle is written.
    """
    function = engine_options(required=False)(function)
    for option in (
        click.option(
            "--target",
            type=click.Choice(list(targets())),
            expose_value=False,
            callback=_keep_target,
            help="Lower the bundle for another runtime, as motionrt lower does.",
        ),
        click.option("--quiet", is_flag=True, help="Print nothing but errors and warnings."),
        click.option("--licence", default="", help="Licence of the weights, kept in the bundle."),
        click.option("--force", is_flag=True, help="Replace an output that exists."),
        click.option(
            "-o",
            "--output",
            required=required,
            type=click.Path(path_type=Path),
            help="The bundle: a directory that is made.",
        ),
    ):
        function = option(function)
    return function


def _keep_target(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    ctx.meta["motionrt.target"] = value


def precision_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --precision, for the networks that are run many times a motion."""
    return click.option(
        "--precision",
        type=click.Choice(list(DENOISER_RECIPES)),
        default="fp32",
        show_default=True,
        help="int8 is a quarter of the size and faster on CPUs, a little less exact (motionrt "
        "inspect states by how much); int8-weights is as small and nearer to fp32, at its speed; "
        "fp16 is for GPUs.",
    )(function)


def text_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where text embeddings come from, and in which precision."""
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
        function = option(function)
    return function


def check_text_options(
    text_encoder: tuple[str, ...], projector: Path | None, no_text_encoder: bool
) -> None:
    """Raise UsageError for options of `text_options` that contradict each other."""
    if no_text_encoder == bool(text_encoder):
        raise click.UsageError("give either --text-encoder DIR or --no-text-encoder")
    if projector is not None and no_text_encoder:
        raise click.UsageError("--projector goes with --text-encoder")


def read_text_parts(
    text_encoder: tuple[str, ...],
    projector: Path | None,
    prompt_book: Path | None,
    text_framing: str,
    text_precision: str,
    text_block_size: str | None,
    text_reference: Path | None = None,
) -> tuple[TextEncoderSource | None, Recipe, PromptBook | None]:
    """Read what `text_options` name: the encoder, its precision, and the prompt book."""
    from motionrt.export.quantise.recipes import recipe
    from motionrt.export.text_encoder import TextEncoderOptions, read_text_encoder
    from motionrt.runtime.text.prompt_book import PromptBook

    size = int(text_block_size) if text_block_size else None
    text_recipe = recipe(text_precision, language_model=True, block_size=size)
    book = PromptBook.load(prompt_book) if prompt_book else None
    encoder = None
    if text_encoder:
        options = TextEncoderOptions(framing=text_framing)
        encoder = read_text_encoder(text_encoder, projector, options, text_reference)
    return encoder, text_recipe, book


def write_optimum(
    writer: BundleWriter, encoder: TextEncoderSource | None, folder: Path, force: bool
) -> None:
    """Write a text encoder in optimum's layout; UsageError if there is none."""
    from motionrt.export.optimum_layout import write_optimum_layout

    if encoder is None:
        raise click.UsageError("--optimum-layout goes with --text-encoder")
    writer.progress("writing the text encoder in optimum's layout")
    write_optimum_layout(encoder, folder, replace=force)


@contextmanager
def write_bundle(output: Path, force: bool, quiet: bool) -> Iterator[BundleWriter]:
    """Yield a writer into a temporary folder that becomes output when all went well.

    InputError if output exists and force is not given, ExportError if the extra is missing.
    """
    from motionrt.runtime.bundle.manifest import check_place
    from motionrt.runtime.files import atomic_folder

    check_place(output, replace=force)
    repository = click.get_current_context().meta.get("motionrt.triton")
    if repository is not None and repository.exists() and not force:
        raise InputError(f"{repository}: exists already; choose another place, or --force")
    progress = StageProgress(quiet)
    progress("starting PyTorch")
    with needing("export", "export"):
        from motionrt.export.bundle import BundleWriter
    meta = click.get_current_context().meta
    if meta.get("motionrt.engine") and meta.get("motionrt.target"):
        raise click.UsageError("--engine and --target exclude each other: engines are for TensorRT")
    with atomic_folder(output, replace=force) as folder:
        writer = BundleWriter(folder, progress)
        yield writer
        if meta.get("motionrt.target"):
            from motionrt.export.lowering.bundle import lower_in_place

            lower_in_place(folder, targets()[meta["motionrt.target"]], progress)
        if meta.get("motionrt.engine"):
            add_engines(
                folder,
                meta["motionrt.engine"],
                meta["motionrt.sm"],
                meta["motionrt.max_frames"],
                meta["motionrt.max_batch"],
                quiet,
            )
        if repository is not None:
            from motionrt.export.triton import write_repository

            progress("writing a repository")
            write_repository(folder, repository, replace=force)
    seconds = progress.finish()
    for warning in writer.warnings:
        tell(f"Warning: {warning}")
    if not quiet:
        size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        click.echo(f"{output}: {size / 1e6:.1f} MB in {seconds:.0f} s")
