/** A character of the visitor's own, moved by a motion: a VRM, or a .glb whose bones have usual names. */
import { VRMAnimationLoaderPlugin, createVRMAnimationClip, type VRMAnimation } from "@pixiv/three-vrm-animation";
import { VRMLoaderPlugin, VRMUtils, type VRM } from "@pixiv/three-vrm";
import { MotionrtError, toVrma, vrmBones, type Motion } from "motionrt-web";
import * as THREE from "three";
import { GLTFLoader, type GLTF } from "three/examples/jsm/loaders/GLTFLoader.js";
import { clone } from "three/examples/jsm/utils/SkeletonUtils.js";
import { globalTurns } from "./mannequin";

export interface Character {
  scene: THREE.Object3D;
  pose: (time: number) => void;
  dispose: () => void;
}

/** A character's file, read; it can be put on several motions. */
export interface Wardrobe {
  name: string;
  put: (motion: Motion) => Promise<Character>;
}

/** Read a .vrm or .glb; MotionrtError says what it lacks. */
export async function readCharacter(file: File): Promise<Wardrobe> {
  const bytes = await file.arrayBuffer();
  const magic = new TextDecoder().decode(bytes.slice(0, 4));
  if (magic !== "glTF") throw new MotionrtError(`${file.name}: is no character that this page reads; give a .vrm or .glb`);
  const gltf = await parse(bytes, file.name);
  if (!gltf.scene) throw new MotionrtError(`${file.name}: there is nothing in it; give a character`);
  if (gltf.userData.vrm) return { name: file.name, put: async (motion) => onVrm(await parse(bytes, file.name), motion) };
  const found = bonesOf(gltf.scene);
  const missing = NEEDED.filter((bone) => !found.has(bone));
  if (missing.length) {
    throw new MotionrtError(
      `${file.name}: no humanoid that can be told by its bones' names (no ${missing.slice(0, 3).join(", ")}…); ` +
        "motionrt retarget knows more",
    );
  }
  return { name: file.name, put: (motion) => Promise.resolve(onBones(clone(gltf.scene), motion)) };
}

async function parse(bytes: ArrayBuffer, name: string): Promise<GLTF> {
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMLoaderPlugin(parser));
  loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
  try {
    return await loader.parseAsync(bytes.slice(0), "");
  } catch (error) {
    const told = (error as Error).message;
    throw new MotionrtError(`${name}: cannot be read (${told.length > 120 ? `${told.slice(0, 120)}…` : told})`);
  }
}

function lit(scene: THREE.Object3D): void {
  scene.traverse((node) => {
    if (!(node instanceof THREE.Mesh)) return;
    node.castShadow = true;
    node.frustumCulled = false;
  });
}

async function onVrm(gltf: GLTF, motion: Motion): Promise<Character> {
  const vrm = gltf.userData.vrm as VRM;
  VRMUtils.rotateVRM0(vrm);
  lit(vrm.scene);
  const animation = await parse(toVrma(motion).buffer, "motion.vrma");
  const [first] = animation.userData.vrmAnimations as VRMAnimation[];
  const mixer = new THREE.AnimationMixer(vrm.scene);
  mixer.clipAction(createVRMAnimationClip(first!, vrm)).play();
  let before = 0;
  return {
    scene: vrm.scene,
    pose: (time) => {
      mixer.setTime(Math.min(time, (motion.num_frames - 1) / motion.fps - 1e-4));
      vrm.update(Math.min(Math.max(time - before, 0), 0.1)); // hair and clothes swing
      before = time;
    },
    dispose: () => {
      mixer.stopAllAction();
      VRMUtils.deepDispose(vrm.scene);
    },
  };
}

// A .glb by its bones' names

const NEEDED = ["hips", "head", ...["UpperArm", "LowerArm", "UpperLeg", "LowerLeg", "Foot"].flatMap((b) => [`left${b}`, `right${b}`])];
/** VRM's bone -> the part's usual names, in small letters without marks, sides and prefixes. */
const NAMES: [string, RegExp][] = [
  ["hips", /^(hips?|pelvis)$/],
  ["spine", /^(spine|spine0?1|abdomen)$/],
  ["chest", /^(spine1|spine0?2|chest)$/],
  ["upperChest", /^(spine2|spine0?3|upperchest)$/],
  ["neck", /^(neck|neck0?1)$/],
  ["head", /^head$/],
  ["Shoulder", /^(shoulder|clavicle|collar)$/],
  ["UpperArm", /^(arm|upperarm|uparm)$/],
  ["LowerArm", /^(forearm|lowerarm|elbow)$/],
  ["Hand", /^(hand|wrist)$/],
  ["UpperLeg", /^(upleg|upperleg|thigh)$/],
  ["LowerLeg", /^(leg|lowerleg|calf|shin|knee)$/],
  ["Foot", /^(foot|ankle)$/],
  ["Toes", /^(toebase|toes?|ball)$/],
];

