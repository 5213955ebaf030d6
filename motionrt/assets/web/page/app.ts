/** The page: a form for what to make, a stage that shows it. It knows a Generator and nothing behind it. */
import {
  MotionrtError,
  toBvh,
  toGlb,
  toNpz,
  toVrma,
  toZip,
  type Constraint,
  type Generator,
  type ModelInfo,
  type Motion,
  type MotionRequest,
  type PoseConstraint,
  type Progress,
} from "motionrt-web";
import type { Character, Wardrobe } from "./character";
import type { Insets } from "./framing";
import { TakeHistory } from "./history";
import { FASTEST_MPS, firstHeading, lengthOf, ontoPath, pathConstraint, smoothed, type Moved, type Point } from "./path";
import { Stage } from "./stage";
import { frameOf, type NewTake, type Take } from "./takes";
import { thumbnail } from "./thumbnail";
import { Timeline } from "./timeline";

const EXAMPLES = [
  "a person walks in a circle",
  "someone jumps forward",
  "a person sneaks in a crouch",
  "a boxer throws punches",
  "a person kicks with the right leg",
];
const MOST_SAMPLES = 4;
/** Where the panel lies below the stage or beside it, and not over it: as in page.css. */
const SMALL = "(max-width: 820px), (max-height: 500px) and (orientation: landscape)";
const TAKES_MB = 100;
/** From the foot of one label to that of the next. */
const LABEL_PX = 27;
const FORMATS: [string, string, (motion: Motion) => string | Uint8Array<ArrayBuffer>][] = [
  ["BVH", "text/plain", toBvh],
  ["GLB", "model/gltf-binary", toGlb],
  ["VRMA", "model/gltf-binary", toVrma],
  ["NPZ", "application/zip", toNpz],
];

interface Options {
  /** Waited for before the model is fetched. */
  ready?: Promise<void>;
  /** Called once the model can be asked. */
  loaded?: () => void;
}

interface HeldPose {
  id: number;
  frame: number;
  motion: Motion;
  /** The frame of that motion which is held. */
  source: number;
}

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Make the page work with a generator. */
export function mount(generator: Generator, options: Options = {}): void {
  let page: Page;
  try {
    page = new Page(generator, options);
  } catch (error) {
    if (!/WebGL/.test(String(error))) throw error;
    throw new MotionrtError("there is no WebGL to draw with; turn on hardware acceleration in the browser's settings");
  }
  document.body.dataset.started = "yes";
  void page.start();
}

