/**
 * Motion correction: meet constraints exactly, keep standing feet where they stand.
 *
 * `motionrt/runtime/body/motion_correction.py`, in doubles as there.
 */
import { MotionrtError } from "../generator";
import { bendLimb, SAME_DIRECTION } from "./limb_ik";
import {
  add,
  cross,
  length,
  matrixAt,
  matrixToQuaternion,
  product,
  quaternionToMatrix,
  rotate,
  rotateBack,
  scaled,
  shortestArc,
  slerp,
  subtract,
  transposed,
  transposedTimes,
  unit,
  type Vector,
} from "./rotation";
import type { Skeleton } from "./skeleton";
import { correctTrajectory, FREE, PINNED, smoothMaskEdges, type Weights } from "./trajectory";

/** How far the root may stay from a constrained ground position. */
export const ROOT_MARGIN_M = 0.04;
const CONTACT_THRESHOLD = 0.5;
const LIMBS = ["LeftHand", "RightHand", "LeftFoot", "RightFoot"] as const;
type LimbName = (typeof LIMBS)[number];
export type MaskName = "FullBody" | LimbName | "Root";
const MASKS: MaskName[] = ["FullBody", ...LIMBS, "Root"];
/** Elbows bend backwards, knees forwards: the hint lies this far behind or before the joint. */
const HINT_OFFSET_M = 0.1;
const SOFT_REACH = 0.99;
const SOFT_WIDTH = 0.01;
const TOE_ROUNDS = 10;

const WEIGHTS: Weights = { position: 0.001, velocity: 1, acceleration: 10 };
const FIRM: Weights = { ...WEIGHTS, position: 0.01 };

/** The joints of a limb: upper end, middle, end effector, and what lies beyond (a toe). */
interface Limb {
  upper: number;
  middle: number;
  end: number;
  beyond: number;
}

/** What constraints ask of a clip; masks say at which frames. */
export interface CorrectionTargets {
  /** (T, 3), metres; a Root frame uses x and z only. */
  rootPositions: Float64Array;
  /** (T, J, 3, 3). */
  localRotMats: Float64Array;
  masks: Record<MaskName, boolean[]>;
}

export function emptyTargets(numFrames: number, numJoints: number): CorrectionTargets {
  const identities = new Float64Array(9 * numFrames * numJoints);
  for (let i = 0; i < identities.length; i += 9) identities[i] = identities[i + 4] = identities[i + 8] = 1;
  return {
    rootPositions: new Float64Array(3 * numFrames),
    localRotMats: identities,
    masks: Object.fromEntries(MASKS.map((name) => [name, new Array<boolean>(numFrames).fill(false)])) as Record<
      MaskName,
      boolean[]
    >,
  };
}

/**
 * Correct one clip: local rotations (T, J, 3, 3), root positions (T, 3), contacts (T, 4).
 *
 * Numbers that are not finite count as zero (a rotation as none).
 */
export function correctMotion(
  skeleton: Skeleton,
  localRotMats: ArrayLike<number>,
  rootPositions: ArrayLike<number>,
  footContacts: ArrayLike<number>,
  targets?: CorrectionTargets,
  rootMargin = ROOT_MARGIN_M,
): { local: Float64Array; root: Float64Array } {
  const local = Float64Array.from(localRotMats);
  for (let at = 0; at < local.length; at += 9) {
    if (local.subarray(at, at + 9).every(Number.isFinite)) continue;
    local.set([1, 0, 0, 0, 1, 0, 0, 0, 1], at);
  }
  const finite = (value: number): number => (Number.isFinite(value) ? value : 0);
  const root = Float64Array.from(rootPositions, finite);
  const contacts = Float64Array.from(footContacts, finite);
  const frames = root.length / 3;
  const correction = new Correction(
    skeleton,
    local,
    root,
    contacts,
    targets ?? emptyTargets(frames, skeleton.numJoints),
  );
  correction.moveRoot(rootMargin);
  correction.meetFullBodies();
  correction.meetLimbs();
  correction.holdFeet();
  return { local: correction.local, root: correction.root };
}

