/** A glTF document's buffer and tables, and the container of a .glb. */
import type { Motion } from "../generator";
import { childrenOf, offsetsOf, onTheFloor } from "./rest";

const ARRAY_BUFFER = 34962;
const ELEMENT_ARRAY_BUFFER = 34963;
const TYPES: Record<number, string> = { 1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4" };

export const ASSET = { version: "2.0", generator: "motionrt-web" };

type Numbers = Float32Array | Uint16Array | Uint8Array;
type Json = Record<string, unknown>;

interface Added {
  width: number;
  target?: "vertices" | "indices";
  bounds?: boolean;
  normalized?: boolean;
}

/** The binary chunk, with the accessors that describe it. */
export class GltfBuffer {
  private readonly parts: Uint8Array[] = [];
  private length = 0;
  private readonly views: Json[] = [];
  private readonly accessors: Json[] = [];

  /** Append an array of rows; returns its accessor. */
  add(values: Numbers, { width, target, bounds, normalized }: Added): number {
    const padding = -this.length & 3;
    this.parts.push(new Uint8Array(padding), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.views.push({
      buffer: 0,
      byteOffset: this.length + padding,
      byteLength: values.byteLength,
      ...(target ? { target: target === "indices" ? ELEMENT_ARRAY_BUFFER : ARRAY_BUFFER } : {}),
    });
    this.length += padding + values.byteLength;
    const column = (i: number): number[] => Array.from(values.filter((_, n) => n % width === i));
    const each = (choose: (values: number[]) => number): number[] =>
      Array.from({ length: width }, (_, i) => choose(column(i)));
    this.accessors.push({
      bufferView: this.views.length - 1,
      componentType: values instanceof Float32Array ? 5126 : values instanceof Uint16Array ? 5123 : 5121,
      count: values.length / width,
      type: TYPES[width],
      ...(normalized ? { normalized } : {}),
      ...(bounds
        ? {
            min: each((numbers) => numbers.reduce((a, b) => Math.min(a, b))),
            max: each((numbers) => numbers.reduce((a, b) => Math.max(a, b))),
          }
        : {}),
    });
    return this.accessors.length - 1;
  }

  /** The bytes of a .glb of a document and this buffer. */
  container(document: Json): Uint8Array<ArrayBuffer> {
    const whole = {
      ...document,
      accessors: this.accessors,
      bufferViews: this.views,
      buffers: [{ byteLength: this.length }],
    };
    const text = new TextEncoder().encode(JSON.stringify(whole));
    const [textSize, dataSize] = [(text.length + 3) & ~3, (this.length + 3) & ~3];
    const bytes = new Uint8Array(12 + 8 + textSize + 8 + dataSize);
    const view = new DataView(bytes.buffer);
    const head = [0x46546c67, 2, bytes.length, textSize, 0x4e4f534a];
    head.forEach((value, i) => view.setUint32(4 * i, value, true));
    bytes.fill(32, 20, 20 + textSize);
    bytes.set(text, 20);
    view.setUint32(20 + textSize, dataSize, true);
    view.setUint32(24 + textSize, 0x004e4942, true);
    let at = 28 + textSize;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

/** A node for every joint, under its index, and the animation that moves them. */
export function skeletonAndAnimation(motion: Motion, names: string[], buffer: GltfBuffer): { nodes: Json[]; animation: Json } {
  const { skeleton, num_frames: frames } = motion;
  const children = childrenOf(skeleton);
  const offsets = offsetsOf(skeleton);
  offsets[0] = onTheFloor(skeleton)[0]!;
  const times = Float32Array.from({ length: frames }, (_, t) => t / motion.fps);
  const input = buffer.add(times, { width: 1, bounds: true });
  const outputs: [number, string, number][] = [
    [0, "translation", buffer.add(motion.root_positions.slice(), { width: 3 })],
    ...names.map((_, joint): [number, string, number] => [joint, "rotation", buffer.add(rotationKeys(motion, joint), { width: 4 })]),
  ];
  return {
    nodes: names.map((name, joint) => ({
      name,
      translation: offsets[joint]!,
      ...(children[joint]!.length ? { children: children[joint] } : {}),
    })),
    animation: {
      name: "motion",
      samplers: outputs.map(([, , output]) => ({ input, output })),
      channels: outputs.map(([node, path], sampler) => ({ sampler, target: { node, path } })),
      extras: { fps: motion.fps },
    },
  };
}

/** Keys x y z w of one joint, neighbours on the same side of the sphere. */
function rotationKeys({ local_rotations: rotations, num_frames: frames, skeleton }: Motion, joint: number): Float32Array {
  const keys = new Float32Array(4 * frames);
  let before = [1, 0, 0, 0];
  for (let t = 0; t < frames; t++) {
    const at = 4 * (t * skeleton.parents.length + joint);
    let q = Array.from(rotations.subarray(at, at + 4));
    const along = q.reduce((sum, value, i) => sum + value * before[i]!, 0);
    const size = Math.hypot(...q) * (t && along < 0 ? -1 : 1);
    q = q.map((value) => value / size);
    keys.set([q[1]!, q[2]!, q[3]!, q[0]!], 4 * t);
    before = q;
  }
  return keys;
}
