/**
 * Noise from a seed: what torch's CPU generator gives, as `motionrt/runtime/sampling/noise.py`.
 *
 * Mersenne Twister with the plain initialisation, then Box-Muller as torch arranges it.
 */
import { MotionrtError } from "../generator";

export const MAX_SEED = 2 ** 32 - 1;
const BLOCK = 16;
const { fround, sqrt, log, log1p, cos, sin } = Math;
const TWO_PI = fround(2 * Math.PI);

/** A stream of 32-bit words. Source: Matsumoto and Nishimura 1998, MT19937. */
class MersenneTwister {
  private readonly state = new Uint32Array(624);
  private index = 624;

  constructor(seed: number) {
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const before = this.state[i - 1]! ^ (this.state[i - 1]! >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
  }

  next(): number {
    if (this.index === 624) this.twist();
    let word = this.state[this.index++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < 624; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      state[i] = state[(i + 397) % 624]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.index = 0;
  }
}

/** A stream of normal draws; consecutive calls continue it, as with torch.manual_seed. */
export class TorchGenerator {
  private readonly words: MersenneTwister;
  private spare: number | null = null;

  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) {
      throw new MotionrtError(`seed ${seed}: must be a whole number from 0 to ${MAX_SEED}`);
    }
    this.words = new MersenneTwister(seed);
  }

  /** Draw count standard normal values: torch.randn's, to 2e-6. */
  randn(count: number): Float32Array {
    const values = new Float32Array(count);
    if (count < BLOCK) {
      for (let i = 0; i < count; i++) values[i] = this.single();
      return values;
    }
    for (let i = 0; i < count; i++) values[i] = this.uniform();
    const whole = count - (count % BLOCK);
    boxMuller(values.subarray(0, whole));
    if (whole !== count) {
      // torch draws the last block anew when the size is no multiple of it.
      const last = values.subarray(count - BLOCK);
      for (let i = 0; i < BLOCK; i++) last[i] = this.uniform();
      boxMuller(last);
    }
    return values;
  }

  /** In [0, 1), of 24 bits. */
  private uniform(): number {
    return (this.words.next() & 0xffffff) * 2 ** -24;
  }

  /** torch's way for fewer than 16: doubles, and a spare one for next time. */
  private single(): number {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    const [u1, u2] = [this.double(), this.double()];
    const radius = sqrt(-2 * log1p(-u2));
    this.spare = radius * sin(2 * Math.PI * u1);
    return radius * cos(2 * Math.PI * u1);
  }

  private double(): number {
    const high = this.words.next() & 0x1fffff;
    return (high * 2 ** 32 + this.words.next()) * 2 ** -53;
  }
}

/** Turn uniform values, whole blocks of 16, into normal ones, in place. */
function boxMuller(values: Float32Array): void {
  const half = BLOCK / 2;
  for (let start = 0; start < values.length; start += BLOCK) {
    for (let i = start; i < start + half; i++) {
      const radius = fround(sqrt(fround(-2 * fround(log(1 - values[i]!)))));
      const angle = fround(TWO_PI * values[i + half]!);
      values[i] = radius * fround(cos(angle));
      values[i + half] = radius * fround(sin(angle));
    }
  }
}