class Page {
  private readonly stage = new Stage(element<HTMLCanvasElement>("view"));
  private readonly timeline = new Timeline(element("timeline"), {
    seek: (time) => this.seek(time),
    move: (id, frame) => this.movePose(id, frame),
    remove: (id) => this.removePose(id),
  });
  private readonly prompt = element<HTMLTextAreaElement>("prompt");
  private readonly seconds = element<HTMLInputElement>("seconds");
  private readonly seed = element<HTMLInputElement>("seed");
  private model: ModelInfo | null = null;
  private readonly takes = new TakeHistory(FORMATS.map(([name]) => name), {
    show: (take, motions) => this.showTake(take, motions),
    compared: () => this.stand(true),
    reuse: (take) => this.reuse(take),
    download: (motions, format, name) => this.save(motions, format, name),
    notice: (text, action) => this.notice(text, action),
    opened: () => {
      this.layOut();
      this.stage.frame();
    },
  });
  private motions: Motion[] = [];
  /** These, and those of takes that stand beside them. */
  private figures: Motion[] = [];
  private path: Point[] | null = null;
  private poses: HeldPose[] = [];
  private wardrobe: Wardrobe | null = null;
  private characters: (Character | null)[] = [];
  private abort: AbortController | null = null;
  private time = 0;
  private playing = false;
  private drawing = false;
  private next = 0;
  private insets: Insets = { left: 0, right: 0, top: 0, bottom: 0 };
  /** Of labels, in pixels, once they were asked for. */
  private widths: number[] = [];
  private noticed: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly generator: Generator,
    private readonly options: Options,
  ) {}

  async start(): Promise<void> {
    this.wire();
    this.fromAddress();
    segments("samples", Array.from({ length: MOST_SAMPLES }, (_, i) => [String(i + 1), String(i + 1)]), this.sharedSamples);
    segments("quality", [["fast", "Fast"], ["usual", "Usual"], ["exact", "Exact"]], "usual");
    this.tellSettings();
    this.layOut();
    requestAnimationFrame((now) => this.loop(now, now));
    const kept = this.takes.start(1e6 * Number(document.body.dataset.takesMb ?? TAKES_MB)).then(() => this.findShared());
    await this.options.ready;
    await this.load();
    await kept;
    if (this.sharedPrompt && this.model) void this.generate();
  }

  // The model

  private async load(): Promise<void> {
    show("failure", false);
    show("loading", true);
    element("loading-told").textContent = "Loading the model";
    element("loading-bar").removeAttribute("value");
    try {
      this.model = await this.generator.load((progress) => this.tellLoading(progress));
    } catch (error) {
      show("loading", false);
      show("failure", true);
      element("failure-told").textContent = messageOf(error);
      element("retry").focus();
      return;
    }
    const { model } = this;
    show("loading", false);
    show("empty", !this.motions.length);
    if (!this.motions.length) this.stage.rest(model.skeleton);
    element("model").textContent = model.name;
    element("model").title = `${model.name}: ${model.licence}`;
    element("runs-on").textContent = `Made on this device · ${model.runs_on}`;
    if (!model.runs_on.startsWith("Web")) element("runs-on").textContent = model.runs_on;
    show("control", model.constraints);
    this.seconds.max = String(Math.min(30, Math.floor(model.max_seconds)));
    this.fillSettings(model);
    element<HTMLButtonElement>("generate").disabled = false;
    this.tellSettings();
    if (!matchMedia(SMALL).matches) this.prompt.focus();
    this.layOut();
    this.options.loaded?.();
  }

  private sharedPrompt = false;

  private tellLoading({ stage, done, total }: Progress): void {
    const bar = element<HTMLProgressElement>("loading-bar");
    if (stage === "fetching" && total) {
      bar.value = done / total;
      element("loading-told").textContent = `Loading the model · ${megabytes(done)} of ${megabytes(total)} MB`;
    } else {
      bar.removeAttribute("value");
      element("loading-told").textContent = "Starting";
    }
  }

  // Generating

  private request(): MotionRequest {
    const model = this.model!;
    const seconds = Number(this.seconds.value);
    const numFrames = Math.trunc(seconds * model.fps);
    const constraints: Constraint[] = [];
    if (this.path) constraints.push(pathConstraint(this.path, numFrames));
    const held = this.poses.filter(({ frame }) => frame < numFrames);
    constraints.push(...held.map((pose) => poseConstraint(pose, this.moved(pose, numFrames))));
    const { num_steps, solver, preset } = this.quality();
    const weights = ["text-weight", "hold-weight"].map((id) => Number(element<HTMLInputElement>(id).value));
    const samples = Number(chosenOf("samples"));
    const given = this.seed.value === "" ? NaN : Math.min(2 ** 32 - samples, Math.max(0, Math.trunc(Number(this.seed.value))));
    if (Number.isFinite(given)) this.seed.value = String(given); // as it is used
    return {
      prompts: [this.prompt.value.trim()],
      multi_prompt: true,
      seconds,
      seed: Number.isFinite(given) ? given : crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000,
      num_samples: samples,
      sample_seeds: true,
      num_steps,
      solver,
      ...(preset && { preset }),
      ...(weights.length === model.defaults.guidance_weights.length ? { guidance_weights: weights } : {}),
      ...(this.path ? { first_heading_rad: Math.round(firstHeading(this.path) * 1e4) / 1e4 } : {}),
      ...(constraints.length ? { constraints } : {}),
      postprocess: element<HTMLInputElement>("clean").checked,
    };
  }

  private async generate(): Promise<void> {
    if (!this.model || this.abort) return;
    this.setDrawing(false);
    const request = this.request();
    const take = this.takeOf(request);
    this.abort = new AbortController();
    this.busy(true);
    const made: Motion[] = [];
    try {
      const motions = await this.generator.generate(request, {
        signal: this.abort.signal,
        onProgress: (progress) => this.tellProgress(progress),
        onMotion: (motion, index) => {
          made[index] = motion;
          if (index === made.length - 1 && !made.includes(undefined as unknown as Motion)) this.showMotions([...made], index > 0);
        },
      });
      if (made.length !== motions.length) this.showMotions(motions, made.length > 0);
      await this.keep(take, motions);
    } catch (error) {
      if ((error as Error).name === "AbortError") this.notice("Cancelled");
      else this.problem(messageOf(error));
      // What was made before is the same as with fewer samples.
      const whole = made.slice(0, made.findIndex((motion) => !motion) >>> 0);
      if (whole.length) await this.keep({ ...take, request: { ...request, num_samples: whole.length } }, whole);
    } finally {
      this.abort = null;
      this.busy(false);
    }
  }

  private showMotions(motions: Motion[], more: boolean): void {
    this.motions = motions;
    if (!more) this.takes.forget();
    this.stand(more);
    Object.assign(globalThis, { motions });
  }

  /** Put the figures on the stage; with more as they go on, else from the beginning. */
  private stand(more: boolean): void {
    if (!this.motions.length) return;
    show("empty", false);
    const beside = this.takes.beside().map(({ motion }) => motion);
    this.figures = [...this.motions, ...beside];
    const { figures } = this;
    this.characters.forEach((character) => character?.dispose());
    this.characters = [];
    const apart = element("apart").ariaPressed === "true";
    this.stage.show(figures, apart);
    this.stage.chosen = Math.min(this.stage.chosen, figures.length - 1);
    if (!more) {
      this.time = 0;
      this.play(true);
      this.stage.chosen = 0;
    }
    this.stage.pose(this.time);
    this.label();
    this.refreshHeld();
    for (const id of ["transport", "take", "follow", "frame"]) show(id, true);
    show("apart", figures.length > 1);
    element<HTMLButtonElement>("hold").disabled = false;
    this.layOut();
    this.stage.draw(1, this.time);
    this.stage.frame();
    if (this.wardrobe) void this.dress();
  }

  // Takes

  private takeOf(request: MotionRequest): NewTake {
    return {
      made: Date.now(),
      name: request.prompts![0] || "no prompt",
      model: this.model!.name,
      request,
      quality: chosenOf("quality"),
      path: this.path,
      held: this.poses.map(({ frame, motion, source }) => ({ frame, pose: frameOf(motion, source) })),
      picture: "",
    };
  }

  private async keep(take: NewTake, motions: Motion[]): Promise<void> {
    await this.takes.add({ ...take, made: Date.now(), picture: thumbnail(motions[0]!) }, motions);
    this.tellShown(take.request);
  }

  private showTake(take: Take, motions: Motion[]): void {
    this.motions = motions;
    this.stand(false);
    Object.assign(globalThis, { motions });
    this.tellShown(take.request);
  }

  private tellShown(request: MotionRequest): void {
    const hint = this.motions[0]?.info.hint;
    const prompt = request.prompts![0]!;
    // Whoever wrote a long prompt knows it: the hint is what is new.
    element("hint").textContent = typeof hint === "string" ? capital(prompt ? hint.replaceAll(prompt, shortened(prompt, 48)) : hint) : "";
    show("hint", typeof hint === "string");
    this.address(request);
    this.label(); // its name is known now
  }

  /** Put what a take was made with into the form. */
  private reuse({ request, quality, path, held, model }: Take): void {
    this.prompt.value = request.prompts![0]!;
    this.seconds.value = String(request.seconds);
    this.seed.value = String(request.seed);
    choose("samples", String(request.num_samples));
    choose("quality", quality);
    ["text-weight", "hold-weight"].forEach((id, i) => {
      const weight = request.guidance_weights?.[i];
      if (weight !== undefined) element<HTMLInputElement>(id).value = String(weight);
    });
    element<HTMLInputElement>("clean").checked = request.postprocess ?? true;
    this.path = path;
    // A pose of another model's skeleton cannot be held here.
    const same = model === this.model?.name;
    this.poses = same ? held.map(({ frame, pose }) => ({ id: this.next++, frame, motion: pose, source: 0 })) : [];
    this.tellSettings();
    this.refreshHeld();
    if (element("panel").offsetParent === null) this.takes.close();
    this.prompt.focus();
    this.notice(same || !held.length ? "The form has its settings" : "The form has its settings, without the poses of another model");
  }

  /** Show the take that this page showed, or that the address asks for, if it was kept. */
  private async findShared(): Promise<void> {
    const shown = (history.state as { take?: number } | null)?.take;
    const found = shown !== undefined && (await this.takes.find(({ id }) => id === shown));
    // What was deleted is not made again because the page is loaded again.
    if (found || (shown ?? 0) > 0) this.sharedPrompt = false;
    else if (this.sharedPrompt) {
      const { prompt, seconds, seed } = this;
      const asked = [prompt.value.trim(), Number(seconds.value), seed.value, this.sharedSamples].join("\n");
      const found = await this.takes.find(({ request, quality }) => {
        const plain = !request.constraints && request.postprocess !== false && quality === "usual";
        return plain && asked === [request.prompts![0], request.seconds, request.seed, request.num_samples].join("\n");
      });
      if (found) this.sharedPrompt = false;
    }
  }

  private tellProgress({ stage, done, total }: Progress): void {
    const part = total ? done / total : 0;
    element("generate").style.setProperty("--done", String(part));
    element("generate-told").textContent = stage === "denoising" ? `Generating ${Math.round(100 * part)} %` : capital(stage);
  }

  private busy(is: boolean): void {
    const button = element<HTMLButtonElement>("generate");
    button.classList.toggle("busy", is);
    button.disabled = is;
    button.style.setProperty("--done", "0");
    element("generate-told").textContent = is ? "Reading the text" : "Generate";
    show("cancel", is);
    show("problem", false);
  }

  // What is held

  private setDrawing(drawing: boolean): void {
    this.drawing = drawing;
    this.stage.lock(drawing);
    element("stage").classList.toggle("drawing", drawing);
    element("draw").ariaPressed = String(drawing);
    show("drawing", drawing);
    if (!drawing) return;
    this.notice("");
    if (this.motions.length) this.seek(0); // from where they begin
  }

  private holdPose(): void {
    const motion = this.figures[this.stage.chosen];
    if (!motion) return;
    if (motion.skeleton.name !== this.model?.skeleton.name) {
      this.notice("This pose is another model's: it cannot be held here");
      return;
    }
    const frame = Math.min(Math.round(this.time * motion.fps), motion.num_frames - 1);
    this.poses = this.poses.filter((pose) => pose.frame !== frame);
    this.poses.push({ id: this.next++, frame, motion, source: frame });
    this.play(false);
    this.refreshHeld();
    this.notice("This pose is held in what you generate next; drag its mark to another time");
  }

  /** How a pose is brought to the path, which it cannot be held beside. */
  private moved({ frame, motion, source }: HeldPose, numFrames: number): Moved | null {
    if (!this.path || frame >= numFrames) return null;
    const [x, , z] = motion.root_positions.subarray(3 * source, 3 * source + 3);
    const turn = matrixOf(motion.local_rotations.subarray(4 * source * motion.skeleton.parents.length));
    return ontoPath(this.path, frame, numFrames, [x!, z!], Math.atan2(turn[0]![2]!, turn[2]![2]!));
  }

  private movePose(id: number, frame: number): void {
    const pose = this.poses.find((held) => held.id === id);
    if (!pose || pose.frame === frame) return;
    pose.frame = frame;
    this.refreshHeld();
  }

  private removePose(id: number): void {
    this.poses = this.poses.filter((held) => held.id !== id);
    this.refreshHeld();
  }

  private refreshHeld(): void {
    const shown = this.figures[this.stage.chosen];
    const asked = Math.trunc(Number(this.seconds.value) * (this.model?.fps ?? shown?.fps ?? 1));
    this.stage.hold(
      this.path,
      this.poses.map((pose) => ({ motion: pose.motion, frame: pose.source, moved: this.moved(pose, asked) })),
    );
    if (shown) this.timeline.show(shown, { keys: this.poses, path: this.path !== null, numFrames: asked });
    const list = element("constraints");
    list.replaceChildren();
    const item = (kind: string, text: string, small: string, remove: () => void): HTMLLIElement => {
      const row = document.createElement("li");
      row.className = kind;
      const told = document.createElement("span");
      told.append(`${text} `, Object.assign(document.createElement("small"), { textContent: small }));
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "×", ariaLabel: `Remove: ${text}` });
      button.onclick = () => {
        remove();
        this.refreshHeld();
      };
      row.append(told, button);
      list.append(row);
      return row;
    };
    if (this.path) {
      const length = lengthOf(this.path);
      const pace = length / Number(this.seconds.value);
      const fast = pace > FASTEST_MPS;
      const told = `${length.toFixed(1)} m · ${pace.toFixed(1)} m/s${fast ? ", nobody runs so fast: take longer" : ""}`;
      item("path", "Path", told, () => (this.path = null)).classList.toggle("doubtful", fast);
    }
    const fps = this.model?.fps ?? 1;
    for (const pose of [...this.poses].sort((a, b) => a.frame - b.frame)) {
      const late = pose.frame >= asked;
      const row = item("pose", "Pose", `at ${(pose.frame / fps).toFixed(1)} s${late ? ", after the end" : ""}`, () => this.removePose(pose.id));
      row.classList.toggle("doubtful", late);
    }
  }

  // Playback

  private loop(now: number, before: number): void {
    const seconds = Math.min((now - before) / 1000, 0.1);
    if (this.motions.length) {
      const { duration } = this.timeline;
      if (this.playing && duration > 0) {
        this.time += seconds * Number(element<HTMLSelectElement>("speed").value);
        if (this.time > duration) this.time %= duration;
      }
      this.stage.pose(this.time);
      this.timeline.draw(this.time);
      element("time").innerHTML = "";
      element("time").append(
        Object.assign(document.createElement("b"), { textContent: this.time.toFixed(1) }),
        ` / ${duration.toFixed(1)} s`,
      );
      this.moveLabels();
    }
    this.stage.draw(seconds, this.time);
    requestAnimationFrame((later) => this.loop(later, now));
  }

  private play(playing: boolean): void {
    this.playing = playing;
    element("play").classList.toggle("playing", playing);
    element("play").ariaLabel = playing ? "Pause" : "Play";
  }

  private seek(time: number): void {
    this.play(false);
    this.time = Math.min(this.timeline.duration, Math.max(0, time));
  }

  private label(): void {
    const labels = element("labels");
    labels.replaceChildren();
    const beside = this.takes.beside();
    if (this.figures.length > 1) this.figures.forEach((motion, i) => {
      const seed = `seed ${Number(motion.info.seed)}`;
      const name = beside[i - this.motions.length]?.name ?? this.takes.current?.name ?? String(motion.info.prompt);
      const text = beside.length ? `${shortened(name, 16)} · ${seed}` : `${i + 1} · ${seed}`;
      const label = Object.assign(document.createElement("button"), { type: "button", textContent: text });
      label.onclick = () => {
        this.stage.chosen = i;
        this.choose();
      };
      labels.append(label);
    });
    this.choose();
  }

  private choose(): void {
    this.widths = [];
    [...element("labels").children].forEach((label, i) => (label.ariaPressed = String(i === this.stage.chosen)));
    const { chosen } = this.stage;
    const beside = this.takes.beside()[chosen - this.motions.length];
    element("chosen").textContent = beside ? shortened(beside.name, 22) : this.motions.length > 1 ? `sample ${chosen + 1}` : "";
    this.refreshHeld();
  }

  private moveLabels(): void {
    const labels = element("labels").children as HTMLCollectionOf<HTMLElement>;
    if (!labels.length) return;
    const placed: { x: number; y: number; width: number }[] = [];
    const { left, right } = this.insets;
    const end = element("labels").clientWidth - right;
    this.stage.heads().forEach(({ x: above, y, room, shown }, i) => {
      const label = labels[i];
      if (!label) return;
      label.style.maxWidth = `${room}px`;
      const width = (this.widths[i] ??= label.offsetWidth);
      const x = Math.min(Math.max(above, left + width / 2 + 4), end - width / 2 - 4);
      // A label that another one covers goes above it.
      const covers = (other: { x: number; y: number; width: number }): boolean =>
        Math.abs(other.x - x) < (other.width + width) / 2 + 2 && Math.abs(other.y - low) < LABEL_PX;
      let low = Math.max(6, y - LABEL_PX);
      for (let other; low > 6 && (other = placed.find(covers)); ) low = Math.max(6, other.y - LABEL_PX);
      placed.push({ x, y: low, width });
      label.style.transform = `translate(-50%, 0) translate(${x.toFixed(1)}px, ${low.toFixed(1)}px)`;
      label.style.visibility = shown ? "visible" : "hidden";
    });
  }

  // Taking it away

  /** Save motions as a file, several in a .zip. */
  private save(motions: Motion[], format: string, name: string): void {
    const [, kind, write] = FORMATS.find(([label]) => label === format)!;
    const words = name.toLowerCase().match(/[\p{L}\p{N}]+/gu)?.slice(0, 8).join("-").slice(0, 80) || "motion";
    const suffix = format.toLowerCase();
    try {
      const files = motions.map(write);
      const members = files.map((file, i): [string, Uint8Array] => [
        `${words}-${i + 1}.${suffix}`,
        typeof file === "string" ? new TextEncoder().encode(file) : file,
      ]);
      const [data, type, ending] = files.length === 1 ? [files[0]!, kind, suffix] : [toZip(members), "application/zip", "zip"];
      const url = URL.createObjectURL(new Blob([data], { type }));
      Object.assign(document.createElement("a"), { href: url, download: `${words}.${ending}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      this.problem(messageOf(error));
    }
  }

  private saveChosen(format: string): void {
    const motion = this.figures[this.stage.chosen];
    const beside = this.takes.beside()[this.stage.chosen - this.motions.length];
    if (motion) this.save([motion], format, beside?.name ?? this.takes.current?.name ?? String(motion.info.prompt));
  }

  private async wear(file: File): Promise<void> {
    this.notice(`Reading ${file.name}`);
    try {
      const { readCharacter } = await import("./character");
      this.wardrobe = await readCharacter(file);
      if (!this.motions.length) this.notice(`${file.name} is ready: generate a motion for it`);
      else await this.dress();
    } catch (error) {
      this.notice("");
      this.problem(messageOf(error));
    }
  }

  private async dress(): Promise<void> {
    const { wardrobe, figures } = this;
    if (!wardrobe) return;
    const characters = await Promise.all(figures.map((motion) => wardrobe.put(motion)));
    if (figures !== this.figures) {
      characters.forEach((character) => character.dispose());
      return;
    }
    this.characters.forEach((character) => character?.dispose());
    this.characters = characters;
    this.stage.dress(characters);
    this.notice("");
    element("character").textContent = "Figure again";
  }

  private undress(): void {
    this.wardrobe = null;
    this.characters.forEach((character) => character?.dispose());
    this.characters = [];
    this.stage.dress([]);
    element("character").textContent = "Your character…";
  }

  /** What was asked for, as an address that asks for it again; what is held is not in it. */
  private address(request: MotionRequest): void {
    const parts = new URLSearchParams({
      prompt: request.prompts![0]!,
      seconds: String(request.seconds),
      seed: String(request.seed),
      samples: String(request.num_samples),
    });
    const take = this.takes.current?.id;
    history.replaceState({ take }, "", `${location.pathname}${location.search}#${parts}`);
  }

  private fromAddress(): void {
    const parts = new URLSearchParams(location.hash.slice(1));
    const prompt = parts.get("prompt");
    if (prompt === null) return;
    this.prompt.value = prompt.slice(0, 600);
    this.seconds.value = parts.get("seconds") ?? this.seconds.value;
    this.seed.value = parts.get("seed") ?? "";
    this.sharedSamples = parts.get("samples") ?? "1";
    this.sharedPrompt = true;
  }

  private sharedSamples = "1";

  // The form

  private quality(): { num_steps: number; solver: string; preset?: "fast" } {
    const { num_steps, solver } = this.model!.defaults;
    const fast = chosenOf("quality") === "fast"; // which also guides fewer steps
    const [steps, by] = { fast: [12, "dpmpp-2m"] as const, exact: [100, "ddim"] as const }[chosenOf("quality")] ?? [num_steps, solver];
    return { num_steps: Math.min(steps, this.model!.max_steps), solver: by, ...(fast && { preset: "fast" as const }) };
  }

  private fillSettings(model: ModelInfo): void {
    const [text, held] = model.defaults.guidance_weights;
    for (const [id, value] of [["text-weight", text], ["hold-weight", held]] as const) {
      const input = element<HTMLInputElement>(id);
      if (value === undefined) {
        input.hidden = input.previousElementSibling!.toggleAttribute("hidden", true);
        continue;
      }
      input.value = String(value);
    }
    for (const prompt of EXAMPLES) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: prompt });
      button.onclick = () => {
        this.prompt.value = prompt;
        void this.generate();
      };
      element("examples").append(button);
    }
    for (const [name] of FORMATS) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.onclick = () => this.saveChosen(name);
      element("downloads").append(button);
    }
  }

  private tellSettings(): void {
    const seconds = Number(this.seconds.value);
    element("seconds-told").textContent = `${seconds.toFixed(1)} s`;
    for (const id of ["text-weight", "hold-weight"]) element(`${id}-told`).textContent = element<HTMLInputElement>(id).value;
    for (const range of document.querySelectorAll<HTMLInputElement>("input[type=range]")) {
      const [least, most] = [Number(range.min), Number(range.max)];
      range.style.setProperty("--fill", `${(100 * (Number(range.value) - least)) / (most - least)}%`);
    }
  }

  private wire(): void {
    const form = element<HTMLFormElement>("panel");
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.generate();
    };
    this.prompt.onkeydown = (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.generate();
    };
    form.oninput = () => this.tellSettings();
    this.seconds.addEventListener("input", () => this.refreshHeld());
    element("dice").onclick = () => {
      this.seed.value = "";
      this.seed.focus();
    };
    element("cancel").onclick = () => this.abort?.abort();
    element("retry").onclick = () => void this.load();
    element("draw").onclick = () => this.setDrawing(!this.drawing);
    element("stop-drawing").onclick = () => this.setDrawing(false);
    element("hold").onclick = () => this.holdPose();
    element("play").onclick = () => this.play(!this.playing);
    element("frame").onclick = () => this.stage.frame();
    element("follow").onclick = () => {
      this.stage.follows = toggle("follow");
      this.stage.frame();
    };
    element("apart").onclick = () => {
      this.stage.place(toggle("apart"));
      this.refreshHeld();
      this.stage.frame();
    };
    element("copy").onclick = () => {
      void navigator.clipboard?.writeText(location.href).then(
        () => this.notice("Link copied"),
        () => this.notice("The link is in the address bar"),
      );
    };
    const file = element<HTMLInputElement>("character-file");
    element("character").onclick = () => (this.wardrobe ? this.undress() : file.click());
    file.onchange = () => {
      if (file.files?.[0]) void this.wear(file.files[0]);
      file.value = "";
    };
    this.wirePath();
    this.wireDrop();
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.layOut());
  }

  private key(event: KeyboardEvent): void {
    const { target } = event;
    if (event.key === "Escape") {
      if (this.abort) this.abort.abort();
      else this.setDrawing(false);
    }
    const typing = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
    if (typing || target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && !(target instanceof HTMLButtonElement)) this.play(!this.playing);
    else if (event.key === "f") this.stage.frame();
    else if (event.key.startsWith("Arrow") && this.motions.length) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) this.seek(this.time + step / this.motions[0]!.fps);
    } else return;
    event.preventDefault();
  }

  private wirePath(): void {
    const canvas = element<HTMLCanvasElement>("view");
    let drawn: Point[] | null = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.drawing || event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      drawn = [];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawn) return;
      const point = this.stage.onFloor(event);
      if (!point) return;
      drawn.push(point);
      this.path = smoothed(drawn);
      this.refreshHeld();
    });
    const end = (): void => {
      if (!drawn) return;
      drawn = null;
      if (this.path && lengthOf(this.path) < 0.3) this.path = null;
      this.refreshHeld();
      this.setDrawing(false);
      if (this.path) this.notice("The path is gone in what you generate next");
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
  }

  private wireDrop(): void {
    const over = (is: boolean) => (event: DragEvent): void => {
      event.preventDefault();
      show("drop", is);
    };
    addEventListener("dragover", over(true));
    addEventListener("dragleave", (event) => event.relatedTarget === null && over(false)(event));
    addEventListener("drop", (event) => {
      over(false)(event);
      const file = event.dataTransfer?.files[0];
      if (file) void this.wear(file);
    });
  }

  private layOut(): void {
    const small = matchMedia(SMALL).matches;
    const beside = matchMedia("(min-width: 1200px)").matches && !element("takes").hidden;
    const [empty, transport] = [element("empty"), element("transport")];
    const below = empty.hidden ? 0 : empty.offsetHeight + 16;
    this.insets = {
      left: small ? 0 : 374,
      right: small ? 0 : beside ? 318 : 0,
      top: this.figures.length > 1 ? 78 : small ? 46 : 14, // of the tools and the labels below them
      bottom: small ? below : Math.max(below, transport.hidden ? 0 : 76),
    };
    this.stage.keepClear(this.insets);
  }

  private notice(text: string, action?: [string, () => void]): void {
    clearTimeout(this.noticed);
    const notice = element("notice");
    notice.replaceChildren(text);
    const hide = (): void => {
      show("notice", false);
      notice.replaceChildren();
    };
    if (action) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: action[0] });
      button.onclick = () => {
        hide();
        action[1]();
      };
      notice.append(button);
    }
    show("notice", text !== "" && !this.drawing);
    this.noticed = setTimeout(hide, action ? 9000 : 4500);
  }

  private problem(text: string): void {
    element("problem").textContent = text;
    show("problem", true);
    element("problem").scrollIntoView({ block: "nearest" });
  }
}

