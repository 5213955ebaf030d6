#include "motion.h"

#include <stdlib.h>
#include <string.h>

static void free_motions(void *what) { mrt_motions_free(what); }

mrt_motions *motions_new(call *c, int32_t count) {
  mrt_motions *list = calloc(1, sizeof *list);
  if (!list) fail(c, MRT_NO_MEMORY, "out of memory");
  list->guard = arena_defer(c, &c->memory, free_motions, list);
  list->items = TAKE(c, &list->keep, mrt_motion *, count);
  list->count = count;
  return list;
}

static void make_arrays(call *c, mrt_motion *m, const mrt_skeleton *skeleton, int32_t num_frames,
                        double fps) {
  size_t cells = (size_t)num_frames * skeleton->num_joints;
  m->num_frames = num_frames;
  m->fps = fps;
  m->prompt = "";
  m->skeleton = skeleton_copy(c, &m->keep, skeleton);
  m->root_positions = TAKE(c, &m->keep, float, 3 * (size_t)num_frames);
  m->local_rotations = TAKE(c, &m->keep, float, 4 * cells);
  m->global_positions = TAKE(c, &m->keep, float, 3 * cells);
  m->global_rotations = TAKE(c, &m->keep, float, 4 * cells);
  m->local_mats = TAKE(c, &m->keep, float, 9 * cells);
}

mrt_motion *motions_add(call *c, mrt_motions *list, int32_t index, const mrt_skeleton *skeleton,
                        int32_t num_frames, double fps) {
  mrt_motion *m = calloc(1, sizeof *m);
  if (!m) fail(c, MRT_NO_MEMORY, "out of memory");
  list->items[index] = m;
  m->in_list = true;
  make_arrays(c, m, skeleton, num_frames, fps);
  return m;
}

static void free_held(void *what) { mrt_motion_free(*(mrt_motion **)what); }

mrt_motion *motion_new(call *c, const mrt_skeleton *skeleton, int32_t num_frames, double fps) {
  mrt_motion **held = TEMP(c, mrt_motion *, 1);
  struct arena_cleanup *guard = arena_defer(c, &c->memory, free_held, held);
  mrt_motion *m = *held = calloc(1, sizeof *m);
  if (!m) fail(c, MRT_NO_MEMORY, "out of memory");
  m->guard = guard;
  make_arrays(c, m, skeleton, num_frames, fps);
  return m;
}

mrt_motion *motion_keep(mrt_motion *m) {
  cleanup_disarm(m->guard);
  m->guard = NULL;
  return m;
}

void motion_drop(mrt_motion *m) { mrt_motion_free(motion_keep(m)); }

void motion_add_contacts(call *c, mrt_motion *m, int32_t num_contacts) {
  m->num_contacts = num_contacts;
  m->foot_contacts = TAKE(c, &m->keep, uint8_t, (size_t)m->num_frames * num_contacts);
}

void motion_add_smooth_root(call *c, mrt_motion *m) {
  m->smooth_root = TAKE(c, &m->keep, float, 3 * (size_t)m->num_frames);
}

void motion_add_heading(call *c, mrt_motion *m) {
  m->heading = TAKE(c, &m->keep, float, 2 * (size_t)m->num_frames);
}

void motion_check_numbers(call *c, const float *values, int32_t num_frames, size_t row,
                          const char *what) {
  size_t i, count = (size_t)num_frames * row;
  for (i = 0; i < count; i++)
    if (!(fabsf(values[i]) <= LARGEST_NUMBER))
      fail(c, MRT_BAD_INPUT, "%s: frame %zu has a number that %s", what, i / row,
           isfinite(values[i]) ? "is beyond 1e+09" : "is not finite");
}

void motion_complete(call *c, mrt_motion *m) {
  int32_t joints = m->skeleton->num_joints, t, j;
  mat3 *local = TEMP(c, mat3, joints), *rotations = TEMP(c, mat3, joints);
  vec3 *positions = TEMP(c, vec3, joints);
  size_t width = 3 * (size_t)joints;
  motion_check_numbers(c, m->local_mats, m->num_frames, 3 * width, "local rotations");
  motion_check_numbers(c, m->root_positions, m->num_frames, 3, "root_positions");
  for (t = 0; t < m->num_frames; t++) {
    size_t row = (size_t)t * joints;
    for (j = 0; j < joints; j++) local[j] = motion_local(m, t, j);
    forward_kinematics(m->skeleton, local, motion_root(m, t), positions, rotations);
    for (j = 0; j < joints; j++) {
      quat_store(m->local_rotations + 4 * (row + j), mat_to_quat(local[j]));
      quat_store(m->global_rotations + 4 * (row + j), mat_to_quat(rotations[j]));
      vec_store(m->global_positions + 3 * (row + j), positions[j]);
    }
  }
  motion_check_numbers(c, m->global_positions, m->num_frames, width, "joint positions");
}

