/** The timeline: frames, when feet stand, where we are, and poses that are held. */
import type { Motion } from "motionrt-web";

export interface Key {
  id: number;
  frame: number;
}

export interface TimelineEvents {
  seek: (time: number) => void;
  move: (id: number, frame: number) => void;
}

export class Timeline {
  private readonly canvas = document.createElement("canvas");
  private readonly marks = new Map<number, HTMLButtonElement>();
  private motion: Motion | null = null;
  private keys: Key[] = [];

  constructor(
    private readonly element: HTMLElement,
    private readonly events: TimelineEvents,
  ) {
    element.append(this.canvas);
    const seek = (event: PointerEvent): void => this.events.seek(this.part(event) * this.duration);
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

  show(motion: Motion, keys: Key[]): void {
    this.motion = motion;
    this.keys = keys;
    for (const [id, mark] of this.marks) {
      if (keys.some((key) => key.id === id)) continue;
      mark.remove();
      this.marks.delete(id);
    }
    for (const key of keys) {
      const mark = this.marks.get(key.id) ?? this.mark(key.id);
      mark.style.left = `${(100 * key.frame) / Math.max(1, motion.num_frames - 1)}%`;
      mark.title = mark.ariaLabel = `Held pose at ${(key.frame / motion.fps).toFixed(1)} s; arrow keys move it`;
      mark.hidden = key.frame >= motion.num_frames;
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
    const x = (frame: number): number => (frame / Math.max(1, motion.num_frames - 1)) * width;
    const middle = 10;
    ctx.fillStyle = colour("--line");
    ctx.fillRect(0, middle - 1.5, width, 3);
    ctx.fillStyle = colour("--accent");
    const now = (time / this.duration) * width;
    ctx.fillRect(0, middle - 1.5, now, 3);
    const columns = motion.foot_contacts.length / motion.num_frames;
    const half = columns / 2;
    [colour("--left"), colour("--right")].forEach((side, foot) => {
      ctx.fillStyle = side;
      const top = 23 + 8 * foot;
      for (let t = 0; t < motion.num_frames; t++) {
        const row = motion.foot_contacts.subarray(t * columns + foot * half, t * columns + (foot + 1) * half);
        if (row.includes(1)) ctx.fillRect(x(t - 0.5), top, width / motion.num_frames + 0.6, 4);
      }
    });
    ctx.fillStyle = colour("--ink");
    ctx.fillRect(now - 0.75, 2, 1.5, height - 4);
    ctx.beginPath();
    ctx.arc(now, middle, 5.5, 0, 2 * Math.PI);
    ctx.fill();
    this.element.ariaValueMax = this.duration.toFixed(2);
    this.element.ariaValueNow = time.toFixed(2);
    this.element.ariaValueText = `${time.toFixed(1)} seconds`;
  }

  private part(event: PointerEvent): number {
    const box = this.element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  private mark(id: number): HTMLButtonElement {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.className = "key";
    const move = (frame: number): void => {
      const last = (this.motion?.num_frames ?? 1) - 1;
      this.events.move(id, Math.min(last, Math.max(0, Math.round(frame))));
    };
    mark.addEventListener("pointerdown", (event) => mark.setPointerCapture(event.pointerId));
    mark.addEventListener("pointermove", (event) => {
      if (mark.hasPointerCapture(event.pointerId)) move(this.part(event) * ((this.motion?.num_frames ?? 1) - 1));
    });
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const own = this.keys.find((key) => key.id === id);
      if (!step || !own) return;
      event.preventDefault();
      event.stopPropagation();
      move(own.frame + step);
    });
    this.element.append(mark);
    this.marks.set(id, mark);
    return mark;
  }
}
