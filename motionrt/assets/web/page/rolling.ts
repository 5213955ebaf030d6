/** A motion that goes on: its last seconds, and how far it is shown. */
import type { Motion } from "motionrt-web";

/** Seconds between what has come and what is shown, for a machine's moods. */
const CUSHION_S = 0.15;
/** Seconds that are kept behind what is shown. */
const KEPT_S = 0.5;
/** Seconds of the way that is drawn. */
const TRAIL_S = 6;

type Frames = Pick<Motion, "local_rotations" | "root_positions" | "posed_joints" | "foot_contacts">;
const PARTS = ["local_rotations", "root_positions", "posed_joints", "foot_contacts"] as const;

export class Rolling {
  /** What is held; frames are counted from `first`. Null until something has come. */
  motion: Motion | null = null;
  first = 0;
  /** The frame that is shown, a share of it past. */
  shown = 0;
  /** x and z of the root where it was shown last. */
  readonly trail: [number, number][] = [];

  /** Put frames behind those that are there. */
  add(chunk: Motion): void {
    const { motion } = this;
    if (!motion) {
      this.motion = { ...chunk };
      this.first = this.shown = chunk.info.first_frame as number;
      return;
    }
    const drop = Math.max(0, Math.floor(this.shown) - this.first - Math.round(KEPT_S * motion.fps));
    const num_frames = motion.num_frames - drop + chunk.num_frames;
    const joined = { ...chunk, num_frames } as Motion & Frames;
    for (const part of PARTS) {
      const [old, more] = [motion[part], chunk[part]];
      const size = more.length / chunk.num_frames;
      const values = part === "foot_contacts" ? new Uint8Array(num_frames * size) : new Float32Array(num_frames * size);
      values.set(old.subarray(drop * size));
      values.set(more, (motion.num_frames - drop) * size);
      Object.assign(joined, { [part]: values });
    }
    for (let t = 0; t < drop; t++) this.trail.push([motion.root_positions[3 * t]!, motion.root_positions[3 * t + 2]!]);
    this.trail.splice(0, this.trail.length - Math.round(TRAIL_S * motion.fps));
    this.motion = joined;
    this.first += drop;
  }

  /** The number of the last frame that has come. */
  private get last(): number {
    return this.first + (this.motion?.num_frames ?? 1) - 1;
  }

  /** Let time go by; false where nothing is left to show. */
  advance(seconds: number): boolean {
    if (!this.motion) return false;
    const { fps } = this.motion;
    const ahead = (this.last - this.shown) / fps;
    // A little slower or faster keeps the cushion.
    const speed = 1 + Math.min(0.1, Math.max(-0.1, ahead - CUSHION_S));
    this.shown = Math.min(this.shown + seconds * fps * speed, this.last);
    return this.shown < this.last;
  }

  /** Seconds into what is held. */
  get time(): number {
    return this.motion ? (this.shown - this.first) / this.motion.fps : 0;
  }

  /** x and z of the root now. */
  get place(): [number, number] {
    const { motion } = this;
    if (!motion) return [0, 0];
    const at = 3 * Math.min(motion.num_frames - 1, Math.floor(this.shown) - this.first);
    return [motion.root_positions[at]!, motion.root_positions[at + 2]!];
  }

  /** The way to where it is, the oldest place first. */
  way(): [number, number][] {
    const { motion, trail } = this;
    if (!motion) return [];
    const shown = Math.min(motion.num_frames, Math.floor(this.shown) - this.first + 1);
    const held = Array.from({ length: shown }, (_, t) => [motion.root_positions[3 * t]!, motion.root_positions[3 * t + 2]!]);
    return [...trail, ...held] as [number, number][];
  }
}
