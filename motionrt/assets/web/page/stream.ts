/** The page of a motion without an end: it is told what to do while it plays. */
import { BrowserGenerator, MotionrtError, type ModelInfo, type MotionStream, type Progress } from "motionrt-web";
import { keepOffline, keepTheRest } from "./offline";
import { Rolling } from "./rolling";
import { StreamStage } from "./stream_stage";

const EXAMPLES = ["a person stands", "a person walks forward", "a person walks in a circle", "a person waves", "a person dances"];
const MOST_SAID = 40;
const CHUNK_S = 0.1;
/** Frames that still play after something else was asked for: time to make others. */
const REACTION_S = 0.3;
const GOAL_SECONDS_A_METRE = 0.9;
const LEAST_GOAL_SECONDS = 1.5;
const NEAR_M = 0.2;
const WALK_MPS = 1.2;
const RUN_MPS = 2.8;
const CLICK_PX = 6;
const PAD_PX = 34;

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const show = (id: string, shown: boolean): void => void (element(id).hidden = !shown);

const messageOf = (error: unknown): string =>
  error instanceof MotionrtError ? error.message : `Something went wrong: ${error instanceof Error ? error.message : String(error)}`;

class Page {
  private readonly stage = new StreamStage(element<HTMLCanvasElement>("view"));
  private readonly prompt = element<HTMLTextAreaElement>("prompt");
  private readonly seed = element<HTMLInputElement>("seed");
  private rolling = new Rolling();
  private model: ModelInfo | null = null;
  private stream: MotionStream | null = null;
  private said: string[] = [];
  private goal: [number, number] | null = null;
  /** The frame by which it is to be there. */
  private goalFrame = 0;
  private playing = false;
  /** Counts plays: one that was stopped shows nothing any more. */
  private turn = 0;
  private readonly held = new Set<string>();
  private readonly pushed: [number, number] = [0, 0];
  private runs = false;

  constructor(private readonly generator: BrowserGenerator) {}

  async start(): Promise<void> {
    document.body.dataset.started = "yes";
    const asked = new URLSearchParams(location.hash.slice(1));
    this.prompt.value = asked.get("prompt") ?? "";
    this.seed.value = asked.get("seed") ?? "";
    this.wire();
    requestAnimationFrame((now) => this.loop(now, now));
    setInterval(() => this.tell(), 250);
    await keepOffline();
    await this.load();
  }

  // The model

  private async load(): Promise<void> {
    show("failure", false);
    show("loading", true);
    try {
      this.model = await this.generator.load((progress) => this.tellLoading(progress));
      const { name, licence, runs_on, prompts, constraints, skeleton } = this.model;
      element("model").textContent = name;
      element("model").title = licence ? `${name}: ${licence}` : name;
      element("runs-on").textContent = `Made on this device · ${runs_on}`;
      show("steer", constraints);
      show("pad", constraints && matchMedia("(pointer: coarse)").matches);
      this.said = prompts ?? EXAMPLES;
      this.stage.rest(skeleton);
      this.prompt.value ||= this.said[0] ?? "";
      if (prompts) this.prompt.placeholder = "one of the prompts below: this model takes no others";
      await this.begin(this.prompt.value.trim());
    } catch (error) {
      show("loading", false);
      show("failure", true);
      element("failure-told").textContent = messageOf(error);
      element("retry").focus();
      return;
    }
    show("loading", false);
    for (const id of ["say", "play", "clear", "again"]) element<HTMLButtonElement>(id).disabled = false;
    if (!matchMedia("(pointer: coarse)").matches) this.prompt.focus();
    keepTheRest();
  }

  private tellLoading({ stage, done, total }: Progress): void {
    const bar = element<HTMLProgressElement>("loading-bar");
    if (stage === "fetching" && total) {
      bar.value = done / total;
      const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
      element("loading-told").textContent = `Loading the model · ${megabytes(done)} of ${megabytes(total)} MB`;
    } else {
      bar.removeAttribute("value");
      element("loading-told").textContent = "Starting";
    }
  }

  // The stream

  private async begin(prompt: string): Promise<void> {
    const given = Math.trunc(Number(this.seed.value));
    const seed = this.seed.value === "" || !(given >= 0 && given < 2 ** 32) ? undefined : given;
    const { fps } = this.model!;
    const stream = await this.generator.stream({ prompt, seed, reaction_frames: Math.max(1, Math.round(REACTION_S * fps)) });
    this.stream?.close();
    this.stream = stream;
    Object.assign(globalThis, { stream });
    this.rolling = new Rolling();
    this.setGoal(null);
    this.remember(prompt);
    this.address();
    this.play(true);
  }

  private play(on: boolean): void {
    this.turn++;
    this.playing = on;
    const button = element("play");
    button.classList.toggle("playing", on);
    button.ariaLabel = button.title = on ? "Pause" : "Play";
    if (on) void this.run(this.turn);
  }

