#include "resample.h"

#include "root_path.h"

/* Keeps slow motion and nothing at half of the frame rate; exact for polynomials up to the fifth
 * degree, so that steady motion stays as it is. */
static const double low_pass[] = {1 / 64.0,  -6 / 64.0, 15 / 64.0, 44 / 64.0,
                                  15 / 64.0, -6 / 64.0, 1 / 64.0};
#define TAPS 7

/* What is the same for every curve of a motion. */
typedef struct plan {
  int32_t frames, count;
  double *moments;  /* (count) in frames */
  int32_t *nearest; /* (count) */
  bool *met;        /* (count) gets a frame itself */
  double ratio;     /* 1: nothing to filter out */
  int32_t reach;    /* second differences that count to either side of a frame; 0: all there are */
  double *wide, *bend, *share; /* (frames) */
} plan;

/* Leave away from values (frames), in place, what one frame in `ratio` cannot hold. */
static void slow_part(plan *p, double *values) {
  int32_t step, t, tap;
  for (step = 1; step < p->ratio && p->frames > 1; step *= 2) {
    for (t = 0; t < p->frames; t++) {
      double sum = 0;
      for (tap = 0; tap < TAPS; tap++)
        sum += low_pass[tap] *
               beyond_ends(values, p->frames, (int64_t)t + (int64_t)step * (tap - TAPS / 2));
      p->wide[t] = sum;
    }
    memcpy(values, p->wide, (size_t)p->frames * sizeof *values);
    if (step > INT32_MAX / 4) break;
  }
}

/* Second derivatives of the spline: m[i-1] + 4 m[i] + m[i+1] = 6 d[i], d the second differences; its
 * third derivative is continuous at the first and last frame but one ("not a knot"). */
static void bends(plan *p, const double *values) {
  int32_t n = p->frames, i;
  double *m = p->bend;
  memset(m, 0, (size_t)n * sizeof *m);
  memset(p->share, 0, (size_t)n * sizeof *p->share);
  if (n < 3) return;
  for (i = 1; i < n - 1; i++) m[i] = values[i + 1] - 2 * values[i] + values[i - 1];
  for (i = 2; i < n - 2; i++) {
    p->share[i] = 1 / (4 - p->share[i - 1]);
    m[i] = (6 * m[i] - m[i - 1]) * p->share[i];
  }
  for (i = n - 3; i >= 2; i--) m[i] -= p->share[i] * m[i + 1];
  m[0] = n == 3 ? m[1] : 2 * m[1] - m[2];
  m[n - 1] = n == 3 ? m[1] : 2 * m[n - 2] - m[n - 3];
}

/* The same from the differences near by, of which one k frames away counts 0.27^k: they are zero at
 * both ends, behind which they go on turned by half a turn. */
static void near_bends(plan *p, const double *values) {
  static const double pole = -0.2679491924311227; /* sqrt(3) - 2: see resample_stream.py */
  int32_t n = p->frames, i, k, m;
  memset(p->bend, 0, (size_t)n * sizeof *p->bend);
  memset(p->wide, 0, (size_t)n * sizeof *p->wide);
  for (i = 1; i < n - 1; i++) p->wide[i] = values[i + 1] - 2 * values[i] + values[i - 1];
  for (i = 0; i < n; i++)
    for (k = -p->reach; k <= p->reach; k++) {
      double weight = sqrt(3.0);
      for (m = k < 0 ? -k : k; m > 0; m--) weight *= pole;
      p->bend[i] += weight * beyond_ends(p->wide, n, (int64_t)i + k);
    }
}

/* Evaluate the curve through values (frames), which are filtered in place, at every moment. */
static void curve(plan *p, double *values, double *out) {
  int32_t last = p->frames - 1, i;
  slow_part(p, values);
  if (p->reach)
    near_bends(p, values);
  else
    bends(p, values);
  for (i = 0; i < p->count; i++) {
    int32_t before = (int32_t)p->moments[i], after;
    double u, v;
    if (before > last - 1) before = last > 1 ? last - 1 : 0;
    after = before < last ? before + 1 : last;
    u = p->moments[i] - before;
    v = 1 - u;
    out[i] = v * values[before] + u * values[after] +
             ((v * v * v - v) * p->bend[before] + (u * u * u - u) * p->bend[after]) / 6;
  }
}

