/** What a manifest says of an ARDY model's sizes: its sampler section (`ArdySizes`). */
export interface ArdySizes {
  frames_per_token: number;
  /** Frames that a window generates, a multiple of those of a token. */
  horizon: number;
  latent_width: number;
  num_base_steps: number;
  num_steps: number;
  guidance_type: "nocfg" | "regular" | "separated";
  num_text_tokens: number;
  text_width: number;
  hidden_width: number;
  takes_constraints: boolean;
  quantises: boolean;
  normalises: boolean;
  /** What a window sees at most: history, what it generates, and goals. */
  window_seconds: number;
}

/** Of a frame: x, y, z of the root, and cosine and sine of its heading. */
export const NUM_ROOT_FEATURES = 5;

/** Numbers of a token that are its root. */
export const tokenRootWidth = (sizes: ArdySizes): number => NUM_ROOT_FEATURES * sizes.frames_per_token;

/** Numbers of a token. */
export const tokenWidth = (sizes: ArdySizes): number => tokenRootWidth(sizes) + sizes.latent_width;

/** Frames rounded down to whole tokens. */
export const wholeTokens = (sizes: ArdySizes, frames: number): number =>
  Math.floor(frames / sizes.frames_per_token) * sizes.frames_per_token;

/** The most frames that a window sees. */
export const windowFrames = (sizes: ArdySizes, fps: number): number =>
  wholeTokens(sizes, Math.trunc(sizes.window_seconds * fps));

/** The most frames of history that fit a window; a token's in any case. */
export const longestHistory = (sizes: ArdySizes, fps: number): number =>
  Math.max(wholeTokens(sizes, windowFrames(sizes, fps) - sizes.horizon), sizes.frames_per_token);
