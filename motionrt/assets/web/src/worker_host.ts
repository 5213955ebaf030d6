/** The worker's side: answers questions one after another, and hears of cancelling between steps. */
import { ArdyModel } from "./ardy/model";
import { BundleFiles } from "./bundle/files";
import { MotionrtError, type Motion } from "./generator";
import type { Onnxruntime } from "./graphs";
import { KimodoModel } from "./kimodo";
import type { Answer, Question } from "./messages";
import { buffersOf } from "./motions";
import { fetchWebAssembly } from "./webassembly";

class Cancelled extends Error {}

/** Whether this worker is one of onnxruntime's own threads, which answers nobody else. */
export const isThread = self.name.startsWith("em-pthread");

/**
 * Answer what the page asks. file is onnxruntime's WebAssembly, beside this script, which its settings are given;
 * start makes an onnxruntime of so many threads, and says what it runs on.
 */
export function host(
  provider: "wasm" | "webgpu",
  file: string,
  settings: { wasmBinary?: ArrayBufferLike | Uint8Array },
  start: (threads: number) => { ort: Onnxruntime; runsOn: string },
): void {
  let model: KimodoModel | ArdyModel | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  const cancelled = new Set<number>();

  const tell = (answer: Answer, transfer: Transferable[] = []): void => postMessage(answer, { transfer });

  const loaded = (): KimodoModel | ArdyModel => {
    if (!model) throw new MotionrtError("the model is not loaded");
    return model;
  };

  const streaming = (): ArdyModel => {
    const found = loaded();
    if (found instanceof ArdyModel) return found;
    throw new MotionrtError(`${found.info.name}: ${found.info.family} makes clips, no streams; use a bundle of ardy`);
  };

  const breathe = async (id: number): Promise<void> => {
    await nextMessages();
    if (cancelled.has(id)) throw new Cancelled();
  };

  const answer = async (question: Question): Promise<void> => {
    const { id } = question;
    const onProgress = (progress: Extract<Answer, { kind: "progress" }>["progress"]): void =>
      tell({ id, kind: "progress", progress });
    switch (question.kind) {
      case "load": {
        await model?.release();
        model = null;
        const bundle = await BundleFiles.open(question.bundle);
        const { ort, runsOn } = start(question.threads);
        const family = bundle.manifest.family === "ardy" ? ArdyModel : KimodoModel;
        const fetched = fetchWebAssembly(file, ort, (bytes) => (settings.wasmBinary = bytes), onProgress);
        model = await family.load(bundle, fetched.ort, provider, runsOn, fetched.together);
        delete settings.wasmBinary; // it is compiled
        const streamed = model instanceof ArdyModel ? model.streamed : null;
        tell({ id, kind: "loaded", model: model.info, streamed });
        return;
      }
      case "embed":
        tell({ id, kind: "embedded", text: await streaming().embed([question.prompt]) });
        return;
      case "window": {
        const features = await streaming().window(question.request, () => breathe(id));
        tell({ id, kind: "made", features }, [features.buffer]);
        return;
      }
      case "encode":
        tell({ id, kind: "encoded", embeddings: await loaded().encode(question.prompts) });
        return;
      case "generate": {
        const onMotion = (motion: Motion, index: number): void => tell({ id, kind: "motion", motion, index });
        await breathe(id);
        const motions = await loaded().generate(question.request, { onProgress, onMotion, breathe: () => breathe(id) });
        tell({ id, kind: "generated", motions }, motions.flatMap(buffersOf));
      }
    }
  };

  onmessage = ({ data }: MessageEvent<Question>): void => {
    if (data.kind === "cancel") {
      cancelled.add(data.id);
      return;
    }
    // A prompt is embedded between the steps of a window: its frames need not wait for those of the last one.
    const answered = data.kind === "embed" ? answer(data) : queue.then(() => answer(data));
    const settled = answered.catch((error: unknown) => {
      if (error instanceof Cancelled) tell({ id: data.id, kind: "cancelled" });
      else {
        const onPurpose = error instanceof MotionrtError;
        const message = error instanceof Error ? error.message : String(error);
        tell({ id: data.id, kind: "failed", message, onPurpose });
      }
    }).finally(() => cancelled.delete(data.id));
    if (data.kind !== "embed") queue = settled;
  };
}

const channel = new MessageChannel();

/** Let messages that have come be heard. */
function nextMessages(): Promise<void> {
  return new Promise((resolve) => {
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(null);
  });
}
