// node pose_glb.mjs FILE ANIMATION SECONDS... prints JSON: where three.js puts every node of the file
// at some moments of one animation, as [moment][node] -> x y z.
import fs from "fs";
import * as THREE from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";

globalThis.self = globalThis;
const [file, animation, ...moments] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const gltf = await new GLTFLoader().parseAsync(data, "");
const nodes = [];
gltf.scene.traverse((object) => {
  const index = gltf.parser.associations.get(object)?.nodes;
  if (index !== undefined) nodes[index] = object;
});
const mixer = new THREE.AnimationMixer(gltf.scene);
mixer.clipAction(gltf.animations[Number(animation)]).play();
const places = moments.map((moment) => {
  mixer.setTime(Number(moment));
  gltf.scene.updateMatrixWorld(true);
  return nodes.map((node) => node.getWorldPosition(new THREE.Vector3()).toArray());
});
process.stdout.write(JSON.stringify(places));
