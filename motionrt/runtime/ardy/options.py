"""What ARDY can be asked for, declared once: keywords, flags, JSON form and presets."""

# Annotations are not postponed here: `options_of` reads them without importing what is quoted.
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from motionrt.runtime.options import (
    CONTINUE_FROM,
    GUIDANCE_TYPE,
    GUIDANCE_WEIGHTS,
    NUM_STEPS,
    PRESET,
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
    first_heading_rad: Annotated[
        "ArrayLike | None",
        Option(
            Kind.NUMBER,
            "Where the body faces at first, in radians: 0 is +z, 1.57 is +x.  [default: 0]",
            "first-heading",
            objects=True,
        ),
    ]
    """Of all, or of each motion."""
    constraints: Annotated[
        "GivenConstraints | None",
        Option(Kind.CONSTRAINTS, "Constraint file (JSON), or its list.", objects=True),
    ]
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
    postprocess: Annotated[
        bool | None,
        Option(
            Kind.SWITCH,
            "Meet constraints exactly and keep standing feet still.  [default: yes, but for G1]",
        ),
    ]
    root_margin: Annotated[
        float | None,
        Option(
            Kind.NUMBER,
            "Metres that postprocessing may leave between the root and where a constraint has "
            "it.  [default: 0.04]",
        ),
    ]


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"num_steps": 4},
    "balanced": {"num_steps": 6},
    "exact": {"num_steps": 10},
}
"""exact: what upstream does. fast takes 40 % of the time; what it costs depends on the prompt."""
