/** ARDY's motion features: `motionrt/runtime/ardy/features.py`. Arrays are flat, of B samples and T frames. */
import type { Numbers } from "../body/rotation";
import { hipHeading, type Skeleton } from "../body/skeleton";
import { MotionrtError } from "../generator";
import { standardScale, UprightFeatures } from "../upright_features";
import { NUM_ROOT_FEATURES } from "./sizes";

export const NUM_LOCAL_ROOT_FEATURES = 4;
const CONTACT_MAX_SPEED_MPS = 0.15;
const CONTACT_MAX_HEIGHT_M = 0.1;
const { fround, atan2 } = Math;

/** The tables of a bundle that features are made of. */
export type Tables = ReadonlyMap<string, Float32Array>;

/** What features say of T frames. */
export interface Pose {
  /** (T, J, 3, 3), relative to the parent. */
  local: Float64Array;
  /** (T, J, 3), in the world. */
  positions: Float64Array;
  /** (T, 3). */
  root: Float64Array;
  /** (T, 4). */
  contacts: Uint8Array;
}

export class ArdyFeatures extends UprightFeatures {
  private readonly localMean: Float32Array;
  private readonly localScale: Float32Array;

  constructor(
    skeleton: Skeleton,
    readonly fps: number,
    tables: Tables,
  ) {
    super(skeleton, tables.get("mean")!, tables.get("std")!, 1);
    const [mean, std] = [tables.get("local_root_mean"), tables.get("local_root_std")];
    if (mean?.length !== NUM_LOCAL_ROOT_FEATURES || std?.length !== NUM_LOCAL_ROOT_FEATURES) {
      throw new MotionrtError(`the local root has ${NUM_LOCAL_ROOT_FEATURES} statistics`);
    }
    this.localMean = mean;
    this.localScale = standardScale(std);
  }

  /** Turn unnormalised features (T, D) into rotations, places and contacts. */
  decode(features: Float32Array): Pose {
    const { width, starts, skeleton } = this;
    const frames = features.length / width;
    const root = new Float64Array(3 * frames);
    const contacts = new Uint8Array(4 * frames);
    for (let t = 0; t < frames; t++) {
      for (let axis = 0; axis < 3; axis++) root[3 * t + axis] = features[t * width + starts.root_path + axis]!;
      for (let foot = 0; foot < 4; foot++) {
        contacts[4 * t + foot] = Number(features[t * width + starts.foot_contacts + foot]! > 0.5);
      }
    }
    const local = skeleton.globalToLocal(this.rotations(features));
    return { local, root, contacts, positions: skeleton.forwardKinematics(local, root).positions };
  }

  /** Turn local rotations (T, J, 3, 3) and root positions (T, 3) into unnormalised features (T, D). */
  encode(local: Numbers, root: Numbers): Float32Array {
    const { width, starts, skeleton, fps, firstJoint } = this;
    const { spec, numJoints: joints } = skeleton;
    const { positions, rotations } = skeleton.forwardKinematics(local, root);
    const frames = root.length / 3;
    const result = new Float32Array(frames * width);
    const feet = [...spec.left_foot_joints.slice(0, 2), ...spec.right_foot_joints.slice(0, 2)];
    const place = (t: number, joint: number, axis: number): number => fround(positions[3 * (t * joints + joint) + axis]!);
    for (let t = 0; t < frames; t++) {
      const row = result.subarray(t * width, (t + 1) * width);
      for (let axis = 0; axis < 3; axis++) row[starts.root_path + axis] = root[3 * t + axis]!;
      const heading = hipHeading(positions, 3 * t * joints, spec);
      row[starts.global_root_heading] = Math.cos(heading);
      row[starts.global_root_heading + 1] = Math.sin(heading);
      // The last frame repeats the velocity before it.
      const from = Math.max(0, Math.min(t, frames - 2));
      for (let joint = 0; joint < joints; joint++) {
        for (let axis = 0; axis < 3; axis++) {
          if (joint >= firstJoint) {
            const origin = axis === 1 ? 0 : row[starts.root_path + axis]!;
            row[starts.local_joints_positions + 3 * (joint - firstJoint) + axis] = place(t, joint, axis) - origin;
          }
          const step = frames > 1 ? fround(place(from + 1, joint, axis) - place(from, joint, axis)) : 0;
          row[starts.velocities + 3 * joint + axis] = step * fps;
        }
        for (let i = 0; i < 6; i++) {
          const at = 9 * (t * joints + joint) + 3 * (i % 3) + (i > 2 ? 1 : 0);
          row[starts.global_rot_data + 6 * joint + i] = rotations[at]!;
        }
      }
      feet.forEach((joint, foot) => {
        const at = starts.velocities + 3 * joint;
        const stands =
          Math.hypot(row[at]!, row[at + 1]!, row[at + 2]!) < CONTACT_MAX_SPEED_MPS &&
          place(t, joint, 1) < CONTACT_MAX_HEIGHT_M;
        row[starts.foot_contacts + foot] = Number(stands);
      });
    }
    return result;
  }

