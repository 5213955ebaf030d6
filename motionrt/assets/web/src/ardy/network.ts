/**
 * ARDY's networks as functions of arrays: `motionrt/runtime/ardy/network.py`.
 *
 * Features are normalised; tokens are hybrid: the root of their frames, then the body's latent. Arrays
 * are flat: B samples, N tokens, T frames.
 */
import { MotionrtError } from "../generator";
import type { Values } from "../graphs";
import { guidanceBranches, type Guidance } from "../sampling/guidance";
import { cosineSchedule } from "../sampling/schedule";
import { NUM_LOCAL_ROOT_FEATURES, type ArdyFeatures } from "./features";
import type { Quantizer } from "./quantizer";
import { NUM_ROOT_FEATURES, tokenRootWidth, tokenWidth, type ArdySizes } from "./sizes";

/** Runs the graph of a name. */
export type Run = (
  name: string,
  inputs: Record<string, Values>,
  dims: Record<string, number>,
) => Promise<Record<string, Values>>;

/** Waits until messages were looked at, throws if what is made is not wanted any more. */
export type Breathe = (step: number) => Promise<void>;

/** Texts as the denoiser takes them. */
export interface Text {
  /** (B, K, 2 * hidden width): embedded for both stages, zero for no text. */
  tokens: Float32Array;
  /** (B, K). */
  mask: Uint8Array;
}

/** What is known of the frames of a window, (B, T, D) both: normalised, zero where unknown. */
export interface Conditions {
  observed: Float32Array;
  /** 1 where observed holds, else 0. */
  mask: Float32Array;
}

export interface Denoising {
  /** (B, K, W) tokens that went before, around the window's origin; none of them if empty. */
  history: Float32Array;
  /** (B, H, W), standard normal. */
  noise: Float32Array;
  text: Text;
  /** (B,), of the first frame of history, or of the first generated. */
  headings: Float32Array;
  /** (B, 3), where the window's origin lies in the world, metres; height 0. */
  translation: Float32Array;
  /** From the first frame of history on; frames beyond the generated ones are goals. */
  conditions: Conditions | null;
  guidance: Guidance;
  numSteps: number;
  breathe: Breathe;
}

/** What is known, in tokens (B, N, frames * D), and which lie beyond what is generated (B, N). */
interface Known {
  mask: Float32Array;
  observed: Float32Array;
  future: Uint8Array;
  count: number;
}

export class Network {
  readonly tokenWidth: number;

  constructor(
    readonly sizes: ArdySizes,
    readonly features: ArdyFeatures,
    readonly quantizer: Quantizer,
    private readonly timeTokens: Float32Array,
    private readonly run: Run,
  ) {
    this.tokenWidth = tokenWidth(sizes);
  }

  /** Embed text features, a row (W,) for each text; a text whose mask is false is none. */
  async text(features: readonly Float32Array[], mask: readonly boolean[]): Promise<Text> {
    const { num_text_tokens: most, hidden_width: hidden, text_width } = this.sizes;
    const width = 2 * hidden;
    const tokens = new Float32Array(features.length * most * width);
    const known = new Uint8Array(features.length * most);
    for (const [b, row] of features.entries()) {
      if (row.length !== text_width && row.length !== width) {
        throw new MotionrtError(`text features of ${row.length} numbers, should be ${text_width}`);
      }
      known[b * most] = Number(mask[b]);
      if (!mask[b] || row.every((value) => value === 0)) continue;
      const embedded =
        row.length === width
          ? row
          : ((await this.run("embed_text", { text_features: row }, { batch: 1, tokens: 1 })).text_tokens as Float32Array);
      tokens.set(embedded.subarray(0, width), b * most * width);
    }
    return { tokens, mask: known };
  }

  /** Turn features (B, T, D), T whole tokens, into tokens (B, N, W). */
  async encode(features: Float32Array, batch: number): Promise<Float32Array> {
    const { width } = this.features;
    const size = this.sizes.frames_per_token;
    const frames = features.length / (batch * width);
    if (frames % size) throw new MotionrtError(`${frames} frames of history: must be a multiple of ${size}`);
    const tokens = frames / size;
    const [root, bodies] = split(features, width, NUM_ROOT_FEATURES);
    const { latents } = await this.run(
      "encoder",
      { bodies, token_mask: new Uint8Array(batch * tokens).fill(1) },
      { batch, tokens },
    );
    return joined(root, tokenRootWidth(this.sizes), this.quantizer.latents(latents as Float32Array), this.sizes.latent_width);
  }

