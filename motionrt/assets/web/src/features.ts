/** Kimodo's motion features: `motionrt/runtime/kimodo/features.py`, without what encodes motions. */
import { cross, scaled, length, type Numbers, type Vector } from "./body/rotation";
import type { Skeleton } from "./body/skeleton";
import { MotionrtError } from "./generator";

/** Added to the variance when normalising. */
const STD_EPSILON = Math.fround(1e-5);

type Block = "smooth_root_pos" | "global_root_heading" | "local_joints_positions" | "global_rot_data" | "velocities" | "foot_contacts";

/** What features say of T frames, on the model's own skeleton. */
export interface Decoded {
  /** (T, J, 3, 3), relative to the parent. */
  local: Float64Array;
  /** (T, J, 3), in the world. */
  positions: Float64Array;
  /** (T, 3). */
  root: Float64Array;
  /** (T, 3), the smoothed root. */
  smooth: Float64Array;
}

export class MotionFeatures {
  readonly width: number;
  readonly starts: Record<Block, number>;
  private readonly scale: Float32Array;

  constructor(
    readonly skeleton: Skeleton,
    private readonly mean: Float32Array,
    std: Float32Array,
  ) {
    const joints = skeleton.numJoints;
    const widths: [Block, number][] = [
      ["smooth_root_pos", 3],
      ["global_root_heading", 2],
      ["local_joints_positions", 3 * joints],
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
    if (mean.length !== start || std.length !== start) {
      throw new MotionrtError(`statistics hold ${mean.length} and ${std.length} numbers, not ${start}`);
    }
    this.scale = std.map((value) => Math.sqrt(Math.fround(Math.fround(value * value) + STD_EPSILON)));
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

  /** Move unnormalised features (T, D) by x and z, in place: only the root moves. */
  translate(features: Float32Array, x: number, z: number): void {
    for (let at = 0; at < features.length; at += this.width) {
      features[at]! += x;
      features[at + 2]! += z;
    }
  }

  /** Turn unnormalised features (T, D) into rotations and places, by forward kinematics. */
  decode(features: Float32Array): Decoded {
    const { width, starts, skeleton } = this;
    const joints = skeleton.numJoints;
    const frames = features.length / width;
    const rotations = new Float64Array(9 * frames * joints);
    const root = new Float64Array(3 * frames);
    const smooth = new Float64Array(3 * frames);
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
      for (let axis = 0; axis < 3; axis++) {
        const path = row[starts.smooth_root_pos + axis]!;
        smooth[3 * t + axis] = path;
        root[3 * t + axis] = row[starts.local_joints_positions + axis]! + (axis === 1 ? 0 : path);
      }
    }
    const local = skeleton.globalToLocal(rotations);
    return { local, root, smooth, positions: skeleton.forwardKinematics(local, root).positions };
  }
}

/** No epsilon, as Kimodo: what has no direction gives NaN, and shall be seen. */
const toLengthOne = (v: Vector): Vector => scaled(v, 1 / length(v));
