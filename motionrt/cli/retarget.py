"""Retarget motions to a character: its own mesh moves, in proportion, with feet that stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._finishing import FinishingFlags, finishing_options
from motionrt.cli._places import is_folder, place_to_write
from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile
from motionrt.cli._streams import tell

if TYPE_CHECKING:
    from motionrt.runtime.body.retarget import Certificate
    from motionrt.runtime.formats.character import Character

EXAMPLES = """\b
motionrt retarget walk.npz --to hero.glb -o hero-walk.glb
motionrt retarget walk.npz --to avatar.vrm -o avatar-walk.vrm --loop --in-place
motionrt retarget walk.npz --to hero.glb --bones            # which bone is taken for what
motionrt retarget walk.npz --to hero.glb --map fixed.json -o hero-walk.glb
"""


_PLACING = ("start_at", "face", "in_place", "root_smoothing")
"""What is done to the character's motion; the rest of finishing is done to what it gets."""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="MOTION", type=MotionFile())
@click.option(
    "--to",
    "to",
    required=True,
    metavar="CHARACTER",
    help="A .glb, .gltf or .vrm, whose mesh is kept; a .bvh or any motion file, for its skeleton; "
    "or a skeleton's name.",
)
@click.option("-o", "--output", help="File to write: .glb or .vrm, or a format of motions.")
@click.option(
    "--map",
    "corrections",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON that corrects what bones are taken for: role -> bone, or null for none.",
)
@click.option("--bones", is_flag=True, help="Print which bone is taken for what, and how found.")
@click.option("--write-map", type=click.Path(dir_okay=False), help="Write that as JSON for --map.")
@finishing_options
@click.option("--fps", type=float, help="Frame rate of the file.  [default: MOTION's]")
@click.option("--name", default="motion", show_default=True, help="Name of the animation.")
@reading_options
@click.option("--strict", is_flag=True, help="Fail, and write nothing, if the certificate fails.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as a JSON object.")
def command(
    source: Path,
    to: str,
    output: str | None,
    corrections: Path | None,
    bones: bool,
    write_map: str | None,
    fps: float | None,
    name: str,
    strict: bool,
    quiet: bool,
    as_json: bool,
    reading: Reading,
    finishing: FinishingFlags,
) -> None:
    """Bring MOTION onto a CHARACTER, and write the character moving.

    Its bones are found by their names, by words in them, by the tree of bones or by where they lie;
    --bones shows what was found. Limbs point where the motion's point; feet that stand are held.
    A loop stays one, and is put in place after. The certificate says how well it all fits.
    """
    from motionrt.runtime.body.bone_mapping import map_bones
    from motionrt.runtime.body.finishing import Finishing
    from motionrt.runtime.body.hands import with_hands
    from motionrt.runtime.body.retarget import retargeted
    from motionrt.runtime.errors import InputError
    from motionrt.runtime.files import atomic_file
    from motionrt.runtime.formats.character import read_character, read_corrections

    finishing.check()
    if output is None and not (bones or write_map):
        raise click.UsageError("say where to: -o FILE, or --bones to see the bones alone")
    given = None if corrections is None else read_corrections(corrections)
    character = read_character(to, given)
    for note in character.notes:
        tell(f"note: {to}: {note}")
    if bones:
        _print_bones(character)
    if write_map:
        names = character.skeleton.joint_names
        roles = {role: names[joint] for role, joint in character.bones.joints.items()}
        with atomic_file(write_map) as path:
            path.write_text(json.dumps(roles, indent=1) + "\n", encoding="utf-8")
    if output is None:
        return
    if is_folder(output):
        ending = Path(to).suffix if character.file is not None else ".glb"
        ending = ".glb" if ending == ".gltf" else ending
        output = str(Path(output) / f"{source.stem}{ending}")
    motion = reading.read(source)
    placing = {key: value for key, value in finishing.settings.items() if key in _PLACING}
    others = {key: value for key, value in finishing.settings.items() if key not in _PLACING}
    hands = others.pop("hands", None)
    finished = Finishing(**others, fps=fps).apply(motion)
    result = retargeted(
        finished.motion,
        map_bones(finished.motion.skeleton),
        character.skeleton,
        character.bones,
    )
    made = Finishing(**placing).apply(result.motion).motion
    if hands is not None:
        made = with_hands(made, hands, character.bones)
    certificate = result.certificate
    if strict and not certificate.passed:
        raise InputError(f"{output}: {'; '.join(certificate.failures)}")
    writing = {
        key: value
        for key, value in finishing.wishes(character.skeleton).items()
        if key in ("root_bone", "root_smoothing")
    }
    with place_to_write(output, Path(output).suffix) as path:
        character.save(made, path, name=name, **writing)
    if as_json:
        told = {"file": output, "frames": made.num_frames, "fps": made.fps}
        click.echo(json.dumps({**told, **finished.figures, **certificate.to_json()}))
        return
    for failure in certificate.failures:
        tell(f"warning: {output}: {failure}")
    if quiet:
        return
    for line in finished.told:
        click.echo(line)
    _print_certificate(output, certificate)


def _print_bones(character: Character) -> None:
    rows = character.bones.rows(character.skeleton)
    headings = ("role", "bone", "found by")
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for cells in (headings, *rows):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def _print_certificate(output: str, certificate: Certificate) -> None:
    rows: list[tuple[str, Any]] = [
        ("standing feet slide", f"{certificate.slide_mm:.1f} mm"),
        ("of the motion itself", f"{certificate.source_slide_mm:.1f} mm"),
        ("feet below the floor", f"{certificate.depth_mm:.1f} mm"),
        ("feet miss their place", f"{certificate.unreached_mm:.1f} mm"),
        ("knees and elbows bend", f"{certificate.bend_deg:.0f} degrees"),
        ("knees bend backwards", f"{certificate.back_deg:.0f} degrees"),
        ("limbs point otherwise", f"{certificate.direction_deg:.1f} degrees on average"),
        ("bones without a role", len(certificate.unmapped_bones)),
    ]
    click.echo(f"{output}: {'pass' if certificate.passed else 'FAIL'}")
    for what, value in rows:
        click.echo(f"  {what:22} {value}")
