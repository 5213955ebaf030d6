/** Finite scalar quantisation of latents: `motionrt/runtime/ardy/quantizer.py`. */
import { MotionrtError } from "../generator";
import { rint } from "../rounding";
import { standardScale } from "../upright_features";

/** The range of the outermost levels is a little wider, so that they can be reached. */
const WIDENED = 1.001;
const { fround, min, max } = Math;

/** The levels of latents (…, C), and how the denoiser sees them. Source: Mentzer 2024, arXiv:2309.15505. */
export class Quantizer {
  private readonly half: Float32Array;
  private readonly offset: Float32Array;
  private readonly shift: Float32Array;
  private readonly steps: Float32Array;
  private readonly scale: Float32Array;

  constructor(
    levels: Float32Array,
    private readonly mean: Float32Array,
    std: Float32Array,
    private readonly quantises: boolean,
    private readonly normalises: boolean,
  ) {
    if (mean.length !== levels.length || std.length !== levels.length) {
      throw new MotionrtError("levels and statistics of latents must be as many");
    }
    this.half = levels.map((count) => fround((count - 1) * fround(WIDENED)) / 2);
    this.offset = levels.map((count) => (count % 2 ? 0 : 0.5));
    this.shift = levels.map((_, i) => Math.atanh(fround(this.offset[i]! / this.half[i]!)));
    this.steps = levels.map((count) => Math.floor(count / 2));
    this.scale = standardScale(std);
  }

  /** Turn what the encoder gives into latents as the denoiser sees them. */
  latents(encoded: Float32Array): Float32Array {
    return this.normalized(this.quantises ? this.quantize(encoded) : encoded);
  }

  /** Bring latents that the denoiser gave onto the grid of levels. */
  requantized(latents: Float32Array): Float32Array {
    return this.quantises ? this.normalized(this.onGrid(this.unnormalized(latents))) : latents;
  }

  /** Turn latents into what the decoder takes: values on the grid of levels. */
  codes(latents: Float32Array): Float32Array {
    const values = this.unnormalized(latents);
    return this.quantises ? this.onGrid(values) : this.quantize(values);
  }

  private quantize(encoded: Float32Array): Float32Array {
    const { half, offset, shift, steps } = this;
    return this.each(encoded, (value, c) => {
      const bounded = fround(fround(Math.tanh(fround(value + shift[c]!))) * half[c]!);
      return rint(fround(bounded - offset[c]!)) / steps[c]!;
    });
  }

  // 1 is allowed here, though an even number of levels ends below it.
  private onGrid(values: Float32Array): Float32Array {
    return this.each(values, (value, c) => rint(fround(min(max(value, -1), 1) * this.steps[c]!)) / this.steps[c]!);
  }

  private normalized(values: Float32Array): Float32Array {
    if (!this.normalises) return values;
    return this.each(values, (value, c) => fround(value - this.mean[c]!) / this.scale[c]!);
  }

  private unnormalized(values: Float32Array): Float32Array {
    if (!this.normalises) return values;
    return this.each(values, (value, c) => fround(value * this.scale[c]!) + this.mean[c]!);
  }

  private each(values: Float32Array, change: (value: number, channel: number) => number): Float32Array {
    const channels = this.steps.length;
    return values.map((value, i) => change(value, i % channels));
  }
}
