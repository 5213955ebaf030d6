/** Motions as a generator gives them, of arrays. */
import { matrixToQuaternion } from "./body/rotation";
import type { Skeleton } from "./body/skeleton";
import type { Motion, SkeletonInfo } from "./generator";

/** What is told of a skeleton. */
export function told({ spec }: Skeleton): SkeletonInfo {
  const { name, joint_names, parents, rest_positions, hip_joints, left_foot_joints, right_foot_joints } = spec;
  return { name, joint_names, parents, rest_positions, hip_joints, left_foot_joints, right_foot_joints };
}

/** Quaternions w x y z (…, 4) of matrices (…, 3, 3). */
export function quaternions(matrices: ArrayLike<number>): Float32Array {
  const values = matrices as Float32Array;
  const result = new Float32Array((values.length / 9) * 4);
  for (let i = 0; i < values.length / 9; i++) result.set(matrixToQuaternion(values, 9 * i), 4 * i);
  return result;
}

/** The buffers of motions, to hand them over to another thread. */
export function buffersOf(motion: Motion): ArrayBuffer[] {
  return Object.values(motion)
    .filter((value) => ArrayBuffer.isView(value))
    .map((view) => view.buffer) as ArrayBuffer[];
}
