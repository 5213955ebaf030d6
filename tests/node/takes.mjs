// node takes.mjs URL FOLDER CHROMIUM [TOKEN]: a visitor who generates twice and works with these takes by the
// keyboard: sees one again, compares, renames, downloads, holds a pose and moves it on the timeline, reloads.
// Without a TOKEN (of a server) that is offline, and goes on: deletes, undoes, has a small screen, has no room.
// Prints what it saw as JSON. PICTURES=DIR keeps pictures.
import { downloads, generate, keptOffline, open, ready, shown } from "./studio.mjs";

const [url, folder, chromium, token] = process.argv.slice(2);
const large = process.env.PICTURES ? { width: 1280, height: 760 } : { width: 1200, height: 440 }; // drawn by the CPU
const { browser, page, problems } = await open(chromium, token, large);
const download = await downloads(page, folder);
const picture = async (name) => {
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/${name}.png` });
};
const list = () =>
  page.$$eval("#takes-list li", (rows) =>
    rows.map((row) => ({
      name: row.querySelector(".name").textContent,
      told: row.querySelector("small").textContent,
      shown: row.querySelector(".show").ariaCurrent === "true",
      picture: row.querySelector("img").naturalWidth,
    })),
  );
const rows = (count) => page.waitForFunction((count) => document.querySelectorAll("#takes-list li").length === count, { timeout: 20_000 }, count);
const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};
const focused = () => page.evaluate(() => document.activeElement.closest("#takes-list li")?.querySelector(".name").textContent ?? document.activeElement.id);
const told = () => page.$eval("#notice", (notice) => notice.firstChild?.textContent ?? "");
const take = (name) => page.waitForFunction((name) => globalThis.motions?.[0].info.prompt === name, { timeout: 20_000 }, name);
const seen = {};

await page.goto(url);
await ready(page, problems);
await page.focus("#takes-open");
await press("Enter");
seen.empty = await page.$eval("#takes-none", (none) => none.checkVisibility() && none.innerText);
await picture("empty");
const seconds = () => page.$eval("#seconds", (field) => {
  field.value = "1";
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
const walk = await generate(page, "a person walks forward", async () => {
  await seconds();
  await page.type("#seed", "7");
});
await rows(1);
await generate(page, "someone jumps forward", () => page.$eval('#samples input[value="2"]', (field) => field.click()));
await rows(2);
seen.made = await list();

// See the first again.
await page.focus("#takes-list .show");
await press("ArrowDown");
seen.second = await focused();
await press("Enter");
await take("a person walks forward");
seen.same = JSON.stringify(await shown(page)) === JSON.stringify(walk);
// Compare it with the other; then it is gone again.
await press("ArrowUp", "Tab", "Enter");
await page.waitForFunction(() => document.querySelectorAll("#labels button").length === 3);
seen.labels = await page.$$eval("#labels button", (labels) => labels.map((label) => label.textContent));
await picture("compared");
await press("Enter");
await page.waitForFunction(() => document.querySelectorAll("#labels button").length === 0);
// Rename and download the other.
await press("Tab", "Enter", "Tab", "End");
await page.keyboard.type(" twice");
await picture("details");
await press("Enter");
await page.waitForFunction(() => document.querySelector("#takes-list .name").textContent.endsWith("twice"));
seen.back = await focused();
await press("Enter");
await download(() => page.$eval('#takes-list [aria-label="Download NPZ"]', (button) => button.click()));
await press("Enter");

// Hold a pose, move it to where the next motion will be longer, remove it.
await page.$eval("#seconds", (field) => {
  field.value = "2";
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
await page.$eval("#hold", (button) => button.click());
await page.focus("#timeline .key");
await press("End");
seen.moved = await page.$eval("#constraints li", (row) => row.textContent);
await press("ArrowLeft");
seen.key = await page.$eval("#timeline .key", (key) => ({ at: Number(key.ariaValueNow), left: parseFloat(key.style.left) }));
await picture("held");
await press("Delete");
seen.removed = await page.evaluate(() => [document.querySelectorAll("#timeline .key, #constraints li").length, document.activeElement.role]);

// Reload: all is as it was.
const online = [...problems]; // of being offline a browser complains
if (!token) {
  await keptOffline(page, url);
  await page.setOfflineMode(true);
}
await page.reload();
await rows(2);
await take("a person walks forward");
seen.kept = await list();
seen.again = JSON.stringify(await shown(page)) === JSON.stringify(walk);
await ready(page, problems);
seen.prompt = await page.$eval("#prompt", (field) => field.value);

if (token) {
  await browser.close();
  process.stdout.write(JSON.stringify({ ...seen, problems: online }));
  process.exit();
}

// Delete, undo, delete all.
await page.focus("#takes-list .show");
await press("Delete");
await rows(1);
seen.neighbour = await focused();
seen.deleted = await told();
await page.$eval("#notice button", (button) => button.click());
await rows(2);
await page.$eval("#takes-list li:last-child .more", (button) => button.click());
await page.$eval("#takes-list li.open .details .actions:last-child button", (button) => button.click());
seen.reused = await page.$$eval("#prompt, #seconds, #seed", (fields) => fields.map((field) => field.value));
await page.setViewport({ width: 390, height: 844 });
await page.$eval("#takes-list", (list) => list.firstElementChild.querySelector(".more").click());
await picture("mobile");
seen.mobile = await page.evaluate(() => ({
  form: document.querySelector("#panel").checkVisibility(),
  sizes: [...document.querySelectorAll("#takes .icon")].map((button) => button.getBoundingClientRect()).map(({ width, height }) => Math.min(width, height)),
  wide: document.documentElement.scrollWidth,
}));
await page.setViewport(large);
await page.$eval("#takes-clear", (button) => button.click());
await rows(0);

// A page with room for two takes: the third makes the first go, and says so.
await page.evaluateOnNewDocument(() => {
  document.addEventListener("readystatechange", () => document.body && (document.body.dataset.takesMb = "0.035"));
});
await page.reload();
await ready(page, problems);
for (const [count, prompt] of [[1, "a person waves"], [2, "a person sits down"], [2, "a person turns"]]) {
  await generate(page, prompt, seconds);
  await page.waitForFunction((prompt) => document.querySelector("#takes-list .name")?.textContent === prompt, {}, prompt);
  await rows(count);
}
seen.bounded = (await list()).map(({ name }) => name);
seen.dropped = await told();
seen.foot = await page.$eval("#takes-told", (line) => line.textContent);
await browser.close();
process.stdout.write(JSON.stringify({ ...seen, problems: online }));