  /** Turn tokens (B, N, W) into features (B, T, D); of each, lengths are frames. */
  async decode(tokens: Float32Array, lengths: readonly number[]): Promise<Float32Array> {
    const { frames_per_token: size, latent_width: latentWidth } = this.sizes;
    const batch = lengths.length;
    const count = tokens.length / (batch * this.tokenWidth);
    const [root, latents] = split(tokens, this.tokenWidth, tokenRootWidth(this.sizes));
    const mask = Uint8Array.from({ length: batch * count }, (_, i) =>
      Number(((i % count) + 1) * size <= lengths[Math.floor(i / count)]!),
    );
    const { frames } = await this.run(
      "decoder",
      {
        codes: this.quantizer.codes(latents),
        local_root: this.features.normalizedLocalRoot(root, lengths),
        token_mask: mask,
      },
      { batch, tokens: count },
    );
    const bodyWidth = this.features.width - NUM_ROOT_FEATURES;
    const [, bodies] = split(frames as Float32Array, NUM_LOCAL_ROOT_FEATURES + bodyWidth, NUM_LOCAL_ROOT_FEATURES);
    if (bodies.length !== batch * count * size * bodyWidth || latents.length !== batch * count * latentWidth) {
      throw new MotionrtError("the decoder gives frames of another size than the manifest says");
    }
    return joined(root, NUM_ROOT_FEATURES, bodies, bodyWidth);
  }

  /** The root features (B, T, 5) of tokens. */
  roots(tokens: Float32Array): Float32Array {
    return split(tokens, this.tokenWidth, tokenRootWidth(this.sizes))[0];
  }

  /** Give tokens other roots (B, T, 5), and bring their latents onto the grid of levels if requantized. */
  withRoots(tokens: Float32Array, root: Float32Array, requantized = false): Float32Array {
    const latents = split(tokens, this.tokenWidth, tokenRootWidth(this.sizes))[1];
    const kept = requantized ? this.quantizer.requantized(latents) : latents;
    return joined(root, tokenRootWidth(this.sizes), kept, this.sizes.latent_width);
  }

  /** Generate the tokens of one window, behind its history: (B, K + H, W). */
  async denoise(given: Denoising): Promise<Float32Array> {
    const { sizes, tokenWidth: width } = this;
    const { history, noise, text, headings, conditions, guidance, numSteps } = given;
    const batch = headings.length;
    const [before, generated] = [history.length, noise.length].map((length) => length / (batch * width)) as [number, number];
    const constrained = conditions !== null && conditions.mask.some((value) => value !== 0);
    let count = before + generated;
    let known: Known | null = null;
    if (constrained) {
      known = this.known(conditions, batch, before, generated, given.translation);
      // A token beyond that nothing is known of changes nothing: what is behind the last goal is left away.
      for (let i = 0; i < known.future.length; i++) {
        if (known.future[i]) count = Math.max(count, (i % known.count) + 1);
      }
    }
    let x = new Float32Array(batch * count * width);
    for (let b = 0; b < batch; b++) {
      x.set(history.subarray(b * before * width, (b + 1) * before * width), b * count * width);
      x.set(noise.subarray(b * generated * width, (b + 1) * generated * width), (b * count + before) * width);
    }
    const places = (from: number, to: number): Uint8Array =>
      Uint8Array.from({ length: batch * count }, (_, i) => Number(i % count >= from && i % count < to));
    const branches = guidanceBranches(guidance, text.mask.includes(1), constrained);
    const fixed = {
      history_mask: places(0, before),
      generation_mask: places(before, before + generated),
      ...(await this.constraintInputs(known, batch, count)),
      text_tokens: text.tokens,
      text_mask: text.mask,
      first_heading_rad: headings,
      branch_text: branches.text,
      branch_constraints: branches.constraints,
      branch_weights: branches.weights,
    };
    const schedule = cosineSchedule(sizes.num_base_steps, numSteps);
    const timeWidth = 2 * sizes.hidden_width;
    let previous = new Float32Array(x.length);
    for (const [step, timestep] of schedule.timesteps.entries()) {
      await given.breathe(step);
      const outputs = await this.run(
        "step",
        {
          x,
          x0_previous: previous,
          time_tokens: this.timeTokens.slice(timestep * timeWidth, (timestep + 1) * timeWidth),
          coefficients: schedule.coefficients[step]!,
          ...fixed,
        },
        { batch, tokens: count, branches: branches.text.length },
      );
      x = outputs.x_next as Float32Array<ArrayBuffer>;
      previous = outputs.x0 as Float32Array<ArrayBuffer>;
    }
    await given.breathe(numSteps);
    const made = new Float32Array(batch * (before + generated) * width);
    const size = (before + generated) * width;
    for (let b = 0; b < batch; b++) made.set(x.subarray(b * count * width, b * count * width + size), b * size);
    return made;
  }

