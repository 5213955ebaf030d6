/** Writes BVH: centimetres, the channels that `motionrt/runtime/formats/writers/bvh.py` writes. */
import { matrixToQuaternion, quaternionToMatrix } from "../body/rotation";
import type { Motion, SkeletonInfo } from "../generator";
import { childrenOf, offsetsOf, tipOffsets } from "./rest";

const CENTIMETRES = 100;
const TURN = 2 * Math.PI;

/** The text of a BVH file. Angles leave ±180 degrees rather than jump by a turn. */
export function toBvh(motion: Motion): string {
  const { skeleton, num_frames: frames } = motion;
  const joints = skeleton.parents.length;
  const order = depthFirst(skeleton);
  const angles = order.map((joint) => {
    const track = Array.from({ length: frames }, (_, t) => {
      const at = 4 * (t * joints + joint);
      const m = quaternionToMatrix(Array.from(motion.local_rotations.subarray(at, at + 4)));
      return eulerZyx(quaternionToMatrix(matrixToQuaternion(m)));
    });
    return unwrapped(track);
  });
  const lines = ["HIERARCHY", ...hierarchy(skeleton, order), "MOTION", `Frames: ${frames}`, `Frame Time: ${1 / motion.fps}`];
  for (let t = 0; t < frames; t++) {
    const place = [0, 1, 2].map((axis) => motion.root_positions[3 * t + axis]! * CENTIMETRES);
    const turns = angles.flatMap((track) => track[t]!.map((angle) => (angle * 180) / Math.PI));
    lines.push([...place, ...turns].map(number).join(" "));
  }
  return `${lines.join("\n")}\n`;
}

const number = (value: number): string => String(Number(value.toFixed(6)) + 0);

function hierarchy(skeleton: SkeletonInfo, order: number[]): string[] {
  const offsets = offsetsOf(skeleton);
  const tips = tipOffsets(skeleton);
  const children = childrenOf(skeleton);
  const depths = new Array<number>(order.length).fill(0);
  const lines: string[] = [];
  const open: number[] = [];
  const told = (place: number[]): string => place.map((value) => number(value * CENTIMETRES)).join(" ");
  for (const joint of order) {
    const parent = skeleton.parents[joint]!;
    const depth = (depths[joint] = parent < 0 ? 0 : depths[parent]! + 1);
    while (open.length && open[open.length - 1]! >= depth) lines.push(`${"  ".repeat(open.pop()!)}}`);
    const [outside, inside] = ["  ".repeat(depth), "  ".repeat(depth + 1)];
    const channels = parent < 0 ? "6 Xposition Yposition Zposition" : "3";
    lines.push(
      `${outside}${parent < 0 ? "ROOT" : "JOINT"} ${skeleton.joint_names[joint]!.trim().split(/\s+/).join("_")}`,
      `${outside}{`,
      `${inside}OFFSET ${told(offsets[joint]!)}`,
      `${inside}CHANNELS ${channels} Zrotation Yrotation Xrotation`,
    );
    open.push(depth);
    if (!children[joint]!.length) {
      lines.push(`${inside}End Site`, `${inside}{`, `${inside}  OFFSET ${told(tips[joint]!)}`, `${inside}}`);
    }
  }
  while (open.length) lines.push(`${"  ".repeat(open.pop()!)}}`);
  return lines;
}

function depthFirst(skeleton: SkeletonInfo): number[] {
  const children = childrenOf(skeleton);
  const order: number[] = [];
  const visit = (joint: number): void => {
    order.push(joint);
    children[joint]!.forEach(visit);
  };
  visit(0);
  return order;
}

/** Split R = Rz·Ry·Rx into angles in the order z, y, x. */
function eulerZyx(m: number[]): number[] {
  const m20 = m[6]!;
  return [
    Math.atan2(m[3]!, m[0]!),
    Math.atan2(-m20, Math.sqrt(Math.max(0, 1 - m20 * m20))),
    Math.atan2(m[7]!, m[8]!),
  ];
}

/** Choose of the two readings of each rotation the nearer one, then take whole turns away. */
function unwrapped(track: number[][]): number[][] {
  const result: number[][] = [];
  track.forEach((own, t) => {
    if (!t) {
      result.push(own);
      return;
    }
    const before = result[t - 1]!;
    const [z, y, x] = own as [number, number, number];
    const readings = [own, [z + Math.PI, Math.PI - y, x + Math.PI]].map((reading) =>
      reading.map((angle, i) => angle - TURN * Math.round((angle - before[i]!) / TURN)),
    );
    const step = (reading: number[]): number => Math.max(...reading.map((angle, i) => Math.abs(angle - before[i]!)));
    const [same, other] = readings as [number[], number[]];
    result.push(step(other) < step(same) - 1e-9 ? other : same);
  });
  return result;
}
