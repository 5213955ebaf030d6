/**
 * Kimodo's pipeline: a request to motions, as `motionrt/runtime/kimodo` does it.
 *
 * Knows onnxruntime by its interface alone, and neither page nor worker.
 */
import { correctMotion } from "./body/motion_correction";
import { expandLocal, Skeleton, type Expansion } from "./body/skeleton";
import type { BundleFiles } from "./bundle/files";
import type { KimodoSampler, Manifest } from "./bundle/manifest";
import { readSafetensors } from "./bundle/safetensors";
import { conditioning, correctionTargets, cropConstraints, checkFrames, readConstraints, type Held, type Observed } from "./constraints";
import { MotionFeatures } from "./features";
import {
  MotionrtError,
  type ModelInfo,
  type Motion,
  type MotionRequest,
  type Progress,
} from "./generator";
import { Graph, type Onnxruntime } from "./graphs";
import { quaternions, told } from "./motions";
import {
  checkKeys,
  checkLengths,
  eachSeed,
  headingOf,
  marginOf,
  partsOf,
  presetOf,
  seedsOf,
  type Hooks,
} from "./requests";
import { whole } from "./rounding";
import {
  DEFAULT_WEIGHT,
  guidanceAt,
  guidanceBranches,
  NUM_WEIGHTS,
  resolveGuidance,
  resolveInterval,
  type Guidance,
  type Interval,
} from "./sampling/guidance";
import { TorchGenerator } from "./sampling/noise";
import { cosineSchedule, SOLVER_NAMES } from "./sampling/schedule";
import { generateSegments, MAX_CHAINED_SECONDS, NUM_TRANSITION_FRAMES, partLengths, segmentLengths, waypointsBetween } from "./segments";
import { KnownPrompts } from "./text/familiarity";
import { cleanPrompt } from "./text/prompt";
import { TextSources, type Texts } from "./text/sources";

const KEYS = new Set([
  "prompt", "prompts", "seconds", "num_frames", "seed", "num_samples", "sample_seeds", "multi_prompt", "num_steps",
  "solver", "preset", "guidance_type", "guidance_weights", "guidance_interval", "first_heading_rad", "constraints",
  "chain", "num_transition_frames", "postprocess", "root_margin",
]);

/** Of `motionrt/runtime/kimodo/options.py`. */
const PRESETS: Record<string, { solver: string; num_steps: number; guidance_interval?: Interval }> = {
  fast: { solver: "dpmpp-2m", num_steps: 12, guidance_interval: [0.1, 1] },
  balanced: { solver: "dpmpp-2m", num_steps: 20 },
  exact: { solver: "ddim", num_steps: 100 },
};

/** A request, settled. */
interface Settled {
  prompts: string[];
  frames: number[];
  seed: number;
  numSamples: number;
  sampleSeeds: boolean;
  sequence: boolean;
  numSteps: number;
  solver: string;
  guidance: Guidance;
  guidanceInterval: Interval;
  firstHeading: number;
  constraints: Held[];
  chain: boolean;
  numTransitionFrames: number;
  correct: boolean;
  rootMargin: number;
}

export class KimodoModel {
  private readonly skeleton: Skeleton;
  private readonly features: MotionFeatures;

  private constructor(
    private readonly manifest: Manifest<KimodoSampler>,
    private readonly graphs: { step: Graph; decoder: Graph; text: Graph | null },
    private readonly parts: {
      statistics: [Float32Array, Float32Array];
      texts: TextSources;
      known: Promise<KnownPrompts | null>;
      expansion: Expansion | null;
    },
    private readonly runsOn: string,
  ) {
    this.skeleton = new Skeleton(manifest.skeleton);
    this.features = new MotionFeatures(this.skeleton, ...parts.statistics);
  }

