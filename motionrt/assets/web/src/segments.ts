/**
 * Motions of several parts, one after another, and long prompts in parts that a model was trained
 * on: `motionrt/runtime/kimodo/segments.py` and `chaining.py`, of the revision 2026-03.
 */
import { hipHeading } from "./body/skeleton";
import { conditioning, cropConstraints, shifted, type Held, type Observed } from "./constraints";
import type { Decoded, MotionFeatures } from "./features";
import { MotionrtError } from "./generator";

export const NUM_TRANSITION_FRAMES = 5;
export const MAX_CHAINED_SECONDS = 600;
/** Share of the segment before that a transition replays on top of its own frames. */
const REPLAYED_PART = 0.1;

const transitionFrames = (before: number, num: number): number => num + Math.trunc(before * REPLAYED_PART);

/** Count the frames that each segment is sampled with, transitions included. */
export function segmentLengths(numFrames: number[], numTransitionFrames: number): number[] {
  if (!Number.isInteger(numTransitionFrames) || numTransitionFrames < 1) {
    throw new MotionrtError(`${numTransitionFrames} transition frames: must be 1 or more`);
  }
  let before = 0;
  return numFrames.map((frames, index) => {
    const extra = before ? transitionFrames(before, numTransitionFrames) : 0;
    if (extra > before) {
      throw new MotionrtError(
        `segment ${index}: its transition takes ${extra} frames of the ${before} before it; ` +
          "lengthen that segment or use fewer transition frames",
      );
    }
    before = frames;
    return frames + extra;
  });
}

/** Split prompts that are longer than the model was trained on into equal parts. */
export function partLengths(
  numFrames: number[],
  longest: number,
  numTransitionFrames: number,
  transitionsIncluded: boolean,
): number[][] {
  let before = 0;
  return numFrames.map((frames) => {
    const counted = frames + (transitionsIncluded && before ? transitionFrames(before, numTransitionFrames) : 0);
    const own = counted > longest ? split(frames, longest, numTransitionFrames, before) : [frames];
    before = own[own.length - 1]!;
    return own;
  });
}

function split(frames: number, longest: number, numTransitionFrames: number, before: number): number[] {
  const fewest = Math.ceil(frames / longest);
  for (let count = fewest; count <= frames; count++) {
    const own = equal(frames, count);
    let lengths: number[];
    try {
      lengths = segmentLengths(before ? [before, ...own] : own, numTransitionFrames);
    } catch {
      break; // parts have become shorter than their transitions
    }
    if (Math.max(...(before ? lengths.slice(1) : lengths)) <= longest) return own;
  }
  return equal(frames, fewest);
}

function equal(frames: number, count: number): number[] {
  const edge = (index: number): number => Math.floor((frames * index) / count);
  return Array.from({ length: count }, (_, i) => edge(i + 1) - edge(i));
}

/** Say where the root is at the ends of parts, so that each goes its share of the way. */
export function waypointsBetween(constraints: readonly Held[], parts: number[][]): Held[] {
  const places = new Map<number, number[]>([[0, [0, 0]]]);
  for (const { frames, ground } of constraints) frames.forEach((frame, k) => places.set(frame, ground[k]!));
  const known = [...places.keys()].sort((a, b) => a - b);
  const ends = endsOfParts(parts);
  const held = ends.filter((end) => known[0]! < end && end < known[known.length - 1]! && !places.has(end));
  if (!held.length) return [];
  const line = held.map((end) => {
    const after = known.findIndex((frame) => frame > end);
    const [a, b] = [known[after - 1]!, known[after]!];
    return [0, 1].map((axis) => {
      const [from, to] = [places.get(a)![axis]!, places.get(b)![axis]!];
      return Math.fround(((to - from) / (b - a)) * (end - a) + from);
    });
  });
  return [{ type: "root2d", frames: held, ground: line, floor: line, heading: null, pose: null }];
}

