"""Stick figures of motions on one picture: one row a motion, time to the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from motionrt.runtime.files import atomic_file
from motionrt.runtime.motion import Motion

LEFT, RIGHT, MIDDLE = (30, 90, 220), (220, 60, 40), (40, 40, 40)


def contact_sheet(
    path: Path,
    rows: Sequence[tuple[str, Motion]],
    num_poses: int = 14,
    width: int = 1500,
    row_height: int = 150,
    view_deg: float = 60.0,
) -> None:
    """Draw each motion's poses side by side; left limbs are blue, right ones red.

    The figures keep their heading: view_deg is the angle from which they are seen, 0 from
    behind and 90 from their left. Under each figure is the travel since the start in metres.
    """
    image = Image.new("RGB", (width, row_height * len(rows)), "white")
    draw = ImageDraw.Draw(image)
    cell = (width - 120) / num_poses
    scale = (row_height - 30) / 2.1
    angle = np.radians(view_deg)
    for row, (label, motion) in enumerate(rows):
        floor = (row + 1) * row_height - 18
        draw.line((110, floor, width, floor), fill=(200, 200, 200))
        for number, line in enumerate(_wrapped(label, 18)):
            draw.text((4, row * row_height + 8 + 12 * number), line, fill="black")
        frames = np.linspace(0, motion.num_frames - 1, num_poses).astype(int)
        for column, frame in enumerate(frames):
            joints = motion.posed_joints[frame] - motion.root_positions[frame] * [1, 0, 1]
            middle = 110 + (column + 0.5) * cell
            across = joints[:, 0] * np.cos(angle) - joints[:, 2] * np.sin(angle)
            points = np.stack([middle - across * scale, floor - joints[:, 1] * scale], axis=-1)
            for joint, parent in enumerate(motion.skeleton.parents):
                if parent >= 0:
                    name = motion.skeleton.joint_names[joint]
                    colour = LEFT if "Left" in name else RIGHT if "Right" in name else MIDDLE
                    draw.line((*points[parent], *points[joint]), fill=colour, width=2)
            moved = motion.root_positions[frame] - motion.root_positions[0]
            text = f"{frame / motion.fps:.1f}s {np.hypot(moved[0], moved[2]):.1f}m"
            draw.text((middle - 28, floor + 3), text, fill=(120, 120, 120))
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG")


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
