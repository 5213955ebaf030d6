#include "constraints.h"

#include <stdio.h>
#include <string.h>

#include "expansion.h"

#define MAX_CONSTRAINTS (1 << 20)
#define HIPS 4 /* of group_names */

static const compat revisions[] = {
    {"2026-03", 0.10, false, false, false, true, false, false},
    {"latest", 0.0, true, true, true, false, true, false},
};
const compat ardy_conditions = {"", 0.0, false, false, true, true, false, true};
const compat ardy_targets = {"", 0.0, false, false, true, false, false, true};

const compat *find_compat(const char *name) {
  size_t i;
  for (i = 0; i < sizeof revisions / sizeof *revisions; i++)
    if (!strcmp(revisions[i].name, name)) return &revisions[i];
  return NULL;
}

const char *const kind_names[NUM_KINDS] = {"root2d",    "fullbody",   "left-hand",   "right-hand",
                                         "left-foot", "right-foot", "end-effector"};


/* The group of a kind that holds one; -1 for the others. */
static int32_t group_of_kind(mrt_constraint_kind kind) {
  switch (kind) {
    case MRT_LEFT_FOOT: return 0;
    case MRT_RIGHT_FOOT: return 1;
    case MRT_LEFT_HAND: return 2;
    case MRT_RIGHT_HAND: return 3;
    default: return -1;
  }
}

static int32_t find_group(const char *name, size_t length) {
  int32_t i;
  for (i = 0; i < NUM_GROUPS; i++)
    if (strlen(group_names[i]) == length && !memcmp(group_names[i], name, length)) return i;
  return -1;
}

/* Where a problem is: "file: constraint 2 (fullbody)". */
typedef struct context {
  call *c;
  const char *place;
  int32_t index;
  const char *kind;
} context;

static NO_RETURN void wrong(const context *at, const char *what) {
  fail(at->c, MRT_BAD_INPUT, "%s%sconstraint %d%s%s%s: %s", at->place, *at->place ? ": " : "",
       at->index, at->kind ? " (" : "", at->kind ? at->kind : "", at->kind ? ")" : "", what);
}

static NO_RETURN void wrong_field(const context *at, const char *field, const char *what) {
  wrong(at, arena_print(at->c, &at->c->memory, "%s %s", field, what));
}

/* ---- From JSON ---- */

/* Read nested lists of numbers of equal rows; dims is filled, its rank returned. */
static int list_rank(const context *at, const char *field, const json *list, int64_t *dims) {
  int rank = 0;
  while (list && list->kind == JSON_ARRAY && rank < 4) {
    dims[rank++] = list->num_items;
    list = list->first;
  }
  if (!list || list->kind != JSON_NUMBER)
    wrong_field(at, field, "is not an array of numbers with equal rows");
  return rank;
}

static float *list_numbers(const context *at, const char *field, const json *list, int rank,
                           const int64_t *dims, float *out) {
  const json *item;
  if (list->kind != JSON_ARRAY || list->num_items != dims[0])
    wrong_field(at, field, "is not an array of numbers with equal rows");
  for (item = list->first; item; item = item->next) {
    if (rank > 1) {
      out = list_numbers(at, field, item, rank - 1, dims + 1, out);
      continue;
    }
    if (item->kind != JSON_NUMBER)
      wrong_field(at, field, "is not an array of numbers with equal rows");
    *out = (float)item->number;
    if (!isfinite(*out)) wrong_field(at, field, "holds a number that is not finite");
    out++;
  }
  return out;
}

static float *read_rows(const context *at, const char *field, const json *list, int32_t num_frames,
                        int *rank, int64_t *dims) {
  size_t count = 1;
  float *values;
  int i;
  *rank = list_rank(at, field, list, dims);
  if (*rank < 2) wrong_field(at, field, "must have one row a frame");
  if (dims[0] != num_frames) wrong_field(at, field, "has another number of rows than frame_indices");
  for (i = 0; i < *rank; i++) count *= (size_t)dims[i];
  values = TEMP(at->c, float, count);
  list_numbers(at, field, list, *rank, dims, values);
  return values;
}