/** The last frame of every part that another part of the same prompt follows. */
function endsOfParts(parts: number[][]): number[] {
  const ends: number[] = [];
  let start = 0;
  for (const own of parts) {
    own.slice(0, -1).forEach((frames) => {
      start += frames;
      ends.push(start - 1);
    });
    start += own[own.length - 1]!;
  }
  return ends;
}

export interface SegmentRequest {
  index: number;
  numFrames: number;
  /** (B,). */
  firstHeading: number[];
  /** (B, T, D), normalised, and its mask. */
  observed: Observed;
}

/**
 * Generate one motion of several segments for each sample: features (B, T, D), not normalised.
 *
 * sample gives the normalised features (B, T, D) of one segment.
 */
export async function generateSegments(
  sample: (request: SegmentRequest) => Promise<Float32Array>,
  features: MotionFeatures,
  numFrames: number[],
  numSamples: number,
  constraints: readonly Held[],
  firstHeading: number,
  numTransitionFrames: number,
): Promise<Float32Array[]> {
  const lengths = segmentLengths(numFrames, numTransitionFrames);
  const { width, skeleton } = features;
  let soFar = Array.from({ length: numSamples }, () => new Float32Array(0));
  let heading = new Array<number>(numSamples).fill(firstHeading);
  let start = 0;
  for (const [index, length] of lengths.entries()) {
    const extra = length - numFrames[index]!;
    const own = cropConstraints(constraints, start, start + numFrames[index]!).map((held) => shifted(held, extra));
    const tails = soFar.map((clip) => clip.slice(clip.length - extra * width));
    const observed: Observed = {
      motion: new Float32Array(numSamples * length * width),
      mask: new Float32Array(numSamples * length * width),
    };
    for (const [row, tail] of tails.entries()) {
      const held = [...own];
      if (extra) {
        const arrays = features.decode(tail);
        held.unshift(transition(arrays, numTransitionFrames));
        heading[row] = hipHeading(arrays.positions, 0, skeleton.spec);
      }
      const one = conditioning(held, features, length);
      if (extra) features.translate(one.motion, -tail[0]!, -tail[2]!);
      one.mask.forEach((given, i) => (one.motion[i]! *= given));
      observed.motion.set(features.normalize(one.motion), row * length * width);
      observed.mask.set(one.mask, row * length * width);
    }
    const made = await sample({ index, numFrames: length, firstHeading: heading, observed });
    const unnormalised = features.unnormalize(made);
    soFar = soFar.map((clip, row) => {
      const fresh = unnormalised.slice(row * length * width, (row + 1) * length * width);
      const tail = tails[row]!;
      if (extra) {
        features.translate(fresh, tail[0]!, tail[2]!);
        for (let t = 0; t < numTransitionFrames; t++) {
          const weight = Math.fround(numTransitionFrames > 1 ? 1 - t / (numTransitionFrames - 1) : 1);
          for (let d = 0; d < width; d++) {
            const at = t * width + d;
            fresh[at] = Math.fround(weight * tail[at]!) + Math.fround(Math.fround(1 - weight) * fresh[at]!);
          }
        }
      }
      const kept = clip.length - extra * width;
      const joined = new Float32Array(kept + fresh.length);
      joined.set(clip.subarray(0, kept));
      joined.set(fresh, kept);
      return joined;
    });
    heading = [...heading];
    start += numFrames[index]!;
  }
  return soFar;
}

/** Hold the first frames of a decoded tail as they are. */
function transition({ local, root, smooth }: Decoded, count: number): Held {
  const frames = Array.from({ length: count }, (_, t) => t);
  const size = local.length / (root.length / 3);
  const ground = frames.map((t) => [smooth[3 * t]!, smooth[3 * t + 2]!]);
  return {
    type: "fullbody",
    frames,
    ground,
    floor: ground,
    heading: null,
    pose: { local: local.slice(0, count * size), root: root.slice(0, 3 * count), groups: null },
  };
}
