/**
 * What makes motions, wherever it runs: in a worker of this page, or on a server.
 *
 * A page talks to this interface alone. `BrowserGenerator` runs a bundle in the browser; a remote
 * one sends the same requests to a server and turns its answers into the same motions.
 */

/** The joints of a body. World: metres, y up, a body at rest faces +z, its left is +x. */
export interface SkeletonInfo {
  name: string;
  joint_names: string[];
  /** Each joint's parent, -1 for the first; a parent comes before its children. */
  parents: number[];
  /** Where each joint is at rest, [x, y, z] in metres. */
  rest_positions: number[][];
  /** Right hip, left hip. */
  hip_joints: number[];
  /** Ankle and toe: with the right ones the columns of the foot contacts. */
  left_foot_joints: number[];
  right_foot_joints: number[];
}

/** What a loaded model is. */
export interface ModelInfo {
  name: string;
  family: string;
  fps: number;
  /** Of the motions that come out. */
  skeleton: SkeletonInfo;
  /** Of a motion in one piece, as the model was trained; what is longer is made of parts. */
  advised_seconds: number;
  /** Longer ones are refused. */
  max_seconds: number;
  /** What is taken if a request does not say. */
  defaults: { num_steps: number; solver: string; guidance_weights: number[] };
  /** The most steps, and the solvers that there are. */
  max_steps: number;
  solvers: string[];
  /** Whether requests may hold constraints. */
  constraints: boolean;
  /** Whether it makes motions without an end too (`BrowserGenerator.stream`). */
  streams?: boolean;
  /** The only prompts that it takes, where it holds a prompt book and no encoder. */
  prompts?: string[];
  /** What it was trained to do, in words ("walking"); empty if nobody said. */
  actions: string[];
  /** Of the weights. */
  licence: string;
  /** What runs it, for people to read: "WebAssembly, 1 thread". */
  runs_on: string;
}

/** Where the root shall be on the floor: a constraint of type root2d. */
export interface Root2D {
  type: "root2d";
  /** Whole numbers from 0. */
  frame_indices: number[];
  /** [x, z] a frame, metres. */
  smooth_root_2d: number[][];
  /** [cosine, sine] a frame, or radians; [1, 0] faces +z, a turn about +y is positive. */
  global_root_heading?: number[][] | number[];
}

/** A pose, or what of it is held. */
export interface PoseConstraint {
  type: "fullbody" | "left-hand" | "right-hand" | "left-foot" | "right-foot" | "end-effector";
  frame_indices: number[];
  /** A frame and joint: a rotation vector of 3 radians, or 3 rows of 3 (a matrix). */
  local_joints_rot: (number[] | number[][])[][];
  /** [x, y, z] a frame, of the root joint. */
  root_positions: number[][];
  /** [x, z] a frame of the smoothed root; that of root_positions if left out. */
  smooth_root_2d?: number[][];
  /** For end-effector: LeftFoot, RightFoot, LeftHand, RightHand, Hips. */
  joint_names?: string[];
}

export type Constraint = Root2D | PoseConstraint;

/**
 * What is asked for: the JSON of docs/request.md, of which a browser takes these keys. The same
 * request and bundle give the motion that Python gives, within 0.1 mm.
 */
export interface MotionRequest {
  /** A text; each sentence is a part of the motion. Or give prompts. */
  prompt?: string;
  /** Parts of one motion as they are, one after another (a motion each with multi_prompt false). */
  prompts?: string[];
  /** Of all prompts or of each. */
  seconds?: number | number[];
  /** The same in frames, instead of seconds. */
  num_frames?: number | number[];
  /** 0 to 2^32 - 1; drawn if left out. */
  seed?: number;
  num_samples?: number;
  /** Sample i is the motion of a request of its own with seed + i. */
  sample_seeds?: boolean;
  multi_prompt?: boolean;
  num_steps?: number;
  solver?: string;
  /** Solver, steps and where guidance is on, if these are not given. */
  preset?: "fast" | "balanced" | "exact";
  guidance_type?: "nocfg" | "regular" | "separated";
  guidance_weights?: number[];
  /** Where guidance is on, as shares of the base steps: low, or low and high, from 0 (clean) to 1. */
  guidance_interval?: number[];
  first_heading_rad?: number;
  constraints?: Constraint[];
  /** Of ardy: frames that a window looks back, whole tokens; more is steadier and takes longer. */
  history_frames?: number;
  /** False makes what is longer than the model was trained on in one piece. */
  chain?: boolean;
  num_transition_frames?: number;
  /** False leaves out the clean-up. */
  postprocess?: boolean;
  /** Metres that the clean-up may leave between the root and where a constraint has it. */
  root_margin?: number;
}

/** One clip. Arrays are contiguous, frames first (T frames, J joints). */
export interface Motion {
  fps: number;
  skeleton: SkeletonInfo;
  num_frames: number;
  /** (T, J, 4), w x y z, relative to the parent. */
  local_rotations: Float32Array;
  /** (T, 3), the root joint. */
  root_positions: Float32Array;
  /** (T, J, 3), in the world. */
  posed_joints: Float32Array;
  /** (T, 4): left ankle, left toe, right ankle, right toe; 1 stands on the ground. */
  foot_contacts: Uint8Array;
  /** (T, 3), the smoothed path of the root; null if it is not known. */
  smooth_root_positions: Float32Array | null;
  /** Prompt, seed, sample, steps and so on; `hint` where the model hardly knows the prompt. */
  info: Record<string, unknown>;
}

/** How far loading or generating is. */
export interface Progress {
  /** "fetching", "starting", "encoding text", "denoising", "cleaning up". */
  stage: string;
  /** Bytes while fetching, else steps; total 0 if it is not known. */
  done: number;
  total: number;
}

export interface GenerateOptions {
  onProgress?: (progress: Progress) => void;
  /** Told of each motion as soon as it is made, in the order of the result. */
  onMotion?: (motion: Motion, index: number) => void;
  /** Aborting it cancels: the promise is rejected with an AbortError. */
  signal?: AbortSignal;
}

/** Something that makes motions. One call of generate at a time; a second one waits. */
export interface Generator {
  /** Fetch and start the model. A second call gives the same model. */
  load(onProgress?: (progress: Progress) => void): Promise<ModelInfo>;
  /** The text embeddings (W,) of prompts, which are cleaned first; zeros for a blank one. */
  encode(prompts: string[]): Promise<Float32Array[]>;
  /** Make the motions of a request, prompt by prompt and sample by sample. */
  generate(request: MotionRequest, options?: GenerateOptions): Promise<Motion[]>;
  /** Cancel what is being generated, all of it; nothing happens if nothing is. */
  cancel(): void;
  /** Let go of the model; no other call is valid then. */
  dispose(): void;
}

/** What goes wrong on purpose: bad input, a damaged bundle. The message is one line. */
export class MotionrtError extends Error {
  override name = "MotionrtError";
}