static void set_rotations(const context *at, constraint *made, const float *values,
                          int32_t num_joints, int width, const mrt_skeleton *skeleton) {
  const expansion *expanded = find_expansion(skeleton->expands_to);
  int32_t joints = skeleton->num_joints, t, j;
  bool reduces = expanded && num_joints == expanded->num_joints;
  if (num_joints != joints && !reduces)
    wrong(at, arena_print(at->c, &at->c->memory,
                          "local_joints_rot has %d joints, skeleton %s has %d", num_joints,
                          skeleton->name, joints));
  made->num_joints = joints;
  made->local = TEMP(at->c, mat3, (size_t)made->num_frames * joints);
  for (t = 0; t < made->num_frames; t++)
    for (j = 0; j < joints; j++) {
      int32_t source = reduces ? expanded->indices[j] : j;
      const float *value = values + ((size_t)t * num_joints + source) * width;
      made->local[(size_t)t * joints + j] = width == 9   ? mat_load(value)
                                            : width == 4 ? quat_to_mat(quat_load(value))
                                                         : axis_angle_to_mat(vec_load(value));
    }
}

static constraint read_one(context *at, const json *item, const mrt_skeleton *skeleton) {
  call *c = at->c;
  constraint made = {0};
  const json *type, *frames, *field, *number;
  int64_t dims[5];
  int rank;
  int32_t kind, i;
  float *values;
  at->kind = NULL;
  if (item->kind != JSON_OBJECT) wrong(at, "expected an object");
  type = json_get(item, "type");
  for (kind = 0; kind < NUM_KINDS && !json_is(type, kind_names[kind]); kind++) continue;
  if (kind == NUM_KINDS)
    wrong(at, "type must be root2d, fullbody, left-hand, right-hand, left-foot, right-foot or "
              "end-effector");
  at->kind = kind_names[kind];
  made.kind = (mrt_constraint_kind)kind;
  frames = json_get(item, "frame_indices");
  if (!frames || frames->kind != JSON_ARRAY || !frames->num_items)
    wrong(at, "frame_indices is missing or no list of whole numbers");
  made.num_frames = frames->num_items;
  made.frames = TEMP(c, int32_t, made.num_frames);
  for (number = frames->first, i = 0; number; number = number->next, i++) {
    if (number->kind != JSON_NUMBER || !(number->number >= 0) || number->number >= 2147483648.0 ||
        number->number != floor(number->number))
      wrong(at, "frame_indices must be whole numbers from 0");
    made.frames[i] = (int32_t)number->number;
  }
  field = json_get(item, "smooth_root_2d");
  if (!field) field = json_get(item, "root_2d"); /* as ARDY's files call it */
  if (field) {
    made.smooth_root = read_rows(at, "smooth_root_2d", field, made.num_frames, &rank, dims);
    if (rank != 2 || (dims[1] != 2 && dims[1] != 3))
      wrong(at, "smooth_root_2d must be (K, 2)");
    made.columns = (int32_t)dims[1];
  } else if (kind == MRT_ROOT_PATH) {
    wrong(at, "smooth_root_2d is missing");
  }
  if (kind == MRT_ROOT_PATH) {
    field = json_get(item, "global_root_heading");
    if (field && field->kind == JSON_ARRAY && field->first && field->first->kind == JSON_NUMBER) {
      /* ARDY's are angles, one a frame. */
      float *angles = TEMP(c, float, field->num_items);
      if (field->num_items != made.num_frames) wrong(at, "global_root_heading must be (K, 2)");
      dims[0] = made.num_frames;
      list_numbers(at, "global_root_heading", field, 1, dims, angles);
      made.heading = TEMP(c, float, 2 * made.num_frames);
      for (i = 0; i < made.num_frames; i++) {
        made.heading[2 * i] = (float)cos((double)angles[i]);
        made.heading[2 * i + 1] = (float)sin((double)angles[i]);
      }
    } else if (field) {
      made.heading = read_rows(at, "global_root_heading", field, made.num_frames, &rank, dims);
      if (rank != 2 || dims[1] != 2) wrong(at, "global_root_heading must be (K, 2)");
    }
    return made;
  }
  if (!(field = json_get(item, "local_joints_rot"))) wrong(at, "local_joints_rot is missing");
  values = read_rows(at, "local_joints_rot", field, made.num_frames, &rank, dims);
  if ((rank != 3 && rank != 4) || dims[2] != 3 || (rank == 4 && dims[3] != 3))
    wrong(at, "local_joints_rot must be (K, J, 3)");
  set_rotations(at, &made, values, (int32_t)dims[1], rank == 4 ? 9 : 3, skeleton);
  if (!(field = json_get(item, "root_positions"))) wrong(at, "root_positions is missing");
  values = read_rows(at, "root_positions", field, made.num_frames, &rank, dims);
  if (rank != 2 || dims[1] != 3) wrong(at, "root_positions must be (K, 3)");
  made.root = TEMP(c, vec3, made.num_frames);
  for (i = 0; i < made.num_frames; i++) made.root[i] = vec_load(values + 3 * i);
  if (kind == MRT_END_EFFECTORS) {
    field = json_get(item, "joint_names");
    if (!field || field->kind != JSON_ARRAY || !field->num_items)
      wrong(at, "joint_names must be a list of LeftFoot, RightFoot, LeftHand, RightHand, Hips");
    for (number = field->first; number; number = number->next) {
      int32_t group = number->kind == JSON_STRING ? find_group(number->string, number->length) : -1;
      if (group < 0 || made.num_groups == NUM_GROUPS)
        wrong(at, "joint_names must be a list of LeftFoot, RightFoot, LeftHand, RightHand, Hips");
      made.groups[made.num_groups++] = group;
    }
  } else if (group_of_kind(made.kind) >= 0) {
    made.groups[made.num_groups++] = group_of_kind(made.kind);
  }
  return made;
}

