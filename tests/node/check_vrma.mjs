// node check_vrma.mjs ANIMATION AVATAR SECONDS... prints JSON: Khronos' validator on the animation,
// the bones that @pixiv/three-vrm-animation finds, and where it puts those of a VRM avatar.
import fs from "fs";
import validator from "gltf-validator";
import * as THREE from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";
import { VRMAnimationLoaderPlugin, createVRMAnimationClip } from "@pixiv/three-vrm-animation";

globalThis.self = globalThis;
console.warn = console.log = (...words) => console.error(...words);

async function load(file, plugin) {
  const bytes = fs.readFileSync(file);
  const loader = new GLTFLoader();
  loader.register((parser) => new plugin(parser));
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return { bytes, gltf: await loader.parseAsync(data, "") };
}

const [animation, avatar, ...moments] = process.argv.slice(2);
const { bytes, gltf } = await load(animation, VRMAnimationLoaderPlugin);
const { issues } = await validator.validateBytes(new Uint8Array(bytes));
const vrmAnimation = gltf.userData.vrmAnimations[0];
const vrm = (await load(avatar, VRMLoaderPlugin)).gltf.userData.vrm;
const mixer = new THREE.AnimationMixer(vrm.scene);
mixer.clipAction(createVRMAnimationClip(vrmAnimation, vrm)).play();
const bones = Object.keys(vrm.humanoid.humanBones);
const joints = moments.map((moment) => {
  mixer.setTime(Number(moment));
  vrm.humanoid.update();
  vrm.scene.updateMatrixWorld(true);
  return bones.map((bone) =>
    vrm.humanoid.getRawBoneNode(bone).getWorldPosition(new THREE.Vector3()).toArray()
  );
});
const rotated = [...vrmAnimation.humanoidTracks.rotation.keys()];
process.stdout.write(JSON.stringify({ issues, bones, rotated, joints }));
