"""Generate a motion from a text."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from motionrt.cli._output import check_writable, output_paths
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.guidance import resolve_guidance
from motionrt.runtime.text.prompt import split_prompt

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion

Function = TypeVar("Function", bound=Callable[..., Any])
BUNDLE_DIR_VARIABLE = "MOTIONRT_BUNDLE_DIR"
"""Environment variable: the folder in which ``--model NAME`` looks for bundles."""
_EXTRA_FORMATS = {"g1": ("csv",), "smplx22": ("amass",), "humanml22": ("npy",)}
"""What is written beside .npz without being asked for, by skeleton."""
WEIGHT_FLAGS = ("--cfg-weight", "--cfg_weight")


class GenCommand(click.Command):
    """Parses as Kimodo's command line does where click would not.

    A flag may take any number of values (--cfg_weight 2.0 1.5), and a prompt may begin with a dash
    if there is a blank in it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the arguments into what click understands."""
        options, prompts = [], []
        values_of = ""
        for index, word in enumerate(args):
            if word == "--":
                options.extend(args[index:])
                break
            if word in WEIGHT_FLAGS:
                values_of = word
                ctx.meta["cfg_weight_given"] = True
            elif values_of and _is_number(word):
                options.extend((values_of, word))
            elif word.startswith("-") and " " in word and "=" not in word.split(" ")[0]:
                prompts.append(word)
                values_of = ""
            else:
                options.append(word)
                values_of = ""
        if prompts:
            options.extend(["--", *prompts])
        return super().parse_args(ctx, options)


def flag(name: str, *target: str, **settings: Any) -> Callable[[Function], Function]:
    """Make an option that is also accepted with underscores, as upstream spells it."""
    spellings = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
    return click.option(*spellings, *target, **settings)


@click.command("gen", cls=GenCommand)
@click.argument("prompt", required=False)
@flag("bundle", type=click.Path(path_type=Path), help="The bundle to run.  [default: embedded]")
@flag("model", help=f"Name of a bundle in ${BUNDLE_DIR_VARIABLE}, instead of --bundle.")
@flag(
    "duration",
    default="5.0",
    show_default=True,
    help="Seconds; one number, or one for each sentence of the prompt.",
)
@flag("seed", type=int, help="0 to 4294967295; the same seed gives the same motion.")
@flag("num-samples", type=int, default=1, show_default=True, help="Motions to generate.")
@flag("diffusion-steps", type=int, help="Denoising steps; more are slower.  [default: the model's]")
@flag("solver", help="ddim follows upstream exactly; dpmpp-2m needs fewer steps.")
@flag("preset", help="Solver and steps: fast, balanced, or exact (as upstream).")
@flag("cfg-type", help="Guidance: nocfg, regular or separated.")
@flag(
    "cfg-weight",
    type=float,
    multiple=True,
    help="Guidance weights: one is regular, two (text, constraints) are separated; higher "
    "follows the text more and varies less.",
)
@flag("constraints", type=click.Path(path_type=Path), help="Constraint file (JSON).")
@flag(
    "input-folder",
    type=click.Path(path_type=Path),
    help="Folder with meta.json, and perhaps constraints.json, instead of a prompt.",
)
@flag(
    "num-transition-frames",
    type=int,
    help="Frames that blend one sentence into the next; more are smoother.  [default: 5]",
)
@click.option(
    "--postprocess/--no-postprocess",
    default=None,
    help="Meet constraints exactly and keep standing feet still.  [default: yes, but for G1]",
)
@flag(
    "first-heading",
    type=float,
    help="Where the body faces at first, in radians: 0 is +z, 1.57 is +x.  [default: 0]",
)
@flag(
    "continue-from",
    type=click.Path(path_type=Path),
    help="Motion file that the result begins with and goes on from.",
)
@flag(
    "between",
    type=click.Path(path_type=Path),
    nargs=2,
    help="Two motion files: the result leads from the first to the second.",
)
@flag("compat", help="Upstream revision to follow: 2026-03 or latest.  [default: 2026-03]")
@flag(
    "batch",
    type=click.Path(path_type=Path),
    help="A list of prompts instead of one: JSON lines, each a string or an object with prompt, "
    "seconds, seed, name, constraints. --output is a folder; started again, what is done stays.",
)
@click.option(
    "-o",
    "--output",
    default="output",
    show_default=True,
    help="Where to write, without the ending.",
)
@flag("bvh", is_flag=True, help="Write a BVH file.")
@flag("glb", is_flag=True, help="Write a glTF file with a figure that any viewer shows.")
@flag("csv", is_flag=True, help="Write MuJoCo qpos (G1; written anyway for the G1 models).")
@flag("amass", is_flag=True, help="Write AMASS .npz (SMPL-X; written anyway for its models).")
@flag("fps", type=float, help="Frame rate of the files.  [default: the model's]")
@flag("rest", type=click.Choice(["neutral", "t-pose"]), help="Rest pose of BVH and glTF.")
@flag(
    "joint-names",
    type=click.Choice(["mixamo", "ue5", "vrm"]),
    help="Name the joints of BVH and glTF as engines map them.",
)
@flag("bvh-scale", type=float, help="BVH units a metre.  [default: 100, centimetres]")
@flag(
    "text-encoder-url",
    help="Text-encoder server to ask for embeddings (motionrt serve-text, or Kimodo's own), "
    "instead of the bundle's encoder; also TEXT_ENCODER_URL.",
)
@flag(
    "backend", default="auto", show_default=True, help="auto, or one that motionrt devices names."
)
@flag("threads", type=int, default=0, help="CPU threads; 0 chooses.")
@flag("quiet", is_flag=True, help="Print nothing but errors.")
@flag("json", "as_json", is_flag=True, help="Print a machine-readable summary.")
@click.pass_context
def command(
    ctx: click.Context,
    prompt: str | None,
    bundle: Path | None,
    model: str | None,
    duration: str,
    seed: int | None,
    num_samples: int,
    diffusion_steps: int | None,
    solver: str | None,
    preset: str | None,
    cfg_type: str | None,
    cfg_weight: tuple[float, ...],
    constraints: Path | None,
    input_folder: Path | None,
    num_transition_frames: int | None,
    postprocess: bool | None,
    first_heading: float | None,
    continue_from: Path | None,
    between: tuple[Path, Path] | None,
    compat: str | None,
    batch: Path | None,
    output: str,
    bvh: bool,
    glb: bool,
    csv: bool,
    amass: bool,
    fps: float | None,
    rest: str | None,
    joint_names: str | None,
    bvh_scale: float | None,
    text_encoder_url: str | None,
    backend: str,
    threads: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Generate a motion of PROMPT and write it as .npz, and what else is asked for.

    Every sentence of PROMPT is a part of the motion. G1 motions are written as .csv too, SMPL-X
    motions as AMASS .npz, HumanML3D motions as positions in .npy.
    """
    if batch is not None and not all(
        given is None for given in (prompt, input_folder, continue_from, between)
    ):
        raise click.UsageError("--batch takes its prompts from the list")
    if all(given is None for given in (prompt, input_folder, continue_from, between, batch)):
        raise click.UsageError("give a prompt (an empty one is allowed: ''), or --input-folder")
    from motionrt.cli._batch import read_items, run_batch
    from motionrt.cli._progress import step_progress
    from motionrt.runtime.body.resample import resample
    from motionrt.runtime.input_folder import read_input_folder
    from motionrt.runtime.pipeline import load
    from motionrt.runtime.sampling.schedule import find_preset
    from motionrt.runtime.text.client import client_from_environment

    start = time.perf_counter()
    if preset is not None:
        chosen = find_preset(preset)
        solver, diffusion_steps = solver or chosen.solver, diffusion_steps or chosen.num_steps
    folder = None
    if input_folder is not None:
        folder = read_input_folder(input_folder)
        constraints = constraints or folder.constraints
        num_samples = folder.num_samples or num_samples
        diffusion_steps = folder.diffusion_steps or diffusion_steps
        seed = folder.seed if folder.has_seed else seed
    weights = list(cfg_weight) if ctx.meta.get("cfg_weight_given") else None
    guidance = resolve_guidance(cfg_type, weights, folder.meta if folder else None)
    pipeline = load(find_bundle(bundle, model), backend, threads)
    server = client_from_environment(text_encoder_url)
    if server is not None and (text_encoder_url or pipeline.takes_text_embeddings):
        pipeline.use_text_encoder(server.url)
    loaded = time.perf_counter()
    given: dict[str, Any] = {
        "num_steps": diffusion_steps,
        "solver": solver,
        "guidance_type": guidance.mode if guidance else None,
        "guidance_weights": list(guidance.weights) or None if guidance else None,
        "constraints": constraints,
        "num_transition_frames": num_transition_frames,
        "postprocess": postprocess,
        "first_heading_rad": first_heading,
        "continue_from": continue_from,
        "between": between,
        "compat": compat,
    }
    options = {name: value for name, value in given.items() if value is not None}
    prompts: str | list[str] = prompt or ""
    seconds: float | list[float] = 0.0
    if folder is not None:
        prompts, seconds = list(folder.texts), list(folder.seconds)
    if batch is not None:
        items = read_items(batch, duration, seed)
    elif pipeline.takes_sequences:
        options["multi_prompt"] = True
        if folder is None:
            prompts, lengths = split_prompt(prompt or "", duration, pipeline.fps)
            options["num_frames"] = lengths
    elif folder is None:
        seconds = _seconds(duration)
    elif len(folder.texts) > 1:
        raise InputError(f"{input_folder}: {len(folder.texts)} texts, this model takes one")
    else:
        prompts, seconds = folder.texts[0], folder.seconds[0]
    asked = {"bvh": bvh, "glb": glb, "csv": csv, "amass": amass}
    asked |= dict.fromkeys(_EXTRA_FORMATS.get(pipeline.skeleton.name, ()), True)
    formats = ["npz", *(name for name, wanted in asked.items() if wanted)]
    rig = {"rest": rest, "joint_names": joint_names}
    save_options: dict[str, dict[str, Any]] = {"bvh": {**rig, "scale": bvh_scale}, "glb": rig}
    body = pipeline.skeleton.name
    if (csv and body != "g1") or (amass and body != "smplx22"):
        raise click.UsageError(f"--csv is for G1 and --amass for SMPL-X, this model makes {body}")

    def save(motions: list[Motion], stem: str) -> list[Path]:
        files = []
        for motion, places in zip(motions, output_paths(stem, num_samples, formats), strict=True):
            saved = motion if fps is None else resample(motion, fps)
            for name, path in places.items():
                settings = save_options.get(name, {})
                set_ones = {key: value for key, value in settings.items() if value is not None}
                saved.save(path, format=name, **set_ones)
                files.append(path)
        return files

    if batch is not None:
        run_batch(pipeline, items, Path(output), num_samples, options, save, quiet, as_json)
        return
    paths = output_paths(output, num_samples, formats)
    check_writable(path for places in paths for path in places.values())
    with step_progress(quiet or as_json) as progress:
        made = pipeline.generate(
            prompts,
            seconds,
            seed=seed,
            num_samples=num_samples,
            progress=progress,
            **options,
        )
    generated = time.perf_counter()
    for hint in pipeline.hints([prompts] if isinstance(prompts, str) else prompts):
        click.echo(hint, err=True)
    motions = made if isinstance(made, list) else [made]
    files = save(motions, output)
    written = time.perf_counter()
    info = motions[0].info
    summary = {
        "files": [str(path) for path in files],
        "prompt": prompts,
        "frames": [len(motion.root_positions) for motion in motions],
        "fps": pipeline.fps,
        "seconds": {
            "load": round(loaded - start, 3),
            "generate": round(generated - loaded, 3),
            "write": round(written - generated, 3),
        },
        **{key: value for key, value in info.items() if key not in ("prompt", "sample")},
    }
    if dropped := info.get("num_dropped_constraint_frames"):
        click.echo(f"warning: {dropped} constrained frames lie beyond the clip's end", err=True)
    if as_json:
        click.echo(json.dumps(summary))
    elif not quiet:
        frames = len(motions[0].root_positions)
        click.echo(
            f"{info['model']} on {info['backend']}: {frames} frames "
            f"({frames / pipeline.fps:.1f} s) in {generated - loaded:.2f} s, seed {info['seed']}"
        )
        for path in files:
            click.echo(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")


def find_bundle(bundle: Path | None, model: str | None) -> Path | None:
    """Return the bundle that --bundle or --model names, None if neither; UsageError if both do."""
    if bundle is not None and model is not None:
        raise click.UsageError("give --bundle or --model, not both")
    if bundle is not None:
        return bundle
    if model is None:
        return None
    if Path(model).is_dir():
        return Path(model)
    from motionrt.runtime.kimodo.model_names import resolve_model_name

    folder = os.environ.get(BUNDLE_DIR_VARIABLE)
    if not folder:
        raise click.UsageError(f"--model {model} needs {BUNDLE_DIR_VARIABLE}, or use --bundle DIR")
    resolved = resolve_model_name(model)
    names = {entry.name.lower(): entry for entry in sorted(Path(folder).glob("*/"))}
    for name, entry in names.items():
        if name == model.lower() or name.startswith(resolved.lower()):
            return entry
    raise InputError(f"{folder}: no bundle named {model} (there are: {', '.join(names) or 'none'})")


def _seconds(duration: str) -> float:
    try:
        return float(duration)
    except ValueError:
        raise click.UsageError(f"--duration {duration!r}: expected seconds") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
