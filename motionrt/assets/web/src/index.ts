/** motionrt-web: text to motion in the browser. */
export { BrowserGenerator, type BrowserOptions } from "./browser_generator";
export { MotionStream, type StreamOptions, type StreamTiming } from "./ardy/session";
export { RemoteGenerator, type RemoteOptions } from "./remote_generator";
export { toBvh } from "./formats/bvh";
export { toGlb } from "./formats/glb";
export { toNpz } from "./formats/npz";
export { toVrma } from "./formats/vrma";
export { toZip } from "./formats/zip";
export { vrmBones } from "./body/vrm_bones";
export * from "./generator";
