#include "mirror.h"

#include <string.h>

/* How far the rest pose's two sides may be from being mirrors of each other. */
#define UNLIKE_M 0.05

static bool is_letter(char a) { return (a >= 'a' && a <= 'z') || (a >= 'A' && a <= 'Z'); }
static bool is_capital(char a) { return a >= 'A' && a <= 'Z'; }

/* The letters of a side at a place in a name, 0 if there is none: a word, or L or R that stands
 * apart. */
static size_t side_at(const char *name, size_t at) {
  static const char *const words[] = {"left", "right"};
  char here = name[at], before = at ? name[at - 1] : ' ', lower = (char)(here | 32);
  int w;
  for (w = 0; w < 2; w++) {
    size_t i = 0;
    while (words[w][i] && (name[at + i] | 32) == words[w][i] && is_letter(name[at + i])) i++;
    if (!words[w][i]) return i;
  }
  if (!is_letter(here) || (lower != 'l' && lower != 'r')) return 0;
  if (!is_letter(name[at + 1]) && (!is_letter(before) || is_capital(here))) return 1;
  return at == 0 && !is_capital(here) && is_capital(name[1]) ? 1 : 0;
}

/* A name's counterpart on the other side. */
static char *other_side(call *c, const char *name) {
  buffer out = {&c->memory, NULL, 0, 0};
  size_t at = 0, i;
  while (name[at]) {
    size_t length = side_at(name, at), capitals = 0;
    const char *other;
    if (!length) {
      buffer_add(c, &out, name + at++, 1);
      continue;
    }
    other = (name[at] | 32) == 'l' ? "right" : "left";
    for (i = 0; i < length; i++) capitals += is_capital(name[at + i]);
    for (i = 0; other[i] && (length > 1 || !i); i++) {
      bool capital = capitals == length || (!i && is_capital(name[at]));
      char letter = capital ? (char)(other[i] - 32) : other[i];
      buffer_add(c, &out, &letter, 1);
    }
    at += length;
  }
  buffer_add(c, &out, "", 0);
  return out.bytes;
}

/* Each joint's counterpart; itself for those in the middle. */
static int32_t *mirror_pairs(call *c, const mrt_skeleton *s) {
  int32_t *pairs = TEMP(c, int32_t, s->num_joints), j;
  bool any = false;
  for (j = 0; j < s->num_joints; j++) {
    int32_t other = mrt_skeleton_find_joint(s, other_side(c, s->joint_names[j]));
    pairs[j] = other < 0 ? j : other;
    if (pairs[j] != j) any = true;
  }
  if (!any)
    fail(c, MRT_BAD_INPUT, "skeleton %s: no names of joints tell left from right", s->name);
  return pairs;
}

static vec3 flipped(vec3 v) { return vec(-v.x, v.y, v.z); }

static mat3 flipped_turn(mat3 a) {
  a.m[0][1] = -a.m[0][1];
  a.m[0][2] = -a.m[0][2];
  a.m[1][0] = -a.m[1][0];
  a.m[2][0] = -a.m[2][0];
  return a;
}

static double largest(vec3 v) {
  double x = fabs(v.x), y = fabs(v.y), z = fabs(v.z);
  return x > y ? (x > z ? x : z) : (y > z ? y : z);
}

mrt_motion *mirrored(call *c, const mrt_motion *m) {
  const mrt_skeleton *s = m->skeleton;
  int32_t *pairs = mirror_pairs(c, s), half = m->num_contacts / 2, worst = 0, t, j, i;
  double most = 0;
  mrt_motion *made;
  for (j = 0; j < s->num_joints; j++) {
    vec3 theirs = flipped(vec_load(s->offsets + 3 * pairs[j]));
    double apart = largest(vec_sub(theirs, vec_load(s->offsets + 3 * j)));
    if (apart > most) most = apart, worst = j;
  }
  if (most > UNLIKE_M)
    fail(c, MRT_BAD_INPUT, "skeleton %s: its two sides differ (%s); it cannot be mirrored", s->name,
         s->joint_names[worst]);
  made = motion_crop(c, m, 0, m->num_frames);
  for (t = 0; t < m->num_frames; t++) {
    for (j = 0; j < s->num_joints; j++)
      motion_set_local(made, t, j, flipped_turn(motion_local(m, t, pairs[j])));
    motion_set_root(made, t, flipped(motion_root(m, t)));
    if (m->smooth_root) made->smooth_root[3 * (size_t)t] *= -1;
    if (m->heading) made->heading[2 * (size_t)t + 1] *= -1;
    for (i = 0; m->num_contacts % 2 == 0 && i < m->num_contacts; i++)
      made->foot_contacts[(size_t)t * m->num_contacts + i] =
          m->foot_contacts[(size_t)t * m->num_contacts + (i < half ? half + i : i - half)];
  }
  made->loop_step[0] *= -1;
  made->loop_turn *= -1;
  motion_complete(c, made);
  return made;
}
