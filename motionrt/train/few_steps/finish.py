"""Make the student's bundle: the teacher's, with the student's weights and its few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from motionrt.export.bundle import BundleWriter
from motionrt.export.kimodo import export_kimodo
from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.bundle.manifest import Bundle, check_place
from motionrt.runtime.files import atomic_folder
from motionrt.train.default.checkpoint import write_kimodo_checkpoint
from motionrt.train.default.shipped import read_shipped
from motionrt.train.few_steps.student import Student

DENOISER_FOLDER = "student"


def make_bundle(
    teacher: Path,
    student: Student,
    work: Path,
    output: Path,
    precision: str,
    echo: Callable[[str], None],
) -> None:
    """Export a student to a bundle at output, with the words of its teacher's bundle.

    It takes its steps of ddim in one branch unless told otherwise. What the teacher knows it says
    of itself as well.
    """
    shipped = read_shipped(teacher)
    source = shipped.bundle.manifest
    start = student.start
    check_place(output, replace=True)
    write_kimodo_checkpoint(work / DENOISER_FOLDER, start.config, start.stats, student.weights)
    name = f"{source.name}-{student.num_steps}-steps"
    checkpoint = replace(
        read_kimodo(work / DENOISER_FOLDER), name=name, few_steps=student.num_steps
    )
    with atomic_folder(output, replace=True) as folder:
        writer = BundleWriter(folder, echo)
        licence = str(source.provenance.get("licence", ""))
        export_kimodo(writer, checkpoint, None, licence, precision)
        shipped.copy_text_encoder(folder)
        manifest = Bundle(folder).manifest
        sampler = {
            **manifest.sampler,
            "num_steps": student.num_steps,
            "solver": "ddim",
            "guidance_type": "nocfg",
        }
        sampler.pop("guidance_weights", None)
        msgspec.structs.replace(manifest, sampler=sampler, limits=source.limits).write(folder)
        shipped.copy_known_prompts(folder)
    for warning in writer.warnings:
        echo(f"Warning: {warning}")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    echo(f"{output}: {size / 1e6:.1f} MB")
