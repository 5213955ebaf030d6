/** The worker that runs a bundle with WebAssembly, on one thread: it needs no special headers. */
import * as ort from "onnxruntime-web/wasm";
import { host } from "./worker_host";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
host(ort, "wasm", "WebAssembly");