  private async run(turn: number): Promise<void> {
    const { stream, rolling } = this;
    if (!stream) return;
    try {
      for await (const motion of stream.play({ chunkSeconds: CHUNK_S })) {
        if (rolling === this.rolling) rolling.add(motion);
        if (turn !== this.turn) return;
      }
    } catch (error) {
      if (turn !== this.turn) return;
      this.play(false);
      this.problem(messageOf(error));
    }
  }

  private async say(text: string): Promise<void> {
    this.problem(null);
    if (!this.stream) return;
    const button = element("say");
    button.classList.add("busy");
    try {
      await this.stream.prompt(text);
      this.remember(text);
      this.address();
      if (!this.playing) this.play(true);
    } catch (error) {
      this.problem(messageOf(error));
    } finally {
      button.classList.remove("busy");
    }
  }

  private async again(): Promise<void> {
    this.problem(null);
    if (!this.stream) return;
    this.seed.value ||= String(this.stream.seed);
    this.prompt.value = this.stream.wanted; // and not what was refused
    try {
      await this.begin(this.stream.wanted);
    } catch (error) {
      this.problem(messageOf(error));
    }
  }

  private setGoal(place: [number, number] | null): void {
    this.goal = place;
    this.stage.mark(place);
    const { dataset } = element("view");
    if (place) dataset.goal = place.map((value) => value.toFixed(2)).join(" ");
    else delete dataset.goal;
  }

  private send(place: [number, number]): void {
    if (!this.stream || !this.model?.constraints) return;
    const [x, z] = this.rolling.place;
    const away = Math.hypot(place[0] - x, place[1] - z);
    this.stream.clear(); // one place at a time
    const seconds = Math.max(LEAST_GOAL_SECONDS, away * GOAL_SECONDS_A_METRE);
    this.goalFrame = this.stream.position + seconds * this.stream.fps;
    this.stream.goal(place, seconds);
    this.setGoal(place);
    if (!this.playing) this.play(true);
  }

  /** Walk as keys and the pad say. */
  private steer(): void {
    if (!this.stream || !this.model?.constraints) return;
    const key = (name: string): number => Number(this.held.has(name));
    let [across, along] = [key("ArrowRight") - key("ArrowLeft"), key("ArrowUp") - key("ArrowDown")];
    let speed = this.runs ? RUN_MPS : WALK_MPS;
    const push = Math.hypot(...this.pushed);
    if (push > 0.15) {
      [across, along] = [this.pushed[0] / push, -this.pushed[1] / push];
      speed = push > 0.95 ? RUN_MPS : WALK_MPS * push;
    }
    if (!across && !along) {
      this.stream.velocity(null);
      return;
    }
    if (this.goal) this.stream.clear();
    const [x, z] = this.stage.heading(across, along);
    const size = Math.hypot(x, z) || 1;
    // A turn of the camera by a hair is none: what changes makes a window anew.
    this.stream.velocity([x, z].map((value) => Math.round((10 * value * speed) / size) / 10) as [number, number]);
    this.setGoal(null);
    if (!this.playing) this.play(true);
  }

  // What is told

  private remember(prompt: string): void {
    if (prompt && !this.said.includes(prompt)) this.said = [prompt, ...this.said].slice(0, MOST_SAID);
    element("said").replaceChildren(
      ...this.said.map((text) => {
        const button = document.createElement("button");
        Object.assign(button, { type: "button", textContent: text, title: text, ariaPressed: String(text === prompt) });
        button.onclick = () => {
          this.prompt.value = text;
          void this.say(text);
        };
        return button;
      }),
    );
  }

  private problem(text: string | null): void {
    element("problem").textContent = text;
    show("problem", text !== null);
  }

  private address(): void {
    const told = new URLSearchParams({ prompt: this.stream?.wanted ?? "" });
    if (this.seed.value !== "") told.set("seed", this.seed.value);
    history.replaceState(history.state, "", `#${told}`);
  }

