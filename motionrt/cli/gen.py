"""Generate a motion from a text."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._environment import tell_of_variables, text_backend
from motionrt.cli._finishing import FinishingFlags, finishing_options
from motionrt.cli._flags import (
    CSV_ANGLES,
    QUATERNION,
    FamilyCommand,
    flag,
    format_flags,
    given_options,
    prompt_text,
)
from motionrt.cli._language import language_server_options, use_language_server
from motionrt.cli._reading import Reading, reading_options_beside
from motionrt.cli._streams import tell
from motionrt.cli._text_encoder import ask_text_encoder, text_encoder_options

if TYPE_CHECKING:
    from motionrt.cli._output import Outputs
    from motionrt.runtime.body.skeleton import Skeleton
    from motionrt.runtime.pipeline import Pipeline

_BESIDE_NPZ = {"amass", "csv"}
"""What Kimodo's command line writes beside an .npz, of ``-o walk.npz`` too: it is a stem there."""


@click.command("gen", cls=FamilyCommand)
@click.argument("prompt", required=False, type=prompt_text)
@bundle_options
@flag(
    "duration",
    default="5.0",
    show_default=True,
    help="Seconds; one number, or one for each sentence of the prompt.",
)
@flag("seed", type=int, help="0 to 4294967295; the same seed gives the same motion.")
@flag("num-samples", type=int, default=1, show_default=True, help="Motions to generate.")
@flag(
    "sample-seeds",
    is_flag=True,
    help="Sample i is the motion of a single run with seed + i. Otherwise all samples are drawn "
    "from one seed, as upstream does, and the first differs a little from a single run's.",
)
@flag(
    "input-folder",
    type=click.Path(path_type=Path),
    help="Folder with meta.json, and perhaps constraints.json, instead of a prompt.",
)
@flag(
    "batch",
    type=click.Path(path_type=Path),
    help="A list of requests instead of a prompt: a prompt a line, or JSON lines, each a string or "
    "an object with prompt, seconds, seed, name and whatever else a request has (motionrt schema). "
    "--output is a folder; started again, what is done stays.",
)
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="local",
    help="Run --batch on a Ray cluster, one pipeline a device: on the one at ADDRESS (auto, "
    "host:6379, ray://host:10001), or without it on the cores and GPUs of this machine.",
)
@click.option(
    "--shards",
    type=click.Choice(["parquet", "webdataset"]),
    help="With --ray, write many motions a file, below shards/, instead of a file each.",
)
@click.option(
    "-o",
    "--output",
    default="output",
    show_default=True,
    help="Where to write: a name without ending, a file whose ending chooses the format "
    "(walk.glb), a folder (clips/) whose files are named by the prompt, or - for standard output.",
)
@format_flags
@reading_options_beside("--quaternion", "--sample")
@flag("fps", type=float, help="Frame rate of the files.  [default: the model's]")
@flag("rest", type=click.Choice(["neutral", "t-pose"]), help="Rest pose of BVH and glTF.")
@flag(
    "joint-names",
    type=click.Choice(["mixamo", "ue5", "vrm"]),
    help="Name the joints of BVH and glTF as engines map them.",
)
@flag("bvh-scale", type=float, help="BVH units a metre.  [default: 100, centimetres]")
@flag("quaternion", **QUATERNION)
@flag("csv-angles", **CSV_ANGLES)
@finishing_options
@text_encoder_options
@language_server_options
@flag("show-thinking", is_flag=True, help="Print the thoughts of a language model.")
@flag(
    "test-modes",
    is_flag=True,
    help="Make the motion twice, with thinking and without, and compare the two: files "
    "NAME_thinking and NAME_no_thinking.",
)
@flag(
    "strict",
    is_flag=True,
    help="Write nothing of a motion that there is a warning of: exit code 1.",
)
@backend_options
@flag("quiet", is_flag=True, help="Print nothing but errors.")
@flag("json", "as_json", is_flag=True, help="Print a machine-readable summary.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    prompt: str | None,
    bundle: Path | None,
    model: str | None,
    duration: str,
    seed: int | None,
    num_samples: int,
    sample_seeds: bool,
    input_folder: Path | None,
    batch: Path | None,
    ray: str | None,
    shards: str | None,
    output: str,
    fps: float | None,
    rest: str | None,
    joint_names: str | None,
    bvh_scale: float | None,
    quaternion: str | None,
    csv_angles: str | None,
    text_encoder_url: str | None,
    text_encoder_token: str | None,
    lm_url: str | None,
    lm_model: str | None,
    show_thinking: bool,
    test_modes: bool,
    strict: bool,
    backend: str,
    threads: int,
    quiet: bool,
    as_json: bool,
    reading: Reading,
    finishing: FinishingFlags,
    formats: Sequence[str] = (),
    **family_flags: Any,
) -> None:
    """Generate a motion of PROMPT and write it as .npz, and what else is asked for.

    An ending in -o chooses the format: -o walk.glb writes that file alone.

    Every sentence of PROMPT is a part of the motion. A format that is made for the model's body is
    written unasked: .csv of G1, AMASS of SMPL-X, .npy of HumanML3D's joints.
    """
    instead = (input_folder, family_flags["continue_from"], family_flags["between"])
    if batch is not None and not all(given is None for given in (prompt, *instead)):
        raise click.UsageError("--batch takes its prompts from the list")
    if all(given is None for given in (prompt, batch, *instead)):
        raise click.UsageError(
            'give a prompt, as in: motionrt gen "a person walks forward" (an empty one is allowed: '
            "''), or --input-folder"
        )
    if test_modes and (batch or input_folder or output == "-" or as_json):
        raise click.UsageError("--test-modes goes with a prompt, without --json and -o -")
    if test_modes and family_flags["thinking"] is not None:
        raise click.UsageError("--test-modes takes both modes: leave --thinking away")
    if output == "-" and (batch or as_json):
        raise click.UsageError(f"-o - goes without {'--batch' if batch else '--json'}")
    if ray and not batch:
        raise click.UsageError("--ray runs a list: give --batch")
    if shards and not ray:
        raise click.UsageError("--shards goes with --ray")
    if shards and formats:
        raise click.UsageError(f"--shards holds motions in its own form: leave out --{formats[0]}")
    finishing.check()
    from motionrt.cli._batch import Batch, read_items, run_batch
    from motionrt.cli._gen_request import request_of_folder, request_of_prompt
    from motionrt.cli._progress import step_progress
    from motionrt.cli._report import report, warn
    from motionrt.cli._thinking import compare_modes, show_thoughts
    from motionrt.runtime.pipeline import load

    start = time.perf_counter()
    pipeline = load(find_bundle(bundle, model), backend, threads)
    family = pipeline.family
    encoder = _use_text_encoder(pipeline, text_encoder_url, text_encoder_token)
    use_language_server(pipeline, lm_url, lm_model)
    if show_thinking and "thinking" not in family.options:
        raise click.UsageError(f"--show-thinking: {family.name} does not think")
    loaded = time.perf_counter()
    options = given_options(ctx, family_flags, family)
    common = {"seed": seed, "num_samples": num_samples, "sample_seeds": sample_seeds}
    rig = {"rest": rest, "joint_names": joint_names, "scale": bvh_scale}
    robot = {"quaternion": quaternion, "angles": csv_angles}
    named = None if batch else output
    given = {key: value for key, value in {**rig, **robot}.items() if value is not None}
    options_of_files = {**finishing.wishes(pipeline.skeleton), **given}
    outputs = _outputs(pipeline.skeleton, formats, options_of_files, fps, named)
    outputs = replace(outputs, finishing=finishing)
    if batch is not None:
        items = read_items(batch, family, {**options, **common, "seconds": duration})
        listed = Batch(pipeline, items, Path(output), outputs, reading, strict, quiet, as_json)
        if ray is None:
            run_batch(listed)
            return
        if lm_url:
            raise click.UsageError("--ray goes without --lm-url")
        from motionrt.cli._ray_batch import RayRun, run_on_ray

        run = RayRun(ray, pipeline.bundle.folder.absolute(), backend, threads, shards, encoder)
        run_on_ray(run, listed)
        return
    if input_folder is not None:
        request = request_of_folder(input_folder, family, options, common)
    else:
        request = request_of_prompt(prompt or "", duration, family, options, common)
    outputs = outputs.of(request)
    outputs.check_rate([sum(pipeline.frames_of(request))], pipeline.fps)
    if ctx.get_parameter_source("output") is not ParameterSource.DEFAULT:
        output = outputs.stem(output, " ".join(request.prompts))
    outputs.check(output)
    reading.check(request.motion_files(family))
    request = request.with_motions(family, reading.read_known)
    if test_modes:
        compare_modes(pipeline, request, outputs, output, strict, quiet)
        return
    with step_progress(quiet or as_json) as progress:
        motions = pipeline.run(request, progress)
    generated = time.perf_counter()
    for line in [f"note: {note}" for note in motions[0].notes] + pipeline.hints(request.prompts):
        tell(line)
    if show_thinking:
        show_thoughts(motions)
    warn(motions, strict)
    files = outputs.write(motions, output)
    seconds = {
        "load": loaded - start,
        "generate": generated - loaded,
        "write": time.perf_counter() - generated,
    }
    report(request, motions, files, seconds, quiet, as_json, err=not files)


