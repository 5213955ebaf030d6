/**
 * A bundle's files: fetched once, checked against the manifest's hashes, kept by them.
 *
 * Entries of the cache are named by what they hold (?sha256=…), so a file that two bundles share is
 * fetched once, and a new bundle at the same place is noticed. Without a secure context (plain HTTP
 * of another machine) browsers have neither cache nor hashes: then sizes are checked alone.
 */
import { MotionrtError, type Progress } from "../generator";
import { readManifest, type Manifest } from "./manifest";

const CACHE = "motionrt-bundles";
const MANIFEST = "manifest.json";

export class BundleFiles {
  private constructor(
    private readonly url: string,
    readonly manifest: Manifest,
    private readonly cache: Cache | null,
  ) {}

  /** Read the manifest of the bundle at a URL: the network's, or when there is none the last one. */
  static async open(url: string): Promise<BundleFiles> {
    const base = url.endsWith("/") ? url : `${url}/`;
    const cache = await openCache();
    const response = await newest(base, cache);
    return new BundleFiles(base, readManifest(await response.text()), cache);
  }

  /** Fetch files by name, all at once; onProgress is told of bytes. */
  async read(names: string[], onProgress?: (progress: Progress) => void): Promise<Map<string, Uint8Array>> {
    const total = names.reduce((sum, name) => sum + this.info(name).size, 0);
    let done = 0;
    const tell = (bytes: number): void => {
      done += bytes;
      onProgress?.({ stage: "fetching", done: Math.min(done, total), total });
    };
    tell(0);
    const contents = await Promise.all(names.map((name) => this.one(name, tell)));
    await this.forget();
    return new Map(names.map((name, i) => [name, contents[i]!]));
  }

  private info(name: string): { size: number; sha256: string } {
    const info = this.manifest.files[name];
    if (!info) throw new MotionrtError(`manifest.json: lists no file ${name}`);
    return info;
  }

  private key(name: string): string {
    return `${this.url}${name}?sha256=${this.info(name).sha256}`;
  }

  private async one(name: string, tell: (bytes: number) => void): Promise<Uint8Array> {
    const key = this.key(name);
    const kept = await this.cache?.match(key);
    if (kept) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      if (bytes.length === this.info(name).size) {
        tell(bytes.length);
        return bytes;
      }
    }
    const bytes = await download(name, key, this.info(name).size, tell);
    await this.check(name, bytes);
    try {
      await this.cache?.put(key, new Response(bytes));
    } catch {
      // No room is left: the page works, and fetches again next time.
    }
    return bytes;
  }

  private async check(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { size, sha256 } = this.info(name);
    const advice = "write the page again with motionrt web, or reload";
    if (bytes.length !== size) throw new MotionrtError(`${name}: ${bytes.length} bytes, should be ${size}; ${advice}`);
    if (!globalThis.crypto?.subtle) return;
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== sha256) throw new MotionrtError(`${name}: is not what the manifest says; ${advice}`);
  }

  /** Let go of what this bundle's address held before. */
  private async forget(): Promise<void> {
    if (!this.cache) return;
    const current = new Set(Object.keys(this.manifest.files).map((name) => this.key(name)));
    for (const request of await this.cache.keys()) {
      const own = request.url.startsWith(this.url) && request.url.includes("?sha256=");
      if (own && !current.has(request.url)) await this.cache.delete(request);
    }
  }
}

async function openCache(): Promise<Cache | null> {
  try {
    return "caches" in globalThis ? await caches.open(CACHE) : null;
  } catch {
    return null; // private windows of some browsers
  }
}

async function newest(base: string, cache: Cache | null): Promise<Response> {
  const url = base + MANIFEST;
  let response: Response | undefined;
  try {
    response = await fetch(url, { cache: "no-cache" });
  } catch {
    response = await cache?.match(url);
    if (!response) throw new MotionrtError(`the model cannot be reached at ${new URL(base).pathname}; are you online?`);
  }
  if (!response.ok) throw new MotionrtError(refusal(MANIFEST, response));
  try {
    await cache?.put(url, response.clone());
  } catch {
    // As above.
  }
  return response;
}

const refusal = (name: string, { status }: Response): string =>
  `${name}: the server answered ${status}${status === 404 ? "; is the whole folder there?" : ""}`;

/** Fetch a file of so many bytes; tell hears of them as they come. */
export async function download(
  name: string,
  url: string,
  size: number,
  tell: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new MotionrtError(`${name}: cannot be reached; are you online?`);
  }
  if (!response.ok) throw new MotionrtError(refusal(name, response));
  if (!response.body) {
    const whole = new Uint8Array(await response.arrayBuffer());
    tell(whole.length);
    return whole;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new MotionrtError(`${name}: longer than the ${size} bytes that it should have; reload`);
    bytes.set(value, at);
    at += value.length;
    tell(value.length);
  }
  return bytes.subarray(0, at);
}