  private tell(): void {
    const { stream, model } = this;
    if (!stream || !model) return;
    const { motion, shown } = this.rolling;
    show("told", motion !== null);
    element("told-prompt").textContent = (motion?.info.prompt as string) || "(no prompt)";
    const minutes = Math.floor(shown / model.fps / 60);
    element("told-time").textContent = `${minutes}:${(shown / model.fps - 60 * minutes).toFixed(1).padStart(4, "0")} · seed ${stream.seed}`;
    const { frames, lastSeconds, waitedSeconds } = stream.timing;
    show("figures", frames > 0);
    const reaction = Math.max((stream.nextChange - stream.position) / model.fps, lastSeconds);
    const milliseconds = (seconds: number): string => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`);
    element("factor").textContent = `${stream.realTimeFactor.toFixed(1)}× real time`;
    element("window").textContent = milliseconds(lastSeconds);
    element("reaction").textContent = milliseconds(reaction);
    element("waited").textContent = `${waitedSeconds.toFixed(1)} s`;
    const slow = frames > 0 && stream.realTimeFactor < 1;
    show("slow", slow);
    if (slow) {
      element("slow").textContent =
        `This device makes ${stream.realTimeFactor.toFixed(2)} s of motion a second, so it pauses between windows.`;
    }
  }

  // Input

  private wire(): void {
    element<HTMLFormElement>("panel").onsubmit = (event) => {
      event.preventDefault();
      void this.say(this.prompt.value.trim());
    };
    this.prompt.onkeydown = (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.say(this.prompt.value.trim());
    };
    element("play").onclick = () => this.play(!this.playing);
    element("clear").onclick = () => {
      this.stream?.clear();
      this.setGoal(null);
    };
    element("again").onclick = () => void this.again();
    element("retry").onclick = () => void this.load();
    this.wireKeys();
    this.wireFloor();
    this.wirePad();
    document.onvisibilitychange = () => {
      // What nobody sees is not made.
      if (document.hidden && this.playing) {
        this.play(false);
        this.paused = true;
      } else if (!document.hidden && this.paused) {
        this.paused = false;
        this.play(true);
      }
    };
  }

  private paused = false;

  private wireKeys(): void {
    const typing = (event: KeyboardEvent): boolean => /^(TEXTAREA|INPUT|BUTTON|A)$/.test((event.target as Element).tagName);
    window.onkeydown = (event) => {
      if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") this.play(!this.playing);
      else if (event.key === "Shift") this.runs = true;
      else if (event.key.startsWith("Arrow")) this.held.add(event.key);
      else return;
      event.preventDefault();
      if (event.key !== " " && this.held.size) this.steer();
    };
    window.onkeyup = (event) => {
      if (event.key === "Shift") this.runs = false;
      const was = this.held.size;
      this.held.delete(event.key);
      if (was) this.steer();
    };
    window.onblur = () => {
      const was = this.held.size;
      this.held.clear();
      this.runs = false;
      if (was) this.steer();
    };
  }

  /** A click on the floor, and not a drag that looks around. */
  private wireFloor(): void {
    const canvas = element<HTMLCanvasElement>("view");
    let down: { id: number; x: number; y: number } | null = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse") canvas.focus({ preventScroll: true });
      down = event.isPrimary && event.button === 0 ? { id: event.pointerId, x: event.clientX, y: event.clientY } : null;
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!down || down.id !== event.pointerId || Math.hypot(event.clientX - down.x, event.clientY - down.y) > CLICK_PX) return;
      down = null;
      const place = this.stage.onFloor(event);
      if (place) this.send(place);
    });
  }

  /** A round pad for fingers: pushed, it walks; pushed to its rim, it runs. */
  private wirePad(): void {
    const pad = element("pad");
    const knob = pad.querySelector("i")!;
    const push = (x: number, y: number): void => {
      const size = Math.max(1, Math.hypot(x, y) / PAD_PX);
      this.pushed[0] = x / PAD_PX / size;
      this.pushed[1] = y / PAD_PX / size;
      knob.style.transform = `translate(${this.pushed[0] * PAD_PX}px, ${this.pushed[1] * PAD_PX}px)`;
      this.steer();
    };
    const follow = (event: PointerEvent): void => {
      if (!pad.hasPointerCapture(event.pointerId)) return;
      const box = pad.getBoundingClientRect();
      push(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
    };
    pad.onpointerdown = (event) => {
      pad.setPointerCapture(event.pointerId);
      follow(event);
    };
    pad.onpointermove = follow;
    pad.onpointerup = pad.onpointercancel = () => push(0, 0);
  }

  // The picture

  private loop(now: number, before: number): void {
    const seconds = Math.min((now - before) / 1000, 0.2);
    const [panel, stage] = ["panel", "stage"].map((id) => element(id).getBoundingClientRect()) as [DOMRect, DOMRect];
    const over = panel.left < stage.right - 1 && panel.top < stage.bottom - 1; // else it is beside or below
    this.stage.covered = over ? panel.right : 0;
    const moves = this.playing && this.rolling.advance(seconds);
    show("waiting", this.playing && !moves && this.isLate(seconds));
    this.dropGoal();
    this.stage.draw(this.rolling, seconds);
    requestAnimationFrame((next) => this.loop(next, now));
  }

  /** Take the mark away once it is there, or the time for it is over. */
  private dropGoal(): void {
    if (!this.goal) return;
    const [x, z] = this.rolling.place;
    const near = Math.hypot(x - this.goal[0], z - this.goal[1]) < NEAR_M;
    if (near || this.rolling.shown > this.goalFrame) this.setGoal(null);
  }

  private still = 0;

  /** Whether nothing has come for long enough to say so. */
  private isLate(seconds: number): boolean {
    const { last } = this;
    this.last = this.rolling.shown;
    this.still = last === this.last ? this.still + seconds : 0;
    return this.still > 0.4;
  }

  private last = -1;
}

const { bundle = "bundle/", webgpu } = document.body.dataset;
const wanted = new URLSearchParams(location.search).has("webgpu") && webgpu === "yes";
void new Page(new BrowserGenerator({ bundle, webgpu: wanted })).start();
