/**
 * A motion without an end, steered while it plays: `motionrt/runtime/ardy/session.py`.
 *
 * The session stands in the page's thread and holds what was made and asked for, so that whoever steers
 * waits for nobody; windows are made by a `WindowMaker`, in a worker.
 */
import { ROOT_MARGIN_M } from "../body/motion_correction";
import { Skeleton, type SkeletonSpec } from "../body/skeleton";
import { readConstraints } from "../constraints";
import { MotionrtError, type Constraint, type Motion } from "../generator";
import { rint, whole } from "../rounding";
import { DEFAULT_WEIGHT, NUM_WEIGHTS, resolveGuidance, type Guidance } from "../sampling/guidance";
import { MAX_SEED } from "../sampling/noise";
import { sha256 } from "../sampling/sha256";
import { checkSeconds, Elapsed } from "./clock";
import { checkGroups } from "./constraints";
import { heldFrom, Timeline, type Controls } from "./controls";
import { ArdyFeatures, type Tables } from "./features";
import { fromMotion, toMotion } from "./motion";
import type { Text } from "./network";
import { longestHistory, wholeTokens, windowFrames, type ArdySizes } from "./sizes";
import { readSnapshot, writeSnapshot } from "./snapshot";
import { velocityWaypoints, type Settings, type WindowMaker } from "./windows";

/** So long the root takes to reach a velocity that is asked for. */
const VELOCITY_SECONDS = 2;
/** Between the places that lead it there. */
const WAYPOINT_SECONDS = 0.5;
const MOST_REACTION_FRAMES = 10_000;

/** A model that streams, as far as a session must know it. */
export interface StreamModel {
  name: string;
  family: string;
  fps: number;
  skeleton: SkeletonSpec;
  sizes: ArdySizes;
  tables: Tables;
  runsOn: string;
}

/** How a stream begins; all of it may be left out. Seconds, metres, radians; y is up. */
export interface StreamOptions {
  /** What it begins with; empty for none. */
  prompt?: string;
  /** 0 to 2^32 - 1; drawn if left out. */
  seed?: number;
  /** Where the root is at first, [x, z], or a clip that is gone on from. */
  start?: [number, number] | Motion;
  first_heading_rad?: number;
  /** Of denoising, a window. Half as many take half as long. */
  num_steps?: number;
  guidance_type?: "nocfg" | "regular" | "separated";
  guidance_weights?: number[];
  /** That a window looks back, whole tokens; one token's if left out. More is steadier and takes longer. */
  history_frames?: number;
  /** That still play as they are after something else was asked for. */
  reaction_frames?: number;
  /** Meet constraints exactly, in the windows that have any. */
  postprocess?: boolean;
  root_margin?: number;
  /** Of a stream, here or in Python: it is gone on with, and nothing else counts then. */
  snapshot?: Uint8Array;
}

/** How fast a stream was made. */
export interface StreamTiming {
  /** Made, thrown away ones included. */
  frames: number;
  /** That making them took. */
  seconds: number;
  /** That the last window took. */
  lastSeconds: number;
  /** That callers waited for frames which were not there in time. */
  waitedSeconds: number;
}

/** Frames that are still needed: normalised features, and the number of the first. */
interface Buffer {
  features: Float32Array;
  first: number;
}

/** A window that is being made. */
interface Making {
  first: number;
  epoch: number;
  serial: number;
  abort: AbortController;
}

/**
 * Frames follow from the seed and from what was asked for at which frame, not from how many are fetched
 * at once nor from how far ahead they are made. Memory stays the same however long it goes on.
 */
export class MotionStream {
  readonly fps: number;
  readonly timing: StreamTiming = { frames: 0, seconds: 0, lastSeconds: 0, waitedSeconds: 0 };
  private readonly features: ArdyFeatures;
  private timeline: Timeline;
  private buffer: Buffer;
  private at = 0;
  private elapsed = new Elapsed();
  private begun = false;
  private epoch = 0;
  private serials = 0;
  private making: (Making & { done: Promise<void> }) | null = null;
  private taken: Promise<unknown> = Promise.resolve();
  private asked: Promise<unknown> = Promise.resolve();
  private wakers: (() => void)[] = [];
  private closed = false;

