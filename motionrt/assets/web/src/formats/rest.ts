/** What files say of a skeleton at rest. */
import type { SkeletonInfo } from "../generator";

export type Place = [number, number, number];

export function childrenOf({ parents }: SkeletonInfo): number[][] {
  const children: number[][] = parents.map(() => []);
  parents.forEach((parent, joint) => parent >= 0 && children[parent]!.push(joint));
  return children;
}

/** Each joint's rest position relative to its parent's; zero for the root. */
export function offsetsOf({ parents, rest_positions: rest }: SkeletonInfo): Place[] {
  return parents.map((parent, joint) =>
    parent < 0 ? [0, 0, 0] : ([0, 1, 2].map((axis) => rest[joint]![axis]! - rest[parent]![axis]!) as Place),
  );
}

/** Where the bone of each joint without children ends: half the bone before it further. */
export function tipOffsets(skeleton: SkeletonInfo): Place[] {
  const feet = [...skeleton.left_foot_joints, ...skeleton.right_foot_joints];
  const children = childrenOf(skeleton);
  return offsetsOf(skeleton).map((offset, joint) => {
    if (children[joint]!.length) return [0, 0, 0];
    const [x, y, z] = offset;
    return [x / 2, feet.includes(joint) ? 0 : y / 2, z / 2];
  });
}

/** Rest positions with the root above the origin and the lowest joint on the floor. */
export function onTheFloor({ rest_positions: rest }: SkeletonInfo): Place[] {
  const lowest = Math.min(...rest.map((place) => place[1]!));
  const root = rest[0]!;
  return rest.map((place) => [place[0]! - root[0]!, place[1]! - lowest, place[2]! - root[2]!]);
}