  /** Fetch a bundle's files and start its graphs. */
  static async load(
    bundle: BundleFiles,
    ort: Onnxruntime,
    provider: "wasm" | "webgpu",
    runsOn: string,
    onProgress: (progress: Progress) => void,
  ): Promise<KimodoModel> {
    const manifest = bundle.manifest as Manifest<KimodoSampler>;
    const { graphs } = manifest;
    if (!graphs.step || !graphs.decoder) throw new MotionrtError("manifest.json: no graphs step and decoder");
    const used = [graphs.step, graphs.decoder, ...(graphs.text_encoder ? [graphs.text_encoder] : [])];
    const names = [
      ...new Set([
        "statistics.safetensors",
        ...used.flatMap((info) => [info.files.onnx!, ...(info.data ?? [])]),
        ...TextSources.files(manifest),
        ...(manifest.skeleton.expands_to ? ["expansion.json"] : []),
      ]),
    ];
    const files = await bundle.read(names, onProgress);
    const statistics = readSafetensors(files.get("statistics.safetensors")!, "statistics.safetensors").tensors;
    const table = (name: string): Float32Array => statistics.get(name)?.data as Float32Array;
    const started: Graph[] = [];
    for (const name of ["step", "decoder", "text_encoder"]) {
      onProgress({ stage: "starting", done: started.length, total: 3 });
      const info = graphs[name];
      // The small graphs stay on the CPU: what they take is less than the way to a GPU.
      if (info) started.push(await Graph.load(ort, name, info, files, name === "step" ? provider : "wasm"));
    }
    onProgress({ stage: "starting", done: 3, total: 3 });
    const [step, decoder, textGraph = null] = started as [Graph, Graph, Graph?];
    return new KimodoModel(
      manifest,
      { step, decoder, text: textGraph },
      {
        statistics: [table("mean"), table("std")],
        texts: TextSources.of(manifest, manifest.sampler.text_width, cleanPrompt, textGraph, files),
        known: knownPrompts(bundle),
        expansion: manifest.skeleton.expands_to ? (JSON.parse(new TextDecoder().decode(files.get("expansion.json"))) as Expansion) : null,
      },
      runsOn,
    );
  }

  get info(): ModelInfo {
    const { manifest } = this;
    const { sampler, limits } = manifest;
    return {
      name: manifest.name,
      family: manifest.family,
      fps: manifest.fps,
      skeleton: manifest.output_skeleton,
      advised_seconds: limits.advised_seconds,
      max_seconds: Math.max(limits.max_frames / manifest.fps, MAX_CHAINED_SECONDS),
      defaults: {
        num_steps: sampler.num_steps,
        solver: sampler.solver,
        guidance_weights: this.defaultGuidance.weights,
      },
      max_steps: sampler.num_base_steps,
      solvers: SOLVER_NAMES,
      constraints: true,
      prompts: this.parts.texts.only,
      actions: manifest.text.known_prompts?.actions ?? [],
      licence: manifest.provenance.licence ?? "",
      runs_on: this.runsOn,
    };
  }

  async release(): Promise<void> {
    for (const graph of Object.values(this.graphs)) await graph?.release();
  }

  /** The embeddings of prompts, which are cleaned first; zeros for a blank one. */
  async encode(prompts: string[]): Promise<Float32Array[]> {
    return (await this.parts.texts.encode(prompts)).features;
  }

  /** Make the motions of a request. */
  async generate(request: MotionRequest, hooks: Hooks): Promise<Motion[]> {
    const settled = this.settle(request);
    return eachSeed(settled, hooks, (seed, numSamples, own) => this.run({ ...settled, seed, numSamples }, own));
  }

  private get defaultGuidance(): Guidance {
    const { guidance_type: mode, guidance_weights: weights } = this.manifest.sampler;
    return { mode, weights: weights ?? new Array<number>(NUM_WEIGHTS[mode]!).fill(DEFAULT_WEIGHT) };
  }