  private constructor(
    private readonly model: StreamModel,
    private readonly maker: WindowMaker,
    private settings: Settings,
    private drawnFrom: number,
    text: Text,
    prompt: string,
    private start: [number, number],
    private headingRad: number,
    clip: Float32Array | null,
    features: ArdyFeatures,
  ) {
    this.fps = model.fps;
    this.features = features;
    this.timeline = new Timeline({ prompt, text, constraints: [], velocity: null, serial: 0 });
    this.buffer = { features: clip ?? new Float32Array(0), first: 0 };
    if (clip) {
      this.at = this.end;
      this.begun = true;
      this.forget();
    }
  }

  /** Begin one. */
  static async begin(model: StreamModel, maker: WindowMaker, options: StreamOptions = {}): Promise<MotionStream> {
    const { sizes, fps } = model;
    const settings: Settings = {
      guidance: resolveGuidance(options.guidance_type, options.guidance_weights) ?? usualGuidance(sizes),
      numSteps: options.num_steps ?? sizes.num_steps,
      replanFrames: options.reaction_frames ?? 1,
      historyFrames: options.history_frames ?? sizes.frames_per_token,
      futureFrames: windowFrames(sizes, fps),
      postprocess: options.postprocess ?? false,
      rootMargin: options.root_margin ?? ROOT_MARGIN_M,
    };
    check(settings, sizes, fps);
    const features = new ArdyFeatures(new Skeleton(model.skeleton), fps, model.tables);
    const { start = [0, 0], first_heading_rad: heading = 0 } = options;
    const place = Array.isArray(start) ? start : ([0, 0] as [number, number]);
    const clip = Array.isArray(start) ? null : fromMotion(features, start, sizes.frames_per_token);
    if (place.length !== 2 || !place.every(Number.isFinite)) {
      throw new MotionrtError(`a start is a place x, z on the ground or a clip, not ${String(start)}`);
    }
    if (!Number.isFinite(heading)) throw new MotionrtError(`first heading ${heading}: must be finite`);
    const drawn = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const seed = options.seed === undefined ? drawn : whole(options.seed, "seed", 0, MAX_SEED);
    const prompt = options.snapshot ? "" : (options.prompt ?? "");
    const text = await maker.embed(prompt);
    const stream = new MotionStream(model, maker, settings, seed, text, prompt, place, heading, clip, features);
    if (options.snapshot) await stream.restore(options.snapshot);
    return stream;
  }

  // What is there

  get seed(): number {
    return this.drawnFrom;
  }

  /** The number of the next frame that is fetched. */
  get position(): number {
    return this.at;
  }

  /** Frames that are made and not fetched yet. */
  get readyFrames(): number {
    return Math.max(0, this.end - this.at);
  }

  /** Frames that are held in memory. */
  get heldFrames(): number {
    return this.buffer.features.length / this.features.width;
  }

  /** The first frame that what is asked for now can change. */
  get nextChange(): number {
    if (!this.begun) return 0;
    return Math.max(this.at + this.settings.replanFrames, this.model.sizes.frames_per_token);
  }

  /** Seconds of motion made in a second. */
  get realTimeFactor(): number {
    const { frames, seconds } = this.timing;
    return seconds ? frames / this.fps / seconds : Infinity;
  }

  /** The prompt that was asked for last. */
  get wanted(): string {
    return this.timeline.last.prompt;
  }

  // What is asked for

  /** Follow another prompt as soon as can be; empty for none. Resolves when it is known from which frame. */
  prompt(text: string): Promise<void> {
    // One after another, whichever is embedded first: the last one counts.
    const embedded = this.maker.embed(text);
    const done = this.asked.then(async () => {
      const known = await embedded;
      if (text !== this.timeline.last.prompt) this.change({ prompt: text, text: known });
    });
    this.asked = done.catch(() => undefined);
    embedded.catch(() => undefined); // who waits for done is told
    return done;
  }

  /** Be at a place [x, z] in so many seconds from now; facing headingRad there, if it is given. */
  goal(place: [number, number], seconds: number, headingRad?: number): void {
    checkSeconds(seconds);
    const heading = headingRad === undefined ? {} : { global_root_heading: [[Math.cos(headingRad), Math.sin(headingRad)]] };
    const frame = this.at + rint(seconds * this.fps);
    this.add([{ type: "root2d", frame_indices: [frame], smooth_root_2d: [[...place]], ...heading }]);
  }

