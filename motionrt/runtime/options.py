"""What a family can be asked for beside prompt, length, seed and samples.

A family declares its options once, as a ``TypedDict`` whose fields are annotated with `Option`.
From it come the keywords that editors complete, the flags of the command line, the JSON form of a
request with its schema, and the check that refuses a misspelt name.
"""

# Annotations are not postponed here: `options_of` reads those of `DiffusionOptions`.
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Value = TypeVar("Value")


class Kind(Enum):
    """What an option's value is, in words."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    NUMBERS = "a list of numbers"
    TEXT = "a text"
    SWITCH = "true or false"
    FILE = "a file"
    TWO_FILES = "two files"
    CONSTRAINTS = "a file, or a list of constraints"


MOTION_KINDS = (Kind.FILE, Kind.TWO_FILES)
"""Where a text is the path of a motion file."""
FILE_KINDS = (*MOTION_KINDS, Kind.CONSTRAINTS)
"""Where a text is the path of a file."""
PLAIN_TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.TEXT: (str,),
    Kind.SWITCH: (bool,),
}
"""Python types of the kinds that have one; values of the others are checked where they are used."""


@dataclass(frozen=True)
class Option:
    """One option of a family, beside its Python type."""

    kind: Kind
    help: str
    """One line for the command line and the JSON Schema; a knob says which way it pushes."""
    flag: str | None = ""
    """Its name on the command line; empty: its own with dashes, None: none."""
    objects: bool = False
    """From Python it may be given as something else: an array, a motion."""
    file_ending: str = ""
    """Of a text: one with this in it may be a file's path; empty: none is."""


NUM_STEPS = Option(
    Kind.INTEGER,
    "Denoising steps; more follow the model more closely and take longer.  [default: the model's]",
    "diffusion-steps",
)
SOLVER = Option(
    Kind.TEXT,
    "How steps are taken: ddim, dpmpp-2m (fewer steps) or ancestral, of which a family has some.  "
    "[default: the model's]",
)
PRESET = Option(Kind.TEXT, "Solver and steps: fast, balanced, or exact (as upstream).")
GUIDANCE_TYPE = Option(Kind.TEXT, "Guidance: nocfg, regular or separated.", "cfg-type")
GUIDANCE_WEIGHTS = Option(
    Kind.NUMBERS,
    "Guidance weights: one is regular, two (text, constraints) are separated; higher follows the "
    "text more and varies less.",
    "cfg-weight",
)


class DiffusionOptions(TypedDict, total=False):
    """Options of every family that denoises; None is the bundle's."""

    num_steps: Annotated[int | None, NUM_STEPS]
    solver: Annotated[str | None, SOLVER]
    preset: Annotated[str | None, PRESET]
    """Values of other options, where these are not given; names are ``Family.presets``."""
    guidance_type: Annotated[str | None, GUIDANCE_TYPE]
    """None: the bundle's, or what the weights imply."""
    guidance_weights: Annotated["Sequence[float] | None", GUIDANCE_WEIGHTS]
    """Unitless; higher follows the text (and constraints) more and varies less."""


CONTINUE_FROM = Option(
    Kind.FILE, "Motion file that the result begins with and goes on from.", objects=True
)


FIRST_HEADING = Option(
    Kind.NUMBER,
    "Where the body faces at first, in radians: 0 is +z, 1.57 is +x.  [default: 0]",
    "first-heading",
    objects=True,
)
CONSTRAINTS = Option(Kind.CONSTRAINTS, "Constraint file (JSON), or its list.", objects=True)
POSTPROCESS = Option(
    Kind.SWITCH,
    "Meet constraints exactly and keep standing feet still.  [default: yes, but for G1]",
)
ROOT_MARGIN = Option(
    Kind.NUMBER,
    "Metres that postprocessing may leave between the root and where a constraint has it.  "
    "[default: 0.04]",
)
BETWEEN = Option(
    Kind.TWO_FILES,
    "Two motion files: the result leads from the first to the second.",
    objects=True,
)
TEMPERATURE = Option(
    Kind.NUMBER,
    "Of what is drawn: the ancestral solver's noise, or a language model's tokens; lower varies "
    "less.  [default: the model's]",
)
TEMPLATE = Option(
    Kind.TEXT,
    "How the prompt is worded for the model: a name (MotionGPT3: caption or evaluation), or your "
    "own text with <Caption_Placeholder>; with MotionGPT3 also a file of templates in JSON, as in "
    "templates.json:NAME.  [default: the model's]",
    file_ending=".json",
)
SENTENCES = Option(
    Kind.SWITCH,
    "Each sentence of the prompt is a part of the motion, as long as is asked for, one after "
    "another.",
)


def options_of(declared: type) -> dict[str, Option]:
    """Return the options of a ``TypedDict``, by name; TypeError for a field without an `Option`.

    Its module must not postpone annotations: types that are expensive to import are quoted instead.
    """
    found = {}
    for name, annotation in declared.__annotations__.items():
        marks = getattr(annotation, "__metadata__", ())  # of Annotated
        option = next((mark for mark in marks if isinstance(mark, Option)), None)
        if option is None:
            raise TypeError(f"{declared.__name__}.{name} is not annotated with an Option")
        found[name] = option
    return found


def check_options(
    owner: str, known: Mapping[str, Option], values: Mapping[str, object], others: Iterable[str]
) -> dict[str, Any]:
    """Return the options that are given; one that is None counts as not given.

    InputError for a name that owner does not have, with the nearest among its own and others (the
    keywords that every request has), and for a value of another type.
    """
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"{owner} has no option {name}{did_you_mean(name, (*known, *others))} "
                f"(it has {', '.join(sorted(known))})"
            )
        if value is None:
            continue
        given[name] = _checked(name, known[name], value)
    return given


def either(value: Value | None, default: Value) -> Value:
    """Return a value that is given, the default for None."""
    return default if value is None else value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question for the known name that is most like one, or nothing."""
    import difflib  # here: most that start have nothing to ask

    synonyms = {"duration": "seconds", "frames": "num_frames", "steps": "num_steps"}
    names = list(known)
    wanted = synonyms.get(name.lower(), "")
    near = [wanted] if wanted in names else difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _checked(name: str, option: Option, value: object) -> object:
    types = PLAIN_TYPES.get(option.kind)
    if types is None or option.objects:
        return value
    item = getattr(value, "item", None)  # numpy's scalars
    plain = item() if callable(item) and getattr(value, "shape", None) == () else value
    is_bool = isinstance(plain, bool)
    if not isinstance(plain, types) or (is_bool and option.kind is not Kind.SWITCH):
        raise InputError(f"{name} is {value!r}, must be {option.kind.value}")
    return plain
