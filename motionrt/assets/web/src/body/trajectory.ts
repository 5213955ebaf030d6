/**
 * Move a few frames of a trajectory where they must be and let the others follow smoothly:
 * `motionrt/runtime/body/trajectory.py`. Trajectories are (N, C), frames first.
 */

/** Margins of a frame that may go anywhere and of one that must meet its target. */
export const FREE = -1;
export const PINNED = 0;
const NUM_MARGIN_ITERATIONS = 100;

/** What a correction should keep of the reference: unitless, higher keeps more of it. */
export interface Weights {
  position: number;
  velocity: number;
  acceleration: number;
}

/** A symmetric positive definite matrix with two side diagonals, factored as L·D·Lᵀ. */
class Pentadiagonal {
  private readonly d: Float64Array;
  private readonly l1: Float64Array;
  private readonly l2: Float64Array;

  constructor(a: Float64Array, b: Float64Array, c: Float64Array) {
    const count = a.length;
    const [d, l1, l2] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
    for (let i = 0; i < count; i++) {
      let value = a[i]!;
      if (i > 1) {
        l2[i] = c[i - 2]! / d[i - 2]!;
        value -= l2[i]! * l2[i]! * d[i - 2]!;
      }
      if (i > 0) {
        const side = b[i - 1]! - (i > 1 ? l2[i]! * l1[i - 1]! * d[i - 2]! : 0);
        l1[i] = side / d[i - 1]!;
        value -= l1[i]! * side;
      }
      d[i] = value;
    }
    [this.d, this.l1, this.l2] = [d, l1, l2];
  }

  /** Solve for every column of right, (N, C). */
  solve(right: Float64Array): Float64Array {
    const { d, l1, l2 } = this;
    const count = d.length;
    const width = right.length / count;
    const x = right.slice();
    for (let i = 1; i < count; i++) {
      for (let k = 0; k < width; k++) {
        x[i * width + k]! -= l1[i]! * x[(i - 1) * width + k]!;
        if (i > 1) x[i * width + k]! -= l2[i]! * x[(i - 2) * width + k]!;
      }
    }
    for (let i = 0; i < count; i++) for (let k = 0; k < width; k++) x[i * width + k]! /= d[i]!;
    for (let i = count - 2; i >= 0; i--) {
      for (let k = 0; k < width; k++) {
        x[i * width + k]! -= l1[i + 1]! * x[(i + 1) * width + k]!;
        if (i + 2 < count) x[i * width + k]! -= l2[i + 2]! * x[(i + 2) * width + k]!;
      }
    }
    return x;
  }
}

/**
 * Find the trajectory that meets the targets and keeps the reference's shape.
 *
 * margins (N,): below zero the frame is free, zero is pinned, above zero the frame must come within
 * that distance of its target. Minimises kp·|x - r|² + kv·|V(x - r)|² + ka·|A(x - r)|².
 */
export function correctTrajectory(
  reference: Float64Array,
  targets: Float64Array,
  margins: number[],
  weights: Weights,
): Float64Array {
  const count = margins.length;
  const width = reference.length / count;
  const bounded = margins.some((margin) => margin > 0);
  if (!bounded && !margins.includes(0)) return reference.slice();
  const [diagonal, first, second] = hessian(count, weights);
  // H·(r - o on pinned rows); a pinned row becomes x = o, and its column leaves the others.
  const shifted = reference.slice();
  margins.forEach((margin, i) => {
    if (margin === 0) for (let k = 0; k < width; k++) shifted[i * width + k]! -= targets[i * width + k]!;
  });
  const right = times(diagonal, first, second, shifted, width);
  margins.forEach((margin, i) => {
    if (margin !== 0) return;
    for (let k = 0; k < width; k++) right[i * width + k] = targets[i * width + k]!;
  });
  const free = (i: number): boolean => margins[i] !== 0;
  const rho = 0.5 * Math.sqrt(diagonal.reduce((most, value) => Math.max(most, value), 0));
  const factor = new Pentadiagonal(
    diagonal.map((value, i) => (free(i) ? value : 1) + (margins[i]! > 0 ? rho : 0)),
    first.map((value, i) => (free(i) && free(i + 1) ? value : 0)),
    second.map((value, i) => (free(i) && free(i + 2) ? value : 0)),
  );
  if (!bounded) return factor.solve(right);
  return meetMargins(factor, right, reference, targets, margins, rho);
}

