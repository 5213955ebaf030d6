// The page in a headless Chromium: opened, waited for, asked for motions.
import puppeteer from "puppeteer-core";

/** Open a browser with a page that remembers its problems; a token is typed where the page asks for it. */
export async function open(chromium, token, size = { width: 840, height: 480 }) {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    headless: true,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"],
  });
  const page = await browser.newPage();
  await page.setViewport(size);
  // Drawn by the CPU, a frame with its shadows takes a core as long as the page asks for another at once.
  await page.evaluateOnNewDocument(() => {
    const draw = globalThis.requestAnimationFrame;
    globalThis.requestAnimationFrame = (frame) => setTimeout(() => draw(frame), 100);
  });
  const problems = [];
  page.on("dialog", (dialog) => dialog.accept(token));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    const refused = token && message.text().includes("401"); // until the token is typed
    if (message.type() === "error" && !refused) problems.push(message.text());
  });
  return { browser, page, problems };
}

/** Downloads of a page go to a folder; gives what acts and waits until one is there. */
export async function downloads(page, folder) {
  const session = await page.createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, eventsEnabled: true });
  return async (act) => {
    const saved = new Promise((resolve) => {
      const hear = ({ state }) => state === "completed" && (session.off("Browser.downloadProgress", hear), resolve());
      session.on("Browser.downloadProgress", hear);
    });
    await act();
    await saved;
  };
}

/** Wait until motions can be asked for. */
export async function ready(page, problems) {
  try {
    await page.waitForSelector("#generate:enabled", { timeout: 90_000 });
  } catch {
    const told = await page.evaluate(() => [...document.querySelectorAll("#failure-told, #loading-told")].map((p) => p.textContent));
    throw new Error(`the page is not ready: ${JSON.stringify([told, problems])}`);
  }
}

/** The motions that are shown. */
export const shown = (page) =>
  page.evaluate(() =>
    globalThis.motions.map((motion) => ({ joints: [...motion.posed_joints], info: motion.info, frames: motion.num_frames })),
  );

/** Type a sentence, do more, and wait for its motions. */
export async function generate(page, prompt, more = () => {}) {
  await page.evaluate(() => delete globalThis.motions);
  await page.$eval("#prompt", (field) => (field.value = ""));
  await page.type("#prompt", prompt);
  await more();
  await page.focus("#prompt");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => globalThis.motions && !document.querySelector("#generate").disabled, { timeout: 60_000 });
  return shown(page);
}

/** Wait until the page opens without its host. */
export async function keptOffline(page, url) {
  const wasm = "motionrt-web/ort-wasm-simd-threaded.wasm";
  await page.waitForFunction((url) => caches.match(url).then(Boolean), { timeout: 60_000 }, url + wasm);
}
