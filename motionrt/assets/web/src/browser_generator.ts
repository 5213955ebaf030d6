/** A generator that runs a bundle in a worker of this page. */
import { MotionStream, type StreamModel, type StreamOptions } from "./ardy/session";
import type { WindowMaker } from "./ardy/windows";
import {
  MotionrtError,
  type GenerateOptions,
  type Generator,
  type ModelInfo,
  type Motion,
  type MotionRequest,
  type Progress,
} from "./generator";
import type { Answer, Question } from "./messages";

export interface BrowserOptions {
  /** Where the bundle lies: a URL of the folder with manifest.json. */
  bundle: string | URL;
  /** Run the denoiser with WebGPU; where there is none, load is refused. */
  webgpu?: boolean;
  /**
   * How many threads run the graphs: 1 to 16. By itself it is one less than there are cores, 4 at most,
   * on a page that is cross-origin isolated (COOP, COEP), and 1 on any other, which has no memory to share.
   */
  threads?: number;
  /** Makes the worker, for pages that serve it from elsewhere. */
  createWorker?: () => Worker;
}

const USUAL_THREADS = 4; // graphs of the default's size gain little from more
const MOST_THREADS = 16;

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
  onProgress?: (progress: Progress) => void;
  onMotion?: (motion: Motion, index: number) => void;
}

type Ask = Question extends infer Q ? (Q extends Question ? Omit<Q, "id"> : never) : never;

export class BrowserGenerator implements Generator {
  private worker: Worker | null = null;
  private model: Promise<ModelInfo> | null = null;
  private streamed: StreamModel | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private readonly generating = new Set<number>();
  private next = 0;

  constructor(private readonly options: BrowserOptions) {}

  load(onProgress?: (progress: Progress) => void): Promise<ModelInfo> {
    this.model ??= this.start(onProgress).catch((error: unknown) => {
      this.dispose(); // so that it can be tried again
      throw error;
    });
    return this.model;
  }

  async encode(prompts: string[]): Promise<Float32Array[]> {
    await this.load();
    const answer = await this.ask({ kind: "encode", prompts });
    return answer.kind === "encoded" ? answer.embeddings : [];
  }

  async generate(request: MotionRequest, options: GenerateOptions = {}): Promise<Motion[]> {
    const { signal, onProgress, onMotion } = options;
    signal?.throwIfAborted();
    await this.load();
    signal?.throwIfAborted();
    const id = this.next;
    const stop = (): void => this.tell({ id, kind: "cancel" });
    signal?.addEventListener("abort", stop, { once: true });
    this.generating.add(id);
    try {
      const answer = await this.ask({ kind: "generate", request }, { onProgress, onMotion });
      return answer.kind === "generated" ? answer.motions : [];
    } finally {
      this.generating.delete(id);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Begin a motion without an end, which is steered while it plays; only models that stream can (`ModelInfo.streams`). */
  async stream(options: StreamOptions = {}): Promise<MotionStream> {
    const { name, family } = await this.load();
    if (!this.streamed) throw new MotionrtError(`${name}: ${family} makes clips, no streams; use a bundle of ardy`);
    return MotionStream.begin(this.streamed, this.maker, options);
  }

  private readonly maker: WindowMaker = {
    embed: async (prompt) => {
      const answer = await this.ask({ kind: "embed", prompt });
      if (answer.kind !== "embedded") throw new MotionrtError("the worker did not embed the prompt");
      return answer.text;
    },
    make: async (request, signal) => {
      const id = this.next;
      const stop = (): void => this.tell({ id, kind: "cancel" });
      signal.addEventListener("abort", stop, { once: true });
      try {
        const answer = await this.ask({ kind: "window", request });
        if (answer.kind !== "made") throw new MotionrtError("the worker did not make the window");
        return answer.features;
      } finally {
        signal.removeEventListener("abort", stop);
      }
    },
  };

  cancel(): void {
    for (const id of this.generating) this.tell({ id, kind: "cancel" });
  }

  dispose(): void {
    this.worker?.terminate();
    this.worker = null;
    this.model = null;
    this.streamed = null;
    for (const { reject } of this.waiting.values()) reject(new MotionrtError("the model was let go of"));
    this.waiting.clear();
  }

  private async start(onProgress?: (progress: Progress) => void): Promise<ModelInfo> {
    const { bundle, webgpu = false, threads = usualThreads(), createWorker } = this.options;
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
      throw new MotionrtError(`threads ${threads}: must be a whole number from 1 to ${MOST_THREADS}`);
    }
    if (webgpu && !(await hasGpu())) {
      throw new MotionrtError("this browser has no WebGPU, or no GPU for it; use WebAssembly: without ?webgpu in the address");
    }
    const url = new URL(bundle, globalThis.document?.baseURI ?? import.meta.url).href;
    this.worker = createWorker?.() ?? newWorker(webgpu);
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.hear(data);
    this.worker.onerror = (event) => {
      const error = new MotionrtError(`the worker could not run: ${event.message || "its script is missing"}`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    const answer = await this.ask({ kind: "load", bundle: url, threads: globalThis.crossOriginIsolated ? threads : 1 }, { onProgress });
    if (answer.kind !== "loaded") throw new MotionrtError("the worker did not load the model");
    this.streamed = answer.streamed;
    return answer.model;
  }

  /** The question's number is that of `next`. */
  private ask(question: Ask, told: Pick<Waiting, "onProgress" | "onMotion"> = {}): Promise<Answer> {
    const id = this.next++;
    if (!this.worker) return Promise.reject(new MotionrtError("the model was let go of"));
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, ...told });
      this.tell({ ...question, id } as Question);
    });
  }

  private tell(question: Question): void {
    this.worker?.postMessage(question);
  }

  private hear(answer: Answer): void {
    const asked = this.waiting.get(answer.id);
    if (!asked) return;
    if (answer.kind === "progress") asked.onProgress?.(answer.progress);
    else if (answer.kind === "motion") asked.onMotion?.(answer.motion, answer.index);
    else {
      this.waiting.delete(answer.id);
      if (answer.kind === "cancelled") asked.reject(new DOMException("generating was cancelled", "AbortError"));
      else if (answer.kind === "failed") asked.reject(answer.onPurpose ? new MotionrtError(answer.message) : new Error(answer.message));
      else asked.resolve(answer);
    }
  }
}

/** Whether WebGPU finds a device here: browsers that have it find none where drivers are missing or barred. */
async function hasGpu(): Promise<boolean> {
  const { gpu } = navigator as unknown as { gpu?: { requestAdapter(): Promise<object | null> } };
  try {
    return Boolean(await gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** One core is left to the page, and to others: threads that wait for one another lose more than they gain. */
function usualThreads(): number {
  return Math.max(1, Math.min(USUAL_THREADS, (navigator.hardwareConcurrency || 1) - 1));
}

/** Written so that bundlers see the workers' files. */
function newWorker(webgpu: boolean): Worker {
  return webgpu
    ? new Worker(new URL("./worker_webgpu.js", import.meta.url), { type: "module" })
    : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}
