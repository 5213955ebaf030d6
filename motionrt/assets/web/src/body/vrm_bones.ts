/** VRM's names for the joints of the skeletons that Kimodo's models have: CMU, SOMA and SMPL-X. */
import type { SkeletonInfo } from "../generator";

/** VRM's bone, then what joints call it; {S}, {s} and {side} are Left, left and left, or Right … */
const BONES: [string, ...string[]][] = [
  ["hips", "Hips", "pelvis"],
  ["spine", "Spine", "spine1"],
  ["chest", "Spine1", "spine2"],
  ["upperChest", "Spine2", "spine3"],
  ["neck", "Neck", "Neck1", "neck"],
  ["head", "Head", "head"],
  ["jaw", "Jaw"],
  ["{side}Shoulder", "{S}Shoulder", "{s}_collar"],
  ["{side}UpperArm", "{S}Arm", "{s}_shoulder"],
  ["{side}LowerArm", "{S}ForeArm", "{s}_elbow"],
  ["{side}Hand", "{S}Hand", "{s}_wrist"],
  ["{side}UpperLeg", "{S}UpLeg", "{s}_hip"],
  ["{side}LowerLeg", "{S}Leg", "{s}_knee"],
  ["{side}Foot", "{S}Foot", "{s}_ankle"],
  ["{side}Toes", "{S}Toe", "{S}ToeBase", "{s}_foot"],
  ["{side}ThumbMetacarpal", "{S}HandThumb1"],
  ["{side}ThumbProximal", "{S}HandThumb2"],
  ["{side}ThumbDistal", "{S}HandThumb3"],
];
/** SOMA counts its spine and its legs otherwise, and a finger's joints from the metacarpal. */
const SOMA: [string, string][] = [
  ["spine", "Spine1"],
  ["chest", "Spine2"],
  ["upperChest", "Chest"],
  ["{side}UpperLeg", "{S}Leg"],
  ["{side}LowerLeg", "{S}Shin"],
];
for (const [bone, finger] of [["Index", "Index"], ["Middle", "Middle"], ["Ring", "Ring"], ["Little", "Pinky"]]) {
  ["Proximal", "Intermediate", "Distal"].forEach((part, i) => {
    SOMA.push([`{side}${bone}${part}`, `{S}Hand${finger}${i + 2}`]);
  });
}

/** Joint index -> VRM bone, of a skeleton that is a humanoid. */
export function vrmBones({ joint_names: names }: SkeletonInfo): Map<number, string> {
  const soma = names.includes("LeftShin");
  const table = soma ? [...BONES.filter(([bone]) => !SOMA.some(([other]) => other === bone)), ...SOMA] : BONES;
  const bones = new Map<number, string>();
  for (const [bone, ...joints] of table) {
    for (const side of ["Left", "Right"]) {
      const filled = (text: string): string =>
        text.replace("{S}", side).replace("{s}", side.toLowerCase()).replace("{side}", side.toLowerCase());
      const joint = names.findIndex((name) => joints.some((called) => filled(called) === name));
      if (joint >= 0) bones.set(joint, filled(bone));
    }
  }
  return bones;
}
