/** Writes .npz under Kimodo's names, as `motionrt/runtime/formats/writers/npz.py`; uncompressed. */
import { quaternionToMatrix } from "../body/rotation";
import { Skeleton, type SkeletonSpec } from "../body/skeleton";
import type { Motion } from "../generator";
import { toZip } from "./zip";

interface Array_ {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** The bytes of a .npz, which numpy.load and motionrt read. */
export function toNpz(motion: Motion): Uint8Array<ArrayBuffer> {
  const { skeleton, num_frames: frames } = motion;
  const joints = skeleton.parents.length;
  const local = new Float64Array(9 * frames * joints);
  for (let i = 0; i < frames * joints; i++) {
    local.set(quaternionToMatrix(Array.from(motion.local_rotations.subarray(4 * i, 4 * i + 4))), 9 * i);
  }
  const pose = new Skeleton(skeleton as SkeletonSpec).forwardKinematics(local, motion.root_positions);
  const arrays: Record<string, Array_> = {
    local_rot_mats: floats(local, [frames, joints, 3, 3]),
    global_rot_mats: floats(pose.rotations, [frames, joints, 3, 3]),
    posed_joints: floats(motion.posed_joints, [frames, joints, 3]),
    root_positions: floats(motion.root_positions, [frames, 3]),
    foot_contacts: { dtype: "|b1", shape: [frames, motion.foot_contacts.length / frames], bytes: motion.foot_contacts },
    fps: { dtype: "<f8", shape: [], bytes: new Uint8Array(Float64Array.of(motion.fps).buffer) },
    joint_names: texts(skeleton.joint_names),
    info: { ...texts([JSON.stringify(motion.info)]), shape: [] },
    parents: { dtype: "<i8", shape: [joints], bytes: new Uint8Array(BigInt64Array.from(skeleton.parents, BigInt).buffer) },
    rest_positions: floats(skeleton.rest_positions.flat(), [joints, 3]),
  };
  if (motion.smooth_root_positions) arrays.smooth_root_pos = floats(motion.smooth_root_positions, [frames, 3]);
  return toZip(Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)]));
}

function floats(values: ArrayLike<number>, shape: number[]): Array_ {
  return { dtype: "<f4", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** NumPy's texts: four bytes a character, all as long as the longest. */
function texts(values: string[]): Array_ {
  const letters = values.map((value) => Array.from(value, (char) => char.codePointAt(0)!));
  const longest = Math.max(1, ...letters.map((row) => row.length));
  const codes = new Uint32Array(longest * values.length);
  letters.forEach((row, i) => codes.set(row, i * longest));
  return { dtype: `<U${longest}`, shape: [values.length], bytes: new Uint8Array(codes.buffer) };
}

function npy({ dtype, shape, bytes }: Array_): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const header = `{'descr': '${dtype}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const size = Math.ceil((10 + header.length + 1) / 64) * 64;
  const file = new Uint8Array(size + bytes.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, (size - 10) & 255, (size - 10) >> 8]);
  file.set(new TextEncoder().encode(header.padEnd(size - 11) + "\n"), 10);
  file.set(bytes, size);
  return file;
}
