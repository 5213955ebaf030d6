/** Time as a stream counts it: `motionrt/runtime/ardy/clock.py`. */
import { MotionrtError } from "../generator";

/** Share of a frame that a sum of times may fall short by rounding. */
const EARLY = 1e-6;
const MOST_SECONDS = 1e6;

/** Refuse a time that cannot be meant. */
export function checkSeconds(seconds: number): void {
  if (!(seconds >= 0 && seconds <= MOST_SECONDS)) throw new MotionrtError(`${seconds} s: must be from 0 to ${MOST_SECONDS}`);
}

/** Counts the frames that fall due; what is left of one is remembered. */
export class Elapsed {
  constructor(public rest = 0) {}

  /** Let time go by: the frames that fall due in it. */
  frames(seconds: number, fps: number): number {
    checkSeconds(seconds);
    this.rest += seconds * fps;
    const due = Math.floor(this.rest + EARLY);
    this.rest -= due;
    return due;
  }
}