  private settle(request: MotionRequest): Settled {
    checkKeys(request, KEYS);
    const { fps, limits, sampler, skeleton } = this.manifest;
    const chain = request.chain ?? true;
    const most = chain ? Math.max(limits.max_frames, Math.trunc(MAX_CHAINED_SECONDS * fps)) : limits.max_frames;
    const { prompts, frames } = partsOf(request, fps);
    checkLengths(frames, most, fps);
    const constraints = readConstraints(request.constraints ?? [], this.skeleton);
    const preset = presetOf(request, PRESETS);
    const numSteps = request.num_steps ?? (preset ?? sampler).num_steps;
    const solver = request.solver ?? (preset ?? sampler).solver;
    cosineSchedule(sampler.num_base_steps, numSteps, solver); // or refuse
    return {
      prompts,
      frames,
      ...seedsOf(request),
      sequence: request.multi_prompt ?? true,
      numSteps,
      solver,
      guidance: resolveGuidance(request.guidance_type, request.guidance_weights) ?? this.defaultGuidance,
      guidanceInterval: resolveInterval(request.guidance_interval ?? preset?.guidance_interval),
      firstHeading: headingOf(request),
      constraints,
      chain,
      numTransitionFrames: request.num_transition_frames ?? NUM_TRANSITION_FRAMES,
      correct: request.postprocess ?? skeleton.corrected,
      rootMargin: marginOf(request),
    };
  }

  private async run(settled: Settled, hooks: Hooks): Promise<Motion[]> {
    const generator = new TorchGenerator(settled.seed);
    const { prompts, frames } = settled;
    const advised = Math.max(1, Math.trunc(this.manifest.limits.advised_seconds * this.manifest.fps));
    if (settled.sequence) return this.inParts(settled, prompts, frames, generator, hooks);
    frames.forEach((count) => checkFrames(settled.constraints, count));
    if (!settled.chain || Math.max(...frames) <= advised) return this.batch(settled, generator, hooks);
    const motions: Motion[] = [];
    for (const [i, prompt] of prompts.entries()) {
      motions.push(...(await this.inParts(settled, [prompt], [frames[i]!], generator, hooks)));
    }
    return motions;
  }

  /** Make a motion for each prompt and sample, in one go. */
  private async batch(settled: Settled, generator: TorchGenerator, hooks: Hooks): Promise<Motion[]> {
    const rows = settled.prompts.flatMap((prompt, i) =>
      Array.from({ length: settled.numSamples }, (_, sample) => ({ prompt, sample, frames: settled.frames[i]! })),
    );
    const longest = Math.max(...settled.frames);
    hooks.onProgress({ stage: "encoding text", done: 0, total: settled.numSteps });
    const texts = await this.parts.texts.encode(rows.map(({ prompt }) => prompt));
    const { width } = this.features;
    const noise = generator.randn(rows.length * longest * width);
    const one = conditioning(settled.constraints, this.features, longest);
    const motion = this.features.normalize(one.motion);
    const observed: Observed = {
      motion: new Float32Array(noise.length),
      mask: new Float32Array(noise.length),
    };
    rows.forEach((_, row) => {
      observed.motion.set(motion, row * motion.length);
      observed.mask.set(one.mask, row * motion.length);
    });
    const headings = rows.map(() => settled.firstHeading);
    const features = await this.sample(settled, texts, noise, rows.map(({ frames }) => frames), headings, observed, hooks, [0, 1]);
    const arrays = await this.decode(features, rows.length, longest);
    const hints = await this.hints(rows.map(({ prompt }) => prompt), texts);
    return rows.map(({ prompt, sample, frames }, row) => {
      if (settled.correct) hooks.onProgress({ stage: "cleaning up", done: settled.numSteps, total: settled.numSteps });
      const info = this.describe(settled, sample, hints[row]!, [prompt]);
      return this.finish(settled, arrays, row, longest, frames, settled.constraints, info);
    });
  }