  /** Add constraints; their frames count from the next one that is fetched. */
  constraints(given: readonly Constraint[]): void {
    const read = readConstraints(given, this.features.skeleton);
    checkGroups(read); // here: a stream that holds one could make nothing any more
    const { at } = this;
    this.add(given.map((each) => ({ ...each, frame_indices: each.frame_indices.map((frame) => frame + at) })));
  }

  /** Go with a velocity [x, z] in metres a second; null lets go of it. What has not changed changes nothing. */
  velocity(wanted: [number, number] | null): void {
    if (wanted && (wanted.length !== 2 || !wanted.every(Number.isFinite))) {
      throw new MotionrtError(`a velocity is x, z in metres a second, not ${String(wanted)}`);
    }
    if (wanted) this.needConstraints();
    if (String(wanted) === String(this.timeline.last.velocity)) return;
    const size = this.model.sizes.frames_per_token;
    this.change({ velocity: wanted && [...wanted] }, Math.ceil(this.nextChange / size) * size);
  }

  /** Let go of all goals, constraints and the velocity. */
  clear(): void {
    this.change({ constraints: [], velocity: null });
  }

  /** Make what follows anew, from a frame on; as soon as can be if none is given. */
  replan(at?: number): void {
    const frame = Math.max(at === undefined ? 0 : whole(at, "frame", 0, Number.MAX_SAFE_INTEGER), this.nextChange);
    this.timeline.cut(frame);
    this.cut(frame);
  }

  // Frames

  /** Fetch the next frames, at least one; resolves when they are made. */
  take(numFrames: number): Promise<Motion> {
    const taken = this.taken.then(() => this.fetch(whole(numFrames, "frames", 1, Number.MAX_SAFE_INTEGER)));
    this.taken = taken.catch(() => undefined);
    return taken;
  }

  /** Let time go by: the frames that fall due in it, null if there is none. What is left of one is remembered. */
  advance(seconds: number): Promise<Motion | null> {
    const due = this.elapsed.frames(seconds, this.fps);
    return due ? this.take(due) : Promise.resolve(null);
  }

  /** Yield chunks as they fall due, for ever; what follows is made meanwhile. */
  async *play({ chunkSeconds = 0.1, aheadSeconds }: { chunkSeconds?: number; aheadSeconds?: number } = {}): AsyncGenerator<Motion, void> {
    const frames = Math.max(1, rint(chunkSeconds * this.fps));
    const stop = this.ahead(aheadSeconds);
    try {
      for (let due = performance.now(); !this.closed; ) {
        yield await this.take(frames);
        due += (1000 * frames) / this.fps;
        const left = due - performance.now();
        if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
        else due -= left; // late: go on from now, and do not hurry after what was missed
      }
    } finally {
      stop();
    }
  }

  /** Make frames ahead from now on, so many seconds of them (a window's by itself); what it returns ends it. */
  ahead(seconds?: number): () => void {
    const wanted = seconds === undefined ? this.model.sizes.horizon : Math.max(1, Math.ceil(seconds * this.fps));
    let stopped = false;
    const produce = async (): Promise<void> => {
      while (!stopped && !this.closed) {
        if (this.readyFrames >= wanted) await new Promise<void>((resolve) => this.wakers.push(resolve));
        else await this.makeOne();
      }
    };
    void produce().catch(() => undefined); // who fetches frames meets it and is told
    return () => {
      stopped = true;
      this.wake();
    };
  }

  /** End it: who waits for frames is told that it is closed. */
  close(): void {
    this.closed = true;
    this.making?.abort.abort();
    this.wake();
  }

  // State

  /** The state as the bytes of a file, to go back to with `restore`, here or in Python. */
  snapshot(): Uint8Array<ArrayBuffer> {
    const { timeline, buffer, features } = this;
    return writeSnapshot(
      {
        model: this.model.name,
        seed: this.drawnFrom,
        position: this.at,
        rest: this.elapsed.rest,
        first: buffer.first,
        start: this.start,
        headingRad: this.headingRad,
        settings: this.settings,
        asked: timeline.entries.map(({ frame, controls: { prompt, constraints, velocity } }) => ({
          frame,
          prompt,
          constraints: [...constraints],
          velocity: velocity && [...velocity],
        })),
        cuts: [...timeline.cuts],
        features: buffer.features,
      },
      features.width,
    );
  }

