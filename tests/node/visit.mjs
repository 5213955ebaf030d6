// node visit.mjs URL FOLDER CHROMIUM [TOKEN]: a visitor. Types a sentence on the page, looks at what comes of it,
// downloads it in every format; prints joints, and what it saw, as JSON. Then goes offline and does it again, unless a
// TOKEN is given: that of a server, which is typed where it asks.
import { downloads, generate, keptOffline, open, ready } from "./studio.mjs";

const [url, folder, chromium, token] = process.argv.slice(2);
const { browser, page, problems } = await open(chromium, token);
const download = await downloads(page, folder);

await page.goto(url);
await ready(page, problems);
const sees = await page.$eval("#empty h2", (title) => title.checkVisibility());
const typed = await generate(page, "a person walks forward", async () => {
  await page.type("#seed", "7");
  await page.focus("#seconds");
  for (const key of ["ArrowLeft", "ArrowRight"]) await page.keyboard.press(key); // 4 s stay 4 s
});
const formats = await page.$$eval("#downloads button", (buttons) => buttons.map((button) => button.textContent));
for (const format of formats) {
  await download(() =>
    page.$$eval("#downloads button", (buttons, format) => buttons.find((b) => b.textContent === format).click(), format),
  );
}
let offline = null;
let again = null;
let isolated = null;
const online = [...problems]; // of being offline a browser complains
if (!token) {
  await keptOffline(page, url);
  await page.setOfflineMode(true);
  await page.reload();
  await ready(page, problems);
  offline = await page.evaluate(() => fetch("bundle/manifest.json", { cache: "no-store" }).then(() => false, () => true));
  isolated = await page.evaluate(() => crossOriginIsolated);
  again = await generate(page, "a person walks forward");
}
await browser.close();
process.stdout.write(JSON.stringify({ sees, formats, typed, offline, isolated, again, problems: online }));
