/** What steers a stream, by the frame from which it holds: `motionrt/runtime/ardy/controls.py`. */
import type { Constraint } from "../generator";
import type { Text } from "./network";

/** What is asked of the frames that follow. Never changed: another one takes its place. */
export interface Controls {
  readonly prompt: string;
  /** The prompt, embedded. */
  readonly text: Text;
  /** Of absolute frames; goals are among them. */
  readonly constraints: readonly Constraint[];
  /** Where the root shall go, x and z in metres a second; null leaves it to the prompt. */
  readonly velocity: readonly [number, number] | null;
  /** Tells controls apart that were asked for one after another. */
  readonly serial: number;
}

const withoutPast = (controls: Controls, frame: number): Controls => {
  const left = controls.constraints.filter(({ frame_indices: frames }) => frames.some((each) => each >= frame));
  return left.length === controls.constraints.length ? controls : { ...controls, constraints: left };
};

/** The constraints that still hold at a frame. */
export const heldFrom = (controls: Controls, frame: number): readonly Constraint[] => withoutPast(controls, frame).constraints;

/** Controls by the frame from which they hold, and frames at which is planned anew. */
export class Timeline {
  private held: { frame: number; controls: Controls }[];
  private planned: number[] = [];

  constructor(controls: Controls, frame = 0) {
    this.held = [{ frame, controls }];
  }

  get entries(): readonly { frame: number; controls: Controls }[] {
    return this.held;
  }

  /** Frames at which is planned anew, rising. */
  get cuts(): readonly number[] {
    return this.planned;
  }

  /** What was asked for last. */
  get last(): Controls {
    return this.held.at(-1)!.controls;
  }

  /** What holds at a frame. */
  at(frame: number): Controls {
    return (this.held.findLast((entry) => entry.frame <= frame) ?? this.held.at(-1)!).controls;
  }

  /** Let controls hold from a frame on, or from that of the last change if that is later: which it is. */
  change(frame: number, controls: Controls): number {
    const last = this.held.at(-1)!;
    if (frame <= last.frame) last.controls = controls;
    else this.held.push({ frame, controls });
    return Math.max(frame, last.frame);
  }

  /** Plan anew from a frame on. */
  cut(frame: number): void {
    if (!this.planned.includes(frame)) this.planned = [...this.planned, frame].sort((a, b) => a - b);
  }

  /** The first frame after one that is not to be planned with it; Infinity if there is none. */
  until(frame: number): number {
    const changed = this.held.find((entry) => entry.frame > frame)?.frame ?? Infinity;
    return Math.min(changed, this.planned.find((cut) => cut > frame) ?? Infinity);
  }

  /** Let go of what holds for frames before one alone. */
  forget(before: number): void {
    const kept = Math.max(0, this.held.findLastIndex((entry) => entry.frame <= before));
    this.held = this.held.slice(kept);
    this.planned = this.planned.filter((cut) => cut >= before);
    this.held[0]!.controls = withoutPast(this.held[0]!.controls, before);
  }
}
