/** What a page of files does to open without a network. */

/** Let the service worker keep the page; resolves when it does, or when there is none. */
export async function keepOffline(): Promise<void> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!workers) return; // plain HTTP of another machine
  // Registering looks for a newer one, for as long as a network takes that is not there: nobody waits for it.
  const failed = new Promise<void>((resolve) => workers.register("service_worker.js").catch(() => resolve()));
  if (workers.controller) return;
  const controlled = new Promise<void>((resolve) => {
    workers.addEventListener("controllerchange", () => resolve(), { once: true });
  });
  await Promise.race([controlled, failed, new Promise((resolve) => setTimeout(resolve, 3000))]);
}

/** Tell the service worker that the model is there: now it keeps what is large. */
export function keepTheRest(): void {
  void navigator.serviceWorker?.ready.then(({ active }) => active?.postMessage("keep"));
}
