/** A generator that asks a server of motions (`motionrt serve`): same page, another machine. */
import {
  MotionrtError,
  type GenerateOptions,
  type Generator,
  type ModelInfo,
  type Motion,
  type MotionRequest,
  type Progress,
  type SkeletonInfo,
} from "./generator";

export interface RemoteOptions {
  /** Where the server is: a URL, relative to the page. */
  server?: string | URL;
  /** Whose motions; the server's first bundle if left out. */
  bundle?: string;
  /** Asked for the token when the server wants one; null gives up. */
  token?: (refused: boolean) => Promise<string | null> | string | null;
}

/** A bundle as /v1/bundles tells of it. */
interface Served extends Omit<ModelInfo, "defaults"> {
  defaults: Partial<ModelInfo["defaults"]>;
}

interface Job {
  id: string;
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  position: number | null;
  progress: Progress | null;
  error: string | null;
}

interface Numbers extends Array<number | Numbers> {}

interface Made {
  fps: number;
  hints: string[];
  skeleton: SkeletonInfo;
  motions: {
    num_frames: number;
    local_rotations: Numbers;
    root_positions: Numbers;
    posed_joints: Numbers;
    foot_contacts: Numbers | null;
    smooth_root_positions: Numbers | null;
    info: Record<string, unknown>;
  }[];
}

const RETRY_MS = 1000;

export class RemoteGenerator implements Generator {
  private readonly server: URL;
  private given: string | null = null;
  private model: Promise<ModelInfo> | null = null;
  private last: Promise<unknown> = Promise.resolve();
  private readonly running = new Set<AbortController>();

  constructor(private readonly options: RemoteOptions = {}) {
    this.server = new URL(options.server ?? "./", globalThis.document?.baseURI ?? import.meta.url);
  }

  load(): Promise<ModelInfo> {
    this.model ??= this.fetchModel().catch((error: unknown) => {
      this.model = null; // so that it can be tried again
      throw error;
    });
    return this.model;
  }

  encode(): Promise<Float32Array[]> {
    return Promise.reject(new MotionrtError("a server gives motions, no embeddings of texts"));
  }

  generate(request: MotionRequest, options: GenerateOptions = {}): Promise<Motion[]> {
    const made = this.last.then(() => this.made(request, options));
    this.last = made.catch(() => undefined);
    return made;
  }

  cancel(): void {
    for (const controller of this.running) controller.abort();
  }

  dispose(): void {
    this.cancel();
    this.model = null;
  }

  private async fetchModel(): Promise<ModelInfo> {
    const { bundles } = (await (await this.ask("v1/bundles")).json()) as { bundles: Served[] };
    const { bundle } = this.options;
    const found = bundle === undefined ? bundles[0] : bundles.find(({ name }) => name === bundle);
    if (!found) throw new MotionrtError(`the server has no bundle ${bundle ?? ""}`);
    const { num_steps = 0, solver = "", guidance_weights } = found.defaults;
    return {
      ...found,
      defaults: { num_steps, solver, guidance_weights: guidance_weights ?? [] },
      runs_on: `Made on the server · ${found.runs_on}`,
    };
  }

  private async made(request: MotionRequest, options: GenerateOptions): Promise<Motion[]> {
    options.signal?.throwIfAborted();
    const { name } = await this.load();
    const controller = new AbortController();
    const stop = (): void => controller.abort();
    options.signal?.addEventListener("abort", stop, { once: true });
    if (options.signal?.aborted) stop();
    this.running.add(controller);
    let job: Job | null = null;
    try {
      // Here a prompt is one text; a server would make a part of each of its sentences.
      const { prompt, ...others } = request;
      const body = prompt === undefined ? others : { ...others, prompts: [prompt] };
      const place = `v1/jobs?bundle=${encodeURIComponent(name)}`;
      job = (await (await this.post(place, body, controller.signal)).json()) as Job;
      await this.watch(job.id, options, controller.signal);
      const answer = await this.ask(`v1/jobs/${job.id}/motions`, { signal: controller.signal });
      const motions = motionsOf((await answer.json()) as Made);
      motions.forEach((motion, index) => options.onMotion?.(motion, index));
      return motions;
    } catch (error) {
      if (!controller.signal.aborted) throw error;
      throw new DOMException("generating was cancelled", "AbortError");
    } finally {
      this.running.delete(controller);
      options.signal?.removeEventListener("abort", stop);
      // What runs is cancelled, and what was fetched makes room for others.
      if (job) void this.ask(`v1/jobs/${job.id}`, { method: "DELETE" }).catch(() => undefined);
    }
  }

