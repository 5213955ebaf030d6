"""Where generated files go, by the rules of Kimodo's command line, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionrt.cli._finishing import FinishingFlags
from motionrt.cli._places import (
    STANDARD_OUTPUT,
    check_standard_output,
    free_stem,
    is_folder,
    name_of,
    standard_output,
)
from motionrt.cli._streams import tell
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import check_writable
from motionrt.runtime.formats.table import FORMATS, caution

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.request import Request


@dataclass(frozen=True)
class Outputs:
    """What is written of each motion."""

    formats: tuple[str, ...]
    num_samples: int = 1
    fps: float | None = None
    """None: the motion's own."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Format -> options of its writer."""
    finishing: FinishingFlags = field(default_factory=FinishingFlags)

    def of(self, request: Request) -> Outputs:
        """Return the same for a request's number of samples."""
        return replace(self, num_samples=request.num_samples)

    def stem(self, output: str, name: str) -> str:
        """Return the stem that ``-o`` means; in a folder it is the name, or one that is free."""
        if not is_folder(output, self.num_samples > 1):
            return output

        def taken(stem: str) -> bool:
            places = output_paths(stem, self.num_samples, self.formats)
            return any(path.exists() for files in places for path in files.values())

        return free_stem(output, name_of(name), taken)

    def check(self, stem: str) -> None:
        """Raise InputError if a file cannot be made below a stem, or sent to standard output."""
        if stem == STANDARD_OUTPUT:
            (format,) = self.formats
            if self.num_samples > 1:
                raise InputError("-o - takes one motion; several go into a folder: -o clips/")
            check_standard_output(f"a {FORMATS[format].ending} file", FORMATS[format].is_text)
            return
        places = output_paths(stem, self.num_samples, self.formats)
        for files in places:
            for path in files.values():
                check_writable(path)

    def check_rate(self, lengths: Iterable[int], model_fps: float) -> None:
        """Raise InputError if motions of so many frames cannot be written at the rate asked for."""
        from motionrt.runtime.body.resample import resampled_frames

        if self.fps is not None:
            resampled_frames(max(lengths), model_fps, self.fps)

    def write(self, motions: Sequence[Motion], stem: str) -> list[Path]:
        """Write every sample below a stem; return the files, none for standard output."""
        if stem == STANDARD_OUTPUT:
            (format,) = self.formats
            with standard_output(FORMATS[format].ending) as path:
                self.write(motions, str(path))
            return []
        files = []
        places = output_paths(stem, self.num_samples, self.formats)
        for motion, paths in zip(motions, places, strict=True):
            saved = self.finished(motion)
            for name, path in paths.items():
                options = self.settings.get(name, {})
                saved.save(path, format=name, **options)
                files.append(path)
                if told := caution(saved, name, **options):
                    tell(f"note: {path}: {told}")
        return files

    def finished(self, motion: Motion) -> Motion:
        """Finish a motion as it is asked for, and say what was done."""
        from motionrt.runtime.body.resample import resample

        if not self.finishing.settings:
            return motion if self.fps is None else resample(motion, self.fps)
        finished = self.finishing.finished(motion, self.fps)
        for line in finished.told:
            tell(f"note: {line}")
        return finished.motion


def output_paths(stem: str, num_samples: int, formats: Sequence[str]) -> list[dict[str, Path]]:
    """Return the file of each format for each sample.

    One sample: ``<stem>.npz``, ``<stem>_amass.npz`` and so on; nothing is added to a stem that
    ends in it already, in small letters or capitals. Several: a folder, named like the stem without
    its suffix, of ``<base>_00.npz``, ``amass_00.npz`` and so on.
    """
    endings = {name: FORMATS[name].ending for name in formats}
    if num_samples == 1:
        return [
            {
                name: Path(stem if stem.lower().endswith(ending) else stem + ending)
                for name, ending in endings.items()
            }
        ]
    folder = Path(stem)
    if folder.suffix.lower() in {row.ending for row in FORMATS.values()}:
        folder = folder.with_suffix("")
    return [
        {
            name: folder / _sample_name(folder.name, sample, ending)
            for name, ending in endings.items()
        }
        for sample in range(num_samples)
    ]


def _sample_name(base: str, sample: int, ending: str) -> str:
    """Name a sample's file; an ending that is more than a suffix (_amass.npz) stands in front."""
    word, dot, suffix = ending.partition(".")
    return f"{word.strip('_') or base}_{sample:02d}{dot}{suffix}"
