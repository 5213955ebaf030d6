"""Rotations and directions, batched over leading axes.

6D, matrix, quaternion, axis-angle and Euler angles; unit vectors and the shortest arc between two.
Matrices act on column vectors, quaternions are w x y z, angles are radians unless the name says
degrees. The results have the floating type of the argument (float32 in, float32 out). ValueError
if an argument's last axis is not as long as the function says.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
_F = TypeVar("_F", bound=np.floating[Any])

NO_LENGTH = 1e-12
"""A vector shorter than this has no direction: the cross product of parallels is such noise."""
_AXES = "XYZ"


def unit(vectors: NDArray[_F], *, nan_if_zero: bool = False) -> NDArray[_F]:
    """Scale vectors (..., N) to length one; what is shorter than ``NO_LENGTH`` becomes zero.

    nan_if_zero divides by whatever the length is, so that zero gives NaN: Kimodo's 6D rotations
    have no epsilon, and a pose that does not exist shall be seen.
    """
    values = _floats(vectors)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    result: NDArray[_F]
    if nan_if_zero:
        with np.errstate(invalid="ignore", divide="ignore"):
            result = values / length
    else:  # a length of NaN is not below, and stays
        result = values / np.where(length < NO_LENGTH, values.dtype.type(np.inf), length)
    return result


def perpendicular(directions: NDArray[_F]) -> NDArray[_F]:
    """Choose a unit vector square to each unit vector d of (..., 3); zero gives zero.

    It is x × d, or y × d where d lies along x.
    """
    values = _floats(directions, 3, "directions")
    x, y = np.eye(3, dtype=values.dtype)[:2]
    return unit(np.cross(np.where(np.abs(values[..., :1]) < 0.9, x, y), values))


def shortest_arc(
    start: NDArray[_F], end: NDArray[_F], *, still_above: float | None = None
) -> NDArray[_F]:
    """Make the matrices (..., 3, 3) that turn directions start into end the shortest way.

    start and end are (..., 3) of any length and broadcast. Equal directions do not turn; opposite
    ones make a half turn about the start's `perpendicular`; where one has no length, nothing turns.

    still_above is a cosine: directions with a larger one between them count as equal. Kimodo's
    motion correction compares in single precision, and turns nothing where that sees no angle.
    """
    a, b = _two_directions(start, end)
    result: NDArray[_F] = quaternion_to_matrix(_arc(a, b))  # type: ignore[assignment]
    if still_above is not None:
        result[np.sum(a * b, axis=-1) > still_above] = np.eye(3)
    return result


def shortest_arc_quaternion(start: NDArray[_F], end: NDArray[_F]) -> NDArray[_F]:
    """Make the unit quaternions (..., 4), w >= 0, of the turns that `shortest_arc` makes."""
    return unit(_arc(*_two_directions(start, end)))


def turn_about(axes: NDArray[_F], angles: NDArray[_F]) -> NDArray[_F]:
    """Make matrices (..., 3, 3) that turn by angles (...) about unit axes (..., 3).

    Source: Rodrigues' formula; a zero axis turns nothing.
    """
    values, angle = _floats(axes, 3, "axes"), _floats(angles)[..., None, None]
    x, y, z = np.moveaxis(values, -1, 0)
    cross = _filled([[0, -z, y], [z, 0, -x], [-y, x, 0]], values)
    identity = np.eye(3, dtype=cross.dtype)
    result: NDArray[_F] = identity + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return result


def rot6d_to_matrix(rot6d: ArrayLike) -> Floats:
    """Turn 6D rotations into matrices: x = a/|a|, z = (x × b)/|x × b|, y = z × x.

    rot6d is (..., 6), the first column a and then the second b, unnormalised; the result is
    (..., 3, 3), right-handed. No epsilon: a zero or parallel pair gives NaN. Source: Zhou 2019,
    arXiv:1812.07035, in the order of Kimodo.
    """
    values = _floats(rot6d, 6, "6D rotations")
    with np.errstate(invalid="ignore", divide="ignore"):
        x = unit(values[..., :3], nan_if_zero=True)
        z = unit(np.cross(x, values[..., 3:]), nan_if_zero=True)
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
    return _filled(rows, q)


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


def inverse_quaternions(quaternions: NDArray[_F]) -> NDArray[_F]:
    """Turn unit quaternions (..., 4) back: w stays, x y z change their sign."""
    q = _floats(quaternions, 4, "quaternions")
    result: NDArray[_F] = q * np.array([1, -1, -1, -1], q.dtype)
    return result


def rotate_vectors(quaternions: NDArray[_F], vectors: NDArray[_F]) -> NDArray[_F]:
    """Turn vectors (..., 3) by unit quaternions (..., 4); the leading axes broadcast."""
    q, v = _floats(quaternions, 4, "quaternions"), _floats(vectors, 3, "vectors")
    axis = q[..., 1:]
    twice = 2 * np.cross(axis, v)
    result: NDArray[_F] = v + q[..., :1] * twice + np.cross(axis, twice)
    return result


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
    return unit(mixed).astype(a.dtype, copy=False)


def axis_angle_to_matrix(axis_angle: ArrayLike) -> Floats:
    """Turn (..., 3) rotation vectors into (..., 3, 3) matrices by Rodrigues' formula.

    The axis is divided by the angle plus 1e-6, as in Kimodo, so no angle is special.
    """
    vector = _floats(axis_angle, 3, "rotation vectors")
    angle = np.linalg.norm(vector, axis=-1).astype(vector.dtype, copy=False)
    return turn_about(vector / (angle[..., None] + vector.dtype.type(1e-6)), angle)


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


def rotation_vectors(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (..., 3, 3) matrices into (..., 3) rotation vectors of at most pi, small ones exactly.

    Unlike `matrix_to_axis_angle`, which rounds as Kimodo does.
    """
    quaternion = matrix_to_quaternion(matrices)
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    result: NDArray[np.float64] = unit(quaternion[..., 1:]) * angle
    return result


