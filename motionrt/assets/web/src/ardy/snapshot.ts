/** A stream's state as the bytes of a file, the same as Python's: `motionrt/runtime/ardy/snapshot.py`. */
import { readSafetensors, writeSafetensors } from "../bundle/safetensors";
import { MotionrtError, type Constraint } from "../generator";
import type { Settings } from "./windows";

const FORMAT = "motionrt-stream";
const VERSION = "1";
const WHOLE_SCHEDULE = [0, 1];

export interface State {
  model: string;
  seed: number;
  /** Frames that were played. */
  position: number;
  /** Share of a frame that was asked for and is not due yet. */
  rest: number;
  /** Number of the first frame that is held. */
  first: number;
  start: [number, number];
  headingRad: number;
  settings: Settings;
  asked: { frame: number; prompt: string; constraints: Constraint[]; velocity: [number, number] | null }[];
  cuts: number[];
  /** (N, D), normalised: the frames from first on. */
  features: Float32Array;
}

export function writeSnapshot(state: State, width: number): Uint8Array<ArrayBuffer> {
  const { features, settings, headingRad, ...told } = state;
  const { guidance } = settings;
  const document = {
    ...told,
    heading_rad: headingRad,
    settings: {
      guidance: { mode: guidance.mode, weights: guidance.weights, interval: WHOLE_SCHEDULE },
      num_steps: settings.numSteps,
      replan_frames: settings.replanFrames,
      history_frames: settings.historyFrames,
      future_frames: settings.futureFrames,
      postprocess: settings.postprocess,
      root_margin: settings.rootMargin,
    },
  };
  return writeSafetensors(
    { features: { data: features, shape: [features.length / width, width] } },
    { format: FORMAT, version: VERSION, state: JSON.stringify(document) },
  );
}

/** Read what `writeSnapshot` gave, or Python; MotionrtError if it is something else, or damaged. */
export function readSnapshot(bytes: Uint8Array, width: number): State {
  const { tensors, metadata } = readSafetensors(bytes, "snapshot");
  if (metadata.format !== FORMAT) throw new MotionrtError("this is no snapshot of a stream");
  if (metadata.version !== VERSION) {
    throw new MotionrtError(`snapshot of version ${metadata.version}, this page reads ${VERSION}`);
  }
  const held = tensors.get("features");
  if (!held || held.dtype !== "F32" || held.shape.length !== 2 || !(held.data as Float32Array).every(Number.isFinite)) {
    throw new MotionrtError("a snapshot's frames are no rows of finite numbers");
  }
  if (held.shape[1] !== width) throw new MotionrtError("a snapshot's frames are of another model");
  try {
    return { ...stateOf(JSON.parse(metadata.state!) as Json), features: held.data as Float32Array };
  } catch (error) {
    throw new MotionrtError(`cannot be read as a snapshot of a stream (${(error as Error).message})`);
  }
}

type Json = Record<string, unknown>;

function stateOf(document: Json): Omit<State, "features"> {
  const settings = document.settings as Json;
  const guidance = settings.guidance as Json;
  const asked = (document.asked as Json[]).map((each) => ({
    frame: count(each.frame, "frame"),
    prompt: text(each.prompt, "prompt"),
    constraints: (each.constraints ?? []) as Constraint[],
    velocity: each.velocity ? pair(each.velocity, "velocity") : null,
  }));
  if (!asked.length) throw new Error("nothing was asked for");
  return {
    model: text(document.model, "model"),
    seed: count(document.seed, "seed"),
    position: count(document.position, "position"),
    rest: finite(document.rest, "rest"),
    first: count(document.first, "first"),
    start: pair(document.start, "start"),
    headingRad: finite(document.heading_rad, "heading_rad"),
    settings: {
      guidance: {
        mode: text(guidance.mode, "mode"),
        weights: (guidance.weights as unknown[]).map((weight) => finite(weight, "weights")),
      },
      numSteps: count(settings.num_steps, "num_steps"),
      replanFrames: count(settings.replan_frames ?? 1, "replan_frames"),
      historyFrames: count(settings.history_frames ?? 4, "history_frames"),
      futureFrames: count(settings.future_frames ?? 0, "future_frames"),
      postprocess: Boolean(settings.postprocess),
      rootMargin: finite(settings.root_margin, "root_margin"),
    },
    asked,
    cuts: ((document.cuts ?? []) as unknown[]).map((cut) => count(cut, "cuts")),
  };
}

function finite(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`${name} is no number`);
}

function count(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new Error(`${name} is no whole number from 0`);
}

function text(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${name} is no text`);
}

function pair(value: unknown, name: string): [number, number] {
  if (!Array.isArray(value) || value.length !== 2) throw new Error(`${name} is no pair of numbers`);
  return [finite(value[0], name), finite(value[1], name)];
}
