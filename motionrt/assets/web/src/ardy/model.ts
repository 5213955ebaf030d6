/**
 * ARDY's pipeline: windows of streams, and whole clips. `motionrt/runtime/ardy/model.py` and `generation.py`.
 *
 * Knows onnxruntime by its interface alone, and neither page nor worker.
 */
import { correctMotion } from "../body/motion_correction";
import { Skeleton } from "../body/skeleton";
import type { BundleFiles } from "../bundle/files";
import type { Manifest } from "../bundle/manifest";
import { readSafetensors } from "../bundle/safetensors";
import { checkFrames, readConstraints, type Held } from "../constraints";
import { MotionrtError, type ModelInfo, type Motion, type MotionRequest, type Progress } from "../generator";
import { Graph, type Onnxruntime } from "../graphs";
import { quaternions } from "../motions";
import { checkKeys, checkLengths, eachSeed, headingOf, marginOf, partsOf, presetOf, seedsOf, type Hooks, type Seeds } from "../requests";
import { resolveGuidance, type Guidance } from "../sampling/guidance";
import { TorchGenerator } from "../sampling/noise";
import { cosineSchedule } from "../sampling/schedule";
import { strip } from "../text/prompt";
import { TextSources } from "../text/sources";
import { checkGroups, conditionsOf, correctionTargets } from "./constraints";
import { ArdyFeatures, type Tables } from "./features";
import { toMotion } from "./motion";
import { Network, type Text } from "./network";
import { Quantizer } from "./quantizer";
import { rollOut } from "./rollout";
import { usualGuidance, type StreamModel } from "./session";
import { longestHistory, type ArdySizes } from "./sizes";
import { makeWindow, type WindowRequest } from "./windows";

const STATISTICS = "statistics.safetensors";
const SOLVER = "ddim";
/** Graphs in the order in which they start; the first is the one that a GPU may run. */
const GRAPHS = ["step", "encoder", "decoder", "embed_text", "embed_constraints", "text_encoder"];
const NEEDED = GRAPHS.slice(0, 3);
const KEYS = new Set([
  "prompt", "prompts", "seconds", "num_frames", "seed", "num_samples", "sample_seeds", "multi_prompt", "num_steps", "solver",
  "preset", "guidance_type", "guidance_weights", "first_heading_rad", "constraints", "history_frames", "postprocess", "root_margin",
]);
/** Of `motionrt/runtime/ardy/options.py`. */
const PRESETS: Record<string, { num_steps: number }> = {
  fast: { num_steps: 4 },
  balanced: { num_steps: 6 },
  exact: { num_steps: 10 },
};

/** A request, settled. */
interface Settled extends Seeds {
  prompts: string[];
  frames: number[];
  numSteps: number;
  guidance: Guidance;
  heading: number;
  constraints: Held[];
  history: number;
  correct: boolean;
  rootMargin: number;
}

export class ArdyModel {
  private readonly skeleton: Skeleton;
  private readonly features: ArdyFeatures;
  private readonly network: Network;
  private readonly sizes: ArdySizes;

  private constructor(
    private readonly manifest: Manifest<ArdySizes>,
    private readonly graphs: ReadonlyMap<string, Graph>,
    private readonly tables: Tables,
    private readonly texts: TextSources,
    private readonly runsOn: string,
  ) {
    const sizes = (this.sizes = manifest.sampler);
    this.skeleton = new Skeleton(manifest.skeleton);
    this.features = new ArdyFeatures(this.skeleton, manifest.fps, tables);
    const [levels, mean, std] = ["levels", "latent_mean", "latent_std"].map((name) => tables.get(name)!);
    const quantizer = new Quantizer(levels!, mean!, std!, sizes.quantises, sizes.normalises);
    this.network = new Network(sizes, this.features, quantizer, tables.get("time_tokens")!, (name, inputs, dims) => {
      const graph = graphs.get(name);
      if (!graph) throw new MotionrtError(`manifest.json: no graph ${name}`);
      return graph.run(inputs, dims);
    });
  }

