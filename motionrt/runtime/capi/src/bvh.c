#include "writers.h"

#include <stdio.h>
#include <string.h>

#include "expansion.h"

#define DECIMALS 1e6

/* The shortest text of a number that is rounded to six decimals, as Python writes it. */
static void add_rounded(call *c, buffer *out, double value) {
  double scaled = nearbyint(value * DECIMALS);
  bool negative = scaled < 0 || (scaled == 0 && signbit(scaled));
  uint64_t units = (uint64_t)(scaled < 0 ? -scaled : scaled), whole = units / 1000000;
  unsigned fraction = (unsigned)(units % 1000000);
  char text[40];
  int length;
  if (negative) buffer_add(c, out, "-", 1);
  if (units && units < 100) { /* below 0.0001 */
    unsigned tens = (unsigned)units / 10, ones = (unsigned)units % 10;
    if (!tens)
      length = snprintf(text, sizeof text, "%ue-06", ones);
    else if (!ones)
      length = snprintf(text, sizeof text, "%ue-05", tens);
    else
      length = snprintf(text, sizeof text, "%u.%ue-05", tens, ones);
    buffer_add(c, out, text, (size_t)length);
    return;
  }
  length = snprintf(text, sizeof text, "%llu.%06u", (unsigned long long)whole, fraction);
  while (text[length - 1] == '0' && text[length - 2] != '.') length--;
  buffer_add(c, out, text, (size_t)length);
}

static void add_indent(call *c, buffer *out, int depth) {
  while (depth-- > 0) buffer_add(c, out, "  ", 2);
}

static void add_offset(call *c, buffer *out, const double *offset) {
  int i;
  buffer_print(c, out, "OFFSET");
  for (i = 0; i < 3; i++) {
    buffer_add(c, out, " ", 1);
    add_rounded(c, out, nearbyint(offset[i] * DECIMALS) == 0 ? 0.0 : offset[i]);
  }
  buffer_add(c, out, "\n", 1);
}

static void add_channels(call *c, buffer *out, int depth, bool root) {
  add_indent(c, out, depth);
  buffer_print(c, out, root ? "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation "
                              "Xrotation\n"
                            : "CHANNELS 3 Zrotation Yrotation Xrotation\n");
}

typedef struct hierarchy {
  call *c;
  buffer *out;
  const mrt_skeleton *skeleton;
  children children;
  const double *offsets; /* (J, 3) in the file's units and axes */
  const wishes *wanted;
  bool wrapped, ends;    /* a bone is above it; there are End Sites */
  int32_t *order; /* joints in the order of the file */
  int32_t count;
} hierarchy;

/* A joint's name without blanks, which end names in BVH. */
static void add_name(hierarchy *h, int32_t joint) {
  const char *at = h->skeleton->joint_names[joint];
  bool any = false, gap = false;
  for (; *at; at++) {
    if ((unsigned char)*at <= ' ') {
      gap = any;
      continue;
    }
    if (gap) buffer_add(h->c, h->out, "_", 1);
    gap = false;
    any = true;
    buffer_add(h->c, h->out, at, 1);
  }
  if (!any) buffer_print(h->c, h->out, "joint%d", joint);
}

static void add_joint(hierarchy *h, int32_t joint, int depth) {
  call *c = h->c;
  bool root = joint == 0;
  int32_t i, first = h->children.first[joint], end = h->children.first[joint + 1];
  h->order[h->count++] = joint;
  add_indent(c, h->out, depth);
  buffer_print(c, h->out, root && !h->wrapped ? "ROOT " : "JOINT ");
  add_name(h, joint);
  buffer_add(c, h->out, "\n", 1);
  add_indent(c, h->out, depth);
  buffer_add(c, h->out, "{\n", 2);
  add_indent(c, h->out, depth + 1);
  add_offset(c, h->out, h->offsets + 3 * joint);
  add_channels(c, h->out, depth + 1, root);
  if (h->ends && first == end) {
    vec3 tip = vec_scale(mat_apply(h->wanted->bvh_axes, tip_offset(h->skeleton, joint)),
                         h->wanted->bvh_scale);
    double offset[3];
    offset[0] = (float)tip.x, offset[1] = (float)tip.y, offset[2] = (float)tip.z;
    add_indent(c, h->out, depth + 1);
    buffer_print(c, h->out, "End Site\n");
    add_indent(c, h->out, depth + 1);
    buffer_add(c, h->out, "{\n", 2);
    add_indent(c, h->out, depth + 2);
    add_offset(c, h->out, offset);
    add_indent(c, h->out, depth + 1);
    buffer_add(c, h->out, "}\n", 2);
  }
  for (i = first; i < end; i++) add_joint(h, h->children.joints[i], depth + 1);
  add_indent(c, h->out, depth);
  buffer_add(c, h->out, "}\n", 2);
}