constraints constraints_read(call *c, const json *document, const char *place,
                             const mrt_skeleton *skeleton) {
  context at = {c, place, 0, NULL};
  constraints result = {NULL, 0};
  const json *item;
  if (document->kind != JSON_ARRAY)
    fail(c, MRT_BAD_INPUT, "%s%sexpected a list of constraints", place, *place ? ": " : "");
  result.items = TEMP(c, constraint, document->num_items);
  for (item = document->first; item; item = item->next, at.index++)
    result.items[result.count++] = read_one(&at, item, skeleton);
  return result;
}

constraints constraints_parse(call *c, const char *text, size_t length, const char *place,
                              const mrt_skeleton *skeleton) {
  const json *document = json_parse(c, &c->memory, text, length, MRT_BAD_INPUT, place);
  return constraints_read(c, document, place, skeleton);
}

/* ---- From arrays ---- */

static const float *check_floats(const context *at, const char *field, const float *values,
                                 size_t count) {
  size_t i;
  for (i = 0; i < count; i++)
    if (!isfinite(values[i])) wrong_field(at, field, "holds a number that is not finite");
  return values;
}

static constraint take_one(context *at, const mrt_constraint *given, const mrt_skeleton *skeleton) {
  call *c = at->c;
  constraint made = {0};
  int32_t frames = given->num_frames, i;
  if ((int)given->kind < 0 || (int)given->kind >= NUM_KINDS) wrong(at, "its kind is unknown");
  at->kind = kind_names[given->kind];
  if (frames < 1 || !given->frames) wrong(at, "it has no frames");
  made.kind = given->kind;
  made.num_frames = frames;
  made.frames = TEMP(c, int32_t, frames);
  for (i = 0; i < frames; i++) {
    if (given->frames[i] < 0) wrong(at, "frames count from 0");
    made.frames[i] = given->frames[i];
  }
  if (given->root_xz) {
    check_floats(at, "root_xz", given->root_xz, (size_t)frames * 2);
    made.columns = 2;
    made.smooth_root = TEMP(c, float, 2 * frames);
    memcpy(made.smooth_root, given->root_xz, (size_t)frames * 2 * sizeof(float));
  } else if (given->kind == MRT_ROOT_PATH) {
    wrong(at, "root_xz is missing");
  }
  if (given->kind == MRT_ROOT_PATH) {
    if (!given->headings_rad) return made;
    check_floats(at, "headings_rad", given->headings_rad, (size_t)frames);
    made.heading = TEMP(c, float, 2 * frames);
    for (i = 0; i < frames; i++) {
      made.heading[2 * i] = (float)cos(given->headings_rad[i]);
      made.heading[2 * i + 1] = (float)sin(given->headings_rad[i]);
    }
    return made;
  }
  if (!given->local_rotations || !given->root_positions || given->num_joints < 1)
    wrong(at, "local_rotations, num_joints or root_positions is missing");
  if (given->num_joints > MAX_JOINTS) wrong(at, "it has too many joints");
  check_floats(at, "local_rotations", given->local_rotations,
               (size_t)frames * (size_t)given->num_joints * 4);
  check_floats(at, "root_positions", given->root_positions, (size_t)frames * 3);
  set_rotations(at, &made, given->local_rotations, given->num_joints, 4, skeleton);
  made.root = TEMP(c, vec3, frames);
  for (i = 0; i < frames; i++) made.root[i] = vec_load(given->root_positions + 3 * i);
  if (given->kind == MRT_END_EFFECTORS) {
    if (given->num_joint_groups < 1 || given->num_joint_groups > NUM_GROUPS ||
        !given->joint_groups)
      wrong(at, "joint_groups must name LeftFoot, RightFoot, LeftHand, RightHand or Hips");
    for (i = 0; i < given->num_joint_groups; i++) {
      const char *name = given->joint_groups[i];
      int32_t group = name ? find_group(name, strlen(name)) : -1;
      if (group < 0)
        wrong(at, "joint_groups must name LeftFoot, RightFoot, LeftHand, RightHand or Hips");
      made.groups[made.num_groups++] = group;
    }
  } else if (group_of_kind(made.kind) >= 0) {
    made.groups[made.num_groups++] = group_of_kind(made.kind);
  }
  return made;
}

