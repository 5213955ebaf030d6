/**
 * One window of a stream: what it is given, and how it is made. `motionrt/runtime/ardy/streaming.py`.
 */
import { correctMotion } from "../body/motion_correction";
import { cropConstraints, readConstraints, shifted, type Held } from "../constraints";
import type { Constraint } from "../generator";
import type { Guidance } from "../sampling/guidance";
import { TorchGenerator } from "../sampling/noise";
import { conditionsOf, correctionTargets } from "./constraints";
import type { ArdyFeatures } from "./features";
import type { Breathe, Network, Text } from "./network";
import { extend } from "./rollout";
import { windowFrames, type ArdySizes } from "./sizes";

/** How windows of a stream are made. */
export interface Settings {
  guidance: Guidance;
  numSteps: number;
  /** Frames behind the playhead that stay when the rest is planned anew. */
  replanFrames: number;
  /** The most frames that a window looks back, whole tokens. */
  historyFrames: number;
  /** How far beyond what it generates a window looks for goals. */
  futureFrames: number;
  /** Meet the constraints of new frames exactly. */
  postprocess: boolean;
  rootMargin: number;
}

/** A window that is wanted. */
export interface WindowRequest {
  /** The number of its first frame in the stream. */
  first: number;
  /** Of its noise. */
  seed: number;
  /** Normalised features (T, D) of the frames before it, T whole tokens. */
  history: Float32Array;
  text: Text;
  /** Of absolute frames. */
  constraints: Constraint[];
  /** Where the stream began, x and z in metres, and where the body faced. */
  start: [number, number];
  headingRad: number;
  settings: Settings;
}

/** What makes windows, in this thread or in another. */
export interface WindowMaker {
  embed(prompt: string): Promise<Text>;
  /** The normalised features (horizon, D) of a window; rejected with an AbortError if it is not wanted any more. */
  make(request: WindowRequest, signal: AbortSignal): Promise<Float32Array>;
}

/** How many frames a window sees that begins at start and has a furthest constraint, or -1. */
export function framesSeen(
  sizes: ArdySizes,
  fps: number,
  history: number,
  start: number,
  furthest: number,
  futureFrames: number,
): number {
  const least = history + sizes.horizon;
  let frames = least;
  if (furthest >= 0) {
    frames = Math.min(Math.max(frames, furthest - start + 1), futureFrames + least);
    frames = Math.ceil(frames / sizes.frames_per_token) * sizes.frames_per_token;
  }
  return Math.max(Math.min(frames, windowFrames(sizes, fps)), least);
}

/** Make a window: its normalised features (horizon, D). */
export async function makeWindow(network: Network, request: WindowRequest, breathe: Breathe): Promise<Float32Array> {
  const { features, sizes, tokenWidth } = network;
  const { first, history, settings, start: [x, z] } = request;
  const before = history.length / features.width;
  const start = first - before;
  const constraints = readConstraints(request.constraints, features.skeleton);
  const furthest = constraints.flatMap(({ frames }) => frames).reduce((most, frame) => Math.max(most, frame), -1);
  const beyond = furthest >= first ? furthest : -1;
  const numFrames = framesSeen(sizes, features.fps, before, start, beyond, settings.futureFrames);
  const inside = cropConstraints(constraints, first, start + numFrames);
  const shown = inside.map((held) => shifted(held, before));
  const tokens = sizes.horizon / sizes.frames_per_token;
  const made = await extend(network, {
    text: request.text,
    noise: new TorchGenerator(request.seed).randn(tokens * tokenWidth),
    guidance: settings.guidance,
    numSteps: settings.numSteps,
    history,
    translation: Float32Array.of(x, 0, z),
    headingRad: Math.fround(request.headingRad),
    conditions: conditionsOf(shown, features, numFrames),
    breathe,
  });
  const fresh = made.slice(history.length);
  const near = settings.postprocess ? cropConstraints(inside, 0, sizes.horizon) : [];
  return near.length ? corrected(features, fresh, near, settings.rootMargin) : fresh;
}

/** Correct normalised features (T, D) by constraints that count from the first of them. */
export function corrected(features: ArdyFeatures, frames: Float32Array, constraints: Held[], margin: number): Float32Array {
  const { local, root, contacts } = features.decode(features.unnormalize(frames));
  const targets = correctionTargets(constraints, features.skeleton, root.length / 3);
  const made = correctMotion(features.skeleton, local, root, contacts, targets, margin);
  return features.normalize(features.encode(made.local, made.root));
}

/** Where a root goes that changes its velocity smoothly: frames after the last one, and places (x, z). */
export function velocityWaypoints(
  now: readonly [number, number],
  before: readonly [number, number],
  target: readonly [number, number],
  frame: number,
  fps: number,
  seconds: number,
  interval: number,
): { frames: number[]; places: [number, number][] } {
  const { fround } = Math;
  const velocity = now.map((value, axis) => fround(fround(value - before[axis]!) * fps));
  const wanted = target.map(fround);
  const count = Math.trunc(seconds * fps);
  const place: [number, number] = [now[0], now[1]];
  const frames: number[] = [];
  const places: [number, number][] = [];
  for (let i = 1; i <= count; i++) {
    const share = fround(i / count);
    for (const axis of [0, 1] as const) {
      const moving = fround(fround(fround(1 - share) * velocity[axis]!) + fround(share * wanted[axis]!));
      place[axis] = fround(place[axis] + fround(moving / fround(fps)));
    }
    if (i % interval === 0) {
      frames.push(frame + i);
      places.push([...place]);
    }
  }
  return { frames, places };
}