function limbsOf(skeleton: Skeleton): Record<LimbName, Limb> {
  const { spec, parents } = skeleton;
  const joints: Record<LimbName, number[]> = {
    LeftHand: spec.left_hand_joints,
    RightHand: spec.right_hand_joints,
    LeftFoot: spec.left_foot_joints,
    RightFoot: spec.right_foot_joints,
  };
  const limb = (name: LimbName): Limb => {
    const [end, beyond] = joints[name];
    if (end === undefined || (name.endsWith("Foot") && beyond === undefined)) {
      throw new MotionrtError(`skeleton ${spec.name} does not name its ${name}; no correction`);
    }
    const middle = parents[end]!;
    return { upper: parents[middle]!, middle, end, beyond: beyond ?? -1 };
  };
  return Object.fromEntries(LIMBS.map((name) => [name, limb(name)])) as Record<LimbName, Limb>;
}

type Pose = ReturnType<Skeleton["forwardKinematics"]>;

/** The state of one correction: the clip as it is so far. */
class Correction {
  private readonly limbs: Record<LimbName, Limb>;
  private readonly fullBody: boolean[];
  private readonly frames: number;
  private readonly joints: number;
  private readonly restHeights: number[];
  private readonly boneLengths: number[];

  constructor(
    private readonly skeleton: Skeleton,
    public local: Float64Array,
    public root: Float64Array,
    private readonly contacts: Float64Array,
    private readonly targets: CorrectionTargets,
  ) {
    this.limbs = limbsOf(skeleton);
    this.fullBody = targets.masks.FullBody;
    this.frames = root.length / 3;
    this.joints = skeleton.numJoints;
    const heights = skeleton.spec.rest_positions.map((place) => Math.fround(place[1]!));
    const lowest = Math.min(...heights);
    this.restHeights = heights.map((height) => height - lowest + skeleton.spec.foot_clearance_m);
    this.boneLengths = heights.map((_, joint) =>
      Math.hypot(...skeleton.offsets.subarray(3 * joint, 3 * joint + 3)),
    );
  }

  /** Bring the root to its targets: height at full bodies, x and z at every constraint. */
  moveRoot(margin: number): void {
    const { masks, rootPositions: target } = this.targets;
    const column = (values: Float64Array, axes: number[]): Float64Array =>
      Float64Array.from({ length: this.frames * axes.length }, (_, i) => {
        return values[3 * Math.floor(i / axes.length) + axes[i % axes.length]!]!;
      });
    const height = correctTrajectory(column(this.root, [1]), column(target, [1]), this.pins(this.fullBody), {
      ...WEIGHTS,
      position: WEIGHTS.position * 10,
      acceleration: WEIGHTS.acceleration * 0.1,
    });
    const anywhere = (t: number): boolean => masks.Root[t]! || LIMBS.some((name) => masks[name][t]);
    const margins = this.fullBody.map((full, t) => (full ? PINNED : anywhere(t) ? margin : FREE));
    const either = this.fullBody.map((full, t) => full || masks.Root[t]!);
    const smooth = smoothMaskEdges(column(this.root, [0, 2]), either);
    const ground = correctTrajectory(smooth, column(target, [0, 2]), margins, WEIGHTS);
    this.root = Float64Array.from({ length: 3 * this.frames }, (_, i) => {
      const [t, axis] = [Math.floor(i / 3), i % 3];
      return axis === 1 ? height[t]! : ground[2 * t + axis / 2]!;
    });
  }

  /** Bring every joint's rotation to its target at the full-body frames. */
  meetFullBodies(): void {
    if (!this.fullBody.includes(true)) {
      this.local = fromAxes(toAxes(this.local));
      return;
    }
    const reference = smoothMaskEdges(toAxes(this.local), this.fullBody);
    const targets = toAxes(this.targets.localRotMats);
    this.local = fromAxes(correctTrajectory(reference, targets, this.pins(this.fullBody), FIRM));
  }

  /** Bring hands and feet to their targets, position and world rotation. */
  meetLimbs(): void {
    const { masks, localRotMats, rootPositions } = this.targets;
    if (!LIMBS.some((name) => masks[name].includes(true))) return;
    const pose = this.skeleton.forwardKinematics(localRotMats, rootPositions);
    for (const name of LIMBS) {
      const limb = this.limbs[name];
      const frames = framesOf(masks[name].map((held, t) => held && !this.fullBody[t]));
      if (!frames.length) continue;
      const corrected = this.local.slice();
      const joints = [limb.upper, limb.middle, limb.end];
      this.bend(corrected, frames, joints, (t) => this.position(pose, t, limb.end), name.endsWith("Hand"));
      this.setWorld(corrected, frames, limb.end, pose);
      this.blend(corrected, joints, masks[name].map((held, t) => held || this.fullBody[t]!));
    }
  }

