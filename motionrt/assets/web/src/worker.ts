/** The worker that runs a bundle with WebAssembly; onnxruntime starts it again for each further thread. */
import * as ort from "onnxruntime-web/wasm";
import { host, isThread } from "./worker_host";

const FILE = "ort-wasm-simd-threaded.wasm";

if (!isThread) {
  host("wasm", FILE, ort.env.wasm, (threads) => {
    ort.env.wasm.numThreads = threads;
    return { ort, runsOn: threads > 1 ? `WebAssembly, ${threads} threads` : "WebAssembly" };
  });
}