void motion_inherit(call *c, mrt_motion *to, const mrt_motion *from) {
  to->prompt = arena_copy(c, &to->keep, from->prompt, strlen(from->prompt));
  to->seed = from->seed;
  to->sample = from->sample;
  to->is_loop = from->is_loop;
  to->in_place = from->in_place;
  memcpy(to->loop_step, from->loop_step, sizeof to->loop_step);
  to->loop_turn = from->loop_turn;
}

/* Take rows over: of width floats a frame, from `start` on, forwards or backwards. */
static void copy_rows(void *to, const void *from, size_t width, int32_t count, int32_t start,
                      int32_t way) {
  int32_t t;
  for (t = 0; t < count; t++)
    memcpy((char *)to + width * (size_t)t, (const char *)from + width * (size_t)(start + way * t),
           width);
}

static mrt_motion *rearranged(call *c, const mrt_motion *m, int32_t start, int32_t count,
                              int32_t way) {
  mrt_motion *made = motion_new(c, m->skeleton, count, m->fps);
  size_t joints = (size_t)m->skeleton->num_joints * sizeof(float);
  motion_inherit(c, made, m);
  copy_rows(made->root_positions, m->root_positions, 3 * sizeof(float), count, start, way);
  copy_rows(made->local_rotations, m->local_rotations, 4 * joints, count, start, way);
  copy_rows(made->global_positions, m->global_positions, 3 * joints, count, start, way);
  copy_rows(made->global_rotations, m->global_rotations, 4 * joints, count, start, way);
  copy_rows(made->local_mats, m->local_mats, 9 * joints, count, start, way);
  if (m->foot_contacts) {
    motion_add_contacts(c, made, m->num_contacts);
    copy_rows(made->foot_contacts, m->foot_contacts, (size_t)m->num_contacts, count, start, way);
  }
  if (m->smooth_root) {
    motion_add_smooth_root(c, made);
    copy_rows(made->smooth_root, m->smooth_root, 3 * sizeof(float), count, start, way);
  }
  if (m->heading) {
    motion_add_heading(c, made);
    copy_rows(made->heading, m->heading, 2 * sizeof(float), count, start, way);
  }
  return made;
}

mrt_motion *motion_crop(call *c, const mrt_motion *m, int32_t start, int32_t stop) {
  mrt_motion *made = rearranged(c, m, start, stop - start, 1);
  if (made->num_frames < m->num_frames) made->is_loop = false;
  return made;
}

mrt_motion *motion_reversed(call *c, const mrt_motion *m) {
  return rearranged(c, m, m->num_frames - 1, m->num_frames, -1);
}

mrt_motions *motions_keep(mrt_motions *list) {
  cleanup_disarm(list->guard);
  return list;
}

mrt_motion *motions_keep_first(mrt_motions *list) {
  mrt_motion *first = list->items[0]; /* the list itself is freed with the call */
  list->items[0] = NULL;
  first->in_list = false;
  return first;
}

void motion_pose(call *c, mrt_motion *m, const mat3 *local, const vec3 *root) {
  int32_t joints = m->skeleton->num_joints, t, j;
  vec3 *positions = TEMP(c, vec3, joints);
  mat3 *rotations = TEMP(c, mat3, joints);
  for (t = 0; t < m->num_frames; t++) {
    size_t row = (size_t)t * joints;
    forward_kinematics(m->skeleton, local + row, root[t], positions, rotations);
    vec_store(m->root_positions + 3 * t, root[t]);
    for (j = 0; j < joints; j++) {
      mat_store(m->local_mats + 9 * (row + j), local[row + j]);
      quat_store(m->local_rotations + 4 * (row + j), mat_to_quat(local[row + j]));
      quat_store(m->global_rotations + 4 * (row + j), mat_to_quat(rotations[j]));
      vec_store(m->global_positions + 3 * (row + j), positions[j]);
    }
  }
}

double motion_heading(const mrt_motion *m, int32_t frame) {
  if (m->skeleton->hips.count == 2) {
    vec3 across = vec_sub(motion_joint(m, frame, m->skeleton->hips.joints[0]),
                          motion_joint(m, frame, m->skeleton->hips.joints[1]));
    /* 0 - x and not -x: zero must not become -0, which is a half turn to atan2. */
    return atan2(across.z, 0 - across.x);
  } else {
    mat3 turn = motion_local(m, frame, 0);
    return atan2(turn.m[0][2], turn.m[2][2]);
  }
}

