/** A generator that runs a bundle in a worker of this page. */
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
  /** Makes the worker, for pages that serve it from elsewhere. */
  createWorker?: () => Worker;
}

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

  cancel(): void {
    for (const id of this.generating) this.tell({ id, kind: "cancel" });
  }

  dispose(): void {
    this.worker?.terminate();
    this.worker = null;
    this.model = null;
    for (const { reject } of this.waiting.values()) reject(new MotionrtError("the model was let go of"));
    this.waiting.clear();
  }

  private async start(onProgress?: (progress: Progress) => void): Promise<ModelInfo> {
    const { bundle, webgpu = false, createWorker } = this.options;
    if (webgpu && !("gpu" in navigator)) throw new MotionrtError("this browser has no WebGPU; use WebAssembly");
    const url = new URL(bundle, globalThis.document?.baseURI ?? import.meta.url).href;
    this.worker = createWorker?.() ?? newWorker(webgpu);
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.hear(data);
    this.worker.onerror = (event) => {
      const error = new MotionrtError(`the worker could not run: ${event.message || "its script is missing"}`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    const answer = await this.ask({ kind: "load", bundle: url }, { onProgress });
    if (answer.kind !== "loaded") throw new MotionrtError("the worker did not load the model");
    return answer.model;
  }

  private ask(question: Ask, told: Pick<Waiting, "onProgress" | "onMotion"> = {}): Promise<Answer> {
    const id = this.next++;
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

/** Written so that bundlers see the workers' files. */
function newWorker(webgpu: boolean): Worker {
  return webgpu
    ? new Worker(new URL("./worker_webgpu.js", import.meta.url), { type: "module" })
    : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}