  /** Go back to a state; MotionrtError if it is of another model, or damaged. */
  async restore(snapshot: Uint8Array): Promise<void> {
    const { model, features } = this;
    const state = readSnapshot(snapshot, features.width);
    if (state.model !== model.name) throw new MotionrtError(`a snapshot of ${state.model}, this is ${model.name}`);
    const held = state.features.length / features.width;
    if (state.asked[0]!.frame > state.position || state.first > state.position || state.position > state.first + held) {
      throw new MotionrtError("a snapshot's frames do not fit its position");
    }
    check(state.settings, model.sizes, this.fps);
    let timeline: Timeline | null = null;
    for (const { frame, prompt, constraints, velocity } of state.asked) {
      checkGroups(readConstraints(constraints, features.skeleton));
      const controls: Controls = { prompt, text: await this.maker.embed(prompt), constraints, velocity, serial: ++this.serials };
      if (timeline) timeline.change(frame, controls);
      else timeline = new Timeline(controls, frame);
    }
    for (const cut of state.cuts) timeline!.cut(cut);
    this.epoch++;
    this.settings = state.settings;
    this.drawnFrom = state.seed;
    [this.start, this.headingRad] = [state.start, state.headingRad];
    this.buffer = { features: state.features, first: state.first };
    this.timeline = timeline!;
    this.at = state.position;
    this.elapsed = new Elapsed(state.rest);
    this.begun = state.position > 0;
    this.dropStale();
  }

  // Inside

  /** The number of the frame behind the last. */
  private get end(): number {
    return this.buffer.first + this.heldFrames;
  }

  private needConstraints(): void {
    if (!this.model.sizes.takes_constraints) throw new MotionrtError(`${this.model.name} takes no constraints`);
  }

  private add(constraints: readonly Constraint[]): void {
    this.needConstraints();
    readConstraints(constraints, this.features.skeleton); // or refuse
    this.change({ constraints: [...heldFrom(this.timeline.last, this.at), ...constraints] });
  }

  /** Let other controls hold as soon as can be; what was made beyond is thrown away. */
  private change(changes: Partial<Controls>, frame = this.nextChange): void {
    const controls = { ...this.timeline.last, ...changes, serial: ++this.serials };
    this.cut(this.timeline.change(frame, controls));
  }

  private cut(frame: number): void {
    const { buffer, features } = this;
    if (this.end > frame) {
      this.buffer = { first: buffer.first, features: buffer.features.slice(0, (frame - buffer.first) * features.width) };
    }
    this.dropStale();
  }

  /** Let go of frames that no window can look back at any more. */
  private forget(): void {
    // Two frames besides give the velocity at the first that can still change.
    const before = this.at - Math.max(this.settings.historyFrames, 2);
    const count = Math.min(Math.max(0, before - this.buffer.first), this.heldFrames);
    if (count) {
      const { features, first } = this.buffer;
      this.buffer = { features: features.slice(count * this.features.width), first: first + count };
    }
    this.timeline.forget(this.at);
  }

  private wake(): void {
    const wakers = this.wakers;
    this.wakers = [];
    for (const waker of wakers) waker();
  }

  /** Stop making a window that would be thrown away. */
  private dropStale(): void {
    if (this.making && this.isStale(this.making)) this.making.abort.abort();
    this.wake();
  }

  private isStale({ first, epoch, serial }: Making): boolean {
    return epoch !== this.epoch || this.end !== first || this.timeline.at(first).serial !== serial;
  }

  private async fetch(numFrames: number): Promise<Motion> {
    const { width } = this.features;
    const parts: Float32Array[] = [];
    let first = this.at;
    for (let left = numFrames; left; ) {
      this.begun = true;
      const began = performance.now();
      const missing = this.end <= this.at;
      while (this.end <= this.at) await this.makeOne();
      if (missing) this.timing.waitedSeconds += (performance.now() - began) / 1000;
      // The next one is settled, whatever is asked for meanwhile: who asks all the time holds nobody up.
      const stop = Math.min(this.at + left, this.end);
      const { features, first: held } = this.buffer;
      if (!parts.length) first = this.at;
      parts.push(features.slice((this.at - held) * width, (stop - held) * width));
      left -= stop - this.at;
      this.at = stop;
      this.forget();
      this.wake();
    }
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let to = 0;
    for (const part of parts) {
      all.set(part, to);
      to += part.length;
    }
    return toMotion(this.features, all, {
      prompt: this.timeline.at(this.at - 1).prompt,
      seed: this.drawnFrom,
      model: this.model.name,
      family: this.model.family,
      backend: this.model.runsOn,
      first_frame: first,
    });
  }

