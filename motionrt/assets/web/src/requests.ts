/** What families share of a request: its checks, its seeds, one sample after another. */
import { ROOT_MARGIN_M } from "./body/motion_correction";
import { MotionrtError, type Motion, type MotionRequest, type Progress } from "./generator";
import { whole } from "./rounding";
import { MAX_SEED } from "./sampling/noise";
import { splitPrompt } from "./text/prompt";

const DEFAULT_SECONDS = 5;
const MAX_SAMPLES = 64;

/** What is told, and asked, while a request runs. */
export interface Hooks {
  onProgress: (progress: Progress) => void;
  onMotion: (motion: Motion, index: number) => void;
  /** Called between steps: waits until messages were looked at, throws if cancelled. */
  breathe: () => Promise<void>;
}

/** Refuse a key that is none of some. */
export function checkKeys(request: MotionRequest, keys: ReadonlySet<string>): void {
  const stranger = Object.keys(request).find((key) => !keys.has(key));
  if (stranger !== undefined) throw new MotionrtError(`request: ${stranger} is not known to a browser`);
  if ((request.prompt === undefined) === (request.prompts === undefined)) {
    throw new MotionrtError("request: give prompt or prompts");
  }
}

/** Refuse a length that the model does not allow. */
export function checkLengths(frames: readonly number[], most: number, fps: number): void {
  for (const count of frames) {
    if (Number.isInteger(count) && count >= 1 && count <= most) continue;
    throw new MotionrtError(
      `duration: ${Number.isFinite(count) ? count : "no"} frames at ${fps} fps; this model takes 1 to ${most} ` +
        `(${(most / fps).toFixed(1)} s)`,
    );
  }
}

export interface Seeds {
  seed: number;
  numSamples: number;
  sampleSeeds: boolean;
}

/** The seed, drawn if none is given, and how many samples are made of it. */
export function seedsOf(request: MotionRequest): Seeds {
  const numSamples = whole(request.num_samples ?? 1, "num_samples", 1, MAX_SAMPLES);
  const sampleSeeds = request.sample_seeds ?? false;
  const highest = sampleSeeds ? MAX_SEED + 1 - numSamples : MAX_SEED;
  const drawn = (): number => crypto.getRandomValues(new Uint32Array(1))[0]! % (highest + 1);
  const seed = request.seed === undefined ? drawn() : whole(request.seed, "seed", 0, highest);
  return { seed, numSamples, sampleSeeds };
}

/** What a preset stands for, undefined for none. */
export function presetOf<T>({ preset }: MotionRequest, presets: Record<string, T>): T | undefined {
  if (preset === undefined) return undefined;
  if (Object.hasOwn(presets, preset)) return presets[preset];
  throw new MotionrtError(`preset ${preset}: none of ${Object.keys(presets).join(", ")}`);
}

export function headingOf({ first_heading_rad: heading = 0 }: MotionRequest): number {
  if (Number.isFinite(heading)) return heading;
  throw new MotionrtError(`first heading ${heading}: must be finite`);
}

export function marginOf({ root_margin: margin = ROOT_MARGIN_M }: MotionRequest): number {
  if (Number.isFinite(margin) && margin >= 0) return margin;
  throw new MotionrtError(`root margin ${margin}: must be 0 or more metres`);
}

/** Run once, or for each sample from a seed of its own: the motions, prompt by prompt and sample by sample. */
export async function eachSeed(
  { seed, numSamples, sampleSeeds }: Seeds,
  hooks: Hooks,
  run: (seed: number, numSamples: number, hooks: Hooks) => Promise<Motion[]>,
): Promise<Motion[]> {
  if (!sampleSeeds) {
    const motions = await run(seed, numSamples, hooks);
    motions.forEach(hooks.onMotion);
    return motions;
  }
  const each: Motion[][] = [];
  for (let sample = 0; sample < numSamples; sample++) {
    const scaled = {
      ...hooks,
      onProgress: ({ stage, done, total }: Progress) =>
        hooks.onProgress({ stage, done: sample * total + done, total: numSamples * total }),
    };
    const made = await run(seed + sample, 1, scaled);
    made.forEach((motion, i) => {
      motion.info.sample = sample;
      if (made.length === 1) hooks.onMotion(motion, i + sample);
    });
    each.push(made);
  }
  const motions = each[0]!.flatMap((_, i) => each.map((made) => made[i]!));
  if (each[0]!.length > 1) motions.forEach(hooks.onMotion);
  return motions;
}

/** The prompts of a request, each with its frames; a prompt alone is split into sentences. */
export function partsOf(request: MotionRequest, fps: number): { prompts: string[]; frames: number[] } {
  const [name, given] =
    request.num_frames === undefined
      ? ["durations", request.seconds ?? DEFAULT_SECONDS]
      : ["numbers of frames", request.num_frames];
  let prompts = request.prompts ?? [];
  let each = Array.isArray(given) ? given : prompts.map(() => given);
  if (request.prompt !== undefined) ({ prompts, each } = splitPrompt(request.prompt, given, name));
  if (!prompts.length || !prompts.every((prompt) => typeof prompt === "string")) {
    throw new MotionrtError("request: prompts must be texts");
  }
  if (each.length !== prompts.length) {
    throw new MotionrtError(`${each.length} ${name} for ${prompts.length} prompts; give one, or one for each`);
  }
  return { prompts, frames: request.num_frames === undefined ? each.map((seconds) => Math.trunc(seconds * fps)) : each };
}