constraints constraints_take(call *c, const mrt_constraint *given, int32_t count,
                             const mrt_skeleton *skeleton) {
  context at = {c, "", 0, NULL};
  constraints result = {NULL, 0};
  const char *next = (const char *)given;
  if (count < 0 || count > MAX_CONSTRAINTS || (count && !given))
    fail(c, MRT_BAD_ARGUMENT, "constraints and num_constraints do not fit");
  result.items = TEMP(c, constraint, count);
  for (; at.index < count; at.index++) {
    /* A program built with an older header has smaller structs, one behind the other. */
    mrt_constraint one;
    size_t size;
    memcpy(&size, next, sizeof size);
    if (size < sizeof size + sizeof one.kind || size > 4096)
      fail(c, MRT_BAD_ARGUMENT, "constraint %d: call mrt_constraint_init first", at.index);
    mrt_constraint_init(&one);
    memcpy(&one, next, size < sizeof one ? size : sizeof one);
    result.items[result.count++] = take_one(&at, &one, skeleton);
    next += size;
  }
  return result;
}

/* ---- Lists ---- */

constraints constraints_join(call *c, constraints first, constraints second) {
  constraints result;
  result.count = first.count + second.count;
  result.items = TEMP(c, constraint, result.count);
  if (first.count) memcpy(result.items, first.items, first.count * sizeof *first.items);
  if (second.count)
    memcpy(result.items + first.count, second.items, second.count * sizeof *second.items);
  return result;
}

constraints constraints_crop(call *c, constraints given, int32_t start, int32_t stop) {
  constraints result = {NULL, 0};
  size_t i;
  result.items = TEMP(c, constraint, given.count);
  for (i = 0; i < given.count; i++) {
    const constraint *all = &given.items[i];
    constraint *kept = &result.items[result.count];
    int32_t joints = all->num_joints, k, count = 0;
    *kept = *all;
    for (k = 0; k < all->num_frames; k++)
      count += all->frames[k] >= start && all->frames[k] < stop;
    if (!count) continue;
    result.count++;
    kept->num_frames = count;
    kept->frames = TEMP(c, int32_t, count);
    if (all->smooth_root) kept->smooth_root = TEMP(c, float, count *all->columns);
    if (all->heading) kept->heading = TEMP(c, float, count * 2);
    if (all->root) kept->root = TEMP(c, vec3, count);
    if (all->local) kept->local = TEMP(c, mat3, (size_t)count * joints);
    count = 0;
    for (k = 0; k < all->num_frames; k++) {
      if (all->frames[k] < start || all->frames[k] >= stop) continue;
      kept->frames[count] = all->frames[k] - start;
      if (all->smooth_root)
        memcpy(kept->smooth_root + (size_t)count * all->columns,
               all->smooth_root + (size_t)k * all->columns, (size_t)all->columns * sizeof(float));
      if (all->heading)
        memcpy(kept->heading + 2 * (size_t)count, all->heading + 2 * (size_t)k, 2 * sizeof(float));
      if (all->root) kept->root[count] = all->root[k];
      if (all->local)
        memcpy(kept->local + (size_t)count * joints, all->local + (size_t)k * joints,
               (size_t)joints * sizeof(mat3));
      count++;
    }
  }
  return result;
}