  /** Fetch a bundle's files and start its graphs. */
  static async load(
    bundle: BundleFiles,
    ort: Onnxruntime,
    provider: "wasm" | "webgpu",
    runsOn: string,
    onProgress: (progress: Progress) => void,
  ): Promise<ArdyModel> {
    const manifest = bundle.manifest as Manifest<ArdySizes>;
    const infos = manifest.graphs;
    const lacking = NEEDED.find((name) => !infos[name]);
    if (lacking) throw new MotionrtError(`manifest.json: no graph ${lacking}`);
    const names = GRAPHS.filter((name) => infos[name]);
    const files = await bundle.read(
      [
        ...new Set([
          STATISTICS,
          ...names.flatMap((name) => [infos[name]!.files.onnx!, ...(infos[name]!.data ?? [])]),
          ...TextSources.files(manifest),
        ]),
      ],
      onProgress,
    );
    const { tensors } = readSafetensors(files.get(STATISTICS)!, STATISTICS);
    const tables = new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
    checkTables(tables, manifest.sampler);
    const graphs = new Map<string, Graph>();
    for (const [done, name] of names.entries()) {
      onProgress({ stage: "starting", done, total: names.length });
      // The small graphs stay on the CPU: what they take is less than the way to a GPU.
      graphs.set(name, await Graph.load(ort, name, infos[name]!, files, name === GRAPHS[0] ? provider : "wasm"));
    }
    onProgress({ stage: "starting", done: names.length, total: names.length });
    const { text_width: width } = manifest.sampler;
    const texts = TextSources.of(manifest, width, strip, graphs.get("text_encoder") ?? null, files);
    return new ArdyModel(manifest, graphs, tables, texts, runsOn);
  }

  get info(): ModelInfo {
    const { manifest, sizes } = this;
    return {
      name: manifest.name,
      family: manifest.family,
      fps: manifest.fps,
      skeleton: manifest.output_skeleton,
      advised_seconds: manifest.limits.advised_seconds,
      max_seconds: manifest.limits.max_frames / manifest.fps,
      defaults: { num_steps: sizes.num_steps, solver: SOLVER, guidance_weights: usualGuidance(sizes).weights },
      max_steps: sizes.num_base_steps,
      solvers: [SOLVER],
      constraints: sizes.takes_constraints,
      streams: true,
      prompts: this.texts.only,
      actions: [],
      licence: manifest.provenance.licence ?? "",
      runs_on: this.runsOn,
    };
  }

  /** What a session must know of it. */
  get streamed(): StreamModel {
    const { name, family, fps, skeleton } = this.manifest;
    return { name, family, fps, skeleton, sizes: this.sizes, tables: this.tables, runsOn: this.runsOn };
  }

  async release(): Promise<void> {
    for (const graph of this.graphs.values()) await graph.release();
  }

  /** The embeddings of prompts, of which nothing but blanks around them is taken away; zeros for a blank one. */
  async encode(prompts: string[]): Promise<Float32Array[]> {
    return (await this.texts.encode(prompts)).features;
  }

  /** Encode prompts and embed them as the denoiser takes them. */
  async embed(prompts: readonly string[]): Promise<Text> {
    const { features, mask } = await this.texts.encode(prompts);
    return this.network.text(features, mask);
  }

  /** Make a window of a stream; breathe throws where it is not wanted any more. */
  window(request: WindowRequest, breathe: () => Promise<void>): Promise<Float32Array> {
    return makeWindow(this.network, request, breathe);
  }

  /** Make the motions of a request: a clip for each prompt and sample. */
  async generate(request: MotionRequest, hooks: Hooks): Promise<Motion[]> {
    const settled = this.settle(request);
    return eachSeed(settled, hooks, (seed, numSamples, told) => this.clips({ ...settled, seed, numSamples }, told));
  }

