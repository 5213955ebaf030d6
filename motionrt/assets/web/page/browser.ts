/** The page that generates in the browser. */
import { BrowserGenerator } from "motionrt-web";
import { mount } from "./app";

const { bundle = "bundle/", webgpu } = document.body.dataset;
const wanted = new URLSearchParams(location.search).has("webgpu") && webgpu === "yes";

mount(new BrowserGenerator({ bundle, webgpu: wanted }), {
  ready: keepOffline(),
  loaded: () => void navigator.serviceWorker?.ready.then(({ active }) => active?.postMessage("keep")),
});

/** Let the service worker keep the page; resolves when it does, or when there is none. */
async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // plain HTTP of another machine
  try {
    await navigator.serviceWorker.register("service_worker.js");
    const controlled = new Promise<void>((resolve) => {
      if (navigator.serviceWorker.controller) resolve();
      navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
    });
    await Promise.race([controlled, new Promise((resolve) => setTimeout(resolve, 3000))]);
  } catch {
    // The page works without; it is fetched again next time.
  }
}
