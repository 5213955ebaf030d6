/**
 * Constraints as Kimodo takes them: checked, as an observed motion with a mask, and as targets of
 * the clean-up. `motionrt/runtime/constraints/kinds.py` and `kimodo/constraints.py`.
 */
import { emptyTargets, type CorrectionTargets, type MaskName } from "./body/motion_correction";
import { axisAngleToMatrix } from "./body/rotation";
import { hipHeading, type Skeleton } from "./body/skeleton";
import type { MotionFeatures } from "./features";
import { MotionrtError, type Constraint, type PoseConstraint } from "./generator";

export const MASKS: Record<Constraint["type"], MaskName | null> = {
  root2d: "Root",
  fullbody: "FullBody",
  "left-hand": "LeftHand",
  "right-hand": "RightHand",
  "left-foot": "LeftFoot",
  "right-foot": "RightFoot",
  "end-effector": null, // upstream's clean-up leaves these frames alone
};
export const GROUPS = ["LeftFoot", "RightFoot", "LeftHand", "RightHand", "Hips"];
const LARGEST_NUMBER = 1e9;

/** A constraint of some frames, checked; K rows. */
export interface Held {
  type: Constraint["type"];
  frames: number[];
  /** (K, 2), x and z of the smoothed root. */
  ground: number[][];
  /** (K, 2), the same without Kimodo's bug where three numbers are given. */
  floor: number[][];
  /** (K, 2), cosine and sine. */
  heading: number[][] | null;
  pose: HeldPose | null;
}

export interface HeldPose {
  /** (K, J, 3, 3). */
  local: Float64Array;
  /** (K, 3). */
  root: Float64Array;
  /** What is held of it; null for all joints. */
  groups: string[] | null;
}

/** Check constraints and bring them into one form; MotionrtError says which does not fit. */
export function readConstraints(given: readonly Constraint[], skeleton: Skeleton): Held[] {
  if (!Array.isArray(given)) throw new MotionrtError("constraints must be a list");
  return given.map((constraint, number) => {
    try {
      return readOne(inOurNames(constraint), skeleton);
    } catch (error) {
      if (!(error instanceof MotionrtError)) throw error;
      throw new MotionrtError(`constraint ${number} (${String(constraint?.type)}): ${error.message}`);
    }
  });
}

/** ARDY's names: root_2d is the root's place, headings are angles (K,). */
function inOurNames(given: Constraint): Constraint {
  if (!given || typeof given !== "object") return given;
  const { root_2d: place, ...own } = given as Constraint & { root_2d?: number[][] };
  const named = { ...own, ...(place && !own.smooth_root_2d ? { smooth_root_2d: place } : {}) } as Constraint;
  if (named.type !== "root2d" || !Array.isArray(named.global_root_heading)) return named;
  const headings = named.global_root_heading.map((value: unknown) =>
    typeof value === "number" ? [Math.cos(value), Math.sin(value)] : (value as number[]),
  );
  return { ...named, global_root_heading: headings };
}

function readOne(given: Constraint, skeleton: Skeleton): Held {
  if (!given || !Object.hasOwn(MASKS, given.type)) {
    throw new MotionrtError(`type must be one of ${Object.keys(MASKS).join(", ")}`);
  }
  const frames = given.frame_indices;
  if (!Array.isArray(frames) || !frames.length || !frames.every((frame) => Number.isInteger(frame) && frame >= 0)) {
    throw new MotionrtError("frame_indices must be a list of whole numbers from 0");
  }
  if (given.type === "root2d") {
    const places = rows("smooth_root_2d", given.smooth_root_2d, frames.length, [2, 3]);
    return {
      type: given.type,
      frames: [...frames],
      ground: ground(places),
      floor: floor(places),
      heading: given.global_root_heading
        ? rows("global_root_heading", given.global_root_heading, frames.length, [2])
        : null,
      pose: null,
    };
  }
  const root = rows("root_positions", given.root_positions, frames.length, [3]);
  const places = given.smooth_root_2d ? rows("smooth_root_2d", given.smooth_root_2d, frames.length, [2, 3]) : null;
  return {
    type: given.type,
    frames: [...frames],
    ground: places ? ground(places) : floor(root),
    floor: floor(places ?? root),
    heading: null,
    pose: {
      local: rotations(given, skeleton, frames.length),
      root: Float64Array.from(root.flat()),
      groups: groupsOf(given, skeleton),
    },
  };
}