  /** Keep feet where they stand: ankles at an anchor, then toes at their rest height. */
  holdFeet(): void {
    // What a foot shall be at the frames that it is held; the clip follows it by blending.
    const held = this.local.slice();
    const original = this.pose();
    const ankles = {
      RightFoot: this.holdAnkle("RightFoot", held, original),
      LeftFoot: this.holdAnkle("LeftFoot", held, original),
    };
    for (const name of ["RightFoot", "LeftFoot"] as const) {
      if (!this.skeleton.spec.rolls_over_toes) this.holdToe(name, held);
      if (this.skeleton.spec.double_ankle) this.holdDoubleAnkle(name, held, ankles[name], original);
    }
  }

  private holdAnkle(name: "LeftFoot" | "RightFoot", held: Float64Array, original: Pose): boolean[] {
    const limb = this.limbs[name];
    const blocked = this.blocked(name);
    const column = contactColumn(name);
    const at = new Array<boolean>(this.frames).fill(false);
    const anchors = blocked.map((_, t) => this.position(original, t, limb.end));
    const down = (t: number, part: 0 | 1): boolean => this.contacts[4 * t + column + part]! > CONTACT_THRESHOLD;
    const standing = blocked.map((is, t) => {
      const sum = this.contacts[4 * t + column]! + this.contacts[4 * t + column + 1]!;
      return Math.min(sum, 1) > CONTACT_THRESHOLD && !is;
    });
    for (const [start, stop] of runs(standing)) {
      const before = start > 0 && blocked[start - 1]!;
      const after = stop < this.frames && blocked[stop]!;
      if (before && after) continue;
      const reference = before ? start - 1 : after ? stop : (start + stop) >> 1;
      const fixed = this.position(original, reference, limb.end);
      for (let t = start; t < stop; t++) anchors[t] = [...fixed];
      if (this.skeleton.spec.rolls_over_toes) {
        const stands = (t: number, part: 0 | 1): boolean => down(t, part) || (t === reference && (before || after));
        const rolled = this.rolled(limb, original, stands, start, stop, reference);
        for (let t = start; t < stop; t++) anchors[t] = rolled[t - start]!;
      }
      for (let t = start; t < stop; t++) {
        if (!(before || after)) {
          anchors[t]![1] = Math.max(this.position(original, t, limb.end)[1], this.restHeights[limb.end]!);
        }
        at[t] = true;
      }
    }
    const frames = framesOf(at);
    if (frames.length) {
      const joints = [limb.upper, limb.middle, limb.end];
      this.bend(held, frames, joints, (t) => anchors[t]!, false, true);
      this.setWorld(held, frames, limb.end, original);
      this.blend(held, joints, blocked.map((is, t) => is || at[t]!));
    }
    return at;
  }

  /** Move a foot so that what stands of it is still; returns its ankle at each frame. */
  private rolled(
    limb: Limb,
    pose: Pose,
    stands: (t: number, part: 0 | 1) => boolean,
    start: number,
    stop: number,
    reference: number,
  ): Vector[] {
    const [first, last] = [Math.min(start, reference), Math.max(stop, reference + 1)];
    const moved: Vector[] = [[0, 0, 0]];
    for (let t = first; t + 1 < last; t++) {
      const kept = (part: 0 | 1): boolean => stands(t, part) && stands(t + 1, part);
      const joint = kept(1) && !kept(0) ? limb.beyond : limb.end;
      const step = subtract(this.position(pose, t + 1, joint), this.position(pose, t, joint));
      moved.push(add(moved[moved.length - 1]!, step));
    }
    const back = moved[reference - first]!;
    const ankles: Vector[] = [];
    for (let t = start; t < stop; t++) {
      ankles.push(add(subtract(this.position(pose, t, limb.end), moved[t - first]!), back));
    }
    return ankles;
  }