function bonesOf(scene: THREE.Object3D): Map<string, THREE.Object3D> {
  const bones = new Map<string, THREE.Object3D>();
  const nodes: THREE.Object3D[] = [];
  scene.traverse((node) => nodes.push(node));
  // Mixamo counts its spine from none, Unreal from 01.
  const counted = nodes.some((node) => /spine_?03/i.test(node.name));
  for (const node of nodes) {
    if ((node as THREE.Mesh).isMesh) continue;
    const plain = node.name.replace(/^.*[:|]/, "").replace(/^(mixamorig\d*|bip\d*|def|j_?bip_?[clr]?)[_-]?/i, "");
    const sided = /^(left|right)|(left|right)$|^[lr][_. -]|[_. -][lr]([_. -]|$)/i.exec(plain);
    const side = sided ? (/r(ight)?/i.test(sided[0].replace(/left/i, "")) ? "right" : "left") : "";
    let name = (sided ? plain.replace(sided[0], "") : plain).toLowerCase().replace(/[^a-z0-9]/g, "");
    if (counted) name = name.replace(/^spine0(\d)$/, (_, n: string) => ["spine", "spine1", "spine2"][Number(n) - 1] ?? name);
    const match = NAMES.find(([bone, pattern]) => pattern.test(name) && /^[A-Z]/.test(bone) === (side !== ""));
    if (match && !bones.has(side + match[0])) bones.set(side + match[0], node);
  }
  return bones;
}

function onBones(scene: THREE.Object3D, motion: Motion): Character {
  lit(scene);
  scene.updateMatrixWorld(true);
  const bones = bonesOf(scene);
  const { skeleton } = motion;
  const own = vrmBones(skeleton);
  const pairs = [...own].flatMap(([joint, bone]) => (bones.has(bone) ? [{ joint, node: bones.get(bone)! }] : []));
  const restOf = (joint: number): THREE.Vector3 => new THREE.Vector3(...(skeleton.rest_positions[joint] as [number, number, number]));
  const where = (node: THREE.Object3D): THREE.Vector3 => node.getWorldPosition(new THREE.Vector3());
  // Both may rest in other poses: a bone is first turned to where the motion's bone points at rest.
  const rest = pairs.map(({ joint, node }) => {
    const child = pairs.find((pair) => ancestor(skeleton.parents, pair.joint, joint) && pair.joint !== joint);
    const turn = new THREE.Quaternion();
    if (child && joint !== 0) {
      const [from, to] = [where(child.node).sub(where(node)), restOf(child.joint).sub(restOf(joint))];
      turn.setFromUnitVectors(from.normalize(), to.normalize());
    }
    return turn.multiply(node.getWorldQuaternion(new THREE.Quaternion()));
  });
  const hips = pairs.find(({ joint }) => joint === 0)!;
  const lowest = (heights: number[]): number => Math.min(...heights);
  const legs = where(hips.node).y - lowest(pairs.map(({ node }) => where(node).y));
  const ours = restOf(0).y - lowest(pairs.map(({ joint }) => restOf(joint).y));
  const scale = legs > 0.01 ? legs / ours : 1;
  const holder = new THREE.Group();
  holder.add(scene);
  // Characters of any size stand as tall as the figure.
  holder.scale.setScalar(1 / scale);
  const turns: THREE.Quaternion[] = [];
  const parentTurn = new THREE.Quaternion();
  return {
    scene: holder,
    pose: (time) => {
      const last = motion.num_frames - 1;
      const frame = Math.min(Math.max(time * motion.fps, 0), last);
      const [before, after, part] = [Math.floor(frame), Math.min(Math.floor(frame) + 1, last), frame % 1];
      globalTurns(motion, before, after, part, turns);
      const at = (axis: number): number =>
        motion.root_positions[3 * before + axis]! * (1 - part) + motion.root_positions[3 * after + axis]! * part;
      const place = new THREE.Vector3(at(0), at(1), at(2)).multiplyScalar(scale);
      scene.updateMatrixWorld(true);
      const parent = hips.node.parent!;
      // The group that the figure stands in is none of the character's own transforms.
      const inverse = scene.matrixWorld.clone().invert().multiply(parent.matrixWorld).invert();
      hips.node.position.copy(place.applyMatrix4(inverse));
      pairs.forEach(({ joint, node }, i) => {
        node.parent!.getWorldQuaternion(parentTurn).invert();
        node.quaternion.copy(parentTurn).multiply(turns[joint]!).multiply(rest[i]!);
        node.updateMatrixWorld(true);
      });
    },
    dispose: () => scene.traverse((node) => node instanceof THREE.Mesh && node.geometry.dispose()),
  };
}

function ancestor(parents: number[], joint: number, of: number): boolean {
  for (let at = joint; at >= 0; at = parents[at]!) if (at === of) return true;
  return false;
}
