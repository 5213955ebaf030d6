/** Noise schedules and solvers as tables: `motionrt/runtime/sampling/schedule.py`. */
import { MotionrtError } from "../generator";
import { rint } from "../rounding";

/** Where spacing in log-SNR begins to denoise: signal is 1 % of the noise's size. */
const LOWEST_HALF_LOG_SNR = -4.5;
const { fround, sqrt, log, log1p, expm1 } = Math;

/** The table of one sampling run, in the order in which the steps are taken. */
export interface Schedule {
  timesteps: number[];
  /** [a, b, c] a step: x' = a x + b x0 + c x0_previous. */
  coefficients: Float32Array[];
}

/** The variances of the cosine schedule. Source: Nichol 2021, arXiv:2102.09672, equation 17. */
function cosineBetas(numBaseSteps: number): Float32Array {
  const signal = Array.from(
    { length: numBaseSteps + 1 },
    (_, i) => Math.cos((((i / numBaseSteps + 0.008) / 1.008) * Math.PI) / 2) ** 2,
  );
  return Float32Array.from({ length: numBaseSteps }, (_, i) =>
    Math.min(1 - signal[i + 1]! / signal[i]!, 0.999),
  );
}

function alphasCumprod(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= fround(1 - beta)));
}

function respacedTimesteps(numBaseSteps: number, numSteps: number): number[] {
  const stride = fround((numBaseSteps - 1) / Math.max(1, numSteps - 1));
  return Array.from({ length: numSteps }, (_, i) =>
    Math.min(rint(fround(i * stride)), numBaseSteps - 1),
  );
}

function respacedAlphasCumprod(base: Float32Array, timesteps: number[]): Float32Array {
  const kept = timesteps.map((step) => base[step]!);
  let product = 1;
  return Float32Array.from(kept, (value, i) => {
    const beta = fround(1 - fround(value / (i ? kept[i - 1]! : 1)));
    product *= fround(1 - beta);
    return Math.max(fround(product), fround(1e-9));
  });
}

/** DDIM's rows for rising signal shares. Source: Song 2021, arXiv:2010.02502, equation 12. */
function ddim(alphas: Float32Array): Float32Array[] {
  return Array.from(alphas, (signal, i) => {
    const before = i ? alphas[i - 1]! : 1;
    const a = sqrt((1 - before) / (1 - signal));
    return Float32Array.of(a, sqrt(before) - a * sqrt(signal), 0);
  });
}

/** The rows of DPM-Solver++(2M). Source: Lu 2022, arXiv:2211.01095, algorithm 2. */
function dpmpp2m(alphas: Float32Array): Float32Array[] {
  const halfLogSnr = (share: number): number => 0.5 * (log(share) - log1p(-share));
  const rows: number[][] = [];
  const steps: number[] = [];
  alphas.forEach((signal, i) => {
    const before = i ? alphas[i - 1]! : 1;
    const step = halfLogSnr(before) - halfLogSnr(signal);
    steps.push(step);
    rows.push([sqrt((1 - before) / (1 - signal)), -sqrt(before) * expm1(-step), 0]);
  });
  // Rows rise; sampling runs from the last to the first, and both are of first order.
  for (let i = 1; i < rows.length - 1; i++) {
    const halfOverR = (0.5 * steps[i]!) / steps[i + 1]!;
    const row = rows[i]!;
    row[2] = -row[1]! * halfOverR;
    row[1] = row[1]! * (1 + halfOverR);
  }
  return rows.map((row) => Float32Array.from(row));
}

function logSnrTimesteps(numBaseSteps: number, numSteps: number): number[] {
  const alphas = alphasCumprod(cosineBetas(numBaseSteps));
  if (numSteps < 3 || numSteps >= numBaseSteps) return spacedInLogSnr(alphas, numSteps);
  return [...spacedInLogSnr(alphas.subarray(0, -1), numSteps - 1), numBaseSteps - 1];
}

/** Rising base steps, evenly spaced in the log of signal over noise, none of them twice. */
function spacedInLogSnr(alphas: Float32Array, numSteps: number): number[] {
  const numBaseSteps = alphas.length;
  const falling = Array.from(alphas, (signal) => 0.5 * (log(signal) - log1p(-signal)));
  const first = falling[0]!;
  const lowest = Math.max(LOWEST_HALF_LOG_SNR, falling[numBaseSteps - 1]!);
  const chosen: number[] = [];
  let most = -Infinity;
  for (let i = 0; i < numSteps; i++) {
    let wanted = first + i * ((lowest - first) / Math.max(1, numSteps - 1));
    if (i > 0 && i === numSteps - 1) wanted = lowest;
    most = Math.max(most, rint(whereFalling(falling, wanted)) - i);
    chosen.push(Math.min(most + i, numBaseSteps - numSteps + i));
  }
  return chosen;
}

/** Where a falling table has a value, between its rows by a straight line. */
function whereFalling(table: number[], value: number): number {
  const last = table.length - 1;
  if (value >= table[0]!) return 0;
  if (value <= table[last]!) return last;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle]! >= value) low = middle;
    else high = middle;
  }
  return low + (value - table[low]!) / (table[high]! - table[low]!);
}

interface Solver {
  timesteps: (numBaseSteps: number, numSteps: number) => number[];
  rows: (alphas: Float32Array) => Float32Array[];
}

const SOLVERS: Record<string, Solver> = {
  ddim: { timesteps: respacedTimesteps, rows: ddim },
  "dpmpp-2m": { timesteps: logSnrTimesteps, rows: dpmpp2m },
};
export const SOLVER_NAMES = Object.keys(SOLVERS);

/** Make the table of numSteps steps on the cosine schedule. */
export function cosineSchedule(numBaseSteps: number, numSteps: number, solver = "ddim"): Schedule {
  if (!Number.isInteger(numSteps) || numSteps < 1 || numSteps > numBaseSteps) {
    throw new MotionrtError(`${numSteps} diffusion steps: must be from 1 to ${numBaseSteps}`);
  }
  const chosen = Object.hasOwn(SOLVERS, solver) ? SOLVERS[solver] : undefined;
  if (!chosen) throw new MotionrtError(`solver ${solver} is unknown; choose ${SOLVER_NAMES.join(" or ")}`);
  const timesteps = chosen.timesteps(numBaseSteps, numSteps);
  const base = alphasCumprod(cosineBetas(numBaseSteps));
  const rows = chosen.rows(respacedAlphasCumprod(base, timesteps));
  return { timesteps: timesteps.reverse(), coefficients: rows.reverse() };
}