children find_children(call *c, const mrt_skeleton *s) {
  children found;
  int32_t j, joint;
  found.first = TEMP(c, int32_t, s->num_joints + 1);
  found.joints = TEMP(c, int32_t, s->num_joints);
  for (joint = 0; joint < s->num_joints; joint++) {
    found.first[joint + 1] = found.first[joint];
    for (j = joint + 1; j < s->num_joints; j++)
      if (s->parents[j] == joint) found.joints[found.first[joint + 1]++] = j;
  }
  return found;
}

static bool is_foot(const mrt_skeleton *s, int32_t joint) {
  int32_t i;
  for (i = 0; i < s->left_foot.count; i++)
    if (s->left_foot.joints[i] == joint) return true;
  for (i = 0; i < s->right_foot.count; i++)
    if (s->right_foot.joints[i] == joint) return true;
  return false;
}

vec3 tip_offset(const mrt_skeleton *s, int32_t joint) {
  vec3 tip = vec_scale(vec_load(s->offsets + 3 * joint), 0.5);
  if (is_foot(s, joint)) tip.y = 0;
  return tip;
}

/* Split R = Rz·Ry·Rx into angles z, y, x. */
static void euler_zyx(mat3 a, double angles[3]) {
  float m20 = (float)a.m[2][0];
  double rest = 1 - (double)m20 * m20;
  angles[0] = atan2(a.m[1][0], a.m[0][0]);
  angles[1] = atan2(-a.m[2][0], sqrt(rest > 0 ? rest : 0));
  angles[2] = atan2(a.m[2][1], a.m[2][2]);
}

/* How far the larger of three angles turns, the shorter way. */
static double step(const double *before, const double *after) {
  double most = 0;
  int i;
  for (i = 0; i < 3; i++) {
    double turn = fabs(remainder(after[i] - before[i], 2 * PI));
    if (turn > most) most = turn;
  }
  return most;
}

/* Choose the reading of each frame that lies nearer to the one before, then take whole turns out.
 * angles are (T, J, 3). */
static void unwrap(double *angles, int32_t num_frames, int32_t num_joints) {
  int32_t t, j, i;
  for (j = 0; j < num_joints; j++) {
    double raw_before[3], *chosen_before = NULL;
    bool other = false;
    for (t = 0; t < num_frames; t++) {
      double *now = angles + ((size_t)t * num_joints + j) * 3, raw[3], second[3];
      memcpy(raw, now, sizeof raw);
      second[0] = raw[0] + PI, second[1] = PI - raw[1], second[2] = raw[2] + PI;
      if (t && step(raw_before, second) < step(raw_before, raw) - 1e-9) other = !other;
      if (other) memcpy(now, second, sizeof second);
      for (i = 0; chosen_before && i < 3; i++) {
        double turn = now[i] - chosen_before[i], short_way = remainder(turn, 2 * PI);
        if (fabs(turn) >= PI) now[i] += short_way - turn;
      }
      chosen_before = now;
      memcpy(raw_before, raw, sizeof raw);
    }
  }
}

static mat3 in_axes(const wishes *w, mat3 rotation) {
  return w->bvh_turned
             ? mat_mul(mat_mul(w->bvh_axes, rotation), mat_transpose(w->bvh_axes))
             : rotation;
}

/* Angles (T, 3) of the bone that goes the path. */
static double *bone_angles(call *c, const wishes *w, int32_t num_frames) {
  double *angles = TEMP(c, double, 3 * (size_t)num_frames);
  int32_t t;
  for (t = 0; t < num_frames; t++)
    euler_zyx(in_axes(w, turn_about_y(w->bone->heading[t])), angles + 3 * (size_t)t);
  unwrap(angles, num_frames, 1);
  return angles;
}

static void add_values(call *c, buffer *out, const double *values) {
  int i;
  for (i = 0; i < 3; i++) {
    add_rounded(c, out, values[i]);
    buffer_add(c, out, " ", 1);
  }
}

