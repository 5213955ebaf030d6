/** The worker that runs the denoiser with WebGPU; it is fetched only where that is asked for. */
import * as ort from "onnxruntime-web/webgpu";
import { host } from "./worker_host";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.asyncify.wasm", import.meta.url).href };
host(ort, "webgpu", "WebGPU");