/** Of three columns the first Kimodo takes 0 and 1 (x and the height), a bug that is kept. */
const ground = (smooth: number[][]): number[][] => smooth.map((row) => row.slice(0, 2));
const floor = (places: number[][]): number[][] => places.map((row) => [row[0]!, row.at(-1)!]);

function rows(name: string, value: unknown, count: number, widths: number[]): number[][] {
  if (!Array.isArray(value)) throw new MotionrtError(`${name} is missing`);
  if (value.length !== count) throw new MotionrtError(`${name} has ${value.length} entries for ${count} frames`);
  return value.map((row: unknown) => {
    if (!Array.isArray(row) || !widths.includes(row.length)) {
      throw new MotionrtError(`${name} must be (K, ${widths[0]})`);
    }
    return row.map(number);
  });
}

function number(value: unknown): number {
  if (typeof value !== "number" || !(Math.abs(value) <= LARGEST_NUMBER)) {
    throw new MotionrtError(`${String(value)} is no number up to ${LARGEST_NUMBER}`);
  }
  return Math.fround(value);
}

function rotations(given: PoseConstraint, skeleton: Skeleton, count: number): Float64Array {
  const poses = given.local_joints_rot;
  const joints = skeleton.numJoints;
  if (!Array.isArray(poses) || poses.length !== count || !poses.every((pose) => pose?.length === joints)) {
    throw new MotionrtError(`local_joints_rot must be (${count}, ${joints}, 3) or (${count}, ${joints}, 3, 3)`);
  }
  const result = new Float64Array(9 * count * joints);
  poses.flat().forEach((rotation, i) => {
    const values = (rotation as (number | number[])[]).flat().map(number);
    if (values.length !== 3 && values.length !== 9) {
      throw new MotionrtError("local_joints_rot: a rotation is 3 numbers, or 3 rows of 3");
    }
    result.set(values.length === 9 ? values : axisAngleToMatrix(values), 9 * i);
  });
  return result;
}

function groupsOf(given: PoseConstraint, skeleton: Skeleton): string[] | null {
  if (given.type === "fullbody") return null;
  const groups = given.type === "end-effector" ? (given.joint_names ?? []) : [MASKS[given.type]!];
  if (!groups.length) throw new MotionrtError(`joint_names is empty; there are ${GROUPS.join(", ")}`);
  for (const name of groups) {
    if (!GROUPS.includes(name)) throw new MotionrtError(`joint_names has ${name}; there are ${GROUPS.join(", ")}`);
    if (!skeleton.spec.end_effector_groups[name]) {
      throw new MotionrtError(`skeleton ${skeleton.spec.name} has no joint group ${name}`);
    }
  }
  return groups;
}

/** Refuse the first frame that lies beyond a clip. */
export function checkFrames(constraints: readonly Held[], numFrames: number): void {
  constraints.forEach(({ type, frames }, number) => {
    const beyond = frames.find((frame) => frame >= numFrames);
    if (beyond === undefined) return;
    throw new MotionrtError(
      `constraint ${number} (${type}): frame ${beyond} is beyond the clip's ${numFrames} frames ` +
        `(0 to ${numFrames - 1}); lengthen the clip or move the frame`,
    );
  });
}

/** Keep the frames from start to stop (excluded), counted from start; what is left empty goes. */
export function cropConstraints(constraints: readonly Held[], start: number, stop: number): Held[] {
  return constraints.flatMap((held) => {
    const kept = held.frames.flatMap((frame, k) => (frame >= start && frame < stop ? [k] : []));
    if (!kept.length) return [];
    const take = (values: Float64Array): Float64Array => {
      const width = values.length / held.frames.length;
      const result = new Float64Array(width * kept.length);
      kept.forEach((k, n) => result.set(values.subarray(k * width, (k + 1) * width), n * width));
      return result;
    };
    return [
      {
        type: held.type,
        frames: kept.map((k) => held.frames[k]! - start),
        ground: kept.map((k) => held.ground[k]!),
        floor: kept.map((k) => held.floor[k]!),
        heading: held.heading && kept.map((k) => held.heading![k]!),
        pose: held.pose && { local: take(held.pose.local), root: take(held.pose.root), groups: held.pose.groups },
      },
    ];
  });
}

