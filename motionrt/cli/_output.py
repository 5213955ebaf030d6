"""Where generated files go, by the rules of Kimodo's command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from motionrt.runtime.errors import InputError

SUFFIXES = {
    "npz": ".npz",
    "amass": "_amass.npz",
    "csv": ".csv",
    "bvh": ".bvh",
    "glb": ".glb",
    "npy": ".npy",
}
"""What is added to the stem for each format."""


def output_paths(stem: str, num_samples: int, formats: Sequence[str]) -> list[dict[str, Path]]:
    """Return the file of each format for each sample.

    One sample: ``<stem>.npz``, ``<stem>_amass.npz`` and so on; nothing is added to a stem that
    ends in it already. Several: a folder, named like the stem without its suffix, of
    ``<base>_00.npz``, ``amass_00.npz`` and so on.
    """
    if num_samples == 1:
        return [
            {
                name: Path(stem if stem.endswith(SUFFIXES[name]) else stem + SUFFIXES[name])
                for name in formats
            }
        ]
    folder = Path(stem)
    if folder.suffix in SUFFIXES.values():
        folder = folder.with_suffix("")
    return [
        {
            name: folder
            / (
                f"amass_{sample:02d}.npz"
                if name == "amass"
                else f"{folder.name}_{sample:02d}{SUFFIXES[name]}"
            )
            for name in formats
        }
        for sample in range(num_samples)
    ]


def check_writable(paths: Iterable[Path]) -> None:
    """Raise InputError if a file cannot be made at one of these places; nothing is left there.

    Asked before a generation, so that its result is not lost for want of a place.
    """
    for path in paths:
        folder = path.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(f"{path}: cannot write here ({error.strerror})") from error
        if path.is_dir():
            raise InputError(f"{path}: is a folder, a file is to be written there")
