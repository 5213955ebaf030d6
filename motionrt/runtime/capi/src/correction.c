/* What Kimodo runs after decoding. Every step moves the frames it must and lets the others follow by
 * `correct_trajectory`, so no step leaves a jump. */
#include "correction.h"

#include <string.h>

#include "trajectory.h"

/* Elbows bend backwards, knees forwards: the hint lies this far behind or before the joint. */
#define HINT_OFFSET_M 0.1
/* A foot is let go smoothly when its anchor is further than the leg is long. */
#define SOFT_REACH 0.99
#define SOFT_WIDTH 0.01
#define TOE_ROUNDS 10
/* A bent limb may reach this share of its length, so that its plane stays defined. */
#define MAX_REACH 0.999
#define MIN_REACH_M 1e-4
/* The cosine above which two directions count as one (ten units in the last place of float32). */
#define SAME_DIRECTION (1.0 - 1.19e-6)

static const trajectory_weights plain = {0.001, 1, 10};
static const trajectory_weights firm = {0.01, 1, 10}; /* ten times the position */

typedef struct limb {
  int32_t upper, middle, end, beyond; /* beyond: the toe, or -1 */
  bool is_hand;
} limb;

enum { LEFT_HAND, RIGHT_HAND, LEFT_FOOT, RIGHT_FOOT, NUM_LIMBS };
static const int mask_of_limb[NUM_LIMBS] = {MASK_LEFT_HAND, MASK_RIGHT_HAND, MASK_LEFT_FOOT,
                                            MASK_RIGHT_FOOT};

typedef struct correction {
  call *c;
  const mrt_skeleton *skeleton;
  const correction_targets *targets;
  const bool *contacts;
  int32_t num_frames, num_joints;
  mat3 *local; /* (T, J) */
  vec3 *root;  /* (T) */
  limb limbs[NUM_LIMBS];
  double *rest_heights, *bone_lengths; /* (J) */
} correction;

static limb find_limb(call *c, const mrt_skeleton *s, const joint_group *group, const char *name,
                      bool is_hand) {
  limb found;
  if (group->count < (is_hand ? 1 : 2) || s->parents[group->joints[0]] < 0 ||
      s->parents[s->parents[group->joints[0]]] < 0)
    fail(c, MRT_BAD_INPUT, "skeleton %s does not name its %s; no correction", s->name, name);
  found.end = group->joints[0];
  found.middle = s->parents[found.end];
  found.upper = s->parents[found.middle];
  found.beyond = is_hand ? -1 : group->joints[1];
  found.is_hand = is_hand;
  return found;
}

/* Pose one frame with other rotations. */
static void pose(const correction *k, const mat3 *local, int32_t frame, vec3 *positions,
                 mat3 *rotations) {
  forward_kinematics(k->skeleton, local + (size_t)frame * k->num_joints, k->root[frame], positions,
                     rotations);
}

static mat3 *copy_local(const correction *k) {
  size_t count = (size_t)k->num_frames * k->num_joints;
  mat3 *copy = TEMP(k->c, mat3, count);
  memcpy(copy, k->local, count * sizeof *copy);
  return copy;
}

/* The z and y axes of joints at every frame, (T, 6 count). */
static double *to_axes(const correction *k, const mat3 *local, const int32_t *joints,
                       int32_t count) {
  double *axes = TEMP(k->c, double, (size_t)k->num_frames * count * 6), *at = axes;
  int32_t t, j, i;
  for (t = 0; t < k->num_frames; t++)
    for (j = 0; j < count; j++) {
      const mat3 *m = &local[(size_t)t * k->num_joints + (joints ? joints[j] : j)];
      for (i = 0; i < 3; i++) *at++ = m->m[i][2];
      for (i = 0; i < 3; i++) *at++ = m->m[i][1];
    }
  return axes;
}

/* Rotations of z axes and approximate y axes; z is kept. */
static void from_axes(correction *k, const double *axes, const int32_t *joints, int32_t count) {
  int32_t t, j;
  for (t = 0; t < k->num_frames; t++)
    for (j = 0; j < count; j++, axes += 6) {
      vec3 z = vec_unit(vec(axes[0], axes[1], axes[2]));
      vec3 x = vec_unit(vec_cross(vec(axes[3], axes[4], axes[5]), z));
      k->local[(size_t)t * k->num_joints + (joints ? joints[j] : j)] =
          mat_columns(x, vec_cross(z, x), z);
    }
}

