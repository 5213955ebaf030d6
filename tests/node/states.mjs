// node states.mjs URL FOLDER CHROMIUM: a visitor with a phone. Sees what the page says when parts of it cannot be had,
// and three samples that walk away from each other, of which pictures are left in FOLDER; prints what it saw as JSON.
import { open, ready } from "./studio.mjs";

const [url, folder, chromium] = process.argv.slice(2);
const { browser, page, problems } = await open(chromium, undefined, { width: 390, height: 844 });

/** Open the page without files whose names contain a text: what it says of it. */
async function without(text) {
  const context = await browser.createBrowserContext(); // nothing is kept in it
  const other = await context.newPage();
  const session = await other.createCDPSession();
  await session.send("Network.enable");
  await session.send("Network.setBypassServiceWorker", { bypass: true });
  await session.send("Fetch.enable", { patterns: [{ urlPattern: `*${text}*` }] });
  let lacking = true; // until it is tried again
  session.on("Fetch.requestPaused", ({ requestId }) => {
    if (lacking) void session.send("Fetch.fulfillRequest", { requestId, responseCode: 404 });
    else void session.send("Fetch.continueRequest", { requestId });
  });
  await other.goto(url);
  await other.waitForSelector("#failure:not([hidden])", { timeout: 30_000 });
  const told = await other.$eval("#failure-told", (line) => line.textContent);
  if (text.includes("manifest")) {
    lacking = false;
    await other.click("#retry");
    await ready(other, []);
  }
  await context.close();
  return told;
}

const lacks = {};
for (const name of ["motionrt-web/index.js", "bundle/manifest.json", ".wasm"]) lacks[name] = await without(name);

await page.goto(`${url}#prompt=a+person+walks+in+a+circle&seconds=4&seed=3&samples=3`);
await ready(page, problems);
await page.waitForFunction(() => globalThis.motions?.length === 3 && !document.querySelector("#generate").disabled, {
  timeout: 60_000,
});
const labels = [];
for (const part of [0.05, 0.5, 0.95]) {
  const [x, y] = await page.$eval("#timeline", (line, part) => {
    const { left, top, width, height } = line.getBoundingClientRect();
    return [left + part * width, top + height / 2];
  }, part);
  await page.mouse.click(x, y);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const stage = await page.$("#stage");
  await stage.screenshot({ path: `${folder}/${part}.png` });
  labels.push(await page.$$eval("#labels button", (all) => all.map((label) => label.getBoundingClientRect().toJSON())));
}
await browser.close();
process.stdout.write(JSON.stringify({ lacks, labels, problems }));
