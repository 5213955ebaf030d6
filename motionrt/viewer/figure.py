"""A skeleton as a drawable figure: the limb a joint belongs to, its thickness, its drawing."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import forward_vectors, heading_across
from motionrt.runtime.body.rotation import unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.viewer.camera import Camera
from motionrt.viewer.canvas import WHITE, Canvas, Colour, mix

COLOURS: dict[str, Colour] = {
    "left": (238, 108, 52),
    "right": (41, 112, 214),
    "centre": (55, 68, 88),
}
FINGERS = {"thumb", "index", "middle", "ring", "pinky", "finger", "fingers"}


@dataclass(frozen=True)
class Part:
    """Bones drawn as one: they hide what is behind them together, without seams between them."""

    side: str  # "left", "right" or "centre": the colour
    bones: tuple[tuple[int, int], ...]  # (parent, child)


@dataclass(frozen=True)
class Head:
    """A ball on the line from the middle of some joints through the middle of others."""

    neck: tuple[int, ...]
    top: tuple[int, ...]
    beyond: float  # metres from the middle of top to the ball's middle
    radius: float

    def centre(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ball's middle; joints is (..., J, 3), the result (..., 3)."""
        neck, top = (joints[..., group, :].mean(axis=-2) for group in (self.neck, self.top))
        return np.asarray(top + unit(top - neck) * self.beyond)


