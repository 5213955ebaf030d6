/** A small picture of a motion: three of its poses, from the side a little. */
import type { Motion } from "motionrt-web";
import { PALETTE } from "./mannequin";

const SIZE = 96;
const TURN_RAD = 0.6;
/** What the picture shows of the world, metres. */
const SPAN_M = 2.1;
const APART_M = 0.42;
const SIDES: [RegExp, number][] = [[/left/i, PALETTE.left], [/right/i, PALETTE.right]];

/** A PNG as a data: address. */
export function thumbnail(motion: Motion): string {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const ctx = canvas.getContext("2d");
  if (!ctx) return "";
  ctx.lineCap = "round";
  ctx.lineWidth = SIZE / 26;
  const { parents, joint_names: names } = motion.skeleton;
  const joints = motion.posed_joints;
  [0.1, 0.5, 0.9].forEach((part, i) => {
    const start = 3 * parents.length * Math.round(part * (motion.num_frames - 1));
    const [x, z] = [joints[start]!, joints[start + 2]!];
    const point = (joint: number): [number, number] => {
      const at = start + 3 * joint;
      const along = (joints[at]! - x) * Math.cos(TURN_RAD) + (joints[at + 2]! - z) * Math.sin(TURN_RAD) + (i - 1) * APART_M;
      return [SIZE / 2 + (along / SPAN_M) * SIZE, SIZE * (0.95 - joints[at + 1]! / SPAN_M)];
    };
    ctx.globalAlpha = [0.35, 0.6, 1][i]!;
    parents.forEach((parent, joint) => {
      if (parent < 0) return;
      const side = SIDES.find(([pattern]) => pattern.test(names[joint]!))?.[1] ?? 0x98a1b2;
      ctx.strokeStyle = `#${side.toString(16)}`;
      ctx.beginPath();
      ctx.moveTo(...point(parent));
      ctx.lineTo(...point(joint));
      ctx.stroke();
    });
  });
  return canvas.toDataURL();
}
