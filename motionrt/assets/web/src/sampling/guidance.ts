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

/** The base steps that are guided, as shares of all: 0 is the clean end, 1 is noise. */
export type Interval = [number, number];

/** Return the interval that was asked for, all if none was; one number is where it begins. */
export function resolveInterval(given?: number[]): Interval {
  if (given === undefined) return [0, 1];
  const [low, high = 1] = given;
  const fits = Array.isArray(given) && given.length <= 2 && [low, high].every((end) => typeof end === "number");
  if (fits && 0 <= low! && low! <= high && high <= 1) return [low!, high];
  throw new MotionrtError(`guidance interval ${String(given)}: expected one or two numbers from 0 to 1, rising`);
}

/** The guidance of a step: outside of the interval one branch runs, with text and constraints. */
export function guidanceAt(guidance: Guidance, interval: Interval, timestep: number, numBaseSteps: number): Guidance {
  const [low, high] = interval;
  if (timestep >= low * numBaseSteps && timestep <= high * numBaseSteps) return guidance;
  return { mode: "nocfg", weights: [] };
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