  /** Make the window behind the last frame, or wait for the one that is being made. */
  private async makeOne(): Promise<void> {
    if (this.closed) throw new MotionrtError("the stream is closed");
    if (!this.making) {
      const first = this.end;
      const { serial } = this.timeline.at(first);
      const making = { first, epoch: this.epoch, serial, abort: new AbortController() };
      const done = this.make(making).finally(() => (this.making = null));
      this.making = { ...making, done };
    }
    await this.making.done;
  }

  private async make(making: Making): Promise<void> {
    const { settings, model, features, buffer } = this;
    const { first, abort } = making;
    const controls = this.timeline.at(first);
    const before = wholeTokens(model.sizes, Math.min(this.heldFrames, settings.historyFrames));
    const began = performance.now();
    let made: Float32Array;
    try {
      made = await this.maker.make(
        {
          first,
          seed: windowSeed(this.drawnFrom, first),
          history: buffer.features.slice(buffer.features.length - before * features.width),
          text: controls.text,
          constraints: [...controls.constraints, ...this.waypoints(controls)],
          start: this.start,
          headingRad: this.headingRad,
          settings,
        },
        abort.signal,
      );
    } catch (error) {
      if (abort.signal.aborted) return; // what was asked for has changed meanwhile
      throw error;
    }
    const seconds = (performance.now() - began) / 1000;
    this.timing.frames += made.length / features.width;
    this.timing.seconds += seconds;
    this.timing.lastSeconds = seconds;
    if (this.isStale(making)) return;
    const kept = Math.min(made.length / features.width, this.timeline.until(first) - first);
    const held = this.buffer.features;
    const joined = new Float32Array(held.length + kept * features.width);
    joined.set(held);
    joined.set(made.subarray(0, kept * features.width), held.length);
    this.buffer = { features: joined, first: this.buffer.first };
    this.wake();
  }

  /** Where a velocity that is asked for leads from the last frame. */
  private waypoints({ velocity }: Controls): Constraint[] {
    if (!velocity) return [];
    const { width } = this.features;
    const { features: values } = this.buffer;
    const place = (back: number): [number, number] => {
      const at = values.length - back * width;
      if (!values.length) return [Math.fround(this.start[0]), Math.fround(this.start[1])];
      const row = this.features.unnormalizeRoot(values.slice(Math.max(at, 0), Math.max(at, 0) + 5));
      return [row[0]!, row[2]!];
    };
    const interval = Math.max(1, rint(WAYPOINT_SECONDS * this.fps));
    const { frames, places } = velocityWaypoints(
      place(1), place(2), velocity, this.end - 1, this.fps, VELOCITY_SECONDS, interval,
    );
    return frames.length ? [{ type: "root2d", frame_indices: frames, smooth_root_2d: places }] : [];
  }
}

/** The bundle's guidance with the usual weights. */
export function usualGuidance({ guidance_type: mode }: ArdySizes): Guidance {
  return { mode, weights: new Array<number>(NUM_WEIGHTS[mode]!).fill(DEFAULT_WEIGHT) };
}

/** The seed of the window that begins at a frame; the first has the stream's own. */
export function windowSeed(seed: number, frame: number): number {
  if (!frame) return seed;
  const word = sha256(`${seed}/${frame}`)[0]!;
  return (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

/** Refuse settings that a model cannot follow. */
function check(settings: Settings, sizes: ArdySizes, fps: number): void {
  const { numSteps, historyFrames, replanFrames, rootMargin, guidance } = settings;
  const [size, longest] = [sizes.frames_per_token, longestHistory(sizes, fps)];
  resolveGuidance(guidance.mode, guidance.weights.length ? guidance.weights : undefined);
  if (!(Number.isInteger(numSteps) && numSteps >= 1 && numSteps <= sizes.num_base_steps)) {
    throw new MotionrtError(`${numSteps} diffusion steps: must be from 1 to ${sizes.num_base_steps}`);
  }
  if (!(historyFrames >= size && historyFrames <= longest) || historyFrames % size) {
    throw new MotionrtError(`${historyFrames} frames of history: must be a multiple of ${size} from ${size} to ${longest}`);
  }
  whole(replanFrames, "reaction frames", 1, MOST_REACTION_FRAMES);
  if (!(Number.isFinite(rootMargin) && rootMargin >= 0)) {
    throw new MotionrtError(`root margin ${rootMargin}: must be 0 or more metres`);
  }
}
