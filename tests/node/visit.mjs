// node visit.mjs URL FOLDER CHROMIUM [TOKEN]: a visitor. Types a sentence on the page, looks at what comes of it,
// downloads it in every format; prints joints, and what it saw, as JSON. Then goes offline and does it again, unless a
// TOKEN is given: that of a server, which is typed where it asks.
import puppeteer from "puppeteer-core";

const [url, folder, chromium, token] = process.argv.slice(2);
const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"],
});
const page = await browser.newPage();
await page.setViewport({ width: 840, height: 480 });
const problems = [];
page.on("dialog", (dialog) => dialog.accept(token));
page.on("pageerror", (error) => problems.push(String(error)));
page.on("console", (message) => {
  const refused = token && message.text().includes("401"); // until the token is typed
  if (message.type() === "error" && !refused) problems.push(message.text());
});
const session = await page.createCDPSession();
await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder, eventsEnabled: true });

const ready = async () => {
  try {
    await page.waitForSelector("#generate:enabled", { timeout: 90_000 });
  } catch {
    const told = await page.evaluate(() => [...document.querySelectorAll("#failure-told, #loading-told")].map((p) => p.textContent));
    throw new Error(`the page is not ready: ${JSON.stringify([told, problems])}`);
  }
};
const generate = async (prompt, more = () => {}) => {
  await page.evaluate(() => delete globalThis.motions);
  await page.$eval("#prompt", (field) => (field.value = ""));
  await page.type("#prompt", prompt);
  await more();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => globalThis.motions && !document.querySelector("#generate").disabled, { timeout: 60_000 });
  return page.evaluate(() =>
    globalThis.motions.map((motion) => ({ joints: [...motion.posed_joints], info: motion.info, frames: motion.num_frames })),
  );
};

await page.goto(url);
await ready();
const sees = await page.$eval("#empty h2", (title) => title.checkVisibility());
const typed = await generate("a person walks forward", async () => {
  await page.type("#seed", "7");
  await page.focus("#seconds");
  for (const key of ["ArrowLeft", "ArrowRight"]) await page.keyboard.press(key); // 4 s stay 4 s
  await page.focus("#prompt");
});
const formats = await page.$$eval("#downloads button", (buttons) => buttons.map((button) => button.textContent));
for (const format of formats) {
  const saved = new Promise((resolve) => session.on("Browser.downloadProgress", ({ state }) => state === "completed" && resolve()));
  await page.$$eval("#downloads button", (buttons, format) => buttons.find((b) => b.textContent === format).click(), format);
  await saved;
}
let offline = null;
let again = null;
let isolated = null;
const online = [...problems]; // of being offline a browser complains
if (!token) {
  const wasm = "motionrt-web/ort-wasm-simd-threaded.wasm";
  await page.waitForFunction((url) => caches.match(url).then(Boolean), { timeout: 60_000 }, url + wasm);
  await page.setOfflineMode(true);
  await page.reload();
  await ready();
  offline = await page.evaluate(() => fetch("bundle/manifest.json", { cache: "no-store" }).then(() => false, () => true));
  isolated = await page.evaluate(() => crossOriginIsolated);
  again = await generate("a person walks forward");
}
await browser.close();
process.stdout.write(JSON.stringify({ sees, formats, typed, offline, isolated, again, problems: online }));
