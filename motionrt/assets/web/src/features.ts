/** Kimodo's motion features: `motionrt/runtime/kimodo/features.py`, without what encodes motions. */
import type { Skeleton } from "./body/skeleton";
import { UprightFeatures } from "./upright_features";

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

export class MotionFeatures extends UprightFeatures {
  constructor(skeleton: Skeleton, mean: Float32Array, std: Float32Array) {
    super(skeleton, mean, std, 0);
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
    const frames = features.length / width;
    const root = new Float64Array(3 * frames);
    const smooth = new Float64Array(3 * frames);
    for (let t = 0; t < frames; t++) {
      for (let axis = 0; axis < 3; axis++) {
        const path = features[t * width + starts.root_path + axis]!;
        smooth[3 * t + axis] = path;
        root[3 * t + axis] = features[t * width + starts.local_joints_positions + axis]! + (axis === 1 ? 0 : path);
      }
    }
    const local = skeleton.globalToLocal(this.rotations(features));
    return { local, root, smooth, positions: skeleton.forwardKinematics(local, root).positions };
  }
}
