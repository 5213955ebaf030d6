/** Writes .npz under Kimodo's names, as `motionrt/runtime/formats/writers/npz.py`; uncompressed. */
import { quaternionToMatrix } from "../body/rotation";
import { Skeleton, type SkeletonSpec } from "../body/skeleton";
import type { Motion } from "../generator";

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
  return zip(Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)]));
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

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A ZIP file of stored members. */
function zip(members: [string, Uint8Array][]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, bytes] of members) {
    const label = new TextEncoder().encode(name);
    const crc = crc32(bytes);
    const common = (view: DataView, start: number): void => {
      [20, 0, 0, 0, 0x21].forEach((value, i) => view.setUint16(start + 2 * i, value, true)); // of 1 January 1980
      [crc, bytes.length, bytes.length].forEach((value, i) => view.setUint32(start + 10 + 4 * i, value, true));
      view.setUint16(start + 22, label.length, true);
    };
    const local = new Uint8Array(30 + label.length);
    const head = new DataView(local.buffer);
    head.setUint32(0, 0x04034b50, true);
    common(head, 4);
    local.set(label, 30);
    const central = new Uint8Array(46 + label.length);
    const entry = new DataView(central.buffer);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(4, 20, true);
    common(entry, 6);
    entry.setUint32(42, at, true);
    central.set(label, 46);
    parts.push(local, bytes);
    directory.push(central);
    at += local.length + bytes.length;
  }
  const size = directory.reduce((sum, entry) => sum + entry.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, members.length, true);
  end.setUint16(10, members.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, at, true);
  const file = new Uint8Array(at + size + 22);
  let place = 0;
  for (const part of [...parts, ...directory, new Uint8Array(end.buffer)]) {
    file.set(part, place);
    place += part.length;
  }
  return file;
}