  /** Put one toe down to its rest height by turning the ankle. */
  private holdToe(name: "LeftFoot" | "RightFoot", held: Float64Array): void {
    const limb = this.limbs[name];
    const blocked = this.blocked(name);
    const column = contactColumn(name) + 1;
    const at = new Array<boolean>(this.frames).fill(false);
    const standing = blocked.map((is, t) => this.contacts[4 * t + column]! > CONTACT_THRESHOLD && !is);
    for (const [start, stop] of runs(standing)) {
      const before = start > 0 && blocked[start - 1]!;
      const after = stop < this.frames && blocked[stop]!;
      at.fill(!(before || after), start, stop);
    }
    const frames = framesOf(at);
    if (!frames.length) return;
    const pose = this.pose(held, frames);
    const height = this.restHeights[this.limbs.RightFoot.beyond]!; // upstream takes it for both sides
    const target = (t: number): Vector => {
      const ankle = this.position(pose, t, limb.end);
      let toe = this.position(pose, t, limb.beyond);
      for (let round = 0; round < TOE_ROUNDS; round++) {
        toe = add(ankle, scaled(unit(subtract([toe[0], height, toe[2]], ankle)), this.boneLengths[limb.beyond]!));
      }
      return toe;
    };
    this.point(held, frames, limb.end, limb.beyond, target);
    this.blend(held, [limb.end], blocked.map((is, t) => is || at[t]!));
  }

  /** Bring the first ankle back to where the second one had it, by the whole leg. */
  private holdDoubleAnkle(
    name: "LeftFoot" | "RightFoot",
    held: Float64Array,
    ankleHeld: boolean[],
    original: Pose,
  ): void {
    const limb = this.limbs[name];
    const frames = framesOf(ankleHeld);
    if (!frames.length) return;
    const [second, first, knee] = [limb.end, limb.middle, limb.upper];
    const hip = this.skeleton.parents[knee]!;
    const pose = this.pose(held, frames);
    const target = (t: number): Vector => {
      const apart = subtract(this.position(original, t, first), this.position(original, t, second));
      const offset = rotateBack(original.rotations, 9 * (t * this.joints + second), apart);
      return add(this.position(pose, t, second), rotate(pose.rotations, 9 * (t * this.joints + second), offset));
    };
    const pinned = this.blocked(name).map((is, t) => is || ankleHeld[t]!);
    this.bend(held, frames, [hip, knee, first], target, false);
    this.blend(held, [hip, knee], pinned);
    this.point(held, frames, first, second, (t) => this.position(pose, t, second));
    this.point(held, frames, second, limb.beyond, (t) => this.position(pose, t, limb.beyond));
    this.blend(held, [first, second], pinned);
  }

  private pose(local: Float64Array = this.local, frames?: number[]): Pose {
    return this.skeleton.forwardKinematics(local, this.root, frames);
  }

  private position(pose: Pose, t: number, joint: number): Vector {
    const at = 3 * (t * this.joints + joint);
    return [pose.positions[at]!, pose.positions[at + 1]!, pose.positions[at + 2]!];
  }

  private pins(mask: boolean[]): number[] {
    return mask.map((held) => (held ? PINNED : FREE));
  }

  /** Bend a limb at some frames of local, in place; soft gives up what is out of reach. */
  private bend(
    local: Float64Array,
    frames: number[],
    joints: number[],
    target: (t: number) => Vector,
    back: boolean,
    soft = false,
  ): void {
    const [upper, middle, end] = joints as [number, number, number];
    const pose = this.pose(local, frames);
    const lengths: [number, number] = [this.boneLengths[middle]!, this.boneLengths[end]!];
    for (const t of frames) {
      const place = (joint: number): Vector => this.position(pose, t, joint);
      const at = 9 * (t * this.joints + middle);
      const forward: Vector = [pose.rotations[at + 2]!, pose.rotations[at + 5]!, pose.rotations[at + 8]!];
      const hint = add(place(middle), scaled(forward, back ? -HINT_OFFSET_M : HINT_OFFSET_M));
      const turns = bendLimb(place(upper), place(middle), place(end), hint, target(t), lengths);
      const distance = length(subtract(target(t), place(upper))) / (lengths[0] + lengths[1]);
      const weight = Math.exp(-2 * (Math.max(distance - SOFT_REACH, 0) / SOFT_WIDTH) ** 4);
      [upper, middle].forEach((joint, n) => {
        const own = 9 * (t * this.joints + joint);
        const world = matrixAt(pose.rotations, own);
        const old = matrixAt(local, own);
        const turned = product(old, product(product(transposed(world), turns[n]!), world));
        local.set(soft ? between(old, turned, weight) : turned, own);
      });
    }
  }

