// node check_glb.cjs FILE FPS FRAME... prints JSON: Khronos' validator on the file, and where
// three.js puts the joints at some frames.
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const validator = require("gltf-validator");

async function main() {
  const [file, fps, ...frames] = process.argv.slice(2);
  const bytes = fs.readFileSync(file);
  const { issues } = await validator.validateBytes(new Uint8Array(bytes));
  globalThis.self = globalThis;
  globalThis.ProgressEvent ??= class extends Event {}; // three reports on data: URIs with it
  const root = path.dirname(path.dirname(require.resolve("three")));
  const load = (name) => import(pathToFileURL(path.join(root, name)).href);
  const THREE = await load("build/three.module.js");
  const { GLTFLoader } = await load("examples/jsm/loaders/GLTFLoader.js");
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const gltf = await new GLTFLoader().parseAsync(data, "");
  const mixer = new THREE.AnimationMixer(gltf.scene);
  mixer.clipAction(gltf.animations[0]).play();
  let mesh;
  gltf.scene.traverse((node) => (mesh = node.isSkinnedMesh ? node : mesh));
  const joints = frames.map((frame) => {
    mixer.setTime(Number(frame) / Number(fps));
    gltf.scene.updateMatrixWorld(true);
    return mesh.skeleton.bones.map((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray());
  });
  console.log(JSON.stringify({ issues, joints }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
