#include "seen_pose.h"

/* A velocity that differs by 1 m/s counts as a joint that is 10 cm off: what it is off by after this
 * time. So do accelerations. */
#define VELOCITY_SECONDS 0.1

flat about_y(flat v, double angle) {
  double s = sin(angle), c = cos(angle);
  flat f = {c * v.x + s * v.z, c * v.z - s * v.x};
  return f;
}

void unwrap_angles(double *angles, int32_t count) {
  double before, turns = 0;
  int32_t t;
  if (!count) return;
  before = angles[0];
  for (t = 1; t < count; t++) {
    double now = angles[t], step = now - before, short_way = fmod(step + PI, 2 * PI);
    if (short_way < 0) short_way += 2 * PI;
    short_way -= PI;
    if (short_way == -PI && step > 0) short_way = PI;
    if (fabs(step) >= PI) turns += short_way - step;
    angles[t] = now + turns;
    before = now;
  }
}

double *headings(call *c, const mrt_motion *m) {
  double *found = TEMP(c, double, m->num_frames);
  int32_t t;
  for (t = 0; t < m->num_frames; t++) found[t] = motion_heading(m, t);
  unwrap_angles(found, m->num_frames);
  return found;
}

vec3 seen_along(vec3 v, double heading) {
  flat f = about_y(flat_of(v), -heading);
  return vec(f.x, v.y, f.z);
}

vec3 seen_joint(const mrt_motion *m, double heading, int32_t frame, int32_t joint) {
  vec3 root = motion_root(m, frame);
  root.y = 0;
  return seen_along(vec_sub(motion_joint(m, frame, joint), root), heading);
}

mat3 seen_rotation(const mrt_motion *m, double heading, int32_t frame, int32_t joint) {
  mat3 local = motion_local(m, frame, joint);
  return joint ? local : mat_mul(turn_about_y(-heading), local);
}

/* Where a joint is, how it moves and how that changes, a frame; differences are between the two
 * neighbours, at the ends to the one. */
static void neighbours(int32_t count, int32_t t, int32_t *before, int32_t *after) {
  *before = t > 0 ? t - 1 : 0;
  *after = t + 1 < count ? t + 1 : count - 1;
}

static vec3 velocity(const mrt_motion *m, int32_t t, int32_t joint) {
  int32_t before, after;
  neighbours(m->num_frames, t, &before, &after);
  return vec_scale(vec_sub(motion_joint(m, after, joint), motion_joint(m, before, joint)),
                   m->fps / (after - before));
}

double *seen_poses(call *c, const mrt_motion *m, const double *heading) {
  int32_t joints = m->skeleton->num_joints, t, j;
  double *rows = TEMP(c, double, (size_t)m->num_frames * joints * 9), *to = rows;
  double size = 1 / sqrt(joints), slow = VELOCITY_SECONDS;
  for (t = 0; t < m->num_frames; t++) {
    int32_t before, after, i;
    neighbours(m->num_frames, t, &before, &after);
    for (j = 0; j < joints; j++) {
      vec3 parts[3], change = vec_sub(velocity(m, after, j), velocity(m, before, j));
      parts[0] = seen_joint(m, heading[t], t, j);
      parts[1] = vec_scale(seen_along(velocity(m, t, j), heading[t]), slow);
      parts[2] = vec_scale(seen_along(change, heading[t]),
                           slow * slow / 2 * m->fps / (after - before));
      for (i = 0; i < 3; i++) {
        *to++ = parts[i].x * size;
        *to++ = parts[i].y * size;
        *to++ = parts[i].z * size;
      }
    }
  }
  return rows;
}

double row_distance(const double *a, const double *b, int32_t width) {
  double sums[4] = {0}, rest = 0; /* four chains at once: three times as fast */
  int32_t i, k;
  for (i = 0; i + 4 <= width; i += 4)
    for (k = 0; k < 4; k++) {
      double apart = a[i + k] - b[i + k];
      sums[k] += apart * apart;
    }
  for (; i < width; i++) rest += (a[i] - b[i]) * (a[i] - b[i]);
  return sqrt(sums[0] + sums[1] + sums[2] + sums[3] + rest);
}

/* The first of the three frames that a slope is taken of. */
static int32_t slope_start(int32_t count, int32_t frame) {
  int32_t start = frame > 0 ? frame - 1 : 0;
  return start < count - 3 ? start : count - 3;
}

static void slope_weights(int32_t at, double weights[3]) {
  static const double of[3][3] = {{-1.5, 2, -0.5}, {-0.5, 0, 0.5}, {0.5, -2, 1.5}};
  memcpy(weights, of[at], sizeof of[at]);
}

double heading_slope(const double *heading, int32_t count, int32_t frame) {
  int32_t start = slope_start(count, frame);
  double w[3];
  slope_weights(frame - start, w);
  return w[0] * heading[start] + w[1] * heading[start + 1] + w[2] * heading[start + 2];
}

static vec3 weighed(const double w[3], const vec3 v[3]) {
  return vec_add(vec_add(vec_scale(v[0], w[0]), vec_scale(v[1], w[1])), vec_scale(v[2], w[2]));
}

vec3 root_slope(const mrt_motion *m, int32_t frame) {
  int32_t start = slope_start(m->num_frames, frame), i;
  vec3 v[3];
  double w[3];
  slope_weights(frame - start, w);
  for (i = 0; i < 3; i++) v[i] = motion_root(m, start + i);
  return weighed(w, v);
}

void spin(const mrt_motion *m, const double *heading, int32_t frame, vec3 *vectors) {
  int32_t start = slope_start(m->num_frames, frame), j, i;
  double w[3];
  slope_weights(frame - start, w);
  for (j = 0; j < m->skeleton->num_joints; j++) {
    mat3 back = mat_transpose(seen_rotation(m, heading[frame], frame, j));
    vec3 v[3];
    for (i = 0; i < 3; i++)
      v[i] = mat_to_rotation_vector(
          mat_mul(back, seen_rotation(m, heading[start + i], start + i, j)));
    vectors[j] = weighed(w, v);
  }
}