  /** Make one motion of prompts, each in as many parts as it needs, for each sample. */
  private async inParts(
    settled: Settled,
    prompts: string[],
    wanted: number[],
    generator: TorchGenerator,
    hooks: Hooks,
  ): Promise<Motion[]> {
    const { numTransitionFrames, numSamples } = settled;
    const { fps, limits } = this.manifest;
    const advised = Math.max(1, Math.trunc(limits.advised_seconds * fps));
    const parts = settled.chain
      ? partLengths(wanted, advised, numTransitionFrames, limits.transitions_included ?? false)
      : wanted.map((frames) => [frames]);
    const promptOfPart = parts.flatMap((own, index) => own.map(() => index));
    const lengths = parts.flat();
    for (const count of segmentLengths(lengths, numTransitionFrames)) whole(count, "frames", 1, limits.max_frames);
    const between = settled.constraints.length ? waypointsBetween(settled.constraints, parts) : [];
    const held = [...settled.constraints, ...between];
    hooks.onProgress({ stage: "encoding text", done: 0, total: settled.numSteps * lengths.length });
    const texts = await this.parts.texts.encode(prompts);
    const clips = await generateSegments(
      ({ index, numFrames, firstHeading, observed }) => {
        const prompt = promptOfPart[index]!;
        const own: Texts = {
          features: new Array<Float32Array>(numSamples).fill(texts.features[prompt]!),
          mask: new Array<boolean>(numSamples).fill(texts.mask[prompt]!),
        };
        const noise = generator.randn(numSamples * numFrames * this.features.width);
        const counts = new Array<number>(numSamples).fill(numFrames);
        return this.sample(settled, own, noise, counts, firstHeading, observed, hooks, [index, lengths.length]);
      },
      this.features,
      lengths,
      numSamples,
      held,
      settled.firstHeading,
      numTransitionFrames,
    );
    const total = lengths.reduce((sum, frames) => sum + frames, 0);
    const inside = cropConstraints(held, 0, total);
    const hints = await this.hints(prompts, texts);
    const motions: Motion[] = [];
    for (const [sample, clip] of clips.entries()) {
      const arrays = await this.decode(this.features.normalize(clip), 1, total);
      if (settled.correct) {
        const done = settled.numSteps * lengths.length;
        hooks.onProgress({ stage: "cleaning up", done, total: done });
        await hooks.breathe();
      }
      const info = this.describe(settled, sample, hints.find((hint) => hint !== null) ?? null, prompts);
      info.segments = lengths.map((frames, i) => ({ prompt: prompts[promptOfPart[i]!], num_frames: frames }));
      motions.push(this.finish(settled, arrays, 0, total, total, inside, info));
    }
    return motions;
  }

  /** Denoise: the normalised features (B, T, D); part is which of how many parts it is. */
  private async sample(
    settled: Settled,
    texts: Texts,
    noise: Float32Array,
    counts: number[],
    headings: number[],
    observed: Observed,
    hooks: Hooks,
    [part, numParts]: [number, number],
  ): Promise<Float32Array> {
    const { sampler } = this.manifest;
    const batch = counts.length;
    const frames = noise.length / (batch * this.features.width);
    const constrained = observed.mask.some((given) => given !== 0);
    const textFeatures = new Float32Array(batch * sampler.text_width);
    texts.features.forEach((row, i) => textFeatures.set(row, i * sampler.text_width));
    const fixed = {
      text_features: textFeatures,
      text_mask: Uint8Array.from(texts.mask, Number),
      frame_mask: Uint8Array.from({ length: batch * frames }, (_, i) => Number(i % frames < counts[Math.floor(i / frames)]!)),
      first_heading_rad: Float32Array.from(headings),
      motion_mask: observed.mask,
      observed_motion: constrained ? observed.motion : new Float32Array(noise.length),
    };
    const schedule = cosineSchedule(sampler.num_base_steps, settled.numSteps, settled.solver);
    const total = settled.numSteps * numParts;
    let x = noise;
    let previous = new Float32Array(noise.length);
    for (const [step, timestep] of schedule.timesteps.entries()) {
      hooks.onProgress({ stage: "denoising", done: part * settled.numSteps + step, total });
      await hooks.breathe();
      const guidance = guidanceAt(settled.guidance, settled.guidanceInterval, timestep, sampler.num_base_steps);
      const branches = guidanceBranches(guidance, texts.mask.includes(true), constrained);
      const outputs = await this.graphs.step.run(
        {
          x,
          x0_previous: previous,
          timestep: BigInt64Array.of(BigInt(timestep)),
          coefficients: schedule.coefficients[step]!,
          branch_text: branches.text,
          branch_constraints: branches.constraints,
          branch_weights: branches.weights,
          ...fixed,
        },
        { batch, frames, branches: branches.text.length, tokens: 1 },
      );
      x = outputs.x_next as Float32Array;
      previous = outputs.x0 as Float32Array<ArrayBuffer>;
    }
    hooks.onProgress({ stage: "denoising", done: (part + 1) * settled.numSteps, total });
    await hooks.breathe();
    return x;
  }

