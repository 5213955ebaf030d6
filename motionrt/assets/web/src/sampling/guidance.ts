/** Which guidance a run uses, and its branches: `motionrt/runtime/sampling/guidance.py`. */
import { MotionrtError } from "../generator";

export const NUM_WEIGHTS: Record<string, number> = { nocfg: 0, regular: 1, separated: 2 };
export const DEFAULT_WEIGHT = 2;

export interface Guidance {
  mode: string;
  /** Unitless; higher follows the condition more. Separated: text, then constraints. */
  weights: number[];
}

/** Return the guidance that was asked for, null if nobody did. */
export function resolveGuidance(mode?: string, weights?: number[]): Guidance | null {
  if (mode !== undefined && !Object.hasOwn(NUM_WEIGHTS, mode)) {
    throw new MotionrtError(`guidance ${mode}: none of ${Object.keys(NUM_WEIGHTS).join(", ")}`);
  }
  if (weights !== undefined) return explicit(mode, weights);
  if (mode === undefined) return null;
  if (mode === "nocfg") return { mode, weights: [] };
  throw new MotionrtError(`guidance ${mode} needs ${NUM_WEIGHTS[mode]} weight(s)`);
}

function explicit(mode: string | undefined, weights: number[]): Guidance {
  if (!weights.every((weight) => typeof weight === "number" && Number.isFinite(weight))) {
    throw new MotionrtError(`guidance weights ${weights.join(", ")}: expected finite numbers`);
  }
  const implied = mode ?? [undefined, "regular", "separated"][weights.length];
  if (implied === undefined) {
    throw new MotionrtError(`${weights.length} guidance weights; give one, or two (text, constraint)`);
  }
  if (weights.length !== NUM_WEIGHTS[implied] || implied === "nocfg") {
    throw new MotionrtError(
      `guidance ${implied} takes ${NUM_WEIGHTS[implied]} weight(s), ${weights.length} given`,
    );
  }
  return { mode: implied, weights: [...weights] };
}

/** Which branches run: text on, constraints on, weight, each (G,). */
export interface Branches {
  text: Float32Array;
  constraints: Float32Array;
  weights: Float32Array;
}

/** The last branch is the one guided away from; one that would equal it is left out. */
export function guidanceBranches(guidance: Guidance, hasText: boolean, constrained: boolean): Branches {
  const [first = 0, second = 0] = guidance.weights;
  let rows = [[1, 1, 0]];
  if (guidance.mode === "regular") rows = [[1, 1, first], [0, 0, 0]];
  if (guidance.mode === "separated") rows = [[1, 0, first], [0, 1, second], [0, 0, 0]];
  const last = rows.length - 1;
  const kept = rows.filter((row, i) => i === last || (row[0] && hasText) || (row[1] && constrained));
  const column = (i: number): Float32Array => Float32Array.from(kept, (row) => row[i]!);
  return { text: column(0), constraints: column(1), weights: column(2) };
}
