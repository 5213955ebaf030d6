/** The worker that runs the denoiser with WebGPU; it is fetched only where that is asked for. */
import * as ort from "onnxruntime-web/webgpu";
import { host, isThread } from "./worker_host";

const FILE = "ort-wasm-simd-threaded.asyncify.wasm";

if (!isThread) {
  host("webgpu", FILE, ort.env.wasm, (threads) => {
    ort.env.wasm.numThreads = threads;
    return { ort, runsOn: "WebGPU" };
  });
}
