/** Inverse kinematics of a limb, two bones to a point: `motionrt/runtime/body/limb_ik.py`. */
import { cross, dot, length, product, shortestArc, subtract, turnAbout, unit, type Vector } from "./rotation";

/** Fraction of the limb's length that a bent limb may reach, so that its plane stays defined. */
const MAX_REACH = 0.999;
const MIN_REACH_M = 1e-4;
const SMALLEST = 1e-12;
/** Cosine above which two directions count as one (ten units in the last place of float32). */
export const SAME_DIRECTION = 1 - 1.19e-6;

/** Find the world turns of the upper and the lower bone that bring a limb's end to a target. */
export function bendLimb(
  hip: Vector,
  knee: Vector,
  ankle: Vector,
  hint: Vector,
  target: Vector,
  [upper, lower]: [number, number],
): [number[], number[]] {
  const limb = subtract(ankle, hip);
  const aim = subtract(target, hip);
  const reach = Math.max(MIN_REACH_M, Math.min(length(aim), MAX_REACH * (upper + lower)));
  const hipAngle = angleOpposite(lower, upper, reach) - angleBetween(limb, subtract(knee, hip));
  const kneeAngle = angleOpposite(reach, upper, lower) - angleBetween(subtract(hip, knee), subtract(ankle, knee));
  const normal = cross(limb, subtract(hint, hip));
  const axis: Vector = length(normal) < 1e-8 ? [0, 0, 1] : unit(normal);
  return [product(shortestArc(limb, aim, SAME_DIRECTION), turnAbout(axis, hipAngle)), turnAbout(axis, kneeAngle)];
}

const angleBetween = (a: Vector, b: Vector): number => Math.atan2(length(cross(a, b)), dot(a, b));

/** The angle of a triangle opposite to a side, by the law of cosines. */
function angleOpposite(side: number, a: number, b: number): number {
  const twice = Math.max(2 * a * b, SMALLEST);
  return Math.acos(Math.max(-1, Math.min(1, (a * a + b * b - side * side) / twice)));
}
