"""What MotionGPT3 can be asked for, declared once: keywords, flags, JSON form and presets."""

# Annotations are not postponed here: `options_of` reads them without importing what is quoted.
from typing import TYPE_CHECKING, Annotated, Any

from motionrt.runtime.options import (
    BETWEEN,
    CONTINUE_FROM,
    SENTENCES,
    TEMPERATURE,
    TEMPLATE,
    DiffusionOptions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import TypeAlias

    from numpy.typing import ArrayLike

    from motionrt.runtime.body.motion import Motion

    AnyMotion: TypeAlias = Motion | str | PathLike[str] | ArrayLike


class MotionGpt3Options(DiffusionOptions, total=False):
    """Options of a MotionGPT3 pipeline's ``generate`` and ``generate_many``; None is the default.

    A motion is a Motion, its file, features (T, 263) or joints (T, 22, 3) at 20 frames a second.
    """

    temperature: Annotated[float | None, TEMPERATURE]
    """Of the ancestral solver's noise; 1 is as trained."""
    template: Annotated[str | None, TEMPLATE]
    """A name of ``prompt.TEMPLATES``, a text with ``prompt.CAPTION_PLACE``, or a file of templates
    (``templates.read_templates``), with ``:name`` behind it for another than the first."""
    sentences: Annotated[bool | None, SENTENCES]
    """True: a part for every sentence of a prompt, of seconds each, joined as motions that are
    carried on are. The model was trained on captions of several sentences, in one clip."""
    continue_from: Annotated["AnyMotion | None", CONTINUE_FROM]
    between: Annotated["Sequence[AnyMotion] | None", BETWEEN]
    """Two motions; seconds is then the gap's length."""


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"solver": "dpmpp-2m", "num_steps": 12},
    "balanced": {"solver": "dpmpp-2m", "num_steps": 20},
    "exact": {"solver": "ancestral"},
}
"""exact: what upstream does, with the checkpoint's steps. What the others cost is not measured:
there are no trained weights to measure it on."""
