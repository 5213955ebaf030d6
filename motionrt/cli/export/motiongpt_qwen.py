"""MotionGPT with a Qwen3: a .ckpt with its config.yaml, and the language model's directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from motionrt.cli._exporting import Output, output_options, write_bundle
from motionrt.cli._extras import needing
from motionrt.export.quantise.recipes import TOKEN_PRECISIONS

_PATH = click.Path(path_type=Path)
EXAMPLES = """\b
motionrt export motiongpt-qwen --vq last.ckpt --mean Mean.npy --std Std.npy -o mgq
motionrt export motiongpt-qwen --vq last.ckpt --lm Qwen3-0.6B --precision int4 -o mgq
motionrt export motiongpt-qwen --vq vq.ckpt --lm lm.ckpt --base Qwen3-0.6B -o mgq
motionrt export motiongpt-qwen --vq last.ckpt --lm Qwen3-0.6B --hf-dir served
"""


@click.command("motiongpt-qwen", epilog=EXAMPLES)
@click.option(
    "--vq",
    required=True,
    type=_PATH,
    help="Checkpoint of the motion tokenizer, HumanML3D's or the MyoSkeleton's; one of a later "
    "stage holds the language model too.",
)
@click.option(
    "--lm",
    type=_PATH,
    help="Directory of the language model (config.json, tokenizer.json, safetensors); without "
    "weights of motion tokens in it, the checkpoint's are taken. Or a checkpoint that holds it.  "
    "[default: the directory that the config names]",
)
@click.option(
    "--base",
    type=_PATH,
    help="With a checkpoint for --lm: the directory it was trained from (config.json, "
    "tokenizer.json).",
)
@click.option(
    "--config",
    type=_PATH,
    help="The YAML config that it was trained with.  [default: config.yaml beside --vq, if any]",
)
@click.option("--mean", type=_PATH, help="Mean.npy of HumanML3D's features.")
@click.option("--std", type=_PATH, help="Std.npy of HumanML3D's features.")
@click.option(
    "--precision",
    type=click.Choice(TOKEN_PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the language model: int4 is the smallest and fastest on CPUs, int4-mixed and int8 "
    "are nearer to fp32 (motionrt inspect states by how much); fp16 is for GPUs.",
)
@click.option(
    "--hf-dir",
    type=_PATH,
    help="Write the language model as a directory that vLLM, SGLang and transformers load.",
)
@partial(output_options, required=False)
def command(
    vq: Path,
    lm: Path | None,
    base: Path | None,
    config: Path | None,
    mean: Path | None,
    std: Path | None,
    precision: str,
    hf_dir: Path | None,
    output: Output,
) -> None:
    """Export a motion tokenizer and the Qwen3 that speaks its tokens."""
    if output.path is None and hf_dir is None:
        raise click.UsageError("give -o BUNDLE, --hf-dir DIRECTORY or both")
    if base is not None and lm is None:
        raise click.UsageError("--base goes with --lm CHECKPOINT")
    if config is None and (vq.parent / "config.yaml").is_file():
        config = vq.parent / "config.yaml"
    if output.path is not None:
        with write_bundle(output) as writer:
            from motionrt.export.motiongpt_qwen import export_motiongpt_qwen
            from motionrt.export.readers.motiongpt_qwen import read_motiongpt_qwen

            checkpoint = read_motiongpt_qwen(vq, lm, config, base, mean, std)
            licence = writer.take_licence(output.licence, vq.parent)
            export_motiongpt_qwen(writer, checkpoint, precision, licence)
    if hf_dir is not None:
        with needing("export", "export"):
            from motionrt.export.hugging_face import write_language_model
            from motionrt.export.readers.motiongpt_qwen import read_motiongpt_qwen
        write_language_model(hf_dir, read_motiongpt_qwen(vq, lm, config, base), output.force)
        if not output.quiet:
            size = sum(path.stat().st_size for path in hf_dir.iterdir())
            click.echo(f"{hf_dir}: {size / 1e6:.1f} MB")