  /** Give a joint the world rotations of a pose at some frames of local, in place. */
  private setWorld(local: Float64Array, frames: number[], joint: number, wanted: Pose): void {
    const current = this.pose(local, frames);
    const parent = this.skeleton.parents[joint]!;
    for (const t of frames) {
      const [own, above] = [9 * (t * this.joints + joint), 9 * (t * this.joints + parent)];
      transposedTimes(current.rotations, above, wanted.rotations, own, local, own);
    }
  }

  /** Turn a joint so that its child points to a target, at some frames of local, in place. */
  private point(
    local: Float64Array,
    frames: number[],
    joint: number,
    child: number,
    target: (t: number) => Vector,
  ): void {
    const pose = this.pose(local, frames);
    const parent = this.skeleton.parents[joint]!;
    for (const t of frames) {
      const place = this.position(pose, t, joint);
      const turn = shortestArc(
        subtract(this.position(pose, t, child), place),
        subtract(target(t), place),
        SAME_DIRECTION,
      );
      const own = 9 * (t * this.joints + joint);
      const turned = product(turn, matrixAt(pose.rotations, own));
      transposedTimes(pose.rotations, 9 * (t * this.joints + parent), turned, 0, local, own);
    }
  }

  /** Take joints from corrected at the pinned frames and let the others follow. */
  private blend(corrected: Float64Array, joints: number[], pinned: boolean[]): void {
    const chosen = [...joints].sort((a, b) => a - b);
    const axes = correctTrajectory(
      toAxes(this.some(this.local, chosen)),
      toAxes(this.some(corrected, chosen)),
      this.pins(pinned),
      FIRM,
    );
    const rotations = fromAxes(axes);
    for (let t = 0; t < this.frames; t++) {
      chosen.forEach((joint, n) => {
        const from = 9 * (t * chosen.length + n);
        this.local.set(rotations.subarray(from, from + 9), 9 * (t * this.joints + joint));
      });
    }
  }

  private some(local: Float64Array, chosen: number[]): Float64Array {
    const result = new Float64Array(9 * this.frames * chosen.length);
    for (let t = 0; t < this.frames; t++) {
      chosen.forEach((joint, n) => {
        const from = 9 * (t * this.joints + joint);
        result.set(local.subarray(from, from + 9), 9 * (t * chosen.length + n));
      });
    }
    return result;
  }

  /** Frames at which constraints hold a foot already. */
  private blocked(name: "LeftFoot" | "RightFoot"): boolean[] {
    return this.fullBody.map((full, t) => full || this.targets.masks[name][t]!);
  }
}

const contactColumn = (name: "LeftFoot" | "RightFoot"): number => (name === "LeftFoot" ? 0 : 2);

const framesOf = (mask: boolean[]): number[] => mask.flatMap((is, t) => (is ? [t] : []));

/** The start and the end (excluded) of every run of true. */
function runs(mask: boolean[]): [number, number][] {
  const found: [number, number][] = [];
  mask.forEach((is, t) => {
    if (is && !mask[t - 1]) found.push([t, t + 1]);
    else if (is) found[found.length - 1]![1] = t + 1;
  });
  return found;
}

/** Take the z and y axes of matrices as six numbers each. */
function toAxes(rotations: Float64Array): Float64Array {
  const axes = new Float64Array((rotations.length / 9) * 6);
  for (let from = 0, to = 0; from < rotations.length; from += 9, to += 6) {
    for (let i = 0; i < 3; i++) {
      axes[to + i] = rotations[from + 3 * i + 2]!;
      axes[to + 3 + i] = rotations[from + 3 * i + 1]!;
    }
  }
  return axes;
}

/** Make rotations of z axes and approximate y axes; z is kept. */
function fromAxes(axes: Float64Array): Float64Array {
  const rotations = new Float64Array((axes.length / 6) * 9);
  for (let from = 0, to = 0; from < axes.length; from += 6, to += 9) {
    const z = unit([axes[from]!, axes[from + 1]!, axes[from + 2]!]);
    const x = unit(cross([axes[from + 3]!, axes[from + 4]!, axes[from + 5]!], z));
    const y = cross(z, x);
    for (let i = 0; i < 3; i++) {
      rotations[to + 3 * i] = x[i]!;
      rotations[to + 3 * i + 1] = y[i]!;
      rotations[to + 3 * i + 2] = z[i]!;
    }
  }
  return rotations;
}

function between(start: number[], end: number[], fraction: number): number[] {
  return quaternionToMatrix(slerp(matrixToQuaternion(start), matrixToQuaternion(end), fraction));
}
