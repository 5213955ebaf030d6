#include "ardy_stream.h"

#include <string.h>

#include "correction.h"
#include "resample.h"

stream_span stream_plan(const ardy *m, const stream_buffer *buffer, int32_t playhead,
                        constraints all, const stream_settings *how) {
  stream_span s = {0, -1, 0, 0};
  int32_t end = buffer->first + buffer->count, furthest = -1, least, k;
  size_t i;
  if (end) {
    int32_t held;
    s.last_kept = playhead + how->replan_frames < end - 1 ? playhead + how->replan_frames : end - 1;
    if (end >= m->size && s.last_kept < m->size - 1) s.last_kept = m->size - 1;
    held = s.last_kept + 1 - buffer->first;
    s.history = (held < how->history_frames ? held : how->history_frames) / m->size * m->size;
    s.start = s.last_kept - s.history + 1;
    if (s.start < 0) s.start = 0;
  }
  for (i = 0; i < all.count; i++)
    for (k = 0; k < all.items[i].num_frames; k++)
      if (all.items[i].frames[k] > furthest) furthest = all.items[i].frames[k];
  least = s.history + m->horizon;
  s.num_frames = least;
  if (furthest > s.last_kept) {
    int32_t wanted = furthest - s.start < 1 << 29 ? furthest - s.start + 1 : 1 << 29;
    if (wanted > how->future_frames + least) wanted = how->future_frames + least;
    if (wanted > least) s.num_frames = (wanted + m->size - 1) / m->size * m->size;
  }
  if (s.num_frames > m->window_frames) s.num_frames = m->window_frames;
  if (s.num_frames < least) s.num_frames = least;
  return s;
}

float *stream_make(const ardy_run *u, stream_window *w) {
  ardy *m = u->model;
  call *c = u->c;
  const motion_features *f = &m->features;
  int32_t width = f->width, shift = w->span.last_kept + 1 - w->span.start;
  size_t cells = (size_t)w->span.num_frames * width, i;
  float *tokens = NULL, *features, place[2] = {w->place[0], w->place[1]}, heading = w->heading;
  ardy_window asked = {0};
  constraints around;
  w->observed = w->mask = NULL;
  if (w->inside.count) {
    w->observed = TAKE(c, u->work, float, cells);
    w->mask = TAKE(c, u->work, float, cells);
    constraints_shift(w->inside, shift);
    constraints_fill(c, w->inside, f, w->span.num_frames, &ardy_conditions, w->observed, w->mask);
    constraints_shift(w->inside, -shift);
    features_normalize(f, w->observed, (size_t)w->span.num_frames);
    for (i = 0; i < cells; i++) w->observed[i] *= w->mask[i];
  }
  if (w->span.history) {
    tokens = ardy_encode(u, w->history, w->span.history);
    ardy_place(m, ardy_root(m, tokens, w->span.history - 1), place);
    ardy_move(m, tokens, 1, w->span.history / m->size, place, -1);
    heading = ardy_heading(m, w->history);
  }
  asked.batch = 1;
  asked.history = tokens;
  asked.before = w->span.history / m->size;
  asked.noise = w->noise;
  asked.text = w->text;
  asked.text_mask = w->text_mask;
  asked.headings = &heading;
  asked.places = place;
  asked.observed = w->observed;
  asked.mask = w->mask;
  asked.known_frames = w->span.num_frames;
  asked.row = cells;
  asked.guidance = w->how->guidance;
  asked.num_steps = w->how->num_steps;
  asked.index = w->index;
  asked.of = w->of;
  tokens = ardy_generate_window(u, &asked);
  w->place[0] = place[0], w->place[1] = place[1], w->heading = heading;
  ardy_move(m, tokens, 1, asked.before + m->horizon / m->size, place, 1);
  ardy_requantize(m, tokens, (size_t)(asked.before + m->horizon / m->size));
  features = ardy_decode(u, tokens, 1, asked.before + m->horizon / m->size, NULL) +
             (size_t)w->span.history * width;
  if (w->how->postprocess) {
    around = constraints_crop(c, w->inside, 0, m->horizon);
    if (around.count) ardy_correct(u, features, m->horizon, around, w->how->root_margin);
  }
  motion_check_numbers(c, features, m->horizon, (size_t)width, "what the model gave");
  return features;
}

