"""What ARDY can be asked for, declared once: keywords, flags, JSON form and presets."""

# Annotations are not postponed here: `options_of` reads them without importing what is quoted.
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from motionrt.runtime.options import (
    CONSTRAINTS,
    CONTINUE_FROM,
    FIRST_HEADING,
    GUIDANCE_TYPE,
    GUIDANCE_WEIGHTS,
    NUM_STEPS,
    POSTPROCESS,
    PRESET,
    ROOT_MARGIN,
    Kind,
    Option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import TypeAlias

    from numpy.typing import ArrayLike

    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.constraints.kinds import Constraint

    GivenConstraints: TypeAlias = str | PathLike[str] | Sequence[Constraint | Mapping[str, object]]


class ArdyOptions(TypedDict, total=False):
    """Options of an ARDY pipeline's ``generate`` and ``generate_many``; None is the default."""

    num_steps: Annotated[int | None, NUM_STEPS]
    preset: Annotated[str | None, PRESET]
    guidance_type: Annotated[str | None, GUIDANCE_TYPE]
    """None: the bundle's, or what the weights imply."""
    guidance_weights: Annotated["Sequence[float] | None", GUIDANCE_WEIGHTS]
    """Unitless; higher follows text (and constraints) more and varies less."""
    first_heading_rad: Annotated["ArrayLike | None", FIRST_HEADING]
    """Of all, or of each motion."""
    constraints: Annotated["GivenConstraints | None", CONSTRAINTS]
    """A file, or constraints (as objects or as in a file), for all motions."""
    history_frames: Annotated[
        int | None,
        Option(
            Kind.INTEGER,
            "Frames that a window looks back, whole tokens; more is steadier and takes longer.  "
            "[default: as many as the model was trained with]",
        ),
    ]
    continue_from: Annotated["Motion | str | PathLike[str] | None", CONTINUE_FROM]
    postprocess: Annotated[bool | None, POSTPROCESS]
    root_margin: Annotated[float | None, ROOT_MARGIN]


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"num_steps": 4},
    "balanced": {"num_steps": 6},
    "exact": {"num_steps": 10},
}
"""exact: what upstream does. fast takes 40 % of the time; what it costs depends on the prompt."""
