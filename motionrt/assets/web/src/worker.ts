/** The worker that runs a bundle with WebAssembly; onnxruntime starts it again for each further thread. */
import * as ort from "onnxruntime-web/wasm";
import { host, isThread } from "./worker_host";

ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
if (!isThread) {
  host("wasm", (threads) => {
    ort.env.wasm.numThreads = threads;
    return { ort, runsOn: threads > 1 ? `WebAssembly, ${threads} threads` : "WebAssembly" };
  });
}