/** Alternate between the trajectory and its projection into the balls (ADMM). */
function meetMargins(
  factor: Pentadiagonal,
  right: Float64Array,
  reference: Float64Array,
  targets: Float64Array,
  margins: number[],
  rho: number,
): Float64Array {
  const width = reference.length / margins.length;
  const rows = margins.flatMap((margin, i) => (margin > 0 ? [i] : []));
  const z = rows.map((i) => Array.from(reference.subarray(i * width, (i + 1) * width)));
  const u = rows.map(() => new Array<number>(width).fill(0));
  let x = right;
  for (let round = 0; round < NUM_MARGIN_ITERATIONS; round++) {
    const pulled = right.slice();
    rows.forEach((i, n) => {
      for (let k = 0; k < width; k++) pulled[i * width + k]! += rho * (z[n]![k]! - u[n]![k]!);
    });
    x = factor.solve(pulled);
    rows.forEach((i, n) => {
      const away = u[n]!.map((value, k) => x[i * width + k]! + value - targets[i * width + k]!);
      const distance = Math.hypot(...away);
      const kept = distance > margins[i]! ? margins[i]! / distance : 1;
      for (let k = 0; k < width; k++) {
        z[n]![k] = targets[i * width + k]! + away[k]! * kept;
        u[n]![k]! += x[i * width + k]! - z[n]![k]!;
      }
    });
  }
  return x;
}

/** Replace each masked frame beside an unmasked one by the mean of its two neighbours, in order. */
export function smoothMaskEdges(reference: Float64Array, mask: boolean[]): Float64Array {
  const result = reference.slice();
  const width = reference.length / mask.length;
  mask.forEach((masked, i) => {
    const [before, after] = [Math.max(i - 1, 0), Math.min(i + 1, mask.length - 1)];
    if (!masked || (mask[before] && mask[after])) return;
    for (let k = 0; k < width; k++) {
      result[i * width + k] = 0.5 * (result[before * width + k]! + result[after * width + k]!);
    }
  });
  return result;
}

/** The diagonals of kp·I + kv·VᵀV + ka·AᵀA. */
function hessian(count: number, weights: Weights): [Float64Array, Float64Array, Float64Array] {
  const { velocity: kv, acceleration: ka } = weights;
  const diagonal = new Float64Array(count).fill(weights.position);
  const first = new Float64Array(Math.max(count - 1, 0)).fill(-kv);
  const second = new Float64Array(Math.max(count - 2, 0)).fill(ka);
  for (let i = 0; i + 1 < count; i++) {
    diagonal[i]! += kv;
    diagonal[i + 1]! += kv;
  }
  for (let i = 0; i + 2 < count; i++) {
    diagonal[i]! += ka;
    diagonal[i + 1]! += 4 * ka;
    diagonal[i + 2]! += ka;
    first[i]! -= 2 * ka;
    first[i + 1]! -= 2 * ka;
  }
  return [diagonal, first, second];
}

function times(
  diagonal: Float64Array,
  first: Float64Array,
  second: Float64Array,
  x: Float64Array,
  width: number,
): Float64Array {
  const result = new Float64Array(x.length);
  diagonal.forEach((value, i) => {
    for (let k = 0; k < width; k++) result[i * width + k] = value * x[i * width + k]!;
  });
  [first, second].forEach((side, n) => {
    side.forEach((value, i) => {
      const j = i + n + 1;
      for (let k = 0; k < width; k++) {
        result[i * width + k]! += value * x[j * width + k]!;
        result[j * width + k]! += value * x[i * width + k]!;
      }
    });
  });
  return result;
}