function poseConstraint({ frame, motion, source }: HeldPose, moved: Moved | null): PoseConstraint {
  const joints = motion.skeleton.parents.length;
  const rotations = Array.from({ length: joints }, (_, joint) => {
    const at = 4 * (source * joints + joint);
    return matrixOf(motion.local_rotations.subarray(at, at + 4));
  });
  const [x, y, z] = motion.root_positions.subarray(3 * source, 3 * source + 3) as unknown as [number, number, number];
  const smooth = motion.smooth_root_positions;
  const [sin, cos] = [Math.sin(moved?.turn ?? 0), Math.cos(moved?.turn ?? 0)];
  const place = (x: number, z: number): Point => {
    if (!moved) return [x, z];
    const [across, along] = [x - moved.from[0], z - moved.from[1]];
    return [moved.to[0] + cos * across + sin * along, moved.to[1] + cos * along - sin * across];
  };
  if (moved) {
    const [first, middle, last] = rotations[0] as [number[], number[], number[]];
    rotations[0] = [first.map((v, i) => cos * v + sin * last[i]!), middle, first.map((v, i) => cos * last[i]! - sin * v)];
  }
  const [across, along] = place(x, z);
  return {
    type: "fullbody",
    frame_indices: [frame],
    local_joints_rot: [rotations],
    root_positions: [[across, y, along]],
    ...(smooth ? { smooth_root_2d: [place(smooth[3 * source]!, smooth[3 * source + 2]!)] } : {}),
  };
}