/* Rows of floats of so many columns, along their curves. */
static void curve_rows(call *c, plan *p, const float *from, int32_t columns, float *to) {
  double *values = TEMP(c, double, p->frames), *out = TEMP(c, double, p->count);
  int32_t column, i;
  for (column = 0; column < columns; column++) {
    for (i = 0; i < p->frames; i++) values[i] = from[(size_t)i * columns + column];
    curve(p, values, out);
    for (i = 0; i < p->count; i++)
      to[(size_t)i * columns + column] =
          p->met[i] ? from[(size_t)p->nearest[i] * columns + column] : (float)out[i];
  }
}

static void curve_rotations(call *c, plan *p, const mrt_motion *m, mrt_motion *made) {
  double *values[4], *out[4];
  int32_t joints = m->skeleton->num_joints, i, j, k;
  for (k = 0; k < 4; k++) {
    values[k] = TEMP(c, double, p->frames);
    out[k] = TEMP(c, double, p->count);
  }
  for (j = 0; j < joints; j++) {
    quat before = {0, 0, 0, 0};
    for (i = 0; i < p->frames; i++) {
      quat q = mat_to_quat(motion_local(m, i, j));
      if (q.w * before.w + q.x * before.x + q.y * before.y + q.z * before.z < 0)
        q.w = -q.w, q.x = -q.x, q.y = -q.y, q.z = -q.z;
      values[0][i] = q.w, values[1][i] = q.x, values[2][i] = q.y, values[3][i] = q.z;
      before = q;
    }
    if (p->frames == 2) { /* nothing is known but the arc between them */
      quat a = {values[0][0], values[1][0], values[2][0], values[3][0]};
      quat b = {values[0][1], values[1][1], values[2][1], values[3][1]};
      for (i = 0; i < p->count; i++) {
        quat q = quat_slerp(a, b, p->moments[i]);
        out[0][i] = q.w, out[1][i] = q.x, out[2][i] = q.y, out[3][i] = q.z;
      }
    } else {
      for (k = 0; k < 4; k++) curve(p, values[k], out[k]);
    }
    for (i = 0; i < p->count; i++) {
      quat q = {out[0][i], out[1][i], out[2][i], out[3][i]};
      motion_set_local(made, i, j, p->met[i] ? motion_local(m, p->nearest[i], j)
                                             : quat_to_mat(quat_unit(q)));
    }
  }
}

static void curve_heading(call *c, plan *p, const mrt_motion *m, mrt_motion *made) {
  double *angles = TEMP(c, double, p->frames), *out = TEMP(c, double, p->count);
  int32_t i;
  for (i = 0; i < p->frames; i++)
    angles[i] = atan2(m->heading[2 * (size_t)i + 1], m->heading[2 * (size_t)i]);
  unwrap_angles(angles, p->frames);
  curve(p, angles, out);
  for (i = 0; i < p->count; i++) {
    float *to = made->heading + 2 * (size_t)i;
    if (p->met[i])
      memcpy(to, m->heading + 2 * (size_t)p->nearest[i], 2 * sizeof *to);
    else
      to[0] = (float)cos(out[i]), to[1] = (float)sin(out[i]);
  }
}

/* Moments to be filled in, and what curves through so many frames take. */
static plan plan_new(call *c, int32_t frames, int32_t count) {
  plan p = {.frames = frames, .count = count, .ratio = 1};
  p.moments = TEMP(c, double, count);
  p.nearest = TEMP(c, int32_t, count);
  p.met = TEMP(c, bool, count);
  p.wide = TEMP(c, double, frames);
  p.bend = TEMP(c, double, frames);
  p.share = TEMP(c, double, frames);
  return p;
}