@dataclass(frozen=True)
class Figure:
    """How to draw one skeleton; radii are metres."""

    height: float  # metres, of the rest pose
    parts: tuple[Part, ...]
    radii: NDArray[np.float64]  # (J,)
    head: Head | None
    sides: tuple[str, ...]  # one for each joint

    def outline(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (..., N, 3) that enclose the figure, for fitting it into a picture."""
        points = [joints]
        if self.head is not None:
            ball = np.concatenate([np.eye(3), -np.eye(3)]) * self.head.radius
            points.append(self.head.centre(joints)[..., None, :] + ball)
        return np.concatenate(points, axis=-2)

    def draw(self, canvas: Canvas, camera: Camera, joints: NDArray[np.float64]) -> None:
        """Draw the figure with joints (J, 3) at their places, far limbs first and paler."""
        pixels = camera.project(joints)
        zoom = camera.scale * camera.distance / (camera.distance + pixels[:, 2])
        radii = self.radii * zoom
        halo = 0.011 * self.height * camera.scale
        items: list[tuple[float, Part | Head]] = [
            (float(np.mean([pixels[list(bone), 2].mean() for bone in part.bones])), part)
            for part in self.parts
        ]
        if self.head is not None:
            ball = camera.project(self.head.centre(joints))
            items.append((float(ball[2]), self.head))
        for depth, part in sorted(items, key=lambda item: -item[0]):
            haze = 0.14 + 0.14 * float(np.clip(depth / (0.2 * self.height), -1, 1))
            if isinstance(part, Head):
                radius = part.radius * camera.scale * camera.distance / (camera.distance + depth)
                canvas.circle(ball[0], ball[1], radius + halo, WHITE)
                canvas.circle(ball[0], ball[1], radius, mix(COLOURS["centre"], WHITE, haze))
                continue
            colour = mix(COLOURS[part.side], WHITE, haze)
            for grow, paint in ((halo, WHITE), (0.0, colour)):
                for parent, child in part.bones:
                    thick = (radii[child] if part.side == "centre" else radii[parent], radii[child])
                    canvas.capsule(
                        pixels[parent], pixels[child], (thick[0] + grow, thick[1] + grow), paint
                    )

    def draw_shadow(
        self, canvas: Canvas, camera: Camera, joints: NDArray[np.float64], strength: float = 0.3
    ) -> None:
        """Draw the figure's soft shadow on the floor, as if lit from straight above."""
        flat = joints * (1.0, 0.0, 1.0)
        pixels = camera.project(flat)
        bones = [
            (pixels[a], pixels[b], float(self.radii[b]) * camera.scale * 1.5)
            for part in self.parts
            for a, b in part.bones
        ]
        if self.head is not None:
            ball = camera.project(self.head.centre(joints) * (1.0, 0.0, 1.0))
            bones.append((ball, ball, self.head.radius * camera.scale))
        canvas.shadow(bones, 0.018 * self.height * camera.scale, strength)


def side_of(joint_name: str) -> str:
    """Return "left", "right" or "centre" from a joint's name (LeftArm, left_knee, l_hand, LHip)."""
    words = _words(joint_name)
    if "left" in words or "l" in words:
        return "left"
    return "right" if "right" in words or "r" in words else "centre"


def make_figure(skeleton: Skeleton) -> Figure:
    """Sort a skeleton's joints into limbs, trunk and head by their names and parents."""
    names = list(skeleton.joint_names)
    parents = [int(p) for p in skeleton.parents]
    rest = np.asarray(skeleton.rest_positions, np.float64)
    height = float(np.ptp(rest[:, 1]))
    if not 0.05 < height < 50:  # a table without a standing rest pose
        height = 1.7
    words = [_words(name) for name in names]
    sides = [side_of(name) for name in names]

    heads = [j for j, found in enumerate(words) if "head" in found and sides[j] == "centre"]
    head = heads[0] if heads and parents[heads[0]] >= 0 else None
    limb_of = [-1] * len(names)  # the first joint of the limb that a joint belongs to, or -1
    hidden = [False] * len(names)  # face joints: the head ball stands for them
    for joint, parent in enumerate(parents):
        hidden[joint] = parent >= 0 and (hidden[parent] or parent == head)
        if sides[joint] != "centre" and not hidden[joint]:
            same = parent >= 0 and limb_of[parent] >= 0 and sides[limb_of[parent]] == sides[joint]
            limb_of[joint] = limb_of[parent] if same else joint
        elif parent >= 0:
            limb_of[joint] = limb_of[parent]

    bones: dict[int, list[tuple[int, int]]] = {-1: []}
    for joint, parent in enumerate(parents):
        if parent >= 0 and not hidden[joint]:
            limb = limb_of[joint] if limb_of[joint] == limb_of[parent] else -1
            bones.setdefault(limb, []).append((parent, joint))
    parts = tuple(
        Part(sides[limb] if limb >= 0 else "centre", tuple(chain))
        for limb, chain in bones.items()
        if chain
    )
    return Figure(
        height=height,
        parts=parts,
        radii=_radii(rest, parents, limb_of, words, height),
        head=_head(head, rest, parents, sides, limb_of, height),
        sides=tuple(sides),
    )


def facing(figure: Figure, skeleton: Skeleton, joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the horizontal unit vectors (T, 3) that joints (T, J, 3) face; +z if they do not say.

    They stand across the line from the right limbs' first joints (hips, shoulders) to the left's;
    a frame in which that line is upright keeps the frame before's.
    """
    firsts: dict[str, list[int]] = {"left": [], "right": [], "centre": []}
    for joint, parent in enumerate(skeleton.parents):
        if parent < 0 or figure.sides[parent] != figure.sides[joint]:
            firsts[figure.sides[joint]].append(joint)
    across = np.zeros_like(joints[:, 0])
    if firsts["left"] and firsts["right"]:
        across = joints[:, firsts["right"]].mean(axis=1) - joints[:, firsts["left"]].mean(axis=1)
    result = forward_vectors(heading_across(across))
    known = np.linalg.norm(across[:, ::2], axis=-1) > 1e-4 * figure.height
    for frame in np.flatnonzero(~known):
        result[frame] = result[frame - 1] if frame else (0.0, 0.0, 1.0)
    return result


def _words(name: str) -> list[str]:
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _head(
    head: int | None,
    rest: NDArray[np.float64],
    parents: list[int],
    sides: list[str],
    limb_of: list[int],
    height: float,
) -> Head | None:
    """Put the head on its joint; a robot without one gets it above the middle of its shoulders."""
    radius = 0.062 * height
    if head is not None:
        return Head((parents[head],), (head,), 0.8 * radius, radius)
    firsts = [j for j, limb in enumerate(limb_of) if limb == j and parents[j] >= 0]
    shoulders = [j for j in firsts if rest[j, 1] - rest[0, 1] > 0.1 * height]
    if {sides[j] for j in shoulders} != {"left", "right"}:
        return None
    return Head((0,), tuple(shoulders), 1.9 * radius, radius)


def _radii(
    rest: NDArray[np.float64],
    parents: list[int],
    limb_of: list[int],
    words: list[list[str]],
    height: float,
) -> NDArray[np.float64]:
    """Thick trunk, limbs that taper from their first joint outwards, thin fingers."""
    is_finger = [bool(FINGERS & set(found)) for found in words]
    along = np.zeros(len(parents))  # metres from the limb's first joint
    for joint, parent in enumerate(parents):
        if limb_of[joint] >= 0 and limb_of[joint] != joint:
            along[joint] = along[parent] + np.linalg.norm(rest[joint] - rest[parent])
    radii = np.full(len(parents), 0.026 * height)
    for limb in sorted(set(limb_of) - {-1}):
        chain = [j for j, first in enumerate(limb_of) if first == limb]
        fingers = [j for j in chain if is_finger[j]]
        length = max((along[j] for j in chain if not is_finger[j]), default=0.0)
        thick = height * float(np.clip(0.011 + 0.026 * length / height, 0.011, 0.025))
        for j in chain:
            radii[j] = thick * (1 - 0.5 * min(along[j] / length, 1)) if length else thick
        for j in fingers:  # whole hands are finer than a stub that stands for one
            radii[j] = height * (0.0045 if len(fingers) > 4 else 0.009)
    return radii
