/** Writes .glb: skeleton, animation and a capsule figure skinned to it. */
import type { Motion } from "../generator";
import { figure } from "./figure";
import { ASSET, GltfBuffer, skeletonAndAnimation } from "./gltf_buffer";
import { onTheFloor } from "./rest";

/** The bytes of a .glb: metres, y up, a key a frame. */
export function toGlb(motion: Motion): Uint8Array<ArrayBuffer> {
  const { skeleton } = motion;
  const names = skeleton.joint_names;
  const buffer = new GltfBuffer();
  const mesh = figure(skeleton);
  const attributes = {
    POSITION: buffer.add(mesh.positions, { width: 3, target: "vertices", bounds: true }),
    NORMAL: buffer.add(mesh.normals, { width: 3, target: "vertices" }),
    COLOR_0: buffer.add(mesh.colours, { width: 4, target: "vertices", normalized: true }),
    JOINTS_0: buffer.add(mesh.joints, { width: 4, target: "vertices" }),
    WEIGHTS_0: buffer.add(mesh.weights, { width: 4, target: "vertices", normalized: true }),
  };
  const indices = buffer.add(mesh.indices, { width: 1, target: "indices" });
  const inverse = onTheFloor(skeleton).flatMap(([x, y, z]) => [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, -x, -y, -z, 1]);
  const inverseBindMatrices = buffer.add(Float32Array.from(inverse), { width: 16 });
  const { nodes, animation } = skeletonAndAnimation(motion, names, buffer);
  return buffer.container({
    asset: ASSET,
    scene: 0,
    scenes: [{ nodes: [0, names.length] }],
    nodes: [...nodes, { name: "figure", mesh: 0, skin: 0 }],
    meshes: [{ name: "figure", primitives: [{ attributes, indices, material: 0 }] }],
    materials: [{ name: "figure", pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 0.7 } }],
    skins: [{ name: skeleton.name, skeleton: 0, joints: names.map((_, joint) => joint), inverseBindMatrices }],
    animations: [animation],
  });
}
