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
    help="ONNX Runtime's library for the target.  [default: the installed package's]",
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

    The folder holds the C library, its header, ONNX Runtime and the bundle; package.json has the
    sizes. For another system than this one both libraries are given. docs/embed.md says how a game
    loads them.
    """
    import sys

    from motionrt import capi
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import FILE_NAME, Bundle
    from motionrt.runtime.errors import BackendError, BundleError
    from motionrt.runtime.files import atomic_folder

    here = PLATFORMS.get(sys.platform)
    target = target or here
    if target is None or (target != here and not (library and onnxruntime)):
        raise click.UsageError(
            f"--target {target}: give the libraries that were built for it (--library, "
            "--onnxruntime)"
        )
    opened = Bundle(bundle_folder(bundle))
    if opened.manifest.family not in capi.FAMILIES:
        raise BundleError(
            f"{bundle}: the C library runs bundles of {' and '.join(capi.FAMILIES)}, not of "
            f"{opened.manifest.family}, which needs the Python package"
        )
    library = library or capi.library_path()
    if onnxruntime is None:
        found = capi.packaged_onnxruntime()
        if found is None:
            raise BackendError("no ONNX Runtime to put in; name its library (--onnxruntime)")
        onnxruntime = Path(found)
    own, runtime = TARGETS[target]
    header = capi.library_folder() / "motionrt.h"
    place = opened.manifest.name
    with atomic_folder(output, replace=force) as folder:
        shutil.copyfile(library, folder / own)
        shutil.copyfile(onnxruntime, folder / runtime)
        shutil.copyfile(header, folder / header.name)
        (folder / place).mkdir()
        for name in (FILE_NAME, *opened.manifest.files):
            (folder / place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(opened.folder / name, folder / place / name)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
        document = {"target": target, "bundle": place, "bytes": sum(sizes.values()), "files": sizes}
        (folder / SIZES).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    megabytes = sum(sizes.values()) / 1e6
    click.echo(f"{output}  {megabytes:.1f} MB for {target}: {own}, {runtime}, {place}")
