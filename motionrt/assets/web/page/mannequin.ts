/** A figure of round, tapered limbs, a mesh a bone: it moves by setting each joint's transform. */
import * as THREE from "three";
import type { Motion, SkeletonInfo } from "motionrt-web";

/** Radii in metres where a bone begins and ends, by what its joint's name tells; the first that fits. */
const THICKNESS: [RegExp, number, number][] = [
  [/upleg|thigh|_hip/, 0.082, 0.058],
  [/forearm|elbow/, 0.042, 0.03],
  [/arm|_shoulder/, 0.05, 0.042],
  [/shin|knee|leg/, 0.058, 0.04],
  [/foot|ankle/, 0.042, 0.034],
  [/toe/, 0.034, 0.024],
  [/thumb|index|middle|ring|pinky/, 0.011, 0.008],
  [/hand|wrist/, 0.034, 0.026],
  [/collar|shoulder/, 0.05, 0.05],
  [/neck/, 0.048, 0.045],
];
const TRUNK = /hips|pelvis|spine|chest/;
/** Radii of the trunk from the hips (0) to the neck (1). */
const TRUNK_RADII: [number, number][] = [[0, 0.106], [0.22, 0.095], [0.45, 0.101], [0.7, 0.114], [1, 0.078]];
const HEAD_M = 0.105;

export interface Palette {
  middle: number;
  left: number;
  right: number;
}

export const PALETTE: Palette = { middle: 0xc9cdd6, left: 0xe67828, right: 0x326edc };

export class Mannequin {
  readonly group = new THREE.Group();
  private readonly joints: THREE.Group[];
  private readonly materials: THREE.MeshStandardMaterial[];

  constructor(
    private readonly skeleton: SkeletonInfo,
    palette: Palette = PALETTE,
    opacity = 1,
  ) {
    const make = (color: number): THREE.MeshStandardMaterial =>
      new THREE.MeshStandardMaterial({
        color,
        roughness: 0.55,
        metalness: 0,
        transparent: opacity < 1,
        opacity,
        });
    const [middle, left, right] = [make(palette.middle), make(palette.left), make(palette.right)];
    this.materials = [middle!, left!, right!];
    const { joint_names: names, parents, rest_positions: rest } = skeleton;
    this.joints = names.map(() => new THREE.Group());
    this.joints.forEach((joint) => this.group.add(joint));
    const place = (joint: number): THREE.Vector3 => new THREE.Vector3(...(rest[joint] as [number, number, number]));
    const trunk = trunkRadius(skeleton);
    const add = (joint: number, geometry: THREE.BufferGeometry): void => {
      const low = names[joint]!.toLowerCase();
      const material = low.includes("left") ? left! : low.includes("right") ? right! : middle!;
      const mesh = new THREE.Mesh(geometry, material);
      mesh.castShadow = opacity === 1;
      this.joints[joint]!.add(mesh);
    };
    names.forEach((name, joint) => {
      const low = name.toLowerCase();
      const children = parents.flatMap((parent, child) => (parent === joint ? [child] : []));
      if (/^head$/.test(low)) {
        const head = new THREE.SphereGeometry(HEAD_M, 24, 18);
        head.scale(0.86, 1.14, 0.98).translate(0, HEAD_M * 0.85, 0.012);
        add(joint, head);
        return;
      }
      if (/end$|jaw|eye/.test(low)) return;
      const [, start, end] = THICKNESS.find(([pattern]) => pattern.test(low)) ?? [null, 0.04, 0.035];
      for (const child of children) {
        const offset = place(child).sub(place(joint));
        // From the trunk to a limb: hips and shoulders round it off.
        const aside = children.length > 1 && Math.abs(offset.x) > 0.02;
        if (!TRUNK.test(low)) add(joint, limb(offset, start, end, false));
        else if (aside) add(joint, limb(offset, 0.066, 0.066, false));
        else add(joint, limb(offset, trunk(joint), trunk(child), true));
      }
      if (!children.length) {
        const offset = place(joint).sub(place(Math.max(parents[joint]!, 0)));
        const foot = /toe|foot/.test(low);
        offset.multiplyScalar(foot ? 0.45 : 0.42);
        if (foot) offset.y = 0;
        add(joint, limb(offset, start, end, false));
      }
    });
  }