  // The root of normalised features: (…, 5)

  private normalizeRoot(root: Float32Array): Float32Array {
    const { mean, scale } = this;
    return root.map((value, i) => fround(value - mean[i % NUM_ROOT_FEATURES]!) / scale[i % NUM_ROOT_FEATURES]!);
  }

  unnormalizeRoot(root: Float32Array): Float32Array {
    const { mean, scale } = this;
    return root.map((value, i) => fround(value * scale[i % NUM_ROOT_FEATURES]!) + mean[i % NUM_ROOT_FEATURES]!);
  }

  /** Turn normalised roots (B, T, 5) into normalised local roots (B, T, 4); of each, lengths are frames. */
  normalizedLocalRoot(root: Float32Array, lengths: readonly number[]): Float32Array {
    const values = this.unnormalizeRoot(root);
    const frames = root.length / (NUM_ROOT_FEATURES * lengths.length);
    const result = new Float32Array(lengths.length * frames * NUM_LOCAL_ROOT_FEATURES);
    lengths.forEach((length, b) => {
      const at = (t: number, i: number): number => values[(b * frames + t) * NUM_ROOT_FEATURES + i]!;
      const heading = (t: number): number => fround(atan2(at(t, 4), at(t, 3)));
      for (let t = 0; t < frames; t++) {
        // The last frame repeats the difference before it; the very last of all has none of its own.
        const from = t === length - 1 ? Math.max(t - 1, 0) : t;
        const has = from + 1 < frames;
        const turned = has ? fround(heading(from + 1) - heading(from)) : 0;
        const local = [
          fround(fround(atan2(fround(Math.sin(turned)), fround(Math.cos(turned)))) * this.fps),
          has ? fround(fround(at(from + 1, 0) - at(from, 0)) * this.fps) : 0,
          has ? fround(fround(at(from + 1, 2) - at(from, 2)) * this.fps) : 0,
          at(t, 1),
        ];
        local.forEach((value, i) => {
          const to = (b * frames + t) * NUM_LOCAL_ROOT_FEATURES + i;
          result[to] = fround(value - this.localMean[i]!) / this.localScale[i]!;
        });
      }
    });
    return result;
  }

  /** Move normalised roots (B, T, 5) so that a frame of each is over the origin; and where that was, (B, 3). */
  recentred(root: Float32Array, batch: number, frame: number): { root: Float32Array; centre: Float32Array } {
    const values = this.unnormalizeRoot(root);
    const size = values.length / batch;
    const centre = new Float32Array(3 * batch);
    for (let b = 0; b < batch; b++) {
      const [x, z] = [0, 2].map((axis) => values[b * size + frame * NUM_ROOT_FEATURES + axis]!);
      centre[3 * b] = x!;
      centre[3 * b + 2] = z!;
    }
    return { root: this.normalizeRoot(moved(values, batch, centre, -1)), centre };
  }

  /** Move normalised roots (B, T, 5) by (B, 3) metres along the ground. */
  translated(root: Float32Array, batch: number, offset: Float32Array, sign: 1 | -1 = 1): Float32Array {
    return this.normalizeRoot(moved(this.unnormalizeRoot(root), batch, offset, sign));
  }

  /** The heading in radians of normalised features or roots, the row at an offset. */
  heading(values: Float32Array, at: number): number {
    const row = this.unnormalizeRoot(values.slice(at, at + NUM_ROOT_FEATURES));
    return fround(atan2(row[4]!, row[3]!));
  }
}

function moved(values: Float32Array, batch: number, offset: Float32Array, sign: number): Float32Array {
  const size = values.length / batch;
  for (let at = 0; at < values.length; at += NUM_ROOT_FEATURES) {
    const b = Math.floor(at / size);
    for (const axis of [0, 2]) values[at + axis]! += sign * offset[3 * b + axis]!;
  }
  return values;
}
