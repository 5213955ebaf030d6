/** Features that are an upright root and a body relative to it: `motionrt/runtime/body/upright_features.py`. */
import { cross, length, scaled, type Numbers, type Vector } from "./body/rotation";
import type { Skeleton } from "./body/skeleton";
import { MotionrtError } from "./generator";

/** Added to the variance when normalising. */
const STD_EPSILON = Math.fround(1e-5);

export type Block = "root_path" | "global_root_heading" | "local_joints_positions" | "global_rot_data" | "velocities" | "foot_contacts";

/** What normalising divides by: the deviation with a floor under it. */
export const standardScale = (std: Float32Array): Float32Array =>
  std.map((value) => Math.sqrt(Math.fround(Math.fround(value * value) + STD_EPSILON)));

export abstract class UprightFeatures {
  readonly width: number;
  readonly starts: Record<Block, number>;
  protected readonly scale: Float32Array;

  /** firstJoint is the first that has a position feature. */
  constructor(
    readonly skeleton: Skeleton,
    protected readonly mean: Float32Array,
    std: Float32Array,
    readonly firstJoint: number,
  ) {
    const joints = skeleton.numJoints;
    const widths: [Block, number][] = [
      ["root_path", 3],
      ["global_root_heading", 2],
      ["local_joints_positions", 3 * (joints - firstJoint)],
      ["global_rot_data", 6 * joints],
      ["velocities", 3 * joints],
      ["foot_contacts", 4],
    ];
    let start = 0;
    const starts: Partial<Record<Block, number>> = {};
    for (const [name, width] of widths) {
      starts[name] = start;
      start += width;
    }
    this.starts = starts as Record<Block, number>;
    this.width = start;
    if (mean?.length !== start || std?.length !== start) {
      throw new MotionrtError(`statistics hold ${mean?.length} and ${std?.length} numbers, not ${start}`);
    }
    this.scale = standardScale(std);
  }

  /** Shift and scale features (…, D) to what the network sees. */
  normalize(features: Numbers): Float32Array {
    const { mean, scale, width } = this;
    return Float32Array.from(features, (value, i) => Math.fround(value - mean[i % width]!) / scale[i % width]!);
  }

  /** Undo `normalize`. */
  unnormalize(features: Numbers): Float32Array {
    const { mean, scale, width } = this;
    return Float32Array.from(features, (value, i) => Math.fround(value * scale[i % width]!) + mean[i % width]!);
  }

  /** World rotations (T, J, 3, 3) of unnormalised features (T, D). */
  protected rotations(features: Float32Array): Float64Array {
    const { width, starts, skeleton } = this;
    const joints = skeleton.numJoints;
    const frames = features.length / width;
    const rotations = new Float64Array(9 * frames * joints);
    for (let t = 0; t < frames; t++) {
      const row = features.subarray(t * width, (t + 1) * width);
      for (let joint = 0; joint < joints; joint++) {
        const at = starts.global_rot_data + 6 * joint;
        // Zhou 2019, arXiv:1812.07035: the first column, and one near the second.
        const x = toLengthOne([row[at]!, row[at + 1]!, row[at + 2]!]);
        const z = toLengthOne(cross(x, [row[at + 3]!, row[at + 4]!, row[at + 5]!]));
        const y = cross(z, x);
        [x, y, z].forEach((column, j) => {
          for (let i = 0; i < 3; i++) rotations[9 * (t * joints + joint) + 3 * i + j] = column[i]!;
        });
      }
    }
    return rotations;
  }
}

/** No epsilon, as upstream: what has no direction gives NaN, and shall be seen. */
const toLengthOne = (v: Vector): Vector => scaled(v, 1 / length(v));