  /** Stand as at rest, the lowest joint on the floor. */
  rest(): void {
    const { rest_positions: rest } = this.skeleton;
    const lowest = Math.min(...rest.map((place) => place[1]!));
    rest.forEach(([x, y, z], joint) => {
      this.joints[joint]!.position.set(x!, y! - lowest + 0.02, z!);
      this.joints[joint]!.quaternion.identity();
    });
  }

  /** Take the pose between two frames of a motion. */
  pose(motion: Motion, time: number, turns: THREE.Quaternion[]): void {
    const joints = motion.skeleton.parents.length;
    const last = motion.num_frames - 1;
    const frame = Math.min(Math.max(time * motion.fps, 0), last);
    const [before, after, part] = [Math.floor(frame), Math.min(Math.floor(frame) + 1, last), frame % 1];
    globalTurns(motion, before, after, part, turns);
    for (let joint = 0; joint < joints; joint++) {
      const [a, b] = [3 * (before * joints + joint), 3 * (after * joints + joint)];
      const at = (axis: number): number =>
        motion.posed_joints[a + axis]! * (1 - part) + motion.posed_joints[b + axis]! * part;
      this.joints[joint]!.position.set(at(0), at(1), at(2));
      this.joints[joint]!.quaternion.copy(turns[joint]!);
    }
  }

  dispose(): void {
    this.group.traverse((node) => node instanceof THREE.Mesh && node.geometry.dispose());
    this.materials.forEach((material) => material.dispose());
  }
}

const [first, second] = [new THREE.Quaternion(), new THREE.Quaternion()];

/** World rotations of all joints between two frames, written into turns. */
export function globalTurns(motion: Motion, before: number, after: number, part: number, turns: THREE.Quaternion[]): void {
  const { parents } = motion.skeleton;
  const read = (frame: number, joint: number, into: THREE.Quaternion): THREE.Quaternion => {
    const at = 4 * (frame * parents.length + joint);
    const q = motion.local_rotations;
    return into.set(q[at + 1]!, q[at + 2]!, q[at + 3]!, q[at]!);
  };
  parents.forEach((parent, joint) => {
    const turn = (turns[joint] ??= new THREE.Quaternion());
    turn.copy(read(before, joint, first)).slerp(read(after, joint, second), part);
    if (parent >= 0) turn.premultiply(turns[parent]!);
  });
}

/** How thick the trunk is at a joint of it, by how high the joint lies at rest. */
function trunkRadius({ joint_names: names, rest_positions: rest }: SkeletonInfo): (joint: number) => number {
  const neck = names.findIndex((name) => /neck/i.test(name));
  const [low, high] = [rest[0]![1]!, rest[neck < 0 ? 0 : neck]![1]!];
  return (joint) => {
    const part = high > low ? Math.min(1, Math.max(0, (rest[joint]![1]! - low) / (high - low))) : 0;
    const after = Math.max(1, TRUNK_RADII.findIndex(([place]) => place >= part));
    const [[a, from], [b, to]] = [TRUNK_RADII[after - 1]!, TRUNK_RADII[after]!];
    return from + ((to - from) * (part - a)) / (b - a);
  };
}

/** A round limb along an offset, of two radii; a trunk is wider than it is deep. */
function limb(offset: THREE.Vector3, start: number, end: number, trunk: boolean): THREE.BufferGeometry {
  const length = offset.length();
  const steps = 7;
  const points: THREE.Vector2[] = [];
  for (let i = 0; i <= steps; i++) {
    const angle = -Math.PI / 2 + (i / steps) * (Math.PI / 2);
    points.push(new THREE.Vector2(Math.max(1e-4, start * Math.cos(angle)), start * Math.sin(angle)));
  }
  for (let i = 0; i <= steps; i++) {
    const angle = (i / steps) * (Math.PI / 2);
    points.push(new THREE.Vector2(Math.max(1e-4, end * Math.cos(angle)), length + end * Math.sin(angle)));
  }
  const geometry = new THREE.LatheGeometry(points, 20);
  if (trunk) geometry.scale(1.35, 1, 0.92);
  const turn = new THREE.Quaternion().setFromUnitVectors(new THREE.Vector3(0, 1, 0), offset.clone().normalize());
  return geometry.applyQuaternion(turn);
}
