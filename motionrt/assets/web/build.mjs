// node build.mjs VERSION: bundles the module and the page into dist/, with their licences.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";

const version = process.argv[2] ?? "0.0.0";
const module_ = "dist/motionrt-web";
const page = "dist/page";
const common = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // the licences are written whole, below
  metafile: true,
  logLevel: "warning",
  define: { VERSION: JSON.stringify(version) },
};

/** Write the licences of all packages that went into bundles. */
async function writeLicences(metafiles, folder) {
  const packages = new Map();
  for (const input of metafiles.flatMap((metafile) => Object.keys(metafile.inputs))) {
    const found = input.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/);
    if (found) packages.set(found[1], found[0]);
  }
  const texts = [];
  for (const [name, place] of [...packages].sort()) {
    const described = JSON.parse(await readFile(path.join(place, "package.json"), "utf8"));
    const files = (await readdir(place)).filter((file) => /^(licen[cs]e|notice|thirdparty)/i.test(file));
    const own = await Promise.all(files.map((file) => readFile(path.join(place, file), "utf8")));
    // onnxruntime-web comes without the text of its licence.
    if (!own.length) own.push(await readFile(path.join("licences", `${name}.txt`), "utf8"));
    const text = own.join("\n").trim();
    texts.push(`${name} ${described.version} (${described.license})\n\n${text}\n`);
  }
  const line = `\n${"=".repeat(80)}\n\n`;
  await writeFile(path.join(folder, "THIRD_PARTY_LICENSES.txt"), texts.join(line));
}

/** Write index.html: its styles in it, so that it is shown once it is there, and what it imports named at its head. */
async function writePage({ outputs }) {
  const styles = await build({ ...common, entryPoints: ["page/page.css"], write: false });
  const imported = new Set(["motionrt-web/index.js"]);
  const follow = (output) => {
    for (const { path: name, kind, external } of output.imports) {
      const own = path.relative(page, name);
      if (kind !== "import-statement" || external || imported.has(own)) continue;
      imported.add(own);
      follow(outputs[name]);
    }
  };
  follow(outputs[path.posix.join(page, "page.js")]);
  const links = [...imported].map((name) => `<link rel="modulepreload" href="${name}">`);
  const html = await readFile("page/index.html", "utf8");
  const link = '<link rel="stylesheet" href="page.css">';
  if (!html.includes(link)) throw new Error(`page/index.html: has no ${link}`);
  await writeFile(
    path.join(page, "index.html"),
    html.replace(link, () => `${links.join("\n")}\n<style>${styles.outputFiles[0].text.trim()}</style>`),
  );
}

await rm("dist", { recursive: true, force: true });
await mkdir(module_, { recursive: true });
await mkdir(page, { recursive: true });

const wasm = "node_modules/onnxruntime-web/dist";
const sizes = {};
for (const kind of ["", ".asyncify"]) {
  const file = `ort-wasm-simd-threaded${kind}.wasm`;
  await cp(path.join(wasm, file), path.join(module_, file));
  sizes[file] = (await stat(path.join(module_, file))).size;
}
const workers = await build({
  ...common,
  define: { ...common.define, WASM_BYTES: JSON.stringify(sizes) },
  entryPoints: ["index", "parts", "worker", "worker_webgpu"].map((name) => `src/${name}.ts`),
  outdir: module_,
  external: ["*.wasm"],
});
execFileSync(process.execPath, [
  "node_modules/typescript/bin/tsc",
  ...["--project", "tsconfig.module.json", "--outDir", path.join(module_, "types")],
], { stdio: "inherit" });

const described = JSON.parse(await readFile("package.json", "utf8"));
await writeFile(
  path.join(module_, "package.json"),
  JSON.stringify(
    {
      name: "motionrt-web",
      version,
      description: "Text to motion in the browser: runs a motionrt bundle with WebAssembly in a worker",
      license: described.license,
      type: "module",
      sideEffects: false,
      main: "./index.js",
      types: "./types/index.d.ts",
      exports: {
        ".": { types: "./types/index.d.ts", default: "./index.js" },
        "./parts": { types: "./types/parts.d.ts", default: "./parts.js" },
        "./*": "./*",
      },
    },
    null,
    2,
  ) + "\n",
);
await cp("module.md", path.join(module_, "README.md"));
await writeLicences([workers.metafile], module_);

const beside = {
  name: "module beside the page",
  setup: (bundler) => bundler.onResolve({ filter: /^motionrt-web$/ }, () => ({
    path: "./motionrt-web/index.js",
    external: true,
  })),
};
const scripts = await build({
  ...common,
  entryPoints: { page: "page/browser.ts", server: "page/server.ts" },
  outdir: page,
  splitting: true, // what reads characters is fetched when there is one
  chunkNames: "part-[hash]",
  plugins: [beside],
});
await build({ ...common, entryPoints: ["page/service_worker.ts"], outdir: page });
// A plain script, of a syntax that old browsers read too: it tells them that they are too old.
await build({ ...common, entryPoints: ["page/start.ts"], outdir: page, format: "iife", target: "es2015" });
await writePage(scripts.metafile);
await cp("page/icon.svg", path.join(page, "icon.svg"));
// The page of a motion without an end; a site has one of the two.
await build({ ...common, entryPoints: ["page/stream.ts", "page/stream.css"], outdir: page, plugins: [beside] });
await cp("page/stream.html", path.join(page, "stream.html"));
await writeLicences([workers.metafile, scripts.metafile], page);