/* Say what is at a moment; whether a frame meets it. */
static bool plan_moment(plan *p, int32_t i, double moment) {
  p->moments[i] = moment < p->frames - 1 ? moment : p->frames - 1;
  p->nearest[i] = (int32_t)floor(p->moments[i] + 0.5);
  return p->met[i] = fabs(p->moments[i] - p->nearest[i]) < 1e-6;
}

/* Take a motion at the moments of a plan. */
static mrt_motion *along(call *c, plan *p, const mrt_motion *m, double fps) {
  mrt_motion *made = motion_new(c, m->skeleton, p->count, fps);
  int32_t i;
  motion_inherit(c, made, m);
  if (m->num_frames - 1 - p->moments[p->count - 1] > 1e-6)
    made->is_loop = false; /* its last frame, which was its first, is none any more */
  curve_rotations(c, p, m, made);
  curve_rows(c, p, m->root_positions, 3, made->root_positions);
  if (m->smooth_root) {
    motion_add_smooth_root(c, made);
    curve_rows(c, p, m->smooth_root, 3, made->smooth_root);
  }
  if (m->heading) {
    motion_add_heading(c, made);
    curve_heading(c, p, m, made);
  }
  if (m->foot_contacts) {
    motion_add_contacts(c, made, m->num_contacts);
    for (i = 0; i < p->count; i++)
      memcpy(made->foot_contacts + (size_t)i * m->num_contacts,
             m->foot_contacts + (size_t)p->nearest[i] * m->num_contacts, (size_t)m->num_contacts);
  }
  motion_complete(c, made);
  return made;
}

/* Make frames at a rate of a motion that is taken to have another than its own. */
static mrt_motion *between(call *c, const mrt_motion *m, double old_fps, double fps) {
  int32_t last = m->num_frames - 1, i;
  double most;
  bool all_met = true;
  plan p;
  if (!(isfinite(fps) && fps > 0))
    fail(c, MRT_BAD_INPUT, "fps is %g, it must be a number above zero", fps);
  if (fps == old_fps) return NULL;
  if (!(fps >= LEAST_FPS && fps <= MOST_FPS))
    fail(c, MRT_BAD_INPUT, "fps is %g, it must be from %g to %.0f", fps, LEAST_FPS, MOST_FPS);
  most = last * fps / old_fps + 1e-6;
  if (most + 1 > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT,
         "%g fps would make %.0f frames of %.1f s, more than %d: at most %.0f fps", fps, most,
         m->num_frames / old_fps, MOST_FRAMES, (MOST_FRAMES - 1) * old_fps / last);
  p = plan_new(c, m->num_frames, (int32_t)floor(most) + 1);
  for (i = 0; i < p.count; i++) all_met &= plan_moment(&p, i, i * old_fps / fps);
  if (old_fps > fps && !all_met) {
    p.ratio = old_fps / fps;
    for (i = 1; i < p.count; i++) p.met[i] = false;
  }
  return along(c, &p, m, fps);
}

mrt_motion *resampled_near(call *c, const mrt_motion *m, const double *moments, int32_t count,
                           int32_t reach, double fps) {
  plan p = plan_new(c, m->num_frames, count);
  int32_t i;
  p.reach = reach;
  for (i = 0; i < count; i++) plan_moment(&p, i, moments[i]);
  return along(c, &p, m, fps);
}

mrt_motion *resampled(call *c, const mrt_motion *m, double fps) {
  return between(c, m, m->fps, fps);
}

mrt_motion *at_speed(call *c, const mrt_motion *m, double speed) {
  int32_t last = m->num_frames - 1;
  double fps;
  if (!(isfinite(speed) && speed > 0))
    fail(c, MRT_BAD_INPUT, "speed is %g, it must be a number above zero", speed);
  if (m->is_loop && last) { /* the nearest at which a round is a whole number of frames */
    double round = nearbyint(last / speed);
    speed = last / (round > 1 ? round : 1);
  }
  fps = m->fps * speed;
  if (!(fps >= LEAST_FPS && fps <= MOST_FPS))
    fail(c, MRT_BAD_INPUT, "speed is %g: %g frames a second are not from %g to %.0f", speed, fps,
         LEAST_FPS, MOST_FPS);
  return between(c, m, fps, m->fps);
}
