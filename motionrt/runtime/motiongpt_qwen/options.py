"""What MotionGPT with Qwen3 can be asked for, declared once: keywords, flags and JSON form."""

# Annotations are not postponed here: `options_of` reads them without importing what is quoted.
from typing import TYPE_CHECKING, Annotated, TypedDict

from motionrt.runtime.options import BETWEEN, CONTINUE_FROM, TEMPERATURE, TEMPLATE, Kind, Option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import TypeAlias

    from numpy.typing import ArrayLike

    from motionrt.runtime.body.motion import Motion

    AnyMotion: TypeAlias = Motion | str | PathLike[str] | ArrayLike

ENDINGS = ("exact", "model")


class MotionGptQwenOptions(TypedDict, total=False):
    """Options of a MotionGPT-Qwen pipeline's ``generate`` and ``generate_many``; None: the default.

    A motion is a Motion, its file, features (T, F), or joints (T, J, 3) at 20 frames a second.
    """

    thinking: Annotated[
        bool | None,
        Option(
            Kind.SWITCH,
            "Let a language model write its thoughts before the motion, or close them beforehand.  "
            "[default: the bundle's]",
        ),
    ]
    thought: Annotated[
        str | None, Option(Kind.TEXT, "Give the model this thought instead of its own.")
    ]
    temperature: Annotated[float | None, TEMPERATURE]
    """0 takes the likeliest token."""
    top_p: Annotated[
        float | None,
        Option(
            Kind.NUMBER,
            "Draw from the fewest of the likeliest tokens that have this share together; lower "
            "varies less.  [default: the bundle's]",
        ),
    ]
    top_k: Annotated[
        int | None,
        Option(
            Kind.INTEGER,
            "Draw from so many of the likeliest tokens; 0 is all.  [default: the bundle's]",
        ),
    ]
    repetition_penalty: Annotated[
        float | None,
        Option(
            Kind.NUMBER,
            "Above 1, tokens that came before are less likely.  [default: the bundle's]",
        ),
    ]
    max_new_tokens: Annotated[
        int | None,
        Option(Kind.INTEGER, "Longest answer, thoughts included.  [default: the bundle's]"),
    ]
    grammar: Annotated[
        bool | None,
        Option(
            Kind.SWITCH,
            "Let only what belongs there follow, so that every answer is a motion that ends; "
            "without, as upstream.  [default: with]",
        ),
    ]
    length: Annotated[
        str | None,
        Option(
            Kind.TEXT,
            "exact: a motion as long as is asked for; model: the model ends it, then at the "
            "latest.  [default: exact]",
        ),
    ]
    """One of ``ENDINGS``."""
    template: Annotated[str | None, TEMPLATE]
    """A name of the bundle's, or a text with ``<Caption_Placeholder>``."""
    quote: Annotated[
        bool | None,
        Option(
            Kind.SWITCH,
            "Put the prompt in double quotes, as half of training's were.  [default: no]",
        ),
    ]
    continue_from: Annotated["AnyMotion | None", CONTINUE_FROM]
    between: Annotated["Sequence[AnyMotion] | None", BETWEEN]
    """Two motions; seconds is then the gap's length."""