/* Take joints from corrected at the pinned frames and let the others follow. */
static void blend(correction *k, const mat3 *corrected, const int32_t *joints, int32_t count,
                  const bool *pinned) {
  double *reference = to_axes(k, k->local, joints, count);
  double *targets = to_axes(k, corrected, joints, count);
  double *margins = TEMP(k->c, double, k->num_frames);
  int32_t t;
  for (t = 0; t < k->num_frames; t++) margins[t] = pinned[t] ? PINNED_FRAME : FREE_FRAME;
  correct_trajectory(k->c, reference, targets, margins, k->num_frames, 6 * count, firm, reference);
  from_axes(k, reference, joints, count);
}

static double angle_between(vec3 a, vec3 b) {
  return atan2(vec_length(vec_cross(a, b)), vec_dot(a, b));
}

/* The angle of a triangle opposite to a side, by the law of cosines. */
static double angle_opposite(double side, double a, double b) {
  double twice = fmax(2 * a * b, 1e-12); /* a bone may have no length */
  double cosine = (a * a + b * b - side * side) / twice;
  return acos(cosine < -1 ? -1 : cosine > 1 ? 1 : cosine);
}

/* Bend a limb at one frame of local so that its end comes to a target; soft gives up what is out of
 * reach. */
static void bend(const correction *k, mat3 *local, int32_t frame, int32_t upper, int32_t middle,
                 int32_t end, bool is_hand, vec3 target, bool soft) {
  vec3 positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS], turns[2];
  const int32_t joints[2] = {upper, middle};
  double lengths[2], reach, hip_angle, knee_angle, distance, weight;
  vec3 hip, knee, ankle, limb_way, hint, normal, axis;
  int i;
  pose(k, local, frame, positions, rotations);
  hip = positions[upper], knee = positions[middle], ankle = positions[end];
  hint = vec_add(knee, vec_scale(mat_column(rotations[middle], 2),
                                 is_hand ? -HINT_OFFSET_M : HINT_OFFSET_M));
  lengths[0] = k->bone_lengths[middle];
  lengths[1] = k->bone_lengths[end];
  limb_way = vec_sub(ankle, hip);
  reach = vec_length(vec_sub(target, hip));
  distance = reach / (lengths[0] + lengths[1]);
  if (reach > MAX_REACH * (lengths[0] + lengths[1])) reach = MAX_REACH * (lengths[0] + lengths[1]);
  if (reach < MIN_REACH_M) reach = MIN_REACH_M;
  hip_angle = angle_opposite(lengths[1], lengths[0], reach) -
              angle_between(limb_way, vec_sub(knee, hip));
  knee_angle = angle_opposite(reach, lengths[0], lengths[1]) -
               angle_between(vec_sub(hip, knee), vec_sub(ankle, knee));
  normal = vec_cross(limb_way, vec_sub(hint, hip));
  axis = vec_length(normal) < 1e-8 ? vec(0, 0, 1) : vec_unit(normal);
  turns[0] = mat_mul(shortest_arc(limb_way, vec_sub(target, hip), SAME_DIRECTION),
                     turn_about(axis, hip_angle));
  turns[1] = turn_about(axis, knee_angle);
  distance = distance > SOFT_REACH ? (distance - SOFT_REACH) / SOFT_WIDTH : 0;
  weight = exp(-2 * distance * distance * distance * distance);
  for (i = 0; i < 2; i++) {
    mat3 *at = &local[(size_t)frame * k->num_joints + joints[i]], world = rotations[joints[i]];
    mat3 turned = mat_mul(*at, mat_mul(mat_transpose(world), mat_mul(turns[i], world)));
    if (soft) turned = quat_to_mat(quat_slerp(mat_to_quat(*at), mat_to_quat(turned), weight));
    *at = turned;
  }
}

/* Give a joint a world rotation at one frame of local. */
static void set_world(const correction *k, mat3 *local, int32_t frame, int32_t joint,
                      mat3 rotation) {
  mat3 rotations[MAX_JOINTS];
  pose(k, local, frame, NULL, rotations);
  local[(size_t)frame * k->num_joints + joint] =
      mat_mul(mat_transpose(rotations[k->skeleton->parents[joint]]), rotation);
}

