#include "skeleton.h"

#include <string.h>

const char *const group_names[NUM_GROUPS] = {"LeftFoot", "RightFoot", "LeftHand", "RightHand",
                                             "Hips"};

static NO_RETURN void wrong(call *c, const char *place, const char *what) {
  fail(c, MRT_BAD_BUNDLE, "%s: skeleton: %s; export the bundle again", place, what);
}

static joint_group read_group(call *c, const json *list, int32_t num_joints, const char *place) {
  joint_group group = {0};
  const json *item;
  if (!list) return group;
  if (list->kind != JSON_ARRAY || list->num_items > MAX_GROUP) wrong(c, place, "a joint group");
  for (item = list->first; item; item = item->next) {
    if (item->kind != JSON_NUMBER || !item->whole || item->integer < 0 ||
        item->integer >= num_joints)
      wrong(c, place, "a joint group names a joint that is not there");
    group.joints[group.count++] = (int32_t)item->integer;
  }
  return group;
}

static bool read_switch(call *c, const json *value, bool otherwise, const char *place) {
  if (!value) return otherwise;
  if (value->kind != JSON_TRUE && value->kind != JSON_FALSE) wrong(c, place, "a switch");
  return value->kind == JSON_TRUE;
}

static void derive(mrt_skeleton *s) {
  int32_t j, i;
  for (j = 0; j < s->num_joints; j++) {
    s->rest_rotations[4 * j] = 1;
    for (i = 0; j && i < 3; i++)
      s->offsets[3 * j + i] =
          s->rest_positions[3 * j + i] - s->rest_positions[3 * s->parents[j] + i];
  }
}

static mrt_skeleton *make(call *c, arena *from, int32_t joints) {
  mrt_skeleton *s = TAKE(c, from, mrt_skeleton, 1);
  s->num_joints = joints;
  s->joint_names = TAKE(c, from, const char *, joints);
  s->parents = TAKE(c, from, int32_t, joints);
  s->rest_positions = TAKE(c, from, float, 3 * joints);
  s->offsets = TAKE(c, from, float, 3 * joints);
  s->rest_rotations = TAKE(c, from, float, 4 * joints);
  return s;
}

const mrt_skeleton *skeleton_parse(call *c, arena *from, const json *document, const char *place) {
  const json *names = json_get(document, "joint_names"), *parents = json_get(document, "parents");
  const json *rest = json_get(document, "rest_positions"), *name = json_get(document, "name");
  const json *groups = json_get(document, "end_effector_groups"), *item, *parent, *row;
  mrt_skeleton *s;
  int32_t j = 0, i;
  if (!names || names->kind != JSON_ARRAY || !parents || parents->kind != JSON_ARRAY || !rest ||
      rest->kind != JSON_ARRAY || !name || name->kind != JSON_STRING)
    wrong(c, place, "name, joint_names, parents or rest_positions are missing");
  if (names->num_items < 1 || names->num_items > MAX_JOINTS ||
      parents->num_items != names->num_items || rest->num_items != names->num_items)
    wrong(c, place, "joint_names, parents and rest_positions differ in number");
  s = make(c, from, names->num_items);
  s->name = arena_copy(c, from, name->string, name->length);
  parent = parents->first;
  row = rest->first;
  for (item = names->first; item; item = item->next, j++) {
    const json *number;
    if (item->kind != JSON_STRING) wrong(c, place, "a joint's name is no text");
    s->joint_names[j] = arena_copy(c, from, item->string, item->length);
    if (parent->kind != JSON_NUMBER || !parent->whole || parent->integer >= j ||
        parent->integer < (j ? 0 : -1))
      wrong(c, place, "a parent must come before its children, joint 0 is the root");
    s->parents[j] = (int32_t)parent->integer;
    if (row->kind != JSON_ARRAY || row->num_items != 3) wrong(c, place, "a rest position");
    for (number = row->first, i = 0; number; number = number->next, i++) {
      if (number->kind != JSON_NUMBER || !(fabs(number->number) < 1e6))
        wrong(c, place, "a rest position");
      s->rest_positions[3 * j + i] = (float)number->number;
    }
    parent = parent->next;
    row = row->next;
  }
  if (s->parents[0] != -1) wrong(c, place, "joint 0 must be the root");
  s->hips = read_group(c, json_get(document, "hip_joints"), s->num_joints, place);
  s->left_foot = read_group(c, json_get(document, "left_foot_joints"), s->num_joints, place);
  s->right_foot = read_group(c, json_get(document, "right_foot_joints"), s->num_joints, place);
  s->left_hand = read_group(c, json_get(document, "left_hand_joints"), s->num_joints, place);
  s->right_hand = read_group(c, json_get(document, "right_hand_joints"), s->num_joints, place);
  for (i = 0; i < NUM_GROUPS; i++)
    s->groups[i] = read_group(c, json_get(groups, group_names[i]), s->num_joints, place);
  item = json_get(document, "expands_to");
  if (item && item->kind == JSON_STRING)
    s->expands_to = arena_copy(c, from, item->string, item->length);
  item = json_get(document, "naming");
  if (item && item->kind == JSON_STRING)
    s->naming = arena_copy(c, from, item->string, item->length);
  s->has_bvh_rig = read_switch(c, json_get(document, "has_bvh_rig"), false, place);
  s->corrected = read_switch(c, json_get(document, "corrected"), true, place);
  s->double_ankle = read_switch(c, json_get(document, "double_ankle"), false, place);
  s->rolls_over_toes = read_switch(c, json_get(document, "rolls_over_toes"), false, place);
  item = json_get(document, "foot_clearance_m");
  s->foot_clearance = item && item->kind == JSON_NUMBER ? item->number : 0.007;
  derive(s);
  return s;
}