def _use_text_encoder(
    pipeline: Pipeline, url: str | None, token: str | None
) -> tuple[str, str | None] | None:
    """Ask a server for embeddings (`ask_text_encoder`), or run the encoder where it is told to."""
    if server := ask_text_encoder(pipeline, url, token):
        return server
    tell_of_variables(pipeline.manifest.text)
    device = text_backend()
    if device and device != pipeline.backend.name:
        from motionrt.runtime.text.sources import GRAPH

        if GRAPH in pipeline.manifest.graphs:
            pipeline.run_on(GRAPH, device)
    return None


def _outputs(
    skeleton: Skeleton,
    asked: Sequence[str],
    options: Mapping[str, Any],
    fps: float | None,
    output: str | None = None,
) -> Outputs:
    """Settle what is written: .npz, what is asked for, and what belongs to the body.

    Where -o (output) is standard output, or names a format while no other is asked for, it is that
    one alone. Each writer gets those of the options that it takes and that are not None.
    """
    from motionrt.cli._output import Outputs
    from motionrt.cli._places import STANDARD_OUTPUT, format_named, is_folder
    from motionrt.runtime.formats.table import DEFAULT_FORMAT, FORMATS, writer_options

    extra = skeleton.extra_formats
    wanted = {DEFAULT_FORMAT, *asked, *extra}
    alone = None
    if output == STANDARD_OUTPUT:
        if len(set(asked)) > 1:
            raise click.UsageError(f"-o - takes one format; {', '.join(asked)} are asked for")
        alone = asked[0] if asked else DEFAULT_FORMAT
    elif output is not None and not is_folder(output):
        named = format_named(output)
        if named is not None and asked and named not in wanted:
            raise click.UsageError(
                f"-o {output} names {named}, {' and '.join(asked)} asked for; give the name "
                f"without its ending, and --{named} to have both"
            )
        is_stem = named == DEFAULT_FORMAT and not _BESIDE_NPZ.isdisjoint(extra)
        alone = None if asked or is_stem else named
    for name in asked if alone is None else [alone]:
        bodies = FORMATS[name].holds.partition(";")[0]
        flag = f"--{name}" if name in asked else f"-o {output}: {FORMATS[name].ending}"
        if not FORMATS[name].holds_body(extra):
            raise click.UsageError(f"{flag} holds {bodies}; this model makes {skeleton.name}")
        if FORMATS[name].humanoid and skeleton.naming is None:
            raise click.UsageError(
                f"{flag} holds {bodies}; {skeleton.name} has no names of a humanoid"
            )
    wanted = wanted if alone is None else {alone}
    names = tuple(name for name in FORMATS if name in wanted)
    given = {key: value for key, value in options.items() if value is not None}
    settings = {
        name: {key: given[key] for key in writer_options(name) if key in given} for name in names
    }
    return Outputs(names, fps=fps, settings=settings)
