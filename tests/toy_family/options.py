from typing import Annotated, Any, TypedDict

from motionrt.runtime.options import NUM_STEPS, PRESET, Kind, Option


class ToyOptions(TypedDict, total=False):
    num_steps: Annotated[int | None, NUM_STEPS]
    preset: Annotated[str | None, PRESET]
    bob_height: Annotated[
        float | None, Option(Kind.NUMBER, "Metres up and down; more bobs higher.", "bob")
    ]


PRESETS: dict[str, dict[str, Any]] = {"high": {"bob_height": 0.5, "num_steps": 2}}
