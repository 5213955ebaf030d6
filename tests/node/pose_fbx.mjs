// node pose_fbx.mjs FILE SECONDS... prints JSON: where three.js puts the bones of a .fbx file at some
// moments of its animation, as {names, seconds, places: [moment][bone] -> x y z}.
import fs from "fs";
import * as THREE from "three";
import { FBXLoader } from "three/examples/jsm/loaders/FBXLoader.js";

globalThis.self = globalThis;
globalThis.window = globalThis;
const [file, ...moments] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const group = new FBXLoader().parse(data, "");
const bones = [];
let meshes = 0;
group.traverse((object) => {
  if (object.isBone) bones.push(object);
  meshes += object.isSkinnedMesh ? 1 : 0;
});
const [clip] = group.animations;
const mixer = new THREE.AnimationMixer(group);
mixer.clipAction(clip).play();
const places = moments.map((moment) => {
  mixer.setTime(Number(moment));
  group.updateMatrixWorld(true);
  return bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray());
});
const names = bones.map((bone) => bone.name);
process.stdout.write(JSON.stringify({ names, meshes, seconds: clip.duration, places }));