/* ---- Public ---- */

void mrt_motion_free(mrt_motion *m) {
  if (!m || m->in_list) return;
  arena_free(&m->keep);
  free(m);
}

void mrt_motions_free(mrt_motions *list) {
  int32_t i;
  if (!list) return;
  for (i = 0; i < list->count; i++)
    if (list->items[i]) {
      list->items[i]->in_list = false;
      mrt_motion_free(list->items[i]);
    }
  arena_free(&list->keep);
  free(list);
}

int32_t mrt_motions_count(const mrt_motions *list) { return list ? list->count : 0; }

const mrt_motion *mrt_motions_get(const mrt_motions *list, int32_t index) {
  return list && index >= 0 && index < list->count ? list->items[index] : NULL;
}

static void get_info(call *c, void *arguments) {
  void **given = arguments;
  const mrt_motion *m = given[0];
  mrt_motion_info *out = given[1], info;
  size_t size;
  if (!m || !out) fail(c, MRT_BAD_ARGUMENT, "motion or info is NULL");
  size = out->struct_size;
  if (size < sizeof size) fail(c, MRT_BAD_ARGUMENT, "info: call mrt_motion_info_init first");
  mrt_motion_info_init(&info);
  info.struct_size = size;
  info.num_frames = m->num_frames;
  info.num_joints = m->skeleton->num_joints;
  info.num_contacts = m->num_contacts;
  info.num_features = m->num_features;
  info.fps = m->fps;
  info.seconds = m->num_frames / m->fps;
  info.seed = m->seed;
  info.sample = m->sample;
  info.prompt = m->prompt;
  info.is_loop = m->is_loop;
  if (m->is_loop) {
    info.loop_x = m->loop_step[0];
    info.loop_z = m->loop_step[1];
    info.loop_turn_rad = m->loop_turn;
  }
  info.in_place = m->in_place;
  memcpy(out, &info, size < sizeof info ? size : sizeof info);
}

mrt_status mrt_motion_get_info(const mrt_motion *motion, mrt_motion_info *info) {
  const void *given[] = {motion, info};
  return call_run(get_info, given);
}

const mrt_skeleton *mrt_motion_skeleton(const mrt_motion *m) { return m ? m->skeleton : NULL; }
const float *mrt_motion_root_positions(const mrt_motion *m) { return m ? m->root_positions : NULL; }
const float *mrt_motion_local_rotations(const mrt_motion *m) {
  return m ? m->local_rotations : NULL;
}
const float *mrt_motion_global_positions(const mrt_motion *m) {
  return m ? m->global_positions : NULL;
}
const float *mrt_motion_global_rotations(const mrt_motion *m) {
  return m ? m->global_rotations : NULL;
}
const uint8_t *mrt_motion_foot_contacts(const mrt_motion *m) { return m ? m->foot_contacts : NULL; }
const float *mrt_motion_smooth_root(const mrt_motion *m) { return m ? m->smooth_root : NULL; }
const float *mrt_motion_heading(const mrt_motion *m) { return m ? m->heading : NULL; }
const float *mrt_motion_features(const mrt_motion *m) { return m ? m->features : NULL; }

/* ---- What a game needs each frame ---- */

/* A time as a frame and the share of the way to the next; passes counts whole loops before it. */
static int32_t locate(const mrt_motion *m, double seconds, bool loop, double *share,
                      double *passes) {
  double last = m->num_frames - 1, at = seconds * m->fps;
  *passes = 0;
  if (loop && last > 0) {
    *passes = floor(at / last);
    at -= *passes * last;
  }
  if (!(at > 0)) at = 0;
  if (at > last) at = last;
  *share = at - floor(at);
  return (int32_t)floor(at);
}

static vec3 root_at(const mrt_motion *m, int32_t frame, double share) {
  int32_t next = frame + 1 < m->num_frames ? frame + 1 : frame;
  vec3 a = vec_load(m->root_positions + 3 * frame), b = vec_load(m->root_positions + 3 * next);
  return vec_add(vec_scale(a, 1 - share), vec_scale(b, share));
}

static double heading_at(const mrt_motion *m, int32_t frame, double share) {
  int32_t next = frame + 1 < m->num_frames ? frame + 1 : frame;
  double now = motion_heading(m, frame);
  return now + share * remainder(motion_heading(m, next) - now, 2 * PI);
}

