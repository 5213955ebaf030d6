/** Reads .safetensors: a JSON header, then the tensors' bytes. */
import { MotionrtError } from "../generator";

export interface Tensor {
  dtype: string;
  shape: number[];
  data: Float32Array | Uint8Array;
}

export function readSafetensors(bytes: Uint8Array, name: string): { tensors: Map<string, Tensor>; metadata: Record<string, string> } {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))) as Record<string, any>;
    const { __metadata__: metadata = {}, ...entries } = header;
    const tensors = new Map<string, Tensor>();
    for (const [key, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
      const data = bytes.slice(8 + size + offsets[0], 8 + size + offsets[1]);
      tensors.set(key, { dtype, shape, data: converted(dtype, data) });
    }
    return { tensors, metadata };
  } catch (error) {
    throw new MotionrtError(`${name}: cannot be read (${(error as Error).message})`);
  }
}

function converted(dtype: string, data: Uint8Array): Float32Array | Uint8Array {
  if (dtype === "U8" || dtype === "BOOL") return data;
  if (dtype === "F32") return new Float32Array(data.buffer);
  if (dtype === "I64") return Float32Array.from(new BigInt64Array(data.buffer), Number);
  if (dtype === "F16") return Float32Array.from(new Uint16Array(data.buffer), fromHalf);
  throw new Error(`a tensor of type ${dtype}`);
}

/** A number of 16 bits, IEEE 754. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** Write tensors of float32, with texts beside them. */
export function writeSafetensors(
  tensors: Record<string, { data: Float32Array; shape: number[] }>,
  metadata: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: metadata };
  for (const [name, { data, shape }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, (end += data.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const size = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + size + end).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(size), true);
  bytes.set(text, 8);
  let at = 8 + size;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
