// node steer.mjs URL CHROMIUM [FOLDER]: a visitor of the page of a motion without an end. Says another prompt, clicks the
// floor, walks with arrow keys, pauses, begins again; prints what it saw as JSON, with pictures in FOLDER if there is one.
import { open } from "./studio.mjs";

const [url, chromium, folder] = process.argv.slice(2);
const { browser, page, problems } = await open(chromium, undefined, { width: 1280, height: 800 });
const picture = async (name) => folder && page.screenshot({ path: `${folder}/${name}.png` });
const told = (id) => page.$eval(`#${id}`, (found) => (found.checkVisibility() ? found.textContent : null));
const until = (what, ...given) => page.waitForFunction(what, { timeout: 60_000, polling: 50 }, ...given);
/** The velocity that is asked for: what a snapshot holds. */
const velocity = () => page.evaluate(() => {
  const bytes = globalThis.stream.snapshot();
  const size = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: { state } } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  return JSON.parse(state).asked.at(-1).velocity;
});
const seen = {};

if (folder) {
  // The pieces of the model come late, once.
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const late = request.url().includes("/bundle/") && !request.isInterceptResolutionHandled();
    setTimeout(() => request.continue().catch(() => {}), late ? 700 : 0);
  });
  await page.goto(`${url}#seed=3`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await picture("loading");
} else await page.goto(`${url}#seed=3`);
await until(() => document.querySelector("#figures")?.checkVisibility());
seen.begun = await told("told-prompt");
seen.chips = await page.$$eval("#said button", (found) => found.map((button) => button.textContent));
await picture("begun");

await page.click("#prompt", { count: 3 });
await page.keyboard.type(seen.chips[1]);
await page.keyboard.press("Enter");
await until((prompt) => document.querySelector("#told-prompt").textContent === prompt, seen.chips[1]);
seen.said = await page.$$eval("#said button", (found) => found.find((one) => one.ariaPressed === "true")?.textContent);

await page.click("#prompt", { count: 3 });
await page.keyboard.type("nobody knows this");
await page.keyboard.press("Enter");
await until(() => document.querySelector("#problem").checkVisibility());
seen.refused = await told("problem");
await picture("refused");

await page.mouse.click(980, 640);
await until(() => document.querySelector("#view").dataset.goal);
await new Promise((resolve) => setTimeout(resolve, 300));
await picture("goal");
seen.reached = await until(() => !document.querySelector("#view").dataset.goal).then(() => true);
await page.focus("#view");
await page.keyboard.down("ArrowUp");
await new Promise((resolve) => setTimeout(resolve, 600));
seen.walks = await velocity();
await picture("walking");
await page.keyboard.up("ArrowUp");
seen.stops = await velocity();

const time = () => told("told-time");
await page.keyboard.press(" ");
await until(() => document.querySelector("#play").ariaLabel === "Play");
await new Promise((resolve) => setTimeout(resolve, 400));
const still = await time();
await new Promise((resolve) => setTimeout(resolve, 600));
seen.pauses = still === (await time());
await page.keyboard.press(" ");
await until((before) => document.querySelector("#told-time").textContent !== before, still);
await page.click("#again");
await until(() => {
  const time = document.querySelector("#told-time");
  return time.checkVisibility() && time.textContent.startsWith("0:0");
});
seen.again = await time();
seen.address = await page.evaluate(() => location.hash);

if (folder) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await new Promise((resolve) => setTimeout(resolve, 800));
  await picture("dark");
  await page.emulateMediaFeatures([]);
  await page.setViewport({ width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  await page.reload();
  await until(() => document.querySelector("#figures")?.checkVisibility());
  await new Promise((resolve) => setTimeout(resolve, 500));
  await picture("phone");
  await page.setViewport({ width: 844, height: 390, isMobile: true, hasTouch: true, isLandscape: true });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await picture("landscape");
}
seen.problems = problems;
await browser.close();
process.stdout.write(JSON.stringify(seen));