def rotation_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (..., 3) rotation vectors into (..., 3, 3) matrices; undoes `rotation_vectors`."""
    angle = np.linalg.norm(vectors, axis=-1)
    return turn_about(unit(vectors), angle)


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
    return _axis_matrix(_floats(angle), 1)


def quaternion_about_y(angle: ArrayLike) -> Floats:
    """Make (..., 4) quaternions that turn by an angle about +Y; +pi/2 takes +Z to +X."""
    half = _floats(angle) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, np.sin(half), zero], axis=-1)


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


def _two_directions(start: NDArray[_F], end: NDArray[_F]) -> tuple[NDArray[_F], NDArray[_F]]:
    first, second = _floats(start, 3, "directions"), _floats(end, 3, "directions")
    # Both in the finer type first: rounding in the coarser one would hide that they are opposite.
    dtype = np.result_type(first, second)
    return unit(first.astype(dtype, copy=False)), unit(second.astype(dtype, copy=False))


def _arc(a: NDArray[_F], b: NDArray[_F]) -> NDArray[_F]:
    """Quaternions (..., 4) that turn unit vectors a into b; not of length one where one is zero."""
    # Half the angle by the vector in the middle: a × b and 1 + a·b lose it near a half turn.
    middle = a + b
    length = np.linalg.norm(middle, axis=-1, keepdims=True)
    opposite = length < 8 * np.finfo(middle.dtype).eps
    axis = np.cross(a, middle) / np.where(opposite, 1, length)
    result = np.concatenate([length / 2, axis], axis=-1)
    if opposite.any():
        square = perpendicular(a)
        # Of two zero vectors neither has a perpendicular: they do not turn.
        real = ~square.any(axis=-1, keepdims=True)
        result = np.where(opposite, np.concatenate([real, square], axis=-1), result)
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


def _filled(rows: list[list[Any]], like: NDArray[_F]) -> NDArray[_F]:
    """Put nine entries (...) into matrices (..., 3, 3), of the leading axes and type of like."""
    # Several times as fast as np.stack of stacks.
    result = np.empty((*like.shape[:-1], 3, 3), like.dtype)
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            result[..., i, j] = entry
    return result


def _floats(values: ArrayLike, width: int | None = None, what: str = "") -> NDArray[Any]:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    if width is not None and (array.ndim == 0 or array.shape[-1] != width):
        raise ValueError(f"{what}: last axis must be {width}, the shape is {array.shape}")
    return array


def _matrices(values: ArrayLike) -> Floats:
    array = _floats(values, 3, "rotation matrices")
    if array.ndim < 2 or array.shape[-2] != 3:
        raise ValueError(f"rotation matrices: must be (..., 3, 3), the shape is {array.shape}")
    return array
