/**
 * The timeline: frames, when feet stand, where we are, and what is held: poses as marks that are moved and
 * removed, a path as a line. Where something is held it reaches as far as what is generated next.
 */
import type { Motion } from "motionrt-web";

export interface Key {
  id: number;
  frame: number;
}

export interface TimelineEvents {
  seek: (time: number) => void;
  move: (id: number, frame: number) => void;
  remove: (id: number) => void;
}

/** What is held in so many frames that are generated next. */
export interface Held {
  keys: Key[];
  path: boolean;
  numFrames: number;
}

export class Timeline {
  private readonly canvas = document.createElement("canvas");
  private readonly marks = new Map<number, HTMLButtonElement>();
  private readonly slider: HTMLElement;
  private motion: Motion | null = null;
  private held: Held = { keys: [], path: false, numFrames: 0 };

  constructor(
    private readonly element: HTMLElement,
    private readonly events: TimelineEvents,
  ) {
    this.slider = element.querySelector<HTMLElement>("[role=slider]")!;
    this.slider.append(this.canvas);
    const seek = (event: PointerEvent): void => this.events.seek((this.part(event) * this.end) / (this.motion?.fps ?? 1));
    element.addEventListener("pointerdown", (event) => {
      if (event.target instanceof HTMLButtonElement) return;
      element.setPointerCapture(event.pointerId);
      seek(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) seek(event);
    });
    new ResizeObserver(() => this.draw(this.last)).observe(element);
  }

  private last = 0;

  get duration(): number {
    return this.motion ? Math.max(1, this.motion.num_frames - 1) / this.motion.fps : 0;
  }

  /** The last frame that there is room for. */
  private get end(): number {
    const { keys, path, numFrames } = this.held;
    return Math.max(2, this.motion?.num_frames ?? 0, keys.length || path ? numFrames : 0) - 1;
  }

  show(motion: Motion, held: Held): void {
    this.motion = motion;
    this.held = held;
    const { keys } = held;
    for (const [id, mark] of this.marks) {
      if (keys.some((key) => key.id === id)) continue;
      mark.remove();
      this.marks.delete(id);
    }
    for (const key of keys) {
      const mark = this.marks.get(key.id) ?? this.mark(key.id);
      const at = `${(key.frame / motion.fps).toFixed(1)} s`;
      mark.style.left = `${(100 * key.frame) / this.end}%`;
      mark.title = `Held pose at ${at}: drag it or use arrow keys, Delete removes it`;
      mark.ariaValueMax = String(this.end);
      mark.ariaValueNow = String(key.frame);
      mark.ariaValueText = at;
      mark.hidden = key.frame > this.end;
    }
  }

  draw(time: number): void {
    this.last = time;
    const { canvas, motion } = this;
    const { clientWidth: width, clientHeight: height } = this.element;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const ctx = canvas.getContext("2d")!;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    if (!motion) return;
    const style = getComputedStyle(this.element);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const x = (frame: number): number => (frame / this.end) * width;
    const middle = 10;
    ctx.fillStyle = colour("--line");
    ctx.fillRect(0, middle - 1.5, x(motion.num_frames - 1), 3);
    ctx.fillRect(0, middle - 0.5, width, 1); // what is not made yet
    if (this.held.path) {
      ctx.fillStyle = colour("--warm");
      ctx.fillRect(0, middle + 6, x(this.held.numFrames - 1), 2);
    }
    ctx.fillStyle = colour("--accent");
    const now = x(time * motion.fps);
    ctx.fillRect(0, middle - 1.5, now, 3);
    const columns = motion.foot_contacts.length / motion.num_frames;
    const half = columns / 2;
    [colour("--left"), colour("--right")].forEach((side, foot) => {
      ctx.fillStyle = side;
      const top = 23 + 8 * foot;
      for (let t = 0; t < motion.num_frames; t++) {
        const row = motion.foot_contacts.subarray(t * columns + foot * half, t * columns + (foot + 1) * half);
        if (row.includes(1)) ctx.fillRect(x(t - 0.5), top, width / this.end + 0.6, 4);
      }
    });
    ctx.fillStyle = colour("--ink");
    ctx.fillRect(now - 0.75, 2, 1.5, height - 4);
    ctx.beginPath();
    ctx.arc(now, middle, 5.5, 0, 2 * Math.PI);
    ctx.fill();
    this.slider.ariaValueMax = this.duration.toFixed(2);
    this.slider.ariaValueNow = time.toFixed(2);
    this.slider.ariaValueText = `${time.toFixed(1)} seconds`;
  }

  private part(event: PointerEvent): number {
    const box = this.element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  private mark(id: number): HTMLButtonElement {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.className = "key";
    mark.role = "slider";
    mark.ariaLabel = "Held pose";
    mark.ariaValueMin = "0";
    const own = (): number => this.held.keys.find((key) => key.id === id)?.frame ?? 0;
    const move = (frame: number): void => this.events.move(id, Math.min(this.end, Math.max(0, Math.round(frame))));
    mark.addEventListener("pointerdown", (event) => mark.setPointerCapture(event.pointerId));
    mark.addEventListener("pointermove", (event) => {
      if (mark.hasPointerCapture(event.pointerId)) move(this.part(event) * this.end);
    });
    mark.addEventListener("click", () => this.events.seek(own() / (this.motion?.fps ?? 1)));
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      const remove = event.key === "Delete" || event.key === "Backspace";
      if (!step && !remove) return;
      event.preventDefault();
      event.stopPropagation();
      if (step) move(own() + step);
      else {
        this.events.remove(id);
        this.slider.focus();
      }
    });
    this.element.append(mark);
    this.marks.set(id, mark);
    return mark;
  }
}
