/** What the module is made of, for those who run the graphs themselves. */
export { correctMotion, emptyTargets, type CorrectionTargets } from "./body/motion_correction";
export { Skeleton, type SkeletonSpec } from "./body/skeleton";
export { BundleFiles } from "./bundle/files";
export { readManifest, type Manifest } from "./bundle/manifest";
export { readSafetensors } from "./bundle/safetensors";
export { checkFrames, conditioning, correctionTargets, readConstraints } from "./constraints";
export { MotionFeatures } from "./features";
export { Graph, type Onnxruntime } from "./graphs";
export { KimodoModel, type Hooks } from "./kimodo";
export { guidanceAt, guidanceBranches, resolveGuidance, resolveInterval } from "./sampling/guidance";
export { TorchGenerator } from "./sampling/noise";
export { cosineSchedule } from "./sampling/schedule";
export { generateSegments, partLengths, segmentLengths } from "./segments";
export { KnownPrompts, stems } from "./text/familiarity";
export { cleanPrompt, splitPrompt } from "./text/prompt";
export { TextTokenizer, type TextRules } from "./text/tokenizer";