/* Turn a joint so that its child points to a target, at one frame of local. */
static void point(const correction *k, mat3 *local, int32_t frame, int32_t joint, int32_t child,
                  vec3 target) {
  vec3 positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS], turn;
  pose(k, local, frame, positions, rotations);
  turn = shortest_arc(vec_sub(positions[child], positions[joint]),
                      vec_sub(target, positions[joint]), SAME_DIRECTION);
  local[(size_t)frame * k->num_joints + joint] =
      mat_mul(mat_transpose(rotations[k->skeleton->parents[joint]]),
              mat_mul(turn, rotations[joint]));
}

/* Bring the root to its targets: height at full bodies, x and z at every constraint. */
static void move_root(correction *k, double margin) {
  static const trajectory_weights height_weights = {0.01, 1, 1};
  const correction_targets *targets = k->targets;
  const bool *full = targets->masks[MASK_FULL_BODY];
  int32_t frames = k->num_frames, t, i;
  double *height = TEMP(k->c, double, frames), *ground = TEMP(k->c, double, 2 * frames);
  double *height_to = TEMP(k->c, double, frames), *ground_to = TEMP(k->c, double, 2 * frames);
  double *pins = TEMP(k->c, double, frames), *margins = TEMP(k->c, double, frames);
  bool *held = TEMP(k->c, bool, frames);
  for (t = 0; t < frames; t++) {
    bool anywhere = targets->masks[MASK_ROOT][t];
    for (i = 0; i < NUM_LIMBS; i++) anywhere |= targets->masks[mask_of_limb[i]][t];
    height[t] = k->root[t].y;
    ground[2 * t] = k->root[t].x;
    ground[2 * t + 1] = k->root[t].z;
    height_to[t] = targets->root[3 * t + 1];
    ground_to[2 * t] = targets->root[3 * t];
    ground_to[2 * t + 1] = targets->root[3 * t + 2];
    pins[t] = full[t] ? PINNED_FRAME : FREE_FRAME;
    margins[t] = full[t] ? PINNED_FRAME : anywhere ? margin : FREE_FRAME;
    held[t] = full[t] || targets->masks[MASK_ROOT][t];
  }
  correct_trajectory(k->c, height, height_to, pins, frames, 1, height_weights, height);
  smooth_mask_edges(ground, held, frames, 2);
  correct_trajectory(k->c, ground, ground_to, margins, frames, 2, plain, ground);
  for (t = 0; t < frames; t++) k->root[t] = vec(ground[2 * t], height[t], ground[2 * t + 1]);
}

/* Bring every joint's rotation to its target at the full-body frames. */
static void meet_full_bodies(correction *k) {
  const bool *full = k->targets->masks[MASK_FULL_BODY];
  double *reference = to_axes(k, k->local, NULL, k->num_joints);
  double *targets = to_axes(k, k->targets->local, NULL, k->num_joints);
  double *pins = TEMP(k->c, double, k->num_frames);
  int32_t t;
  for (t = 0; t < k->num_frames; t++) pins[t] = full[t] ? PINNED_FRAME : FREE_FRAME;
  smooth_mask_edges(reference, full, k->num_frames, 6 * k->num_joints);
  correct_trajectory(k->c, reference, targets, pins, k->num_frames, 6 * k->num_joints, firm,
                     reference);
  from_axes(k, reference, NULL, k->num_joints);
}

/* Bring hands and feet to their targets, position and world rotation. */
static void meet_limbs(correction *k) {
  const bool *full = k->targets->masks[MASK_FULL_BODY];
  vec3 positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS];
  int32_t i, t;
  for (i = 0; i < NUM_LIMBS; i++) {
    const bool *mask = k->targets->masks[mask_of_limb[i]];
    const limb *l = &k->limbs[i];
    const int32_t joints[3] = {l->upper, l->middle, l->end};
    mat3 *corrected = NULL;
    bool *pinned;
    for (t = 0; t < k->num_frames; t++) {
      vec3 root = vec(k->targets->root[3 * t], k->targets->root[3 * t + 1],
                      k->targets->root[3 * t + 2]);
      if (!mask[t] || full[t]) continue;
      if (!corrected) corrected = copy_local(k);
      forward_kinematics(k->skeleton, k->targets->local + (size_t)t * k->num_joints, root,
                         positions, rotations);
      bend(k, corrected, t, l->upper, l->middle, l->end, l->is_hand, positions[l->end], false);
      set_world(k, corrected, t, l->end, rotations[l->end]);
    }
    if (!corrected) continue;
    pinned = TEMP(k->c, bool, k->num_frames);
    for (t = 0; t < k->num_frames; t++) pinned[t] = mask[t] || full[t];
    blend(k, corrected, joints, 3, pinned);
  }
}