  private async decode(features: Float32Array, batch: number, frames: number): Promise<Record<string, Float32Array | Uint8Array>> {
    const outputs = await this.graphs.decoder.run({ features }, { batch, frames });
    return outputs as Record<string, Float32Array | Uint8Array>;
  }

  /** Cut one motion out of a decoded batch and clean it up. */
  private finish(
    settled: Settled,
    arrays: Record<string, Float32Array | Uint8Array>,
    row: number,
    longest: number,
    frames: number,
    constraints: Held[],
    info: Record<string, unknown>,
  ): Motion {
    const cut = (name: string): Float32Array => {
      const values = arrays[name]! as Float32Array;
      const size = values.length / (this.rowsOf(arrays, longest) * longest);
      return values.slice(row * longest * size, (row * longest + frames) * size);
    };
    let local: ArrayLike<number> = cut("local_rot_mats");
    let root: ArrayLike<number> = cut("root_positions");
    let skeleton = new Skeleton(this.manifest.output_skeleton);
    const contacts = cut("foot_contacts") as unknown as Uint8Array;
    if (settled.correct) {
      const own = "native_local_rot_mats" in arrays ? cut("native_local_rot_mats") : local;
      const targets = correctionTargets(constraints, this.skeleton, frames);
      const corrected = correctMotion(this.skeleton, own, root, contacts, targets, settled.rootMargin);
      root = corrected.root;
      local = corrected.local;
      const { expansion } = this.parts;
      if (expansion) local = expandLocal(corrected.local, this.skeleton.numJoints, expansion);
      skeleton = new Skeleton(expansion?.skeleton ?? this.manifest.skeleton);
    }
    const posed = settled.correct
      ? Float32Array.from(skeleton.forwardKinematics(Float64Array.from(local), Float64Array.from(root)).positions)
      : cut("posed_joints");
    return {
      fps: this.manifest.fps,
      skeleton: told(skeleton),
      num_frames: frames,
      local_rotations: quaternions(local),
      root_positions: Float32Array.from(root),
      posed_joints: posed,
      foot_contacts: contacts,
      smooth_root_positions: cut("smooth_root_pos"),
      info,
    };
  }

  private rowsOf(arrays: Record<string, ArrayLike<number>>, longest: number): number {
    return arrays.root_positions!.length / (3 * longest);
  }

  /** One line for each prompt that the model hardly knows, null for the others. */
  private async hints(prompts: string[], texts: Texts): Promise<(string | null)[]> {
    const known = await this.parts.known;
    return prompts.map((prompt, i) => (known && texts.mask[i] ? known.hint(texts.features[i]!, prompt) : null));
  }

  private describe(settled: Settled, sample: number, hint: string | null, prompts: string[]): Record<string, unknown> {
    const [low, high] = settled.guidanceInterval;
    return {
      prompt: prompts.join(" "),
      seed: settled.seed,
      sample,
      model: this.manifest.name,
      family: this.manifest.family,
      backend: this.runsOn,
      num_steps: settled.numSteps,
      solver: settled.solver,
      guidance_type: settled.guidance.mode,
      guidance_weights: settled.guidance.weights,
      ...(low > 0 || high < 1 ? { guidance_interval: [low, high] } : {}),
      num_constraints: settled.constraints.length,
      postprocess: settled.correct,
      ...(hint ? { hint } : {}),
    };
  }
}

/** What the model knows: fetched after all else, and done without where that fails. */
async function knownPrompts(bundle: BundleFiles): Promise<KnownPrompts | null> {
  const known = bundle.manifest.text.known_prompts;
  if (!known) return null;
  try {
    const files = await bundle.read([known.file]);
    return new KnownPrompts(readSafetensors(files.get(known.file)!, known.file).tensors, known.radius, known.actions);
  } catch {
    return null;
  }
}