  /** Post a request, again while the server has no room for it. */
  private async post(place: string, body: object, signal: AbortSignal): Promise<Response> {
    const headers = { "Content-Type": "application/json" };
    for (;;) {
      try {
        return await this.ask(place, { method: "POST", body: JSON.stringify(body), headers, signal });
      } catch (error) {
        if (!(error instanceof Busy)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        signal.throwIfAborted();
      }
    }
  }

  /** Hear of a job until it is done. */
  private async watch(id: string, { onProgress }: GenerateOptions, signal: AbortSignal): Promise<void> {
    const answer = await this.ask(`v1/jobs/${id}/events`, { signal });
    if (!answer.body) throw new MotionrtError("the server tells nothing of the job");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new MotionrtError("the connection to the server broke off");
      text += value;
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (!data) continue;
        const job = JSON.parse(data.slice(6)) as Job;
        if (job.state === "done") return;
        if (job.state === "failed") throw new MotionrtError(job.error ?? "the server failed");
        if (job.state === "cancelled") throw new DOMException("the job was cancelled", "AbortError");
        if (job.progress) onProgress?.(job.progress);
        else if (job.position !== null) onProgress?.({ stage: "waiting", done: 0, total: 0 });
      }
    }
  }

  /** Ask the server; its errors become ours. A token is asked for when it wants one. */
  private async ask(place: string, init: RequestInit = {}): Promise<Response> {
    for (let refused = false; ; refused = true) {
      const headers = new Headers(init.headers);
      if (this.given) headers.set("Authorization", `Bearer ${this.given}`);
      let answer: Response;
      try {
        answer = await fetch(new URL(place, this.server), { ...init, headers });
      } catch (error) {
        if (init.signal?.aborted) throw error;
        throw new MotionrtError("the server does not answer");
      }
      if (answer.ok) return answer;
      if (answer.status === 401) {
        const token = (await this.options.token?.(refused || this.given !== null)) ?? null;
        if (token !== null) {
          this.given = token;
          continue;
        }
      }
      const told = (await answer.json().catch(() => ({}))) as { detail?: unknown };
      const message = typeof told.detail === "string" ? told.detail : `the server answered ${answer.status}`;
      throw [429, 503].includes(answer.status) ? new Busy(message) : new MotionrtError(message);
    }
  }
}

/** There is no room on the server now. */
class Busy extends MotionrtError {}

function motionsOf({ fps, hints, skeleton, motions }: Made): Motion[] {
  const told = hints.length ? { hint: hints.join(" ").replace(/^hint: /, "") } : {};
  return motions.map((motion) => ({
    fps,
    skeleton,
    num_frames: motion.num_frames,
    local_rotations: flat(motion.local_rotations),
    root_positions: flat(motion.root_positions),
    posed_joints: flat(motion.posed_joints),
    foot_contacts: motion.foot_contacts
      ? Uint8Array.from(motion.foot_contacts.flat(2) as number[])
      : new Uint8Array(motion.num_frames * 4),
    smooth_root_positions: motion.smooth_root_positions ? flat(motion.smooth_root_positions) : null,
    info: { ...motion.info, ...told },
  }));
}

function flat(values: Numbers): Float32Array {
  return Float32Array.from(values.flat(3) as number[]);
}
