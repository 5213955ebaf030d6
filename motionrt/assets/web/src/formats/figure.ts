/** A capsule along every bone, as `motionrt/runtime/formats/writers/gltf.py` draws it. */
import { cross, scaled, subtract, add, unit, length, type Vector } from "../body/rotation";
import type { SkeletonInfo } from "../generator";
import { childrenOf, onTheFloor, tipOffsets } from "./rest";

const SIDES = 8;
const SHORTEST_BONE_M = 2e-3;
type Colour = [number, number, number, number];
const LEFT: Colour = [230, 120, 40, 255];
const RIGHT: Colour = [50, 110, 220, 255];
const MIDDLE: Colour = [150, 155, 165, 255];

export interface FigureMesh {
  positions: Float32Array;
  normals: Float32Array;
  colours: Uint8Array;
  joints: Uint8Array;
  weights: Uint8Array;
  indices: Uint16Array;
}

/** Triangles of a figure at rest on the floor; each vertex is moved by one joint. */
export function figure(skeleton: SkeletonInfo): FigureMesh {
  const bind = onTheFloor(skeleton);
  const tips = tipOffsets(skeleton);
  const children = childrenOf(skeleton);
  const [positions, normals, colours, joints, weights, indices]: number[][] = [[], [], [], [], [], []] as const;
  skeleton.joint_names.forEach((name, joint) => {
    let ends = children[joint]!.map((child): [Vector, number] => [bind[child]!, child]);
    if (!ends.length && !name.toLowerCase().endsWith("end")) ends = [[add(bind[joint]!, tips[joint]!), joint]];
    for (const [end, target] of ends) {
      const start = bind[joint]!;
      const size = length(subtract(end, start));
      if (size < SHORTEST_BONE_M) continue;
      const radius = radiusOf(skeleton, joint, target, size);
      const along = unit(subtract(end, start));
      const across = unit(cross(Math.abs(along[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0], along));
      const third = cross(along, across);
      const first = positions!.length / 3;
      for (const { normal: [x, y, z], far } of CAPSULE.vertices) {
        const turned = add(add(scaled(across, x), scaled(third, y)), scaled(along, z));
        positions!.push(...add(far ? end : start, scaled(turned, radius)));
        normals!.push(...turned);
        colours!.push(...colourOf(name));
        joints!.push(joint, 0, 0, 0);
        weights!.push(255, 0, 0, 0);
      }
      indices!.push(...CAPSULE.triangles.map((vertex) => first + vertex));
    }
  });
  return {
    positions: Float32Array.from(positions!),
    normals: Float32Array.from(normals!),
    colours: Uint8Array.from(colours!),
    joints: Uint8Array.from(joints!),
    weights: Uint8Array.from(weights!),
    indices: Uint16Array.from(indices!),
  };
}

/** Of a capsule along z: its normals, whether they belong to the far end, and its triangles. */
const CAPSULE = (() => {
  const latitudes = [-90, -45, 0, 0, 45, 90].map((degrees) => (degrees * Math.PI) / 180);
  const vertices = latitudes.flatMap((latitude, ring) =>
    Array.from({ length: SIDES }, (_, side) => {
      const angle = (side * 2 * Math.PI) / SIDES;
      const normal: Vector = [
        Math.cos(latitude) * Math.cos(angle),
        Math.cos(latitude) * Math.sin(angle),
        Math.sin(latitude),
      ];
      return { normal, far: ring >= 3 };
    }),
  );
  const triangles: number[] = [];
  for (let ring = 0; ring + 1 < latitudes.length; ring++) {
    for (let side = 0; side < SIDES; side++) {
      const [a, b] = [ring * SIDES + side, ring * SIDES + ((side + 1) % SIDES)];
      const [c, d] = [a + SIDES, b + SIDES];
      if (ring > 0) triangles.push(a, b, d); // at the first pole this one has no area
      if (ring + 2 < latitudes.length) triangles.push(a, d, c);
    }
  }
  return { vertices, triangles };
})();

function radiusOf({ joint_names: names }: SkeletonInfo, joint: number, target: number, size: number): number {
  const [name, end] = [names[joint]!.toLowerCase(), names[target]!.toLowerCase()];
  if (name.includes("head") && (end.includes("end") || target === joint)) return 0.08;
  if (name.includes("head") || name.includes("jaw")) return 0.01; // the eyes and the jaw
  const trunk = !end.includes("left") && !end.includes("right");
  return Math.min(Math.max(0.13 * size, trunk ? 0.045 : 0.007), 0.05);
}

function colourOf(name: string): Colour {
  const low = name.toLowerCase();
  return low.includes("left") ? LEFT : low.includes("right") ? RIGHT : MIDDLE;
}
