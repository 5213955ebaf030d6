"""Find hips, feet and hands of a foreign skeleton by its joints' names."""

from __future__ import annotations

from typing import Any

# In the order of preference: what a rig calls the joint, in lower case without punctuation.
# "l" and "left" forms both occur; SIDE stands for either spelling.
_ROLES: dict[str, tuple[str, ...]] = {
    "hip": ("{L}upleg", "{L}upperleg", "{L}thigh", "thigh{l}", "{L}hip", "{l}hipjoint", "{l}hip"),
    "ankle": ("{L}foot", "foot{l}", "{L}ankle", "{l}foot", "{l}ankle"),
    "toe": ("{L}toebase", "{L}toes", "{L}toe", "ball{l}", "toe{l}", "{l}toe", "{l}toes"),
    "hand": ("{L}hand", "hand{l}", "{L}wrist", "{l}hand", "{l}wrist"),
}
_SMPL = {"ankle": "{L}ankle", "toe": "{L}foot"}


def joint_groups(joint_names: tuple[str, ...]) -> dict[str, Any]:
    """Guess the groups of `motionrt.runtime.skeleton.Skeleton`; what is not found stays away."""
    plain = ["".join(c for c in name.split(":")[-1].lower() if c.isalnum()) for name in joint_names]

    def find(role: str, side: str) -> int | None:
        patterns = _ROLES[role]
        if f"{side}ankle" in plain and role in _SMPL:  # SMPL calls the toe joint a foot
            patterns = (_SMPL[role],)
        for pattern in patterns:
            name = pattern.format(L=side, l=side[0])
            if name in plain:
                return plain.index(name)
        return None

    found = {(r, s): find(r, s) for r in _ROLES for s in ("left", "right")}
    groups: dict[str, Any] = {}
    hips = (found["hip", "right"], found["hip", "left"])
    if None not in hips:
        groups["hip_joints"] = hips
    for side in ("left", "right"):
        feet = (found["ankle", side], found["toe", side])
        if None not in feet:
            groups[f"{side}_foot_joints"] = feet
        if found["hand", side] is not None:
            groups[f"{side}_hand_joints"] = (found["hand", side],)
    return groups