typedef struct sample_arguments {
  const mrt_motion *motion;
  double seconds;
  uint32_t flags;
  float *root, *rotations;
} sample_arguments;

static void sample(call *c, void *arguments) {
  sample_arguments *a = arguments;
  const mrt_motion *m = a->motion;
  int32_t frame, next, joints, j;
  double share, passes;
  vec3 root;
  quat back = {1, 0, 0, 0};
  if (!m) fail(c, MRT_BAD_ARGUMENT, "motion is NULL");
  if (!isfinite(a->seconds)) fail(c, MRT_BAD_ARGUMENT, "seconds is not finite");
  joints = m->skeleton->num_joints;
  frame = locate(m, a->seconds, a->flags & MRT_LOOP, &share, &passes);
  next = frame + 1 < m->num_frames ? frame + 1 : frame;
  root = root_at(m, frame, share);
  if (a->flags & MRT_IN_PLACE) {
    double half = -heading_at(m, frame, share) / 2;
    root.x = root.z = 0;
    back.w = cos(half), back.y = sin(half);
  }
  if (a->root) vec_store(a->root, root);
  for (j = 0; a->rotations && j < joints; j++) {
    quat q = quat_slerp(quat_load(m->local_rotations + 4 * ((size_t)frame * joints + j)),
                        quat_load(m->local_rotations + 4 * ((size_t)next * joints + j)), share);
    quat_store(a->rotations + 4 * j, j ? q : quat_mul(back, q));
  }
}

mrt_status mrt_motion_sample(const mrt_motion *motion, double seconds, uint32_t flags,
                             float *root_position, float *local_rotations) {
  sample_arguments arguments = {motion, seconds, flags, root_position, local_rotations};
  return call_run(sample, &arguments);
}

typedef struct delta_arguments {
  const mrt_motion *motion;
  double from, to;
  uint32_t flags;
  float *translation, *turn;
} delta_arguments;

/* A place on the ground and a heading: what root motion adds up. */
typedef struct place {
  double x, z, heading;
} place;

static place place_at(const mrt_motion *m, int32_t frame, double share) {
  vec3 root = root_at(m, frame, share);
  place p = {root.x, root.z, heading_at(m, frame, share)};
  return p;
}

/* The way from one place to another, in the frame of the first. */
static place way(place a, place b) {
  double c = cos(a.heading), s = sin(a.heading), dx = b.x - a.x, dz = b.z - a.z;
  place p = {c * dx - s * dz, s * dx + c * dz, remainder(b.heading - a.heading, 2 * PI)};
  return p;
}

static place then(place a, place step) {
  double c = cos(a.heading), s = sin(a.heading);
  place p = {a.x + c * step.x + s * step.z, a.z - s * step.x + c * step.z,
             a.heading + step.heading};
  return p;
}

#define MAX_PASSES 100000

static void root_delta(call *c, void *arguments) {
  delta_arguments *a = arguments;
  const mrt_motion *m = a->motion;
  double share[2], passes[2], left;
  int32_t frame[2];
  place start, end, total;
  if (!m) fail(c, MRT_BAD_ARGUMENT, "motion is NULL");
  if (!isfinite(a->from) || !isfinite(a->to) || a->to < a->from)
    fail(c, MRT_BAD_ARGUMENT, "to must not lie before from");
  frame[0] = locate(m, a->from, a->flags & MRT_LOOP, &share[0], &passes[0]);
  frame[1] = locate(m, a->to, a->flags & MRT_LOOP, &share[1], &passes[1]);
  start = place_at(m, frame[0], share[0]);
  end = place_at(m, frame[1], share[1]);
  left = passes[1] - passes[0];
  if (left > MAX_PASSES) fail(c, MRT_BAD_ARGUMENT, "more than %d passes", MAX_PASSES);
  if (left > 0) {
    place first = place_at(m, 0, 0), last = place_at(m, m->num_frames - 1, 0);
    place none = {0, 0, 0};
    total = then(none, way(start, last));
    for (left -= 1; left > 0; left -= 1) total = then(total, way(first, last));
    total = then(total, way(first, end));
  } else {
    total = way(start, end);
  }
  if (a->translation) vec_store(a->translation, vec(total.x, 0, total.z));
  if (a->turn) *a->turn = (float)total.heading;
}

mrt_status mrt_motion_root_delta(const mrt_motion *motion, double from, double to, uint32_t flags,
                                 float *translation, float *turn_rad) {
  delta_arguments arguments = {motion, from, to, flags, translation, turn_rad};
  return call_run(root_delta, &arguments);
}