  /** Bring what is known to the window's origin, history left away, in whole tokens. */
  private known(
    conditions: Conditions,
    batch: number,
    before: number,
    generated: number,
    translation: Float32Array,
  ): Known {
    const { width } = this.features;
    const size = this.sizes.frames_per_token;
    const frames = conditions.mask.length / (batch * width);
    if (frames % size) throw new MotionrtError(`${frames} frames of conditions: must be a multiple of ${size}`);
    const count = frames / size;
    const mask = conditions.mask.slice();
    for (let b = 0; b < batch; b++) mask.fill(0, b * frames * width, (b * frames + before * size) * width);
    const [root, bodies] = split(conditions.observed, width, NUM_ROOT_FEATURES);
    const near = this.features.translated(root, batch, translation, -1);
    const observed = joined(near, NUM_ROOT_FEATURES, bodies, width - NUM_ROOT_FEATURES);
    observed.forEach((value, i) => (observed[i] = value * mask[i]!));
    const future = new Uint8Array(batch * count);
    for (let i = 0; i < future.length; i++) {
      const token = mask.subarray(i * size * width, (i + 1) * size * width);
      future[i] = Number(i % count >= before + generated && token.some((value) => value !== 0));
    }
    return { mask, observed, future, count };
  }

  /** The denoiser's inputs for what is known of so many tokens. */
  private async constraintInputs(known: Known | null, batch: number, count: number): Promise<Record<string, Values>> {
    const { hidden_width: hidden, frames_per_token: size, takes_constraints } = this.sizes;
    const rootWidth = tokenRootWidth(this.sizes);
    if (!known) {
      return {
        future_mask: new Uint8Array(batch * count),
        root_mask: new Float32Array(batch * count * rootWidth),
        observed_root: new Float32Array(batch * count * rootWidth),
        constraint_tokens: new Float32Array(batch * count * 2 * hidden),
        future_tokens: new Float32Array(batch * count * hidden),
      };
    }
    if (!takes_constraints) throw new MotionrtError("this model takes no constraints");
    const { width } = this.features;
    const mask = firstTokens(known.mask, batch, count, size * width);
    const observed = firstTokens(known.observed, batch, count, size * width);
    const embedded = await this.run(
      "embed_constraints",
      { motion_mask: mask, observed_motion: observed },
      { batch, tokens: count },
    );
    return {
      future_mask: firstTokens(known.future, batch, count, 1),
      root_mask: split(mask, width, NUM_ROOT_FEATURES)[0],
      observed_root: split(observed, width, NUM_ROOT_FEATURES)[0],
      constraint_tokens: embedded.constraint_tokens!,
      future_tokens: embedded.future_tokens!,
    };
  }
}

/** Take the first tokens of each sample; what lacks is zero. */
function firstTokens<T extends Float32Array | Uint8Array>(values: T, batch: number, count: number, width: number): T {
  const own = values.length / batch;
  const result = new (values.constructor as new (length: number) => T)(batch * count * width);
  for (let b = 0; b < batch; b++) {
    result.set(values.subarray(b * own, b * own + Math.min(own, count * width)), b * count * width);
  }
  return result;
}

/** Cut rows of a width in two. */
function split(values: Float32Array, width: number, first: number): [Float32Array, Float32Array] {
  const rows = values.length / width;
  const left = new Float32Array(rows * first);
  const right = new Float32Array(rows * (width - first));
  for (let row = 0; row < rows; row++) {
    left.set(values.subarray(row * width, row * width + first), row * first);
    right.set(values.subarray(row * width + first, (row + 1) * width), row * (width - first));
  }
  return [left, right];
}

/** Put rows next to each other. */
function joined(left: Float32Array, first: number, right: Float32Array, second: number): Float32Array {
  const rows = left.length / first;
  const result = new Float32Array(rows * (first + second));
  for (let row = 0; row < rows; row++) {
    result.set(left.subarray(row * first, (row + 1) * first), row * (first + second));
    result.set(right.subarray(row * second, (row + 1) * second), row * (first + second) + first);
  }
  return result;
}
