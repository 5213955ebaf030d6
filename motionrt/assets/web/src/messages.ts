/** What a page and its worker say to each other. */
import type { Text } from "./ardy/network";
import type { StreamModel } from "./ardy/session";
import type { WindowRequest } from "./ardy/windows";
import type { ModelInfo, Motion, MotionRequest, Progress } from "./generator";

export type Question = { id: number } & (
  | { kind: "load"; bundle: string; threads: number }
  | { kind: "encode"; prompts: string[] }
  | { kind: "generate"; request: MotionRequest }
  | { kind: "embed"; prompt: string }
  | { kind: "window"; request: WindowRequest }
  | { kind: "cancel" }
);

export type Answer = { id: number } & (
  | { kind: "progress"; progress: Progress }
  | { kind: "motion"; motion: Motion; index: number }
  | { kind: "loaded"; model: ModelInfo; streamed: StreamModel | null }
  | { kind: "encoded"; embeddings: Float32Array[] }
  | { kind: "generated"; motions: Motion[] }
  | { kind: "embedded"; text: Text }
  | { kind: "made"; features: Float32Array }
  | { kind: "cancelled" }
  /** On purpose: the message is for people; else it is a fault, with where it happened. */
  | { kind: "failed"; message: string; onPurpose: boolean }
);
