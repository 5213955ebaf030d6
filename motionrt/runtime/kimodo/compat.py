"""Which revision of Kimodo a run follows where revisions differ."""

from __future__ import annotations

from dataclasses import dataclass

from motionrt.runtime.errors import InputError


@dataclass(frozen=True)
class Compat:
    """What one revision does; every field is a difference between revisions."""

    name: str
    replayed_part: float
    """Share of the segment before that a transition replays on top of its own frames."""
    transition_limbs: bool
    """A transition holds the rotations of hands and feet, not only positions."""
    correct_segments: bool
    """Motion correction runs on each segment as it is made, not on the whole clip at the end."""
    exact_full_bodies: bool
    """Correction brings full bodies to their exact root, after all else; not to the smooth root."""
    root_takes_height: bool
    """Of a smoothed root with three columns the first two are taken (x and the height)."""
    toe_end_contacts: bool
    """Motions of SOMA's 77 joints have six contacts, the toe ends copied from the toes."""


COMPATS = {
    "2026-03": Compat(
        "2026-03",
        replayed_part=0.10,
        transition_limbs=False,
        correct_segments=False,
        exact_full_bodies=False,
        root_takes_height=True,
        toe_end_contacts=False,
    ),
    "latest": Compat(
        "latest",
        replayed_part=0.0,
        transition_limbs=True,
        correct_segments=True,
        exact_full_bodies=True,
        root_takes_height=False,
        toe_end_contacts=True,
    ),
}
"""By name; the first is the default."""
DEFAULT_COMPAT = COMPATS["2026-03"]


def resolve_compat(name: str | Compat | None) -> Compat:
    """Find a revision by name, the default for None; InputError if there is none."""
    if isinstance(name, Compat):
        return name
    if name is None:
        return DEFAULT_COMPAT
    if name not in COMPATS:
        raise InputError(f"compat {name!r}: there are {', '.join(COMPATS)}")
    return COMPATS[name]
