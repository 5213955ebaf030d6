/** What a camera must see: how far away it stands, and where on the canvas its picture lies. */
import * as THREE from "three";
import type { Motion } from "motionrt-web";

/** Pixels at the edges of the canvas that something else covers. */
export interface Insets {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** A part of the canvas, from its top left, and how much of its edges is covered, in pixels. */
export interface Pane extends Insets {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Between what is known of a body and its skin, hair and label, metres. */
const [AROUND_M, ABOVE_M] = [0.14, 0.24];
/** No closer than this, and not away from a body for what no body does: limbs this far from where it stands. */
const [LEAST_M, LIMBS_M] = [2.4, 1.6];
/** Moments of a motion that are looked at. */
const MOMENTS = 48;
/** Above each row of panes but the first, whose label has its place already. */
const LABEL_PX = 30;
/** How high the camera looks, metres. */
export const HEIGHT_M = 0.85;

/** Where a body stands at a time, metres; y is where a camera looks at it. */
export function standing(motion: Motion, time: number, into: THREE.Vector3): THREE.Vector3 {
  const last = motion.num_frames - 1;
  const frame = Math.min(Math.max(time * motion.fps, 0), last);
  const [before, after, part] = [3 * Math.floor(frame), 3 * Math.min(Math.floor(frame) + 1, last), frame % 1];
  const at = (axis: number): number =>
    motion.root_positions[before + axis]! * (1 - part) + motion.root_positions[after + axis]! * part;
  return into.set(at(0), HEIGHT_M, at(2));
}

/** The joints of motions at all times, metres from what the camera looks at then. */
export function reach(motions: Motion[], places: THREE.Vector3[], aim: (time: number) => THREE.Vector3): THREE.Vector3[] {
  const points: THREE.Vector3[] = [];
  const seconds = Math.max(...motions.map(({ num_frames, fps }) => (num_frames - 1) / fps));
  for (let moment = 0; moment <= MOMENTS; moment++) {
    const time = (seconds * moment) / MOMENTS;
    const centre = aim(time);
    motions.forEach((motion, i) => {
      const joints = motion.skeleton.parents.length;
      const body = standing(motion, time, new THREE.Vector3());
      const start = 3 * joints * Math.min(Math.round(time * motion.fps), motion.num_frames - 1);
      for (let at = start; at < start + 3 * joints; at += 3) {
        const limb = new THREE.Vector3().fromArray(motion.posed_joints, at).sub(body).clampLength(0, LIMBS_M);
        points.push(limb.add(body).add(places[i]!).sub(centre));
      }
    });
  }
  return points;
}

/** How far a camera stands away to see points, as it is turned; half of its angles as tangents. */
export function distance(points: THREE.Vector3[], turn: THREE.Quaternion, across: number, upright: number): number {
  const [right, up, back] = [0, 1, 2].map((axis) => new THREE.Vector3().setComponent(axis, 1).applyQuaternion(turn));
  let away = LEAST_M;
  for (const point of points) {
    const [x, y] = [point.dot(right!), point.dot(up!)];
    const sides = (Math.abs(x) + AROUND_M) / across;
    const ends = Math.max(y + ABOVE_M, AROUND_M - y) / upright;
    away = Math.max(away, point.dot(back!) + Math.max(sides, ends));
  }
  return away;
}

/** The canvas in so many parts, in rows, of which all show as much across. */
export function panes(width: number, height: number, insets: Insets, count: number, rows: number): Pane[] {
  const columns = Math.ceil(count / rows);
  const each = (width - insets.left - insets.right) / columns;
  const high = (height - insets.top - insets.bottom - LABEL_PX * (rows - 1)) / rows;
  return Array.from({ length: count }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const edges = {
      left: column === 0 ? insets.left : 0,
      right: column === columns - 1 ? insets.right : 0,
      top: row === 0 ? insets.top : LABEL_PX,
      bottom: row === rows - 1 ? insets.bottom : 0,
    };
    const x = column === 0 ? 0 : Math.round(insets.left + column * each);
    const y = row === 0 ? 0 : Math.round(insets.top + row * (high + LABEL_PX) - LABEL_PX);
    return { x, y, width: Math.round(edges.left + each + edges.right), height: Math.round(edges.top + high + edges.bottom), ...edges };
  });
}
