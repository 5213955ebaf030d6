"""What Kimodo can be asked for, declared once: keywords, flags, JSON form and presets."""

# Annotations are not postponed here: `options_of` reads them without importing what is quoted.
from typing import TYPE_CHECKING, Annotated, Any

from motionrt.runtime.options import (
    CONSTRAINTS,
    CONTINUE_FROM,
    FIRST_HEADING,
    POSTPROCESS,
    ROOT_MARGIN,
    DiffusionOptions,
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
    from motionrt.runtime.kimodo.compat import Compat

    ConstraintList: TypeAlias = Sequence[Constraint | Mapping[str, object]]
    GivenConstraints: TypeAlias = str | PathLike[str] | ConstraintList | Sequence[ConstraintList]


GUIDANCE_INTERVAL = Option(
    Kind.NUMBERS,
    "Share of the base steps above which guidance is on, and up to which: 0 is the clean end, 1 is "
    "noise; steps outside run one branch and are quicker.  [default: 0 1]",
)


class KimodoOptions(DiffusionOptions, total=False):
    """Options of a Kimodo pipeline's ``generate`` and ``generate_many``; None is the default."""

    guidance_interval: Annotated["Sequence[float] | None", GUIDANCE_INTERVAL]
    """Low, or low and high, each from 0 to 1."""
    first_heading_rad: Annotated["ArrayLike | None", FIRST_HEADING]
    """Of all, or of each motion."""
    constraints: Annotated["GivenConstraints | None", CONSTRAINTS]
    """A file, or constraints (as objects or as in a file), or a list of those for each motion."""
    chain: Annotated[
        bool | None,
        Option(
            Kind.SWITCH,
            "Make what is longer than the model was trained on of parts that follow one another.  "
            "[default: yes]",
        ),
    ]
    """False: in one piece, as upstream does, which goes wrong beyond the trained length."""
    num_transition_frames: Annotated[
        int | None,
        Option(
            Kind.INTEGER,
            "Frames that blend one sentence into the next; more are smoother.  [default: 5]",
        ),
    ]
    continue_from: Annotated["Motion | str | PathLike[str] | None", CONTINUE_FROM]
    """A clip (or its file) that the result begins with; the prompts then follow one another."""
    postprocess: Annotated[bool | None, POSTPROCESS]
    root_margin: Annotated[float | None, ROOT_MARGIN]
    compat: Annotated[
        "str | Compat | None",
        Option(
            Kind.TEXT,
            "Upstream revision to follow: 2026-03 or latest.  [default: 2026-03]",
            objects=True,
        ),
    ]
    """A name of ``compat.COMPATS``; noted in ``Motion.info``."""


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"solver": "dpmpp-2m", "num_steps": 12, "guidance_interval": [0.1, 1.0]},
    "balanced": {"solver": "dpmpp-2m", "num_steps": 20},
    "exact": {"solver": "ddim", "num_steps": 100},
}
"""fast: nearer to a run of all base steps than ddim's 50 are (``benchmarks/solvers.py``), its last
steps unguided, which saves a ninth of the time (``benchmarks/fewer_branches.py``). exact: what
upstream does."""