static bool is_blocked(const correction *k, int side, int32_t t) {
  return k->targets->masks[MASK_FULL_BODY][t] || k->targets->masks[mask_of_limb[side]][t];
}

static int contact_column(int side) { return side == LEFT_FOOT ? 0 : 2; }

/* Whether a joint of a foot stands; where a constraint holds the foot, both joints do. */
static bool stands(const correction *k, int column, int32_t t, int32_t constrained) {
  return k->contacts[4 * t + column] || t == constrained;
}

/* How far what stands of a foot moves from one frame to the next: the ankle, or the toe where it
 * alone stands at both. */
static vec3 slip(const correction *k, int side, const vec3 *path, const vec3 *toes, int32_t t,
                 int32_t constrained) {
  int column = contact_column(side);
  bool ankle = stands(k, column, t, constrained) && stands(k, column, t + 1, constrained);
  bool toe = stands(k, column + 1, t, constrained) && stands(k, column + 1, t + 1, constrained);
  const vec3 *kept = toe && !ankle ? toes : path;
  return vec_sub(kept[t + 1], kept[t]);
}

/* Move a foot from start to stop so that what stands of it is still. At reference it stays. */
static void roll(const correction *k, int side, const vec3 *path, const vec3 *toes, int32_t start,
                 int32_t stop, int32_t reference, vec3 *anchors) {
  int32_t constrained = reference < start || reference >= stop ? reference : -1, t;
  vec3 shift = vec(0, 0, 0);
  if (constrained < 0) anchors[reference] = path[reference];
  for (t = reference + 1; t < stop; t++) {
    shift = vec_sub(shift, slip(k, side, path, toes, t - 1, constrained));
    anchors[t] = vec_add(path[t], shift);
  }
  shift = vec(0, 0, 0);
  for (t = reference - 1; t >= start; t--) {
    shift = vec_add(shift, slip(k, side, path, toes, t, constrained));
    anchors[t] = vec_add(path[t], shift);
  }
}

/* Hold one ankle where it stands; held says at which frames it was. */
static void hold_ankle(correction *k, int side, bool *held) {
  const limb *l = &k->limbs[side];
  const int32_t joints[3] = {l->upper, l->middle, l->end};
  int32_t frames = k->num_frames, t, start, column = contact_column(side);
  vec3 *path = TEMP(k->c, vec3, frames), *anchors = TEMP(k->c, vec3, frames);
  vec3 *toes = TEMP(k->c, vec3, frames);
  mat3 *ankle_turns = TEMP(k->c, mat3, frames), *corrected;
  vec3 positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS];
  bool *standing = TEMP(k->c, bool, frames), *pinned, any = false;
  for (t = 0; t < frames; t++) {
    pose(k, k->local, t, positions, rotations);
    path[t] = anchors[t] = positions[l->end];
    toes[t] = positions[l->beyond];
    ankle_turns[t] = rotations[l->end];
    standing[t] = (k->contacts[4 * t + column] || k->contacts[4 * t + column + 1]) &&
                  !is_blocked(k, side, t);
  }
  for (start = 0; start < frames; start++) {
    int32_t stop = start;
    int32_t reference;
    bool before, after;
    if (!standing[start]) continue;
    while (stop < frames && standing[stop]) stop++;
    before = start > 0 && is_blocked(k, side, start - 1);
    after = stop < frames && is_blocked(k, side, stop);
    if (!(before && after)) {
      reference = before ? start - 1 : after ? stop : (start + stop) / 2;
      for (t = start; t < stop; t++) anchors[t] = path[reference];
      if (k->skeleton->rolls_over_toes)
        roll(k, side, path, toes, start, stop, reference, anchors);
      for (t = start; t < stop; t++) {
        if (!before && !after)
          anchors[t].y = fmax(path[t].y, k->rest_heights[l->end]);
        held[t] = any = true;
      }
    }
    start = stop;
  }
  if (!any) return;
  corrected = copy_local(k);
  pinned = TEMP(k->c, bool, frames);
  for (t = 0; t < frames; t++) {
    pinned[t] = held[t] || is_blocked(k, side, t);
    if (!held[t]) continue;
    bend(k, corrected, t, l->upper, l->middle, l->end, false, anchors[t], true);
    set_world(k, corrected, t, l->end, ankle_turns[t]);
  }
  blend(k, corrected, joints, 3, pinned);
}

