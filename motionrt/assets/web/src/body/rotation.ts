/**
 * Rotations on flat arrays: `motionrt/runtime/body/rotation.py`, one at a time.
 *
 * A matrix is nine numbers, rows first, from an offset; quaternions are w x y z.
 */
export type Numbers = Float64Array | Float32Array | number[];
export type Vector = [number, number, number];

/** A vector shorter than this has no direction. */
const NO_LENGTH = 1e-12;
const { sqrt, hypot, sin, cos, atan2, max } = Math;

/** out = a b. */
export function multiply(a: Numbers, ao: number, b: Numbers, bo: number, out: Numbers, oo: number): void {
  for (let i = 0; i < 3; i++) {
    const [x, y, z] = [a[ao + 3 * i]!, a[ao + 3 * i + 1]!, a[ao + 3 * i + 2]!];
    for (let j = 0; j < 3; j++) out[oo + 3 * i + j] = x * b[bo + j]! + y * b[bo + 3 + j]! + z * b[bo + 6 + j]!;
  }
}

/** out = aᵀ b; out is another array than a and b. */
export function transposedTimes(a: Numbers, ao: number, b: Numbers, bo: number, out: Numbers, oo: number): void {
  for (let i = 0; i < 3; i++) {
    const [x, y, z] = [a[ao + i]!, a[ao + 3 + i]!, a[ao + 6 + i]!];
    for (let j = 0; j < 3; j++) out[oo + 3 * i + j] = x * b[bo + j]! + y * b[bo + 3 + j]! + z * b[bo + 6 + j]!;
  }
}

/** The product of matrices that stand alone. */
export function product(a: Numbers, b: Numbers): number[] {
  const out = new Array<number>(9);
  multiply(a, 0, b, 0, out, 0);
  return out;
}

export const matrixAt = (values: Numbers, offset: number): number[] => Array.from(values.slice(offset, offset + 9));

export const transposed = (m: Numbers): number[] => [m[0]!, m[3]!, m[6]!, m[1]!, m[4]!, m[7]!, m[2]!, m[5]!, m[8]!];

export function rotate(m: Numbers, mo: number, v: Numbers): Vector {
  const row = (i: number): number => m[mo + 3 * i]! * v[0]! + m[mo + 3 * i + 1]! * v[1]! + m[mo + 3 * i + 2]! * v[2]!;
  return [row(0), row(1), row(2)];
}

/** mᵀ v. */
export function rotateBack(m: Numbers, mo: number, v: Numbers): Vector {
  const column = (i: number): number => m[mo + i]! * v[0]! + m[mo + 3 + i]! * v[1]! + m[mo + 6 + i]! * v[2]!;
  return [column(0), column(1), column(2)];
}

export const add = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scaled = (a: Vector, by: number): Vector => [a[0] * by, a[1] * by, a[2] * by];
export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vector): number => hypot(a[0], a[1], a[2]);
export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Scale to length one; what has no direction becomes zero. */
export function unit(v: Vector): Vector {
  const size = length(v);
  return size < NO_LENGTH ? [0, 0, 0] : scaled(v, 1 / size);
}

function perpendicular(v: Vector): Vector {
  return unit(cross(Math.abs(v[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0], v));
}

/** The matrix that turns a direction into another the shortest way; above a cosine nothing turns. */
export function shortestArc(start: Vector, end: Vector, stillAbove = Infinity): number[] {
  const [a, b] = [unit(start), unit(end)];
  if (dot(a, b) > stillAbove) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const middle = add(a, b);
  const size = length(middle);
  if (size < 8 * Number.EPSILON) {
    const square = perpendicular(a);
    return quaternionToMatrix(square.some((x) => x !== 0) ? [0, ...square] : [1, 0, 0, 0]);
  }
  const axis = scaled(cross(a, middle), 1 / size);
  return quaternionToMatrix([size / 2, ...axis]);
}

/** The matrix that turns by an angle about a unit axis. Source: Rodrigues' formula. */
export function turnAbout(axis: Vector, angle: number): number[] {
  const [x, y, z] = axis;
  const k = [0, -z, y, z, 0, -x, -y, x, 0];
  const kk = product(k, k);
  const [s, c] = [sin(angle), 1 - cos(angle)];
  return k.map((value, i) => (i % 4 ? 0 : 1) + s * value + c * kk[i]!);
}

/** From a rotation vector; the axis is divided by the angle plus 1e-6, as in Kimodo. */
export function axisAngleToMatrix(vector: Numbers): number[] {
  const angle = hypot(vector[0]!, vector[1]!, vector[2]!);
  return turnAbout([vector[0]! / (angle + 1e-6), vector[1]! / (angle + 1e-6), vector[2]! / (angle + 1e-6)], angle);
}

/** The largest of the four is computed from the trace, the others from it; any sign. */
export function matrixToQuaternion(m: Numbers, o = 0): number[] {
  const at = (i: number): number => m[o + i]!;
  const [m00, m11, m22] = [at(0), at(4), at(8)];
  const squares = [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22];
  let largest = 0;
  for (let i = 1; i < 4; i++) if (squares[i]! > squares[largest]!) largest = i;
  const [wx, wy, wz] = [at(7) - at(5), at(2) - at(6), at(3) - at(1)];
  const [xy, xz, yz] = [at(3) + at(1), at(2) + at(6), at(5) + at(7)];
  const square = max(squares[largest]!, 0);
  const row = [
    [square, wx, wy, wz],
    [wx, square, xy, xz],
    [wy, xy, square, yz],
    [wz, xz, yz, square],
  ][largest]!;
  const size = 2 * max(sqrt(square), 0.1);
  return row.map((value) => value / size);
}

/** From a quaternion of any length but zero. */
export function quaternionToMatrix(q: number[]): number[] {
  const [w, x, y, z] = q as [number, number, number, number];
  const s = 2 / (w * w + x * x + y * y + z * z);
  return [
    1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
    s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
    s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y),
  ];
}

/** Between unit quaternions along the shorter arc; the result has unit length. */
export function slerp(a: number[], end: number[], fraction: number): number[] {
  const along = a.reduce((sum, value, i) => sum + value * end[i]!, 0);
  const b = along < 0 ? end.map((value) => -value) : end;
  const apart = hypot(...b.map((value, i) => value - a[i]!));
  const together = hypot(...b.map((value, i) => value + a[i]!));
  const angle = 2 * atan2(apart, together);
  const sine = sin(angle);
  let [weightA, weightB] = [1 - fraction, fraction];
  if (sine >= 1e-6) [weightA, weightB] = [sin((1 - fraction) * angle) / sine, sin(fraction * angle) / sine];
  const mixed = a.map((value, i) => weightA * value + weightB * b[i]!);
  const size = hypot(...mixed);
  return mixed.map((value) => value / size);
}

/** To a rotation vector of at most pi; the sign rules are Kimodo's. */
export function matrixToAxisAngle(m: Numbers, o = 0): Vector {
  let q = matrixToQuaternion(m, o);
  const [w, x] = q as [number, number];
  if (w < -1e-6 || (Math.abs(w) <= 1e-6 && x < 0)) q = q.map((value) => -value);
  const vector: Vector = [q[1]!, q[2]!, q[3]!];
  const size = length(vector);
  return scaled(vector, size < 1e-6 ? 2 : (2 * atan2(size, q[0]!)) / size);
}