export const shifted = (held: Held, by: number): Held => ({ ...held, frames: held.frames.map((frame) => frame + by) });

/** An observed motion (T, D), not normalised, and its mask: 1 where a feature is given. */
export interface Observed {
  motion: Float32Array;
  mask: Float32Array;
}

/** Turn constraints into an observed motion; where they overlap, the last one counts. */
export function conditioning(constraints: readonly Held[], features: MotionFeatures, numFrames: number): Observed {
  checkFrames(constraints, numFrames);
  const { skeleton, starts, width } = features;
  const motion = new Float32Array(numFrames * width);
  const mask = new Float32Array(numFrames * width);
  const write = (frame: number, column: number, value: number): void => {
    motion[frame * width + column] = value;
    mask[frame * width + column] = 1;
  };
  const poses = constraints.map(
    ({ pose }) => pose && { ...pose, ...skeleton.forwardKinematics(pose.local, pose.root) },
  );
  const J = skeleton.numJoints;
  const root = starts.root_path;
  const each = (visit: (held: Held, k: number, frame: number, pose: (typeof poses)[number]) => void): void =>
    constraints.forEach((held, n) => held.frames.forEach((frame, k) => visit(held, k, frame, poses[n]!)));
  each((held, k, frame) => {
    write(frame, root, held.ground[k]![0]!);
    write(frame, root + 2, held.ground[k]![1]!);
  });
  each((_, k, frame, pose) => {
    if (pose) write(frame, root + 1, pose.positions[3 * k * J + 1]!);
  });
  each((held, k, frame, pose) => {
    let heading = held.heading?.[k];
    if (pose) {
      const angle = hipHeading(Float32Array.from(pose.positions), 3 * k * J, skeleton.spec);
      heading = [Math.cos(angle), Math.sin(angle)];
    }
    heading?.forEach((value, i) => write(frame, starts.global_root_heading + i, value));
  });
  each((_, k, frame, pose) => {
    for (const name of pose?.groups ?? []) {
      const joint = skeleton.spec.end_effector_groups[name]![0]!;
      const from = 9 * (k * J + joint);
      for (let i = 0; i < 6; i++) {
        // Six numbers: the first column, then the second.
        write(frame, starts.global_rot_data + 6 * joint + i, pose!.rotations[from + 3 * (i % 3) + (i > 2 ? 1 : 0)]!);
      }
    }
  });
  each((_, k, frame, pose) => {
    if (!pose) return;
    const joints = pose.groups
      ? pose.groups.flatMap((name) => skeleton.spec.end_effector_groups[name]!)
      : skeleton.parents.map((_, joint) => joint);
    for (const joint of joints) {
      for (let axis = 0; axis < 3; axis++) {
        const origin = axis === 1 ? 0 : motion[frame * width + root + axis]!;
        const place = Math.fround(pose.positions[3 * (k * J + joint) + axis]!);
        write(frame, starts.local_joints_positions + 3 * joint + axis, place - origin);
      }
    }
  });
  return { motion, mask };
}

/** Turn constraints into targets of motion correction; the last one of a frame counts. */
export function correctionTargets(
  constraints: readonly Held[],
  skeleton: Skeleton,
  numFrames: number,
): CorrectionTargets {
  checkFrames(constraints, numFrames);
  const targets = emptyTargets(numFrames, skeleton.numJoints);
  const size = 9 * skeleton.numJoints;
  for (const { type, frames, ground: places, pose } of constraints) {
    const mask = MASKS[type];
    frames.forEach((frame, k) => {
      if (pose) {
        targets.rootPositions[3 * frame + 1] = pose.root[3 * k + 1]!;
        targets.localRotMats.set(pose.local.subarray(size * k, size * (k + 1)), size * frame);
      }
      targets.rootPositions[3 * frame] = places[k]![0]!;
      targets.rootPositions[3 * frame + 2] = places[k]![1]!;
      if (mask) targets.masks[mask][frame] = true;
    });
  }
  return targets;
}
