/** Constraints as ARDY takes them: `motionrt/runtime/ardy/constraints.py`. */
import { emptyTargets, type CorrectionTargets } from "../body/motion_correction";
import { hipHeading, type Skeleton } from "../body/skeleton";
import { checkFrames, cropConstraints, MASKS, type Held, type Observed } from "../constraints";
import { MotionrtError } from "../generator";
import type { ArdyFeatures } from "./features";
import type { Conditions } from "./network";

const ROOT_GROUP = "Hips";
const GENERIC = "end-effector";

/** The groups that a pose constraint holds, the hips among them; null for all joints. */
function groupsOf({ type, pose }: Held): string[] | null {
  if (!pose?.groups || type === GENERIC) return pose?.groups ?? null;
  return [...pose.groups, ROOT_GROUP];
}

/** Refuse an end effector that is held without the hips. */
export function checkGroups(constraints: readonly Held[]): void {
  for (const held of constraints) {
    const groups = groupsOf(held);
    if (groups && !groups.includes(ROOT_GROUP)) {
      throw new MotionrtError(
        `${held.type} constraint: joint_names must have ${ROOT_GROUP} among them; ` +
          "ARDY places hands and feet by where the hips are",
      );
    }
  }
}

/** Turn the constraints of a clip into what is known of it, normalised, for so many samples; null for nothing. */
export function conditionsOf(
  constraints: readonly Held[],
  features: ArdyFeatures,
  numFrames: number,
  batch = 1,
): Conditions | null {
  if (!constraints.length) return null;
  const { motion, mask } = conditioning(constraints, features, numFrames);
  const normal = features.normalize(motion);
  const [observed, known] = [new Float32Array(batch * mask.length), new Float32Array(batch * mask.length)];
  for (let b = 0; b < batch; b++) {
    known.set(mask, b * mask.length);
    observed.set(normal.map((value, i) => value * mask[i]!), b * mask.length);
  }
  return { observed, mask: known };
}

/** Turn constraints into an observed motion; where they overlap, the last one counts. */
export function conditioning(constraints: readonly Held[], features: ArdyFeatures, numFrames: number): Observed {
  checkFrames(constraints, numFrames);
  checkGroups(constraints);
  const { skeleton, starts, width } = features;
  const { spec, numJoints: J } = skeleton;
  const motion = new Float32Array(numFrames * width);
  const mask = new Float32Array(numFrames * width);
  const write = (frame: number, column: number, value: number): void => {
    motion[frame * width + column] = value;
    mask[frame * width + column] = 1;
  };
  const poses = constraints.map(({ pose }) => pose && skeleton.forwardKinematics(pose.local, pose.root));
  const each = (visit: (held: Held, k: number, frame: number, pose: (typeof poses)[number]) => void): void =>
    constraints.forEach((held, n) => held.frames.forEach((frame, k) => visit(held, k, frame, poses[n]!)));
  each(({ ground }, k, frame) => {
    write(frame, starts.root_path, ground[k]![0]!);
    write(frame, starts.root_path + 2, ground[k]![1]!);
  });
  each(({ heading: given }, k, frame, pose) => {
    let heading = given?.[k];
    if (pose) {
      const angle = hipHeading(Float32Array.from(pose.positions), 3 * k * J, spec);
      heading = [Math.cos(angle), Math.sin(angle)];
    }
    heading?.forEach((value, i) => write(frame, starts.global_root_heading + i, value));
  });
  each((_, k, frame, pose) => {
    if (pose) write(frame, starts.root_path + 1, pose.positions[3 * k * J + 1]!);
  });
  each((held, k, frame, pose) => {
    for (const name of groupsOf(held) ?? []) {
      const joint = spec.end_effector_groups[name]![0]!;
      const from = 9 * (k * J + joint);
      for (let i = 0; i < 6; i++) {
        // Six numbers: the first column, then the second.
        write(frame, starts.global_rot_data + 6 * joint + i, pose!.rotations[from + 3 * (i % 3) + (i > 2 ? 1 : 0)]!);
      }
    }
  });
  // Joints are relative to the root of the last pose that is given at their frame.
  const roots = new Map<number, number[]>();
  each((_, k, frame, pose) => {
    if (pose) roots.set(frame, [0, 1, 2].map((axis) => Math.fround(pose.positions[3 * k * J + axis]!)));
  });
  each((held, k, frame, pose) => {
    if (!pose) return;
    const groups = groupsOf(held);
    const joints = groups ? groups.flatMap((name) => spec.end_effector_groups[name]!) : spec.parents.map((_, joint) => joint);
    for (const joint of joints) {
      if (joint === 0) continue; // the root has no position feature
      for (let axis = 0; axis < 3; axis++) {
        const origin = axis === 1 ? 0 : roots.get(frame)![axis]!;
        const place = Math.fround(pose.positions[3 * (k * J + joint) + axis]!);
        write(frame, starts.local_joints_positions + 3 * (joint - 1) + axis, place - origin);
      }
    }
  });
  return { motion, mask };
}

/** Turn constraints into targets of motion correction; whole bodies count before others. */
export function correctionTargets(constraints: readonly Held[], skeleton: Skeleton, numFrames: number): CorrectionTargets {
  const targets = emptyTargets(numFrames, skeleton.numJoints);
  const size = 9 * skeleton.numJoints;
  const whole = (held: Held): number => Number(held.type === "fullbody");
  const inside = cropConstraints(constraints, 0, numFrames);
  for (const { type, frames, ground, floor, pose } of [...inside].sort((a, b) => whole(a) - whole(b))) {
    const mask = MASKS[type];
    // A generic end effector that does not hold the hips moves targets, and holds nothing.
    const onGround = pose && type === GENERIC && !pose.groups?.includes(ROOT_GROUP);
    frames.forEach((frame, k) => {
      const root = pose ? Array.from(pose.root.subarray(3 * k, 3 * k + 3)) : [floor[k]![0]!, NaN, floor[k]![1]!];
      if (onGround) [root[0], root[2]] = [ground[k]![0]!, ground[k]![1]!];
      root.forEach((value, axis) => {
        if (!Number.isNaN(value)) targets.rootPositions[3 * frame + axis] = value;
      });
      if (pose) targets.localRotMats.set(pose.local.subarray(size * k, size * (k + 1)), size * frame);
      if (mask) targets.masks[mask][frame] = true;
    });
  }
  return targets;
}
