/** What a manifest.json says, as far as a page needs it: `motionrt/runtime/bundle/manifest.py`. */
import type { SkeletonSpec } from "../body/skeleton";
import { MotionrtError } from "../generator";
import type { TextRules } from "../text/tokenizer";

export const SCHEMA = 2;

export interface TensorInfo {
  name: string;
  axes: (string | number)[];
  dtype: "float32" | "float16" | "int64" | "bool";
}

export interface GraphInfo {
  files: Record<string, string>;
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  precision?: string;
  /** Files with weights that the graph's file refers to. */
  data?: string[];
}

/** The sampler section of Kimodo's bundles. */
export interface KimodoSampler {
  num_base_steps: number;
  num_steps: number;
  solver: string;
  guidance_type: string;
  guidance_weights?: number[] | null;
  num_text_tokens: number;
  text_width: number;
}

/** Whose bundles a page runs. */
const FAMILIES = ["kimodo", "ardy"];

/** A manifest whose sampler section is its family's. */
export interface Manifest<Sampler = unknown> {
  schema: number;
  family: string;
  name: string;
  fps: number;
  skeleton: SkeletonSpec;
  output_skeleton: SkeletonSpec;
  graphs: Record<string, GraphInfo>;
  sampler: Sampler;
  limits: { max_frames: number; advised_seconds: number; transitions_included?: boolean };
  text: {
    tokenizer?: string;
    rules?: TextRules;
    prompt_book?: string;
    known_prompts?: { file: string; radius: number; actions: string[] };
  };
  provenance: { licence?: string };
  files: Record<string, { size: number; sha256: string }>;
}

export function readManifest(text: string): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch {
    throw new MotionrtError("manifest.json: no JSON; write the page again with motionrt web");
  }
  if (manifest.schema !== SCHEMA) {
    throw new MotionrtError(`manifest.json: schema ${manifest.schema}, this page reads ${SCHEMA}`);
  }
  if (!FAMILIES.includes(manifest.family)) {
    throw new MotionrtError(`manifest.json: family ${manifest.family}; a page runs bundles of ${FAMILIES.join(" and ")}`);
  }
  return manifest;
}
