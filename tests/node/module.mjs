// node module.mjs URL CHROMIUM < JSON: asks the module of a site, without its page, with each of the given options;
// prints the joints of the motion that comes of the request, or the error, as JSON.
import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const [url, chromium] = process.argv.slice(2);
const { options, request, arguments: more = [] } = JSON.parse(readFileSync(0, "utf8"));
const args = ["--no-sandbox", "--disable-dev-shm-usage", ...more];
const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args });
const page = await browser.newPage();
await page.goto(`${url}THIRD_PARTY_LICENSES.txt`); // an empty page of that address
const told = [];
for (const each of options) {
  told.push(await page.evaluate(async (url, options, request) => {
    const { BrowserGenerator } = await import(`${url}motionrt-web/index.js`);
    const generator = new BrowserGenerator({ bundle: `${url}bundle/`, ...options });
    try {
      const [motion] = await generator.generate(request);
      return { joints: [...motion.posed_joints], backend: motion.info.backend };
    } catch (error) {
      return { error: `${error.name}: ${error.message}` };
    } finally {
      generator.dispose();
    }
  }, url, each, request));
}
await browser.close();
process.stdout.write(JSON.stringify(told));
