/** A path on the floor: from what a pointer drew to where the root shall be at which frames. */
import type { Root2D } from "motionrt-web";

export type Point = [number, number];

const SPACING_M = 0.1;
/** Frames between two places that are held; the model finds the way between them. */
const FRAMES_APART = 5;
/** A pose this near to a path may stay where it is. */
const NEAR_M = 0.5;
/** Someone who runs; a path that asks for more is doubtful. */
export const FASTEST_MPS = 4.5;

const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

export const lengthOf = (points: Point[]): number =>
  points.slice(1).reduce((sum, point, i) => sum + distance(points[i]!, point), 0);

/** Points at even distances, without the tremor of a hand; the first is the origin, where motions begin. */
export function smoothed(drawn: Point[]): Point[] {
  const points: Point[] = [[0, 0]];
  for (const point of drawn) if (distance(points[points.length - 1]!, point) > SPACING_M / 2) points.push(point);
  let even = resampled(points, Math.max(2, Math.round(lengthOf(points) / SPACING_M) + 1));
  for (let round = 0; round < 6; round++) {
    even = even.map((point, i) => {
      const [before, after] = [even[i - 1], even[i + 1]];
      if (!before || !after) return point;
      return [0, 1].map((axis) => (before[axis]! + 2 * point[axis]! + after[axis]!) / 4) as Point;
    });
  }
  return even;
}

/** So many points at even distances along others. */
export function resampled(points: Point[], count: number): Point[] {
  const total = lengthOf(points);
  const result: Point[] = [];
  let [index, passed] = [0, 0];
  for (let i = 0; i < count; i++) {
    const wanted = (total * i) / Math.max(1, count - 1);
    while (index + 2 < points.length && passed + distance(points[index]!, points[index + 1]!) < wanted) {
      passed += distance(points[index]!, points[index + 1]!);
      index++;
    }
    const [a, b] = [points[index]!, points[Math.min(index + 1, points.length - 1)]!];
    const part = Math.min(1, Math.max(0, (wanted - passed) / (distance(a, b) || 1)));
    result.push([a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])]);
  }
  return result;
}

/** The constraint of a path that is gone at an even pace in so many frames. */
export function pathConstraint(points: Point[], numFrames: number): Root2D {
  const last = numFrames - 1;
  const count = Math.max(2, Math.floor(last / FRAMES_APART) + 1);
  const frames = Array.from({ length: count }, (_, i) => Math.round((last * i) / (count - 1)));
  const along = resampled(points, numFrames);
  return {
    type: "root2d",
    frame_indices: frames,
    smooth_root_2d: frames.map((frame) => along[frame]!.map((value) => Math.round(value * 1e4) / 1e4)),
  };
}

/** How a pose is brought to a path: turned about +y by radians where it stands, and moved from there. */
export interface Moved {
  turn: number;
  from: Point;
  to: Point;
}

/** A pose that is held while a path passes elsewhere stands there, facing along it; null if it is near already. */
export function ontoPath(points: Point[], frame: number, numFrames: number, from: Point, facing: number): Moved | null {
  const along = resampled(points, numFrames);
  const at = (i: number): Point => along[Math.min(Math.max(i, 0), numFrames - 1)]!;
  const [to, before, after] = [at(frame), at(frame - 2), at(frame + 2)];
  if (distance(from, to) < NEAR_M) return null;
  const turn = distance(before, after) > 0 ? Math.atan2(after[0] - before[0], after[1] - before[1]) - facing : 0;
  return { turn, from, to };
}

/** Where a body faces that begins to go along a path, radians about +y: 0 is +z. */
export function firstHeading(points: Point[]): number {
  const ahead = points.find((point) => distance(point, points[0]!) > 0.3) ?? points[points.length - 1]!;
  return Math.atan2(ahead[0] - points[0]![0], ahead[1] - points[0]![1]);
}
