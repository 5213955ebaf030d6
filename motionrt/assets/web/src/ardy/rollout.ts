/** Whole clips window by window, and one window behind a motion: `motionrt/runtime/ardy/rollout.py`. */
import type { Guidance } from "../sampling/guidance";
import type { Breathe, Conditions, Network, Text } from "./network";
import { NUM_ROOT_FEATURES } from "./sizes";

interface Shared {
  text: Text;
  guidance: Guidance;
  numSteps: number;
  /** From the first frame of history on, or of the clip. */
  conditions: Conditions | null;
}

export interface Extension extends Shared {
  /** (1, H, W). */
  noise: Float32Array;
  /** Features (1, T, D), T whole tokens, in the world; empty for none. */
  history: Float32Array;
  /** Where the first frame starts, if there is no history: (1, 3) metres, height 0. */
  translation: Float32Array;
  headingRad: number;
  breathe: Breathe;
}

/** Make one window behind a motion, or the first at a place: features (1, T + horizon, D). */
export async function extend(network: Network, given: Extension): Promise<Float32Array> {
  let { translation } = given;
  let tokens = new Float32Array(0);
  let heading = given.headingRad;
  if (given.history.length) {
    const { features } = network;
    const encoded = await network.encode(given.history, 1);
    const last = given.history.length / features.width - 1;
    const recentred = features.recentred(network.roots(encoded), 1, last);
    tokens = network.withRoots(encoded, recentred.root) as Float32Array<ArrayBuffer>;
    translation = recentred.centre;
    heading = features.heading(given.history, 0);
  }
  const made = await network.denoise({ ...given, history: tokens, headings: Float32Array.of(heading), translation });
  const root = network.features.translated(network.roots(made), 1, translation);
  const frames = root.length / NUM_ROOT_FEATURES;
  return network.decode(network.withRoots(made, root, true), [frames]);
}

export interface Clips extends Shared {
  /** Frames of each clip. */
  lengths: number[];
  /** Draws the noise (B, H, W) of a window. */
  noise: () => Float32Array;
  headingRad: number;
  /** Frames that a window looks back, whole tokens. */
  cropHistory: number;
  /** Told before every step which window of how many it is of. */
  breathe: (window: number, windows: number, step: number) => Promise<void>;
}

/** Make clips: normalised features (B, T, D) in the world, T those of the longest. */
export async function rollOut(network: Network, given: Clips): Promise<Float32Array> {
  const { sizes, features, tokenWidth } = network;
  const { lengths, cropHistory } = given;
  const { frames_per_token: size, horizon } = sizes;
  const batch = lengths.length;
  const numFrames = Math.max(...lengths);
  const windows = Math.ceil(numFrames / horizon);
  const conditions = given.conditions && padded(given.conditions, batch, windows * horizon, features.width);
  let translation = new Float32Array(3 * batch);
  let headings = new Float32Array(batch).fill(given.headingRad);
  let tokens = new Float32Array(0);
  for (let index = 0; index < windows; index++) {
    const end = index * horizon;
    const start = Math.max(0, end - cropHistory);
    const kept = (end - start) / size;
    const made = await network.denoise({
      ...given,
      history: tail(tokens, batch, kept * tokenWidth),
      noise: given.noise(),
      headings,
      translation,
      conditions: conditions && fromFrame(conditions, batch, start * features.width),
      breathe: (step) => given.breathe(index, windows, step),
    });
    tokens = appended(tokens, tail(made, batch, (horizon / size) * tokenWidth), batch);
    const { root, centre } = features.recentred(network.roots(tokens), batch, end + horizon - 1);
    tokens = network.withRoots(tokens, root, true) as Float32Array<ArrayBuffer>;
    translation = translation.map((value, i) => value + centre[i]!);
    const own = tokens.length / batch;
    const roots = network.roots(tokens);
    const first = Math.max(0, (own / tokenWidth) * size - cropHistory);
    headings = headings.map((_, b) => features.heading(roots, b * (roots.length / batch) + first * NUM_ROOT_FEATURES));
  }
  const root = features.translated(network.roots(tokens), batch, translation);
  tokens = network.withRoots(tokens, root) as Float32Array<ArrayBuffer>;
  return decoded(network, tokens, lengths.map((length) => Math.ceil(length / size) * size), cropHistory, numFrames);
}

/** Decode blocks of a horizon with as much before each as a window saw. */
async function decoded(
  network: Network,
  tokens: Float32Array,
  lengths: readonly number[],
  cropHistory: number,
  numFrames: number,
): Promise<Float32Array> {
  const { sizes, tokenWidth, features } = network;
  const size = sizes.frames_per_token;
  const [block, context] = [sizes.horizon / size, cropHistory / size];
  const batch = lengths.length;
  const count = tokens.length / (batch * tokenWidth);
  let result = new Float32Array(0);
  for (let start = 0; start < count; start += block) {
    const first = Math.max(0, start - context);
    const part = columns(tokens, batch, first * tokenWidth, (start + block) * tokenWidth);
    const within = part.length / (batch * tokenWidth);
    const inside = lengths.map((length) => Math.min(Math.max(length - first * size, 0), within * size));
    const made = await network.decode(part, inside);
    result = appended(result, tail(made, batch, (within - (start - first)) * size * features.width), batch);
  }
  return columns(result, batch, 0, numFrames * features.width);
}

function padded(conditions: Conditions, batch: number, frames: number, width: number): Conditions {
  const fitted = (values: Float32Array): Float32Array => {
    const own = values.length / batch;
    const result = new Float32Array(batch * frames * width);
    for (let b = 0; b < batch; b++) {
      result.set(values.subarray(b * own, b * own + Math.min(own, frames * width)), b * frames * width);
    }
    return result;
  };
  return { observed: fitted(conditions.observed), mask: fitted(conditions.mask) };
}

const fromFrame = ({ observed, mask }: Conditions, batch: number, skipped: number): Conditions => ({
  observed: columns(observed, batch, skipped, observed.length / batch),
  mask: columns(mask, batch, skipped, mask.length / batch),
});

/** Cut the same part out of each sample. */
function columns(values: Float32Array, batch: number, start: number, stop: number): Float32Array {
  const own = values.length / batch;
  const [from, to] = [Math.min(start, own), Math.min(stop, own)];
  const result = new Float32Array(batch * (to - from));
  for (let b = 0; b < batch; b++) result.set(values.subarray(b * own + from, b * own + to), b * (to - from));
  return result;
}

const tail = (values: Float32Array, batch: number, size: number): Float32Array =>
  columns(values, batch, values.length / batch - size, values.length / batch);

/** Put what follows behind each sample. */
function appended(values: Float32Array, more: Float32Array, batch: number): Float32Array<ArrayBuffer> {
  const [own, added] = [values.length / batch, more.length / batch];
  const result = new Float32Array(batch * (own + added));
  for (let b = 0; b < batch; b++) {
    result.set(values.subarray(b * own, (b + 1) * own), b * (own + added));
    result.set(more.subarray(b * added, (b + 1) * added), b * (own + added) + own);
  }
  return result;
}
