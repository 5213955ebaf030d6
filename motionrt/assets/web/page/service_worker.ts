/**
 * Keeps the page itself, so that it opens offline after the first load.
 *
 * From the second visit on it also sends the headers that isolate a page (COOP, COEP), which a plain
 * server does not: without them browsers share no memory between threads. The first visit is not made
 * to load twice for them.
 *
 * Small files are kept when it is installed, the runtime when it is first fetched. The bundle's
 * files are the module's matter, which keeps them by their hashes.
 */
export type {}; // a module to the type checker, whose names are its own
declare const self: ServiceWorkerGlobalScope;

/** Filled in when the page is written: what it is made of, and a hash of all. */
const { version, small, large } = JSON.parse("/*FILES*/") as { version: string; small: string[]; large: string[] };
const CACHE = `motionrt-page-${version}`;
const scope = self.registration.scope;
const known = new Set([...small, ...large].map((name) => new URL(name, scope).href));

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(small.map((name) => new Request(name, { cache: "no-cache" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith("motionrt-page-") && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  url.hash = url.search = "";
  const wanted = url.href === scope ? new URL("index.html", scope).href : url.href;
  if (!known.has(wanted)) return;
  event.respondWith(kept(wanted));
});

// The page says so once its model runs: what it fetched before it was ours is kept as well.
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(Promise.all(large.map((name) => kept(new URL(name, scope).href))));
});

async function kept(url: string): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(url);
  if (found) return isolating(found);
  const response = await fetch(url, { cache: "no-cache" });
  try {
    if (response.ok) await cache.put(url, response.clone());
  } catch {
    // No room is left: it is fetched again next time.
  }
  return isolating(response);
}

/** The same answer, of a page that shares nothing with pages of others. */
function isolating(response: Response): Response {
  if (response.status !== 200) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { headers });
}