/* Bring the first of two ankles back to where the second had it, by the whole leg: holding the foot
 * moved the second on its tiny bone alone. */
static void hold_double_ankle(correction *k, int side, mat3 *corrected, const bool *toe_held,
                              const bool *ankle_held, const vec3 *first_in_second) {
  const limb *l = &k->limbs[side];
  int32_t second = l->end, first = l->middle, knee = l->upper, hip = k->skeleton->parents[knee], t;
  const int32_t ankle_alone[1] = {second}, whole[4] = {hip, knee, first, second};
  vec3 positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS], *leg = TEMP(k->c, mat3, (size_t)k->num_frames * k->num_joints);
  bool *pinned = TEMP(k->c, bool, k->num_frames), any = false;
  memcpy(leg, corrected, (size_t)k->num_frames * k->num_joints * sizeof *leg);
  for (t = 0; t < k->num_frames; t++) {
    vec3 target, ankle, toe;
    if (!toe_held[t] && !ankle_held[t]) continue;
    any = true;
    pose(k, corrected, t, positions, rotations);
    ankle = positions[second], toe = positions[l->beyond];
    target = vec_add(ankle, mat_apply(rotations[second], first_in_second[t]));
    bend(k, leg, t, hip, knee, first, false, target, false);
    point(k, leg, t, first, second, ankle);
    point(k, leg, t, second, l->beyond, toe);
  }
  if (!any) return;
  for (t = 0; t < k->num_frames; t++) pinned[t] = is_blocked(k, side, t) || toe_held[t];
  blend(k, corrected, ankle_alone, 1, pinned);
  for (t = 0; t < k->num_frames; t++) pinned[t] |= ankle_held[t];
  blend(k, leg, whole, 4, pinned);
}

/* Put one toe down to its rest height by turning the ankle. */
static void hold_toe(correction *k, int side, const bool *ankle_held, const vec3 *first_in_second) {
  const limb *l = &k->limbs[side];
  const int32_t ankle_alone[1] = {l->end};
  int32_t frames = k->num_frames, t, start, column = contact_column(side) + 1, round;
  bool *held = TEMP(k->c, bool, frames), *pinned, any = false;
  mat3 *corrected = copy_local(k);
  vec3 positions[MAX_JOINTS];
  for (start = 0; start < frames && !k->skeleton->rolls_over_toes; start++) {
    int32_t stop = start;
    bool before, after;
    if (!k->contacts[4 * start + column] || is_blocked(k, side, start)) continue;
    while (stop < frames && k->contacts[4 * stop + column] && !is_blocked(k, side, stop)) stop++;
    before = start > 0 && is_blocked(k, side, start - 1);
    after = stop < frames && is_blocked(k, side, stop);
    for (t = start; t < stop && !before && !after; t++) held[t] = any = true;
    start = stop;
  }
  for (t = 0; t < frames; t++) {
    vec3 ankle, toe;
    if (!held[t]) continue;
    pose(k, k->local, t, positions, NULL);
    ankle = positions[l->end], toe = positions[l->beyond];
    for (round = 0; round < TOE_ROUNDS; round++) {
      /* Upstream takes the right toe's height for both sides. */
      toe.y = k->rest_heights[k->limbs[RIGHT_FOOT].beyond];
      toe = vec_add(ankle, vec_scale(vec_unit(vec_sub(toe, ankle)), k->bone_lengths[l->beyond]));
    }
    point(k, corrected, t, l->end, l->beyond, toe);
  }
  if (k->skeleton->double_ankle) {
    hold_double_ankle(k, side, corrected, held, ankle_held, first_in_second);
  } else if (any) {
    pinned = TEMP(k->c, bool, frames);
    for (t = 0; t < frames; t++) pinned[t] = held[t] || is_blocked(k, side, t);
    blend(k, corrected, ankle_alone, 1, pinned);
  }
}