void constraints_shift(constraints given, int32_t by) {
  size_t i;
  int32_t k;
  for (i = 0; i < given.count; i++)
    for (k = 0; k < given.items[i].num_frames; k++) given.items[i].frames[k] += by;
}

void constraints_check(call *c, constraints given, int32_t num_frames) {
  size_t i;
  int32_t k;
  for (i = 0; i < given.count; i++)
    for (k = 0; k < given.items[i].num_frames; k++)
      if (given.items[i].frames[k] >= num_frames)
        fail(c, MRT_BAD_INPUT,
             "constraint %zu (%s): frame %d is beyond the clip's %d frames (0 to %d); lengthen the "
             "clip or move the frame",
             i, kind_names[given.items[i].kind], given.items[i].frames[k], num_frames,
             num_frames - 1);
}

/* Of three columns the first Kimodo takes x and the height. */
void constraint_ground(const constraint *item, int32_t k, const compat *compat, float xz[2]) {
  if (!item->smooth_root) {
    xz[0] = (float)item->root[k].x;
    xz[1] = (float)item->root[k].z;
    return;
  }
  xz[0] = item->smooth_root[k * item->columns];
  xz[1] = item->smooth_root[k * item->columns +
                            (item->columns == 2 || compat->root_takes_height ? 1 : 2)];
}

void constraints_need_hips(call *c, constraints given) {
  size_t n;
  int32_t g;
  for (n = 0; n < given.count; n++) {
    const constraint *item = &given.items[n];
    if (item->kind != MRT_END_EFFECTORS) continue;
    for (g = 0; g < item->num_groups && item->groups[g] != HIPS; g++) continue;
    if (g == item->num_groups)
      fail(c, MRT_BAD_INPUT,
           "end-effector constraint: joint_names must have Hips among them; hands and feet are "
           "placed by where the hips are");
  }
}