void ardy_correct(const ardy_run *u, float *features, int32_t num_frames, constraints held,
                  double root_margin) {
  call *c = u->c;
  const motion_features *f = &u->model->features;
  correction_targets targets =
      constraints_targets(c, held, f->skeleton, num_frames, &ardy_targets);
  decoded d;
  features_unnormalize(f, features, (size_t)num_frames);
  d = features_decode(c, f, features, num_frames);
  correct_motion(c, f->skeleton, d.local, d.root, d.contacts, num_frames, &targets, root_margin);
  features_encode(c, f, d.local, d.root, num_frames, features);
  features_normalize(f, features, (size_t)num_frames);
}

float *ardy_previous(const ardy_run *u, const mrt_motion *given, const mrt_motion **fitted) {
  call *c = u->c;
  const motion_features *f = &u->model->features;
  int32_t joints = f->num_joints, t, j;
  const mrt_motion *m = given;
  float *values;
  mat3 *local;
  vec3 *root;
  if (m->skeleton->num_joints != joints || strcmp(m->skeleton->name, f->skeleton->name))
    fail(c, MRT_BAD_INPUT, "the motion to continue has skeleton %s, the model %s",
         m->skeleton->name, f->skeleton->name);
  if (fabs(m->fps - f->fps) > 1e-3 && !(m = resampled(c, given, f->fps))) m = given;
  if (m->num_frames < u->model->size)
    fail(c, MRT_BAD_INPUT, "the motion to continue has %d frames, it takes %d", m->num_frames,
         u->model->size);
  values = TEMP(c, float, (size_t)m->num_frames * f->width);
  local = TEMP(c, mat3, (size_t)m->num_frames * joints);
  root = TEMP(c, vec3, m->num_frames);
  for (t = 0; t < m->num_frames; t++) {
    root[t] = motion_root(m, t);
    for (j = 0; j < joints; j++) local[(size_t)t * joints + j] = motion_local(m, t, j);
  }
  features_encode(c, f, local, root, m->num_frames, values);
  features_normalize(f, values, (size_t)m->num_frames);
  *fitted = m;
  return values;
}

void ardy_show(const ardy_run *u, mrt_motion *made, const float *features, int32_t num_frames,
               const mrt_motion *before, const constraints *held, double root_margin) {
  call *c = u->c;
  const motion_features *f = &u->model->features;
  int32_t joints = f->num_joints, kept = before ? before->num_frames : 0, t, j;
  size_t cells = (size_t)num_frames * f->width;
  float *values = TEMP(c, float, cells);
  mat3 *local = TEMP(c, mat3, ((size_t)kept + num_frames) * joints);
  vec3 *root = TEMP(c, vec3, kept + num_frames);
  decoded d;
  memcpy(values, features, cells * sizeof *values);
  features_unnormalize(f, values, (size_t)num_frames);
  d = features_decode(c, f, values, num_frames);
  if (held) {
    correction_targets targets =
        constraints_targets(c, *held, f->skeleton, num_frames, &ardy_targets);
    correct_motion(c, f->skeleton, d.local, d.root, d.contacts, num_frames, &targets, root_margin);
  }
  for (t = 0; t < kept; t++) {
    root[t] = motion_root(before, t);
    for (j = 0; j < joints; j++) local[(size_t)t * joints + j] = motion_local(before, t, j);
  }
  memcpy(root + kept, d.root, (size_t)num_frames * sizeof *root);
  memcpy(local + (size_t)kept * joints, d.local, (size_t)num_frames * joints * sizeof *local);
  motion_pose(c, made, local, root);
  if (!kept || (before->foot_contacts && before->num_contacts == 4)) {
    motion_add_contacts(c, made, 4);
    if (kept) memcpy(made->foot_contacts, before->foot_contacts, 4 * (size_t)kept);
    for (t = 0; t < 4 * num_frames; t++) made->foot_contacts[4 * kept + t] = d.contacts[t];
  }
  if (!kept || before->smooth_root) {
    motion_add_smooth_root(c, made);
    if (kept) memcpy(made->smooth_root, before->smooth_root, 3 * (size_t)kept * sizeof(float));
    memcpy(made->smooth_root + 3 * kept, d.smooth, 3 * (size_t)num_frames * sizeof(float));
  }
  if (!kept || before->heading) {
    motion_add_heading(c, made);
    if (kept) memcpy(made->heading, before->heading, 2 * (size_t)kept * sizeof(float));
    for (t = 0; t < num_frames; t++)
      memcpy(made->heading + 2 * (kept + t), values + (size_t)t * f->width + HEADING_FEATURE,
             2 * sizeof(float));
  }
  if (kept) return;
  made->num_features = f->width;
  made->features = TAKE(c, &made->keep, float, cells);
  memcpy(made->features, features, cells * sizeof(float));
}