void write_bvh(call *c, const mrt_motion *m, const wishes *w, buffer *out) {
  const mrt_skeleton *s = m->skeleton;
  const expansion *rig = s->has_bvh_rig ? find_expansion(s->name) : NULL;
  int32_t joints = s->num_joints, t, j, i;
  double *angles = TEMP(c, double, 3 * (size_t)m->num_frames * joints);
  double *offsets = TEMP(c, double, 3 * joints), *bone = NULL;
  bool wrapped = rig || w->bone;
  hierarchy h = {0};
  char time[40];
  int k;
  for (j = 0; j < joints; j++) {
    vec3 offset = vec_load(s->offsets + 3 * j);
    if (rig)
      offset = j ? vec_sub(vec_load(rig->bvh_rest_positions + 3 * j),
                           vec_load(rig->bvh_rest_positions + 3 * s->parents[j]))
                 : vec(0, 1, 0);
    offset = vec_scale(mat_apply(w->bvh_axes, offset), w->bvh_scale);
    offsets[3 * j] = (float)offset.x;
    offsets[3 * j + 1] = (float)offset.y;
    offsets[3 * j + 2] = (float)offset.z;
  }
  h.c = c;
  h.out = out;
  h.skeleton = s;
  h.children = find_children(c, s);
  h.offsets = offsets;
  h.wanted = w;
  h.wrapped = wrapped;
  h.ends = !rig;
  h.order = TEMP(c, int32_t, joints);
  buffer_print(c, out, "HIERARCHY\n");
  if (wrapped) {
    static const double none[3] = {0, 0, 0};
    buffer_print(c, out, "ROOT %s\n{\n", rig ? "Root" : "root");
    add_indent(c, out, 1);
    add_offset(c, out, none);
    add_channels(c, out, 1, true);
  }
  add_joint(&h, 0, wrapped ? 1 : 0);
  if (wrapped) buffer_add(c, out, "}\n", 2);
  for (t = 0; t < m->num_frames; t++)
    for (j = 0; j < joints; j++) {
      size_t at = (size_t)t * joints + j;
      mat3 turn = mat_load(m->local_mats + 9 * at);
      if (rig) { /* relative to the rig's own rest pose */
        mat3 own = mat_load(rig->bvh_rotation_offsets + 9 * j);
        turn = mat_mul(turn, own);
        if (j)
          turn = mat_mul(mat_transpose(mat_load(rig->bvh_rotation_offsets + 9 * s->parents[j])),
                         turn);
      }
      if (w->bone && !j) turn = carried_turn(w->bone, t, turn);
      euler_zyx(quat_to_mat(mat_to_quat(in_axes(w, turn))), angles + 3 * at);
    }
  if (!rig) unwrap(angles, m->num_frames, joints);
  if (w->bone) bone = bone_angles(c, w, m->num_frames);
  snprintf(time, sizeof time, "%.17g", 1 / m->fps);
  for (k = 1; k < 17; k++) { /* the shortest that reads back */
    char shorter[40];
    double back;
    bool whole;
    int64_t integer;
    snprintf(shorter, sizeof shorter, "%.*g", k, 1 / m->fps);
    for (i = 0; shorter[i]; i++)
      if (shorter[i] == ',') shorter[i] = '.';
    if (parse_number(shorter, shorter + strlen(shorter), &back, &whole, &integer) &&
        back == 1 / m->fps) {
      strcpy(time, shorter);
      break;
    }
  }
  for (i = 0; time[i]; i++)
    if (time[i] == ',') time[i] = '.';
  buffer_print(c, out, "MOTION\nFrames: %d\nFrame Time: %s%s\n", m->num_frames, time,
               strpbrk(time, ".e") ? "" : ".0");
  for (t = 0; t < m->num_frames; t++) {
    vec3 root = motion_root(m, t);
    double values[3];
    if (bone) {
      vec3 place = vec(w->bone->places[t].x, 0, w->bone->places[t].z);
      place = vec_scale(mat_apply(w->bvh_axes, place), w->bvh_scale);
      values[0] = place.x, values[1] = place.y, values[2] = place.z;
      add_values(c, out, values);
      for (i = 0; i < 3; i++) values[i] = bone[3 * (size_t)t + i] * (180 / PI);
      add_values(c, out, values);
      root = carried_root(m, w->bone, t);
    } else if (rig) {
      buffer_print(c, out, "0.0 0.0 0.0 0.0 -0.0 0.0 ");
    }
    root = mat_apply(w->bvh_axes, root);
    values[0] = (float)root.x * w->bvh_scale;
    values[1] = (float)root.y * w->bvh_scale;
    values[2] = (float)root.z * w->bvh_scale;
    add_values(c, out, values);
    for (j = 0; j < joints; j++) {
      const double *own = angles + 3 * ((size_t)t * joints + h.order[j]);
      for (i = 0; i < 3; i++) values[i] = own[i] * (180 / PI);
      add_values(c, out, values);
    }
    buffer_add(c, out, "\n", 1);
  }
}
