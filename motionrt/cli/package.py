"""Put all that a program ships into one folder: library, header, onnxruntime, bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

TARGETS = {
    "linux": ("libmotionrt.so", "libonnxruntime.so"),
    "macos": ("libmotionrt.dylib", "libonnxruntime.dylib"),
    "windows": ("motionrt.dll", "onnxruntime.dll"),
    "android": ("libmotionrt.so", "libonnxruntime.so"),
}
"""What the two libraries are called where each system looks for them."""
PLATFORMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
SIZES = "package.json"


@click.command("package")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(list(TARGETS)), help="System.  [default: this one]")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to make."
)
@click.option(
    "--library",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The C library built for the target.  [default: the one of this package]",
)
@click.option(
    "--onnxruntime",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX Runtime's library for the target, or the wheel, NuGet package or Android archive "
    "that holds it.  [default: the installed package's]",
)
@click.option("--force", is_flag=True, help="Replace the folder.")
def command(
    bundle: Path | None,
    target: str | None,
    output: Path,
    library: Path | None,
    onnxruntime: Path | None,
    force: bool,
) -> None:
    """Put BUNDLE, or the embedded default, into one folder with what runs it.

    The folder holds the C library, its header, ONNX Runtime with its licence, and the bundle;
    package.json has the sizes. For another system than this one both libraries are given:
    docs/platforms.md says how they are had, docs/embed.md how a game loads them.
    """
    import sys

    from motionrt import capi
    from motionrt.cli._libraries import Library, find_onnxruntime, read_library
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import FILE_NAME, Bundle
    from motionrt.runtime.errors import BackendError, BundleError, InputError
    from motionrt.runtime.files import atomic_folder

    here = PLATFORMS.get(sys.platform)
    target = target or here
    if target is None or (target != here and not (library and onnxruntime)):
        raise click.UsageError(
            f"--target {target}: give the libraries that were built for it (--library, "
            "--onnxruntime); docs/platforms.md says how they are had"
        )

    def check(given: Library) -> None:
        if given.system != target:
            raise InputError(f"{given.place}: was built for {given.built_for}, not for {target}")

    opened = Bundle(bundle_folder(bundle))
    if opened.manifest.family not in capi.FAMILIES:
        *most, last = capi.FAMILIES
        raise BundleError(
            f"{bundle}: the C library runs bundles of {', '.join(most)} and {last}, not of "
            f"{opened.manifest.family}, which needs the Python package"
        )
    own = read_library(library or capi.library_path())
    check(own)
    place = onnxruntime or capi.packaged_onnxruntime()
    if place is None:
        raise BackendError("no ONNX Runtime to put in; name its library (--onnxruntime)")
    runtime, notices = find_onnxruntime(Path(place), target, own.processor)
    check(runtime)
    if runtime.processor not in (own.processor, "several processors"):
        raise InputError(f"{runtime.place}: was built for {runtime.built_for}, {own.place} is not")
    header = capi.library_folder() / "motionrt.h"
    name = opened.manifest.name
    with atomic_folder(output, replace=force) as folder:
        for file, given in zip(TARGETS[target], (own, runtime), strict=True):
            (folder / file).write_bytes(given.content)
        for notice, content in notices.items():
            (folder / f"onnxruntime-{notice}").write_bytes(content)
        shutil.copyfile(header, folder / header.name)
        (folder / name).mkdir()
        for file in (FILE_NAME, *opened.manifest.files):
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(opened.folder / file, folder / name / file)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
        total = sum(sizes.values())
        document = {"target": target, "processor": own.processor, "bundle": name}
        text = json.dumps({**document, "bytes": total, "files": sizes}, indent=1)
        (folder / SIZES).write_text(text + "\n", "utf-8")
    click.echo(
        f"{output}  {total / 1e6:.1f} MB for {target} on {own.processor}: "
        f"{', '.join((*TARGETS[target], name))}"
    )