  private settle(request: MotionRequest): Settled {
    checkKeys(request, KEYS);
    const { sizes, manifest } = this;
    const { prompt, ...others } = request;
    const { prompts, frames } = partsOf(prompt === undefined ? request : { ...others, prompts: [prompt] }, manifest.fps);
    if (request.multi_prompt && prompts.length > 1) {
      throw new MotionrtError(
        `ardy makes a motion of one prompt, ${prompts.length} are given as parts of one; ask for a motion each`,
      );
    }
    if (request.solver !== undefined && request.solver !== SOLVER) {
      throw new MotionrtError(`solver ${request.solver}: ardy has ${SOLVER}`);
    }
    checkLengths(frames, manifest.limits.max_frames, manifest.fps);
    const constraints = readConstraints(request.constraints ?? [], this.skeleton);
    if (constraints.length && !sizes.takes_constraints) throw new MotionrtError(`${manifest.name} takes no constraints`);
    checkGroups(constraints);
    frames.forEach((count) => checkFrames(constraints, count));
    const numSteps = request.num_steps ?? presetOf(request, PRESETS)?.num_steps ?? sizes.num_steps;
    cosineSchedule(sizes.num_base_steps, numSteps); // or refuse
    const size = sizes.frames_per_token;
    const history = request.history_frames ?? longestHistory(sizes, manifest.fps);
    if (!Number.isInteger(history) || history < size || history % size) {
      throw new MotionrtError(`${history} frames of history: must be a positive multiple of ${size}`);
    }
    return {
      prompts,
      frames,
      ...seedsOf(request),
      numSteps,
      guidance: resolveGuidance(request.guidance_type, request.guidance_weights) ?? usualGuidance(sizes),
      heading: headingOf(request),
      constraints,
      history,
      correct: request.postprocess ?? manifest.skeleton.corrected,
      rootMargin: marginOf(request),
    };
  }

  private async clips(settled: Settled, hooks: Hooks): Promise<Motion[]> {
    const { sizes, features, network } = this;
    const { numSteps, constraints } = settled;
    const rows = settled.prompts.flatMap((prompt, i) =>
      Array.from({ length: settled.numSamples }, (_, sample) => ({ prompt, sample, frames: settled.frames[i]! })),
    );
    hooks.onProgress({ stage: "encoding text", done: 0, total: numSteps });
    const text = await this.embed(rows.map(({ prompt }) => prompt));
    const generator = new TorchGenerator(settled.seed);
    const drawn = rows.length * (sizes.horizon / sizes.frames_per_token) * network.tokenWidth;
    const lengths = rows.map(({ frames }) => frames);
    const longest = Math.max(...lengths);
    const made = await rollOut(network, {
      text,
      lengths,
      noise: () => generator.randn(drawn),
      guidance: settled.guidance,
      numSteps,
      headingRad: settled.heading,
      conditions: conditionsOf(constraints, features, longest, rows.length),
      cropHistory: settled.history,
      breathe: async (window, windows, step) => {
        hooks.onProgress({ stage: "denoising", done: window * numSteps + step, total: windows * numSteps });
        await hooks.breathe();
      },
    });
    return rows.map(({ prompt, sample, frames }, row) => {
      const { width } = features;
      const values = made.slice(row * longest * width, (row * longest + frames) * width);
      if (settled.correct) hooks.onProgress({ stage: "cleaning up", done: numSteps, total: numSteps });
      return this.finish(settled, values, {
        prompt,
        seed: settled.seed,
        sample,
        model: this.manifest.name,
        family: this.manifest.family,
        backend: this.runsOn,
        num_steps: numSteps,
        history_frames: settled.history,
        guidance_type: settled.guidance.mode,
        guidance_weights: settled.guidance.weights,
        num_constraints: constraints.length,
        postprocess: settled.correct,
      });
    });
  }

  /** Turn normalised features (T, D) into a motion and clean it up. */
  private finish(settled: Settled, values: Float32Array, info: Record<string, unknown>): Motion {
    const motion = toMotion(this.features, values, info);
    if (!settled.correct) return motion;
    const { local, root } = this.features.decode(this.features.unnormalize(values));
    const targets = correctionTargets(settled.constraints, this.skeleton, motion.num_frames);
    const made = correctMotion(this.skeleton, local, root, motion.foot_contacts, targets, settled.rootMargin);
    return {
      ...motion,
      local_rotations: quaternions(made.local),
      root_positions: Float32Array.from(made.root),
      posed_joints: Float32Array.from(this.skeleton.forwardKinematics(made.local, made.root).positions),
    };
  }
}

/** Refuse tables that have not the sizes that the manifest states; those of features are checked by who uses them. */
function checkTables(tables: Tables, sizes: ArdySizes): void {
  const wanted = {
    latent_mean: sizes.latent_width,
    latent_std: sizes.latent_width,
    levels: sizes.latent_width,
    time_tokens: sizes.num_base_steps * 2 * sizes.hidden_width,
  };
  for (const [name, count] of Object.entries(wanted)) {
    if (tables.get(name)?.length !== count) {
      throw new MotionrtError(`${STATISTICS}: ${name} is not ${count} numbers; export the bundle again`);
    }
  }
}
