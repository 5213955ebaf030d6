"""What sheets and GIFs share: a motion ready to draw, its floor, its title."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.viewer.camera import Camera
from motionrt.viewer.canvas import GRID, Canvas
from motionrt.viewer.figure import Figure, facing, make_figure

FARTHEST = 1e5  # metres from the origin; beyond it a number is a mistake


@dataclass(frozen=True)
class Clip:
    """A motion ready to draw."""

    title: str
    details: str  # length, rate, skeleton
    joints: NDArray[np.float64]  # (T, J, 3), metres
    contacts: NDArray[np.bool_] | None  # (T, C), the first half left
    fps: float
    figure: Figure
    headings: NDArray[np.float64]  # (T, 3), horizontal unit vectors

    @property
    def heading(self) -> NDArray[np.float64]:
        """Where the figure faces at the first frame, (3,)."""
        return np.asarray(self.headings[0])

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """Length: frames divided by frames per second."""
        return self.num_frames / self.fps


def make_clip(motion: Motion, name: str = "") -> Clip:
    """Prepare a motion; the title is its prompt, else name (a file's stem), else the skeleton's.

    InputError if a joint is too far away to draw.
    """
    joints = np.asarray(motion.posed_joints, np.float64)
    far = np.abs(joints).max(axis=(1, 2)) > FARTHEST
    if far.any():
        raise InputError(
            f"{name or 'motion'}: frame {int(far.argmax())} has a joint more than "
            f"{FARTHEST:.0e} m from the origin; positions are metres"
        )
    figure = make_figure(motion.skeleton)
    seconds = len(joints) / motion.fps
    details = [
        f"{seconds:.{1 if seconds >= 1 else 2}f} s",
        f"{motion.fps:g} fps",
        f"{len(joints)} frame{'s' if len(joints) > 1 else ''}",
        motion.skeleton.name,
    ]
    if isinstance(motion.info.get("seed"), int):
        details.append(f"seed {motion.info['seed']}")
    return Clip(
        title=_prompt(motion) or name or motion.skeleton.name,
        details=" · ".join(details),
        joints=joints,
        contacts=motion.foot_contacts,
        fps=motion.fps,
        figure=figure,
        headings=facing(figure, motion.skeleton, joints),
    )


def make_clips(motions: list[Motion], names: list[str] | None) -> list[Clip]:
    """Prepare several motions; InputError if there is none."""
    if not motions:
        raise InputError("no motion to draw")
    return [make_clip(m, n) for m, n in zip(motions, names or [""] * len(motions), strict=True)]


def fit(points: NDArray[np.float64], width: float, height: float) -> float:
    """Return the scale at which pixels of a scale-1 camera, relative to its centre, fill a box.

    points (..., 2 or 3) may lie anywhere vertically; horizontally the box is about the centre.
    """
    half = max(float(np.abs(points[..., 0]).max()), 0.05)
    tall = max(float(np.ptp(points[..., 1])), 0.1)
    return min(width / 2 / half, height / tall)


def draw_floor(canvas: Canvas, camera: Camera, radius: float, step: float = 0.5) -> None:
    """Draw the world's floor grid around the camera's target; it fades out at radius metres."""
    middle = camera.target * (1, 0, 1)
    pieces = 24
    for axis in (0, 2):
        first = int(np.ceil((middle[axis] - radius) / step))
        last = int(np.floor((middle[axis] + radius) / step))
        for line in range(first, last + 1):
            offset = line * step - middle[axis]
            reach = np.sqrt(max(radius**2 - offset**2, 0))
            along = np.linspace(-reach, reach, pieces + 1)
            points = np.zeros((pieces + 1, 3))
            points[:, axis] = line * step
            points[:, 2 - axis] = middle[2 - axis] + along
            pixels = camera.project(points)
            fade = 1 - (offset**2 + ((along[1:] + along[:-1]) / 2) ** 2) / radius**2
            for k in range(pieces):
                if fade[k] > 0.02:
                    canvas.line(
                        [(pixels[k, 0], pixels[k, 1]), (pixels[k + 1, 0], pixels[k + 1, 1])],
                        GRID,
                        0.67,
                        alpha=float(fade[k]),
                    )


def on_ground(contacts: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return when any joint of the left foot and of the right foot (T,) is on the ground.

    contacts is (T, C); the first half of its columns is the left foot's.
    """
    half = (contacts.shape[1] + 1) // 2
    return np.any(contacts[:, :half], axis=1), np.any(contacts[:, half:], axis=1)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the spans (start, stop excluded) in which mask is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _prompt(motion: Motion) -> str:
    for key in ("prompt", "prompts", "text", "texts"):
        value = motion.info.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
            return ", then ".join(v.strip() for v in value)
    return ""