/* Keep feet where they stand: ankles at an anchor, then toes at their rest height. A foot that rolls
 * over its toe keeps its own turning, so its toe is not put down. */
static void hold_feet(correction *k) {
  static const int sides[2] = {RIGHT_FOOT, LEFT_FOOT};
  bool *held[2];
  vec3 *offsets[2] = {NULL, NULL}, positions[MAX_JOINTS];
  mat3 rotations[MAX_JOINTS];
  int32_t t;
  int i;
  for (i = 0; i < 2; i++) {
    const limb *l = &k->limbs[sides[i]];
    held[i] = TEMP(k->c, bool, k->num_frames);
    if (!k->skeleton->double_ankle) continue;
    offsets[i] = TEMP(k->c, vec3, k->num_frames);
    for (t = 0; t < k->num_frames; t++) {
      pose(k, k->local, t, positions, rotations);
      offsets[i][t] = mat_apply(mat_transpose(rotations[l->end]),
                                vec_sub(positions[l->middle], positions[l->end]));
    }
  }
  for (i = 0; i < 2; i++) hold_ankle(k, sides[i], held[i]);
  for (i = 0; i < 2; i++) hold_toe(k, sides[i], held[i], offsets[i]);
}

static bool is_finite(mat3 a) {
  double sum = 0;
  int i;
  for (i = 0; i < 9; i++) sum += a.m[i / 3][i % 3] * 0;
  return sum == 0;
}

void correct_motion(call *c, const mrt_skeleton *skeleton, mat3 *local, vec3 *root,
                    const bool *contacts, int32_t num_frames, const correction_targets *targets,
                    double root_margin) {
  correction k = {0};
  double lowest = 0;
  size_t i;
  int32_t j, t;
  k.c = c;
  k.skeleton = skeleton;
  k.targets = targets;
  k.contacts = contacts;
  k.num_frames = num_frames;
  k.num_joints = skeleton->num_joints;
  k.local = local;
  k.root = root;
  k.limbs[LEFT_HAND] = find_limb(c, skeleton, &skeleton->left_hand, "LeftHand", true);
  k.limbs[RIGHT_HAND] = find_limb(c, skeleton, &skeleton->right_hand, "RightHand", true);
  k.limbs[LEFT_FOOT] = find_limb(c, skeleton, &skeleton->left_foot, "LeftFoot", false);
  k.limbs[RIGHT_FOOT] = find_limb(c, skeleton, &skeleton->right_foot, "RightFoot", false);
  if (skeleton->double_ankle && (skeleton->parents[k.limbs[LEFT_FOOT].upper] < 0 ||
                                 skeleton->parents[k.limbs[RIGHT_FOOT].upper] < 0))
    fail(c, MRT_BAD_INPUT, "skeleton %s: its legs hang on nothing; no correction", skeleton->name);
  k.rest_heights = TEMP(c, double, k.num_joints);
  k.bone_lengths = TEMP(c, double, k.num_joints);
  for (j = 0; j < k.num_joints; j++)
    if (!j || skeleton->rest_positions[3 * j + 1] < lowest)
      lowest = skeleton->rest_positions[3 * j + 1];
  for (j = 0; j < k.num_joints; j++) {
    k.rest_heights[j] =
        skeleton->rest_positions[3 * j + 1] - lowest + skeleton->foot_clearance;
    k.bone_lengths[j] = vec_length(vec_load(skeleton->offsets + 3 * j));
  }
  /* Numbers that are not finite count as zero, a rotation as none. */
  for (i = 0; i < (size_t)num_frames * k.num_joints; i++)
    if (!is_finite(local[i])) local[i] = mat_identity();
  for (t = 0; t < num_frames; t++) {
    if (!isfinite(root[t].x)) root[t].x = 0;
    if (!isfinite(root[t].y)) root[t].y = 0;
    if (!isfinite(root[t].z)) root[t].z = 0;
  }
  move_root(&k, root_margin);
  meet_full_bodies(&k);
  meet_limbs(&k);
  hold_feet(&k);
}
