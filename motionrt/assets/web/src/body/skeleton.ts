/** A skeleton and its forward kinematics: `motionrt/runtime/body/skeleton.py`. */
import type { SkeletonInfo } from "../generator";
import { multiply, transposedTimes, type Numbers } from "./rotation";

/** What a manifest says of a skeleton. */
export interface SkeletonSpec extends SkeletonInfo {
  left_hand_joints: number[];
  right_hand_joints: number[];
  end_effector_groups: Record<string, number[]>;
  expands_to: string | null;
  corrected: boolean;
  foot_clearance_m: number;
  double_ankle: boolean;
  rolls_over_toes: boolean;
}

/** Where the joints of a smaller skeleton stand in the larger, and the rest of its rotations. */
export interface Expansion {
  skeleton: SkeletonSpec;
  indices: number[];
  /** Local rotations (J, 3, 3) of the larger one with relaxed hands. */
  local_rot_mats: number[][][];
}

export class Skeleton {
  readonly numJoints: number;
  readonly parents: number[];
  /** Each joint's rest position relative to its parent's, (J, 3); zero for the root. */
  readonly offsets: Float64Array;
  readonly children: number[][];

  constructor(readonly spec: SkeletonSpec) {
    this.numJoints = spec.joint_names.length;
    this.parents = spec.parents;
    this.offsets = new Float64Array(3 * this.numJoints);
    this.children = spec.joint_names.map(() => []);
    spec.parents.forEach((parent, joint) => {
      if (parent < 0) return;
      this.children[parent]!.push(joint);
      for (let axis = 0; axis < 3; axis++) {
        const [own, before] = [spec.rest_positions[joint]![axis]!, spec.rest_positions[parent]![axis]!];
        this.offsets[3 * joint + axis] = Math.fround(Math.fround(own) - Math.fround(before));
      }
    });
  }

  /** World positions (T, J, 3) and rotations (T, J, 3, 3) of local rotations and root positions. */
  forwardKinematics(local: Numbers, root: Numbers, frames?: number[]): { positions: Float64Array; rotations: Float64Array } {
    const J = this.numJoints;
    const count = root.length / 3;
    const positions = new Float64Array(3 * count * J);
    const rotations = new Float64Array(9 * count * J);
    const pose = (t: number): void => {
      for (let j = 0; j < J; j++) {
        const at = t * J + j;
        const parent = this.parents[j]!;
        if (parent < 0) {
          for (let i = 0; i < 9; i++) rotations[9 * at + i] = local[9 * at + i]!;
          for (let i = 0; i < 3; i++) positions[3 * at + i] = root[3 * t + i]!;
          continue;
        }
        const above = t * J + parent;
        multiply(rotations, 9 * above, local, 9 * at, rotations, 9 * at);
        for (let i = 0; i < 3; i++) {
          let step = 0;
          for (let k = 0; k < 3; k++) step += rotations[9 * above + 3 * i + k]! * this.offsets[3 * j + k]!;
          positions[3 * at + i] = positions[3 * above + i]! + step;
        }
      }
    };
    if (frames) frames.forEach(pose);
    else for (let t = 0; t < count; t++) pose(t);
    return { positions, rotations };
  }

  /** World rotations (T, J, 3, 3) relative to the parent; the root's stays. */
  globalToLocal(rotations: Numbers): Float64Array {
    const J = this.numJoints;
    const local = Float64Array.from(rotations);
    for (let at = 0; at < rotations.length / 9; at++) {
      const parent = this.parents[at % J]!;
      if (parent >= 0) {
        transposedTimes(rotations, 9 * (at - (at % J) + parent), rotations, 9 * at, local, 9 * at);
      }
    }
    return local;
  }
}

/** Put local rotations (T, J, 3, 3) of a smaller skeleton into those of the larger. */
export function expandLocal(local: Numbers, joints: number, expansion: Expansion): Float64Array {
  const base = expansion.local_rot_mats.flat(2);
  const frames = local.length / (9 * joints);
  const result = new Float64Array(frames * base.length);
  for (let t = 0; t < frames; t++) {
    result.set(base, t * base.length);
    expansion.indices.forEach((to, joint) => {
      const from = 9 * (t * joints + joint);
      for (let i = 0; i < 9; i++) result[t * base.length + 9 * to + i] = local[from + i]!;
    });
  }
  return result;
}

/** Where a body faces, radians about +y, by the line between its hips. */
export function hipHeading(positions: Numbers, offset: number, spec: SkeletonInfo): number {
  const [right, left] = spec.hip_joints as [number, number];
  const across = (axis: number): number => positions[offset + 3 * right + axis]! - positions[offset + 3 * left + axis]!;
  // 0 - x and not -x: zero must not become -0, which is a half turn to atan2.
  return Math.atan2(across(2), 0 - across(0));
}
