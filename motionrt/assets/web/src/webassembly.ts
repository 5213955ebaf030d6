/** onnxruntime's WebAssembly: fetched beside the bundle, so that what is told of loading is all of it. */
import { download } from "./bundle/files";
import { MotionrtError, type Progress } from "./generator";
import type { Onnxruntime } from "./graphs";

/** Filled in when the module is built: sizes of the files, in bytes. */
declare const WASM_BYTES: Record<string, number>;

/** An onnxruntime that waits for its WebAssembly. */
export interface Fetched {
  ort: Onnxruntime;
  /** Tell of both: what is told of the bundle's files goes through it. */
  together: (progress: Progress) => void;
}

/** Fetch a file of this folder for onnxruntime; give takes it before a graph is started. */
export function fetchWebAssembly(
  file: string,
  ort: Onnxruntime,
  give: (bytes: Uint8Array<ArrayBuffer>) => void,
  onProgress: (progress: Progress) => void,
): Fetched {
  if (typeof WebAssembly === "undefined") {
    throw new MotionrtError("this browser runs no WebAssembly: lockdown modes and some policies turn it off");
  }
  const size = WASM_BYTES[file]!;
  let done = 0;
  let bundle: Progress | null = null;
  const tell = (): void => {
    if (bundle) onProgress({ stage: "fetching", done: bundle.done + done, total: bundle.total + size });
  };
  const given = download(file, new URL(`./${file}`, import.meta.url).href, size, (bytes) => {
    done += bytes;
    tell();
  }).then(give);
  given.catch(() => undefined); // told when a graph wants it
  const create: Onnxruntime["InferenceSession"]["create"] = async (model, options) => {
    await given;
    try {
      return await ort.InferenceSession.create(model, options);
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      if (/Content.Security.Policy/i.test(told)) {
        throw new MotionrtError("the server's Content-Security-Policy bars WebAssembly: script-src needs 'wasm-unsafe-eval'");
      }
      throw new MotionrtError(`the model cannot be started here: ${told}`);
    }
  };
  return {
    ort: { Tensor: ort.Tensor, InferenceSession: { create } },
    together: (progress) => {
      if (progress.stage !== "fetching") {
        if (done === size) onProgress(progress);
        return;
      }
      bundle = progress;
      tell();
    },
  };
}
