// node port.mjs PARTS NAME < JSON: calls one function of the module's parts, prints its answer.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [place, name] = process.argv.slice(2);
const parts = await import(pathToFileURL(place).href);
const plain = (value) => JSON.stringify(value, (_, inside) => (ArrayBuffer.isView(inside) ? [...inside] : inside));
const caught = (work) => {
  try {
    return work();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

const features = ({ skeleton, mean, std }) =>
  new parts.MotionFeatures(new parts.Skeleton(skeleton), Float32Array.from(mean), Float32Array.from(std));

const calls = {
  clean: (prompts) => prompts.map(parts.cleanPrompt),
  tokens: ({ tokenizer, rules, texts }) => {
    const read = new parts.TextTokenizer(readFileSync(tokenizer, "utf8"), rules);
    return texts.map((text) => read.row(text));
  },
  noise: ({ seed, counts }) => {
    const generator = new parts.TorchGenerator(seed);
    return counts.map((count) => generator.randn(count));
  },
  schedules: (rows) => rows.map(([base, steps, solver]) => parts.cosineSchedule(base, steps, solver)),
  branches: (rows) => rows.map(([mode, weights, text, held]) => parts.guidanceBranches({ mode, weights }, text, held)),
  guided: (rows) =>
    rows.map(([interval, timesteps, base]) =>
      caught(() => {
        const found = parts.resolveInterval(interval);
        return timesteps.map((t) => parts.guidanceAt({ mode: "regular", weights: [2] }, found, t, base).mode);
      }),
    ),
  lengths: (rows) => rows.map((row) => caught(() => parts.partLengths(...row))),
  conditioning: ({ model, constraints, frames }) => {
    const read = features(model);
    const held = parts.readConstraints(constraints, read.skeleton);
    return { ...parts.conditioning(held, read, frames), targets: parts.correctionTargets(held, read.skeleton, frames) };
  },
  refused: ({ skeleton, lists }) =>
    lists.map((list) => caught(() => void parts.readConstraints(list, new parts.Skeleton(skeleton)) ?? "taken")),
  decoded: ({ model, rows }) => features(model).decode(Float32Array.from(rows)),
  normalised: ({ model, rows }) => {
    const read = features(model);
    const normal = read.normalize(Float32Array.from(rows));
    return { normal, back: read.unnormalize(normal) };
  },
  corrected: ({ skeleton, local, root, contacts, constraints, margin }) => {
    const body = new parts.Skeleton(skeleton);
    const held = parts.readConstraints(constraints, body);
    const targets = parts.correctionTargets(held, body, root.length / 3);
    return parts.correctMotion(body, local, root, contacts, targets, margin);
  },
  hints: ({ file, radius, actions, prompts, vectors }) => {
    const { tensors } = parts.readSafetensors(new Uint8Array(readFileSync(file)), file);
    const known = new parts.KnownPrompts(tensors, radius, actions);
    return prompts.map((prompt, i) => known.hint(Float32Array.from(vectors[i]), prompt));
  },
};
process.stdout.write(plain(calls[name](JSON.parse(readFileSync(0, "utf8")))));
