#include "root_path.h"

/* Value i of values (count) that go on behind both ends as they came, turned by half a turn. */
double beyond_ends(const double *values, int32_t count, int64_t i) {
  int64_t period = 2 * ((int64_t)count - 1), round, rest;
  double whole;
  if (i >= 0 && i < count) return values[i];
  if (count < 2) return values[0];
  round = i / period - (i % period < 0);
  rest = i - round * period;
  whole = 2 * (values[count - 1] - values[0]) * (double)round;
  return whole + (rest < count ? values[rest] : 2 * values[count - 1] - values[period - rest]);
}

/* Where the rounds of a loop begin, from so many before to so many behind. */
typedef struct rounds {
  int32_t before; /* rounds before the first */
  flat *places;
  double *headings;
} rounds;

static rounds lay_rounds(call *c, const mrt_motion *m, flat place, double heading, int32_t count) {
  flat step = {m->loop_step[0], m->loop_step[1]}, start = place;
  rounds r;
  double first = heading;
  int32_t n;
  r.before = count;
  r.places = TEMP(c, flat, 2 * count + 1);
  r.headings = TEMP(c, double, 2 * count + 1);
  for (n = 0; n <= count; n++) {
    r.places[count + n] = place;
    r.headings[count + n] = heading;
    place = flat_add(place, about_y(step, heading));
    heading += m->loop_turn;
  }
  place = start, heading = first;
  for (n = 1; n <= count; n++) {
    heading -= m->loop_turn;
    place = flat_sub(place, about_y(step, heading));
    r.places[count - n] = place;
    r.headings[count - n] = heading;
  }
  return r;
}

/* x, z and heading by a Gaussian window of so many frames, in place. */
static void smooth(call *c, const mrt_motion *m, root_path path, double sigma) {
  int32_t frames = m->num_frames, reach, t, column;
  double *window, *wide, *values, total = 0;
  rounds r = {0, NULL, NULL};
  flat start = path.places[0];
  double first = path.heading[0], farthest = ceil(3 * sigma);
  /* What is shorter than its window is nearly a line anyway. */
  if (farthest > 16.0 * frames) farthest = 16.0 * frames;
  if (farthest < 1 || frames < 2) return;
  reach = (int32_t)farthest;
  window = TEMP(c, double, 2 * reach + 1);
  wide = TEMP(c, double, (size_t)frames + 2 * (size_t)reach);
  values = TEMP(c, double, 3 * (size_t)frames);
  for (t = -reach; t <= reach; t++) {
    double at = t / sigma;
    total += window[t + reach] = exp(-0.5 * at * at);
  }
  for (t = 0; t < frames; t++) {
    values[t] = path.places[t].x;
    values[frames + t] = path.places[t].z;
    values[2 * frames + t] = path.heading[t];
  }
  if (m->is_loop) r = lay_rounds(c, m, start, first, (reach + frames - 2) / (frames - 1) + 1);
  for (column = 0; column < 3; column++) {
    for (t = -reach; t < frames + reach; t++) {
      double *to = wide + (t + reach);
      if (m->is_loop) {
        int32_t period = frames - 1, round = t / period - (t % period < 0), at = t - round * period;
        double turn = r.headings[r.before + round] - first;
        flat way = {values[at] - start.x, values[frames + at] - start.z};
        way = flat_add(r.places[r.before + round], about_y(way, turn));
        *to = column == 0 ? way.x : column == 1 ? way.z : values[2 * frames + at] + turn;
      } else {
        *to = beyond_ends(values + (size_t)column * frames, frames, t);
      }
    }
    for (t = 0; t < frames; t++) {
      double sum = 0;
      int32_t k;
      for (k = 0; k <= 2 * reach; k++) sum += window[k] * wide[t + k];
      sum /= total;
      if (column == 0) path.places[t].x = sum;
      if (column == 1) path.places[t].z = sum;
      if (column == 2) path.heading[t] = sum;
    }
  }
}

root_path path_of(call *c, const mrt_motion *m, double smooth_seconds) {
  root_path path;
  int32_t t;
  if (!(isfinite(smooth_seconds) && smooth_seconds >= 0))
    fail(c, MRT_BAD_INPUT, "smooth_seconds is %g, it must be zero or more", smooth_seconds);
  path.places = TEMP(c, flat, m->num_frames);
  path.heading = headings(c, m);
  for (t = 0; t < m->num_frames; t++) path.places[t] = flat_of(motion_root(m, t));
  smooth(c, m, path, smooth_seconds * m->fps);
  return path;
}

vec3 carried_root(const mrt_motion *m, const root_path *path, int32_t t) {
  vec3 place = vec(path->places[t].x, 0, path->places[t].z);
  return seen_along(vec_sub(motion_root(m, t), place), path->heading[t]);
}

mat3 carried_turn(const root_path *path, int32_t t, mat3 rotation) {
  return mat_mul(turn_about_y(-path->heading[t]), rotation);
}

/* Each frame shifted over the floor, then turned about the y axis, as one rigid body. */
static mrt_motion *moved_each(call *c, const mrt_motion *m, const double *turns,
                              const flat *shifts) {
  mrt_motion *made = motion_crop(c, m, 0, m->num_frames);
  int32_t t;
  for (t = 0; t < m->num_frames; t++) {
    mat3 turn = turn_about_y(turns[t]);
    vec3 shift = vec(shifts[t].x, 0, shifts[t].z);
    motion_set_local(made, t, 0, mat_mul(turn, motion_local(m, t, 0)));
    motion_set_root(made, t, mat_apply(turn, vec_add(motion_root(m, t), shift)));
    if (m->smooth_root)
      vec_store(made->smooth_root + 3 * (size_t)t,
                mat_apply(turn, vec_add(vec_load(m->smooth_root + 3 * (size_t)t), shift)));
    if (m->heading) {
      const float *was = m->heading + 2 * (size_t)t;
      double angle = atan2(was[1], was[0]) + turns[t];
      made->heading[2 * (size_t)t] = (float)cos(angle);
      made->heading[2 * (size_t)t + 1] = (float)sin(angle);
    }
  }
  motion_complete(c, made);
  return made;
}

mrt_motion *in_place(call *c, const mrt_motion *m, double face, double smooth_seconds) {
  root_path path = path_of(c, m, smooth_seconds);
  mrt_motion *made;
  int32_t t;
  for (t = 0; t < m->num_frames; t++) {
    path.places[t] = flat_scale(path.places[t], -1);
    path.heading[t] = face - path.heading[t];
  }
  made = moved_each(c, m, path.heading, path.places);
  made->in_place = true;
  made->loop_step[0] = made->loop_step[1] = made->loop_turn = 0;
  return made;
}

mrt_motion *placed(call *c, const mrt_motion *m, bool at_origin, bool turn, double face) {
  root_path path = path_of(c, m, SMOOTH_SECONDS);
  flat start = path.places[0];
  double angle = turn ? face - path.heading[0] : 0;
  mrt_motion *made;
  int32_t t;
  for (t = 0; t < m->num_frames; t++) {
    path.heading[t] = angle;
    path.places[t] = flat_scale(start, -1);
  }
  made = moved_each(c, m, path.heading, path.places);
  if (at_origin) return made;
  for (t = 0; t < m->num_frames; t++) { /* it turns where it stands */
    path.heading[t] = 0;
    path.places[t] = start;
  }
  return moved_each(c, made, path.heading, path.places);
}
