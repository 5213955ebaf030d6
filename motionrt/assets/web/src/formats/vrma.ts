/** Writes .vrma: VRMC_vrm_animation 1.0, for VRM avatars. */
import { matrixToQuaternion, quaternionToMatrix, product } from "../body/rotation";
import { vrmBones } from "../body/vrm_bones";
import { MotionrtError, type Motion } from "../generator";
import { ASSET, GltfBuffer, skeletonAndAnimation } from "./gltf_buffer";

const REQUIRED = ["hips", "spine", "head", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot"];
/** A VRM Animation turns eyes by where they look, not as bones. */
const NO_BONES = ["leftEye", "rightEye"];

/** The bytes of a .vrma; MotionrtError if the skeleton is no humanoid that is known. */
export function toVrma(motion: Motion): Uint8Array<ArrayBuffer> {
  const bones = vrmBones(motion.skeleton);
  const found = new Set(bones.values());
  const missing = REQUIRED.filter((bone) =>
    /^[a-z]/.test(bone) ? !found.has(bone) : !found.has(`left${bone}`) || !found.has(`right${bone}`),
  );
  if (missing.length) {
    throw new MotionrtError(`skeleton ${motion.skeleton.name} is no VRM humanoid: no ${missing.join(", ")}`);
  }
  const names = motion.skeleton.joint_names.map((name, joint) => bones.get(joint) ?? name);
  const buffer = new GltfBuffer();
  const { nodes, animation } = skeletonAndAnimation(folded(motion, bones), names, buffer);
  const humanBones = Object.fromEntries(
    [...bones].filter(([, bone]) => !NO_BONES.includes(bone)).map(([node, bone]) => [bone, { node }]),
  );
  return buffer.container({
    asset: ASSET,
    extensionsUsed: ["VRMC_vrm_animation"],
    extensions: { VRMC_vrm_animation: { specVersion: "1.0", humanoid: { humanBones } } },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes,
    animations: [animation],
  });
}

/** Still the joints between bones: avatars do not have them, their turn is the next bone's. */
function folded(motion: Motion, bones: Map<number, string>): Motion {
  const { parents } = motion.skeleton;
  const leads = parents.map((_, joint) => bones.has(joint));
  for (let joint = parents.length - 1; joint > 0; joint--) leads[parents[joint]!] ||= leads[joint]!;
  const still = parents.map((parent, joint) => parent >= 0 && leads[joint]! && !bones.has(joint));
  if (!still.includes(true)) return motion;
  const rotations = motion.local_rotations.slice();
  for (let t = 0; t < motion.num_frames; t++) {
    // What a still joint would have turned, for those below it.
    const carried: (number[] | null)[] = [];
    parents.forEach((parent, joint) => {
      const at = 4 * (t * parents.length + joint);
      const own = quaternionToMatrix(Array.from(rotations.subarray(at, at + 4)));
      const before = parent >= 0 ? carried[parent] : null;
      const turn = before ? product(before, own) : own;
      carried.push(still[joint] ? turn : null);
      rotations.set(still[joint] ? [1, 0, 0, 0] : matrixToQuaternion(turn), at);
    });
  }
  return { ...motion, local_rotations: rotations };
}
