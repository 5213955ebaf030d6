/** Motions of ARDY's features, and features of motions. */
import { quaternionToMatrix } from "../body/rotation";
import { MotionrtError, type Motion } from "../generator";
import { quaternions, told } from "../motions";
import type { ArdyFeatures } from "./features";

/** Turn normalised features (T, D) into a motion. */
export function toMotion(features: ArdyFeatures, values: Float32Array, info: Record<string, unknown>): Motion {
  const { local, root, positions, contacts } = features.decode(features.unnormalize(values));
  const places = Float32Array.from(root);
  return {
    fps: features.fps,
    skeleton: told(features.skeleton),
    num_frames: root.length / 3,
    local_rotations: quaternions(local),
    root_positions: places,
    posed_joints: Float32Array.from(positions),
    foot_contacts: contacts,
    smooth_root_positions: places.slice(),
    info,
  };
}

/** Turn a clip that is gone on from into normalised features (T, D). */
export function fromMotion(features: ArdyFeatures, clip: Motion, least: number): Float32Array {
  const { spec } = features.skeleton;
  if (clip.skeleton.joint_names.join() !== spec.joint_names.join()) {
    throw new MotionrtError(`the clip that is continued is on ${clip.skeleton.name}, the model on ${spec.name}`);
  }
  if (Math.abs(clip.fps - features.fps) > 1e-3) {
    throw new MotionrtError(`the clip that is continued has ${clip.fps} fps, the model ${features.fps}: resample it`);
  }
  if (clip.num_frames < least) {
    throw new MotionrtError(`the clip that is continued has ${clip.num_frames} frames, it needs ${least} at least`);
  }
  const local = new Float64Array((clip.local_rotations.length / 4) * 9);
  for (let i = 0; i < clip.local_rotations.length / 4; i++) {
    local.set(quaternionToMatrix(Array.from(clip.local_rotations.subarray(4 * i, 4 * i + 4))), 9 * i);
  }
  return features.normalize(features.encode(local, clip.root_positions));
}
