/** The worker that runs the denoiser with WebGPU; it is fetched only where that is asked for. */
import * as ort from "onnxruntime-web/webgpu";
import { host, isThread } from "./worker_host";

ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.asyncify.wasm", import.meta.url).href };
if (!isThread) {
  host("webgpu", (threads) => {
    ort.env.wasm.numThreads = threads;
    return { ort, runsOn: "WebGPU" };
  });
}
