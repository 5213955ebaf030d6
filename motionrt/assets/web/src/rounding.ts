/** Whole numbers. */
import { MotionrtError } from "./generator";

/** To the nearest whole number, of two equally near ones to the even one. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Refuse what is no whole number in a range. */
export function whole(value: unknown, name: string, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new MotionrtError(`${name} ${String(value)}: must be a whole number from ${least} to ${most}`);
}
