// node stream.mjs URL CHROMIUM < JSON: steers streams of a site's module, without its page; asks it for clips too.
// Given { streams: [{ options, calls }], clips: [request] }; a call is [method, ...arguments], and ["take", n] and
// ["advance", s] give frames, ["snapshot"] bytes in base64, ["told"] numbers, any other the error it ends with, or null.
import { text } from "node:stream/consumers";
import puppeteer from "puppeteer-core";

const [url, chromium] = process.argv.slice(2);
const { streams = [], clips = [] } = JSON.parse(await text(process.stdin));
const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args });
const page = await browser.newPage();
await page.goto(`${url}THIRD_PARTY_LICENSES.txt`); // an empty page of that address
const told = await page.evaluate(async (url, streams, clips) => {
  const { BrowserGenerator } = await import(`${url}motionrt-web/index.js`);
  const generator = new BrowserGenerator({ bundle: `${url}bundle/`, threads: 1 });
  const model = await generator.load();
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = (motion) => motion && {
    root_positions: [...motion.root_positions],
    posed_joints: [...motion.posed_joints],
    local_rotations: [...motion.local_rotations],
    foot_contacts: [...motion.foot_contacts],
    info: motion.info,
  };
  const one = async (stream, [method, ...given]) => {
    try {
      if (method === "told") {
        const { position, heldFrames, nextChange, seed, wanted, timing } = stream;
        return { position, heldFrames, nextChange, seed, wanted, frames: timing.frames };
      }
      if (method === "together") return await Promise.all(given.map((call) => one(stream, call)));
      if (method === "ahead") {
        const stop = stream.ahead(...given);
        while (stream.readyFrames < given[0] * stream.fps) await new Promise((resolve) => setTimeout(resolve, 1));
        stop();
        return null;
      }
      if (method === "snapshot") return btoa(String.fromCharCode(...stream.snapshot()));
      if (method === "restore") return (await stream.restore(bytesOf(given[0]))) ?? null;
      const made = await stream[method](...given);
      return ["take", "advance"].includes(method) ? plain(made) : null;
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  };
  const answers = [];
  for (const { options, calls } of streams) {
    try {
      const start = options.clip ? (await generator.generate(options.clip))[0] : undefined;
      const { clip: _, snapshot, ...others } = options;
      const stream = await generator.stream({
        ...others, ...(start && { start }), ...(snapshot && { snapshot: bytesOf(snapshot) }),
      });
      const heard = [];
      for (const call of calls) heard.push(await one(stream, call));
      answers.push(heard);
    } catch (error) {
      answers.push(`${error.name}: ${error.message}`);
    }
  }
  const made = [];
  for (const request of clips) {
    try {
      made.push((await generator.generate(request)).map(plain));
    } catch (error) {
      made.push(`${error.name}: ${error.message}`);
    }
  }
  generator.dispose();
  return { model, streams: answers, clips: made };
}, url, streams, clips);
await browser.close();
process.stdout.write(JSON.stringify(told));