void constraints_fill(call *c, constraints given, const motion_features *f, int32_t num_frames,
                      const compat *compat, float *observed, float *mask) {
  int32_t joints = f->num_joints, k, j, g, i;
  float *under = TEMP(c, float, 2 * (size_t)num_frames); /* what positions are relative to */
  vec3 *positions = TEMP(c, vec3, joints);
  mat3 *rotations = TEMP(c, mat3, joints);
  size_t n;
  int pass;
  constraints_check(c, given, num_frames);
  if (f->first_joint) constraints_need_hips(c, given);
  /* Smoothed roots first, then what hangs on them: a later constraint's root counts for all. Where
   * the root joint has no position of its own, what hangs hangs on that. */
  for (pass = 0; pass < 2; pass++)
    for (n = 0; n < given.count; n++) {
      constraint held = given.items[n], *item = &held;
      if (f->first_joint && group_of_kind(item->kind) >= 0) item->groups[item->num_groups++] = HIPS;
      for (k = 0; k < item->num_frames; k++) {
        float *base = under + 2 * (size_t)item->frames[k];
        size_t row = (size_t)item->frames[k] * f->width;
        float *o = observed + row, *m = mask + row;
        if (pass == 0) {
          float xz[2];
          constraint_ground(item, k, compat, xz);
          o[0] = xz[0], o[2] = xz[1];
          m[0] = m[2] = 1;
          if (!f->first_joint) base[0] = xz[0], base[1] = xz[1];
          if (f->first_joint && item->root)
            base[0] = (float)item->root[k].x, base[1] = (float)item->root[k].z;
          continue;
        }
        if (item->kind == MRT_ROOT_PATH) {
          if (item->heading) {
            memcpy(o + HEADING_FEATURE, item->heading + 2 * k, 2 * sizeof(float));
            m[HEADING_FEATURE] = m[HEADING_FEATURE + 1] = 1;
          }
          continue;
        }
        {
          double heading;
          forward_kinematics(f->skeleton, item->local + (size_t)k * joints, item->root[k],
                             positions, rotations);
          heading = heading_of(f->skeleton, positions);
          o[1] = (float)positions[0].y;
          o[HEADING_FEATURE] = (float)cos(heading);
          o[HEADING_FEATURE + 1] = (float)sin(heading);
          m[1] = m[HEADING_FEATURE] = m[HEADING_FEATURE + 1] = 1;
        }
        for (g = 0; g < item->num_groups; g++) {
          const joint_group *group = &f->skeleton->groups[item->groups[g]];
          int32_t first;
          if (!group->count)
            fail(c, MRT_BAD_INPUT, "skeleton %s has no joint group %s", f->skeleton->name,
                 group_names[item->groups[g]]);
          first = f->rotations + 6 * group->joints[0];
          mat_to_rot6d(rotations[group->joints[0]], o + first);
          for (i = 0; i < 6; i++) m[first + i] = 1;
        }
        for (j = f->first_joint; j < joints; j++) {
          bool is_held = !item->num_groups;
          int32_t at = POSITION_FEATURES + 3 * (j - f->first_joint);
          for (g = 0; g < item->num_groups && !is_held; g++) {
            const joint_group *group = &f->skeleton->groups[item->groups[g]];
            for (i = 0; i < group->count; i++) is_held |= group->joints[i] == j;
          }
          if (!is_held) continue;
          o[at] = (float)positions[j].x - base[0];
          o[at + 1] = (float)positions[j].y;
          o[at + 2] = (float)positions[j].z - base[1];
          m[at] = m[at + 1] = m[at + 2] = 1;
        }
      }
    }
}

correction_targets constraints_targets(call *c, constraints given, const mrt_skeleton *skeleton,
                                       int32_t num_frames, const compat *compat) {
  /* An end-effector constraint moves targets but holds nothing, as upstream. */
  static const int mask_of_kind[] = {MASK_ROOT,      MASK_FULL_BODY,  MASK_LEFT_HAND,
                                     MASK_RIGHT_HAND, MASK_LEFT_FOOT, MASK_RIGHT_FOOT, -1};
  int32_t joints = skeleton->num_joints, k, i;
  correction_targets targets;
  size_t n;
  int pass, m;
  constraints_check(c, given, num_frames);
  targets.root = TEMP(c, double, 3 * (size_t)num_frames);
  targets.local = TEMP(c, mat3, (size_t)num_frames * joints);
  for (m = 0; m < NUM_MASKS; m++) targets.masks[m] = TEMP(c, bool, num_frames);
  for (n = 0; n < (size_t)num_frames * joints; n++) targets.local[n] = mat_identity();
  /* With exact full bodies these come after all others. */
  for (pass = 0; pass < (compat->exact_full_bodies ? 2 : 1); pass++)
    for (n = 0; n < given.count; n++) {
      const constraint *item = &given.items[n];
      bool full = item->kind == MRT_FULL_BODY;
      if (compat->exact_full_bodies && full != (pass == 1)) continue;
      for (k = 0; k < item->num_frames; k++) {
        int32_t t = item->frames[k];
        float xz[2];
        constraint_ground(item, k, compat, xz);
        if (item->kind != MRT_ROOT_PATH) {
          targets.root[3 * t] = item->root[k].x;
          targets.root[3 * t + 1] = item->root[k].y;
          targets.root[3 * t + 2] = item->root[k].z;
          for (i = 0; i < joints; i++)
            targets.local[(size_t)t * joints + i] = item->local[(size_t)k * joints + i];
        }
        if (item->kind == MRT_ROOT_PATH ||
            !(compat->poses_keep_roots || (compat->exact_full_bodies && full))) {
          targets.root[3 * t] = xz[0];
          targets.root[3 * t + 2] = xz[1];
        }
        if (mask_of_kind[item->kind] >= 0) targets.masks[mask_of_kind[item->kind]][t] = true;
      }
    }
  return targets;
}