function matrixOf(quaternion: Float32Array): number[][] {
  const [w, x, y, z] = quaternion as unknown as [number, number, number, number];
  const s = 2 / (w * w + x * x + y * y + z * z);
  return [
    [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
    [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
    [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
  ];
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const capital = (text: string): string => (/^[\w./-]+:/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1));
const shortened = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);
const show = (id: string, is: boolean): void => void (element(id).hidden = !is);

function messageOf(error: unknown): string {
  if (error instanceof MotionrtError) return capital(error.message);
  return `Something went wrong: ${error instanceof Error ? error.message : String(error)}`;
}

function toggle(id: string): boolean {
  const is = element(id).ariaPressed !== "true";
  element(id).ariaPressed = String(is);
  return is;
}

function segments(id: string, choices: [string, string][], chosen: string): void {
  for (const [value, text] of choices) {
    const label = document.createElement("label");
    label.append(Object.assign(document.createElement("input"), { type: "radio", name: id, value, checked: value === chosen }), text);
    element(id).append(label);
  }
}

function choose(id: string, value: string): void {
  const input = document.querySelector<HTMLInputElement>(`#${id} input[value="${CSS.escape(value)}"]`);
  if (input) input.checked = true;
}

const chosenOf = (id: string): string => document.querySelector<HTMLInputElement>(`#${id} input:checked`)?.value ?? "1";
