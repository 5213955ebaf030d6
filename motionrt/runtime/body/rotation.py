"""Rotations: 6D, matrix, quaternion, axis-angle and Euler angles, batched over leading axes.

Matrices act on column vectors, quaternions are w x y z, angles are radians unless the name says
degrees. The results have the floating type of the argument (float32 in, float32 out).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

_AXES = "XYZ"


def rot6d_to_matrix(rot6d: ArrayLike) -> Floats:
    """Turn 6D rotations into matrices: x = a/|a|, z = (x × b)/|x × b|, y = z × x.

    rot6d is (..., 6), the first column a and then the second b, unnormalised; the result is
    (..., 3, 3), right-handed. No epsilon: a zero or parallel pair gives NaN. ValueError if the
    last axis is not 6. Source: Zhou 2019, arXiv:1812.07035, in the order of Kimodo.
    """
    values = _floats(rot6d, 6, "6D rotations")
    with np.errstate(invalid="ignore", divide="ignore"):
        x = _unit(values[..., :3])
        z = _unit(np.cross(x, values[..., 3:]))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def matrix_to_rot6d(matrix: ArrayLike) -> Floats:
    """Take the first and then the second column of (..., 3, 3) matrices as (..., 6)."""
    values = _matrices(matrix)
    return np.concatenate([values[..., :, 0], values[..., :, 1]], axis=-1)


def matrix_to_quaternion(matrix: ArrayLike) -> Floats:
    """Turn (..., 3, 3) rotation matrices into (..., 4) quaternions.

    The largest of the four components is computed from the trace, the others from it; the sign is
    not made canonical and no renormalisation follows, as in Kimodo.
    """
    m = _matrices(matrix)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    one = m.dtype.type(1)
    squares = np.stack(
        [
            one + m00 + m11 + m22,
            one + m00 - m11 - m22,
            one - m00 + m11 - m22,
            one - m00 - m11 + m22,
        ],
        axis=-1,
    )
    sizes = np.sqrt(np.maximum(squares, 0))
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 1, 0] + m[..., 0, 1],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 2, 1] + m[..., 1, 2],
    )
    squared = sizes * sizes
    rows = np.stack(
        [
            np.stack([squared[..., 0], wx, wy, wz], axis=-1),
            np.stack([wx, squared[..., 1], xy, xz], axis=-1),
            np.stack([wy, xy, squared[..., 2], yz], axis=-1),
            np.stack([wz, xz, yz, squared[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    largest = np.argmax(sizes, axis=-1)[..., None]
    row = np.take_along_axis(rows, largest[..., None], axis=-2)[..., 0, :]
    size = np.take_along_axis(sizes, largest, axis=-1)
    result: Floats = row / (2 * np.maximum(size, m.dtype.type(0.1)))
    return result


def quaternion_to_matrix(quaternion: ArrayLike) -> Floats:
    """Turn (..., 4) quaternions of any length but zero into (..., 3, 3) matrices."""
    q = _floats(quaternion, 4, "quaternions")
    w, x, y, z = np.moveaxis(q, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        s = 2 / np.sum(q * q, axis=-1)
    rows = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2).astype(q.dtype, copy=False)


def multiply_quaternions(first: ArrayLike, second: ArrayLike) -> Floats:
    """Compose: rotating by the product is rotating by second and then by first."""
    w1, x1, y1, z1 = np.moveaxis(_floats(first, 4, "quaternions"), -1, 0)
    w2, x2, y2, z2 = np.moveaxis(_floats(second, 4, "quaternions"), -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def continuous_quaternions(quaternion: ArrayLike, axis: int = 0) -> Floats:
    """Choose the sign of each quaternion so that neighbours along the axis lie close together."""
    q = np.moveaxis(_floats(quaternion, 4, "quaternions"), axis, 0)
    flips = np.sum(q[1:] * q[:-1], axis=-1) < 0
    signs = np.ones(q.shape[:-1], q.dtype)
    signs[1:] = np.where(np.cumsum(flips, axis=0) % 2 == 1, -1, 1)
    return np.moveaxis(q * signs[..., None], 0, axis)


def slerp(start: ArrayLike, end: ArrayLike, fraction: ArrayLike) -> Floats:
    """Interpolate unit quaternions along the shorter arc at constant angular speed.

    start and end are (..., 4); fraction broadcasts against their leading axes, 0 is start and 1 is
    end (the sign of end may differ). The result has unit length.
    """
    a, b = _floats(start, 4, "quaternions"), _floats(end, 4, "quaternions")
    t = np.asarray(fraction, dtype=a.dtype)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    # The half-angle form keeps full precision for nearly equal rotations, arccos does not.
    angle = 2 * np.arctan2(
        np.linalg.norm(b - a, axis=-1, keepdims=True), np.linalg.norm(b + a, axis=-1, keepdims=True)
    )
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1, sine)
    weight_a = np.where(near, 1 - t, np.sin((1 - t) * angle) / safe)
    weight_b = np.where(near, t, np.sin(t * angle) / safe)
    mixed = weight_a * a + weight_b * b
    return _unit(mixed).astype(a.dtype, copy=False)


def axis_angle_to_matrix(axis_angle: ArrayLike) -> Floats:
    """Turn (..., 3) rotation vectors into (..., 3, 3) matrices by Rodrigues' formula.

    The axis is divided by the angle plus 1e-6, as in Kimodo, so no angle is special.
    """
    vector = _floats(axis_angle, 3, "rotation vectors")
    angle = np.linalg.norm(vector, axis=-1)[..., None, None].astype(vector.dtype, copy=False)
    x, y, z = np.moveaxis(vector / (angle[..., 0] + vector.dtype.type(1e-6)), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack(
        [
            np.stack([zero, -z, y], axis=-1),
            np.stack([z, zero, -x], axis=-1),
            np.stack([-y, x, zero], axis=-1),
        ],
        axis=-2,
    )
    identity = np.eye(3, dtype=vector.dtype)
    result: Floats = identity + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return result


def quaternion_to_axis_angle(quaternion: ArrayLike) -> Floats:
    """Turn (..., 4) unit quaternions into (..., 3) rotation vectors of at most pi.

    The sign is flipped if w < -1e-6, or |w| <= 1e-6 and x < 0; a vector part below 1e-6 is doubled
    instead of divided.
    """
    q = _floats(quaternion, 4, "quaternions")
    w, x = q[..., :1], q[..., 1:2]
    q = np.where((w < -1e-6) | ((np.abs(w) <= 1e-6) & (x < 0)), -q, q)
    vector = q[..., 1:]
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    small = length < 1e-6
    angle = 2 * np.arctan2(length, q[..., :1])
    result: Floats = vector * np.where(small, 2, angle / np.where(small, 1, length))
    return result.astype(q.dtype, copy=False)


def matrix_to_axis_angle(matrix: ArrayLike) -> Floats:
    """Turn (..., 3, 3) rotation matrices into (..., 3) rotation vectors of at most pi."""
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def matrix_to_euler_zyx(matrix: ArrayLike) -> Floats:
    """Split R = Rz·Ry·Rx into angles (..., 3) in the order z, y, x; y lies within ±pi/2."""
    m = _matrices(matrix)
    m20 = m[..., 2, 0]
    return np.stack(
        [
            np.arctan2(m[..., 1, 0], m[..., 0, 0]),
            np.arctan2(-m20, np.sqrt(np.maximum(0, 1 - m20 * m20))),
            np.arctan2(m[..., 2, 1], m[..., 2, 2]),
        ],
        axis=-1,
    )


def euler_to_matrix(angles: ArrayLike, order: str) -> Floats:
    """Multiply rotations about axes: order "ZYX" gives Rz(a0)·Ry(a1)·Rx(a2).

    angles is (..., len(order)); order is one to three letters of X, Y and Z. ValueError otherwise.
    """
    values = _floats(angles, len(order), f"Euler angles {order!r}")
    if not order or len(order) > 3 or set(order) - set(_AXES):
        raise ValueError(f"order {order!r}: needs one to three of the letters X, Y and Z")
    result: Floats | None = None
    for column, letter in enumerate(order):
        turn = _axis_matrix(values[..., column], _AXES.index(letter))
        result = turn if result is None else result @ turn
    assert result is not None
    return result


def rotation_about_y(angle: ArrayLike) -> Floats:
    """Make (..., 3, 3) matrices that turn by an angle about +Y; +pi/2 takes +Z to +X."""
    values = np.asarray(angle)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32)
    return _axis_matrix(values, 1)


def unwrap_euler_zyx(angles: ArrayLike) -> Floats:
    """Make a (T, ..., 3) z-y-x angle track continuous.

    Every frame of a rotation has the second reading (z + pi, pi - y, x + pi); per track the
    reading with the smaller step is chosen frame by frame, then whole turns are removed, so no
    channel jumps by a turn and few by half a one.
    """
    values = _floats(angles, 3, "Euler angles").astype(np.float64)
    if len(values) < 2:
        return values.astype(np.asarray(angles).dtype, copy=False)
    other = np.stack(
        [values[..., 0] + np.pi, np.pi - values[..., 1], values[..., 2] + np.pi], axis=-1
    )
    both = np.stack([values, other])  # (2, T, ..., 3)

    def step(before: Floats, after: Floats) -> Floats:
        turn = np.remainder(after - before + np.pi, 2 * np.pi) - np.pi
        result: Floats = np.abs(turn).max(axis=-1)
        return result

    # Staying on a reading costs the same on both (a shift by pi cancels), so only the choice
    # "same reading or the other one" matters, and it accumulates as a parity along time.
    stay, change = step(both[0, :-1], both[0, 1:]), step(both[0, :-1], both[1, 1:])
    flips = np.concatenate([np.zeros_like(stay[:1], dtype=bool), change < stay - 1e-9])
    second = np.cumsum(flips, axis=0) % 2 == 1
    chosen = np.where(second[..., None], both[1], both[0])
    result: Floats = np.unwrap(chosen, axis=0).astype(np.asarray(angles).dtype, copy=False)
    return result


def _axis_matrix(angle: Floats, axis: int) -> Floats:
    result = np.zeros((*angle.shape, 3, 3), angle.dtype)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = np.cos(angle), np.sin(angle)
    result[..., axis, axis] = 1
    result[..., i, i] = cosine
    result[..., j, j] = cosine
    result[..., j, i] = sine
    result[..., i, j] = -sine
    return result


def _unit(vector: Floats) -> Floats:
    result: Floats = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return result


def _floats(values: ArrayLike, width: int, what: str) -> Floats:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    if array.ndim == 0 or array.shape[-1] != width:
        raise ValueError(f"{what}: last axis must be {width}, the shape is {array.shape}")
    return array


def _matrices(values: ArrayLike) -> Floats:
    array = _floats(values, 3, "rotation matrices")
    if array.ndim < 2 or array.shape[-2] != 3:
        raise ValueError(f"rotation matrices: must be (..., 3, 3), the shape is {array.shape}")
    return array