const mrt_skeleton *skeleton_copy(call *c, arena *to, const mrt_skeleton *skeleton) {
  int32_t joints = skeleton->num_joints, j;
  mrt_skeleton *s = make(c, to, joints), fields = *skeleton;
  fields.joint_names = s->joint_names;
  fields.parents = s->parents;
  fields.rest_positions = s->rest_positions;
  fields.offsets = s->offsets;
  fields.rest_rotations = s->rest_rotations;
  *s = fields;
  s->name = arena_copy(c, to, skeleton->name, strlen(skeleton->name));
  if (skeleton->expands_to)
    s->expands_to = arena_copy(c, to, skeleton->expands_to, strlen(skeleton->expands_to));
  if (skeleton->naming)
    s->naming = arena_copy(c, to, skeleton->naming, strlen(skeleton->naming));
  for (j = 0; j < joints; j++)
    s->joint_names[j] =
        arena_copy(c, to, skeleton->joint_names[j], strlen(skeleton->joint_names[j]));
  memcpy(s->parents, skeleton->parents, (size_t)joints * sizeof *s->parents);
  memcpy(s->rest_positions, skeleton->rest_positions, (size_t)joints * 3 * sizeof(float));
  derive(s);
  return s;
}

void forward_kinematics(const mrt_skeleton *s, const mat3 *local, vec3 root, vec3 *positions,
                        mat3 *rotations) {
  mat3 own[MAX_JOINTS];
  int32_t j;
  if (!rotations) rotations = own;
  for (j = 0; j < s->num_joints; j++) {
    int32_t parent = s->parents[j];
    rotations[j] = j ? mat_mul(rotations[parent], local[j]) : local[j];
    if (!positions) continue;
    positions[j] = j ? vec_add(positions[parent],
                               mat_apply(rotations[parent], vec_load(s->offsets + 3 * j)))
                     : root;
  }
}

double heading_of(const mrt_skeleton *s, const vec3 *positions) {
  vec3 across = vec_sub(positions[s->hips.joints[0]], positions[s->hips.joints[1]]);
  /* 0 - x and not -x: zero must not become -0, which is a half turn to atan2. */
  return atan2(across.z, 0 - across.x);
}

/* ---- Public ---- */

const char *mrt_skeleton_name(const mrt_skeleton *s) { return s ? s->name : NULL; }
int32_t mrt_skeleton_num_joints(const mrt_skeleton *s) { return s ? s->num_joints : 0; }

const char *mrt_skeleton_joint_name(const mrt_skeleton *s, int32_t joint) {
  return s && joint >= 0 && joint < s->num_joints ? s->joint_names[joint] : NULL;
}

int32_t mrt_skeleton_find_joint(const mrt_skeleton *s, const char *name) {
  int32_t j;
  for (j = 0; s && name && j < s->num_joints; j++)
    if (!strcmp(s->joint_names[j], name)) return j;
  return -1;
}

const int32_t *mrt_skeleton_parents(const mrt_skeleton *s) { return s ? s->parents : NULL; }
const float *mrt_skeleton_rest_offsets(const mrt_skeleton *s) { return s ? s->offsets : NULL; }
const float *mrt_skeleton_rest_rotations(const mrt_skeleton *s) {
  return s ? s->rest_rotations : NULL;
}
const float *mrt_skeleton_rest_positions(const mrt_skeleton *s) {
  return s ? s->rest_positions : NULL;
}
